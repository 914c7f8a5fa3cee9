/**
 * Counter window: how much did counters grow over the last steps?
 *
 * why    workers only ever add to their counters; rates and outliers are about the last seconds
 * shape  a ring of readings, one a step; growth = the newest reading less the oldest
 * rule   a counter that was not read before has not grown: what it shows at first was counted before we looked. One
 *        that goes down is another counter under the same index, and begins anew
 * cost   O(1) a reading and a question; 8 bytes a counter and step
 */

export class CounterWindow {
  readonly #steps: number;
  readonly #readings: Float64Array;
  /** Readings that count, for each counter: up to `#steps` + 1. */
  readonly #known: Uint16Array;
  #at = 0;

  /** in  how many steps a window has; `step` is called once before each round of `read` */
  constructor(counterCount: number, steps: number) {
    this.#steps = steps;
    this.#readings = new Float64Array(counterCount * (steps + 1));
    this.#known = new Uint16Array(counterCount);
  }

  /** The next round of readings begins. */
  step(): void {
    this.#at = this.#at === this.#steps ? 0 : this.#at + 1;
  }

  /** Once for each counter and round. */
  read(counter: number, value: number): void {
    const ring = counter * (this.#steps + 1);
    const known = this.#known[counter] as number;
    const before = this.#readings[ring + this.#back(1)] as number;
    this.#readings[ring + this.#at] = value;
    this.#known[counter] = known > 0 && value < before ? 1 : Math.min(this.#steps + 1, known + 1);
  }

  /** Growth over the window, or over what is known of it. */
  growth(counter: number): number {
    const known = this.#known[counter] as number;
    if (known < 2) return 0;
    const ring = counter * (this.#steps + 1);
    const oldest = this.#readings[ring + this.#back(known - 1)] as number;
    return (this.#readings[ring + this.#at] as number) - oldest;
  }

  /** What was read so far is of no account any more. */
  forget(counter: number): void {
    this.#known[counter] = 0;
  }

  #back(steps: number): number {
    const at = this.#at - steps;
    return at < 0 ? at + this.#steps + 1 : at;
  }
}
