import { describe, expect, test } from "bun:test";
import { leastRequest, powerOfTwo } from "./least-request.ts";
import { DrawnPicture, policyCases } from "./policy.cases.ts";

policyCases("least-request", leastRequest);
policyCases("p2c", powerOfTwo);

const EQUAL: readonly (readonly number[])[] = [2, 4, 10, 16].map((count) => new Array(count).fill(1));
const UNEQUAL: readonly (readonly number[])[] = [
  [5, 1, 1],
  [1, 2, 3, 4],
  [1, 0.1, 1, 1],
];

/**
 * Two workers see the same loads and do not see each other's pick of this moment; what is oldest ends first. How far
 * above and below its part of all in flight was any endpoint?
 */
function furthestFromIdeal(weights: readonly number[], inFlight: number, rounds: number) {
  const picture = new DrawnPicture(weights);
  const policies = [leastRequest(), leastRequest()];
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const going: number[] = [];
  const furthest = { above: 0, below: 0 };
  const add = (index: number, by: number) => {
    picture.loads[index] = (picture.loads[index] as number) + by;
  };
  for (let round = 0; round < rounds; round++) {
    while (going.length > inFlight - 2) add(going.shift() as number, -1);
    const picked = policies.map((policy) => policy.pick(picture));
    for (const index of picked) add(index, 1);
    going.push(...picked);
    for (const [index, weight] of weights.entries()) {
      const above = (picture.loads[index] as number) - (going.length * weight) / total;
      furthest.above = Math.max(furthest.above, above);
      furthest.below = Math.max(furthest.below, -above);
    }
  }
  return furthest;
}

describe("two workers that pick at the same moment keep endpoints within 2 in flight of the ideal", () => {
  for (const weights of [...EQUAL, ...UNEQUAL]) {
    test(`weights ${weights}, while requests come and none ends`, () => {
      const { above, below } = furthestFromIdeal(weights, 1000, 500);
      expect(above).toBeLessThanOrEqual(2);
      expect(below).toBeLessThanOrEqual(2);
    });
  }
  for (const inFlight of [2, 8, 100]) {
    for (const weights of EQUAL) {
      test(`equal weights of ${weights.length}, ${inFlight} in flight, while requests come and go`, () => {
        const { above, below } = furthestFromIdeal(weights, inFlight, 20_000);
        expect(above).toBeLessThanOrEqual(2);
        expect(below).toBeLessThanOrEqual(2);
      });
    }
    // what ends may leave an endpoint of unequal weight further below: only the next requests can mend that
    for (const weights of UNEQUAL) {
      test(`weights ${weights}, ${inFlight} in flight, none is further above while requests come and go`, () => {
        expect(furthestFromIdeal(weights, inFlight, 20_000).above).toBeLessThanOrEqual(2);
      });
    }
  }
});

test("one that has its fair share or more is not picked: of 9 in flight, 4 are more than three sevenths", () => {
  const picture = new DrawnPicture([3, 2, 2]);
  picture.loads.set([4, 2, 2]);
  for (let pick = 0; pick < 100; pick++) expect(leastRequest().pick(picture)).not.toBe(0);
});

test("the fewest in flight is picked, whatever the chance", () => {
  const picture = new DrawnPicture([1, 1, 1]);
  picture.loads.set([3, 1, 2]);
  for (const chance of [0, 0.5, 0.99]) {
    picture.chance = () => chance;
    expect(leastRequest().pick(picture)).toBe(1);
  }
});

test("the chance decides between equals, so that workers do not all run to the same one", () => {
  const picture = new DrawnPicture([1, 1, 1, 1]);
  picture.loads.set([1, 0, 1, 0]);
  const picked = [0, 0.49, 0.5, 0.99].map((chance) => {
    picture.chance = () => chance;
    return leastRequest().pick(picture);
  });
  expect(picked).toEqual([1, 1, 3, 3]);
});

test("of many the busier of two is never picked, and no endpoint's load is asked but theirs and a few", () => {
  const picture = new DrawnPicture(new Array(1000).fill(1));
  const policy = leastRequest();
  policy.pick(picture);
  picture.loads.fill(5);
  picture.loads[17] = 50;
  let asked = 0;
  picture.loadOf = (index) => {
    asked++;
    return picture.loads[index] as number;
  };
  for (let pick = 0; pick < 1000; pick++) expect(policy.pick(picture)).not.toBe(17);
  expect(asked / 1000).toBeLessThanOrEqual(10);
});
