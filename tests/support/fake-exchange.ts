/**
 * Fake exchange: an exchange whose client is a note of what was sent to it, for tests of phases.
 */
import { PLAIN_RETRY } from "../../src/config/check/resilience.ts";
import { CidrSet } from "../../src/core/address.ts";
import { fieldsOfLines } from "../../src/core/fields.ts";
import { HttpClock } from "../../src/core/http-clock.ts";
import { RequestIds } from "../../src/core/request-id.ts";
import { RetryBudget } from "../../src/limit/budget.ts";
import type { LogEntry } from "../../src/observe/access-log.ts";
import { LISTENER, ROUTE, WORKER } from "../../src/observe/metrics.table.ts";
import { Fetches } from "../../src/pipeline/fetches.ts";
import {
  type PipelineServices,
  Plan,
  type Planned,
  type Route,
  type Site,
  type SiteRules,
} from "../../src/pipeline/plan.ts";
import { compileRetry } from "../../src/pipeline/retry-rules.ts";
import { compileTable, type RouteRule } from "../../src/route/table.ts";
import { type ClientMemo, type Downstream, Exchange, type TlsSession } from "../../src/session/exchange.ts";
import type { Listener } from "../../src/session/listener.ts";
import { Encoders } from "../../src/transport/encoders.ts";
import { BufferBudget } from "../../src/transport/wire.ts";
import { NO_MATCH } from "./no-match.ts";

export const WORKER_SLOT = 0;
export const UNROUTED_SLOT = WORKER.slots;
export const ROUTE_SLOT = UNROUTED_SLOT + ROUTE.slots;
const ALL_SLOTS = ROUTE_SLOT + ROUTE.slots + LISTENER.slots;

export interface FakeServices extends PipelineServices {
  readonly logged: LogEntry[];
  readonly reported: string[];
}

export function fakeServices(): FakeServices {
  const logged: LogEntry[] = [];
  const reported: string[] = [];
  let seed = 0;
  const budget = new BufferBudget(1_000_000);
  return {
    counters: new Float64Array(ALL_SLOTS),
    workerSlot: WORKER_SLOT,
    unroutedSlot: UNROUTED_SLOT,
    ids: new RequestIds((bytes) => bytes.fill(++seed)),
    dates: new HttpClock(),
    budget,
    encoders: new Encoders(budget),
    chance: () => 0,
    shedder: { admits: () => true, cause: "loop_lag" },
    logAccess: (entry) => logged.push(entry),
    epochMs: 1_700_000_000_000,
    events: undefined,
    report: (text) => reported.push(text),
    logged,
    reported,
    httpChallenges: new Map(),
    cache: undefined,
    resume: () => undefined,
    purgeFrom: new CidrSet([]),
    fetches: new Fetches(),
  };
}

const PLAIN_RULES: SiteRules = {
  encodedSlash: "refuse",
  toHttps: undefined,
  hstsLine: "",
  forwardsCertificate: false,
  isStrictHost: false,
};

export function fakeSite(routes: readonly Route[], site: Partial<Site> = {}): Site {
  const rules: RouteRule<Route>[] = routes.map((value) => ({
    name: value.name,
    match: NO_MATCH,
    priority: 0,
    value,
  }));
  return { table: compileTable(rules), keyPolicies: [], ...PLAIN_RULES, ...site };
}

/** A route that answers by itself with 200 and "fixed". */
export function fixedRoute(parts: Partial<Route> = {}): Route {
  return {
    name: "fixed",
    slot: ROUTE_SLOT,
    cacheSlot: -1,
    cache: undefined,
    action: { kind: "respond", status: 200, body: Buffer.from("fixed"), lines: "" },
    rewrite: undefined,
    hostRewrite: undefined,
    requestEdits: undefined,
    responseEdits: undefined,
    timeouts: { connectMs: 0, responseMs: 0, idleMs: 0 },
    requestMs: 0,
    errorPages: undefined,
    retry: compileRetry(PLAIN_RETRY, [], () => new RetryBudget({ share: 1, floorPerSec: 10 })),
    compress: undefined,
    shed: 1,
    ...parts,
  };
}

export class FakeDownstream implements Downstream {
  readonly clientIp: string;
  readonly clientPort = 4000;
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  readonly tls: TlsSession | undefined;
  readonly localPort = 80;
  readonly localIp = "192.0.2.1";
  readonly memo: ClientMemo = { authority: "", host: "", keyAuthority: "", lines: "" };
  readonly listener: Listener;
  /** Names of the calls, in order. */
  readonly calls: string[] = [];

  constructor(site: Site, { trusted = [], clientIp = "203.0.113.9", tls }: FakeRequest) {
    const trustedProxies = new CidrSet(trusted);
    this.clientIp = clientIp;
    this.tls = tls;
    this.scheme = tls === undefined ? "http" : "https";
    this.isTrusted = trustedProxies.has(clientIp);
    this.listener = {
      name: "web",
      limits: { connections: 1, requestHeadBytes: 1, headers: 1, bodyBytes: 0, requestsPerConnection: 0 },
      timeouts: { handshakeMs: 1, headMs: 1, bodyMs: 1, idleMs: 1 },
      trustedProxies,
      proxyProtocolFrom: new CidrSet([]),
      protocols: ["h1"],
      http2: {
        maxStreams: 100,
        streamWindowBytes: 65_535,
        connectionWindowBytes: 1 << 20,
        extendedConnect: false,
      },
      tls: undefined,
      slot: 0,
      site,
      isLeaving: false,
    };
  }

  sendInterim = () => void this.calls.push("interim");
  sendHead(exchange: Exchange): boolean {
    this.calls.push(`head ${exchange.sentStatus}`);
    exchange.isHeadSent = true;
    return true;
  }
  sendBody(_exchange: Exchange, bytes: Buffer): boolean {
    this.calls.push(`body ${bytes.length}`);
    return true;
  }
  sendEnd = () => void this.calls.push("end");
  abort = () => void this.calls.push("abort");
  pauseRequest = () => void this.calls.push("pause");
  resumeRequest = () => void this.calls.push("resume");
  sendSwitch = () => void this.calls.push("switch");
}

/** A connection for `a.test` whose certificate covers that name and no other. */
export function fakeTls(parts: Partial<TlsSession> = {}): TlsSession {
  return {
    serverName: "a.test",
    version: "TLSv1.3",
    cipher: "TLS_AES_128_GCM_SHA256",
    client: undefined,
    covers: (host) => host === "a.test",
    ...parts,
  };
}

export interface FakeRequest {
  readonly method?: string;
  readonly target?: string;
  /** Field lines. */
  readonly lines?: readonly string[];
  readonly clientIp?: string;
  readonly trusted?: readonly string[];
  readonly site?: Site;
  readonly isHttp10?: boolean;
  readonly isHttp2?: boolean;
  readonly tls?: TlsSession;
}

export interface Fake {
  readonly exchange: Planned;
  readonly downstream: FakeDownstream;
  readonly services: FakeServices;
}

/** A whole request without a body, as a session hands it to the pipeline. */
export function fakeExchange(request: FakeRequest = {}): Fake {
  const services = fakeServices();
  const site = request.site ?? fakeSite([fixedRoute()]);
  const downstream = new FakeDownstream(site, request);
  const exchange = new Exchange(downstream) as Planned;
  exchange.plan = new Plan(services);
  exchange.method = request.method ?? "GET";
  exchange.rawTarget = request.target ?? "/";
  exchange.isHttp10 = request.isHttp10 ?? false;
  exchange.isHttp2 = request.isHttp2 ?? false;
  exchange.requestFields = fieldsOfLines(
    (request.lines ?? ["Host: a.test"]).map((line) => `${line}\r\n`).join(""),
  );
  exchange.isRequestComplete = true;
  return { exchange, downstream, services };
}
