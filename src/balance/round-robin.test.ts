import { expect, test } from "bun:test";
import { DrawnPicture, policyCases } from "./policy.cases.ts";
import { roundRobin } from "./round-robin.ts";

policyCases("round-robin", () => roundRobin(0));

const picks = (weights: readonly number[], count: number, start = 0) => {
  const policy = roundRobin(start);
  const picture = new DrawnPicture(weights);
  return Array.from({ length: count }, () => "abcdef"[policy.pick(picture)]).join("");
};

test("equal weights are taken strictly in turn, from the endpoint that start names", () => {
  expect([picks([1, 1, 1], 7), picks([2, 2, 2], 4, 1), picks([1, 1, 1], 3, 5)]).toEqual([
    "abcabca",
    "bcab",
    "cab",
  ]);
});

test("the turn goes on where it was when an endpoint leaves and comes back", () => {
  const policy = roundRobin(0);
  const picture = new DrawnPicture([1, 1, 1, 1]);
  const pick = (...eligible: number[]) => policy.pick(picture.set(eligible));
  expect([pick(1, 1, 1, 1), pick(1, 0, 1, 1), pick(1, 1, 1, 1), pick(1, 1, 1, 0), pick(1, 1, 1, 1)]).toEqual([
    0, 2, 3, 0, 1,
  ]);
});

test("unequal weights are spread, not taken in a row: 5, 1, 1 is nginx's a a b a c a a", () => {
  expect(picks([5, 1, 1], 14)).toBe("aabacaaaabacaa");
});

test("weights that shrink are followed at once: nothing is paid back from larger ones", () => {
  const policy = roundRobin(0);
  const picture = new DrawnPicture([1000, 900, 1]);
  for (let pick = 0; pick < 5; pick++) policy.pick(picture);
  picture.set([1, 1, 1], [1, 2, 1]);
  const taken = Array.from({ length: 20 }, () => policy.pick(picture));
  for (const [index, atLeast] of [4, 8, 4].entries()) {
    expect(taken.filter((one) => one === index).length).toBeGreaterThanOrEqual(atLeast);
  }
});

for (const count of [2, 100]) {
  test(`of ${count} an endpoint that comes back does not catch up on what it missed`, () => {
    const policy = roundRobin(0);
    const weights = Array.from({ length: count }, (_, index) => (index === 0 ? 2 : 1));
    const picture = new DrawnPicture(weights);
    const all = weights.map(() => 1);
    picture.set(all.with(1, 0));
    for (let pick = 0; pick < 1000; pick++) policy.pick(picture);
    picture.set(all);
    let lastAt = Number.NEGATIVE_INFINITY;
    let closest = Number.POSITIVE_INFINITY;
    for (let pick = 0; pick < 300; pick++) {
      if (policy.pick(picture) !== 1) continue;
      closest = Math.min(closest, pick - lastAt);
      lastAt = pick;
    }
    expect(closest).toBeGreaterThan(count / 2);
  });
}

test("among many unequal weights too, no endpoint is taken twice in a row or left out of a round", () => {
  const weights = Array.from({ length: 100 }, (_, index) => 1 + (index % 2));
  const policy = roundRobin(0);
  const picture = new DrawnPicture(weights);
  const taken = Array.from({ length: 1500 }, () => policy.pick(picture));
  for (const [index, weight] of weights.entries()) {
    const times = taken.filter((one) => one === index).length;
    expect(Math.abs(times - 10 * weight)).toBeLessThanOrEqual(1);
  }
  expect(taken.some((one, at) => one === taken[at - 1])).toBe(false);
});
