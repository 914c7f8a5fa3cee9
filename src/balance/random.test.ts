import { expect, test } from "bun:test";
import { policyCases } from "./policy.cases.ts";
import { random } from "./random.ts";

policyCases("random", (endpoints) => random(endpoints));

test("the chance alone decides: the same one picks the same endpoint", () => {
  const policy = random([{ weight: 1 }, { weight: 3 }]);
  const all = Uint8Array.from([1, 1]);
  expect([0, 0.249, 0.25, 0.999_999].map((chance) => policy.pick(all, chance))).toEqual([0, 0, 1, 1]);
  expect(policy.pick(all, 0.1)).toBe(policy.pick(all, 0.1));
});
