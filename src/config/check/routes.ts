/**
 * Routes: each with its policies merged in, its one action, and its names looked up.
 */
import type { PathTest, RouteMatch } from "../../route/match.ts";
import { templateProblem } from "../../route/template.ts";
import type { ListenerConfig, RouteConfig } from "../config.ts";
import { isHostName } from "../options/addresses.ts";
import type { Entry, Placed } from "../options/containers.ts";
import { type REWRITE, type ROOT, ROUTE_TIMEOUTS } from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { didYouMean } from "../suggest.ts";
import { checkAction } from "./action.ts";
import { checkCompress } from "./compress.ts";
import { toEdits } from "./edits.ts";
import type { CheckFacts } from "./facts.ts";
import { absolutePath } from "./places.ts";
import { mergePolicies } from "./policies.ts";
import { checkRetry } from "./retry.ts";
import { checkRouteCache } from "./route-cache.ts";
import { refuseTwins } from "./twins.ts";
import type { RouteNeeds, WrittenPolicy, WrittenRoute } from "./written-route.ts";

export function checkRoutes(
  root: Written<typeof ROOT>,
  place: Place,
  needs: RouteNeeds,
): readonly RouteConfig[] {
  const policies = root.policies ?? [];
  for (const { value } of policies) checkListenerNames(value.listener, needs);
  if (root.routes === undefined) return [];
  const isAllRedirect = needs.listenerConfigs.every(({ redirectToHttps }) => redirectToHttps !== undefined);
  if (root.routes.length === 0 && (needs.listenerConfigs.length === 0 || !isAllRedirect)) {
    place.key("routes").error("there is no route", "Add one, such as `- { to: app }`.");
  }
  const taken = new Map<string, Place>();
  const checked = root.routes.map(({ value, place: at, isSound: isReadWhole }, index) => {
    const errorsBefore = at.errorCount;
    const layers = policiesOf(value, policies);
    const merged = mergePolicies(
      value,
      layers.map((layer) => layer.value),
    );
    const isWhole = isReadWhole && layers.every(({ isSound }) => isSound);
    checkListenerNames(value.listener, needs);
    const route = toRoute(merged, at, { needs, index });
    checkReachable(route, at, needs);
    refuseSameName(route.name, value.name === undefined ? at : at.key("name"), taken);
    return { route, place: at, isSound: isWhole && at.errorCount === errorsBefore };
  });
  refuseTwins(
    checked.filter(({ isSound }) => isSound),
    needs.listeners,
  );
  return checked.map(({ route }) => route);
}

function policiesOf(
  route: WrittenRoute,
  policies: readonly Entry<WrittenPolicy>[],
): readonly Entry<WrittenPolicy>[] {
  return (route.policies ?? []).flatMap(({ value: name, place }) => {
    const found = policies.find((policy) => policy.name === name);
    if (found !== undefined) return [found];
    const names = policies.map((policy) => policy.name);
    place.error(`there is no policy ${quote(name)}`, didYouMean(name, names));
    return [];
  });
}

function checkListenerNames(names: readonly Placed<string>[] | undefined, needs: RouteNeeds): void {
  for (const { value, place } of names ?? []) {
    if (needs.listeners.length === 0 || needs.listeners.includes(value)) continue;
    place.error(`there is no listener ${quote(value)}`, didYouMean(value, needs.listeners));
  }
}

function refuseSameName(name: string, place: Place, taken: Map<string, Place>): void {
  const other = taken.get(name);
  if (other === undefined) taken.set(name, place);
  else
    place.error(
      `the name \`${name}\` belongs to another route (${other.where})`,
      "Give each route its own name.",
    );
}

interface RouteContext {
  readonly needs: RouteNeeds;
  readonly index: number;
}

function toRoute(written: WrittenRoute, place: Place, { needs, index }: RouteContext): RouteConfig {
  const match = toMatch(written.match);
  const timeouts = toTimeouts(written.timeouts);
  const { action, responseHeaders } = checkAction(written, place, { needs, path: match.path });
  checkRewrite(written.rewrite, place.key("rewrite"), match.path);
  return {
    name: written.name ?? `route-${index + 1}`,
    listeners: [...new Set(written.listener?.map(({ value }) => value))],
    priority: written.priority ?? 0,
    match,
    action,
    rewrite: {
      stripPrefix: written.rewrite?.stripPrefix,
      path: written.rewrite?.path,
      host: written.rewrite?.host,
    },
    requestHeaders: toEdits(written.headers?.request),
    responseHeaders: toEdits(written.headers?.response, responseHeaders),
    timeouts,
    retry: checkRetry(written.retry, place, timeouts),
    shed: written.shed ?? "normal",
    cache: checkRouteCache(written.cache, place, { action: action.kind, match }),
    compress: checkCompress(written.compress, place, action.kind),
    errorPages: checkErrorPages(written, needs.facts),
  };
}

function toTimeouts(written: WrittenRoute["timeouts"]): RouteConfig["timeouts"] {
  const { request, connect, response, idle } = withDefaults(ROUTE_TIMEOUTS, written);
  return { requestMs: request, connectMs: connect, responseMs: response, idleMs: idle };
}

function toMatch(written: WrittenRoute["match"]): RouteMatch {
  return {
    hosts: [...new Set(written?.host)],
    path: written?.path,
    methods: [...new Set(written?.method)],
    headers: written?.headers ?? [],
    query: written?.query ?? [],
    cookies: written?.cookies ?? [],
    clientIp: [...new Set(written?.clientIp)],
    clientCert: toCertTest(written?.clientCert),
  };
}

function toCertTest(written: NonNullable<WrittenRoute["match"]>["clientCert"]): RouteMatch["clientCert"] {
  if (written === undefined) return undefined;
  const { subject, san, fingerprint } = written === "*" ? {} : written;
  return { subject, san, fingerprints: [...new Set(fingerprint)] };
}

/** What can never match is mostly a slip, and harmless: a warning. */
function checkReachable(route: RouteConfig, place: Place, needs: RouteNeeds): void {
  const names = route.listeners.length === 0 ? needs.listeners : route.listeners;
  const on = needs.listenerConfigs.filter(({ name }) => names.includes(name));
  if (on.length === 0) return;
  const answering = on.filter(({ redirectToHttps }) => redirectToHttps === undefined);
  if (answering.length === 0) {
    place.warning(
      `this route is never used: ${on.map(({ name }) => `\`${name}\``).join(" and ")} sends every request to https`,
      "Put it on the listener for https.",
    );
  } else if (route.match.clientCert !== undefined && !answering.some(asksForCertificates)) {
    place.warning(
      "this route is never used: no listener that it is on asks clients for certificates",
      "Give one of them `tls: { clientAuth: … }`.",
    );
  }
}

const asksForCertificates = ({ tls }: ListenerConfig) => tls !== undefined && tls.clientAuth.mode !== "off";

function checkRewrite(
  rewrite: Written<typeof REWRITE> | undefined,
  place: Place,
  path: PathTest | undefined,
): void {
  if (rewrite === undefined) return;
  const { stripPrefix, path: template, host } = rewrite;
  if (stripPrefix !== undefined && template !== undefined) {
    place.error(
      "`stripPrefix` and `path` cannot both hold",
      "Keep one: `path: /new/{rest}` says the whole path.",
    );
  }
  if (stripPrefix !== undefined) checkStrip(stripPrefix, place.key("stripPrefix"), path);
  const wrong = template === undefined ? undefined : templateProblem(template, path, ["rest", "path"]);
  if (wrong !== undefined) place.key("path").error(wrong);
  if (host !== undefined && !isHostName(host.replace(/:\d{1,5}$/, "").replace(/^\[(.+)\]$/, "$1"))) {
    place.key("host").error(`${quote(host)} is not a host`, "Write internal.example.com or host:port.");
  }
}

/** A prefix that no path of the route begins with is never taken off: surely a mistake, but a harmless one. */
function checkStrip(stripPrefix: string, place: Place, path: PathTest | undefined): void {
  if (path === undefined || path.kind === "pattern") return;
  const prefix = stripPrefix.replace(/\/$/, "");
  const mayHold =
    path.path === prefix || path.path.startsWith(`${prefix}/`) || prefix.startsWith(`${path.path}/`);
  if (mayHold && !(path.kind === "exact" && prefix.startsWith(`${path.path}/`))) return;
  place.warning(`no path of this route begins with ${quote(stripPrefix)}`, "It will change nothing.");
}

function checkErrorPages(written: WrittenRoute, facts: CheckFacts): Readonly<Record<string, string>> {
  const pages = (written.errorPages ?? []).map(({ name, value, place }) => {
    const path = absolutePath(value, facts.folder);
    if (facts.kindOf(path) !== "file")
      place.error(`there is no file ${quote(value)}`, `It was looked for at ${path}.`);
    return [name, path];
  });
  return Object.fromEntries(pages);
}
