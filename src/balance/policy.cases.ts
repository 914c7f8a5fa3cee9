/**
 * Policy cases: what every way of balancing must do. Each policy's test runs them.
 */

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { mix } from "./key-hash.ts";
import type { Picture, Policy } from "./policy.ts";

const PICKS = 100_000;
/** Of all picks. */
const TOLERANCE = 0.01;
const SEED = 20_240_506;

/** Chances as good as random, and the same in every run (mulberry32). */
export function chances(seed = SEED): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Endpoints as a test would have them. */
export class DrawnPicture implements Picture {
  readonly count: number;
  revision = 0;
  readonly eligible: Uint8Array;
  readonly weights: Float64Array;
  readonly loads: Float64Array;
  readonly latencies: Float64Array;
  chance = chances();
  key = -1;

  constructor(weights: readonly number[]) {
    this.count = weights.length;
    this.weights = Float64Array.from(weights);
    this.eligible = new Uint8Array(weights.length).fill(1);
    this.loads = new Float64Array(weights.length);
    this.latencies = new Float64Array(weights.length).fill(20);
  }

  loadOf(index: number): number {
    return this.loads[index] as number;
  }

  latencyMs(index: number): number {
    return this.latencies[index] as number;
  }

  set(eligible: readonly number[], weights: ArrayLike<number> = this.weights): this {
    this.eligible.set(eligible);
    this.weights.set(weights);
    this.revision++;
    return this;
  }
}

/** All requests take equally long by and large: whichever is in flight may be the next to end. */
export class Traffic {
  readonly picture: DrawnPicture;
  readonly #inFlight: number[] = [];
  readonly #most: number;
  readonly #chance = chances(7);
  #number = 0;

  constructor(picture: DrawnPicture, most: number) {
    this.picture = picture;
    this.#most = most;
  }

  send(policy: Policy): number {
    this.picture.key = mix(this.#number++);
    const index = policy.pick(this.picture);
    this.#begin(index);
    return index;
  }

  #begin(index: number): void {
    const { loads } = this.picture;
    this.#inFlight.push(index);
    loads[index] = (loads[index] as number) + 1;
    if (this.#inFlight.length <= this.#most) return;
    const at = Math.floor(this.#chance() * this.#inFlight.length);
    const ended = this.#inFlight[at] as number;
    this.#inFlight[at] = this.#inFlight.at(-1) as number;
    this.#inFlight.pop();
    loads[ended] = (loads[ended] as number) - 1;
  }

  /** Of what was sent, the share of each endpoint. */
  shares(policy: Policy, picks = PICKS): number[] {
    const counts = Array.from(this.picture.weights, () => 0);
    for (let pick = 0; pick < picks; pick++) {
      const index = this.send(policy);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    return counts.map((count) => count / picks);
  }
}

const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0);

function expectShares(got: readonly number[], weights: readonly number[]): void {
  const total = sumOf(weights);
  for (const [index, weight] of weights.entries()) {
    expect(Math.abs((got[index] as number) - weight / total)).toBeLessThan(TOLERANCE);
  }
}

const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [1, 1],
  [3, 3, 3],
  [5, 1, 1],
  [1, 2, 3, 4],
  [100, 1],
  [7, 7, 1],
  [1, 0.1, 0.5],
  [2, 0, 1],
  Array.from({ length: 40 }, (_, index) => 1 + (index % 4)),
];
const FLAGS: readonly (readonly number[])[] = [
  [1, 0, 1, 0],
  [0, 0, 0, 1],
  [0, 1, 1, 1],
];

/** `names` tell the endpoints apart. */
type MakeForCases = (names: readonly string[]) => Policy;

export const namesFor = (weights: ArrayLike<number>) =>
  Array.from(weights, (_, index) => `10.0.${index >> 8}.${index & 255}:8080`);

export function policyCases(name: string, make: MakeForCases): void {
  sharesCases(name, make);
  eligibleCases(name, make);
  changeCases(name, make);
}

function sharesCases(name: string, make: MakeForCases): void {
  for (const weights of WEIGHTS) {
    const mostTitle = weights.length > 10 ? `${weights.length} weights` : `weights ${weights}`;
    test(`${name}: ${mostTitle} are kept within 1 % over 100,000 picks, idle and busy`, () => {
      const lightest = Math.min(...weights.filter((weight) => weight > 0));
      // busy: even the lightest has some ten in flight
      for (const inFlight of [0, Math.ceil((10 * sumOf(weights)) / lightest)]) {
        const traffic = new Traffic(new DrawnPicture(weights), inFlight);
        expectShares(traffic.shares(make(namesFor(weights))), weights);
      }
    });
  }

  test(`${name}: of 1,000 endpoints each takes its share: none more than half as much again`, () => {
    const weights = Array.from({ length: 1000 }, (_, index) => 1 + (index % 3));
    const got = new Traffic(new DrawnPicture(weights), 10_000).shares(make(namesFor(weights)), 200_000);
    for (const weight of [1, 2, 3]) {
      const share = sumOf(got.filter((_, index) => weights[index] === weight));
      expect(Math.abs(share - weight / 6)).toBeLessThan(TOLERANCE);
    }
    const relative = got.map((share, index) => (share * sumOf(weights)) / (weights[index] as number));
    expect(Math.min(...relative)).toBeGreaterThan(0.5);
    expect(Math.max(...relative)).toBeLessThan(1.5);
  });

  test(`${name}: an endpoint that starts slowly takes at every step what its weight says, within 10 % of an even share`, () => {
    const policy = make(namesFor([1, 1, 1, 1]));
    const traffic = new Traffic(new DrawnPicture([1, 1, 1, 1]), 8);
    for (const weight of [0.1, 0.25, 0.5, 0.75, 1]) {
      traffic.picture.set([1, 1, 1, 1], [1, 1, weight, 1]);
      const share = traffic.shares(policy)[2] as number;
      expect(Math.abs(share - weight / (3 + weight))).toBeLessThan(0.1 / 4);
    }
  });
}

function eligibleCases(name: string, make: MakeForCases): void {
  for (const flags of FLAGS) {
    test(`${name}: of ${flags} only the eligible are picked, each of them`, () => {
      for (const weights of [
        [1, 1, 1, 1],
        [4, 3, 2, 1],
      ]) {
        const traffic = new Traffic(new DrawnPicture(weights).set(flags), 20);
        const got = traffic.shares(make(namesFor(weights)), 10_000);
        expect(got.map((share) => Number(share > 0))).toEqual([...flags]);
      }
    });
  }

  test(`${name}: without an eligible endpoint that has weight the answer is -1`, () => {
    for (const weights of [[], [1], [2, 1], [0, 0]]) {
      const picture = new DrawnPicture(weights);
      if (sumOf(weights) > 0) picture.set(weights.map(() => 0));
      const policy = make(namesFor(weights));
      for (const chance of [0, 0.999_999]) {
        picture.chance = () => chance;
        for (const key of [-1, 0, 0xffff_ffff]) {
          picture.key = key;
          expect(policy.pick(picture)).toBe(-1);
        }
      }
    }
  });

  test(`${name}: the least and the greatest chance and key pick a usable endpoint too`, () => {
    for (const weights of [[1, 1, 1], [0, 5, 0.001], Array.from({ length: 100 }, (_, index) => index % 7)]) {
      const picture = new DrawnPicture(weights);
      const policy = make(namesFor(weights));
      for (const chance of [0, 1 - 2 ** -32, 1 - 2 ** -53]) {
        picture.chance = () => chance;
        for (const key of [-1, 0, 0xffff_ffff]) {
          picture.key = key;
          expect(weights[policy.pick(picture)]).toBeGreaterThan(0);
        }
      }
    }
  });
}

function changeCases(name: string, make: MakeForCases): void {
  for (const count of [3, 20, 100]) {
    test(`${name}: who of ${count} is eligible, and all weights, may change from pick to pick`, () => {
      const picture = new DrawnPicture(new Array(count).fill(1));
      const policy = make(namesFor(picture.weights));
      const traffic = new Traffic(picture, 2 * count);
      for (let pick = 0; pick < 1000; pick++) {
        const isOdd = pick % 2 === 1;
        const eligible = Array.from(picture.eligible, () => Number(picture.chance() < 0.3));
        eligible[pick % count] = 1;
        const weights = Array.from(eligible, () => (isOdd ? 2 : Math.floor(picture.chance() * 3)));
        weights[pick % count] = 2;
        picture.set(eligible, weights);
        const index = traffic.send(policy);
        expect([eligible[index], (weights[index] as number) > 0]).toEqual([1, true]);
      }
    });
  }

  test(`${name}: weights that change while others come and go are kept within 1 %`, () => {
    const picture = new DrawnPicture([100, 1, 1]);
    const policy = make(namesFor(picture.weights));
    const traffic = new Traffic(picture, 60);
    traffic.shares(policy, 1000);
    picture.set([1, 1, 0], [1, 2, 3]);
    traffic.shares(policy, 1000);
    picture.set([1, 1, 1], [1, 2, 3]);
    expectShares(traffic.shares(policy), [1, 2, 3]);
  });

  test(`${name}: nothing grows with the number of picks`, () => {
    const picture = new DrawnPicture(new Array(100).fill(1));
    const policy = make(namesFor(picture.weights));
    const traffic = new Traffic(picture, 100);
    const objectsAfter = (picks: number): number => {
      for (let pick = 0; pick < picks; pick++) {
        picture.set([pick & 1], [1 + (pick & 1)]);
        traffic.send(policy);
      }
      Bun.gc(true);
      return heapStats().objectCount;
    };
    const before = objectsAfter(2000);
    expect(objectsAfter(2000) - before).toBeLessThan(200);
  });
}
