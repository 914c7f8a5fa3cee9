/**
 * Reuse: may a stored response answer this request, and how?
 *
 * in     what the request says (in Cache-Control as far as the route heeds it), the stored response, what purges say of it
 * out    a ReuseVerdict with the row of the rule that decided
 * rule   what forbids comes before what allows: the response's own word (no-cache, must-revalidate) is above the client's
 *        (max-stale), and both are above the route's defaults, which are in the facts
 * never  look at Vary or at ranges: whoever found the response under its key has
 * cost   a few compares and one small object
 * spec   RFC 9111 §3.5, §4.2, §4.2.4, §5.2; RFC 5861 §3, §4; RFC 8246 §2
 */
import type { RequestDirectives } from "./directives.ts";
import type { RuleCode } from "./rules.table.ts";
import {
  ageOf,
  DRY,
  IMMUTABLE,
  MUST_REVALIDATE,
  NO_CACHE,
  PARTIAL,
  SHAREABLE,
  type StoredFacts,
} from "./stored.ts";
import type { ReuseVerdict, Use } from "./verdict.ts";

export interface ReuseRequest {
  readonly method: string;
  /** NO_DIRECTIVES where the route does not heed clients. */
  readonly directives: RequestDirectives;
  /** It says who its user is: what is stored must be for everybody. */
  readonly isAuthorized: boolean;
}

/** What the purge board says. */
export type PurgeState = "alive" | "stale" | "gone";

/** A clock is set back by seconds all the time; by more, nothing is known of how old a response is. */
const CLOCK_TOLERANCE_MS = 60_000;
const NEVER_STALE = MUST_REVALIDATE | NO_CACHE;

type Choice = readonly [use: Use, rule: RuleCode];
const FRESH: Choice = ["fresh", "fresh"];

export function judgeReuse(
  request: ReuseRequest,
  { facts }: { readonly facts: StoredFacts },
  state: PurgeState,
  nowMs: number,
): ReuseVerdict {
  const { directives } = request;
  const leftMs = facts.lifetimeMs - ageOf(facts, nowMs);
  const [use, rule] =
    whyUnfit(request, facts, state) ??
    whyUnproven(directives, facts, nowMs) ??
    judgeTime(directives, facts, state, leftMs) ??
    FRESH;
  const ttlSec = Math.floor((state === "alive" ? leftMs : Math.min(leftMs, 0)) / 1000);
  if (use === "fresh") return { use, rule, mayServeOnError: true, ttlSec };
  const mayServeOnError = use !== "miss" && maySurvive(directives, facts, leftMs);
  return { ...settle(use, rule, directives), mayServeOnError, ttlSec };
}

/** Nothing can be done with it. */
function whyUnfit(
  { method, isAuthorized }: ReuseRequest,
  { flags }: StoredFacts,
  state: PurgeState,
): Choice | undefined {
  if (state === "gone") return ["miss", "purged"];
  if ((flags & DRY) !== 0) return ["miss", "dry"];
  // what nobody called fit for all may differ for those who are known
  if (isAuthorized && (flags & SHAREABLE) === 0) return ["miss", "request_authorization"];
  return method === "HEAD" && (flags & PARTIAL) !== 0 ? ["miss", "head_of_part"] : undefined;
}

/** Fresh or not, it has to be confirmed first. */
function whyUnproven(directives: RequestDirectives, facts: StoredFacts, nowMs: number): Choice | undefined {
  if ((facts.flags & NO_CACHE) !== 0) return ["validate", "response_no_cache"];
  if (directives.noCache) return ["validate", "request_no_cache"];
  const isFromTheFuture = facts.respondedAtMs > nowMs + CLOCK_TOLERANCE_MS;
  return isFromTheFuture ? ["validate", "clock_went_back"] : undefined;
}

/** out  undefined when it is fresh, and fresh enough for the client */
function judgeTime(
  { maxAgeSec, minFreshSec, maxStaleSec }: RequestDirectives,
  facts: StoredFacts,
  state: PurgeState,
  leftMs: number,
): Choice | undefined {
  const ageMs = facts.lifetimeMs - leftMs;
  const isFresh = leftMs > 0 && state === "alive";
  // RFC 8246 §2.1: a reload need not ask for what never changes
  const isReload = isFresh && (facts.flags & IMMUTABLE) !== 0;
  if (maxAgeSec !== -1 && !isReload && (ageMs > maxAgeSec * 1000 || maxAgeSec === 0)) {
    return ["validate", "request_max_age"];
  }
  if (minFreshSec !== -1 && (state === "stale" || leftMs < minFreshSec * 1000)) {
    return ["validate", "request_min_fresh"];
  }
  if (isFresh) return undefined;
  if ((facts.flags & MUST_REVALIDATE) !== 0) return ["validate", "must_revalidate"];
  const staleMs = Math.max(0, -leftMs);
  if (maxStaleSec !== -1 && staleMs <= maxStaleSec * 1000) return ["fresh", "request_max_stale"];
  if (facts.staleWhileRevalidateMs > 0 && staleMs <= facts.staleWhileRevalidateMs) {
    return ["stale_refresh", "stale_while_revalidate"];
  }
  return ["validate", state === "stale" ? "purged_soft" : "stale"];
}

/** May it stand in for an endpoint that fails (RFC 5861 §4)? Not where its origin or the client wants to be sure. */
function maySurvive(
  { noCache, staleIfErrorSec }: RequestDirectives,
  facts: StoredFacts,
  leftMs: number,
): boolean {
  if ((facts.flags & NEVER_STALE) !== 0 || noCache) return false;
  return -leftMs <= Math.max(facts.staleIfErrorMs, staleIfErrorSec * 1000, 0);
}

/** What needs an endpoint is not for who wants none, and leaves no trace where the client wants none. */
function settle(
  use: Use,
  rule: RuleCode,
  { onlyIfCached, noStore }: RequestDirectives,
): { use: Use; rule: RuleCode } {
  if (use === "stale_refresh") return { use, rule };
  if (onlyIfCached) return { use: "miss", rule: "request_only_if_cached" };
  if (noStore) return { use: "miss", rule: "request_no_store" };
  return { use, rule };
}
