/**
 * Dry exchange: a request that came over no connection, in the pipeline's own shape.
 *
 * why    the pipeline's phases are asked as they are, so that an explanation cannot differ from what traffic
 *        meets; only what would send or receive bytes is missing
 */
import type { ListenerConfig } from "../config/config.ts";
import { CidrSet } from "../core/address.ts";
import { type Failure, fail } from "../core/failure.ts";
import { HttpClock } from "../core/http-clock.ts";
import { RequestIds } from "../core/request-id.ts";
import { rulesOf } from "../pipeline/compile.ts";
import { Fetches } from "../pipeline/fetches.ts";
import { type PipelineServices, Plan, type Planned, type Site } from "../pipeline/plan.ts";
import { receive } from "../pipeline/receive.ts";
import { CONNECTION_UPGRADE, readConnection } from "../protocol/h1/connection-field.ts";
import { EVENT_FAILED, Reader } from "../protocol/h1/reader.ts";
import { compileTable } from "../route/table.ts";
import { type Downstream, Exchange, type TlsSession } from "../session/exchange.ts";
import type { Listener } from "../session/listener.ts";
import { upgradeOf } from "../session/upgrade.ts";
import { Encoders } from "../transport/encoders.ts";
import { BufferBudget } from "../transport/wire.ts";

export interface DryRequest {
  readonly listener: ListenerConfig;
  /** Request line and field lines, CRLF between them, without the empty line. */
  readonly head: string;
  readonly clientIp: string;
  readonly localPort: number;
  /** What the handshake settled; undefined on a listener without TLS. */
  readonly tls: TlsSession | undefined;
}

/** Reads the head and takes the exchange through phase `receive`; `failure` says what was refused. */
export function dryExchange(request: DryRequest): Planned {
  const { listener } = request;
  const { requestHeadBytes, headers, bodyBytes } = listener.limits;
  const reader = new Reader("request", { headBytes: requestHeadBytes, headers });
  reader.feed(Buffer.from(`${request.head}\r\n\r\n`, "latin1"));
  const event = reader.next();
  const exchange = Object.assign(new Exchange<Plan>(new DryDownstream(request)), {
    plan: new Plan(dryServices()),
    method: reader.requestLine.method,
    rawTarget: reader.requestLine.target,
    isHttp10: reader.requestLine.isHttp10,
    isHttp2: !listener.protocols.includes("h1"), // with both, as the one that every client has
    requestFields: reader.fields,
    requestBodyKind: reader.bodyKind,
    requestBodyLength: reader.bodyLength,
  });
  if (event === EVENT_FAILED) exchange.failure = reader.failure;
  else {
    // reading Connection also takes out the fields that it names
    if ((readConnection(reader.fields) & CONNECTION_UPGRADE) !== 0) exchange.upgrade = upgradeOf(exchange);
    exchange.failure = bodyFailure(reader.bodyLength, bodyBytes);
  }
  receive(exchange);
  return exchange;
}

function bodyFailure(length: number, limit: number): Failure | undefined {
  return limit > 0 && length > limit ? fail("body_too_large", `${length} bytes of ${limit}`) : undefined;
}

function dryServices(): PipelineServices {
  return {
    counters: new Float64Array(0),
    workerSlot: 0,
    unroutedSlot: 0,
    ids: new RequestIds((bytes) => crypto.getRandomValues(bytes)),
    dates: new HttpClock(),
    budget: new BufferBudget(0),
    encoders: new Encoders(new BufferBudget(0)),
    chance: Math.random,
    shedder: { admits: () => true, cause: "loop_lag" },
    logAccess: undefined,
    epochMs: 0,
    events: undefined,
    report: () => undefined,
    httpChallenges: new Map(),
    cache: undefined,
    resume: () => undefined,
    purgeFrom: new CidrSet([]),
    fetches: new Fetches(),
  };
}

/** Nothing is ever sent to it: phases after `receive` are not run. */
class DryDownstream implements Downstream {
  readonly clientIp: string;
  readonly clientPort = 0;
  readonly isTrusted: boolean;
  readonly tls: TlsSession | undefined;
  readonly scheme: "http" | "https";
  readonly listener: Listener;
  readonly localIp = "";
  readonly localPort: number;
  readonly memo = { authority: "", host: "", keyAuthority: "", lines: "" };

  constructor(request: DryRequest) {
    const { listener, clientIp } = request;
    const trustedProxies = new CidrSet(listener.trustedProxies);
    const site: Site = { table: compileTable([]), keyPolicies: [], ...rulesOf(listener) };
    this.clientIp = clientIp;
    this.isTrusted = trustedProxies.has(clientIp);
    this.tls = request.tls;
    this.scheme = request.tls === undefined ? "http" : "https";
    this.localPort = request.localPort;
    this.listener = {
      name: listener.name,
      limits: listener.limits,
      timeouts: listener.timeouts,
      trustedProxies,
      proxyProtocolFrom: new CidrSet(listener.proxyProtocolFrom),
      protocols: listener.protocols,
      http2: listener.http2,
      tls: undefined,
      slot: 0,
      site,
      isLeaving: false,
    };
  }

  sendInterim(): void {}
  sendHead(): boolean {
    return true;
  }
  sendBody(): boolean {
    return true;
  }
  sendEnd(): void {}
  abort(): void {}
  pauseRequest(): void {}
  resumeRequest(): void {}
  sendSwitch(): void {}
}
