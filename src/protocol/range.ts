/**
 * Ranges: which bytes of a representation does a request want?
 *
 * in     the fields of a GET, and the size and validators of what it selects
 * out    the whole of it, some ranges in the order asked, or unsatisfiable (416)
 * rule   anything odd gets the whole: another unit, a broken list, If-Range that does not hold. So do more than
 *        MAX_RANGES and ranges that overlap: answering them costs more than they ask for
 * spec   RFC 9110 §13.1.5, §14.1.2, §14.2, §17.15
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { areStronglyEqual, toSecond, type Validators } from "./conditional.ts";
import { parseHttpDate } from "./http-date.ts";

/** Bytes from `first` to `last`, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

export type RangeChoice = readonly ByteRange[] | "whole" | "unsatisfiable";

/** PDF readers ask for a handful; Apache's killer (CVE-2011-3192) asked for 1,300. */
export const MAX_RANGES = 16;
/** Ranges and the empty items between them, which a list may have (RFC 9110 §5.6.1.2). */
const MAX_ITEMS = MAX_RANGES * 2;
const RANGE = fieldIdOf("range");
const IF_RANGE = fieldIdOf("if-range");

/** in  a GET that passed its conditions */
export function chooseRanges(
  fields: Fields,
  size: number,
  validators: Validators,
  nowMs: number,
): RangeChoice {
  const range = fields.get(RANGE);
  if (range === undefined || fields.indexOf(RANGE, fields.indexOf(RANGE) + 1) !== -1) return "whole";
  const ifRange = fields.get(IF_RANGE);
  if (ifRange !== undefined && !isUnchanged(ifRange, validators, nowMs)) return "whole";
  return parseRanges(range, size);
}

/** If-Range takes strong validators only; a date is one when a second and more has passed since (§8.8.2.2). */
function isUnchanged(ifRange: string, validators: Validators, nowMs: number): boolean {
  if (ifRange.endsWith('"')) return areStronglyEqual(ifRange, validators.etag);
  const modifiedAtMs = toSecond(validators.modifiedAtMs);
  return parseHttpDate(ifRange, nowMs) === modifiedAtMs && modifiedAtMs + 1000 <= nowMs;
}

export function parseRanges(value: string, size: number): RangeChoice {
  if (value.slice(0, 6).toLowerCase() !== "bytes=") return "whole";
  const ranges: ByteRange[] = [];
  let askedCount = 0;
  const items = value.slice(6).split(",", MAX_ITEMS + 1);
  if (items.length > MAX_ITEMS) return "whole";
  for (const item of items) {
    const spec = item.trim();
    if (spec === "") continue;
    if (++askedCount > MAX_RANGES) return "whole";
    const range = parseSpec(spec, size);
    if (range === "broken") return "whole";
    if (range !== "outside") ranges.push(range);
  }
  if (askedCount === 0) return "whole";
  if (ranges.length === 0) return "unsatisfiable";
  return doOverlap(ranges) ? "whole" : ranges;
}

/** 15 digits: the most that a number holds exactly. */
const SPEC = /^(\d{0,15})-(\d{0,15})$/;

function parseSpec(spec: string, size: number): ByteRange | "broken" | "outside" {
  const [, first = "", last = ""] = SPEC.exec(spec) ?? [];
  if (first === "") {
    if (last === "") return "broken";
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "outside" : { first: size - suffix, last: size - 1 };
  }
  if (last !== "" && Number(last) < Number(first)) return "broken";
  if (Number(first) >= size) return "outside";
  return { first: Number(first), last: last === "" ? size - 1 : Math.min(Number(last), size - 1) };
}

function doOverlap(ranges: readonly ByteRange[]): boolean {
  const sorted = ranges.toSorted((one, two) => one.first - two.first);
  return sorted.some((range, index) => index > 0 && range.first <= (sorted[index - 1] as ByteRange).last);
}
