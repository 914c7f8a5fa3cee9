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
  validated:                 ["RFC 9111 §4.3.3",  "the endpoint says that what is stored still holds"],
  stale_if_error:            ["RFC 5861 §4",      "it is stale, and answers because the endpoint fails"],

  unshared:                  ["RFC 9111 §3",      "its last answers could not be stored: most requests pass, one in eight is judged"],
  min_uses:                  ["cache.minUses",    "it has not been asked for often enough to be stored"],

  // why the cache is not asked (cache-rules.ts)
  bypass_method:             ["RFC 9111 §2",      "the cache answers GET and HEAD only"],
  bypass_body:               ["RFC 9110 §9.3.1",  "the request has a body, which is not part of the key"],
  bypass_upgrade:            ["RFC 9110 §7.8",    "the request asks for another protocol"],
  bypass_steering:           ["RFC 9111 §7.1",    "the request names another method or URL than its own: X-HTTP-Method-Override, X-Original-URL and such"],
  bypass_precondition:       ["RFC 9111 §4.3.2",  "the request has a condition that only the origin can judge: If-Match, If-Unmodified-Since, Expect"],
  bypass_rule:               ["cache.bypass",     "a condition of the route holds"],

  // why a response is stored (storable.ts)
  s_maxage:                  ["RFC 9111 §5.2.2.10", "s-maxage says how long it is fresh"],
  max_age:                   ["RFC 9111 §5.2.2.1", "max-age says how long it is fresh"],
  expires:                   ["RFC 9111 §5.3",    "Expires says until when it is fresh"],
  route_ttl:                 ["cache.ttl",        "the origin does not say how long it is fresh, the route's ttl does"],
  route_ttl_override:        ["cache.override",   "the route's ttl goes before what the origin says"],
  heuristic:                 ["RFC 9111 §4.2.2",  "nobody says how long it is fresh: a guess by its Last-Modified"],
  validate_each_time:        ["RFC 9111 §5.2.2.4", "it is stored, and confirmed by the origin before each use"],

  // why a response is not stored (storable.ts)
  store_method:              ["RFC 9111 §3",      "responses to this method are not stored"],
  store_status:              ["RFC 9111 §3",      "this status answers one request only, or no cache may store it"],
  must_understand:           ["RFC 9111 §5.2.2.3", "must-understand, and the status is not one we know"],
  asked_no_store:            ["RFC 9111 §5.2.1.5", "the request says no-store"],
  no_store:                  ["RFC 9111 §5.2.2.5", "the response says no-store"],
  private:                   ["RFC 9111 §5.2.2.7", "the response is private: for one user"],
  request_body:              ["RFC 9111 §2",      "the request has a body, which is not part of the key"],
  authorization:             ["RFC 9111 §3.5",    "the request says who its user is, and nothing says that others may see the answer"],
  set_cookie:                ["RFC 9111 §7.3",    "the response sets a cookie: it may be one user's"],
  vary_star:                 ["RFC 9111 §4.1",    "it depends on what no request shows: Vary: *, the client's address, or more fields than can be compared"],
  type_mismatch:             ["RFC 9111 §7.2",    "its type does not fit the end of its path: it may be another page than its name says"],
  part_unknown:              ["RFC 9111 §3.3",    "it is a part, and does not say of what in a way that can be kept"],
  part_too_large:            ["RFC 9111 §3.3",    "it is a part, and larger than parts are kept: whole bodies and slices are"],
  too_many_tags:             ["cache purge",      "it has more tags or groups, or longer ones, than are kept: a purge could miss it"],
  too_small:                 ["cache.minSize",    "it is smaller than what the route stores"],
  too_large:                 ["cache.maxSize",    "it is larger than what the route stores"],
  no_lifetime:               ["RFC 9111 §3",      "nobody says how long it is fresh, and there is nothing to guess by"],
  ttl_zero:                  ["cache.ttl",        "the route's ttl for this status is 0"],
  cookie_guess:              ["RFC 9111 §4.2.2",  "the request carries a cookie and nobody says how long the answer is fresh: no guess is made"],
  no_validator:              ["RFC 9111 §4.3.1",  "it may only be used once confirmed, and has no validator to ask with"],
  stale_on_arrival:          ["RFC 9111 §4.2.3",  "it is older than its lifetime when it comes, and has no validator"],
} as const satisfies Record<string, readonly [string, string]>;

export type RuleCode = keyof typeof ROWS;

/** Where the rule is written: a section, or a key of the configuration. */
export const ruleSource = (code: RuleCode): string => ROWS[code][0];
/** What it says, as half a sentence. */
export const ruleText = (code: RuleCode): string => ROWS[code][1];
