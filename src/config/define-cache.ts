/**
 * Caching and compression as TypeScript, for `weir.config.ts`.
 *
 * rule   types only, as in `define.ts`; `options/cache.table.ts` must have exactly the keys of these types
 */
import type { Duration, OneOrMore, Percent, Size, Variable } from "./define-values.ts";

/** The cache that routes share. */
export interface CacheInput {
  /** Of all workers together; bodies too, where there is no disk. Default `256MiB`. */
  readonly memory?: Size;
  /** Keeps responses over a restart, and bodies that are too large for memory. */
  readonly disk?: CacheDiskInput;
  /** What may be thrown away from elsewhere, and where it is written down. */
  readonly purge?: CachePurgeInput;
}

export interface CacheDiskInput {
  /** A folder of its own, relative to the configuration file. */
  readonly path: string;
  /** What it may take. */
  readonly size: Size;
}

export interface CachePurgeInput {
  /** Clients whose `PURGE` requests are obeyed. Default: nobody's. */
  readonly from?: OneOrMore<string>;
  /** File that lists purges. Default: the program's log only. */
  readonly audit?: string;
}

export interface RouteCacheInput {
  /** Default true, once the mapping is there. */
  readonly enabled?: boolean | Variable;
  /** How long a response is fresh whose endpoint does not say, by status: `200`, `4xx` or `default`. */
  readonly ttl?: Duration | Readonly<Record<string, Duration>>;
  /** `ttl` wins over the lifetime that the endpoint states. Default false. */
  readonly override?: boolean | Variable;
  /** Lifetimes that the endpoint states, and guesses, are this at least. */
  readonly minTtl?: Duration;
  /** The same, at most. */
  readonly maxTtl?: Duration;
  /** A lifetime is guessed from Last-Modified where nobody says (RFC 9111 §4.2.2). Default true. */
  readonly heuristic?: boolean | Variable;
  /** How long a stale response may answer while it is refreshed, where the endpoint does not say. */
  readonly staleWhileRevalidate?: Duration;
  /** How long a stale response may answer when the endpoint fails, where the endpoint does not say. */
  readonly staleIfError?: Duration;
  /** What counts as a failure: `error` is no answer. Default error, timeout, 500, 502, 503, 504. */
  readonly staleOn?: OneOrMore<StaleOnInput>;
  /** How long a response that cannot answer any more is kept, to be confirmed by the endpoint. Default `1h`. */
  readonly keep?: Duration;
  /** Share by which lifetimes are shortened by chance. Default 0. */
  readonly jitter?: Percent;
  /** What tells responses apart. */
  readonly key?: CacheKeyInput;
  /** How request fields named in Vary are compared. */
  readonly vary?: CacheVaryInput;
  /** Requests that go past the cache. */
  readonly bypass?: OneOrMore<BypassInput>;
  /** A response is stored the so-manieth time that it is asked for. Default 1. */
  readonly minUses?: number | Variable;
  /** Bodies that are smaller are not stored. Default 0. */
  readonly minSize?: Size;
  /** Bodies that are larger are not stored. Default `1GiB`. */
  readonly maxSize?: Size;
  /** What the endpoint says and the route does not heed. Dangerous. */
  readonly ignore?: OneOrMore<IgnoredInput>;
  /** Whether Cache-Control of a request counts. Default `heed`. */
  readonly clientDirectives?: "heed" | "ignore";
  /** How long a request waits for the same response that another one has asked for. Default `5s`. */
  readonly coalesce?: Duration | "off";
  /** Large bodies are fetched and stored in slices of this size. Default `off`. */
  readonly slice?: Size | "off";
  /** Answers tell in Cache-Status what the cache did (RFC 9211). Default true. */
  readonly status?: boolean | Variable;
  /** Counts what the cache would do, and answers nothing from it. Default false. */
  readonly dryRun?: boolean | Variable;
}

export type StaleOnInput = "error" | "timeout" | number | Variable;

export type IgnoredInput =
  | "no-store"
  | "no-cache"
  | "private"
  | "max-age"
  | "set-cookie"
  | "authorization"
  | "vary";

export interface CacheKeyInput {
  /** Parameters that count: these alone, `{ except: [...] }`, or `false` for none. Default: all. */
  readonly query?: boolean | Variable | OneOrMore<string> | CacheQueryInput;
  /** The order of parameters does not count. Default false. */
  readonly sort?: boolean | Variable;
  /** Request fields whose values count. */
  readonly headers?: OneOrMore<string>;
  /** Cookies whose values count. */
  readonly cookies?: OneOrMore<string>;
  /** Mobile, tablet or desktop counts, by User-Agent. Default false. */
  readonly device?: boolean | Variable;
  /** Languages that there are: the best for a client's Accept-Language counts. */
  readonly languages?: OneOrMore<string>;
  /** Stands for every host of the route. */
  readonly host?: string;
}

export interface CacheQueryInput {
  /** These alone; `utm_*` is every name that begins so. */
  readonly only?: OneOrMore<string>;
  /** All but these. */
  readonly except?: OneOrMore<string>;
}

export interface CacheVaryInput {
  /** Accept-Encoding counts as the set of zstd, br and gzip that it takes. Default true. */
  readonly encoding?: boolean | Variable;
  /** Accept-Language counts as the best of these. Default: as it is written. */
  readonly languages?: OneOrMore<string>;
  /** Fields that do not count, whatever Vary says. */
  readonly ignore?: OneOrMore<string>;
}

/** Exactly one of `header`, `cookie` and `query`. */
export interface BypassInput {
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
  /** Any when left out. */
  readonly value?: string | number | boolean;
}

/** Compression of answers on their way to clients. */
export interface CompressInput {
  /** The preferred one first; clients decide by `Accept-Encoding`. Default zstd, br, gzip. */
  readonly codings?: OneOrMore<"zstd" | "br" | "gzip">;
  /** Media types, exact or as `text/*`. Default: text, JSON, JavaScript, XML, SVG, Wasm and the like. */
  readonly types?: OneOrMore<string>;
  /** Smaller bodies pass as they are. Default `1KiB`. */
  readonly minSize?: Size;
  /** Larger bodies of known length pass as they are; 0 = no limit. Default 0. */
  readonly maxSize?: Size;
  /** 1 is fast, 9 is small; `auto` is chosen by load. Default `auto`. */
  readonly level?: "auto" | number | Variable;
}
