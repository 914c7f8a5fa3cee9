import { describe, expect, test } from "bun:test";
import { bucketOf, bucketUpperMs, observe, quantileMs } from "./histogram.ts";
import { HISTOGRAM_BUCKETS, HISTOGRAM_SLOTS } from "./metrics.table.ts";

const LAST = HISTOGRAM_BUCKETS - 1;

describe("buckets", () => {
  const rows: [durationMs: number, bucket: number][] = [
    [Number.NaN, 0],
    [-1, 0],
    [0, 0],
    [0.0639, 0],
    [0.064, 1],
    [0.079, 1],
    [0.08, 2],
    [0.128, 5],
    [67_108, LAST - 1],
    [67_108.864, LAST],
    [1e12, LAST],
    [Number.POSITIVE_INFINITY, LAST],
  ];
  for (const [durationMs, bucket] of rows) {
    test(`${durationMs} ms belongs to bucket ${bucket}`, () => expect(bucketOf(durationMs)).toBe(bucket));
  }

  test("each holds the times from the bound before it up to its own", () => {
    for (let bucket = 0; bucket < LAST; bucket++) {
      const upper = bucketUpperMs(bucket);
      expect(bucketOf(upper - 0.001)).toBe(bucket);
      expect(bucketOf(upper)).toBe(bucket + 1);
      expect(bucketUpperMs(bucket + 1)).toBeGreaterThan(upper);
    }
    expect(bucketUpperMs(LAST)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("quantiles", () => {
  test("are 0 when nothing was observed, and touch no slot beside their own", () => {
    const slots = new Float64Array(HISTOGRAM_SLOTS + 2);
    expect(quantileMs(slots, 1, 0.99)).toBe(0);
    for (const ms of [0, 1, 1e9]) observe(slots, 1, ms);
    expect([slots[0], slots[HISTOGRAM_SLOTS + 1]]).toEqual([0, 0]);
  });

  test("are within a bucket's width, a quarter of an octave, at any size", () => {
    for (const scale of [0.1, 1, 100, 10_000]) {
      const slots = new Float64Array(HISTOGRAM_SLOTS);
      for (let step = 1; step <= 1000; step++) observe(slots, 0, (step * scale) / 200);
      for (const quantile of [0.5, 0.95, 0.99]) {
        const exact = 1000 * quantile * (scale / 200);
        if (exact > 0.08) expect(Math.abs(quantileMs(slots, 0, quantile) - exact) / exact).toBeLessThan(0.1);
      }
    }
  });

  test("beyond the last bound are that bound", () => {
    const slots = new Float64Array(HISTOGRAM_SLOTS);
    observe(slots, 0, 1e9);
    expect(quantileMs(slots, 0, 0.5)).toBe(67_108.864);
  });
});
