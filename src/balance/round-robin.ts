/**
 * Round-robin: every endpoint in turn, in proportion to its weight, spread as evenly as can be.
 *
 * why    smooth weighting (nginx's): weights 5, 1, 1 give a a b a c a a, not a a a a a b c
 * cost   O(1) for equal weights; else one pass up to 64 endpoints, and a heap beyond
 */
import { DueHeap } from "./due-heap.ts";
import type { Picture, Policy } from "./policy.ts";
import { Usable } from "./usable.ts";

/** A pass over more costs more than the heap. */
const PASS_UP_TO = 64;

/** `start` tells workers apart, so that they do not all begin with the first endpoint. */
export function roundRobin(start: number): Policy {
  return new RoundRobin(start);
}

class RoundRobin implements Policy {
  readonly #usable = new Usable();
  readonly #due = new DueHeap();
  /** Index of the endpoint whose turn it is; with equal weights. */
  #turn: number;
  /** Its place. */
  #next = 0;
  #isHeapOld = true;
  /** Credit of each endpoint: grows by its weight each pick, and the one picked pays for all. */
  #credit = new Float64Array(0);

  constructor(start: number) {
    this.#turn = start;
  }

  pick(picture: Picture): number {
    const usable = this.#usable;
    if (usable.look(picture)) this.#adapt(picture);
    if (usable.count === 0) return -1;
    if (usable.isEqual) return this.#inTurn();
    if (usable.count <= PASS_UP_TO) return this.#byCredit();
    if (this.#isHeapOld) this.#due.fill(usable, picture);
    this.#isHeapOld = false;
    return this.#due.pick();
  }

  #adapt({ count }: Picture): void {
    const { list, count: left, totalWeight } = this.#usable;
    this.#isHeapOld = true;
    if (this.#turn >= count && count > 0) this.#turn %= count;
    this.#next = 0;
    while (this.#next < left && (list[this.#next] as number) < this.#turn) this.#next++;
    if (this.#next === left) this.#next = 0;
    if (count > this.#credit.length) {
      const credit = new Float64Array(count);
      credit.set(this.#credit);
      this.#credit = credit;
    }
    // credit won among larger weights would last for many rounds of the smaller ones
    for (let place = 0; place < left; place++) {
      const index = list[place] as number;
      const credit = this.#credit[index] as number;
      this.#credit[index] = Math.max(-totalWeight, Math.min(totalWeight, credit));
    }
  }

  #inTurn(): number {
    const { list, count } = this.#usable;
    const index = list[this.#next] as number;
    this.#next = this.#next + 1 === count ? 0 : this.#next + 1;
    this.#turn = index + 1;
    return index;
  }

  #byCredit(): number {
    const { list, weights, count, totalWeight } = this.#usable;
    const credit = this.#credit;
    let best = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < count; place++) {
      const index = list[place] as number;
      const mine = (credit[index] as number) + (weights[place] as number);
      credit[index] = mine;
      if (mine > most) {
        most = mine;
        best = index;
      }
    }
    credit[best] = most - totalWeight;
    return best;
  }
}
