/**
 * Writer: the only place that emits HTTP/1 bytes.
 *
 * why    framing and connection fields are written here from what was decided, never copied from what the
 *        other side said, so a message always says exactly what we mean
 * in     parts that are already legal: token methods, checked field lines, known lengths
 * out    text to be written as Latin-1
 * spec   RFC 9112 §2–§7
 */
import { BODY_LENGTH, BODY_STREAM, type BodyKind } from "../../core/body.ts";
import { reasonOf } from "../reasons.table.ts";

/** End of a chunked body that has no trailers. */
export const LAST_CHUNK = "0\r\n\r\n";

/** What the Connection field of a message says; "" = nothing, which means keep-alive in HTTP/1.1. */
export type ConnectionOption = "" | "keep-alive" | "close" | "upgrade";

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

/** `lines` are field lines with Host among them; a `length` of 0 is declared, -1 is not. */
export function requestHead(start: string, lines: string, kind: BodyKind, length: number): string {
  if (kind === BODY_LENGTH || kind === BODY_STREAM) return `${start}${lines}${framingLine(kind, length)}\r\n`;
  return `${start}${lines}\r\n`;
}

/** The start of a request: method and target as they shall go out. */
export function requestStart(method: string, target: string): string {
  return `${method} ${target} HTTP/1.1\r\n`;
}

// biome-ignore lint/complexity/useMaxParams: the parts of a head; an object for each response would cost more
export function responseHead(
  status: number,
  reason: string,
  lines: string,
  kind: BodyKind,
  length: number,
  connection: ConnectionOption,
): string {
  return `${statusLine(status, reason)}${lines}${framingLine(kind, length)}${CONNECTION_LINES[connection]}\r\n`;
}

/** A 1xx head; 101 names the protocol in `lines`. */
export function interimHead(status: number, lines: string): string {
  return `${statusLine(status, reasonOf(status))}${lines}\r\n`;
}

export function chunkStart(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

export function lastChunk(trailers: string): string {
  return trailers === "" ? LAST_CHUNK : `0\r\n${trailers}\r\n`;
}
