/**
 * Passive health: has an endpoint just failed too many requests in a row?
 *
 * why    the worker that meets the failures stops sending at once, before anybody has compared anything
 * rule   `failures` in a row, the first of them at most `windowMs` before the last; one success ends the row.
 *        A quiet endpoint that fails once an hour is not ejected for it
 * in     outcomes of one upstream's requests, by the endpoint's index; time in ms, never going back
 * cost   O(1) an outcome, no allocation; 8 bytes a failure that may be in a row, for each endpoint
 * spec   Envoy's consecutive_5xx, HAProxy's `observe layer7` with `error-limit`, nginx's max_fails and fail_timeout
 */

export interface FailureRules {
  readonly failures: number;
  readonly windowMs: number;
}

/** More in a row than this say nothing that this many did not: it bounds the memory. */
const MAX_ROW = 1000;

export class FailureRows {
  readonly #length: number;
  readonly #windowMs: number;
  /** Instants of the last failures in a row, a ring of `#length` for each endpoint. */
  readonly #instants: Float64Array;
  readonly #counts: Uint32Array;

  constructor(endpointCount: number, rules: FailureRules) {
    this.#length = Math.min(MAX_ROW, Math.max(1, rules.failures));
    this.#windowMs = rules.windowMs;
    this.#instants = new Float64Array(endpointCount * this.#length);
    this.#counts = new Uint32Array(endpointCount);
  }

  succeeded(index: number): void {
    this.#counts[index] = 0;
  }

  /** True when this failure is one too many; the row begins anew then. */
  failed(index: number, nowMs: number): boolean {
    const count = this.#counts[index] as number;
    const first = index * this.#length;
    this.#instants[first + (count % this.#length)] = nowMs;
    this.#counts[index] = count + 1;
    if (count + 1 < this.#length) return false;
    const oldestMs = this.#instants[first + ((count + 1) % this.#length)] as number;
    if (nowMs - oldestMs > this.#windowMs) return false;
    this.#counts[index] = 0;
    return true;
  }
}
