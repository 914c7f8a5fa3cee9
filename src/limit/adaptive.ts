/**
 * Adaptive limit: how many requests may be in flight before more of them only make all of them slower?
 *
 * why    nobody knows the right limit of an upstream, and it changes; latency tells: below capacity it stays near its
 *        ideal, beyond it grows with every request that waits
 * rule   every UPDATE_MS: limit ← limit × gradient + √limit, gradient = ideal × (1 + TOLERANCE) / latency, between ½
 *        and 1. √limit is the headroom: room to grow, and a little queue that says when growing is over. A limit that
 *        is not used is not raised. Latency is the median of the window, so that a slow few do not lead
 *        The ideal is measured again every PROBE_EVERY_MS ± jitter, at half of the limit and for a bounded time: what
 *        waited at the upstream drains meanwhile. Envoy goes down to 3 in flight, which refuses most traffic for as
 *        long as it takes. A latency below the ideal becomes the ideal at once. A limit that has fallen as low
 *        as it can is wrong about the ideal: it is measured at once
 * in     time to the response head of each request that the upstream has worked on, or how long it was waited for; not
 *        refusals, which are fast because nothing was done
 * cost   O(1) a request, no allocation; a window costs one pass over the buckets of a histogram
 * spec   Envoy's adaptive concurrency (gradient controller); Netflix's concurrency-limits (Gradient2Limit)
 */
import { observe, quantileMs } from "../observe/histogram.ts";
import { HISTOGRAM_SLOTS } from "../observe/metrics.table.ts";

export interface AdaptiveRules {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

export const ADAPTIVE: AdaptiveRules = { initial: 20, min: 3, max: 1000 };

const UPDATE_MS = 100;
/** A median of fewer says little: the window goes on until there are so many. */
const MIN_SAMPLES = 20;
/** Latency may be so much above the ideal before it counts: what varies by itself. Envoy's `buffer` is 25 %. */
const TOLERANCE = 0.25;
const MIN_GRADIENT = 0.5;
/** Where a limit comes to rest when the gradient stays at its least: limit = limit × gradient + √limit. */
const LOWEST_REST = (1 / (1 - MIN_GRADIENT)) ** 2;
/** Share of a new limit in the one that is set; the rest is the one before. */
const SMOOTHING = 0.5;
const PROBE_EVERY_MS = 30_000;
/** Part of that by which workers differ, so that they do not measure at once. */
const PROBE_JITTER = 0.2;
const PROBE_SAMPLES = 50;
const PROBE_MAX_MS = 2000;
/** Of the limit, while the ideal is measured. */
const PROBE_SHARE = 0.5;

export class AdaptiveLimit {
  readonly #rules: AdaptiveRules;
  readonly #chance: () => number;
  readonly #window = new Float64Array(HISTOGRAM_SLOTS);
  #samples = 0;
  #mostInFlight = 0;
  #windowEndsAtMs = 0;
  #limit: number;
  /** Median latency with nothing waiting, in ms; 0 = not measured. */
  #idealMs = 0;
  #isProbing = false;
  #probeAtMs = 0;
  #skipped = 0;
  #toSkip = 0;

  /** in  `chance` in [0, 1), drawn once a probe */
  constructor(rules: AdaptiveRules, nowMs: number, chance: () => number) {
    this.#rules = rules;
    this.#chance = chance;
    this.#limit = rules.initial;
    this.#windowEndsAtMs = nowMs + UPDATE_MS;
    this.#planProbe(nowMs);
  }

  /** Most that may be in flight now. */
  get limit(): number {
    const limit = this.#isProbing ? this.#limit * PROBE_SHARE : this.#limit;
    return Math.max(this.#rules.min, Math.floor(limit));
  }

  /** Median latency with nothing waiting, in ms; 0 = not known yet. */
  get idealMs(): number {
    return this.#idealMs;
  }

  get isProbing(): boolean {
    return this.#isProbing;
  }

  /** in  requests in flight when this one was sent or has ended, itself included */
  note(latencyMs: number, inFlight: number, nowMs: number): void {
    if (inFlight > this.#mostInFlight) this.#mostInFlight = inFlight;
    if (this.#skipped < this.#toSkip) {
      this.#skipped++;
    } else {
      observe(this.#window, 0, latencyMs);
      this.#samples++;
    }
    if (this.#isProbing) {
      if (this.#samples >= PROBE_SAMPLES || nowMs >= this.#windowEndsAtMs) this.#endProbe(nowMs);
    } else if (nowMs >= this.#windowEndsAtMs && this.#samples >= MIN_SAMPLES) {
      this.#update(nowMs);
    }
  }

  #update(nowMs: number): void {
    const latencyMs = this.#closeWindow(nowMs);
    if (this.#idealMs === 0 || latencyMs < this.#idealMs) this.#idealMs = latencyMs;
    const gradient = Math.max(MIN_GRADIENT, Math.min(1, (this.#idealMs * (1 + TOLERANCE)) / latencyMs));
    const target = this.#limit * gradient + Math.sqrt(this.#limit);
    const isUsed = this.#mostInFlight * 2 >= this.#limit;
    this.#mostInFlight = 0;
    if (target < this.#limit || isUsed) this.#set(this.#limit + (target - this.#limit) * SMOOTHING);
    const isAtBottom = gradient === MIN_GRADIENT && this.#limit <= Math.max(this.#rules.min, LOWEST_REST + 1);
    if (isAtBottom || nowMs >= this.#probeAtMs) this.#beginProbe(nowMs);
  }

  #set(limit: number): void {
    this.#limit = Math.max(this.#rules.min, Math.min(this.#rules.max, limit));
  }

  #beginProbe(nowMs: number): void {
    this.#isProbing = true;
    // What is in flight now waited under the whole limit.
    this.#toSkip = Math.ceil(this.#limit);
    this.#skipped = 0;
    this.#windowEndsAtMs = nowMs + PROBE_MAX_MS;
  }

  #endProbe(nowMs: number): void {
    const hasMeasured = this.#samples >= MIN_SAMPLES;
    const latencyMs = this.#closeWindow(nowMs);
    if (hasMeasured) this.#idealMs = latencyMs;
    this.#isProbing = false;
    this.#toSkip = 0;
    this.#mostInFlight = 0;
    this.#planProbe(nowMs);
  }

  #planProbe(nowMs: number): void {
    this.#probeAtMs = nowMs + PROBE_EVERY_MS * (1 + PROBE_JITTER * (2 * this.#chance() - 1));
  }

  #closeWindow(nowMs: number): number {
    const latencyMs = quantileMs(this.#window, 0, 0.5);
    this.#window.fill(0);
    this.#samples = 0;
    this.#windowEndsAtMs = nowMs + UPDATE_MS;
    return latencyMs;
  }
}
