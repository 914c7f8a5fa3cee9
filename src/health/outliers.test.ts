import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { errorOutliers, type Figures, latencyOutliers, MIN_REQUESTS } from "./outliers.ts";

const RULES = { errorRate: 0.2, latencyFactor: 3 };
const figures = (requests: number[], errors: number[], latencyMs: number[] = []): Figures => ({
  requests: Float64Array.from(requests),
  errors: Float64Array.from(errors),
  latencyMs: Float64Array.from({ length: requests.length }, (_, index) => latencyMs[index] ?? 0),
});
/** What was found before must not stay. */
const staleMarks = (count: number) => new Uint8Array(count).fill(1);

type ErrorRow = readonly [rule: string, requests: number[], errors: number[], found: number[]];
const ERROR_ROWS: readonly ErrorRow[] = [
  ["one that fails every second request", [500, 500, 500, 500], [250, 0, 1, 0], [1, 0, 0, 0]],
  ["two of four that fail do not hide each other", [500, 500, 500, 500], [500, 500, 0, 0], [1, 1, 0, 0]],
  ["of two the one that fails", [100, 100], [60, 1], [1, 0]],
  ["nobody when all fail: the fault is elsewhere", [500, 500, 500], [400, 450, 500], [0, 0, 0]],
  ["nobody below the rate", [500, 500, 500, 500], [90, 0, 0, 0], [0, 0, 0, 0]],
  ["exactly at the rate", [500, 500, 500, 500], [100, 0, 0, 0], [1, 0, 0, 0]],
  ["too few requests say nothing of an endpoint", [MIN_REQUESTS - 1, 500], [19, 0], [0, 0]],
  ["nor may they be what the others are measured by", [500, MIN_REQUESTS - 1], [500, 0], [0, 0]],
  ["one alone is compared with nobody", [500], [500], [0]],
  ["no endpoint at all", [], [], []],
  ["where the others vary much, a little more is none", [500, 500, 500], [105, 0, 95], [0, 0, 0]],
  ["more errors than requests count as all of them", [500, 500], [900, 0], [1, 0]],
];
for (const [rule, requests, errors, wanted] of ERROR_ROWS) {
  test(`errors: ${rule}`, () => {
    const found = staleMarks(requests.length);
    expect(errorOutliers(figures(requests, errors), RULES, found)).toBe(wanted.filter(Boolean).length);
    expect([...found]).toEqual(wanted);
  });
}

type LatencyRow = readonly [rule: string, latencyMs: number[], found: number[], requests?: number[]];
const LATENCY_ROWS: readonly LatencyRow[] = [
  ["one 50 times slower", [500, 10, 11, 9], [1, 0, 0, 0]],
  ["two of four that are slow do not hide each other", [500, 480, 10, 10], [1, 1, 0, 0]],
  ["of two the slower one", [10, 500], [0, 1]],
  ["exactly the factor", [90, 30, 30], [1, 0, 0]],
  ["below the factor", [89, 30, 30], [0, 0, 0]],
  ["many times slower, but by a few milliseconds", [5, 0.2, 0.2], [0, 0, 0]],
  ["nothing measured is not fast", [500, 0, 0], [0, 0, 0]],
  ["too few requests say nothing", [500, 10, 10], [0, 0, 0], [MIN_REQUESTS - 1, 500, 500]],
  ["one alone is compared with nobody", [500], [0]],
  ["of two fast ones and one slow the median is fast", [10, 300, 12], [0, 1, 0]],
];
for (const [rule, latencyMs, wanted, requests = latencyMs.map(() => 500)] of LATENCY_ROWS) {
  test(`latency: ${rule}`, () => {
    const found = staleMarks(latencyMs.length);
    const none = requests.map(() => 0);
    const count = latencyOutliers(figures(requests, none, latencyMs), RULES, found);
    expect([count, ...found]).toEqual([wanted.filter(Boolean).length, ...wanted]);
  });
}

test("what is switched off finds nobody", () => {
  const off = { errorRate: 0, latencyFactor: 0 };
  const all = figures([500, 500], [500, 0], [500, 1]);
  const found = staleMarks(2);
  expect([errorOutliers(all, off, found), ...found]).toEqual([0, 0, 0]);
  expect([latencyOutliers(all, off, staleMarks(2))]).toEqual([0]);
});

test("hours of ordinary noise among four eject nobody; a sick one is found in its first window", () => {
  const chance = new Chance(11);
  const noisy = (errorShare: number) => {
    let errors = 0;
    for (let request = 0; request < 200; request++) if (chance.isTrue(errorShare)) errors++;
    return errors;
  };
  const found = new Uint8Array(4);
  for (let second = 0; second < 2000; second++) {
    const errors = [noisy(0.02), noisy(0.02), noisy(0.02), noisy(0.02)];
    const latencyMs = errors.map(() => 8 + 8 * chance.next());
    expect(errorOutliers(figures([200, 200, 200, 200], errors), RULES, found)).toBe(0);
    expect(latencyOutliers(figures([200, 200, 200, 200], errors, latencyMs), RULES, found)).toBe(0);
  }
  errorOutliers(
    figures([200, 200, 200, 200], [noisy(0.02), noisy(0.5), noisy(0.02), noisy(0.02)]),
    RULES,
    found,
  );
  expect([...found]).toEqual([0, 1, 0, 0]);
});
