/**
 * Explain, second half: what the proxy would do with the request, and why; as plain data.
 *
 * why    `--json` and the page for people print the same facts; the routing table, rewrites and forwarding
 *        rules asked here are those that traffic meets
 * rule   requests are matched by the configuration as it is; what is shown of it comes from its redacted copy
 * never  connects anywhere; a file is opened to see what the answer would be, and not read
 */
import type { Action, Config, RouteConfig } from "../config/config.ts";
import { redactConfig } from "../config/redact.ts";
import { type FailureCode, fail, failureMeaning } from "../core/failure.ts";
import { pairsOfLines } from "../core/fields.ts";
import { SHED_NUMBER } from "../limit/shedding.ts";
import { compileCache } from "../pipeline/cache-rules.ts";
import { openFile } from "../pipeline/files.ts";
import { targetOf, upstreamLines } from "../pipeline/forward.ts";
import type { Planned, Route } from "../pipeline/plan.ts";
import { compileRetry, newBudget } from "../pipeline/retry-rules.ts";
import { redirectToHttps } from "../pipeline/to-https.ts";
import { compileEdits } from "../route/edits.ts";
import type { HeaderEdits } from "../route/match.ts";
import { compileRewrite, compileTarget } from "../route/rewrite.ts";
import { type Considered, compileTable, type RouteRule, type Verdict } from "../route/table.ts";
import { type CacheFacts, type CompressFacts, cacheFacts, compressFacts } from "./explain-cache.ts";
import { type Asked, addressesOf } from "./explain-request.ts";
import type { TlsExplanation } from "./explain-tls.ts";
import { percent, type UpstreamFacts, upstreamFacts } from "./explain-upstream.ts";
import { matchText } from "./match-text.ts";

export interface Explanation {
  readonly request: {
    readonly method: string;
    readonly target: string;
    readonly scheme: string;
    readonly host: string;
    readonly path: string;
    readonly query: string;
    readonly clientIp: string;
  };
  readonly listener: {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly reason: string;
  };
  /** The handshake; undefined on a listener without TLS. */
  readonly tls: TlsExplanation | undefined;
  readonly notes: readonly string[];
  /** Set when the proxy itself says no; then nothing after it is. */
  readonly refused:
    | {
        readonly code: FailureCode;
        /** 0 when there is no answer at all. */
        readonly status: number;
        readonly meaning: string;
      }
    | undefined;
  /** Every route in order of precedence; none when the request is refused before any is looked at. */
  readonly routes: readonly RouteVerdict[];
  readonly route: string | undefined;
  readonly outcome: Outcome | undefined;
  /** undefined = the route does not cache. */
  readonly cache: CacheFacts | undefined;
  /** undefined = the route does not compress. */
  readonly compress: CompressFacts | undefined;
  readonly responseEdits: HeaderEdits | undefined;
  readonly errorPages: Readonly<Record<string, string>> | undefined;
}

export interface RouteVerdict {
  readonly name: string;
  readonly match: string;
  /** Why it was not taken, or that it was; `listener`: it is not on this one. */
  readonly verdict: Verdict | "listener";
  readonly reason: string;
}

export type Outcome = ProxyOutcome | RedirectOutcome | RespondOutcome | FilesOutcome;

export interface ProxyOutcome {
  readonly kind: "proxy";
  readonly path: { readonly from: string; readonly to: string };
  readonly requestLine: string;
  readonly requestFields: readonly (readonly [name: string, value: string])[];
  readonly targets: readonly (UpstreamFacts & {
    readonly upstream: string;
    /** Of all requests of the route, in percent. */
    readonly share: number;
  })[];
  readonly timeouts: RouteConfig["timeouts"];
  readonly retry: RouteConfig["retry"];
  readonly shed: RouteConfig["shed"];
}

export interface RedirectOutcome {
  readonly kind: "redirect";
  readonly status: number;
  readonly location: string;
}

export interface RespondOutcome {
  readonly kind: "respond";
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface FilesOutcome {
  readonly kind: "files";
  readonly root: string;
  /** What is looked up below the root, still encoded. */
  readonly path: string;
  readonly status: number;
  /** Why not, when it is refused. */
  readonly meaning: string | undefined;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export async function explain(asked: Asked, config: Config): Promise<Explanation> {
  const { exchange, listener } = asked;
  const toHttps = redirectOf(exchange, asked);
  const isRouted = exchange.failure === undefined && toHttps === undefined && !isUnshaken(asked);
  const considered = isRouted ? routeRequest(asked, config) : [];
  const route = considered.find((each) => each.verdict === "chosen")?.rule.value.shown;
  return {
    request: {
      method: asked.question.method,
      target: asked.target,
      scheme: exchange.downstream.scheme,
      host: exchange.host,
      path: exchange.path,
      query: exchange.query,
      clientIp: exchange.clientIp,
    },
    listener: { name: listener.name, addresses: addressesOf(listener), reason: asked.listenerReason },
    tls: asked.tls,
    notes:
      toHttps === undefined ? asked.notes : [...asked.notes, "this listener sends every request to https"],
    refused: refusalOf(asked, isRouted && route === undefined),
    routes: isRouted ? [...considered.map(verdictOf), ...elsewhere(redactConfig(config), listener.name)] : [],
    route: route?.name,
    outcome: route === undefined ? toHttps : await outcomeOf(route, exchange, config),
    cache: route && cacheOf(route, exchange, config),
    compress: route?.compress && compressFacts(exchange, route.compress),
    responseEdits: route?.responseHeaders,
    errorPages: route?.errorPages,
  };
}

/** Asked by the policy as it is: what it tests may be hidden in the copy. */
function cacheOf({ name }: RouteConfig, exchange: Planned, config: Config): CacheFacts | undefined {
  const asked = config.routes.find((route) => route.name === name);
  const rules = asked && compileCache(asked, config.listeners);
  return rules && cacheFacts(exchange, rules, Date.now());
}

/** No certificate, no handshake, no request. */
const isUnshaken = ({ tls }: Asked) => tls?.isRefused === true;

function refusalOf(asked: Asked, isUnrouted: boolean): Explanation["refused"] {
  if (isUnshaken(asked)) {
    return { code: "tls_handshake", status: 0, meaning: "no certificate for this server name" };
  }
  const failure = asked.exchange.failure ?? (isUnrouted ? fail("no_route") : undefined);
  return failure && { code: failure.code, status: failure.status, meaning: failureMeaning(failure.code) };
}

/** A plain listener may send all its clients to https; a request without a host cannot be sent anywhere. */
function redirectOf(exchange: Planned, { listener }: Asked): RedirectOutcome | undefined {
  if (listener.redirectToHttps === undefined || exchange.failure !== undefined) return undefined;
  const answer = redirectToHttps(exchange, listener.redirectToHttps);
  if (answer === undefined) return undefined;
  if ("code" in answer) {
    exchange.failure = answer;
    return undefined;
  }
  const [[, location] = ["", ""]] = pairsOfLines(answer.lines);
  return { kind: "redirect", status: answer.status, location };
}

const isOn = (route: RouteConfig, listener: string) =>
  route.listeners.length === 0 || route.listeners.includes(listener);

/** A route's redacted copy: all that leaves this file. */
interface Shown {
  readonly shown: RouteConfig;
}

function routeRequest(asked: Asked, config: Config): readonly Considered<Shown>[] {
  const copies = redactConfig(config).routes;
  const rules = config.routes
    .map(
      (route, at): RouteRule<Shown> => ({
        name: route.name,
        match: route.match,
        priority: route.priority,
        value: { shown: copies[at] ?? route },
      }),
    )
    .filter(({ value }) => isOn(value.shown, asked.listener.name));
  return compileTable(rules).explain(asked.exchange);
}

const REASONS = {
  chosen: "the first that matches",
  outranked: "matches too, but less specifically",
  host: "another host",
  path: "another path",
} as const;

function verdictOf({ rule, verdict, subject }: Considered<Shown>): RouteVerdict {
  return {
    name: rule.name,
    match: matchText(rule.value.shown.match, rule.priority),
    verdict,
    reason: verdict === "condition" ? `its ${subject} does not hold` : REASONS[verdict],
  };
}

function elsewhere(config: Config, listener: string): RouteVerdict[] {
  return config.routes
    .filter((route) => !isOn(route, listener))
    .map((route) => ({
      name: route.name,
      match: matchText(route.match, route.priority),
      verdict: "listener",
      reason: `only on listener ${route.listeners.join(", ")}`,
    }));
}

async function outcomeOf(route: RouteConfig, exchange: Planned, config: Config): Promise<Outcome> {
  const { action } = route;
  switch (action.kind) {
    case "redirect":
      return { kind: "redirect", status: action.status, location: locationOf(action.to, route, exchange) };
    case "respond":
      return { kind: "respond", status: action.status, contentType: action.contentType, body: action.body };
    case "files":
      return filesOutcome(route, action, exchange);
    case "proxy":
      return proxyOutcome(route, action, exchange, config);
  }
}

function locationOf(to: string, route: RouteConfig, { path, query, host }: Planned): string {
  return compileTarget(to, route.match.path)({ path, query, host });
}

async function filesOutcome(
  route: RouteConfig,
  action: Extract<Action, { kind: "files" }>,
  exchange: Planned,
): Promise<FilesOutcome> {
  const path = compileRewrite(route.rewrite, route.match.path)?.(exchange.path) ?? exchange.path;
  const answer = await openFile(action, path, exchange);
  const isRefused = "code" in answer;
  if (!isRefused) answer.close();
  return {
    kind: "files",
    root: action.root,
    path,
    status: answer.status,
    meaning: isRefused ? failureMeaning(answer.code) : undefined,
    fields: pairsOfLines(answer.lines),
  };
}

function proxyOutcome(
  route: RouteConfig,
  action: Extract<Action, { kind: "proxy" }>,
  exchange: Planned,
  config: Config,
): ProxyOutcome {
  const total = action.targets.reduce((sum, target) => sum + target.weight, 0);
  const targets = action.targets.map(({ upstream, weight }) => ({
    upstream,
    share: percent(weight, total),
    ...upstreamFacts(
      config.upstreams.find((each) => each.name === upstream),
      config.server.zone,
    ),
  }));
  const compiled = forwardingRules(route);
  const target = targetOf(exchange, compiled);
  return {
    kind: "proxy",
    path: { from: exchange.path, to: target.split("?", 1)[0] ?? "" },
    requestLine: `${exchange.method} ${target} ${targets[0]?.protocol.split(" ", 1)[0] ?? "HTTP/1.1"}`,
    requestFields: requestFields(exchange, compiled, targets[0]?.endpoints[0]?.name ?? ""),
    targets,
    timeouts: route.timeouts,
    retry: route.retry,
    shed: route.shed,
  };
}

/** The field lines that an endpoint gets; an upgrade is asked for anew by the connection to it. */
function requestFields(exchange: Planned, route: Route, endpoint: string): [name: string, value: string][] {
  const lines = upstreamLines(exchange, route, endpoint);
  const upgrade = `Connection: upgrade\r\nUpgrade: ${exchange.upgrade}\r\n`;
  return pairsOfLines(exchange.upgrade === "" ? lines : lines + upgrade);
}

/** What the forwarding rules read of a route; the rest is for phases that are not run here. */
function forwardingRules(route: RouteConfig): Route {
  return {
    name: route.name,
    slot: 0,
    cacheSlot: -1,
    cache: undefined,
    action: { kind: "respond", status: 200, body: Buffer.alloc(0), lines: "" },
    rewrite: compileRewrite(route.rewrite, route.match.path),
    hostRewrite: route.rewrite.host,
    requestEdits: compileEdits(route.requestHeaders),
    responseEdits: undefined,
    timeouts: route.timeouts,
    requestMs: route.timeouts.requestMs,
    errorPages: undefined,
    retry: compileRetry(route.retry, [], newBudget),
    compress: undefined,
    shed: SHED_NUMBER[route.shed],
  };
}
