import { expect, test } from "bun:test";
import { type Balance, makePolicy } from "./policies.ts";
import { DrawnPicture } from "./policy.cases.ts";

const NAMES = ["a:1", "b:1", "c:1"];
const picksOf = (balance: Balance, picture: DrawnPicture) => {
  const policy = makePolicy(balance, { names: NAMES, worker: 1, load: 1.5 });
  return Array.from({ length: 200 }, () => policy.pick(picture));
};

test("each word of the configuration makes the policy it names", () => {
  const picture = new DrawnPicture([1, 1, 1]);
  picture.loads.set([9, 8, 9]);
  picture.latencies.set([1, 80, 20]);
  picture.key = 1;
  const [owner] = picksOf("hash", new DrawnPicture([1, 1, 1]));
  expect(picksOf("round-robin", picture).slice(0, 4)).toEqual([1, 2, 0, 1]);
  expect(new Set(picksOf("random", picture)).size).toBe(3);
  expect(new Set(picksOf("least-request", picture))).toEqual(new Set([1]));
  // of two that are equal, or of one of them and the one with fewest
  expect(new Set(picksOf("p2c", picture)).size).toBe(3);
  expect(new Set(picksOf("ewma", picture))).toEqual(new Set([0, 2]));
  expect(owner).toBeGreaterThanOrEqual(0);
  expect(new Set(picksOf("hash", picture)).size).toBe(1);
});
