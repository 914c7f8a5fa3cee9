import { expect, test } from "bun:test";
import { ENDPOINT_STATES, type EndpointState } from "./endpoint-state.table.ts";
import { fillEligible, isPanic } from "./panic.ts";

const ROWS: readonly (readonly [usable: number, total: number, threshold: number, panics: boolean])[] = [
  [2, 4, 0.5, false],
  [1, 4, 0.5, true],
  [0, 4, 0.5, true],
  [0, 4, 0, false],
  [0, 0, 0.5, false],
  [3, 4, 1, true],
  [4, 4, 1, false],
];
for (const [usable, total, threshold, panics] of ROWS) {
  test(`${usable} of ${total} usable at a threshold of ${threshold}: ${panics ? "panic" : "no panic"}`, () => {
    expect(isPanic(usable, total, threshold)).toBe(panics);
  });
}

const eligibleOf = (states: readonly EndpointState[], threshold: number) => {
  const eligible = new Uint8Array(states.length).fill(7);
  const numbers = Uint8Array.from(states, (state) => ENDPOINT_STATES.indexOf(state));
  return [fillEligible(numbers, threshold, eligible), ...eligible];
};

test("without panic those are eligible that take fresh requests", () => {
  expect(eligibleOf(["up", "warming", "down", "draining"], 0.5)).toEqual([false, 1, 1, 0, 0]);
});

test("in panic the ejected and those that failed their checks are used too", () => {
  expect(eligibleOf(["up", "ejected", "down", "down"], 0.5)).toEqual([true, 1, 1, 1, 1]);
});

test("what a person took out stays out in panic, and does not count", () => {
  expect(eligibleOf(["down", "draining", "maintenance"], 0.5)).toEqual([true, 1, 0, 0]);
  expect(eligibleOf(["up", "draining", "maintenance"], 0.5)).toEqual([false, 1, 0, 0]);
});

test("with everything taken out by a person nothing is eligible", () => {
  expect(eligibleOf(["maintenance", "draining"], 0.5)).toEqual([false, 0, 0]);
});
