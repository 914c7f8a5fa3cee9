/**
 * Ejector: how long is an endpoint taken out, and may it be?
 *
 * why    whatever finds an endpoint bad, one place knows how many are out already
 * rule   never more than `maxEjected` of the endpoints, rounded down but at least one when it is more than 0, and never
 *        the last usable one: a bad answer is better than none. The n-th ejection in a row lasts n × `ejectMs`, at
 *        most `maxEjectMs`; each `ejectMs` in service takes one off again
 * in     time in ms since the epoch, since it goes on the board
 * cost   O(1) but for counting those that are out, which happens when one is ejected
 * spec   Envoy's base_ejection_time, max_ejection_time, max_ejection_percent
 */

export interface EjectionRules {
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  /** Share of the endpoints, 0 to 1. */
  readonly maxEjected: number;
}

/** How many of `count` endpoints may be out at once. */
export function mostEjected(count: number, maxEjected: number): number {
  if (maxEjected <= 0) return 0;
  // 29 % of 100 is 28.999999999999996 in floating point.
  const share = Math.floor(count * maxEjected + 1e-9);
  return Math.max(0, Math.min(count - 1, Math.max(1, share)));
}

export class Ejector {
  readonly #rules: EjectionRules;
  readonly #most: number;
  readonly #untilMs: Float64Array;
  /** Ejections that still count, as of `#untilMs`. */
  readonly #times: Uint32Array;

  constructor(endpointCount: number, rules: EjectionRules) {
    this.#rules = rules;
    this.#most = mostEjected(endpointCount, rules.maxEjected);
    this.#untilMs = new Float64Array(endpointCount);
    this.#times = new Uint32Array(endpointCount);
  }

  /**
   * Ejects an endpoint, if that is allowed. out  until when it is out; 0 = it may not be
   *
   * in  `usableOthers` is how many endpoints remain that take fresh requests
   */
  eject(index: number, nowMs: number, usableOthers: number): number {
    const untilMs = this.#untilMs[index] as number;
    if (nowMs < untilMs) return untilMs;
    if (usableOthers < 1 || this.ejectedCount(nowMs) >= this.#most) return 0;
    const times = this.timesOf(index, nowMs) + 1;
    this.#times[index] = times;
    const lengthMs = Math.min(
      this.#rules.ejectMs * times,
      Math.max(this.#rules.ejectMs, this.#rules.maxEjectMs),
    );
    this.#untilMs[index] = nowMs + lengthMs;
    return nowMs + lengthMs;
  }

  /** Brings it back before its time: a check or a person says that it is well. What it did still counts. */
  release(index: number, nowMs: number): void {
    if (nowMs < (this.#untilMs[index] as number)) this.#untilMs[index] = nowMs;
  }

  isEjected(index: number, nowMs: number): boolean {
    return nowMs < (this.#untilMs[index] as number);
  }

  /** Ejections that count now: the next one lasts one more times `ejectMs`. */
  timesOf(index: number, nowMs: number): number {
    const goodMs = Math.max(0, nowMs - (this.#untilMs[index] as number));
    return Math.max(0, (this.#times[index] as number) - Math.floor(goodMs / this.#rules.ejectMs));
  }

  ejectedCount(nowMs: number): number {
    let count = 0;
    for (let index = 0; index < this.#untilMs.length; index++) {
      if (nowMs < (this.#untilMs[index] as number)) count++;
    }
    return count;
  }

  /** The wall clock was set: what lay so far in the future still does. */
  shiftClock(ms: number): void {
    for (let index = 0; index < this.#untilMs.length; index++) {
      if (this.#untilMs[index] !== 0) this.#untilMs[index] = (this.#untilMs[index] as number) + ms;
    }
  }

  /** Takes over what another ejector knows of an endpoint: the list of endpoints has changed. */
  adopt(index: number, before: Ejector, indexBefore: number): void {
    this.#untilMs[index] = before.#untilMs[indexBefore] as number;
    this.#times[index] = before.#times[indexBefore] as number;
  }

  /** Takes over what the board says of an endpoint: this process has just begun. */
  restore(index: number, untilMs: number): void {
    this.#untilMs[index] = untilMs;
    this.#times[index] = untilMs > 0 ? 1 : 0;
  }
}
