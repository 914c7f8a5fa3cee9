/**
 * Directives: what Cache-Control and its kin say, as numbers and flags.
 *
 * in     the value of the field, several lines joined
 * rule   where it is odd, the most restrictive reading counts: a lifetime that does not parse is 0, of two the
 *        smaller counts, `private` without names beats one with them
 * cost   what was parsed is remembered by its text, for a bounded number of texts: most answers of a server and
 *        most requests of a browser say the same
 * spec   RFC 9111 §1.2.2, §4.2.1, §5.2, §5.4; RFC 5861; RFC 8246; RFC 9213 §2.1; Edge Architecture Specification (W3C
 *        Note, 4 August 2001) §2.3
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { type Member, parseDictionary } from "../protocol/structured-fields.ts";

/** Seconds; -1 = it does not say so. */
export interface RequestDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly noTransform: boolean;
  readonly maxAgeSec: number;
  readonly minFreshSec: number;
  /** Infinity without a value. */
  readonly maxStaleSec: number;
  readonly staleIfErrorSec: number;
}

/** Seconds; -1 = it does not say so. */
export interface ResponseDirectives {
  readonly noStore: boolean;
  /** Without names: it is for one user. */
  readonly isPrivate: boolean;
  /** Without names: not to be used without validation. */
  readonly noCache: boolean;
  /** Lower-case names of the fields that `private` and `no-cache` are about. */
  readonly privateNames: readonly string[];
  readonly noCacheNames: readonly string[];
  readonly isPublic: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly noTransform: boolean;
  readonly immutable: boolean;
  readonly maxAgeSec: number;
  readonly sMaxAgeSec: number;
  readonly staleWhileRevalidateSec: number;
  readonly staleIfErrorSec: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** What a delta-seconds that is too large stands for (RFC 9111 §1.2.2): 68 years. */
export const MAX_DELTA_SEC = 2 ** 31;

export const NO_REQUEST_DIRECTIVES: RequestDirectives = Object.freeze({
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  noTransform: false,
  maxAgeSec: -1,
  minFreshSec: -1,
  maxStaleSec: -1,
  staleIfErrorSec: -1,
});

export const NO_RESPONSE_DIRECTIVES: ResponseDirectives = Object.freeze({
  noStore: false,
  isPrivate: false,
  noCache: false,
  privateNames: Object.freeze([]),
  noCacheNames: Object.freeze([]),
  isPublic: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  noTransform: false,
  immutable: false,
  maxAgeSec: -1,
  sMaxAgeSec: -1,
  staleWhileRevalidateSec: -1,
  staleIfErrorSec: -1,
});

const PRAGMA_NO_CACHE: RequestDirectives = Object.freeze({ ...NO_REQUEST_DIRECTIVES, noCache: true });

/** Texts that are remembered: what servers and browsers say differs little; who says much that is new is parsed anew. */
const MAX_REMEMBERED = 512;
const MAX_REMEMBERED_LENGTH = 256;

const CACHE_CONTROL = fieldIdOf("cache-control");
const PRAGMA = fieldIdOf("pragma");

/** What a client says; `heedsClient` false: it is not heard. Pragma counts without Cache-Control (RFC 9111 §5.4). */
export function requestDirectives(fields: Fields, heedsClient: boolean): RequestDirectives {
  if (!heedsClient) return NO_REQUEST_DIRECTIVES;
  const text = fields.joined(CACHE_CONTROL);
  if (text !== undefined) return parseRequestDirectives(text);
  const pragma = fields.joined(PRAGMA);
  return pragma !== undefined && listOf(pragma).some(({ name }) => name === "no-cache")
    ? PRAGMA_NO_CACHE
    : NO_REQUEST_DIRECTIVES;
}

/** in  value of Cache-Control in a request */
export const parseRequestDirectives = remembering((text) => {
  const to: Writable<RequestDirectives> = { ...NO_REQUEST_DIRECTIVES };
  for (const { name, argument } of listOf(text)) addRequestDirective(to, name, argument);
  return to;
});

/** in  value of Cache-Control in a response */
export const parseResponseDirectives = remembering((text) => {
  const to: Writable<ResponseDirectives> = { ...NO_RESPONSE_DIRECTIVES };
  for (const { name, argument } of listOf(text)) addResponseDirective(to, name, argument);
  return to;
});

/**
 * in     value of a targeted field, such as CDN-Cache-Control
 * out    undefined when it is to be ignored: empty, no dictionary, or a lifetime that is no number of seconds and
 *        nothing that forbids
 */
export function parseTargetedDirectives(text: string): ResponseDirectives | undefined {
  const dictionary = parseDictionary(text);
  if (dictionary === undefined || dictionary.size === 0) return undefined;
  const to: Writable<ResponseDirectives> = { ...NO_RESPONSE_DIRECTIVES };
  let isOdd = false;
  for (const [name, member] of dictionary) {
    const argument = argumentOf(member);
    if (argument === "off") continue;
    isOdd ||= LIFETIMES.has(name) && !isWholeNumber(member);
    addResponseDirective(to, name, argument);
  }
  return isOdd && !to.noStore && !to.isPrivate && !to.noCache ? undefined : to;
}

/**
 * in     value of Surrogate-Control
 * out    undefined when it is to be ignored: it is for others, or tells neither a lifetime nor that there is none
 * rule   directives with our token behind a semicolon count alone; without any, those without a token do
 */
export function parseSurrogateDirectives(text: string): ResponseDirectives | undefined {
  const directives = listOf(text, SURROGATE_DIRECTIVE);
  const forUs = directives.filter(({ targets }) => targets.includes(SURROGATE_TOKEN));
  const counting = forUs.length > 0 ? forUs : directives.filter(({ targets }) => targets.length === 0);
  const to: Writable<ResponseDirectives> = { ...NO_RESPONSE_DIRECTIVES };
  for (const { name, argument } of counting) {
    if (name === "max-age") addSurrogateAge(to, argument);
    else addResponseDirective(to, name, argument);
  }
  const isTelling = to.maxAgeSec !== -1 || to.noStore || to.isPrivate || to.noCache;
  return isTelling ? to : undefined;
}

/** `fresh+stale`: for so long, and so long again while it is asked for anew, or when that fails. */
function addSurrogateAge(to: Writable<ResponseDirectives>, argument: Argument): void {
  const plus = argument?.indexOf("+") ?? -1;
  if (typeof argument !== "string" || plus === -1) addResponseDirective(to, "max-age", argument);
  else {
    addResponseDirective(to, "max-age", argument.slice(0, plus));
    for (const name of ["stale-while-revalidate", "stale-if-error"]) {
      addResponseDirective(to, name, argument.slice(plus + 1));
    }
  }
}

/** What a member of a dictionary would be in a list of directives; "off": it says no, and is as good as not there. */
function argumentOf(member: Member): Argument | "off" {
  if (!("item" in member)) return null;
  const { item } = member;
  if (item.kind === "boolean") return item.value ? undefined : "off";
  return item.kind === "bytes" ? null : String(item.value);
}

function isWholeNumber(member: Member): boolean {
  return "item" in member && member.item.kind === "integer" && member.item.value >= 0;
}

/** undefined = the directive has none; null = it has one that the grammar does not know. */
type Argument = string | undefined | null;

type LifetimeKey = "maxAgeSec" | "sMaxAgeSec" | "staleWhileRevalidateSec" | "staleIfErrorSec";
type LimitKey = "noStore" | "mustRevalidate" | "proxyRevalidate" | "noTransform";
/** These let a cache do more than it would without them: with an argument that is none they do not count. */
type GrantKey = "isPublic" | "mustUnderstand" | "immutable";

const LIFETIMES: ReadonlyMap<string, LifetimeKey> = new Map([
  ["max-age", "maxAgeSec"],
  ["s-maxage", "sMaxAgeSec"],
  ["stale-while-revalidate", "staleWhileRevalidateSec"],
  ["stale-if-error", "staleIfErrorSec"],
]);
const LIMITS: ReadonlyMap<string, LimitKey> = new Map([
  ["no-store", "noStore"],
  ["must-revalidate", "mustRevalidate"],
  ["proxy-revalidate", "proxyRevalidate"],
  ["no-transform", "noTransform"],
]);
const GRANTS: ReadonlyMap<string, GrantKey> = new Map([
  ["public", "isPublic"],
  ["must-understand", "mustUnderstand"],
  ["immutable", "immutable"],
]);

function addResponseDirective(to: Writable<ResponseDirectives>, name: string, argument: Argument): void {
  const lifetime = LIFETIMES.get(name);
  if (lifetime !== undefined) to[lifetime] = shorter(to[lifetime], deltaSeconds(argument) ?? 0);
  else if (name === "private") addPrivate(to, namesOf(argument));
  else if (name === "no-cache") addNoCache(to, namesOf(argument));
  else {
    const limit = LIMITS.get(name);
    if (limit !== undefined) to[limit] = true;
    const grant = GRANTS.get(name);
    if (grant !== undefined && argument !== null) to[grant] = true;
  }
}

function addPrivate(to: Writable<ResponseDirectives>, names: readonly string[] | undefined): void {
  if (names === undefined) to.isPrivate = true;
  else to.privateNames = [...to.privateNames, ...names];
}

function addNoCache(to: Writable<ResponseDirectives>, names: readonly string[] | undefined): void {
  if (names === undefined) to.noCache = true;
  else to.noCacheNames = [...to.noCacheNames, ...names];
}

/** What a client asks for with an argument that is none does not loosen anything. */
function addRequestDirective(to: Writable<RequestDirectives>, name: string, argument: Argument): void {
  const seconds = deltaSeconds(argument);
  if (name === "no-store") to.noStore = true;
  else if (name === "no-cache") to.noCache = true;
  else if (name === "only-if-cached") to.onlyIfCached = true;
  else if (name === "no-transform") to.noTransform = true;
  else if (name === "max-age") to.maxAgeSec = shorter(to.maxAgeSec, seconds ?? 0);
  else if (name === "min-fresh") to.minFreshSec = Math.max(to.minFreshSec, seconds ?? -1);
  else if (name === "stale-if-error") to.staleIfErrorSec = shorter(to.staleIfErrorSec, seconds ?? 0);
  else if (name === "max-stale") {
    to.maxStaleSec = shorter(
      to.maxStaleSec,
      argument === undefined ? Number.POSITIVE_INFINITY : (seconds ?? 0),
    );
  }
}

const shorter = (one: number, other: number) => (one === -1 ? other : Math.min(one, other));

/** Seconds, or undefined when it is no delta-seconds (RFC 9111 §1.2.2). */
function deltaSeconds(argument: Argument): number | undefined {
  if (argument === undefined || argument === null || !/^\d+$/.test(argument)) return undefined;
  return Math.min(Number(argument), MAX_DELTA_SEC);
}

/** Lower-case field names of an argument, or undefined when it names none, or something else. */
function namesOf(argument: Argument): readonly string[] | undefined {
  if (argument === undefined || argument === null) return undefined;
  const names = argument
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  return names.length > 0 && names.every((name) => FIELD_NAME.test(name)) ? names : undefined;
}

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

interface Directive {
  /** Lower case. */
  readonly name: string;
  readonly argument: Argument;
  /** Names of those that it is for, lower case; none = for all. */
  readonly targets: readonly string[];
}

/** How we are called in Surrogate-Control, and call ourselves in Surrogate-Capability. */
export const SURROGATE_TOKEN = "weir";
const FOR_ALL: readonly string[] = [];

/** A directive up to its comma (RFC 9111 §5.2): token, then "=" and token or quoted-string. */
const DIRECTIVE =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)"))?[ \t]*(?:,|$)/y;
/** The same, for those named behind a semicolon. */
const SURROGATE_DIRECTIVE =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)"))?((?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*)[ \t]*(?:,|$)/y;
/** What is none, up to the next comma that is in no quoted string. */
const REST = /(?:[^",]|"(?:[^"\\]|\\.)*")*(?:,|$)/y;
/** The same where a quoted string never ends. */
const REST_UNQUOTED = /[^,]*(?:,|$)/y;
const NAME = /^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)/;

/** Its directives in their order; of what does not follow the grammar the name is kept, with an argument that is none. */
function listOf(text: string, pattern = DIRECTIVE): readonly Directive[] {
  const members: Directive[] = [];
  let isBroken = false;
  for (let at = 0; at < text.length; ) {
    const found = takeAt(pattern, text, at);
    if (found !== null) {
      const name = (found[1] as string).toLowerCase();
      const argument = found[2] ?? found[3]?.replace(/\\(.)/g, "$1");
      members.push({ name, argument: isBroken ? null : argument, targets: targetsOf(found[4]) });
      at += found[0].length;
      continue;
    }
    const rest: RegExpExecArray | null = isBroken ? null : takeAt(REST, text, at);
    // behind a quote that never closes nothing is certain: what forbids counts, what allows does not
    isBroken ||= rest === null;
    const odd = rest?.[0] ?? takeAt(REST_UNQUOTED, text, at)?.[0] ?? text.slice(at);
    const name = NAME.exec(odd)?.[1];
    if (name !== undefined) members.push({ name: name.toLowerCase(), argument: null, targets: FOR_ALL });
    at += odd.length;
  }
  return members;
}

/** in  `;one ; other` */
function targetsOf(text = ""): readonly string[] {
  if (text === "") return FOR_ALL;
  return text
    .toLowerCase()
    .split(";")
    .slice(1)
    .map((name) => name.trim());
}

function takeAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** The same for the same text, without parsing it again. */
function remembering<T extends object>(parse: (text: string) => T): (text: string) => Readonly<T> {
  const known = new Map<string, Readonly<T>>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const parsed = Object.freeze(parse(text));
    if (text.length > MAX_REMEMBERED_LENGTH) return parsed;
    // what is common is soon back; keeping an order of use would cost more than the parse it saves
    if (known.size === MAX_REMEMBERED) known.clear();
    known.set(text, parsed);
    return parsed;
  };
}
