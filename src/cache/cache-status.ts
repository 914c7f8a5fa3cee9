/**
 * Cache-Status: what this cache did with a request, for whoever looks at the answer.
 *
 * out    one field line; those that caches behind us wrote stand before it, as the list wants it (RFC 9211 §2)
 * cost   one lookup and one concatenation for a hit
 * spec   RFC 9211 §2
 */
import type { RuleCode } from "./rules.table.ts";

/** Why a request went to an endpoint (RFC 9211 §2.2). */
export type Forwarded =
  /** The cache is not asked at all. */
  | "bypass"
  /** Its method is none that the cache answers. */
  | "method"
  /** Nothing is stored under its URL. */
  | "uri-miss"
  /** There is something, for other values of the fields that Vary names. */
  | "vary-miss"
  /** Nothing stored can answer, for a reason that is not told. */
  | "miss"
  /** What is stored is good, but not for this client. */
  | "request"
  | "stale"
  /** Only a part is stored, and another one is wanted. */
  | "partial";

export interface CacheOutcome {
  /** undefined = the store alone answered. */
  readonly forwarded: Forwarded | undefined;
  /** Status that the endpoint answered with; 0 = it is the one of the answer. */
  readonly endpointStatus: number;
  /** Seconds that it stays fresh; undefined = it is not stored. */
  readonly ttlSec: number | undefined;
  readonly isStored: boolean;
  /** It got the answer that another request had asked for. */
  readonly isCollapsed: boolean;
  /** What decided; undefined = that goes without saying. */
  readonly rule: RuleCode | undefined;
}

/** Most answers of a busy cache have few different lifetimes left. */
const HITS: string[] = [];
const MAX_HITS = 4096;

/** The line of a fresh hit. */
export function hitStatusLine(ttlSec: number): string {
  if (ttlSec < 0 || ttlSec >= MAX_HITS) return hitText(ttlSec);
  HITS[ttlSec] ??= hitText(ttlSec);
  return HITS[ttlSec];
}

const hitText = (ttlSec: number) => `Cache-Status: weir; hit; ttl=${ttlSec}\r\n`;

export function cacheStatusLine(outcome: CacheOutcome): string {
  const { forwarded, endpointStatus, ttlSec, isStored, isCollapsed, rule } = outcome;
  let member = forwarded === undefined ? "weir; hit" : `weir; fwd=${forwarded}`;
  if (forwarded !== undefined && endpointStatus !== 0) member += `; fwd-status=${endpointStatus}`;
  if (ttlSec !== undefined) member += `; ttl=${ttlSec}`;
  if (forwarded !== undefined && isStored) member += "; stored";
  if (isCollapsed) member += "; collapsed";
  if (rule !== undefined) member += `; detail=${rule}`;
  return `Cache-Status: ${member}\r\n`;
}
