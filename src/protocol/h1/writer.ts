/**
 * Writer: the only place that emits HTTP/1 bytes.
 *
 * why    framing and connection fields are written here from what was decided, never copied from what the
 *        other side said, so a message always says exactly what we mean
 * in     parts that are already legal: token methods, checked field lines, known lengths
 * out    bytes appended to an Out, or text to be written as Latin-1
 * spec   RFC 9112 §2–§7
 */
import { BODY_LENGTH, BODY_STREAM, type BodyKind } from "../../core/body.ts";
import { SP } from "../../core/bytes.ts";
import { fieldMask } from "../../core/field-names.ts";
import type { Fields } from "../../core/fields.ts";
import type { Out } from "../../core/out.ts";
import { reasonOf } from "../reasons.table.ts";
import { HOP_BY_HOP } from "./connection-field.ts";

/** End of a chunked body that has no trailers. */
export const LAST_CHUNK = "0\r\n\r\n";

/** What the Connection field of a message says; "" = nothing, which means keep-alive in HTTP/1.1. */
export type ConnectionOption = "" | "keep-alive" | "close" | "upgrade";

const LENGTH = fieldMask("content-length");
/** What the writer says itself is never copied. */
export const OWN_FIELDS = { low: HOP_BY_HOP.low | LENGTH.low, high: HOP_BY_HOP.high | LENGTH.high };

const CONNECTION_LINES: Readonly<Record<ConnectionOption, string>> = {
  "": "",
  "keep-alive": "Connection: keep-alive\r\n",
  close: "Connection: close\r\n",
  upgrade: "Connection: upgrade\r\n",
};

/** Status lines with their standard reason, by status. */
const STATUS_LINES: string[] = [];

/** `HTTP/1.1 200 OK\r\n`; a reason that is not the standard one is passed on as it came. */
function statusLine(status: number, reason: string): string {
  if (reason !== reasonOf(status)) return `HTTP/1.1 ${status} ${reason}\r\n`;
  STATUS_LINES[status] ??= `HTTP/1.1 ${status} ${reason}\r\n`;
  return STATUS_LINES[status];
}

/** Lines for short bodies, which are most, are made once. */
const LENGTH_LINES: string[] = [];
const MAX_LENGTH_LINES = 4096;

/** The field line that declares the body, or "". */
function framingLine(kind: BodyKind, length: number): string {
  if (kind === BODY_STREAM) return "Transfer-Encoding: chunked\r\n";
  if (length < 0) return "";
  if (length >= MAX_LENGTH_LINES) return `Content-Length: ${length}\r\n`;
  LENGTH_LINES[length] ??= `Content-Length: ${length}\r\n`;
  return LENGTH_LINES[length];
}

/** A request as decided; an exchange is one. */
export interface RequestToWrite {
  readonly upstreamMethod: string;
  /** Path and query. */
  readonly upstreamTarget: string;
  readonly requestFields: Fields;
  /** Known fields that do not pass, besides those of framing and connection. */
  readonly upstreamDropLow: number;
  readonly upstreamDropHigh: number;
  /** Field lines to append. */
  readonly upstreamAdded: string;
  /** More field lines. */
  readonly upstreamIdLines: string;
  readonly requestBodyKind: BodyKind;
  readonly requestBodyLength: number;
  /** Protocol to upgrade to, or "". */
  readonly upgrade: string;
}

/** Appends the whole head. An upgrade is asked for in our own words. */
export function writeRequestHead(out: Out, request: RequestToWrite): void {
  out.text(request.upstreamMethod);
  out.byte(SP);
  out.text(request.upstreamTarget);
  out.text(" HTTP/1.1\r\n");
  request.requestFields.writeTo(
    out,
    OWN_FIELDS.low | request.upstreamDropLow,
    OWN_FIELDS.high | request.upstreamDropHigh,
  );
  out.text(request.upstreamAdded);
  if (request.upstreamIdLines !== "") out.text(request.upstreamIdLines);
  const { requestBodyKind: kind } = request;
  if (kind === BODY_LENGTH || kind === BODY_STREAM) out.text(framingLine(kind, request.requestBodyLength));
  if (request.upgrade !== "") out.text(`Connection: upgrade\r\nUpgrade: ${request.upgrade}\r\n`);
  out.text("\r\n");
}

/** A response as decided; an exchange is one. */
export interface ResponseToWrite {
  readonly sentStatus: number;
  readonly reason: string;
  readonly responseFields: Fields;
  readonly sentAdded: string;
  /** To declare; for HEAD and 304 the length that the body would have; -1 = none. */
  readonly sentBodyLength: number;
}

/** `kind` is the body's framing on this connection. */
export function writeResponseHead(
  out: Out,
  response: ResponseToWrite,
  kind: BodyKind,
  connection: ConnectionOption,
): void {
  out.text(statusLine(response.sentStatus, response.reason));
  response.responseFields.writeTo(out, OWN_FIELDS.low, OWN_FIELDS.high);
  if (response.sentAdded !== "") out.text(response.sentAdded);
  const framing = framingLine(kind, response.sentBodyLength);
  if (framing !== "") out.text(framing);
  if (connection !== "") out.text(CONNECTION_LINES[connection]);
  out.text("\r\n");
}

/** A 1xx head; 101 names the protocol in `lines`. */
export function interimHead(status: number, lines: string): string {
  return `${statusLine(status, reasonOf(status))}${lines}\r\n`;
}

/** The size line before a chunk of so many bytes, at least one: a chunk of none would be the last. */
export function chunkStart(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

/** The end of a chunked body; `trailers` are field lines or "". */
export function lastChunk(trailers: string): string {
  return trailers === "" ? LAST_CHUNK : `0\r\n${trailers}\r\n`;
}
