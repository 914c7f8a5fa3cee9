/**
 * Receive: what does the request mean? Decided once, before anything else looks at it.
 *
 * why    host and path are normalised here and nowhere else: what routes match is what endpoints get
 * fails  bad_host · bad_path · h1_host_conflict · h2_malformed · misdirected · method_refused · expectation_unknown
 * spec   RFC 9112 §3.2, RFC 9113 §8.3.1, RFC 9110 §7.4, §10.1.1, §9.3.6, §9.3.8
 */
import { SLASH } from "../core/bytes.ts";
import { type Failure, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { normaliseHost } from "../route/host.ts";
import { normalisePath, splitTarget } from "../route/path.ts";
import type { TlsSession } from "../session/exchange.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Site } from "./plan.ts";

const HOST = fieldIdOf("host");
const EXPECT = fieldIdOf("expect");
const FORWARDED_FOR = fieldIdOf("x-forwarded-for");
const REQUEST_ID = fieldIdOf("x-request-id");
/** Ids that trusted proxies hand on: printable, no separators that a log reader splits at. */
const REQUEST_ID_VALUE = /^[A-Za-z0-9._~+/=:@-]{1,128}$/;

export function receive(exchange: Planned): NextOf<"receive"> {
  const { downstream } = exchange;
  exchange.clientIp = downstream.clientIp;
  if (downstream.isTrusted) receiveTrusted(exchange);
  if (!downstream.isTrusted || exchange.requestId === "") exchange.ids = exchange.plan.services.ids;
  if (exchange.failure === undefined) {
    const site = downstream.listener.site as Site;
    exchange.failure = understand(exchange, site);
    if (downstream.tls !== undefined) exchange.failure ??= misdirection(exchange, downstream.tls, site);
  } else exchange.plan.isRequestBroken = exchange.failure.code !== "body_too_large";
  return exchange.failure === undefined ? "match" : "answer";
}

/**
 * May this connection ask for this host? Over HTTP/2 clients send requests for several hosts on one connection, as far
 * as they think that its certificate reaches (RFC 9113 §9.1.1): 421 makes them open another. Over HTTP/1 a Host other
 * than the server name is odd but harmless, unless the listener treats names or clients differently.
 */
function misdirection(exchange: Planned, tls: TlsSession, { isStrictHost }: Site): Failure | undefined {
  const { host } = exchange;
  if (host === "" || !(exchange.isHttp2 || isStrictHost) || tls.covers(host)) return undefined;
  return fail("misdirected", `${host} on a connection for ${tls.serverName}`);
}

function understand(exchange: Planned, site: Site): Failure | undefined {
  const { method } = exchange;
  // what follows was meant for a tunnel; in HTTP/2 nothing follows on its stream
  if (method === "CONNECT") exchange.isLastOfConnection = !exchange.isHttp2;
  if (method === "CONNECT" || method === "TRACE") return fail("method_refused", method);
  if (exchange.rawTarget.charCodeAt(0) === SLASH) return understandOrigin(exchange, site);
  if (exchange.isHttp2 && exchange.rawTarget !== "*") {
    return fail("h2_malformed", `:path ${exchange.rawTarget.slice(0, 100)}`); // RFC 9113 §8.3.1: no absolute form
  }
  const target = splitTarget(exchange.rawTarget);
  if (target === undefined) return fail("h1_bad_target", exchange.rawTarget.slice(0, 100));
  if (target.form === "asterisk" && method !== "OPTIONS") return fail("h1_bad_target", "* without OPTIONS");
  exchange.authority = exchange.requestFields.get(HOST) ?? "";
  const hostFailure = understandHost(exchange, target.authority);
  if (hostFailure !== undefined) return hostFailure;
  const path = target.form === "asterisk" ? "*" : normalisePath(target.path, site.encodedSlash);
  if (path === undefined) return fail("bad_path", target.path.slice(0, 100));
  exchange.path = path;
  exchange.query = target.query;
  exchange.isTargetAbsolute = target.form === "absolute";
  return exchange.requestFields.has(EXPECT) ? understandExpect(exchange) : undefined;
}

/** `/path?query`: nearly every request (RFC 9112 §3.2.1). */
function understandOrigin(exchange: Planned, site: Site): Failure | undefined {
  const hostFailure = understandOriginHost(exchange);
  if (hostFailure !== undefined) return hostFailure;
  const { rawTarget } = exchange;
  const mark = rawTarget.indexOf("?");
  const rawPath = mark === -1 ? rawTarget : rawTarget.slice(0, mark);
  const path = normalisePath(rawPath, site.encodedSlash);
  if (path === undefined) return fail("bad_path", rawPath.slice(0, 100));
  exchange.path = path;
  exchange.isPathAsSent = path === rawPath;
  if (mark !== -1) exchange.query = rawTarget.slice(mark + 1);
  return exchange.requestFields.has(EXPECT) ? understandExpect(exchange) : undefined;
}

function understandOriginHost(exchange: Planned): Failure | undefined {
  const { requestFields: fields, downstream } = exchange;
  const { memo } = downstream;
  const index = fields.indexOf(HOST);
  if (index === -1) return undefined;
  if (memo.authority !== "" && fields.isValue(index, memo.authority)) {
    exchange.authority = memo.authority;
    exchange.host = memo.host;
    return undefined;
  }
  exchange.authority = fields.valueAt(index);
  const failure = understandHost(exchange, "");
  if (failure === undefined) {
    // a copy: the slice would keep the whole head that it came from in memory
    memo.authority = Buffer.from(exchange.authority, "latin1").latin1Slice();
    memo.host = exchange.host;
    memo.keyAuthority = "";
    memo.lines = "";
  }
  return failure;
}

/** §3.2.2 lets the target win over Host; two different ones are a trick and are refused. */
function understandHost(exchange: Planned, targetAuthority: string): Failure | undefined {
  const { authority } = exchange;
  if (authority !== "") {
    const host = normaliseHost(authority);
    if (host === undefined) return fail("bad_host", authority.slice(0, 100));
    exchange.host = host;
  } else if (exchange.requestFields.has(HOST) && targetAuthority === "") return undefined; // §3.2: empty is legal
  if (targetAuthority === "") return undefined;
  if (authority !== "" && targetAuthority.toLowerCase() !== authority.toLowerCase()) {
    return fail("h1_host_conflict", `${targetAuthority} against ${authority}`.slice(0, 200));
  }
  const host = normaliseHost(targetAuthority);
  if (host === undefined) return fail("bad_host", targetAuthority.slice(0, 100));
  exchange.authority = targetAuthority;
  exchange.host = host;
  return undefined;
}

function understandExpect(exchange: Planned): Failure | undefined {
  if (exchange.isHttp10) return undefined; // §10.1.1: ignored from a 1.0 client
  const expected = exchange.requestFields.joined(EXPECT) ?? "";
  if (expected.toLowerCase() !== "100-continue") return fail("expectation_unknown", expected.slice(0, 100));
  exchange.expectsContinue = !exchange.isRequestComplete;
  return undefined;
}

/** A trusted proxy tells who the client is: the nearest address that is not itself a trusted proxy. */
function receiveTrusted(exchange: Planned): void {
  const { trustedProxies } = exchange.downstream.listener;
  const hops = exchange.requestFields.joined(FORWARDED_FOR)?.split(",") ?? [];
  for (let index = hops.length - 1; index >= 0; index--) {
    const ip = addressOf((hops[index] as string).trim());
    if (ip === "") break;
    exchange.clientIp = ip;
    if (!trustedProxies.has(ip)) break;
  }
  const id = exchange.requestFields.get(REQUEST_ID);
  if (id !== undefined && REQUEST_ID_VALUE.test(id)) exchange.adoptRequestId(id);
}

/** The address in one hop, without port and brackets; "" when it is none. */
function addressOf(hop: string): string {
  const parts =
    /^(?:\[([0-9a-fA-F:.]{2,45})\](?::\d+)?|(\d{1,3}(?:\.\d{1,3}){3})(?::\d+)?|([0-9a-fA-F:.]{2,45}))$/.exec(
      hop,
    );
  return parts?.[1] ?? parts?.[2] ?? parts?.[3] ?? "";
}
