/**
 * Rendezvous: which endpoint owns a bucket of keys? Weighted highest-random-weight hashing.
 *
 * why    every endpoint draws a lot for the bucket from its name, and the best lot by weight wins. So an endpoint that
 *        leaves gives away its own buckets and no other moves, and workers agree without a word
 *        (docs/decisions/0025-consistent-hash.md has the alternatives, measured)
 * cost   a lot is about 1 ns; with 8 endpoints and more the owners found are kept, half a MiB
 */
import { hashOf, mix } from "./key-hash.ts";

const BUCKET_BITS = 18;
export const BUCKETS = 1 << BUCKET_BITS;
const KEEP_FROM = 8;
const GOLDEN = 0x9e3779b9;

/** The bucket of a key at its `turn`th choice. */
export function bucketOf(key: number, turn: number): number {
  return mix(key + Math.imul(turn, GOLDEN)) >>> (32 - BUCKET_BITS);
}

export class Rendezvous {
  /** Two hashes of each name: with one of 32 bits, two of a thousand names would be the same now and then. */
  readonly #names: Int32Array;
  readonly #salts: Int32Array;
  readonly #weights: Float64Array;
  /** Indexes of the endpoints that have weight. */
  readonly #holders: Int32Array;
  #holderCount = 0;
  #isEqual = true;
  /** 1 + index of each bucket's owner; 0 = not asked for yet. */
  readonly #owners: Uint16Array | undefined;

  constructor(names: readonly string[]) {
    this.#names = Int32Array.from(names, (name) => hashOf(name));
    this.#salts = Int32Array.from(names, (name) => hashOf(`${name}\n`));
    this.#weights = new Float64Array(names.length);
    this.#holders = new Int32Array(names.length);
    const isKept = names.length >= KEEP_FROM && names.length < 0xffff;
    this.#owners = isKept ? new Uint16Array(BUCKETS) : undefined;
  }

  /** Owners that were found are forgotten if a weight has changed. */
  weigh(weights: Float64Array): void {
    let isChanged = false;
    for (let index = 0; index < this.#weights.length; index++) {
      const weight = weights[index] as number;
      if (weight === this.#weights[index]) continue;
      this.#weights[index] = weight;
      isChanged = true;
    }
    if (!isChanged) return;
    this.#owners?.fill(0);
    this.#holderCount = 0;
    for (const [index, weight] of this.#weights.entries()) {
      if (weight > 0) this.#holders[this.#holderCount++] = index;
    }
    const first = this.#weights[this.#holders[0] as number];
    this.#isEqual = this.#holders
      .subarray(0, this.#holderCount)
      .every((index) => this.#weights[index] === first);
  }

  /** Of all that have weight; one of them must. */
  ownerOf(bucket: number): number {
    const kept = this.#owners?.[bucket];
    if (kept !== undefined && kept !== 0) return kept - 1;
    const owner = this.bestOf(bucket, this.#holders, this.#holderCount);
    if (this.#owners !== undefined) this.#owners[bucket] = owner + 1;
    return owner;
  }

  /** Of the first `count` endpoints of a list, all of which have weight. */
  bestOf(bucket: number, list: Int32Array, count: number): number {
    return this.#isEqual ? this.#highest(bucket, list, count) : this.#first(bucket, list, count);
  }

  #highest(bucket: number, list: Int32Array, count: number): number {
    const [names, salts, spread] = [this.#names, this.#salts, mix(bucket)];
    let best = list[0] as number;
    let highest = lot(spread, names[best] as number, salts[best] as number);
    for (let place = 1; place < count; place++) {
      const index = list[place] as number;
      const drawn = lot(spread, names[index] as number, salts[index] as number);
      if (drawn <= highest) continue;
      highest = drawn;
      best = index;
    }
    return best;
  }

  /** Each arrives after -ln(u) / weight, the first wins: so each wins in proportion to its weight. */
  #first(bucket: number, list: Int32Array, count: number): number {
    const [names, salts, spread] = [this.#names, this.#salts, mix(bucket)];
    let best = -1;
    let earliest = Number.POSITIVE_INFINITY;
    for (let place = 0; place < count; place++) {
      const index = list[place] as number;
      const weight = this.#weights[index] as number;
      // 1 - u
      const rest = 0.5 - (lot(spread, names[index] as number, salts[index] as number) + 0.5) / 2 ** 32;
      // -ln(1 - rest) is never less than rest: most need no logarithm
      if (rest >= earliest * weight) continue;
      const arrival = -Math.log1p(-rest) / weight;
      if (arrival >= earliest) continue;
      earliest = arrival;
      best = index;
    }
    return best;
  }
}

/** Signed, 32 bits; its upper bits, which decide, depend on every bit of the three. */
function lot(spread: number, name: number, salt: number): number {
  const drawn = Math.imul(spread ^ name, 0x85ebca6b);
  return Math.imul(((drawn ^ (drawn >>> 15)) + salt) | 0, 0xc2b2ae35);
}
