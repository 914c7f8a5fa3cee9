/**
 * Rules: why the cache did what it did, each with the section that says so.
 *
 * shape  a code is what logs, metrics, Cache-Status and `weir explain` show
 */
// biome-ignore format: a table is read by columns
const ROWS = {
  // code                     section              what it means
  fresh:                     ["RFC 9111 §4.2",    "it is fresh"],
  miss:                      ["RFC 9111 §4",      "nothing stored can answer"],

  // reuse: may a stored response answer a request (reuse.ts, lookup)
  stale_while_revalidate:    ["RFC 5861 §3",      "it is stale, and may be used so long while it is fetched anew"],
  request_max_stale:         ["RFC 9111 §5.2.1.2", "it is stale, and the client takes it that stale"],
  stale:                     ["RFC 9111 §4.2.4",  "it is stale, and nothing allows to use it so"],
  must_revalidate:           ["RFC 9111 §5.2.2.2", "it is stale, and its origin forbids to use it so: must-revalidate, proxy-revalidate or s-maxage"],
  response_no_cache:         ["RFC 9111 §5.2.2.4", "its origin wants it confirmed each time: no-cache"],
  request_no_cache:          ["RFC 9111 §5.2.1.4", "the client wants it confirmed: no-cache, or Pragma"],
  request_max_age:           ["RFC 9111 §5.2.1.1", "it is older than the client takes it: max-age"],
  request_min_fresh:         ["RFC 9111 §5.2.1.3", "it is not fresh for as long as the client wants: min-fresh"],
  request_no_store:          ["RFC 9111 §5.2.1.5", "it is not fresh, and the client wants no trace of what is fetched: no-store"],
  request_only_if_cached:    ["RFC 9111 §5.2.1.7", "the client wants no fetch, and nothing stored can answer: only-if-cached"],
  request_authorization:     ["RFC 9111 §3.5",    "the request says who its user is, and nothing says that what is stored is for everybody"],
  head_of_part:              ["RFC 9111 §3.3",    "only a part of the body is stored, and the request is for the head of the whole"],
  purged:                    ["cache purge",      "it was purged"],
  purged_soft:               ["cache purge",      "it was marked stale by a soft purge"],
  clock_went_back:           ["RFC 9111 §4.2.3",  "it comes from the future: the clock was set back, so its age is not known"],
  dry:                       ["dry run",          "what is stored is only counted"],
} as const satisfies Record<string, readonly [string, string]>;

export type RuleCode = keyof typeof ROWS;
