/**
 * Answer: composes the response head and sends it, with the body's first bytes.
 *
 * why    three kinds of answer leave here in one way: the endpoint's, one that a route states, and an error.
 *        A local answer waits for a small request body to be read, so that the connection can live on.
 * spec   RFC 9110 §6.6.1 (Date), §7.6.1, §15; RFC 9112 §6.3
 */
import { BODY_LENGTH, BODY_NONE } from "../core/body.ts";
import type { Failure } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import { applyEdits, type CompiledEdits } from "../route/edits.ts";
import { compressAnswer } from "./compress.ts";
import { errorAnswer } from "./error-answer.ts";
import { grpcAnswer, isGrpc } from "./grpc.ts";
import { grpcWebType } from "./grpc-web.ts";
import { type NextOf, WAIT } from "./phases.table.ts";
import type { LocalAnswer, Planned, Site } from "./plan.ts";
import { settleUnsafe } from "./post-fill.ts";

const ACCEPT = fieldIdOf("accept");
const DATE = fieldIdOf("date");
const HSTS_NAME = "strict-transport-security";
const HSTS = fieldIdOf(HSTS_NAME);
const UPGRADE = fieldIdOf("upgrade");
/** A request body up to this size is read and forgotten before a local answer; nginx discards likewise. */
const MAX_FORGOTTEN_BYTES = 64 * 1024;
/** Failures that more of the body would only make worse. */
const WAITS_FOR_NOTHING: ReadonlySet<string> = new Set([
  "body_too_large",
  "body_timeout",
  "out_of_memory",
  "shed",
]);

export function answer(exchange: Planned): NextOf<"answer"> {
  const { plan } = exchange;
  if (plan.fetch !== undefined) {
    plan.fetch.answered();
    return "relay";
  }
  if (exchange.failure !== undefined) plan.local = errorFor(exchange, exchange.failure);
  if (plan.local === undefined) return answerFromUpstream(exchange);
  if (shouldAwaitRequest(exchange)) {
    plan.isAwaitingRequest = true;
    return WAIT;
  }
  return answerLocally(exchange, plan.local);
}

function answerFromUpstream(exchange: Planned): NextOf<"answer"> {
  const { plan, status, downstream } = exchange;
  const { cache } = plan.services;
  if (cache !== undefined) settleUnsafe(exchange, cache);
  plan.cache?.dry?.judge();
  plan.web?.answer(exchange);
  const edits = plan.route?.responseEdits;
  if (edits !== undefined) applyEdits(exchange.responseFields, edits);
  if (!exchange.responseFields.has(DATE)) exchange.sentAdded += dateLine(exchange);
  if (plan.cache !== undefined) exchange.sentAdded += plan.cache.lines;
  addHsts(exchange, edits);
  exchange.sentStatus = status;
  if (plan.upstream !== undefined) {
    exchange.sentAdded += plan.upstream.chooser.stickyLine(exchange, plan.endpointIndex);
  }
  if (status === 101) {
    // over HTTP/2 the stream itself becomes the tunnel (RFC 8441 §5)
    if (!exchange.isHttp2) exchange.sentAdded += `Upgrade: ${exchange.responseFields.get(UPGRADE)}\r\n`;
    downstream.sendSwitch(exchange);
    downstream.resumeRequest(exchange);
    return "relay";
  }
  exchange.sentBodyKind = exchange.responseBodyKind;
  exchange.sentBodyLength = exchange.responseBodyLength;
  const compression = plan.route?.compress;
  if (compression !== undefined) compressAnswer(exchange, compression);
  plan.cache?.dry?.follow();
  const isOpen = downstream.sendHead(exchange, plan.isEnd);
  if (!isOpen) {
    exchange.upstream?.pauseResponse();
    plan.coder?.blocked();
  }
  return "relay";
}

/** RFC 6797 §7.1: over https alone, which is where a site has such a line; the endpoint's and the route's word win. */
function addHsts(exchange: Planned, edits: CompiledEdits | undefined): void {
  const { hstsLine } = exchange.downstream.listener.site as Site;
  if (hstsLine === "" || exchange.responseFields.has(HSTS) || edits?.names.has(HSTS_NAME) === true) return;
  exchange.sentAdded += hstsLine;
}

function dateLine(exchange: Planned): string {
  const { dates, epochMs } = exchange.plan.services;
  return `Date: ${dates.date(epochMs + exchange.startedAtMs)}\r\n`;
}

function answerLocally(exchange: Planned, local: LocalAnswer): NextOf<"answer"> {
  const { status, body } = local;
  const { plan } = exchange;
  const edits = plan.route?.responseEdits;
  exchange.responseFields = fieldsOfLines(local.lines);
  if (edits !== undefined) applyEdits(exchange.responseFields, edits);
  exchange.sentAdded = dateLine(exchange);
  addHsts(exchange, edits);
  exchange.sentStatus = status;
  exchange.reason = reasonOf(status);
  const hasBody = exchange.method !== "HEAD" && status !== 204 && status !== 304 && body.length > 0;
  exchange.sentBodyKind = hasBody ? BODY_LENGTH : BODY_NONE;
  const isWhole = local.standsFor !== undefined && exchange.isHttp2; // a head that is all has no length to say
  const hasLength = status !== 204 && status !== 304 && !isWhole;
  exchange.sentBodyLength = hasLength ? body.length : -1;
  exchange.first = hasBody ? body : undefined;
  exchange.firstStart = 0;
  exchange.firstEnd = body.length;
  plan.isEnd = true;
  const compression = plan.route?.compress;
  if (compression !== undefined && local.standsFor === undefined) compressAnswer(exchange, compression);
  if (!exchange.downstream.sendHead(exchange, plan.isEnd)) plan.coder?.blocked();
  return "relay";
}

function shouldAwaitRequest(exchange: Planned): boolean {
  const { plan } = exchange;
  if (exchange.isRequestComplete || plan.isRequestBroken || exchange.expectsContinue) return false;
  if (exchange.failure !== undefined && WAITS_FOR_NOTHING.has(exchange.failure.code)) return false;
  return exchange.requestBodyLength >= 0 && exchange.requestBodyLength <= MAX_FORGOTTEN_BYTES;
}

function errorFor(exchange: Planned, failure: Failure): LocalAnswer {
  const { plan } = exchange;
  const grpcType = isGrpc(exchange) ? "application/grpc" : grpcWebType(exchange.requestFields);
  if (grpcType !== undefined) return grpcAnswer(failure, exchange.requestId, grpcType);
  const accept = exchange.requestFields.joined(ACCEPT);
  const page = errorAnswer(failure.status, exchange.requestId, accept, plan.route?.errorPages);
  const lines =
    `Content-Type: ${page.contentType}\r\nCache-Control: no-store\r\nX-Request-Id: ${exchange.requestId}\r\n` +
    extraLines(failure);
  return { status: failure.status, lines, body: Buffer.from(page.body) };
}

/** Fields that a status cannot do without. */
function extraLines(failure: Failure & { readonly lines?: string }): string {
  if (failure.lines !== undefined) return failure.lines;
  if (failure.status === 405) return "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n";
  if (failure.status === 503) return "Retry-After: 1\r\n";
  return "";
}
