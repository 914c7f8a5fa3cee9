/**
 * Retry budget: may one more request be sent again?
 *
 * why    with a count for each request, three attempts make three times the load just when an upstream is down; with a
 *        share of all requests the load grows by that share and no more
 * rule   retries in the window ≤ share × requests in the window + a floor, which lets a quiet upstream retry at all
 * in     every first attempt, and every wish to retry or hedge; time in ms, never going back
 * cost   O(1), no allocation
 * spec   Google's SRE book, "Handling Overload" (per-client retry budget); Finagle's RetryBudget (10 s, a floor of
 *        10/s); Envoy's retry_budget (20 %, a floor of 3 at once)
 */
import { SlidingCounts } from "./sliding-counts.ts";

export interface BudgetRules {
  /** Retries for each request, 0 to 1. */
  readonly share: number;
  /** In each second, whatever the traffic; in each worker. */
  readonly floorPerSec: number;
}

const WINDOW_MS = 10_000;
const REQUESTS = 0;
const RETRIES = 1;

export class RetryBudget {
  readonly #share: number;
  readonly #floor: number;
  readonly #counts = new SlidingCounts(2, WINDOW_MS);

  constructor(rules: BudgetRules) {
    this.#share = rules.share;
    this.#floor = (rules.floorPerSec * WINDOW_MS) / 1000;
  }

  /** A request has come; its retries are not counted here. */
  deposit(nowMs: number): void {
    this.#counts.advance(nowMs);
    this.#counts.add(REQUESTS);
  }

  /** Takes one retry out of the budget; false when there is none left. */
  withdraw(nowMs: number): boolean {
    if (this.left(nowMs) < 1) return false;
    this.#counts.add(RETRIES);
    return true;
  }

  /** A retry that was withdrawn did not take place: no endpoint was left, or the client went. */
  refund(nowMs: number): void {
    this.#counts.advance(nowMs);
    if (this.#counts.sum(RETRIES) > 0) this.#counts.add(RETRIES, -1);
  }

  /** Retries that may be made now. */
  left(nowMs: number): number {
    this.#counts.advance(nowMs);
    return this.#counts.sum(REQUESTS) * this.#share + this.#floor - this.#counts.sum(RETRIES);
  }
}
