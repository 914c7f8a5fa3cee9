/**
 * Framing: where does the body of an HTTP/1 message end?
 *
 * why    request smuggling is two parties answering this differently, so the answer is given once,
 *        strictly, and nowhere else reads Content-Length or Transfer-Encoding
 * in     a parsed head
 * out    a body length ≥ 0, or one of the FRAMING codes, or a Failure: then the connection must close
 *        after the answer
 * cost   two bit tests when neither field is there
 * never  guess, repair, or prefer one field over the other
 * spec   RFC 9112 §6.1–§6.3, RFC 9110 §8.6
 */
import { type Failure, fail } from "../../core/failure.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import type { Fields } from "../../core/fields.ts";

export const FRAMING_NONE = -1;
export const FRAMING_CHUNKED = -2;
export const FRAMING_UNTIL_CLOSE = -3;
/** Bytes that are no message any more follow: a 101. */
export const FRAMING_TUNNEL = -4;

/** A length in bytes, or one of the codes above. */
export type Framing = number;

/** 15 digits stay exact in a number, and are a thousand terabytes. */
const MAX_LENGTH_DIGITS = 15;
const CONTENT_LENGTH = fieldIdOf("content-length");
const TRANSFER_ENCODING = fieldIdOf("transfer-encoding");

/** Framing of a request body. A request with neither field has no body (§6.3 rule 7). */
export function requestFraming(fields: Fields, isHttp10: boolean): Framing | Failure {
  return declaredFraming(fields, isHttp10, FRAMING_NONE);
}

/**
 * Framing of a response body, which depends on the method it answers.
 *
 * out  FRAMING_TUNNEL for 101; FRAMING_NONE where a body is forbidden; FRAMING_UNTIL_CLOSE when nothing
 *      is declared (§6.3 rule 8). A 2xx to CONNECT cannot come: CONNECT is never forwarded.
 */
export function responseFraming(
  fields: Fields,
  status: number,
  method: string,
  isHttp10: boolean,
): Framing | Failure {
  if (status === 101) return FRAMING_TUNNEL;
  const declared = declaredFraming(fields, isHttp10, FRAMING_UNTIL_CLOSE);
  if (typeof declared !== "number")
    return fail("h1_response_framing", `${declared.code}: ${declared.detail}`);
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return FRAMING_NONE;
  return declared;
}

/**
 * True when a response that has no body declares one all the same: the connection may hold bytes that
 * would be read as the next response, so it must not be used again.
 */
export function declaresForbiddenBody(fields: Fields, status: number): boolean {
  if (status !== 204 && status >= 200) return false;
  return fields.has(TRANSFER_ENCODING) || (fields.has(CONTENT_LENGTH) && fields.get(CONTENT_LENGTH) !== "0");
}

/** The length a HEAD or 304 response declares for the body it does not carry, or -1. */
export function declaredLength(fields: Fields): number {
  if (!fields.has(CONTENT_LENGTH)) return -1;
  const length = lengthFraming(fields);
  return typeof length === "number" ? length : -1;
}

function declaredFraming(fields: Fields, isHttp10: boolean, undeclared: Framing): Framing | Failure {
  if (!fields.has(TRANSFER_ENCODING)) {
    return fields.has(CONTENT_LENGTH) ? lengthFraming(fields) : undeclared;
  }
  const coding = fields.joined(TRANSFER_ENCODING) ?? "";
  if (fields.has(CONTENT_LENGTH)) {
    // §6.3 rule 3 lets a server pick Transfer-Encoding. A proxy that picks is half of an attack.
    return fail("h1_length_and_chunked", `${coding} with ${fields.joined(CONTENT_LENGTH)}`);
  }
  // §6.1: a 1.0 message with Transfer-Encoding has faulty framing.
  if (isHttp10) return fail("h1_bad_field", "transfer-encoding in HTTP/1.0");
  return coding === "chunked" || coding.toLowerCase() === "chunked"
    ? FRAMING_CHUNKED
    : fail("h1_coding_unknown", coding);
}

/** Length from one or more Content-Length values; they must all be the same digits (§6.3 rule 5). */
function lengthFraming(fields: Fields): Framing | Failure {
  const index = fields.indexOf(CONTENT_LENGTH);
  const length = fields.digitsAt(index, MAX_LENGTH_DIGITS);
  if (!fields.isRepeated(CONTENT_LENGTH)) {
    if (length !== -1) return length;
    const only = fields.valueAt(index);
    if (!only.includes(",")) return fail("h1_bad_field", `content-length ${only}`);
  }
  const all = (fields.joined(CONTENT_LENGTH) ?? "").split(",").map((part) => part.trim());
  const [first = ""] = all;
  if (!all.every((value) => value === first)) return fail("h1_length_conflict", all.join());
  const isLength = /^\d+$/.test(first) && first.length <= MAX_LENGTH_DIGITS;
  return isLength ? Number(first) : fail("h1_bad_field", `content-length ${first}`);
}
