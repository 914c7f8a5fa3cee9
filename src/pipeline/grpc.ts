/**
 * gRPC: what the proxy must know of it: how its errors look, and how long its clients wait.
 *
 * why    a gRPC client that gets an HTTP error guesses what it means; told in its own words, it knows whether to try
 *        again and what to log
 * out    an answer of one head ("Trailers-Only") with status 200, `grpc-status` and `grpc-message`; deadlines in ms
 * rule   only over HTTP/2, which gRPC needs; over HTTP/1 such a request is one like any other. gRPC-Web clients read
 *        the same answer, under their own type, over either
 * spec   gRPC over HTTP2 (PROTOCOL-HTTP2.md): Timeout, Trailers-Only, Status-Message; http-grpc-status-mapping.md
 */
import type { Failure, FailureCode } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import type { LocalAnswer, Planned } from "./plan.ts";

const CONTENT_TYPE = fieldIdOf("content-type");
/** `application/grpc`, `application/grpc+proto`; gRPC-Web is another protocol. */
const GRPC_TYPE = /^application\/grpc(?:[+;\s]|$)/i;

const OK_HTTP_STATUS = 200;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** As http-grpc-status-mapping.md has it, and sizes, for which it has nothing. */
const STATUS_BY_HTTP: Readonly<Record<number, number>> = {
  400: INTERNAL,
  401: 16, // UNAUTHENTICATED
  403: 7, // PERMISSION_DENIED
  404: 12, // UNIMPLEMENTED
  408: DEADLINE_EXCEEDED,
  413: RESOURCE_EXHAUSTED,
  429: UNAVAILABLE,
  431: RESOURCE_EXHAUSTED,
  500: INTERNAL,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
};
/** The call may have been carried out: "unavailable" would invite another try. */
const STATUS_BY_CODE: Partial<Record<FailureCode, number>> = {
  request_timeout: DEADLINE_EXCEEDED,
  response_timeout: DEADLINE_EXCEEDED,
  upstream_idle: DEADLINE_EXCEEDED,
};

const NO_BODY = Buffer.alloc(0);

/** Is this a call that understands `grpc-status`? */
export function isGrpc(exchange: Planned): boolean {
  return exchange.isHttp2 && GRPC_TYPE.test(exchange.requestFields.get(CONTENT_TYPE) ?? "");
}

/** The failure in gRPC's words; says as little of the inside as an HTTP error does. */
export function grpcAnswer({ code, status }: Failure, requestId: string, type: string): LocalAnswer {
  const grpcStatus = STATUS_BY_CODE[code] ?? STATUS_BY_HTTP[status] ?? UNKNOWN;
  const message = encodeMessage(`${status} ${reasonOf(status)} (request id ${requestId})`);
  const lines =
    `Content-Type: ${type}\r\n` +
    `grpc-status: ${grpcStatus}\r\ngrpc-message: ${message}\r\nX-Request-Id: ${requestId}\r\n`;
  return { status: OK_HTTP_STATUS, lines, body: NO_BODY, standsFor: status };
}

/** Status-Message: all but printable ASCII and "%" itself is percent-encoded. */
function encodeMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
/** The grammar allows eight digits. */
const MAX_WRITTEN_MS = 99_999_999;
const TIMEOUT = fieldIdOf("grpc-timeout");

/** How long a gRPC client waits, in ms; infinite when it does not say so, or not in a way that is one. */
export function grpcTimeoutMs(fields: Fields): number {
  if (!fields.has(TIMEOUT) || !/^application\/grpc/i.test(fields.get(CONTENT_TYPE) ?? "")) {
    return Number.POSITIVE_INFINITY;
  }
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(fields.get(TIMEOUT) ?? "") ?? [];
  return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits) * (UNIT_MS[unit] as number);
}

/** The line that tells an endpoint how much of the time is left: never more than there is. */
export function grpcTimeoutLine(leftMs: number): string {
  const ms = Math.max(1, Math.floor(leftMs));
  return ms <= MAX_WRITTEN_MS
    ? `grpc-timeout: ${ms}m\r\n`
    : `grpc-timeout: ${Math.min(MAX_WRITTEN_MS, Math.floor(ms / 1000))}S\r\n`;
}
