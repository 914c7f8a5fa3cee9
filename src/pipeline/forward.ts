/**
 * Forward: composes the request for the endpoint and sends it.
 *
 * why    what passes to an endpoint is decided here: hop-by-hop fields never pass, what an untrusted client says about
 *        itself is replaced by what we know, and the route's edits come last
 * out    `answer` and `choose` are reached through the events that end the wait: response, failure
 * cost   no field is copied here: what stays is two masks, for the writer; what is added, text kept ready
 * spec   RFC 9110 §7.6, RFC 7239 §8 (why a client is not believed), W3C Trace Context
 */
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import { formatTraceparent, parseTraceparent } from "../observe/trace-context.ts";
import { OWN_FIELDS } from "../protocol/h1/writer.ts";
import { applyEdits } from "../route/edits.ts";
import { clock } from "../transport/clock.ts";
import { certificateLines } from "./client-certificate.ts";
import { grpcTimeoutLine, grpcTimeoutMs } from "./grpc.ts";
import { GrpcWeb, grpcWebType } from "./grpc-web.ts";
import { type NextOf, WAIT } from "./phases.table.ts";
import type { Endpoint, Planned, Route, Site } from "./plan.ts";
import { armHedge, beginRepeats } from "./repeat.ts";
import { requestTimeoutLine } from "./request-timeout.ts";
import { sendAgain } from "./send-again.ts";

/** What a proxy says about a client, in every spelling that some backend reads. */
const ABOUT_CLIENT = fieldMask(
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-server",
  "x-forwarded-prefix",
  "forwarded",
  "via",
  "x-request-id",
  "traceparent",
  "tracestate",
  "x-real-ip",
  "client certificate",
  "underscored",
);
/** What a trusted proxy said and we say anew; its other words pass, but underscores are its client's. */
const SAID_ANEW = fieldMask("x-forwarded-for", "via", "x-request-id", "traceparent", "underscored");
/** What only a listener that verifies clients may say. */
const CERTIFICATE_MASK = fieldMask("client certificate");
const GRPC_TIMEOUT_MASK = fieldMask("grpc-timeout");
const REQUEST_TIMEOUT_MASK = fieldMask("x-request-timeout");
const HOST_MASK = fieldMask("host");
const EXPECT_MASK = fieldMask("expect");

const FORWARDED_FOR = fieldIdOf("x-forwarded-for");
const FORWARDED_PROTO = fieldIdOf("x-forwarded-proto");
const FORWARDED_HOST = fieldIdOf("x-forwarded-host");
const FORWARDED_PORT = fieldIdOf("x-forwarded-port");
const VIA = fieldIdOf("via");
const TE = fieldIdOf("te");
const GRPC_TIMEOUT = fieldIdOf("grpc-timeout");
const TRACEPARENT = fieldIdOf("traceparent");
const HEX_ID = /^[0-9a-f]{32}$/;
/** How we name ourselves in Via (RFC 9110 §7.6.3: a pseudonym may stand for the host). */
const PSEUDONYM = "weir";

export function forward(exchange: Planned): NextOf<"forward"> {
  const { plan } = exchange;
  const endpoint = plan.endpoint as Endpoint;
  const route = plan.route as Route;
  if (!plan.isComposed) {
    compose(exchange, route, endpoint);
    if (route.retry.budgets !== undefined) beginRepeats(exchange, route);
  }
  if (exchange.deadlineMs !== Number.POSITIVE_INFINITY) tellTimeLeft(exchange);
  const mayReuse = !plan.isFreshRetry;
  plan.isFreshRetry = false;
  const isReady = endpoint.pool.send(exchange, mayReuse);
  if (plan.isFailing) return afterFailure(exchange);
  const mayFollow = isReady && sendAgain(exchange);
  if (!exchange.isRequestComplete) {
    // an attempt before may have paused the body
    if (mayFollow) exchange.downstream.resumeRequest(exchange);
    else exchange.downstream.pauseRequest(exchange);
  }
  if (route.retry.hedgeAfterMs > 0 && plan.again !== undefined) {
    armHedge(exchange, plan.again, route.retry.hedgeAfterMs);
  }
  return WAIT;
}

/** The pool could not even try: the failure came while this phase was running. */
function afterFailure(exchange: Planned): NextOf<"forward"> {
  exchange.plan.isFailing = false;
  if (exchange.failure === undefined) return exchange.plan.again?.isWaiting === true ? WAIT : "choose";
  exchange.downstream.resumeRequest(exchange); // the answer may wait for the end of the body
  return "answer";
}

function compose(exchange: Planned, route: Route, endpoint: Endpoint): void {
  exchange.plan.isComposed = true;
  exchange.timeouts = route.timeouts;
  exchange.upstreamMethod = exchange.method;
  exchange.upstreamTarget = targetOf(exchange, route);
  if (exchange.requestFields.has(TE)) exchange.takesTrailers = takesTrailers(exchange);
  composeFields(exchange, route, endpoint.name);
  if (exchange.plan.upstream?.isHttp2 === true) translateWeb(exchange);
}

/** An endpoint that speaks gRPC is not asked to know what browsers make of it. */
function translateWeb(exchange: Planned): void {
  const type = grpcWebType(exchange.requestFields);
  if (type === undefined) return;
  exchange.plan.web = new GrpcWeb(type);
  exchange.upstreamAdded += exchange.plan.web.compose(exchange);
}

/** TE names what this hop takes (RFC 9110 §10.1.4): it is said again on the next, never copied. */
function takesTrailers({ requestFields }: Planned): boolean {
  return /(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(requestFields.joined(TE) ?? "");
}

/** Path and query as an endpoint gets them; exported for `weir explain` too. */
export function targetOf(exchange: Planned, route: Route): string {
  if (route.rewrite === undefined && exchange.isPathAsSent) return exchange.rawTarget;
  const path =
    route.rewrite === undefined || exchange.path === "*" ? exchange.path : route.rewrite(exchange.path);
  return exchange.query === "" ? path : `${path}?${exchange.query}`;
}

/** Decides which fields an endpoint gets. */
function composeFields(exchange: Planned, route: Route, endpointName: string): void {
  const { requestEdits } = route;
  if (requestEdits !== undefined) applyEdits(exchange.requestFields, requestEdits);
  const isTrusted = exchange.downstream.isTrusted;
  const said = isTrusted ? SAID_ANEW : ABOUT_CLIENT;
  const host = hostLine(exchange, route, endpointName);
  exchange.upstreamDropLow = said.low;
  exchange.upstreamDropHigh = said.high;
  if (host !== "") exchange.upstreamDropLow |= HOST_MASK.low;
  if (exchange.isHttp10) exchange.upstreamDropLow |= EXPECT_MASK.low;
  const about = aboutClient(exchange, isTrusted);
  if (requestEdits === undefined) {
    exchange.upstreamAdded = host === "" ? about : host + about;
    exchange.upstreamIdLines = isTrusted ? "" : exchange.idLines;
  } else {
    const ids = isTrusted ? "" : exchange.idLines;
    exchange.upstreamAdded = host + withoutNames(about + ids, requestEdits.names);
  }
}

function aboutClient(exchange: Planned, isTrusted: boolean): string {
  let lines = isTrusted ? aboutTrusted(exchange) : clientLinesOf(exchange);
  if ((exchange.downstream.listener.site as Site).forwardsCertificate) lines += aboutCertificate(exchange);
  return lines;
}

/** This listener verifies clients itself: what anybody else says about certificates does not pass. */
function aboutCertificate(exchange: Planned): string {
  exchange.upstreamDropHigh |= CERTIFICATE_MASK.high;
  const client = exchange.downstream.tls?.client;
  return client === undefined ? "" : certificateLines(client);
}

/** Each attempt is told how much time is left: what went by here, or with another endpoint, is not its any more. */
function tellTimeLeft(exchange: Planned): void {
  const { plan, requestFields } = exchange;
  const leftMs = exchange.deadlineMs - clock.nowMs;
  plan.added ??= exchange.upstreamAdded;
  let lines = requestTimeoutLine(leftMs);
  exchange.upstreamDropHigh |= REQUEST_TIMEOUT_MASK.high;
  if (requestFields.has(GRPC_TIMEOUT) && grpcTimeoutMs(requestFields) !== Number.POSITIVE_INFINITY) {
    exchange.upstreamDropHigh |= GRPC_TIMEOUT_MASK.high;
    lines += grpcTimeoutLine(leftMs);
  }
  const edits = plan.route?.requestEdits;
  exchange.upstreamAdded = plan.added + (edits === undefined ? lines : withoutNames(lines, edits.names));
}

/** A Host line of our own, where the client's may not or need not pass; else "". */
function hostLine(exchange: Planned, { hostRewrite }: Route, endpointName: string): string {
  if (hostRewrite !== undefined) return `Host: ${hostRewrite}\r\n`;
  if (exchange.host === "") return `Host: ${exchange.authority || endpointName}\r\n`;
  // an absolute target has told the authority; Host says the same from now on
  return exchange.isTargetAbsolute ? `Host: ${exchange.authority}\r\n` : "";
}

/** The field lines that an endpoint gets, as text: for `weir explain`. */
export function upstreamLines(exchange: Planned, route: Route, endpointName: string): string {
  composeFields(exchange, route, endpointName);
  const kept = exchange.requestFields.linesWithout(
    OWN_FIELDS.low | exchange.upstreamDropLow,
    OWN_FIELDS.high | exchange.upstreamDropHigh,
  );
  return kept + exchange.upstreamAdded + exchange.upstreamIdLines;
}

/** The lines that are the same for every request of a connection to one host, made once. */
function clientLinesOf(exchange: Planned): string {
  const { downstream, authority, isHttp10 } = exchange;
  const { memo } = downstream;
  // a connection speaks one version, but for HTTP/1.0
  if (isHttp10 || authority !== memo.authority) return clientLines(exchange);
  if (memo.lines === "") memo.lines = clientLines(exchange);
  return memo.lines;
}

function clientLines(exchange: Planned): string {
  const { downstream, authority } = exchange;
  const port = downstream.localPort === 0 ? "" : `X-Forwarded-Port: ${downstream.localPort}\r\n`;
  const host = authority === "" ? "" : `X-Forwarded-Host: ${authority}\r\n`;
  return (
    `X-Forwarded-For: ${downstream.clientIp}\r\nX-Forwarded-Proto: ${downstream.scheme}\r\n${port}${host}` +
    `Via: ${hopOf(exchange)}\r\n`
  );
}

/** The version that the client spoke, and who says so. */
function hopOf({ isHttp10, isHttp2 }: Planned): string {
  if (isHttp2) return `2.0 ${PSEUDONYM}`;
  return `${isHttp10 ? "1.0" : "1.1"} ${PSEUDONYM}`;
}

/** Behind a trusted proxy: its words stay, ours are added to the lists. */
function aboutTrusted(exchange: Planned): string {
  const { downstream, requestFields: fields, plan, requestId } = exchange;
  const before = fields.joined(FORWARDED_FOR);
  const via = fields.joined(VIA);
  const hop = hopOf(exchange);
  let lines = `X-Forwarded-For: ${before === undefined ? "" : `${before}, `}${downstream.clientIp}\r\n`;
  if (!fields.has(FORWARDED_PROTO)) lines += `X-Forwarded-Proto: ${downstream.scheme}\r\n`;
  if (!fields.has(FORWARDED_HOST) && exchange.authority !== "") {
    lines += `X-Forwarded-Host: ${exchange.authority}\r\n`;
  }
  if (!fields.has(FORWARDED_PORT) && downstream.localPort !== 0) {
    lines += `X-Forwarded-Port: ${downstream.localPort}\r\n`;
  }
  lines += `Via: ${via === undefined ? "" : `${via}, `}${hop}\r\nX-Request-Id: ${requestId}\r\n`;
  const parent = fields.get(TRACEPARENT);
  if (parent !== undefined && parseTraceparent(parent) !== undefined) {
    return `${lines}traceparent: ${parent}\r\n`;
  }
  const traceId = HEX_ID.test(requestId) ? requestId : plan.services.ids.nextId();
  return `${lines}traceparent: ${formatTraceparent(traceId, plan.services.ids.nextSpan(), true)}\r\n`;
}

/** A field that the route removes or sets is the route's to say, also when we would have said it. */
function withoutNames(lines: string, names: ReadonlySet<string>): string {
  return lines
    .split("\r\n")
    .filter((line) => line !== "" && !names.has(line.slice(0, line.indexOf(":")).toLowerCase()))
    .map((line) => `${line}\r\n`)
    .join("");
}
