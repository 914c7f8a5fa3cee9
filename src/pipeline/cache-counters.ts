/**
 * Cache counters: what the cache did, in this worker's row of the zone.
 */

import type { RuleCode } from "../cache/rules.table.ts";
import {
  CACHE,
  CACHE_BYPASS_REASONS,
  CACHE_DRY_RESULTS,
  CACHE_REFUSE_REASONS,
  CACHE_RESULTS,
  CACHE_STALE_REASONS,
  type CacheBypassReason,
  type CacheRefuseReason,
} from "../observe/metrics.table.ts";
import type { Planned } from "./plan.ts";

const AT = CACHE.at;
const [FROM_CACHE, FROM_ENDPOINT] = [0, 1];

function add({ plan }: Planned, offset: number, amount = 1): void {
  const slot = plan.route?.cacheSlot ?? -1;
  if (slot === -1) return;
  const { counters } = plan.services;
  const at = slot + offset;
  counters[at] = (counters[at] as number) + amount;
}

/** Rules that are told by another word than their own. */
const REFUSALS: Partial<Record<RuleCode, CacheRefuseReason>> = {
  store_method: "method",
  store_status: "status",
  must_understand: "status",
  asked_no_store: "no_store",
  vary_star: "vary",
  type_mismatch: "type",
  part_too_large: "size",
  too_small: "size",
  too_large: "size",
  ttl_zero: "no_lifetime",
  cookie_guess: "no_lifetime",
  no_validator: "no_lifetime",
  stale_on_arrival: "stale",
};

/** By the kind of rule; the rule itself is in the log. */
function refusalOf(rule: RuleCode | CacheRefuseReason): CacheRefuseReason {
  const known = CACHE_REFUSE_REASONS.find((reason) => reason === rule);
  return known ?? REFUSALS[rule as RuleCode] ?? "other";
}

export function countRefused(exchange: Planned, rule: RuleCode | CacheRefuseReason): void {
  add(exchange, AT.refused + CACHE_REFUSE_REASONS.indexOf(refusalOf(rule)));
}

export const countStored = (exchange: Planned) => add(exchange, AT.stored);
export const countRefresh = (exchange: Planned) => add(exchange, AT.refreshes);

/** What would have been, in a dry run. */
export const countDry = (exchange: Planned, result: (typeof CACHE_DRY_RESULTS)[number]) =>
  add(exchange, AT.dry + CACHE_DRY_RESULTS.indexOf(result));

const BYPASSES: Partial<Record<RuleCode, CacheBypassReason>> = {
  bypass_method: "method",
  bypass_body: "body",
  bypass_upgrade: "upgrade",
  bypass_steering: "steering",
  bypass_precondition: "precondition",
  bypass_rule: "rule",
};

/** The exchange is over: what did the cache do for it? */
export function countCache(exchange: Planned): void {
  const { cache: note } = exchange.plan;
  if (note === undefined) return;
  add(exchange, AT.requests + CACHE_RESULTS.indexOf(note.result));
  if (note.result === "bypass")
    add(exchange, AT.bypassed + CACHE_BYPASS_REASONS.indexOf(BYPASSES[note.rule] ?? "other"));
  if (note.isCollapsed) add(exchange, AT.coalesced);
  if (note.result === "stale") add(exchange, AT.stale + staleReason(note.rule));
  const isSaved = note.result !== "miss" && note.result !== "bypass";
  add(exchange, AT.bytes + ((isSaved ? FROM_CACHE : FROM_ENDPOINT) as number), exchange.bytesSent);
}

function staleReason(rule: RuleCode): number {
  const reason =
    rule === "stale_while_revalidate" ? "refresh" : rule === "stale_if_error" ? "error" : "client";
  return CACHE_STALE_REASONS.indexOf(reason);
}
