import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { SHED_NUMBER, SHED_RULES, SHED_TICK_MS, Shedder } from "./shedding.ts";

const { high, normal, low } = SHED_NUMBER;
const CALM = 0;
const HIGHEST_CHANCE = 0.999_999;

const askAll = (shedder: Shedder) => {
  for (const priority of [high, normal, low]) shedder.admits(priority, 0);
};
/** Ticks with the same lag, while requests of all priorities come. */
const under = (shedder: Shedder, lagMs: number, ticks: number) => {
  for (let tick = 0; tick < ticks; tick++) {
    askAll(shedder);
    shedder.noteLag(lagMs);
    shedder.tick();
  }
  return shedder;
};
const admitsAll = (shedder: Shedder) =>
  [high, normal, low].map((priority) => shedder.admits(priority, HIGHEST_CHANCE));

test("without pressure everybody passes", () => {
  const shedder = under(new Shedder(), CALM, 10);
  expect([shedder.level, ...admitsAll(shedder)]).toEqual([0, true, true, true]);
});

test("under pressure low goes first, then normal, and of high a few always pass", () => {
  const shedder = new Shedder();
  const stages = new Set<string>();
  for (let tick = 0; tick < 60; tick++) {
    under(shedder, 50, 1);
    stages.add(admitsAll(shedder).map(Number).join(""));
  }
  expect([...stages]).toEqual(["110", "100", "000"]);
  expect([shedder.admits(low, 0), shedder.admits(normal, 0), shedder.admits(high, 0)]).toEqual([
    false,
    false,
    true,
  ]);
  expect(shedder.level).toBeLessThan(3);
});

test("the farther beyond the bound, the faster it acts", () => {
  expect(under(new Shedder(), 100, 1).level).toBeGreaterThan(under(new Shedder(), 30, 1).level * 3);
  expect(under(new Shedder(), 1e9, 1).level).toBe(0.95);
});

const SIGNALS: readonly (readonly [cause: string, note: (shedder: Shedder) => void])[] = [
  ["loop_lag", (shedder) => shedder.noteLag(SHED_RULES.loopLagMs * 1.5)],
  ["memory", (shedder) => shedder.noteMemory(SHED_RULES.memoryShare * 1.1)],
  ["queue_delay", (shedder) => shedder.noteWait(SHED_RULES.queueDelayMs * 1.5)],
];
for (const [cause, note] of SIGNALS) {
  test(`${cause} beyond its bound turns low priority away, and is named`, () => {
    const shedder = new Shedder();
    note(shedder);
    askAll(shedder);
    shedder.tick();
    expect([shedder.cause as string, shedder.admits(low, HIGHEST_CHANCE)]).toEqual([cause, false]);
    expect(shedder.admits(normal, HIGHEST_CHANCE)).toBe(true);
  });
}

test("one long pause among good measurements is no overload, nor is one long wait", () => {
  const shedder = new Shedder();
  for (const lagMs of [900, 1, 2]) shedder.noteLag(lagMs);
  for (const waitMs of [3000, 4]) shedder.noteWait(waitMs);
  shedder.tick();
  expect(shedder.level).toBe(0);
});

test("what was noted before a tick does not count after it", () => {
  const shedder = under(new Shedder(), 100, 1);
  const { level } = shedder;
  shedder.tick();
  expect(shedder.level).toBeLessThan(level);
});

test("a priority that nobody uses is passed over, and none when nobody asks at all", () => {
  const shedder = new Shedder();
  shedder.admits(normal, 0);
  shedder.noteLag(50);
  shedder.tick();
  expect(admitsAll(shedder)).toEqual([true, false, false]);
  const idle = new Shedder();
  idle.noteLag(50);
  idle.tick();
  expect(admitsAll(idle)).toEqual([true, true, false]);
});

test("while the pressure is falling already nothing more is cut", () => {
  const shedder = under(new Shedder(), 400, 1);
  const { level } = shedder;
  expect([under(shedder, 200, 1).level, under(shedder, 100, 1).level]).toEqual([level, level]);
  expect(under(shedder, 95, 1).level).toBeGreaterThan(level);
});

test("between release and bound nothing changes: it does not swing", () => {
  const shedder = under(new Shedder(), 100, 3);
  const { level } = shedder;
  expect(under(shedder, SHED_RULES.loopLagMs * 0.85, 50).level).toBe(level);
});

test("when the pressure is gone all of normal pass within 1.5 s, and then all of low within 1 s more", () => {
  const shedder = new Shedder();
  while (shedder.level < 1.9) under(shedder, 100, 1);
  under(shedder, CALM, 1500 / SHED_TICK_MS);
  expect(shedder.admits(normal, HIGHEST_CHANCE)).toBe(true);
  under(shedder, CALM, 1000 / SHED_TICK_MS);
  expect([shedder.level, ...admitsAll(shedder)]).toEqual([0, true, true, true]);
});

const ADMITTED_MS = 1;
const REFUSED_MS = 0.01;
/** Ready sockets that one turn of a loop takes at most. */
const BATCH = 1024;

/**
 * One processor with an event loop: each turn takes what is ready, admits or refuses it, then runs its timers. An answer
 * is good within 100 ms of the arrival of its request.
 */
function simulate(requestsPerMs: (atMs: number) => number, durationMs: number) {
  const shedder = new Shedder();
  const chance = new Chance(8);
  const arrivals: number[] = [];
  const goodPerSec = new Array<number>(durationMs / 1000).fill(0);
  let [first, arrivedMs, nowMs, tickAtMs] = [0, 0, 0, 0];
  while (nowMs < durationMs) {
    for (; arrivedMs < nowMs; arrivedMs += 1 / requestsPerMs(arrivedMs)) arrivals.push(arrivedMs);
    const beganMs = nowMs;
    for (const last = Math.min(arrivals.length, first + BATCH); first < last; first++) {
      const isAdmitted = shedder.admits(normal, chance.next());
      nowMs += isAdmitted ? ADMITTED_MS : REFUSED_MS;
      const second = Math.floor(nowMs / 1000);
      const isGood = isAdmitted && nowMs - (arrivals[first] as number) <= 100;
      if (isGood) goodPerSec[second] = (goodPerSec[second] ?? 0) + 1;
    }
    shedder.noteLag(nowMs - beganMs);
    if (nowMs >= tickAtMs) {
      shedder.tick();
      tickAtMs = nowMs + SHED_TICK_MS;
    }
    nowMs = Math.max(nowMs, beganMs + 0.1);
  }
  return { goodPerSec, shedder };
}

test("20 times the load for 60 s: four fifths of the capacity goes into good answers, and 2 s later all pass", () => {
  const CALM_PER_MS = 0.5;
  const from = 10_000;
  const to = 70_000;
  const { goodPerSec, shedder } = simulate((atMs) => (atMs >= from && atMs < to ? 20 : CALM_PER_MS), 80_000);
  // Refusing 20,000 a second takes a fifth of the processor: what is left is the capacity.
  const capacity = 800;
  const during = goodPerSec.slice(from / 1000 + 1, to / 1000);
  const mean = during.reduce((sum, good) => sum + good, 0) / during.length;
  expect(mean).toBeGreaterThan(0.8 * capacity);
  expect(goodPerSec.slice(to / 1000 + 2).every((good) => good > 0.9 * CALM_PER_MS * 1000)).toBe(true);
  expect(shedder.level).toBe(0);
});
