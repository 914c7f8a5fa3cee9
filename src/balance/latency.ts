/**
 * Peak EWMA: how long does an endpoint take to answer, as far as we have seen?
 *
 * why    up at once, down by and by: one slow answer is believed, a few fast ones after it are not yet (Finagle's
 *        peak EWMA). Without answers the value decays too, so that an endpoint which was slow is tried again
 * in     times in ms, none before an earlier one
 */
const LOG_2 = Math.log(2);
/** Halved this often, it says nothing any more. */
const FORGOTTEN_AFTER_HALVINGS = 20;

export class PeakEwma {
  readonly #perMs: number;
  #value = 0;
  #atMs = 0;

  constructor(halfLifeMs: number) {
    this.#perMs = LOG_2 / halfLifeMs;
  }

  /** An answer that took `latencyMs` came in. */
  add(latencyMs: number, nowMs: number): void {
    const kept = this.#kept(nowMs);
    this.#value = latencyMs > this.#value * kept ? latencyMs : this.#value * kept + latencyMs * (1 - kept);
    this.#atMs = nowMs;
  }

  /** ms; 0 = nothing seen, or too long ago. */
  at(nowMs: number): number {
    return this.#value * this.#kept(nowMs);
  }

  forget(): void {
    this.#value = 0;
  }

  #kept(nowMs: number): number {
    const decay = Math.max(0, nowMs - this.#atMs) * this.#perMs;
    return decay > FORGOTTEN_AFTER_HALVINGS * LOG_2 ? 0 : Math.exp(-decay);
  }
}
