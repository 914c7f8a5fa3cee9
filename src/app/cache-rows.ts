/**
 * Cache rows: one stored response as the admin API tells it.
 */
import type { CacheObject, CacheTopRow } from "../admin/cache-status.ts";
import { routeOfKey, urlOfKey } from "../cache/key.ts";
import type { KeptResponse } from "../cache/memory/sweep.ts";
import type { PurgeState } from "../cache/reuse.ts";
import { ruleText } from "../cache/rules.table.ts";
import {
  ageOf,
  CODED,
  DRY,
  EXPLICIT,
  HEURISTIC,
  IMMUTABLE,
  MUST_REVALIDATE,
  NO_CACHE,
  NO_TRANSFORM,
  PARTIAL,
  SHAREABLE,
  type StoredResponse,
  VARY_INDEX,
} from "../cache/stored.ts";
import { tagsOf } from "../cache/tags.ts";
import type { ReuseVerdict } from "../cache/verdict.ts";

const FLAG_NAMES: readonly (readonly [flag: number, name: string])[] = [
  [MUST_REVALIDATE, "must-revalidate"],
  [NO_CACHE, "no-cache"],
  [SHAREABLE, "for the authorized too"],
  [IMMUTABLE, "immutable"],
  [HEURISTIC, "lifetime guessed"],
  [EXPLICIT, "lifetime told by the origin"],
  [PARTIAL, "a part"],
  [NO_TRANSFORM, "no-transform"],
  [DRY, "dry run"],
  [CODED, "a coded form"],
];

export interface ObjectFacts {
  readonly route: string;
  readonly isSelected: boolean;
  readonly state: PurgeState;
  readonly verdict: ReuseVerdict;
  readonly ageMs: number;
  readonly tier: CacheObject["tier"];
}

export function objectOf(stored: StoredResponse, told: ObjectFacts): CacheObject {
  const { facts, fields, key } = stored;
  const { route, isSelected, state, verdict, ageMs, tier } = told;
  const isFresh = state === "alive" && ageMs < facts.lifetimeMs;
  return {
    route,
    url: urlOfKey(key),
    variant: variantOf(key),
    isSelected,
    status: facts.status,
    state: state === "gone" ? "gone" : isFresh ? "fresh" : "stale",
    ageSec: Math.floor(ageMs / 1000),
    ttlSec: verdict.ttlSec,
    staleWhileRevalidateSec: Math.max(0, Math.floor(facts.staleWhileRevalidateMs / 1000)),
    staleIfErrorSec: Math.max(0, Math.floor(facts.staleIfErrorMs / 1000)),
    storedAt: instantText(facts.respondedAtMs),
    bodyBytes: stored.bodyLength,
    tier,
    flags: FLAG_NAMES.filter(([flag]) => (facts.flags & flag) !== 0).map(([, name]) => name),
    tags: tagsOf(fields).names,
    contentType: fields.joinedNamed("content-type") ?? "",
    contentEncoding: fields.joinedNamed("content-encoding") ?? "",
    etag: fields.joinedNamed("etag") ?? "",
    use: verdict.use,
    rule: verdict.rule,
    why: ruleText(verdict.rule),
  };
}

/** undefined for what is no response, and for one that lies on a disk only. */
export function topRowOf({ response, uses }: KeptResponse, nowMs: number): CacheTopRow | undefined {
  if (response === undefined || (response.facts.flags & VARY_INDEX) !== 0) return undefined;
  const { key, facts, bodyLength } = response;
  return {
    route: routeOfKey(key),
    url: urlOfKey(key),
    variant: variantOf(key),
    uses,
    status: facts.status,
    bodyBytes: bodyLength,
    ttlSec: Math.floor((facts.lifetimeMs - ageOf(facts, nowMs)) / 1000),
  };
}

/** Empty when it is none: it is what a worker wrote. */
function instantText(ms: number): string {
  const instant = new Date(ms);
  return Number.isNaN(instant.getTime()) ? "" : instant.toISOString();
}

/** What is in a key besides route and URL, a line each. */
function variantOf(key: string): string {
  const [, , ...lines] = key.split("\n");
  return lines.join("\n");
}
