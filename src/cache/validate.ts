/**
 * Validate: conditions both ways: what to ask an endpoint about a stored response, and what a client's own condition or range
 * gets of one.
 *
 * rule   a client's If-Match and If-Unmodified-Since are for the origin alone; whoever calls has sent such requests there
 * rule   conditions come before ranges (RFC 9110 §13.2.2), and count only where the answer would be a success (§13.2.1)
 * cost   two mask tests for a request that has no condition
 * spec   RFC 9111 §4.3.1, §4.3.2; RFC 9110 §8.8, §13, §14, §15.3.7, §15.4.5
 */
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { evaluateConditions, type Validators } from "../protocol/conditional.ts";
import { parseHttpDate } from "../protocol/http-date.ts";
import { type ByteRange, chooseRanges } from "../protocol/range.ts";
import type { StoredResponse } from "./stored.ts";

const ETAG = fieldIdOf("etag");
const LAST_MODIFIED = fieldIdOf("last-modified");
const DATE = fieldIdOf("date");
const IF_NONE_MATCH = fieldIdOf("if-none-match");

/** Lines that ask whether a stored response still holds; "" when it has no validator. */
export function validationLines(stored: Fields, nowMs: number): string {
  const etag = etagOf(stored);
  const modified = lastModifiedOf(stored, nowMs);
  const tagLine = etag === "" ? "" : `If-None-Match: ${etag}\r\n`;
  return modified === undefined ? tagLine : `${tagLine}If-Modified-Since: ${modified.text}\r\n`;
}

export function hasValidator(stored: Fields, nowMs: number): boolean {
  return etagOf(stored) !== "" || lastModifiedOf(stored, nowMs) !== undefined;
}

/** As it was sent, also when it is no entity-tag: its origin knows it. "" = none, or nobody knows which. */
export function etagOf(fields: Fields): string {
  return fields.isRepeated(ETAG) ? "" : (fields.get(ETAG) ?? "");
}

/** A date that does not parse is none. */
export function lastModifiedOf(fields: Fields, nowMs: number): { text: string; atMs: number } | undefined {
  const text = fields.isRepeated(LAST_MODIFIED) ? undefined : fields.get(LAST_MODIFIED);
  const atMs = text === undefined ? undefined : parseHttpDate(text, nowMs);
  return text === undefined || atMs === undefined ? undefined : { text, atMs };
}

const VALIDATORS = new WeakMap<Fields, Validators>();

/**
 * What a client's conditions are compared with. Without Last-Modified Date stands in for it, and without Date the instant
 * when the response came (RFC 9111 §4.3.2). cost: read once for each stored response
 */
export function validatorsOf(stored: Pick<StoredResponse, "fields" | "facts">, nowMs: number): Validators {
  let validators = VALIDATORS.get(stored.fields);
  if (validators === undefined) {
    validators = readValidators(stored, nowMs);
    VALIDATORS.set(stored.fields, validators);
  }
  return validators;
}

function readValidators(
  { fields, facts }: Pick<StoredResponse, "fields" | "facts">,
  nowMs: number,
): Validators {
  const modified = lastModifiedOf(fields, nowMs)?.atMs;
  const date = modified === undefined ? fields.get(DATE) : undefined;
  const modifiedAtMs = modified ?? (date === undefined ? undefined : parseHttpDate(date, nowMs));
  return { etag: etagOf(fields), modifiedAtMs: modifiedAtMs ?? facts.respondedAtMs };
}

const CONDITIONS = fieldMask("if-none-match", "if-modified-since");
const FOR_ORIGINS = fieldMask("if-match", "if-unmodified-since");

/** True when a 304 answers the request: it is a GET or HEAD, and has what the stored response says. */
export function isNotModified(
  stored: Pick<StoredResponse, "fields" | "facts">,
  request: Fields,
  nowMs: number,
): boolean {
  if ((request.low & CONDITIONS.low) === 0 || (request.low & FOR_ORIGINS.low) !== 0) return false;
  const { status } = stored.facts;
  if (status !== 200 && status !== 206) return false;
  const validators = validatorsOf(stored, nowMs);
  return (
    isJust(request, validators.etag) || evaluateConditions(request, validators, nowMs) === "not_modified"
  );
}

/** If-None-Match names this tag and no other: nearly all that have it do. */
function isJust(request: Fields, etag: string): boolean {
  const index = request.indexOf(IF_NONE_MATCH);
  return index !== -1 && etag.endsWith('"') && request.isValue(index, etag);
}

/**
 * The one range that a GET gets of a complete stored response, or the whole: also where several are asked for, which a
 * server may always answer so (RFC 9110 §14.2).
 */
export function rangeOf(
  stored: StoredResponse,
  request: Fields,
  nowMs: number,
): ByteRange | "whole" | "unsatisfiable" {
  if (stored.facts.status !== 200) return "whole";
  const choice = chooseRanges(request, stored.bodyLength, validatorsOf(stored, nowMs), nowMs);
  if (typeof choice === "string") return choice;
  const [only] = choice;
  return choice.length === 1 && only !== undefined ? only : "whole";
}

/** What describes a body that a 304 does not have; Last-Modified is for those whom no tag tells. */
const ABOUT_BODY = fieldMask("content-length", "content-type", "content-encoding");
const ABOUT_TAGGED_BODY = fieldMask("content-length", "content-type", "content-encoding", "last-modified");
const UNKNOWN_ABOUT_BODY = /^(?:content-(?:language|range|md5|digest)|accept-ranges|digest|repr-digest):/i;

/** Lines of a 304 made of a stored response (RFC 9110 §15.4.5): all but those about the body that is not sent. */
export function notModifiedLines(stored: Fields): string {
  const { low, high } = stored.has(ETAG) ? ABOUT_TAGGED_BODY : ABOUT_BODY;
  let lines = "";
  for (const line of stored.linesWithout(low, high).split("\r\n")) {
    if (line !== "" && !UNKNOWN_ABOUT_BODY.test(line)) lines += `${line}\r\n`;
  }
  return lines;
}
