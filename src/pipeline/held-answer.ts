/**
 * Held answer: a small answer waits here until it is whole, as long as the request may be sent again.
 *
 * why    an endpoint that dies in the middle of a body cannot be replaced once its head is with the client; a small body
 *        is here with its head, or a moment later, so that to wait costs next to nothing and a cut can be repeated
 * rule   only a body whose length is told and at most MAX_HELD_BYTES: a stream is never held up
 */
import type { Exchange } from "../session/exchange.ts";
import type { BufferBudget } from "../transport/wire.ts";

export const MAX_HELD_BYTES = 64 * 1024;

export class HeldAnswer {
  readonly #budget: BufferBudget;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** Takes the body bytes that came with the head. */
  constructor(budget: BufferBudget, exchange: Exchange) {
    this.#budget = budget;
    const { first, firstStart, firstEnd } = exchange;
    if (first !== undefined) this.take(first.subarray(firstStart, firstEnd));
  }

  take(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    this.#budget.usedBytes += bytes.length;
  }

  /** The body is whole: it leaves with its head. */
  giveTo(exchange: Exchange): void {
    exchange.first = Buffer.concat(this.#pieces);
    exchange.firstStart = 0;
    exchange.firstEnd = exchange.first.length;
    this.release();
  }

  release(): void {
    this.#budget.usedBytes -= this.#bytes;
    this.#bytes = 0;
    this.#pieces = [];
  }
}
