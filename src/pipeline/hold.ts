/**
 * Hold: the place of one attempt at an upstream that is protected.
 *
 * rule   the breaker hears of each attempt once: by its answer's head, by its failure, or that it was called off. The
 *        place is given back once: when the attempt fails or its exchange is over, whatever comes first
 */
import type { Failure } from "../core/failure.ts";
import { type Breaker, REFUSED } from "../limit/breaker.ts";
import { clock } from "../transport/clock.ts";
import type { EndpointPlaces, Held, Planned } from "./plan.ts";

/** Statuses by which an endpoint says that it has done nothing: they are fast, and say nothing of its speed. */
const REFUSALS: ReadonlySet<number> = new Set([429, 503]);

/** What a Hold tells the gate that gave it. */
export interface HoldGate {
  judge(hold: Hold, isError: boolean, latencyMs: number): void;
  noteLatency(latencyMs: number): void;
  occupy(endpoint: EndpointPlaces): void;
  giveBack(endpoint: EndpointPlaces | undefined): void;
}

export class Hold implements Held {
  #endpoint: EndpointPlaces | undefined;
  readonly breaker: Breaker | undefined;
  /** What the breaker gave; REFUSED = it has heard of this attempt already. */
  admission: number;
  #sinceMs = clock.nowMs;
  #isAnswered = false;
  readonly #gate: HoldGate;
  readonly #exchange: Planned;

  constructor(gate: HoldGate, exchange: Planned, breaker: Breaker | undefined, admission: number) {
    this.#gate = gate;
    this.#exchange = exchange;
    this.breaker = breaker;
    this.admission = admission;
  }

  chose(endpoint: EndpointPlaces): void {
    this.#endpoint = endpoint;
    this.#gate.occupy(endpoint);
  }

  requestEnded(): void {
    this.#sinceMs = clock.nowMs;
  }

  answered(): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    const { status } = this.#exchange;
    const latencyMs = this.#latencyMs();
    this.#judge(status >= 500, latencyMs);
    if (!REFUSALS.has(status)) this.#gate.noteLatency(latencyMs);
  }

  failed(failure: Failure): void {
    if (!this.#isAnswered && this.#isUpstreamsFault(failure)) {
      const latencyMs = this.#latencyMs();
      this.#judge(true, latencyMs);
      if (failure.status === 504) this.#gate.noteLatency(latencyMs);
    }
    this.leave();
  }

  #isUpstreamsFault({ side, retry, code }: Failure): boolean {
    if (code === "request_timeout") return this.#exchange.isRequestComplete;
    return side === "upstream" && retry !== "same";
  }

  #latencyMs(): number {
    return clock.nowMs - Math.max(this.#sinceMs, this.#exchange.sentAtMs);
  }

  #judge(isError: boolean, latencyMs: number): void {
    this.#gate.judge(this, isError, latencyMs);
    this.admission = REFUSED;
  }

  /** A plan has one place at most and forgets it here, so it is given back once. */
  leave(): void {
    const { plan } = this.#exchange;
    if (plan.hold !== this) return;
    plan.hold = undefined;
    if (this.admission !== REFUSED) this.breaker?.abandon(this.admission);
    this.#gate.giveBack(this.#endpoint);
  }
}
