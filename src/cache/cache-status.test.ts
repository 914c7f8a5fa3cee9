import { describe, expect, test } from "bun:test";
import { type CacheOutcome, cacheStatusLine, hitStatusLine } from "./cache-status.ts";

const MISS: CacheOutcome = {
  forwarded: "uri-miss",
  endpointStatus: 0,
  ttlSec: undefined,
  isStored: false,
  isCollapsed: false,
  rule: undefined,
};

const rows: [rule: string, outcome: Partial<CacheOutcome>, value: string][] = [
  ["a hit (RFC 9211 §2.1)", { forwarded: undefined, ttlSec: 30 }, "weir; hit; ttl=30"],
  [
    "a stale hit has less than nothing left (§2.4)",
    { forwarded: undefined, ttlSec: -5, rule: "stale_while_revalidate" },
    "weir; hit; ttl=-5; detail=stale_while_revalidate",
  ],
  ["a miss (§2.2)", {}, "weir; fwd=uri-miss"],
  ["a miss that was stored (§2.5)", { isStored: true, ttlSec: 60 }, "weir; fwd=uri-miss; ttl=60; stored"],
  [
    "a validation, and what the endpoint said (§2.3)",
    { forwarded: "stale", endpointStatus: 304, isStored: true, ttlSec: 60 },
    "weir; fwd=stale; fwd-status=304; ttl=60; stored",
  ],
  ["another request's answer (§2.6)", { isCollapsed: true }, "weir; fwd=uri-miss; collapsed"],
  [
    "why (§2.8)",
    { forwarded: "bypass", rule: "request_no_store" },
    "weir; fwd=bypass; detail=request_no_store",
  ],
  [
    "a hit stores nothing and asks nobody",
    { forwarded: undefined, isStored: true, endpointStatus: 200, ttlSec: 1 },
    "weir; hit; ttl=1",
  ],
];

describe("Cache-Status", () => {
  test.each(rows)("%s", (_rule, outcome, value) => {
    expect(cacheStatusLine({ ...MISS, ...outcome })).toBe(`Cache-Status: ${value}\r\n`);
  });

  test("of a hit is the same however it is made", () => {
    for (const ttlSec of [0, 1, 4095, 4096, 1e9, -1, 1]) {
      expect(hitStatusLine(ttlSec)).toBe(cacheStatusLine({ ...MISS, forwarded: undefined, ttlSec }));
    }
  });
});
