/**
 * Storable: may this response be stored, and on which terms?
 *
 * in     what was asked, what came, what the route says, and a chance number for jitter
 * out    a verdict with the row of the rule that made it
 * rule   what forbids is asked first, in the order of the code below: the first that holds is the reason given
 * rule   what is personal by its looks (a cookie is set, Authorization, a body) is not stored, whatever lifetime it
 *        has, unless the origin says in so many words that it is for all, or the route that it does not heed that
 * spec   RFC 9111 §3, §3.1–§3.5, §4.2, §5.2.2; RFC 5861; RFC 8246; RFC 6585; RFC 9110 §9.3.3, §15.1
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { isProtected } from "../protocol/h1/connection-field.ts";
import { parseResponseDirectives, type RequestDirectives, type ResponseDirectives } from "./directives.ts";
import {
  dateOf,
  heuristicLifetimeOf,
  initialAgeOf,
  originWordOf,
  parseLooseDate,
  type StatedLifetime,
  statedLifetimeOf,
} from "./freshness.ts";
import { fitsPath } from "./path-type.ts";
import type { CachePolicy, Ignored } from "./policy.ts";
import type { RuleCode } from "./rules.table.ts";
import {
  DRY,
  EXPLICIT,
  HEURISTIC,
  IMMUTABLE,
  MUST_REVALIDATE,
  NO_CACHE,
  NO_TRANSFORM,
  PARTIAL,
  SHAREABLE,
} from "./stored.ts";
import { groupsOf, tagsOf } from "./tags.ts";
import { varyNames } from "./vary.ts";
import type { StoreVerdict } from "./verdict.ts";

/** What was asked, as the client asked it. */
export interface AskedFacts {
  readonly method: string;
  /** `scheme://authority/path?query`: what Content-Location is compared with. */
  readonly url: string;
  /** As received, without the query. */
  readonly path: string;
  readonly hasBody: boolean;
  readonly fields: Fields;
  readonly directives: RequestDirectives;
}

/** What came. */
export interface CameFacts {
  readonly status: number;
  readonly fields: Fields;
  /** Of its body; -1 = not told. */
  readonly declaredBytes: number;
  readonly requestedAtMs: number;
  readonly respondedAtMs: number;
}

/** Statuses that a cache may keep by a guess (RFC 9110 §15.1, RFC 7725 §3). A route's `ttl.default` is for these too. */
const CACHEABLE = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501]);
/**
 * Answers to one request: to its conditions and ranges (304, 412, 416), to its connection or its sender (408, 421,
 * 425), and those that no cache may store (RFC 6585 §3 to §6).
 */
const NEVER = new Set([304, 408, 412, 416, 421, 425, 428, 429, 431, 511]);
/** What RFC 9110 §15 and RFC 7725 define: `must-understand` asks for one of them. */
const UNDERSTOOD = new Set([
  ...CACHEABLE,
  ...[201, 202, 205, 302, 303, 307, 400, 401, 402, 403, 406, 407, 409, 411, 413, 415, 417, 422, 426],
  ...[500, 502, 503, 504, 505],
]);

/** Never stored (RFC 9111 §3.1): for one connection, or for the proxy itself. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
] as const;

const AUTHORIZATION = fieldIdOf("authorization");
const CACHE_CONTROL = fieldIdOf("cache-control");
const CONNECTION = fieldIdOf("connection");
const CONTENT_TYPE = fieldIdOf("content-type");
const COOKIE = fieldIdOf("cookie");
const ETAG = fieldIdOf("etag");
const LAST_MODIFIED = fieldIdOf("last-modified");
const SET_COOKIE = fieldIdOf("set-cookie");

/** One judgement in the making. */
interface Case {
  readonly asked: AskedFacts;
  readonly came: CameFacts;
  readonly policy: CachePolicy;
  readonly directives: ResponseDirectives;
  readonly dropped: readonly string[];
  readonly terms: Terms;
}

interface Terms {
  readonly lifetimeMs: number;
  readonly initialAgeMs: number;
  readonly rule: RuleCode;
  /** EXPLICIT, HEURISTIC or 0. */
  readonly source: number;
}

/** in  `chance` in [0, 1): by how much of the route's jitter the lifetime is shortened */
export function judgeResponse(
  asked: AskedFacts,
  came: CameFacts,
  policy: CachePolicy,
  chance: number,
): StoreVerdict {
  const word = originWordOf(came.fields);
  const { directives } = word;
  const dateMs = dateOf(came.fields, came.respondedAtMs);
  const stated = policy.ignore.includes("max-age")
    ? undefined
    : statedLifetimeOf(came.fields, word, dateMs, came.respondedAtMs);
  const judged: Case = {
    asked,
    came,
    policy,
    directives,
    dropped: droppedOf(came.fields, directives),
    terms: termsOf(came, policy, dateMs, { stated, directives }),
  };
  const refusal = refusalOf(judged) ?? worthOf(judged);
  return refusal === undefined ? store(judged, chance) : refuse(refusal);
}

/** How long it is fresh, and who says so. */
function termsOf(
  came: CameFacts,
  policy: CachePolicy,
  dateMs: number,
  origin: { readonly stated: StatedLifetime | undefined; readonly directives: ResponseDirectives },
): Terms {
  const { fields, requestedAtMs, respondedAtMs } = came;
  const { stated, directives } = origin;
  const initialAgeMs = initialAgeOf(fields, dateMs, requestedAtMs, respondedAtMs);
  const ttlMs = ttlOf(policy, came.status);
  if (ttlMs !== undefined && policy.overridesOrigin)
    return ttlTerms(ttlMs, initialAgeMs, "route_ttl_override");
  if (stated !== undefined) {
    return {
      lifetimeMs: capped(stated.lifetimeMs, policy),
      initialAgeMs,
      rule: stated.rule,
      source: EXPLICIT,
    };
  }
  // no-cache is what the origin says about its lifetime: there is none
  if (isNoCache(directives, policy)) {
    return { lifetimeMs: 0, initialAgeMs, rule: "validate_each_time", source: EXPLICIT };
  }
  if (ttlMs !== undefined) return ttlTerms(ttlMs, initialAgeMs, "route_ttl");
  return { ...guessOf(came, policy, dateMs, directives), initialAgeMs, source: HEURISTIC };
}

/** A route's ttl counts from when it came, however old it was then. */
function ttlTerms(ttlMs: number, initialAgeMs: number, rule: RuleCode): Terms {
  if (ttlMs === 0) return { lifetimeMs: 0, initialAgeMs, rule: "ttl_zero", source: 0 };
  return { lifetimeMs: ttlMs + initialAgeMs, initialAgeMs, rule, source: 0 };
}

function guessOf(
  { fields, status, respondedAtMs }: CameFacts,
  policy: CachePolicy,
  dateMs: number,
  { isPublic }: ResponseDirectives,
): { readonly lifetimeMs: number; readonly rule: RuleCode } {
  const mayGuess = policy.heuristic && (CACHEABLE.has(status) || isPublic);
  const guessMs = mayGuess ? heuristicLifetimeOf(fields, dateMs, respondedAtMs) : 0;
  return { lifetimeMs: capped(guessMs, policy), rule: guessMs === 0 ? "no_lifetime" : "heuristic" };
}

/** Of the exact status, its class, or all that may be cached by default; undefined = the route does not say. */
function ttlOf({ ttlMs }: CachePolicy, status: number): number | undefined {
  const ofStatus = ttlMs[status] ?? ttlMs[`${Math.floor(status / 100)}xx`];
  return ofStatus ?? (CACHEABLE.has(status) ? ttlMs["default"] : undefined);
}

/** Within the route's caps. Nothing makes a lifetime of 0 longer: it says that each use is to be confirmed. */
function capped(lifetimeMs: number, { minTtlMs, maxTtlMs }: CachePolicy): number {
  if (lifetimeMs === 0) return 0;
  const atLeast = Math.max(lifetimeMs, minTtlMs);
  return maxTtlMs === 0 ? atLeast : Math.min(atLeast, maxTtlMs);
}

/** What forbids to store it, in the order in which it is told. */
const REFUSALS: readonly (readonly [rule: RuleCode, holds: (judged: Case) => boolean])[] = [
  ["store_method", ({ asked, came, terms }) => !isStorableMethod(asked, came, terms)],
  ["store_status", ({ came: { status } }) => status < 200 || NEVER.has(status)],
  ["must_understand", ({ came, directives }) => directives.mustUnderstand && !UNDERSTOOD.has(came.status)],
  ["asked_no_store", ({ asked }) => asked.directives.noStore],
  // of a status that is understood, must-understand sets no-store aside (§5.2.2.3)
  [
    "no_store",
    (judged) => isSaid(judged, "no-store", judged.directives.noStore && !judged.directives.mustUnderstand),
  ],
  ["private", (judged) => isSaid(judged, "private", judged.directives.isPrivate)],
  ["request_body", ({ asked }) => asked.hasBody && asked.method !== "POST"],
  ["authorization", (judged) => isSaid(judged, "authorization", isForOneUser(judged))],
  ["set_cookie", (judged) => isSaid(judged, "set-cookie", setsCookie(judged))],
  ["vary_star", (judged) => isSaid(judged, "vary", variesByAll(judged))],
  ["type_mismatch", ({ asked, came }) => isDeceptive(asked.path, came)],
  ["part_unknown", ({ came }) => came.status === 206 && !isKnownPart(came.fields)],
  ["too_many_tags", ({ came: { fields } }) => !tagsOf(fields).areAll || !groupsOf(fields).areAll],
  ["too_small", ({ came, policy }) => came.declaredBytes !== -1 && came.declaredBytes < policy.minBytes],
  ["too_large", ({ came, policy }) => policy.maxBytes > 0 && came.declaredBytes > policy.maxBytes],
];

function refusalOf(judged: Case): RuleCode | undefined {
  return REFUSALS.find(([, holds]) => holds(judged))?.[0];
}

/** False where the route does not heed what the origin says. */
function isSaid({ policy }: Case, what: Ignored, isThere: boolean): boolean {
  return isThere && !policy.ignore.includes(what);
}

/** GET, and POST whose answer says that it is what a GET of the same URL would get (RFC 9110 §9.3.3). */
function isStorableMethod({ method, url }: AskedFacts, { status, fields }: CameFacts, terms: Terms): boolean {
  if (method === "GET") return true;
  if (method !== "POST" || status !== 200 || terms.source !== EXPLICIT || terms.lifetimeMs === 0)
    return false;
  const location = fields.find("content-location");
  if (location === undefined || !URL.canParse(location, url)) return false;
  return new URL(location, url).href === new URL(url).href;
}

/** Got with Authorization, and nothing says that those without may see it. */
function isForOneUser({ asked, directives }: Case): boolean {
  return asked.fields.has(AUTHORIZATION) && !isCalledShareable(directives);
}

/** The origin says in so many words that it is for all (RFC 9111 §3.5). */
function isCalledShareable({ isPublic, mustRevalidate, sMaxAgeSec }: ResponseDirectives): boolean {
  return isPublic || mustRevalidate || sMaxAgeSec !== -1;
}

/** A cookie that is stored with it; `private="set-cookie"` and the like keep it out. */
const setsCookie = ({ came, dropped }: Case) =>
  came.fields.has(SET_COOKIE) && !dropped.includes("set-cookie");

/** Also by what cannot be compared, such as the client's address, or by too much. */
const variesByAll = ({ came, policy }: Case) => varyNames(came.fields, policy.vary) === "*";

/** Errors and redirects have a type of their own, whatever was asked for. */
function isDeceptive(path: string, { status, fields }: CameFacts): boolean {
  return status < 300 && !fitsPath(path, fields.get(CONTENT_TYPE));
}

/** One range, whose place is told (RFC 9110 §14.4). */
function isKnownPart(fields: Fields): boolean {
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/i.exec(fields.find("content-range") ?? "");
  if (range === null) return false;
  const [first, last, length] = [
    Number(range[1]),
    Number(range[2]),
    Number(range[3] ?? Number.MAX_SAFE_INTEGER),
  ];
  return first <= last && last < length;
}

/** Is it any use to have it? out  why not */
function worthOf(judged: Case): RuleCode | undefined {
  const { asked, came, policy, directives, terms } = judged;
  const { rule, lifetimeMs, initialAgeMs, source } = terms;
  if (rule === "no_lifetime" || rule === "ttl_zero") return rule;
  if (rule === "heuristic" && asked.fields.has(COOKIE) && !directives.isPublic) return "cookie_guess";
  const mustAsk = isNoCache(directives, policy);
  if (lifetimeMs > initialAgeMs && !mustAsk) return undefined;
  if (source !== HEURISTIC && hasValidator(came)) return undefined;
  if (mustAsk) return "no_validator";
  const stale = staleOf(judged);
  const useMs = lifetimeMs + Math.max(stale.whileRevalidateMs, stale.ifErrorMs);
  if (useMs > initialAgeMs) return undefined;
  return lifetimeMs === 0 ? "no_validator" : "stale_on_arrival";
}

function hasValidator({ fields, respondedAtMs }: CameFacts): boolean {
  if (fields.has(ETAG)) return true;
  const modified = fields.get(LAST_MODIFIED);
  return modified !== undefined && parseLooseDate(modified, respondedAtMs) !== undefined;
}

const isNoCache = (directives: ResponseDirectives, { ignore }: CachePolicy) =>
  directives.noCache && !ignore.includes("no-cache");

interface Stale {
  readonly mustRevalidate: boolean;
  readonly whileRevalidateMs: number;
  readonly ifErrorMs: number;
}

/**
 * How long it may be used stale. s-maxage forbids it as proxy-revalidate does (RFC 9111 §5.2.2.10), but for what the
 * origin itself says beside it: `s-maxage=60, stale-while-revalidate=30` would otherwise mean nothing.
 */
function staleOf({ directives, policy, terms }: Case): Stale {
  const { staleWhileRevalidateSec, staleIfErrorSec } = directives;
  const isBound = terms.rule === "s_maxage";
  const isAllowed = staleWhileRevalidateSec > 0 || staleIfErrorSec > 0;
  const mustRevalidate = directives.mustRevalidate || directives.proxyRevalidate || (isBound && !isAllowed);
  if (mustRevalidate || isNoCache(directives, policy)) {
    return { mustRevalidate, whileRevalidateMs: 0, ifErrorMs: 0 };
  }
  const windowOf = (statedSec: number, routeMs: number) =>
    statedSec !== -1 ? statedSec * 1000 : isBound ? 0 : Math.max(0, routeMs);
  return {
    mustRevalidate,
    whileRevalidateMs: windowOf(staleWhileRevalidateSec, policy.staleWhileRevalidateMs),
    ifErrorMs: windowOf(staleIfErrorSec, policy.staleIfErrorMs),
  };
}

function store(judged: Case, chance: number): StoreVerdict {
  const { came, policy, directives, dropped, terms } = judged;
  const stale = staleOf(judged);
  const mustAsk = isNoCache(directives, policy);
  const leftMs = Math.max(0, terms.lifetimeMs - terms.initialAgeMs);
  return {
    isStorable: true,
    rule: mustAsk ? "validate_each_time" : terms.rule,
    lifetimeMs: Math.round(terms.lifetimeMs - leftMs * policy.jitter * chance),
    initialAgeMs: terms.initialAgeMs,
    staleWhileRevalidateMs: stale.whileRevalidateMs,
    staleIfErrorMs: stale.ifErrorMs,
    flags:
      (isCalledShareable(directives) || policy.ignore.includes("authorization") ? SHAREABLE : 0) |
      terms.source |
      (stale.mustRevalidate ? MUST_REVALIDATE : 0) |
      (mustAsk ? NO_CACHE : 0) |
      (directives.immutable ? IMMUTABLE : 0) |
      (came.status === 206 ? PARTIAL : 0) |
      (forbidsTransform(came.fields, directives) ? NO_TRANSFORM : 0) |
      (policy.isDry ? DRY : 0),
    dropped,
    tags: tagsOf(came.fields).names,
    groups: groupsOf(came.fields).names,
  };
}

/** It is for everybody on the way, so a targeted field that does not repeat it does not take it back. */
function forbidsTransform(fields: Fields, directives: ResponseDirectives): boolean {
  if (directives.noTransform) return true;
  const text = fields.joined(CACHE_CONTROL);
  return text !== undefined && parseResponseDirectives(text).noTransform;
}

function refuse(rule: RuleCode): StoreVerdict {
  return { ...REFUSED, rule };
}

const REFUSED = {
  isStorable: false,
  lifetimeMs: 0,
  initialAgeMs: 0,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  flags: 0,
  dropped: [],
  tags: [],
  groups: [],
} as const;

/** Fields that are not stored: hop-by-hop ones, and those that Connection, `private` and `no-cache` name (§3.1). */
function droppedOf(fields: Fields, { privateNames, noCacheNames }: ResponseDirectives): readonly string[] {
  const connection = fields.joined(CONNECTION);
  if (connection === undefined && privateNames.length === 0 && noCacheNames.length === 0) return HOP_BY_HOP;
  const options = (connection ?? "").toLowerCase().split(",");
  const named = options.map((option) => option.trim()).filter((option) => !isProtected(option));
  const names = [...named, ...privateNames, ...noCacheNames];
  return [...new Set([...HOP_BY_HOP, ...names.filter((name) => name !== "")])];
}
