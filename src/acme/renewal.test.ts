import { expect, test } from "bun:test";
import { backoffMs, pollMs, renewAtMs, restMs } from "./renewal.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3600_000;
const life = (days: number, chance = 0) => ({ notBeforeMs: 0, notAfterMs: days * DAY_MS, chance });

test("without advice a certificate is renewed at two thirds of its life, up to a twentieth sooner", () => {
  expect(renewAtMs(life(90), undefined)).toBe(60 * DAY_MS);
  expect(renewAtMs(life(90, 0.999), undefined)).toBeGreaterThan(55 * DAY_MS);
  expect(renewAtMs(life(6), undefined)).toBe(4 * DAY_MS);
});

const WINDOWS: readonly [what: string, window: [number, number], chance: number, atDays: number][] = [
  ["its first moment", [10, 12], 0, 10],
  ["a moment within", [10, 12], 0.5, 11],
  ["cut at the end of the certificate", [80, 200], 0.5, 85],
  ["past the end: no authority means that", [91, 95], 0, 60],
];
for (const [what, [start, end], chance, atDays] of WINDOWS) {
  test(`a suggested window: ${what} (RFC 9773 §4.2)`, () => {
    const window = { startMs: start * DAY_MS, endMs: end * DAY_MS };
    expect(renewAtMs(life(90, chance), window)).toBe(atDays * DAY_MS);
  });
}

test("the wait after failures doubles from a minute to a day, with full jitter and never less than 15 seconds", () => {
  expect([1, 2, 3, 30, 3000].map((failures) => backoffMs(failures, 1, undefined) / 60_000)).toEqual([
    1, 2, 4, 1440, 1440,
  ]);
  for (const failures of [1, 5, 50]) expect(backoffMs(failures, 0, undefined)).toBe(15_000);
});

test("near the end of a certificate waits are shorter, so that tries remain", () => {
  expect(backoffMs(50, 1, 4 * DAY_MS)).toBe(12 * HOUR_MS);
  expect(backoffMs(50, 1, HOUR_MS)).toBe(HOUR_MS);
  expect(backoffMs(50, 1, -DAY_MS)).toBe(HOUR_MS);
});

test("renewal information is asked for as often as the authority says, within ten minutes and a day", () => {
  expect([0, 1, 3 * HOUR_MS, 100 * DAY_MS].map(pollMs)).toEqual([6 * HOUR_MS, 600_000, 3 * HOUR_MS, DAY_MS]);
});

test("a new certificate is left alone for a quarter of what is left of it, within a minute and a day", () => {
  expect([90 * DAY_MS, 4 * HOUR_MS, 0, -DAY_MS].map(restMs)).toEqual([DAY_MS, HOUR_MS, 60_000, 60_000]);
});
