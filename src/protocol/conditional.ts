/**
 * Conditional requests: is the representation to be sent, unchanged, or not what the client thought?
 *
 * in     the request's fields, and the validators of the representation it selects
 * out    send, not_modified (304), or precondition_failed (412)
 * rule   the order of RFC 9110 §13.2.2; a date that does not parse is ignored, a tag that does not parse equals
 *        nothing. If-Range belongs to `range.ts`
 * cost   two mask tests when there is no condition
 * spec   RFC 9110 §8.8.3, §13.1.1–§13.1.4, §13.2.2
 */
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { parseHttpDate } from "./http-date.ts";

/** What may be compared of a representation that exists. */
export interface Validators {
  /** With quotes, and `W/` when weak. */
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export type ConditionResult = "send" | "not_modified" | "precondition_failed";

const CONDITIONS = fieldMask("if-match", "if-none-match", "if-modified-since", "if-unmodified-since");
const IF_MATCH = fieldIdOf("if-match");
const IF_NONE_MATCH = fieldIdOf("if-none-match");
const IF_MODIFIED_SINCE = fieldIdOf("if-modified-since");
const IF_UNMODIFIED_SINCE = fieldIdOf("if-unmodified-since");

/** in  a GET or HEAD */
export function evaluateConditions(fields: Fields, validators: Validators, nowMs: number): ConditionResult {
  if ((fields.low & CONDITIONS.low) === 0 && (fields.high & CONDITIONS.high) === 0) return "send";
  const { etag } = validators;
  const ifMatch = fields.joined(IF_MATCH);
  if (ifMatch !== undefined) {
    if (!someTag(ifMatch, (tag) => areStronglyEqual(tag, etag))) return "precondition_failed";
  } else if (isModifiedAfter(fields.get(IF_UNMODIFIED_SINCE), validators, nowMs) === true) {
    return "precondition_failed";
  }
  const ifNoneMatch = fields.joined(IF_NONE_MATCH);
  if (ifNoneMatch !== undefined) {
    return someTag(ifNoneMatch, (tag) => areWeaklyEqual(tag, etag)) ? "not_modified" : "send";
  }
  return isModifiedAfter(fields.get(IF_MODIFIED_SINCE), validators, nowMs) === false
    ? "not_modified"
    : "send";
}

/** out  undefined when there is no date to compare with */
function isModifiedAfter(
  date: string | undefined,
  validators: Validators,
  nowMs: number,
): boolean | undefined {
  const sinceMs = date === undefined ? undefined : parseHttpDate(date, nowMs);
  return sinceMs === undefined ? undefined : toSecond(validators.modifiedAtMs) > sinceMs;
}

/** An instant as Last-Modified can say it. */
export function toSecond(atMs: number): number {
  return Math.floor(atMs / 1000) * 1000;
}

/** Both the same and neither weak (RFC 9110 §8.8.3.2). */
export function areStronglyEqual(one: string, two: string): boolean {
  return one === two && !one.startsWith("W/");
}

function areWeaklyEqual(one: string, two: string): boolean {
  return opaque(one) === opaque(two);
}

const opaque = (tag: string) => (tag.startsWith("W/") ? tag.slice(2) : tag);

/** entity-tag (RFC 9110 §8.8.3), with what may stand around it in a list. */
const TAG_IN_LIST = /[ \t,]*((?:W\/)?"[!#-~\x80-\xff]*")[ \t]*(?=,|$)/y;

/** `*` is every tag. What follows the first thing that is no tag is not read. */
function someTag(list: string, isIt: (tag: string) => boolean): boolean {
  if (list.trim() === "*") return true;
  TAG_IN_LIST.lastIndex = 0;
  for (let found = TAG_IN_LIST.exec(list); found !== null; found = TAG_IN_LIST.exec(list)) {
    if (isIt(found[1] as string)) {
      TAG_IN_LIST.lastIndex = 0;
      return true;
    }
  }
  return false;
}
