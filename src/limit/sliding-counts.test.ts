import { expect, test } from "bun:test";
import { type Chance, forAll } from "../../tests/laws/chance.ts";
import { SlidingCounts } from "./sliding-counts.ts";

test("a window that has seen nothing is empty", () => {
  const counts = new SlidingCounts(2, 1000);
  counts.advance(50_000);
  expect([counts.sum(0), counts.sum(1)]).toEqual([0, 0]);
});

test("kinds are counted apart, by one or by more, and taken back", () => {
  const counts = new SlidingCounts(2, 1000);
  counts.advance(0);
  counts.add(0);
  counts.add(1, 5);
  counts.add(1, -2);
  expect([counts.sum(0), counts.sum(1)]).toEqual([1, 3]);
});

test("an event counts for nine tenths of the window at least, and not beyond it", () => {
  const counts = new SlidingCounts(1, 1000);
  counts.advance(0);
  counts.advance(99);
  counts.add(0);
  const seen = [899, 999, 1000, 1100].map((nowMs) => {
    counts.advance(nowMs);
    return counts.sum(0);
  });
  expect(seen).toEqual([1, 1, 0, 0]);
});

test("after a silence longer than the window nothing is left", () => {
  const counts = new SlidingCounts(1, 1000);
  counts.advance(0);
  counts.add(0, 7);
  counts.advance(1_000_000);
  expect(counts.sum(0)).toBe(0);
  counts.add(0);
  counts.advance(1_000_099);
  expect(counts.sum(0)).toBe(1);
});

test("a clock that goes back changes nothing", () => {
  const counts = new SlidingCounts(1, 1000);
  counts.advance(5000);
  counts.add(0);
  counts.advance(10);
  counts.add(0);
  expect(counts.sum(0)).toBe(2);
});

test("clear forgets all", () => {
  const counts = new SlidingCounts(1, 1000);
  counts.advance(0);
  counts.add(0);
  counts.clear();
  expect(counts.sum(0)).toBe(0);
  counts.advance(2000);
  expect(counts.sum(0)).toBe(0);
});

test("law: a sum is what came in the last window, give or take its tenth", () => {
  forAll((chance: Chance) => {
    const counts = new SlidingCounts(1, 1000);
    const events: number[] = [];
    for (
      let nowMs = chance.below(1000);
      events.length < 100;
      nowMs += chance.below(chance.isTrue(0.1) ? 2000 : 60)
    ) {
      counts.advance(nowMs);
      counts.add(0);
      events.push(nowMs);
      const within = (ms: number) => events.filter((atMs) => nowMs - atMs < ms).length;
      expect(counts.sum(0)).toBeGreaterThanOrEqual(within(900));
      expect(counts.sum(0)).toBeLessThanOrEqual(within(1000));
    }
  });
});
