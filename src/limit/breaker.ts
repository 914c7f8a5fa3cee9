/**
 * Breaker: is an upstream so bad that asking it only makes things worse?
 *
 * why    when most requests fail or crawl, an answer in a microsecond helps the client more than one after its time-out,
 *        and an upstream that nobody asks recovers
 * rule   closed: all pass; from `minRequests` in the window on, a share of errors of at least `errorRate` opens it. An
 *        answer slower than `latencyMs` is an error. Open: nobody passes for `openMs`, twice as long each time
 *        in a row, up to MAX_OPEN_TIMES. Half-open: TRIALS pass; one error opens it again, TRIALS answers close it
 * in     every request that would pass asks `enter` and hands its admission back once: with `settle` when its answer
 *        is known (its head, not its last byte) or with `abandon`. Results of an earlier state do not count in a later
 * cost   O(1), no allocation
 * spec   M. Nygard, Release It!; resilience4j (failure and slow-call rate over a window, calls permitted in half-open)
 */
import { SlidingCounts } from "./sliding-counts.ts";

export interface BreakerRules {
  /** Share of errors that opens, 0 to 1. */
  readonly errorRate: number;
  /** Beyond it an answer counts as an error; 0 = off. */
  readonly latencyMs: number;
  readonly windowMs: number;
  readonly minRequests: number;
  readonly openMs: number;
}

export type BreakerState = "closed" | "open" | "half_open";

/** What `enter` gives to those who may not pass. */
export const REFUSED = 0;
/** Requests that try out whether the upstream is well again; several, since one may have been lucky. */
export const TRIALS = 3;
/** An open breaker stays open at most this many times `openMs`. */
export const MAX_OPEN_TIMES = 8;

const REQUESTS = 0;
const ERRORS = 1;

export class Breaker {
  readonly #rules: BreakerRules;
  readonly #counts: SlidingCounts;
  #state: BreakerState = "closed";
  /** Counts changes of state; an admission is its value at the time. */
  #epoch = 1;
  #changedAtMs = 0;
  #openUntilMs = 0;
  /** How long it is open this time, in multiples of `openMs`; 0 = all has been well for long. */
  #openTimes = 0;
  #trialsLeft = 0;
  #trialsPassed = 0;

  constructor(rules: BreakerRules) {
    this.#rules = rules;
    this.#counts = new SlidingCounts(2, rules.windowMs);
  }

  /** As of the last call with a time: an open breaker turns half-open only when somebody wants to pass. */
  get state(): BreakerState {
    return this.#state;
  }

  /** When the present state began; 0 = it has been closed all the time. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }

  /** May a request pass? out  its admission, or REFUSED */
  enter(nowMs: number): number {
    if (this.#state === "closed") return this.#epoch;
    if (this.#state === "open") {
      if (nowMs < this.#openUntilMs) return REFUSED;
      this.#beginTrials(nowMs);
    }
    if (this.#trialsLeft === 0) {
      // Trials without an answer for as long as it was open: others try in their place.
      if (nowMs - this.#changedAtMs < this.#openTimes * this.#rules.openMs) return REFUSED;
      this.#beginTrials(nowMs);
    }
    this.#trialsLeft--;
    return this.#epoch;
  }

  /** The answer of a request is known. true = the breaker's state has changed by it */
  settle(admission: number, isError: boolean, latencyMs: number, nowMs: number): boolean {
    if (admission !== this.#epoch) return false;
    const { latencyMs: slowMs } = this.#rules;
    const isBad = isError || (slowMs > 0 && latencyMs > slowMs);
    return this.#state === "closed" ? this.#count(isBad, nowMs) : this.#judgeTrial(isBad, nowMs);
  }

  /** A request ended without telling anything of the upstream: its client left. */
  abandon(admission: number): void {
    if (admission === this.#epoch && this.#state === "half_open") this.#trialsLeft++;
  }

  /** How long from now nobody will pass: for Retry-After. */
  closedForMs(nowMs: number): number {
    return this.#state === "open" ? Math.max(0, this.#openUntilMs - nowMs) : 0;
  }

  #count(isBad: boolean, nowMs: number): boolean {
    const counts = this.#counts;
    counts.advance(nowMs);
    counts.add(REQUESTS);
    if (!isBad) return false;
    counts.add(ERRORS);
    const requests = counts.sum(REQUESTS);
    const { errorRate, minRequests } = this.#rules;
    if (requests < minRequests || counts.sum(ERRORS) < errorRate * requests) return false;
    // Closed for so long, it was well: the next opening is a first one again.
    if (nowMs - this.#changedAtMs >= MAX_OPEN_TIMES * this.#rules.openMs) this.#openTimes = 0;
    this.#open(nowMs);
    return true;
  }

  #judgeTrial(isBad: boolean, nowMs: number): boolean {
    if (isBad) {
      this.#open(nowMs);
      return true;
    }
    this.#trialsPassed++;
    if (this.#trialsPassed < TRIALS) return false;
    this.#counts.clear();
    this.#change("closed", nowMs);
    return true;
  }

  #open(nowMs: number): void {
    this.#openTimes = Math.min(MAX_OPEN_TIMES, Math.max(1, this.#openTimes * 2));
    this.#openUntilMs = nowMs + this.#openTimes * this.#rules.openMs;
    this.#change("open", nowMs);
  }

  #beginTrials(nowMs: number): void {
    this.#trialsLeft = TRIALS;
    this.#trialsPassed = 0;
    this.#change("half_open", nowMs);
  }

  #change(state: BreakerState, nowMs: number): void {
    this.#state = state;
    this.#epoch++;
    this.#changedAtMs = nowMs;
  }
}
