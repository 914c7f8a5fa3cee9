import { expect, test } from "bun:test";
import { policyCases } from "./policy.cases.ts";
import { roundRobin } from "./round-robin.ts";

policyCases("round-robin", (endpoints) => roundRobin(endpoints, 0));

const picks = (weights: readonly number[], count: number, start = 0) => {
  const policy = roundRobin(
    weights.map((weight) => ({ weight })),
    start,
  );
  const all = new Uint8Array(weights.length).fill(1);
  return Array.from({ length: count }, () => "abcdef"[policy.pick(all, 0)]).join("");
};

test("equal weights are taken strictly in turn, from the endpoint that start names", () => {
  expect([picks([1, 1, 1], 7), picks([2, 2, 2], 4, 1), picks([1, 1, 1], 3, 5)]).toEqual([
    "abcabca",
    "bcab",
    "cab",
  ]);
});

test("unequal weights are spread, not taken in a row: 5, 1, 1 is nginx's a a b a c a a", () => {
  expect(picks([5, 1, 1], 14)).toBe("aabacaaaabacaa");
});

test("an endpoint that comes back does not catch up on what it missed", () => {
  const policy = roundRobin([{ weight: 2 }, { weight: 1 }], 0);
  for (let pick = 0; pick < 1000; pick++) policy.pick(Uint8Array.from([1, 0]), 0);
  let longest = 0;
  let inRow = 0;
  for (let pick = 0; pick < 300; pick++) {
    inRow = policy.pick(Uint8Array.from([1, 1]), 0) === 1 ? inRow + 1 : 0;
    longest = Math.max(longest, inRow);
  }
  expect(longest).toBe(1);
});
