/**
 * Start line: what the first line of a request or a response says, read from its bytes.
 *
 * why    made for the hot path: a well-known method or reason costs no new string, the target costs one
 * in     `bytes[start, end)`: the line without CRLF, already known to hold no control byte but HTAB
 * out    the parts, or the failure's code
 * spec   RFC 9112 §3 (request-line), §4 (status-line)
 */
import { IS_DIGIT, IS_TARGET, SLASH, SP } from "../../core/bytes.ts";
import type { FailureCode } from "../../core/failure.ts";
import { reasonOf } from "../reasons.table.ts";

/** Longest method in the IANA registry is 17 letters (UPDATEREDIRECTREF). */
const MAX_METHOD_BYTES = 24;
/** " HTTP/1." before the minor version's digit. */
const VERSION = new TextEncoder().encode(" HTTP/1.");
const VERSION_BYTES = VERSION.length + 1;
const COMMON_METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"];
const METHOD_BY_LENGTH_AND_FIRST = new Map(
  COMMON_METHODS.map((method) => [(method.length << 8) | method.charCodeAt(1), method]),
);

export class RequestLine {
  method = "";
  target = "";
  isHttp10 = false;

  /** What is here belongs to a request before the one that failed. */
  forget(): void {
    this.method = "";
    this.target = "";
    this.isHttp10 = false;
  }

  /** out  undefined when the line is well formed */
  read(bytes: Buffer, start: number, end: number): FailureCode | undefined {
    const methodEnd = methodEndOf(bytes, start, end);
    if (methodEnd === -1) return "h1_bad_request_line";
    const versionStart = end - VERSION_BYTES;
    if (versionStart <= methodEnd + 1 || !matches(bytes, versionStart, VERSION)) {
      return badVersion(bytes.latin1Slice(start, end));
    }
    const minor = (bytes[end - 1] as number) - 48;
    if (minor !== 1 && minor !== 0) return minor > 1 && minor <= 9 ? "h1_bad_version" : "h1_bad_request_line";
    this.isHttp10 = minor === 0;
    const targetStart = methodEnd + 1;
    for (let at = targetStart; at < versionStart; at++) {
      if (IS_TARGET[bytes[at] as number] !== 1) return "h1_bad_target";
    }
    this.method = methodOf(bytes, start, methodEnd);
    this.target =
      versionStart - targetStart === 1 && bytes[targetStart] === SLASH
        ? "/"
        : bytes.latin1Slice(targetStart, versionStart);
    return undefined;
  }
}

/**
 * Upper-case letters, digits, "-" and "_": every registered method, as in nginx. RFC 9110 allows any
 * token, but a method such as `get` or `$POST` is read differently by different backends.
 * out  where the method ends, or -1
 */
function methodEndOf(bytes: Uint8Array, start: number, end: number): number {
  const last = Math.min(end, start + MAX_METHOD_BYTES + 1);
  for (let at = start; at < last; at++) {
    const byte = bytes[at] as number;
    if (byte >= 65 && byte <= 90) continue;
    if (byte === SP) return at === start ? -1 : at;
    if (at === start || !(byte === 45 || byte === 95 || IS_DIGIT[byte] === 1)) return -1;
  }
  return -1;
}

function methodOf(bytes: Buffer, start: number, end: number): string {
  const common = METHOD_BY_LENGTH_AND_FIRST.get(((end - start) << 8) | (bytes[start + 1] as number));
  if (common !== undefined && isText(bytes, start, common)) return common;
  return bytes.latin1Slice(start, end);
}

function isText(bytes: Uint8Array, start: number, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (bytes[start + at] !== text.charCodeAt(at)) return false;
  return true;
}

function matches(bytes: Uint8Array, start: number, wanted: Uint8Array): boolean {
  for (let at = 0; at < wanted.length; at++) if (bytes[start + at] !== wanted[at]) return false;
  return true;
}

/** Tells an HTTP version that we do not speak from a line that is no request line at all. */
function badVersion(line: string): FailureCode {
  return /^\S+ \S+ HTTP\/\d(?:\.\d)?$/.test(line) ? "h1_bad_version" : "h1_bad_request_line";
}

/** `HTTP/1.` before the minor version, and where the parts of a status line stand. */
const STATUS_VERSION = new TextEncoder().encode("HTTP/1.");
const STATUS_AT = 9;
const REASON_AT = 13;

export class StatusLine {
  status = 0;
  reason = "";
  isHttp10 = false;

  /** out  true when the line is well formed. A missing reason, with or without its space, is accepted. */
  read(bytes: Buffer, start: number, end: number): boolean {
    if (end - start < REASON_AT - 1 || !matches(bytes, start, STATUS_VERSION)) return false;
    const minor = (bytes[start + 7] as number) - 48;
    if ((minor !== 0 && minor !== 1) || bytes[start + 8] !== SP) return false;
    const status = threeDigits(bytes, start + STATUS_AT);
    if (status < 100 || (end - start >= REASON_AT && bytes[start + 12] !== SP)) return false;
    this.isHttp10 = minor === 0;
    this.status = status;
    this.reason = reasonIn(bytes, start + REASON_AT, end, status);
    return true;
  }
}

/** The number in three digits, or -1. */
function threeDigits(bytes: Uint8Array, at: number): number {
  const hundreds = bytes[at] as number;
  const tens = bytes[at + 1] as number;
  const ones = bytes[at + 2] as number;
  const areDigits = IS_DIGIT[hundreds] === 1 && IS_DIGIT[tens] === 1 && IS_DIGIT[ones] === 1;
  return areDigits ? (hundreds - 48) * 100 + (tens - 48) * 10 + (ones - 48) : -1;
}

function reasonIn(bytes: Buffer, start: number, end: number, status: number): string {
  if (start >= end) return "";
  const standard = reasonOf(status);
  if (end - start === standard.length && isText(bytes, start, standard)) return standard;
  return bytes.latin1Slice(start, end);
}
