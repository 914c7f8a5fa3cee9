/**
 * Round-robin: every endpoint in turn, in proportion to its weight, spread as evenly as can be.
 *
 * why    smooth weighting (nginx's): weights 5, 1, 1 give a a b a c a a, not a a a a a b c
 * cost   O(1) for equal weights, else one pass over the endpoints
 */
import type { Policy, Weighted } from "./policy.ts";

export function roundRobin(endpoints: readonly Weighted[], start: number): Policy {
  const isEqual = endpoints.every(({ weight }) => weight === endpoints[0]?.weight && weight > 0);
  return isEqual ? new PlainTurn(endpoints.length, start) : new SmoothTurn(endpoints);
}

class PlainTurn implements Policy {
  readonly #count: number;
  #next: number;

  /** `start` tells workers apart, so that they do not all begin with the first endpoint. */
  constructor(count: number, start: number) {
    this.#count = count;
    this.#next = count === 0 ? 0 : start % count;
  }

  pick(eligible: Uint8Array): number {
    for (let step = 0; step < this.#count; step++) {
      const index = this.#next;
      this.#next = index + 1 === this.#count ? 0 : index + 1;
      if (eligible[index] === 1) return index;
    }
    return -1;
  }
}

class SmoothTurn implements Policy {
  readonly #weights: Float64Array;
  /** Credit of each endpoint: grows by its weight each pick, and the one picked pays for all. */
  readonly #credit: Float64Array;

  constructor(endpoints: readonly Weighted[]) {
    this.#weights = Float64Array.from(endpoints, ({ weight }) => weight);
    this.#credit = new Float64Array(endpoints.length);
  }

  pick(eligible: Uint8Array): number {
    let best = -1;
    let total = 0;
    for (let index = 0; index < this.#weights.length; index++) {
      const weight = this.#weights[index] as number;
      if (eligible[index] !== 1 || weight === 0) continue;
      total += weight;
      const credit = (this.#credit[index] as number) + weight;
      this.#credit[index] = credit;
      if (best === -1 || credit > (this.#credit[best] as number)) best = index;
    }
    if (best !== -1) this.#credit[best] = (this.#credit[best] as number) - total;
    return best;
  }
}
