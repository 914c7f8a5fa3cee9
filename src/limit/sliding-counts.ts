/**
 * Sliding counts: how often did each of a few things happen in the last seconds?
 *
 * why    a rate over a sliding window, without a memory of single events
 * shape  the window is cut into BUCKETS; a sum leaves out whole buckets, so it covers between 9/10 of the window and
 *        all of it
 * cost   O(1) an event, no allocation; 11 × 8 bytes for each kind of thing
 */

const BUCKETS = 10;

export class SlidingCounts {
  readonly windowMs: number;
  readonly #kinds: number;
  readonly #bucketMs: number;
  readonly #buckets: Float64Array;
  readonly #sums: Float64Array;
  #at = 0;
  #endsAtMs = Number.NaN;

  /** in  how many kinds of things are counted, each by its index */
  constructor(kinds: number, windowMs: number) {
    this.windowMs = windowMs;
    this.#kinds = kinds;
    this.#bucketMs = windowMs / BUCKETS;
    this.#buckets = new Float64Array(kinds * BUCKETS);
    this.#sums = new Float64Array(kinds);
  }

  /** Lets go of what is older than the window. A clock that goes back changes nothing. */
  advance(nowMs: number): void {
    if (nowMs < this.#endsAtMs) return;
    const behind = (nowMs - this.#endsAtMs) / this.#bucketMs;
    // The first call, or a silence longer than the window: nothing that was counted is left.
    if (!(behind < BUCKETS)) {
      this.clear();
      this.#endsAtMs = nowMs + this.#bucketMs;
      return;
    }
    for (let left = Math.floor(behind); left >= 0; left--) this.#turn();
  }

  #turn(): void {
    this.#endsAtMs += this.#bucketMs;
    this.#at = this.#at + 1 === BUCKETS ? 0 : this.#at + 1;
    for (let kind = 0; kind < this.#kinds; kind++) {
      const bucket = kind * BUCKETS + this.#at;
      this.#sums[kind] = (this.#sums[kind] as number) - (this.#buckets[bucket] as number);
      this.#buckets[bucket] = 0;
    }
  }

  /** Counts in the bucket that is current since the last `advance`. */
  add(kind: number, count = 1): void {
    const bucket = kind * BUCKETS + this.#at;
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + count;
    this.#sums[kind] = (this.#sums[kind] as number) + count;
  }

  /** As of the last `advance`. */
  sum(kind: number): number {
    return this.#sums[kind] as number;
  }

  clear(): void {
    this.#buckets.fill(0);
    this.#sums.fill(0);
  }
}
