/**
 * Abuse: does a peer make its connection expensive on purpose?
 *
 * why    resets, pings, settings and empty frames cost little each and nothing to send: only their rate tells use from
 *        abuse. Each takes from an allowance that time refills, and work that was done refills too: a client that
 *        cancels half of a thousand requests a second is busy, one that cancels all of them is a flood.
 * spec   RFC 9113 §10.5; CVE-2023-44487 (rapid reset), CVE-2019-9512 and following, CVE-2025-8671 (made resets)
 */

/** What an event takes from the allowance. */
export const COST = {
  /** A stream reset by the peer, or by us for its mistake: work was begun for nothing. */
  reset: 4,
  ping: 1,
  settings: 4,
  /** DATA, HEADERS fragment or PRIORITY that moves nothing on. */
  emptyFrame: 1,
  /** A stream opened beyond the limit that we have told. */
  refused: 2,
  /** A head beyond limits.requestHead: decoded to the end, for a refusal. */
  hugeHead: 10,
  /** DATA for a stream that we have reset: a window of it is on its way, not more. */
  lateFrame: 0.02,
  lateByte: 1 / 32_768,
  windowUpdate: 0.05,
  unknownFrame: 0.2,
} as const;

/** Allowance at the start, and the most that is saved up. */
const BURST = 1000;
const REFILL_PER_SECOND = 200;
/** A stream that ran to its end has earned more than a reset costs. */
const EARNED_BY_STREAM = 4;

export class AbuseMeter {
  #allowance = BURST;
  #seenAtMs = 0;

  /** Takes for one event. out  true when the allowance is used up */
  isTooMuch(cost: number, nowMs: number): boolean {
    const elapsedMs = this.#seenAtMs === 0 ? 0 : nowMs - this.#seenAtMs;
    this.#seenAtMs = nowMs;
    this.#allowance = Math.min(BURST, this.#allowance + (elapsedMs / 1000) * REFILL_PER_SECOND) - cost;
    return this.#allowance < 0;
  }

  /** A stream ran to its end. */
  streamDone(): void {
    if (this.#allowance < BURST) this.#allowance += EARNED_BY_STREAM;
  }
}
