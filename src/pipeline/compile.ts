/**
 * Compile: a checked configuration becomes what the pipeline runs by: sites, routes, upstream groups.
 *
 * why    whole or not at all: everything that can fail fails here, before anything in force is touched
 * in     the Config, counter slots by series key, and the pools that exist; a pool is taken over when upstream and
 *        endpoint keep their names
 * out    a Snapshot; nothing in it changes afterwards
 * fails  throws with a text for the operator
 */
import type { CacheKeyPolicy } from "../cache/policy.ts";
import type {
  Config,
  EndpointConfig,
  ListenerConfig,
  RouteConfig,
  UpstreamConfig,
} from "../config/config.ts";
import { isProtected } from "../config/protected.ts";
import type { RetryBudget } from "../limit/budget.ts";
import { SHED_NUMBER } from "../limit/shedding.ts";
import { seriesKey, sharedKey } from "../observe/series.ts";
import { compileEdits } from "../route/edits.ts";
import { compileRewrite, compileTarget } from "../route/rewrite.ts";
import { compileSplit } from "../route/split.ts";
import { compileTable } from "../route/table.ts";
import type { UpstreamTimeouts } from "../session/exchange.ts";
import type { EndpointPool } from "../session/upstream-pool.ts";
import { compileCache } from "./cache-rules.ts";
import { compileCompression } from "./compress-rules.ts";
import { EndpointChooser, type Standing } from "./endpoint-chooser.ts";
import type { Loaded } from "./lane.ts";
import type { Endpoint, Route, RouteAction, Site, SiteRules, UpstreamGroup } from "./plan.ts";
import { compileRetry, newBudget } from "./retry-rules.ts";
import { GateView, type UpstreamGate } from "./upstream-gate.ts";

export interface Snapshot {
  /** By listener name. */
  readonly sites: ReadonlyMap<string, Site>;
  /** By series key of the endpoint: the pools that this version uses. */
  readonly pools: ReadonlyMap<string, EndpointPool>;
  /** By upstream name. */
  readonly groups: ReadonlyMap<string, UpstreamGroup>;
}

export interface CompileServices {
  /** First slot of each series. */
  readonly slots: Readonly<Record<string, number>>;
  /** The pool of this endpoint: one that exists, or a new one. */
  readonly poolFor: (
    key: string,
    slot: number,
    upstream: UpstreamConfig,
    endpoint: EndpointConfig,
  ) => EndpointPool;
  /** Text of a file named in the configuration. */
  readonly readText: (path: string) => string;
  /** Tells workers apart, so that they do not all begin with the first endpoint. */
  readonly worker: number;
  /** Where this machine stands, "" = nobody said. */
  readonly zone: string;
  readonly chance: () => number;
  /** Requests in flight in all workers at the endpoint whose series starts at `slot`. */
  readonly inFlightAt: (slot: number) => number;
  /** Where the endpoints of an upstream stand, by their slots; undefined = all are up for ever. */
  readonly standingOf?: (upstream: UpstreamConfig, slots: readonly number[]) => Standing | undefined;
  /** The gate of a protected upstream: one that exists, or a new one. */
  readonly gateOf?: (upstream: UpstreamConfig) => UpstreamGate;
  /** The budget of an upstream's repeats: one that exists, or a new one. */
  readonly budgetOf?: (upstream: string, share: number) => RetryBudget;
}

/** Slot of a listener, route or endpoint; names past the row's capacity share one. */
export function slotFor(slots: Readonly<Record<string, number>>, key: string, shared: string): number {
  const slot = slots[key] ?? slots[shared];
  if (slot === undefined) throw new Error(`no counters for ${key}`);
  return slot;
}

export function compileSnapshot(config: Config, services: CompileServices): Snapshot {
  const pools = new Map<string, EndpointPool>();
  const groups = new Map(
    config.upstreams.map((upstream) => [upstream.name, compileUpstream(upstream, services, pools)]),
  );
  const routes = config.routes.map((route) => ({
    config: route,
    route: compileRoute(route, groups, services, config.listeners),
  }));
  const sites = new Map(config.listeners.map((listener) => [listener.name, siteOf(listener, routes)]));
  return { sites, pools, groups };
}

function compileUpstream(
  upstream: UpstreamConfig,
  services: CompileServices,
  pools: Map<string, EndpointPool>,
): UpstreamGroup {
  const endpoints: Endpoint[] = upstream.endpoints.map((endpoint) => {
    const key = seriesKey("endpoint", upstream.name, endpoint.name);
    const slot = slotFor(services.slots, key, sharedKey("endpoint"));
    const pool = services.poolFor(key, slot, upstream, endpoint);
    pools.set(key, pool);
    return { name: endpoint.name, pool };
  });
  const loads = endpoints.map(({ pool }) => loadedOf(pool, services));
  const slots = endpoints.map(({ pool }) => pool.slot);
  const names = endpoints.map(({ name }) => name);
  const gate = isProtected(upstream) ? services.gateOf?.(upstream) : undefined;
  const view = gate === undefined ? undefined : new GateView(gate, names);
  const chooser = new EndpointChooser(upstream, {
    endpoints: loads,
    places: upstream.limits.perEndpoint > 0 ? view : undefined,
    standing: services.standingOf?.(upstream, slots),
    worker: services.worker,
    zone: services.zone,
    chance: services.chance,
  });
  if (upstream.balance === "ewma") for (const { pool } of endpoints) pool.watchLatency();
  return {
    name: upstream.name,
    endpoints,
    isHttp2: upstream.protocol === "h2" || upstream.protocol === "h2c",
    chooser,
    gate: view,
  };
}

function loadedOf(pool: EndpointPool, { inFlightAt }: CompileServices): Loaded {
  return { load: () => inFlightAt(pool.slot), latencyMs: () => pool.latencyMs };
}

function compileRoute(
  route: RouteConfig,
  groups: ReadonlyMap<string, UpstreamGroup>,
  services: CompileServices,
  listeners: readonly ListenerConfig[],
): Route {
  const { requestMs } = route.timeouts;
  return {
    name: route.name,
    slot: slotFor(services.slots, seriesKey("route", route.name), sharedKey("route")),
    cacheSlot:
      route.cache === undefined
        ? -1
        : slotFor(services.slots, seriesKey("cache", route.name), sharedKey("cache")),
    cache: compileCache(route, listeners),
    action: compileAction(route, groups),
    rewrite: compileRewrite(route.rewrite, route.match.path),
    hostRewrite: route.rewrite.host,
    requestEdits: compileEdits(route.requestHeaders),
    responseEdits: compileEdits(route.responseHeaders),
    timeouts: timeoutsOf(route),
    requestMs,
    errorPages: readPages(route.errorPages, services),
    retry: compileRetry(route.retry, targetsOf(route), services.budgetOf ?? newBudget),
    compress: compileCompression(route.compress),
    shed: SHED_NUMBER[route.shed],
  };
}

/** `perTry` bounds both waits of an attempt: for the connection and, once the request is out, for the head. */
function timeoutsOf({ timeouts, retry: { perTryMs } }: RouteConfig): UpstreamTimeouts {
  const { connectMs, responseMs, idleMs } = timeouts;
  const within = (ms: number) => (perTryMs === 0 ? ms : Math.min(ms || perTryMs, perTryMs));
  return { connectMs: within(connectMs), responseMs: within(responseMs), idleMs };
}

function targetsOf({ action }: RouteConfig): readonly string[] {
  return action.kind === "proxy" ? action.targets.map(({ upstream }) => upstream) : [];
}

function compileAction(route: RouteConfig, groups: ReadonlyMap<string, UpstreamGroup>): RouteAction {
  const { action } = route;
  switch (action.kind) {
    case "proxy": {
      const upstreams = action.targets.map(({ upstream }) => {
        const group = groups.get(upstream);
        if (group === undefined) throw new Error(`route ${route.name}: no upstream ${upstream}`);
        return group;
      });
      return { kind: "proxy", split: compileSplit(action.targets), upstreams };
    }
    case "redirect":
      return { kind: "redirect", status: action.status, to: compileTarget(action.to, route.match.path) };
    case "respond": {
      const lines = action.body === "" ? "" : `Content-Type: ${action.contentType}\r\n`;
      return { kind: "respond", status: action.status, body: Buffer.from(action.body), lines };
    }
    case "files":
      return action;
  }
}

function readPages(
  pages: Readonly<Record<string, string>>,
  services: CompileServices,
): Record<string, string> | undefined {
  const entries = Object.entries(pages).map(([status, path]) => [status, services.readText(path)] as const);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function siteOf(
  listener: ListenerConfig,
  routes: readonly { readonly config: RouteConfig; readonly route: Route }[],
): Site {
  const mine = routes.filter(
    ({ config }) => config.listeners.length === 0 || config.listeners.includes(listener.name),
  );
  return {
    table: compileTable(
      mine.map(({ config, route }) => ({
        name: config.name,
        match: config.match,
        priority: config.priority,
        value: route,
      })),
    ),
    keyPolicies: keyPoliciesOf(mine.map(({ config }) => config)),
    ...rulesOf(listener),
  };
}

function keyPoliciesOf(routes: readonly RouteConfig[]): CacheKeyPolicy[] {
  const byText = new Map<string, CacheKeyPolicy>();
  for (const { cache } of routes) {
    if (cache !== undefined) byText.set(JSON.stringify(cache.key), cache.key);
  }
  return [...byText.values()];
}

/** What a listener says about every request; `weir explain` asks for it too. */
export function rulesOf({ encodedSlash, redirectToHttps, tls }: ListenerConfig): SiteRules {
  const isAuthenticated = tls !== undefined && tls.clientAuth.mode !== "off";
  return {
    encodedSlash,
    toHttps: redirectToHttps,
    hstsLine: tls === undefined || tls.hsts === "" ? "" : `Strict-Transport-Security: ${tls.hsts}\r\n`,
    forwardsCertificate: isAuthenticated && tls.clientAuth.forward,
    isStrictHost: isAuthenticated || tls?.unknownNames === "refuse",
  };
}
