import { expect, test } from "bun:test";
import { clock } from "./clock.ts";
import { TICK_MS, type Timed, Wheel } from "./timers.ts";

const startMs = clock.nowMs;

class Waiting implements Timed {
  deadlineMs = Number.POSITIVE_INFINITY;
  wheelTick = 0;
  wheelIndex = 0;
  readonly expiredAt: number[] = [];
  onExpire: () => void = () => undefined;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  expire(): void {
    this.expiredAt.push(this.#now());
    this.onExpire();
  }
}

/** A wheel whose time is driven in steps of one tick. */
function driven() {
  const wheel = new Wheel();
  let nowMs = startMs;
  const now = () => nowMs;
  return {
    wheel,
    now,
    waiting: () => new Waiting(now),
    run(untilMs: number) {
      while (nowMs < untilMs) {
        nowMs = Math.min(nowMs + TICK_MS, untilMs);
        wheel.advance(nowMs);
      }
    },
  };
}

for (const afterMs of [0, 1, 124, 125, 5000, 63_900, 64_100, 200_000]) {
  test(`a deadline ${afterMs} ms away fires once, not early, and at most two ticks late`, () => {
    const { wheel, waiting, run } = driven();
    const one = waiting();
    wheel.schedule(one, startMs + afterMs);
    run(startMs + afterMs + 70_000);
    expect(one.expiredAt).toHaveLength(1);
    expect(one.expiredAt[0]).toBeGreaterThanOrEqual(startMs + afterMs);
    expect(one.expiredAt[0]).toBeLessThanOrEqual(startMs + afterMs + 2 * TICK_MS);
  });
}

test("a deadline that moves away fires at its last time; one that comes nearer at its new one", () => {
  const { wheel, waiting, run } = driven();
  const [later, nearer] = [waiting(), waiting()];
  wheel.schedule(later, startMs + 1000);
  wheel.schedule(later, startMs + 9000);
  wheel.schedule(nearer, startMs + 60_000);
  wheel.schedule(nearer, startMs + 1000);
  run(startMs + 80_000);
  expect([later.expiredAt.length, nearer.expiredAt.length]).toEqual([1, 1]);
  expect(later.expiredAt[0]).toBeGreaterThanOrEqual(startMs + 9000);
  expect(nearer.expiredAt[0]).toBeLessThan(startMs + 2000);
});

test("Infinity calls a deadline off, and a later one still fires", () => {
  const { wheel, waiting, run } = driven();
  const one = waiting();
  wheel.schedule(one, startMs + 1000);
  wheel.schedule(one, Number.POSITIVE_INFINITY);
  run(startMs + 5000);
  expect(one.expiredAt).toEqual([]);
  wheel.schedule(one, startMs + 6000);
  run(startMs + 7000);
  expect(one.expiredAt).toHaveLength(1);
});

test("what is forgotten is out of the wheel, and the others of its tick are not", () => {
  const { wheel, waiting, run } = driven();
  const all = Array.from({ length: 100 }, waiting);
  for (const one of all) wheel.schedule(one, startMs + 3000);
  const gone = all.filter((_, index) => index % 3 !== 1);
  for (const one of gone) wheel.forget(one);
  expect(gone.every((one) => one.wheelTick === 0)).toBe(true);
  expect(wheel.size).toBe(all.length - gone.length);
  run(startMs + 4000);
  expect(all.map((one) => one.expiredAt.length)).toEqual(all.map((one) => (gone.includes(one) ? 0 : 1)));
  expect(wheel.size).toBe(0);
});

test("an expiry may forget and reschedule others of the same tick, and itself", () => {
  const { wheel, waiting, run } = driven();
  const [first, second, third] = [waiting(), waiting(), waiting()];
  for (const one of [first, second, third]) wheel.schedule(one, startMs + 1000);
  first.onExpire = () => {
    first.onExpire = () => undefined;
    wheel.schedule(first, startMs + 3000);
    wheel.forget(second);
    wheel.schedule(third, startMs + 5000);
  };
  run(startMs + 10_000);
  expect(first.expiredAt).toHaveLength(2);
  expect(second.expiredAt).toEqual([]);
  expect(third.expiredAt).toHaveLength(1);
  expect(third.expiredAt[0]).toBeGreaterThanOrEqual(startMs + 5000);
});

test("after a long sleep everything due fires at once", () => {
  const { wheel, waiting } = driven();
  const all = [1000, 30_000, 100_000].map((afterMs) => {
    const one = waiting();
    wheel.schedule(one, startMs + afterMs);
    return one;
  });
  wheel.advance(startMs + 3_600_000);
  expect(all.map((one) => one.expiredAt.length)).toEqual([1, 1, 1]);
});
