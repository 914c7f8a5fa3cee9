/**
 * Endpoint figures: how did each endpoint of an upstream fare over the last seconds, in all workers together?
 *
 * in     the rows of the zone that workers write
 * out    requests, errors and a latency for each endpoint (`health/outliers.ts`), over one window
 * rule   read once a step: a window is as many steps; what a worker counted before it was first read is not in it
 * cost   83 reads a row, endpoint and step with latency, 5 without
 */
import { CounterWindow } from "../health/counter-window.ts";
import type { Figures } from "../health/outliers.ts";
import { quantileMs } from "../observe/histogram.ts";
import { ENDPOINT, HISTOGRAM_BUCKETS, HISTOGRAM_SLOTS } from "../observe/metrics.table.ts";

const AT = ENDPOINT.at;
/** A refused connection, a broken exchange and a 5xx are each one request that went wrong. */
const ERRORS = [AT.connectErrors, AT.errors, AT.status5xx];
/** The median: what most requests meet. A tail has many reasons, and most are not the endpoint's. */
const QUANTILE = 0.5;

export interface FigureNeeds {
  /** First slot of each endpoint's series. */
  readonly slots: readonly number[];
  readonly steps: number;
  readonly hasLatency: boolean;
  /** With fewer requests in the window nothing is said. */
  readonly minRequests: number;
}

export class EndpointFigures implements Figures {
  readonly requests: Float64Array;
  readonly errors: Float64Array;
  readonly latencyMs: Float64Array;
  readonly #needs: FigureNeeds;
  readonly #counts: CounterWindow;
  readonly #buckets: CounterWindow | undefined;
  readonly #histogram = new Float64Array(HISTOGRAM_SLOTS);

  constructor(needs: FigureNeeds) {
    const { slots, steps, hasLatency } = needs;
    this.#needs = needs;
    this.requests = new Float64Array(slots.length);
    this.errors = new Float64Array(slots.length);
    this.latencyMs = new Float64Array(slots.length);
    this.#counts = new CounterWindow(slots.length * 2, steps);
    this.#buckets = hasLatency ? new CounterWindow(slots.length * HISTOGRAM_BUCKETS, steps) : undefined;
  }

  /** One step on. */
  read(rows: readonly Float64Array[]): void {
    const { slots, minRequests } = this.#needs;
    this.#counts.step();
    this.#buckets?.step();
    for (const [index, slot] of slots.entries()) {
      this.#counts.read(index * 2, sumOver(rows, slot + AT.requests));
      this.#counts.read(index * 2 + 1, errorsAt(rows, slot));
      const requests = this.#counts.growth(index * 2);
      this.requests[index] = requests < minRequests ? 0 : requests;
      this.errors[index] = this.#counts.growth(index * 2 + 1);
      if (this.#buckets !== undefined) this.latencyMs[index] = this.#latencyOf(index, rows, this.#buckets);
    }
  }

  #latencyOf(index: number, rows: readonly Float64Array[], window: CounterWindow): number {
    const slot = (this.#needs.slots[index] as number) + AT.firstByte;
    for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
      const counter = index * HISTOGRAM_BUCKETS + bucket;
      window.read(counter, sumOver(rows, slot + bucket));
      this.#histogram[bucket] = window.growth(counter);
    }
    return quantileMs(this.#histogram, 0, QUANTILE);
  }

  /** Begins anew for an endpoint: what it did before it was left alone is not held against it again. */
  forget(index: number): void {
    this.#counts.forget(index * 2);
    this.#counts.forget(index * 2 + 1);
    if (this.#buckets === undefined) return;
    for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
      this.#buckets.forget(index * HISTOGRAM_BUCKETS + bucket);
    }
  }
}

function errorsAt(rows: readonly Float64Array[], slot: number): number {
  let sum = 0;
  for (const offset of ERRORS) sum += sumOver(rows, slot + offset);
  return sum;
}

function sumOver(rows: readonly Float64Array[], slot: number): number {
  let sum = 0;
  for (const row of rows) sum += row[slot] ?? 0;
  return sum;
}
