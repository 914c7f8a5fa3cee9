import { expect, test } from "bun:test";
import type { RouteCacheStatus } from "../admin/cache-status.ts";
import type { RouteStatus } from "../admin/status.ts";
import { cacheLines } from "./cache-text.ts";
import { NO_COLOURS } from "./terminal.ts";

const COUNTS: RouteCacheStatus = {
  hit: 60,
  stale: 10,
  revalidated: 5,
  miss: 20,
  bypass: 5,
  coalesced: 3,
  stored: 15,
  refused: 2,
  bytesFromCache: 3 * 1024 * 1024,
  bytesFromEndpoint: 1024 * 1024,
};
const route = (name: string, cache: RouteCacheStatus | undefined) => ({ name, cache }) as RouteStatus;
const tiers = [{ tier: "memory", usedBytes: 512, budgetBytes: 1024, objects: 7, evicted: 1 }] as const;
const cells = (lines: readonly string[]) => lines.map((line) => line.trim().split(/ {2,}/));

test("hits are those answered out of the store, of all requests of the route", () => {
  const lines = cacheLines({ cache: { tiers, purges: 0 }, routes: [route("site", COUNTS)] }, NO_COLOURS);
  expect(cells(lines).slice(0, 5)).toEqual([
    ["CACHE", "USED", "OF", "FULL", "RESPONSES", "EVICTED"],
    ["memory", "512 B", "1 KiB", "50 %", "7", "1"],
    [""],
    [
      "ROUTE",
      "HITS",
      "BYTES SAVED",
      "HIT",
      "STALE",
      "REVALIDATED",
      "MISS",
      "SHARED",
      "BYPASS",
      "STORED",
      "REFUSED",
    ],
    ["site", "75 %", "3 MiB 75 %", "60", "10", "5", "20", "3", "5", "15", "2"],
  ]);
});

test("the busiest route stands first, and those that do not cache nowhere", () => {
  const routes = [route("quiet", { ...COUNTS, hit: 1 }), route("plain", undefined), route("busy", COUNTS)];
  const lines = cells(cacheLines({ cache: { tiers, purges: 0 }, routes }, NO_COLOURS));
  expect(lines.slice(4).map(([name]) => name)).toEqual(["busy", "quiet"]);
});

test("a route that was never asked has no ratio, and without a cache there is nothing to say", () => {
  const none = Object.fromEntries(Object.keys(COUNTS).map((key) => [key, 0])) as unknown as RouteCacheStatus;
  const lines = cacheLines({ cache: { tiers, purges: 0 }, routes: [route("new", none)] }, NO_COLOURS);
  expect(cells(lines)[4]?.slice(0, 3)).toEqual(["new", "-", "0 B -"]);
  expect(cacheLines({ routes: [route("site", COUNTS)] }, NO_COLOURS)).toEqual([]);
});
