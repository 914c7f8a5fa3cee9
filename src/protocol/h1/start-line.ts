/**
 * Start line: what the first line of a request or a response says.
 *
 * in     the line without CRLF, its bytes already known to be visible ASCII, SP, HTAB or obs-text
 * out    the parts, or the failure's code
 * cost   no allocation but the substrings; common methods are shared strings
 * spec   RFC 9112 §3 (request-line), §4 (status-line)
 */
import { IS_TARGET, SP } from "../../core/bytes.ts";
import type { FailureCode } from "../../core/failure.ts";

/** Longest method in the IANA registry is 17 letters (UPDATEREDIRECTREF). */
const MAX_METHOD_LETTERS = 24;
const UPPER_VERSION = " HTTP/1.";

export class RequestLine {
  method = "";
  target = "";
  isHttp10 = false;

  /** Reads `line`; out  undefined when it is well formed. */
  read(line: string): FailureCode | undefined {
    const methodEnd = line.indexOf(" ");
    if (methodEnd < 1 || !isMethod(line, methodEnd)) return "h1_bad_request_line";
    this.method = line.slice(0, methodEnd);
    const versionStart = line.length - UPPER_VERSION.length - 1;
    if (versionStart <= methodEnd || !line.startsWith(UPPER_VERSION, versionStart)) {
      return badVersion(line, methodEnd);
    }
    const minor = line.charCodeAt(line.length - 1) - 48;
    if (minor !== 1 && minor !== 0) return minor >= 0 && minor <= 9 ? "h1_bad_version" : "h1_bad_request_line";
    this.isHttp10 = minor === 0;
    for (let at = methodEnd + 1; at < versionStart; at++) {
      if (IS_TARGET[line.charCodeAt(at)] !== 1) return "h1_bad_target";
    }
    this.target = line.slice(methodEnd + 1, versionStart);
    return undefined;
  }
}

/**
 * Upper-case letters, digits, "-" and "_": every registered method, as in nginx. RFC 9110 allows any
 * token, but a method such as `get` or `$POST` is read differently by different backends.
 */
function isMethod(line: string, end: number): boolean {
  if (end > MAX_METHOD_LETTERS) return false;
  for (let at = 0; at < end; at++) {
    const code = line.charCodeAt(at);
    const isLetter = code >= 65 && code <= 90;
    if (!isLetter && !(at > 0 && (code === 45 || code === 95 || (code >= 48 && code <= 57)))) return false;
  }
  return true;
}

/** Tells an HTTP version that we do not speak from a line that is no request line at all. */
function badVersion(line: string, methodEnd: number): FailureCode {
  const last = line.lastIndexOf(" ");
  return last > methodEnd && /^HTTP\/\d(\.\d)?$/.test(line.slice(last + 1))
    ? "h1_bad_version"
    : "h1_bad_request_line";
}

export class StatusLine {
  status = 0;
  reason = "";
  isHttp10 = false;

  /** Reads `line`; out  true when it is well formed. A missing reason with its space is accepted. */
  read(line: string): boolean {
    if (!line.startsWith("HTTP/1.") || line.charCodeAt(8) !== SP) return false;
    const minor = line.charCodeAt(7) - 48;
    if (minor !== 0 && minor !== 1) return false;
    this.isHttp10 = minor === 0;
    const hundreds = line.charCodeAt(9) - 48;
    const tens = line.charCodeAt(10) - 48;
    const ones = line.charCodeAt(11) - 48;
    if (!(hundreds >= 1 && hundreds <= 9 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9)) return false;
    if (line.length > 12 && line.charCodeAt(12) !== SP) return false;
    this.status = hundreds * 100 + tens * 10 + ones;
    this.reason = line.length > 13 ? line.slice(13) : "";
    return true;
  }
}
