/**
 * The campaign's figures are what their names say.
 */
import { expect, test } from "bun:test";
import { quantile, recoveryMs, returned, troubles, usualP99, within } from "./measure.ts";
import type { Sample } from "./steady-load.ts";

const START_MS = 1_000_000;
const sample = (atMs: number, tookMs: number, trouble = ""): Sample => ({
  dueAtMs: START_MS + atMs,
  tookMs,
  trouble,
});
/** A request each 10 ms. */
const steady = (fromMs: number, toMs: number, tookMs: number): Sample[] =>
  Array.from({ length: (toMs - fromMs) / 10 }, (_, index) => sample(fromMs + index * 10, tookMs));

test("quantiles are of right answers only", () => {
  const samples = [sample(0, 1), sample(1, 2), sample(2, 3), sample(3, 4), sample(4, 9000, "status 503")];
  expect(quantile(samples, 0.5)).toBe(2);
  expect(quantile(samples, 0.99)).toBe(4);
  expect(quantile([], 0.5)).toBe(0);
});

test("a span has its beginning and not its end", () => {
  const span = { fromMs: START_MS, toMs: START_MS + 10 };
  expect(within([sample(-1, 1), sample(0, 1), sample(10, 1)], span)).toHaveLength(1);
});

test("troubles are counted, the most frequent first", () => {
  const samples = [sample(0, 1), sample(0, 1, "x"), sample(0, 1, "y"), sample(0, 1, "y")];
  expect(troubles(samples)).toEqual([
    ["y", 2],
    ["x", 1],
  ]);
});

test("one bad half-second does not change the usual p99", () => {
  const samples = [...steady(0, 500, 5), ...steady(500, 1000, 400), ...steady(1000, 2500, 6)];
  expect(usualP99(samples, { fromMs: START_MS, toMs: START_MS + 2500 })).toBe(6);
});

test.each([
  ["at once", [steady(0, 3000, 5)], 0],
  ["after a bad second", [steady(0, 1000, 200), steady(1000, 3000, 5)], 1000],
  [
    "not for half a second between two bad ones",
    [steady(0, 500, 200), steady(500, 1000, 5), steady(1000, 3000, 200)],
    undefined,
  ],
  ["not while nothing is answered", [steady(0, 500, 200)], undefined],
] as const)("p99 is back %s", (_, parts, expected) => {
  const span = { fromMs: START_MS, toMs: START_MS + 3000 };
  expect(recoveryMs(parts.flat(), span, 10)).toBe(expected);
});

/** Tenths of seconds from `from`, each with what a function of the time since says. */
const tenths = (from: number, length: number, count: (sinceMs: number) => number) =>
  new Map(Array.from({ length }, (_, index) => [from + index, count(index * 100 + 50)]));

test("an endpoint that follows the curve is not off it, one that takes all at once is", () => {
  const first = START_MS / 100;
  const span = { fromMs: START_MS, toMs: START_MS + 10_000 };
  const others = [1, 2, 3].map(() => tenths(first, 100, () => 50));
  const slowly = tenths(first + 10, 90, (sinceMs) => 50 * Math.min(1, Math.max(0.1, sinceMs / 5000)));
  const found = returned(span, slowly, others, 5000);
  expect(found.afterMs).toBe(1000);
  expect(found.deviation).toBeCloseTo(0, 5);
  expect(found.taken[2]).toBeCloseTo(0.5, 5);
  const atOnce = returned(
    span,
    tenths(first, 100, () => 50),
    others,
    5000,
  );
  expect(atOnce.deviation).toBeGreaterThan(0.8);
  expect(returned(span, new Map(), others, 5000).afterMs).toBeUndefined();
  // what was under way when the fault ended is no return
  const late = new Map([[first, 9], [first + 1, 9], ...tenths(first + 40, 60, () => 50)]);
  expect(returned(span, late, others, 5000).afterMs).toBe(4000);
});
