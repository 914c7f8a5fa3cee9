import { expect, test } from "bun:test";
import { CounterWindow } from "./counter-window.ts";

const growths = (values: readonly number[], steps = 3) => {
  const window = new CounterWindow(2, steps);
  return values.map((value) => {
    window.step();
    window.read(1, value);
    return window.growth(1);
  });
};

test("growth is over the last steps, and over less while less is known", () => {
  expect(growths([10, 11, 13, 16, 20, 25])).toEqual([0, 1, 3, 6, 9, 12]);
});

test("what a counter shows at first was counted before, and is no growth", () => {
  expect(growths([1_000_000, 1_000_000, 1_000_004])).toEqual([0, 0, 4]);
});

test("a counter that goes down begins anew", () => {
  expect(growths([100, 110, 3, 5, 9, 9, 9])).toEqual([0, 10, 0, 2, 6, 6, 4]);
});

test("a counter that stands still has not grown", () => {
  expect(growths([7, 7, 7, 7, 7])).toEqual([0, 0, 0, 0, 0]);
});

test("counters do not count for each other", () => {
  const window = new CounterWindow(2, 2);
  for (const value of [1, 2, 3]) {
    window.step();
    window.read(0, value * 100);
    window.read(1, value);
  }
  expect([window.growth(0), window.growth(1)]).toEqual([200, 2]);
});

test("a counter that is forgotten begins anew with its next reading", () => {
  const window = new CounterWindow(2, 3);
  for (const value of [10, 20, 30]) {
    window.step();
    window.read(0, value);
    window.read(1, value);
  }
  window.forget(0);
  window.step();
  window.read(0, 40);
  window.read(1, 40);
  expect([window.growth(0), window.growth(1)]).toEqual([0, 30]);
  window.step();
  window.read(0, 45);
  expect(window.growth(0)).toBe(5);
});
