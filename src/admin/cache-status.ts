/**
 * Cache status: what a running Weir says of its cache, and what is asked of it.
 *
 * shape  JSON under /api/v1/cache; additive, like all of the API
 */

/** What a person, or a program, wants gone. */
export interface PurgeWish {
  readonly kind: PurgeKind;
  /** URLs, beginnings of URLs, hosts or tags; none for `all`. */
  readonly names: readonly string[];
  /** What is purged counts as stale: it is confirmed by its endpoint, and still answers where that fails. */
  readonly isSoft: boolean;
  /** Who says so, as they call themselves; "" = nobody said. */
  readonly by: string;
}

export const PURGE_KINDS = ["url", "prefix", "tag", "host", "all"] as const;
export type PurgeKind = (typeof PURGE_KINDS)[number];

/** A purge that is in force in all workers. */
export interface PurgeEvent {
  /** ISO 8601. */
  readonly at: string;
  readonly kind: PurgeKind;
  /** As they were asked for. */
  readonly names: readonly string[];
  readonly soft: boolean;
  /** `admin`, or `request` for the method PURGE. */
  readonly via: "admin" | "request";
  /** Address of who asked. */
  readonly from: string;
  readonly by: string;
}

export interface PurgeDone extends PurgeEvent {
  /** What was really purged: a URL stands under other names where a route's key leaves parts of it out. */
  readonly purged: readonly string[];
}

/** Why something is not done or not told. */
export interface CacheRefusal {
  readonly status: 400 | 404 | 409 | 503;
  readonly error: string;
}

/** Bytes and responses in one tier, of all workers together. */
export interface CacheTierStatus {
  readonly tier: "memory" | "disk";
  readonly usedBytes: number;
  readonly budgetBytes: number;
  /** Responses, variants counted apart. */
  readonly objects: number;
  /** Responses that made room for others, since the start. */
  readonly evicted: number;
}

export interface CacheStatus {
  readonly tiers: readonly CacheTierStatus[];
  /** Since the start. */
  readonly purges: number;
}

/** What the cache has done for one route since the start. */
export interface RouteCacheStatus {
  readonly hit: number;
  readonly stale: number;
  readonly revalidated: number;
  readonly miss: number;
  readonly bypass: number;
  readonly coalesced: number;
  readonly stored: number;
  readonly refused: number;
  /** Body bytes sent out of the cache, and from endpoints. */
  readonly bytesFromCache: number;
  readonly bytesFromEndpoint: number;
  /** What it would have done; undefined unless it is a dry run. */
  readonly dry?: CacheDryStatus;
}

/** Of requests that the cache would have been asked for. */
export interface CacheDryStatus {
  readonly hit: number;
  /** Hits that would have been something else than what the endpoint sent. */
  readonly differed: number;
  readonly stored: number;
}

/** What is asked: a request, as far as it chooses among stored responses. */
export interface CacheQuestion {
  /** With or without scheme. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** One stored response. */
export interface CacheObject {
  readonly route: string;
  /** As it stands in the key. */
  readonly url: string;
  /** What else is in the key: the values that the route adds and those of the fields in Vary; "" = nothing. */
  readonly variant: string;
  /** The one that would answer what was asked. */
  readonly isSelected: boolean;
  readonly status: number;
  /** `gone`: purged, and only still there because nobody needed the room. */
  readonly state: "fresh" | "stale" | "gone";
  readonly ageSec: number;
  /** Until it is stale; negative once it is. */
  readonly ttlSec: number;
  readonly staleWhileRevalidateSec: number;
  readonly staleIfErrorSec: number;
  readonly storedAt: string;
  readonly bodyBytes: number;
  /** Where the body is. */
  readonly tier: "memory" | "disk";
  readonly flags: readonly string[];
  readonly tags: readonly string[];
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly etag: string;
  /** What the cache would do with the request, and the rule that makes it so. */
  readonly use: string;
  readonly rule: string;
  readonly why: string;
}

export interface CacheShown {
  readonly url: string;
  /** Names of request fields that tell the variants apart. */
  readonly vary: readonly string[];
  /** Routes that may store this URL; empty = none. */
  readonly routes: readonly string[];
  readonly objects: readonly CacheObject[];
}

/** One of the responses that are used most. */
export interface CacheTopRow {
  readonly route: string;
  readonly url: string;
  readonly variant: string;
  /** How often it was used lately, 0 to 3: the store counts no further. */
  readonly uses: number;
  readonly status: number;
  readonly bodyBytes: number;
  readonly ttlSec: number;
}

export interface CacheTop {
  /** Responses looked at, and responses there are. */
  readonly looked: number;
  readonly objects: number;
  readonly rows: readonly CacheTopRow[];
}
