import { expect, test } from "bun:test";
import { CACHE, CACHE_BYPASS_REASONS, CACHE_REFUSE_REASONS } from "../observe/metrics.table.ts";
import { countRefused } from "./cache-counters.ts";
import type { Planned } from "./plan.ts";

const exchangeWith = (counters: Float64Array, cacheSlot: number) =>
  ({ plan: { route: { cacheSlot }, services: { counters } } }) as unknown as Planned;

const REFUSED: readonly [rule: Parameters<typeof countRefused>[1], reason: string][] = [
  ["private", "private"],
  ["set_cookie", "set_cookie"],
  ["asked_no_store", "no_store"],
  ["vary_star", "vary"],
  ["too_large", "size"],
  ["store_status", "status"],
  ["ttl_zero", "no_lifetime"],
  ["stale_on_arrival", "stale"],
  ["no_room", "no_room"],
  ["part_unknown", "other"],
];

for (const [rule, reason] of REFUSED) {
  test(`what is refused by ${rule} counts as ${reason}`, () => {
    const counters = new Float64Array(CACHE.slots);
    countRefused(exchangeWith(counters, 0), rule);
    const at = CACHE.at.refused + (CACHE_REFUSE_REASONS as readonly string[]).indexOf(reason);
    expect(counters[at]).toBe(1);
    expect(counters.reduce((sum, count) => sum + count, 0)).toBe(1);
  });
}

test("a route that does not cache counts nothing", () => {
  const counters = new Float64Array(CACHE.slots);
  countRefused(exchangeWith(counters, -1), "private");
  expect(counters.every((count) => count === 0)).toBe(true);
});

test("each list of reasons ends with one for all that has no name of its own", () => {
  expect([CACHE_BYPASS_REASONS.at(-1), CACHE_REFUSE_REASONS.at(-1)]).toEqual(["other", "other"]);
});
