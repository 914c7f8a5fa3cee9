import { expect, test } from "bun:test";
import { type Chance, forAll } from "../../tests/laws/chance.ts";
import { Ejector, mostEjected } from "./ejector.ts";

const RULES = { ejectMs: 1000, maxEjectMs: 3500, maxEjected: 0.5 };

const MOST: readonly (readonly [count: number, share: number, most: number])[] = [
  [0, 0.5, 0],
  [1, 1, 0],
  [2, 0.1, 1],
  [2, 1, 1],
  [4, 0.5, 2],
  [4, 0.74, 2],
  [10, 0.3, 3],
  [100, 0.29, 29],
  [10, 0, 0],
  [10, 1, 9],
];
for (const [count, share, most] of MOST) {
  test(`of ${count} endpoints ${share * 100} % are ${most} at most`, () => {
    expect(mostEjected(count, share)).toBe(most);
  });
}

test("an endpoint is out for its time, and in again at the end of it", () => {
  const ejector = new Ejector(4, RULES);
  expect(ejector.eject(2, 5000, 3)).toBe(6000);
  expect([5999, 6000].map((nowMs) => ejector.isEjected(2, nowMs))).toEqual([true, false]);
  expect([ejector.ejectedCount(5500), ejector.ejectedCount(6000)]).toEqual([1, 0]);
});

test("one that is out already stays out until then, and no longer", () => {
  const ejector = new Ejector(4, RULES);
  ejector.eject(2, 5000, 3);
  expect([ejector.eject(2, 5500, 3), ejector.timesOf(2, 5500)]).toEqual([6000, 1]);
});

test("no more are out than may be, and one that is refused is not out", () => {
  const ejector = new Ejector(4, RULES);
  expect([ejector.eject(0, 0, 3), ejector.eject(1, 0, 2), ejector.eject(2, 0, 1)]).toEqual([1000, 1000, 0]);
  expect([ejector.isEjected(2, 0), ejector.eject(2, 1000, 3)]).toEqual([false, 2000]);
});

test("the last usable endpoint is never ejected", () => {
  expect(new Ejector(4, RULES).eject(0, 0, 0)).toBe(0);
  expect(new Ejector(1, RULES).eject(0, 0, 1)).toBe(0);
});

test("each ejection soon after the last is longer by one time, up to the most", () => {
  const ejector = new Ejector(2, RULES);
  const lengths: number[] = [];
  let nowMs = 0;
  for (let round = 0; round < 6; round++) {
    const untilMs = ejector.eject(0, nowMs, 1);
    lengths.push(untilMs - nowMs);
    nowMs = untilMs + 10;
  }
  expect(lengths).toEqual([1000, 2000, 3000, 3500, 3500, 3500]);
});

test("time in service takes ejections off again, one for each ejectMs", () => {
  const ejector = new Ejector(2, RULES);
  ejector.eject(0, 0, 1);
  ejector.eject(0, 1000, 1);
  expect([3000, 3999, 4000, 5000, 99_000].map((nowMs) => ejector.timesOf(0, nowMs))).toEqual([2, 2, 1, 0, 0]);
  expect(ejector.eject(0, 4000, 1)).toBe(6000);
});

test("a time beyond maxEjectMs does not make the first ejection shorter than ejectMs", () => {
  expect(new Ejector(2, { ...RULES, maxEjectMs: 10 }).eject(0, 0, 1)).toBe(1000);
});

test("one that is released is in at once, and what it did still counts", () => {
  const ejector = new Ejector(2, RULES);
  ejector.eject(0, 0, 1);
  ejector.release(0, 100);
  expect([ejector.isEjected(0, 100), ejector.eject(0, 200, 1)]).toEqual([false, 2200]);
  ejector.release(1, 500);
  expect(ejector.timesOf(1, 500)).toBe(0);
});

test("a new list of endpoints keeps what was known of each", () => {
  const before = new Ejector(2, RULES);
  before.eject(1, 0, 1);
  const after = new Ejector(3, RULES);
  after.adopt(0, before, 1);
  expect([after.isEjected(0, 500), after.isEjected(1, 500), after.timesOf(0, 500)]).toEqual([true, false, 1]);
});

test("a wall clock that is set makes an ejection neither longer nor shorter", () => {
  const ejector = new Ejector(3, RULES);
  ejector.eject(0, 5000, 2);
  ejector.shiftClock(-3600);
  expect([2399, 2400].map((nowMs) => ejector.isEjected(0, nowMs))).toEqual([true, false]);
  expect(ejector.isEjected(1, 0)).toBe(false);
});

test("a process that begins goes on with what the board says", () => {
  const ejector = new Ejector(2, RULES);
  ejector.restore(0, 700);
  ejector.restore(1, 0);
  expect([ejector.isEjected(0, 699), ejector.timesOf(0, 699), ejector.timesOf(1, 0)]).toEqual([true, 1, 0]);
});

test("law: whatever fails when, never more are out than may be", () => {
  forAll((chance: Chance) => {
    const count = 1 + chance.below(8);
    const rules = { ejectMs: 1 + chance.below(50), maxEjectMs: chance.below(200), maxEjected: chance.next() };
    const ejector = new Ejector(count, rules);
    const most = mostEjected(count, rules.maxEjected);
    for (let event = 0, nowMs = 1; event < 200; event++) {
      nowMs += chance.below(20);
      const out = ejector.ejectedCount(nowMs);
      const index = chance.below(count);
      if (chance.isTrue(0.1)) ejector.release(index, nowMs);
      else ejector.eject(index, nowMs, count - out - 1);
      expect(ejector.ejectedCount(nowMs)).toBeLessThanOrEqual(most);
    }
  });
});
