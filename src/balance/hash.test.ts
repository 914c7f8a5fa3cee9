import { describe, expect, test } from "bun:test";
import { hash } from "./hash.ts";
import { mix } from "./key-hash.ts";
import { DrawnPicture, namesFor, policyCases, Traffic } from "./policy.cases.ts";
import type { Policy } from "./policy.ts";

// the bound on load is not theirs to judge: it may only move what is above a share
policyCases("hash", (names) => hash(names, Number.POSITIVE_INFINITY));

const KEYS = 100_000;
const ones = (count: number) => new Array<number>(count).fill(1);

/** Who owns each key while nothing is in flight. */
function ownersOf(policy: Policy, picture: DrawnPicture): number[] {
  return Array.from({ length: KEYS }, (_, number) => {
    picture.key = mix(number);
    return policy.pick(picture);
  });
}

const moved = (before: readonly (string | undefined)[], after: readonly (string | undefined)[]) =>
  before.filter((name, at) => name !== after[at]).length / before.length;

describe("when one of 20 leaves, no more than 1.1 × its share moves, and only what it had", () => {
  const names = namesFor(ones(20));
  const owners = ownersOf(hash(names), new DrawnPicture(ones(20))).map((index) => names[index]);
  for (const [gone, name] of names.entries()) {
    test(`${name} is removed from the configuration`, () => {
      const left = names.toSpliced(gone, 1);
      const after = ownersOf(hash(left), new DrawnPicture(ones(19))).map((index) => left[index]);
      expect(moved(owners, after)).toBeLessThan(1.1 / 20);
      expect(owners.some((owner, at) => owner !== after[at] && owner !== name)).toBe(false);
    });
  }
});

test("one that is down is stood in for by those who will own its keys once it is removed", () => {
  for (const count of [4, 20, 60]) {
    const names = namesFor(ones(count));
    const down = ownersOf(hash(names), new DrawnPicture(ones(count)).set(ones(count).with(3, 0)));
    const left = names.toSpliced(3, 1);
    const removed = ownersOf(hash(left), new DrawnPicture(ones(count - 1)));
    expect(down.map((index) => names[index])).toEqual(removed.map((index) => left[index]));
  }
});

test("the keys of one that is down are spread over all the others, and return to it", () => {
  const picture = new DrawnPicture(ones(20));
  const policy = hash(namesFor(ones(20)));
  const before = ownersOf(policy, picture);
  const during = ownersOf(policy, picture.set(ones(20).with(7, 0)));
  const standIns = new Set(during.filter((_, at) => before[at] === 7));
  expect(standIns.size).toBe(19);
  expect(ownersOf(policy, picture.set(ones(20)))).toEqual(before);
});

test("the order of the endpoints does not matter, nor how many were there before", () => {
  const names = namesFor(ones(40));
  const turned = names.toReversed();
  const [one, other] = [names, turned].map((list) =>
    ownersOf(hash(list), new DrawnPicture(ones(40))).map((index) => list[index]),
  );
  expect(one).toEqual(other as typeof one);
});

test("a weight that grows takes keys from the others and moves none between them", () => {
  const picture = new DrawnPicture(ones(20));
  const policy = hash(namesFor(ones(20)));
  const before = ownersOf(policy, picture);
  const after = ownersOf(policy, picture.set(ones(20), ones(20).with(4, 2)));
  expect(before.some((owner, at) => owner !== after[at] && after[at] !== 4)).toBe(false);
  expect(after.filter((owner) => owner === 4).length / KEYS).toBeCloseTo(2 / 21, 2);
});

test("no endpoint holds more than 125 % of the fair share, even when everybody asks for the same", () => {
  for (const weights of [ones(10), ones(40), [4, 3, 2, 1]]) {
    const picture = new DrawnPicture(weights);
    const policy = hash(namesFor(weights));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let sent = 1; sent <= 4000; sent++) {
      picture.key = sent % 2 === 0 ? 77 : mix(sent);
      const index = policy.pick(picture);
      const load = (picture.loads[index] as number) + 1;
      picture.loads[index] = load;
      const fair = (sent * (weights[index] as number)) / total;
      expect(load).toBeLessThanOrEqual(Math.max(8, Math.ceil(1.25 * fair)));
    }
  }
});

test("what spills over goes to the same endpoints each time", () => {
  const picture = new DrawnPicture(ones(20));
  const policy = hash(namesFor(ones(20)));
  picture.key = 99;
  const owner = policy.pick(picture);
  picture.loads[owner] = 50;
  const other = policy.pick(picture);
  expect(other).not.toBe(owner);
  expect(Array.from({ length: 100 }, () => policy.pick(picture))).toEqual(new Array(100).fill(other));
});

test("while it is quiet, the requests of one client stay together", () => {
  const picture = new DrawnPicture(ones(20));
  const policy = hash(namesFor(ones(20)));
  picture.key = 12_345;
  const owner = policy.pick(picture);
  picture.loads[owner] = 7;
  expect(policy.pick(picture)).toBe(owner);
});

test("without a bound the owner takes all; without a key, chance decides", () => {
  const picture = new DrawnPicture(ones(4));
  const policy = hash(namesFor(ones(4)), Number.POSITIVE_INFINITY);
  picture.key = 5;
  const owner = policy.pick(picture);
  picture.loads[owner] = 10_000;
  expect(policy.pick(picture)).toBe(owner);
  picture.key = -1;
  const picked = [0, 0.25, 0.5, 0.75].map((chance) => {
    picture.chance = () => chance;
    return policy.pick(picture);
  });
  expect(picked).toEqual([0, 1, 2, 3]);
});

test("of 1,000 equal endpoints none owns more than 1.3 × its share of keys", () => {
  const picture = new DrawnPicture(ones(1000));
  const counts = new Float64Array(1000);
  const policy = hash(namesFor(ones(1000)), Number.POSITIVE_INFINITY);
  for (let number = 0; number < 500_000; number++) {
    picture.key = mix(number);
    const index = policy.pick(picture);
    counts[index] = (counts[index] as number) + 1;
  }
  expect(Math.max(...counts)).toBeLessThan(650);
  expect(Math.min(...counts)).toBeGreaterThan(350);
});

test("names that differ little share keys as evenly as any", () => {
  for (const names of [["a", "b"], ["app-1:80", "app-2:80", "app-3:80"], namesFor(ones(8))]) {
    const traffic = new Traffic(new DrawnPicture(names.map(() => 1)), 0);
    for (const share of traffic.shares(hash(names)))
      expect(Math.abs(share * names.length - 1)).toBeLessThan(0.05);
  }
});
