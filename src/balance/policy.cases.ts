/**
 * Policy cases: what every way of balancing must do. Each policy's test runs them.
 */
import { expect, test } from "bun:test";
import type { Policy, Weighted } from "./policy.ts";

const PICKS = 100_000;
/** Of all picks. */
const TOLERANCE = 0.01;
const SEED = 20_240_506;

/** Chances as good as random, and the same in every run (mulberry32). */
function chances(seed = SEED): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const endpoints = (...weights: readonly number[]): Weighted[] => weights.map((weight) => ({ weight }));
const allOf = (count: number) => new Uint8Array(count).fill(1);

function shares(policy: Policy, eligible: Uint8Array): number[] {
  const chance = chances();
  const counts = Array.from(eligible, () => 0);
  for (let pick = 0; pick < PICKS; pick++) {
    const index = policy.pick(eligible, chance());
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((count) => count / PICKS);
}

const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [1, 1],
  [3, 3, 3],
  [5, 1, 1],
  [1, 2, 3, 4],
  [100, 1],
  [7, 7, 1],
];
const FLAGS: readonly (readonly number[])[] = [
  [1, 0, 1, 0],
  [0, 0, 0, 1],
  [0, 1, 1, 1],
];

export function policyCases(name: string, make: (endpoints: readonly Weighted[]) => Policy): void {
  for (const weights of WEIGHTS) {
    test(`${name}: weights ${weights} are kept within 1 % over 100,000 picks`, () => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const got = shares(make(endpoints(...weights)), allOf(weights.length));
      for (const [index, weight] of weights.entries()) {
        expect(Math.abs((got[index] as number) - weight / total)).toBeLessThan(TOLERANCE);
      }
    });
  }

  for (const flags of FLAGS) {
    test(`${name}: of ${flags} only the eligible are picked, each of them`, () => {
      for (const weights of [endpoints(1, 1, 1, 1), endpoints(4, 3, 2, 1)]) {
        const got = shares(make(weights), Uint8Array.from(flags));
        expect(got.map((share) => Number(share > 0))).toEqual([...flags]);
      }
    });
  }

  test(`${name}: without an eligible endpoint the answer is -1`, () => {
    for (const weights of [[], [1], [2, 1]] as const) {
      const policy = make(endpoints(...weights));
      const none = new Uint8Array(weights.length);
      expect([policy.pick(none, 0), policy.pick(none, 0.999_999)]).toEqual([-1, -1]);
    }
  });

  test(`${name}: who is eligible may change from pick to pick`, () => {
    const policy = make(endpoints(3, 1, 1));
    const chance = chances();
    for (let pick = 0; pick < 1000; pick++) {
      const eligible = Uint8Array.from([pick & 1, (pick >> 1) & 1, (pick >> 2) & 1]);
      const index = policy.pick(eligible, chance());
      expect(index === -1 ? !eligible.includes(1) : eligible[index] === 1).toBe(true);
    }
  });
}
