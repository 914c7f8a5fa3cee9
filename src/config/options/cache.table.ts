/**
 * Options of the cache, of what a route keeps in it, and of compression.
 *
 * rule   a section has exactly the keys of its type in `define-cache.ts`: `satisfies` proves it
 */
import type * as Input from "../define-cache.ts";
import { cidr } from "./addresses.ts";
import { filledList, keyHost, language, level, mediaType, orOff, queryKey, requestField, requestTest, staleOn, ttlByStatus, YEAR } from "./cache.ts";
import { list, object, trueOr } from "./containers.ts";
import { cookieName } from "./resilience.ts";
import { choice, duration, flag, integer, percent, size, text } from "./scalars.ts";
import { defaulted, optional, type RowsFor, required, type Type, type Written } from "./types.ts";
import { KIB, MIB, MINUTE, MS, TIB } from "./units.ts";

const file = text("a file", undefined, { type: "string" });

export const CACHE_DISK = {
  path: required(text("a folder", undefined, { type: "string" }), "A folder of its own, relative to the configuration file"),
  size: required(size({ min: 16 * MIB, max: 64 * TIB }), "What it may take"),
} satisfies RowsFor<Input.CacheDiskInput>;

export const CACHE_PURGE = {
  from:  defaulted(list(cidr, "list of address blocks"), [], "Clients whose `PURGE` requests are obeyed"),
  audit: optional(file, "File that lists purges; the program's log only when left out"),
} satisfies RowsFor<Input.CachePurgeInput>;

/** Less has no room for one large response beside the small ones. */
export const MIN_MEMORY = 8 * MIB;

export const CACHE = {
  memory: defaulted(size({ min: MIN_MEMORY, max: TIB }), "256MiB", "Of all workers together, besides `server.memory`; when left out, half of what that is for all workers at most"),
  disk:   optional(object(CACHE_DISK), "Keeps responses over a restart, and large bodies"),
  purge:  optional(object(CACHE_PURGE), "Purges by `PURGE` requests, and the list of all purges"),
} satisfies RowsFor<Input.CacheInput>;

export const CACHE_KEY = {
  query:     defaulted(queryKey, true, "Query parameters that count: these alone, all `{ except: [...] }`, or none"),
  sort:      defaulted(flag, false, "The order of parameters does not count"),
  headers:   defaulted(list(requestField, "field name or list of field names"), [], "Request fields whose values count"),
  cookies:   defaulted(list(cookieName, "cookie or list of cookies"), [], "Cookies whose values count"),
  device:    defaulted(flag, false, "Mobile, tablet or desktop counts, by User-Agent"),
  languages: defaulted(list(language, "language or list of languages"), [], "Languages that there are: the best for a client's Accept-Language counts; the first where none fits"),
  host:      optional(keyHost, "Stands for every host of the route; each host has its own responses when left out"),
} satisfies RowsFor<Input.CacheKeyInput>;

export const CACHE_VARY = {
  encoding:  defaulted(flag, true, "Accept-Encoding counts as the set of zstd, br and gzip that it takes"),
  languages: defaulted(list(language, "language or list of languages"), [], "Accept-Language counts as the best of these; as it is written when left out"),
  ignore:    defaulted(list(requestField, "field name or list of field names"), [], "Fields that do not count, whatever Vary says"),
} satisfies RowsFor<Input.CacheVaryInput>;

const ignored = choice("no-store", "no-cache", "private", "max-age", "set-cookie", "authorization", "vary");

export const ROUTE_CACHE = {
  enabled:              optional(flag, "False keeps nothing; true when left out"),
  ttl:                  optional(ttlByStatus, "How long a response is fresh whose endpoint does not say; a duration alone is for 200, 203, 204, 206, 300, 301 and 308; `default` is for these, 404, 405, 410, 414, 451 and 501, where nothing else is said"),
  override:             defaulted(flag, false, "`ttl` wins over the lifetime that the endpoint states; `no-store`, `private` and the like still hold"),
  minTtl:               defaulted(duration({ min: MS, max: YEAR, zero: "no bound" }), "0", "Lifetimes that the endpoint states, and guesses, are this at least"),
  maxTtl:               defaulted(duration({ min: MS, max: YEAR, zero: "no bound" }), "0", "Lifetimes that the endpoint states, and guesses, are this at most"),
  heuristic:            defaulted(flag, true, "A lifetime is guessed from Last-Modified where nobody says (RFC 9111 §4.2.2)"),
  staleWhileRevalidate: optional(duration({ min: MS, max: YEAR, zero: "never" }), "How long a stale response may answer while it is refreshed (RFC 5861 §3), where the endpoint does not say"),
  staleIfError:         optional(duration({ min: MS, max: YEAR, zero: "never" }), "How long a stale response may answer when the endpoint fails (RFC 5861 §4), where the endpoint does not say"),
  staleOn:              defaulted(list(staleOn, "`error`, `timeout`, status, or list of them"), ["error", "timeout", 500, 502, 503, 504], "What is a failure: `error` is no answer, `timeout` none in time"),
  keep:                 defaulted(duration({ min: MS, max: YEAR, zero: "no time" }), "1h", "How long a response that may not answer any more is kept, so that the endpoint can confirm it (304)"),
  jitter:               defaulted(percent({ min: 0.01, max: 0.5, zero: "none" }), "0", "Share by which lifetimes are shortened by chance, so that what came together does not go together"),
  key:                  optional(object(CACHE_KEY), "What tells responses apart, besides route, scheme, host and path"),
  vary:                 optional(object(CACHE_VARY), "How the request fields that Vary names are compared"),
  bypass:               defaulted(list(requestTest, "test or list of tests"), [], "Requests that go past the cache: neither answered from it nor stored"),
  minUses:              defaulted(integer(1, 100), 1, "A response is stored the so-manieth time that it is asked for"),
  minSize:              defaulted(size({ min: 1, max: TIB, zero: "no bound" }), "0", "Smaller bodies are not stored"),
  maxSize:              defaulted(size({ min: 1, max: TIB }), "1GiB", "Larger bodies are not stored; nor those of more than a quarter of the memory, or of the disk where there is one"),
  ignore:               defaulted(list(ignored, `${ignored.name}, or list of them`), [], "What the endpoint says and the route does not heed. Dangerous: `weir check` says how"),
  clientDirectives:     defaulted(choice("heed", "ignore"), "heed", "Whether Cache-Control and Pragma of requests count"),
  coalesce:             defaulted(orOff(duration({ min: MS, max: 5 * MINUTE, zero: "no waiting" })), "5s", "How long a request waits for the head of the response that another one has asked for"),
  slice:                defaulted(orOff(size({ min: 64 * KIB, max: 64 * MIB, zero: "whole bodies" })), "off", "Large bodies are fetched and stored in slices of this size, from endpoints that answer to Range"),
  status:               defaulted(flag, true, "Answers tell in Cache-Status what the cache did (RFC 9211)"),
  dryRun:               defaulted(flag, false, "Counts what the cache would do, and answers nothing from it"),
} satisfies RowsFor<Input.RouteCacheInput>;

const written = trueOr(object(ROUTE_CACHE));

/** A mapping means that the route caches, unless it says otherwise: also over a policy that does not. */
export const routeCache: Type<Written<typeof ROUTE_CACHE>> = {
  ...written,
  get schema() {
    return written.schema;
  },
  read(value, place) {
    const read = written.read(value, place);
    if (read === undefined) return undefined;
    return read === false ? { enabled: false } : { ...read, enabled: read.enabled ?? true };
  },
};

/** Text, and what compresses like it. Fonts in WOFF, images, audio and video are compressed already. */
const TYPES = [
  "text/*",
  "application/json",
  "application/ld+json",
  "application/manifest+json",
  "application/problem+json",
  "application/vnd.api+json",
  "application/geo+json",
  "application/graphql-response+json",
  "application/x-ndjson",
  "application/javascript",
  "application/x-javascript",
  "application/xml",
  "application/xhtml+xml",
  "application/rss+xml",
  "application/atom+xml",
  "application/soap+xml",
  "application/wasm",
  "application/vnd.ms-fontobject",
  "font/ttf",
  "font/otf",
  "image/svg+xml",
  "image/bmp",
  "image/x-icon",
  "image/vnd.microsoft.icon",
];

export const COMPRESS = {
  codings: defaulted(filledList(choice("zstd", "br", "gzip"), "coding or list of codings"), ["zstd", "br", "gzip"], "The preferred one first; the client decides by Accept-Encoding"),
  types:   defaulted(filledList(mediaType, "media type or list of media types"), TYPES, "What is compressed, exactly or as `text/*`"),
  minSize: defaulted(size({ min: 1, max: MIB, zero: "no bound" }), "1KiB", "Smaller bodies pass as they are"),
  maxSize: defaulted(size({ min: KIB, max: TIB, zero: "no bound" }), "0", "Larger bodies of known length pass as they are"),
  level:   defaulted(level, "auto", "1 is fast, 9 is small; `auto` is chosen by load"),
} satisfies RowsFor<Input.CompressInput>;
