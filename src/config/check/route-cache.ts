/**
 * Route cache: what a route keeps, and for how long: its policy with every default filled in.
 *
 * rule   what contradicts itself is an error; what may give one person's page to another is a warning
 *        (`cache-warnings.ts`)
 */
import type { CacheKeyPolicy, CachePolicy, CacheVaryPolicy } from "../../cache/policy.ts";
import type { RouteMatch } from "../../route/match.ts";
import type { Action } from "../config.ts";
import { CACHE_KEY, CACHE_VARY, ROUTE_CACHE } from "../options/cache.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import type { Place } from "../problem.ts";
import { warnOfCache } from "./cache-warnings.ts";

type WrittenCache = Written<typeof ROUTE_CACHE>;

interface CacheNeeds {
  readonly action: Action["kind"];
  readonly match: RouteMatch;
}

/** `place` is the route's own: parts may come from its policies. */
export function checkRouteCache(
  written: WrittenCache | undefined,
  place: Place,
  { action, match }: CacheNeeds,
): CachePolicy | undefined {
  if (written === undefined || written.enabled === false) return undefined;
  const at = place.key("cache");
  if (action !== "proxy") {
    const hint = "Remove it: the answer costs no endpoint anything.";
    // a policy is for many routes, and holds where it can
    if (place.has("cache"))
      at.error(`only what endpoints answer is cached, and this route has \`${action}\``, hint);
    return undefined;
  }
  const policy = toCachePolicy(written);
  refuseContradictions(policy, at);
  warnOfCache({ policy, match, place: at });
  return policy;
}

/** Of a mapping that says nothing, every default. */
export function toCachePolicy(written: WrittenCache): CachePolicy {
  const filled = withDefaults(ROUTE_CACHE, written);
  return {
    isDry: filled.dryRun,
    ttlMs: filled.ttl ?? {},
    overridesOrigin: filled.override,
    minTtlMs: filled.minTtl,
    maxTtlMs: filled.maxTtl,
    heuristic: filled.heuristic,
    staleWhileRevalidateMs: filled.staleWhileRevalidate ?? -1,
    staleIfErrorMs: filled.staleIfError ?? -1,
    staleOn: [...new Set(filled.staleOn)],
    keepMs: filled.keep,
    jitter: filled.jitter,
    key: toKey(written.key),
    vary: toVary(written.vary),
    bypass: filled.bypass,
    minUses: filled.minUses,
    minBytes: filled.minSize,
    maxBytes: filled.maxSize,
    ignore: [...new Set(filled.ignore)],
    heedsClient: filled.clientDirectives === "heed",
    coalesceMs: filled.coalesce,
    sliceBytes: filled.slice,
    status: filled.status,
  };
}

function toKey(written: WrittenCache["key"]): CacheKeyPolicy {
  const { query, sort, headers, cookies, device, languages, host } = withDefaults(CACHE_KEY, written);
  return {
    query,
    sortQuery: sort,
    headers: [...new Set(headers)],
    cookies: [...new Set(cookies)],
    device,
    languages: [...new Set(languages)],
    host: host?.toLowerCase(),
  };
}

function toVary(written: WrittenCache["vary"]): CacheVaryPolicy {
  const { encoding, languages, ignore } = withDefaults(CACHE_VARY, written);
  return { encoding, languages: [...new Set(languages)], ignore: [...new Set(ignore)] };
}

function refuseContradictions(policy: CachePolicy, place: Place): void {
  const { minTtlMs, maxTtlMs, minBytes, maxBytes, overridesOrigin, ttlMs } = policy;
  if (maxTtlMs > 0 && minTtlMs > maxTtlMs) {
    place.key("minTtl").error("it is longer than `maxTtl`", "Make `maxTtl` the longer of the two.");
  }
  if (minBytes > maxBytes) {
    place.key("minSize").error("it is larger than `maxSize`", "Make `maxSize` the larger of the two.");
  }
  if (overridesOrigin && Object.keys(ttlMs).length === 0) {
    place
      .key("override")
      .error("there is no `ttl` that could win over what the endpoint says", "Add `ttl: 60s`.");
  }
}
