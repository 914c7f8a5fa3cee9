/**
 * Policy: what a route says about caching, as plain data: the configuration's own words, checked, with defaults.
 *
 * shape  JSON all through: it travels to workers as part of a RouteConfig
 */

/** A condition on a request: a field, cookie or query parameter that is there, or has that value. */
export interface RequestTest {
  readonly kind: "header" | "cookie" | "query";
  /** Lower case for headers. */
  readonly name: string;
  /** undefined = it is there, whatever it says. */
  readonly value: string | undefined;
}

/** What the origin says that the route does not heed. Each is dangerous, and said so by `weir check`. */
export type Ignored =
  | "no-store"
  | "no-cache"
  | "private"
  | "max-age"
  | "set-cookie"
  | "authorization"
  | "vary";

export interface CacheKeyPolicy {
  /** Which query parameters are part of the key: all but `names`, or `names` only; with "only" and none, no query. */
  readonly query: { readonly mode: "except" | "only"; readonly names: readonly string[] };
  /** Parameters are sorted by name: `?b&a` is `?a&b`. */
  readonly sortQuery: boolean;
  /** Request fields (lower case) and cookies whose values are part of the key. */
  readonly headers: readonly string[];
  readonly cookies: readonly string[];
  /** Class of device by User-Agent: mobile, tablet or desktop. */
  readonly device: boolean;
  /** Languages that the site has: the best by Accept-Language is part of the key. Empty = not part of it. */
  readonly languages: readonly string[];
  /** Host that stands for all hosts of the route, or undefined: each host has its own. */
  readonly host: string | undefined;
}

export interface CacheVaryPolicy {
  /** Accept-Encoding counts as the set of zstd, br and gzip that it takes. */
  readonly encoding: boolean;
  /** Accept-Language counts as the best of these; empty = as it is written. */
  readonly languages: readonly string[];
  /** Names in Vary that do not count: only where the responses are known to be the same. Lower case. */
  readonly ignore: readonly string[];
}

/** Lifetime by status, where the origin states none: as "200", as a class "4xx", or "default". */
export type TtlByStatus = Readonly<Record<string, number>>;

export type StaleOn = "error" | "timeout" | number;

export interface CachePolicy {
  /** Nothing is answered from it; what would be is counted. */
  readonly isDry: boolean;
  /** ms; empty = the origin alone says. */
  readonly ttlMs: TtlByStatus;
  /** `ttl` wins over what the origin states. */
  readonly overridesOrigin: boolean;
  /** Caps in ms; 0 and Infinity-like large values are resolved by config: 0 = none. */
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** Guesses where nobody says (RFC 9111 §4.2.2). */
  readonly heuristic: boolean;
  /** Where the origin does not say; -1 = nobody does. ms */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** What counts as an error for stale-if-error. */
  readonly staleOn: readonly StaleOn[];
  /** Kept so long past its use, for validation. ms */
  readonly keepMs: number;
  /** Share by which a lifetime is shortened by chance, 0 to 0.5, so that what came together does not go together. */
  readonly jitter: number;
  readonly key: CacheKeyPolicy;
  readonly vary: CacheVaryPolicy;
  /** Requests that are neither answered from the cache nor stored. */
  readonly bypass: readonly RequestTest[];
  /** A response is stored the so-manieth time that it is asked for. */
  readonly minUses: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly ignore: readonly Ignored[];
  /** False: what a client says in Cache-Control and Pragma does not count. */
  readonly heedsClient: boolean;
  /** How long a request waits for the head that another one fetches; 0 = each fetches for itself. ms */
  readonly coalesceMs: number;
  /** Large bodies are fetched in slices of so many bytes; 0 = whole. */
  readonly sliceBytes: number;
  /** Says what it did in Cache-Status (RFC 9211). */
  readonly status: boolean;
}
