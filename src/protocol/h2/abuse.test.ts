/** Abuse: a busy client lives, a flood does not. */
import { expect, test } from "bun:test";
import { AbuseMeter, COST } from "./abuse.ts";

type Rates = { readonly [what in keyof typeof COST]?: number };
const TICK_MS = 100;

/** A minute of a peer that does these things so many times a second. out  the second in which it was too much */
function minuteOf(rates: Rates, streamsDone = 0): number | undefined {
  const meter = new AbuseMeter();
  const perTick = TICK_MS / 1000;
  const costs = Object.entries(rates).flatMap(([what, rate]) =>
    Array.from({ length: rate * perTick }, () => COST[what as keyof typeof COST]),
  );
  for (let atMs = 0; atMs < 60_000; atMs += TICK_MS) {
    for (let done = streamsDone * perTick; done > 0; done--) meter.streamDone();
    if (costs.some((cost) => meter.isTooMuch(cost, 1000 + atMs))) return Math.floor(atMs / 1000);
  }
  return undefined;
}

const LIVES: readonly [who: string, rates: Rates, streamsDone: number][] = [
  ["cancels a few requests a second, and asks nothing else", { reset: 40 }, 0],
  ["cancels half of a thousand requests a second", { reset: 500 }, 500],
  ["pings a hundred times a second", { ping: 100 }, 0],
  ["sends a window update for every kilobyte of a fast download", { windowUpdate: 3000 }, 0],
  ["changes its settings now and then", { settings: 10 }, 0],
  ["reprioritises while a page loads", { emptyFrame: 150 }, 0],
];
for (const [who, rates, streamsDone] of LIVES) {
  test(`a client that ${who} lives`, () => {
    expect(minuteOf(rates, streamsDone)).toBeUndefined();
  });
}

const ENDS: readonly [what: string, rates: Rates, streamsDone: number, bySecond: number][] = [
  ["resets of all it asks for (CVE-2023-44487)", { reset: 1000 }, 0, 0],
  ["resets of nine of ten requests", { reset: 900 }, 100, 1],
  ["PING frames (CVE-2019-9512)", { ping: 10_000 }, 0, 0],
  ["SETTINGS frames (CVE-2019-9515)", { settings: 1000 }, 0, 0],
  ["empty frames (CVE-2019-9518)", { emptyFrame: 10_000 }, 0, 0],
  ["streams beyond the limit", { refused: 1000 }, 0, 0],
  ["unknown frames", { unknownFrame: 20_000 }, 0, 0],
];
for (const [what, rates, streamsDone, bySecond] of ENDS) {
  test(`a flood of ${what} ends within ${bySecond + 1} s`, () => {
    expect(minuteOf(rates, streamsDone)).toBeLessThanOrEqual(bySecond);
  });
}

test("no more is saved up than a burst", () => {
  const meter = new AbuseMeter();
  meter.isTooMuch(0, 1);
  for (let stream = 0; stream < 100_000; stream++) meter.streamDone();
  const events = Array.from({ length: 400 }, () => meter.isTooMuch(COST.reset, 3_600_000));
  expect(events.at(0)).toBe(false);
  expect(events.at(-1)).toBe(true);
});
