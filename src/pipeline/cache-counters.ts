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

/** By the kind of rule; the rule itself is in the log. */
function refusalOf(rule: RuleCode | CacheRefuseReason): CacheRefuseReason {
  return (CACHE_REFUSE_REASONS as readonly string[]).includes(rule) ? (rule as CacheRefuseReason) : "other";
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
  bypass_steering: "steering",
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
