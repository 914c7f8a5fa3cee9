/**
 * Freshness: how old a response is when it comes, and how long it may be used.
 *
 * in     the fields of the response, when the request went out and when the head came
 * rule   what cannot be read does not make a response younger or fresher: a date that is none is past, of several the
 *        one that makes it older counts; only an Age that is no number is not heeded, as §5.1 says
 * rule   dates are in whole seconds, so instants are cut to seconds before they are compared with them
 * spec   RFC 9111 §4.2.1–§4.2.3, §5.1, §5.3; RFC 9213 §2.2; Edge Architecture Specification §2.3
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { parseHttpDate } from "../protocol/http-date.ts";
import {
  MAX_DELTA_SEC,
  NO_RESPONSE_DIRECTIVES,
  parseResponseDirectives,
  parseSurrogateDirectives,
  parseTargetedDirectives,
  type ResponseDirectives,
} from "./directives.ts";
import type { RuleCode } from "./rules.table.ts";

/** What an origin says about caching, from wherever it counts. */
export interface OriginWord {
  readonly directives: ResponseDirectives;
  /** A targeted field, or Surrogate-Control, said it: Cache-Control and Expires do not count then (RFC 9213 §2.2). */
  readonly isTargeted: boolean;
}

/** A lifetime that the origin states. */
export interface StatedLifetime {
  readonly lifetimeMs: number;
  readonly rule: RuleCode;
}

/** Share of the time since the last change for which a guess takes a response to be fresh (RFC 9111 §4.2.2). */
const HEURISTIC_SHARE = 0.1;
export const MAX_HEURISTIC_MS = 24 * 3600 * 1000;

const AGE = fieldIdOf("age");
const DATE = fieldIdOf("date");
const EXPIRES = fieldIdOf("expires");
const LAST_MODIFIED = fieldIdOf("last-modified");
const CACHE_CONTROL = fieldIdOf("cache-control");
/** Ours goes before that of all caches on the way (RFC 9213 §2.2). */
const TARGETED: readonly (readonly [
  name: string,
  parse: (text: string) => ResponseDirectives | undefined,
])[] = [
  ["weir-cache-control", parseTargetedDirectives],
  ["cdn-cache-control", parseTargetedDirectives],
  ["surrogate-control", parseSurrogateDirectives], // what those two have taken the place of
];

export function originWordOf(fields: Fields): OriginWord {
  for (const [name, parse] of TARGETED) {
    const text = fields.joinedNamed(name);
    const directives = text === undefined ? undefined : parse(text);
    if (directives !== undefined) return { directives, isTargeted: true };
  }
  const text = fields.joined(CACHE_CONTROL);
  return {
    directives: text === undefined ? NO_RESPONSE_DIRECTIVES : parseResponseDirectives(text),
    isTargeted: false,
  };
}

/**
 * corrected_initial_age (RFC 9111 §4.2.3).
 * in  `dateMs` as `dateOf` tells it
 */
export function initialAgeOf(
  fields: Fields,
  dateMs: number,
  requestedAtMs: number,
  respondedAtMs: number,
): number {
  const apparentAgeMs = Math.max(0, toSecond(respondedAtMs) - dateMs);
  const responseDelayMs = Math.max(0, respondedAtMs - requestedAtMs);
  return Math.max(apparentAgeMs, ageFieldOf(fields) * 1000 + responseDelayMs);
}

/** Age in seconds: the first of several counts, one that is no number does not (RFC 9111 §5.1). 0 = none */
export function ageFieldOf(fields: Fields): number {
  const text = fields.get(AGE);
  const digits = text === undefined ? null : /^[ \t,]*(\d+)[ \t]*(?:,|$)/.exec(text);
  return digits === null ? 0 : Math.min(Number(digits[1]), MAX_DELTA_SEC);
}

/** When the origin made it: Date, or when it came if that is missing or none (RFC 9110 §6.6.1). */
export function dateOf(fields: Fields, respondedAtMs: number): number {
  return leastDate(fields, DATE, respondedAtMs) ?? toSecond(respondedAtMs);
}

/** Lifetime that the origin states (RFC 9111 §4.2.1), or undefined. */
export function statedLifetimeOf(
  fields: Fields,
  { directives, isTargeted }: OriginWord,
  dateMs: number,
  respondedAtMs: number,
): StatedLifetime | undefined {
  const { sMaxAgeSec, maxAgeSec } = directives;
  if (sMaxAgeSec !== -1) return { lifetimeMs: sMaxAgeSec * 1000, rule: "s_maxage" };
  if (maxAgeSec !== -1) return { lifetimeMs: maxAgeSec * 1000, rule: "max_age" };
  if (isTargeted || !fields.has(EXPIRES)) return undefined;
  return { lifetimeMs: expiresLifetime(fields, dateMs, respondedAtMs), rule: "expires" };
}

/** Expires − Date; what is no date, above all "0", is in the past (RFC 9111 §5.3). */
function expiresLifetime(fields: Fields, dateMs: number, respondedAtMs: number): number {
  let expiresMs = Number.POSITIVE_INFINITY;
  for (let index = fields.indexOf(EXPIRES); index !== -1; index = fields.indexOf(EXPIRES, index + 1)) {
    expiresMs = Math.min(expiresMs, parseLooseDate(fields.valueAt(index), respondedAtMs) ?? 0);
  }
  return Math.min(Math.max(0, expiresMs - dateMs), MAX_DELTA_SEC * 1000);
}

/** A guess by the time since the last change (RFC 9111 §4.2.2); 0 = nothing to guess by. */
export function heuristicLifetimeOf(fields: Fields, dateMs: number, respondedAtMs: number): number {
  let modifiedMs: number | undefined;
  let index = fields.indexOf(LAST_MODIFIED);
  for (; index !== -1; index = fields.indexOf(LAST_MODIFIED, index + 1)) {
    const instant = parseLooseDate(fields.valueAt(index), respondedAtMs);
    if (instant !== undefined) modifiedMs = Math.max(modifiedMs ?? instant, instant);
  }
  if (modifiedMs === undefined) return 0;
  return Math.min(Math.max(0, (dateMs - modifiedMs) * HEURISTIC_SHARE), MAX_HEURISTIC_MS);
}

/** The earliest of the dates in the fields with this id; those that are none do not count. */
function leastDate(fields: Fields, id: number, nowMs: number): number | undefined {
  let least: number | undefined;
  for (let index = fields.indexOf(id); index !== -1; index = fields.indexOf(id, index + 1)) {
    const instant = parseLooseDate(fields.valueAt(index), nowMs);
    if (instant !== undefined) least = Math.min(least ?? instant, instant);
  }
  return least;
}

/** A cache takes a date in any case (RFC 9111 §4.2), though not in any zone. */
export function parseLooseDate(text: string, nowMs: number): number | undefined {
  const strict = parseHttpDate(text, nowMs);
  if (strict !== undefined || text.length > MAX_DATE_LENGTH) return strict;
  const cased = text
    .toLowerCase()
    .replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase())
    .replace(/Gmt$/, "GMT");
  return parseHttpDate(cased, nowMs);
}

/** "Wednesday, 06-Nov-94 08:49:37 GMT". */
const MAX_DATE_LENGTH = 33;

const toSecond = (atMs: number) => Math.floor(atMs / 1000) * 1000;
