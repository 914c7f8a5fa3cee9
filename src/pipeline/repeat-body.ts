/**
 * Repeat body: the bytes of a request body, kept while the request may still have to be sent again.
 *
 * why    a client cannot be asked for its body twice
 * rule   all or nothing: past the bound, or when memory is short, what was kept is given back and the request is sent
 *        once
 * cost   one copy of each piece: the piece itself goes to the endpoint's session, and with it its memory
 */
import type { BufferBudget } from "../transport/wire.ts";

const NOTHING = Buffer.alloc(0);

export class RepeatBody {
  /** Field lines behind the body, once it is complete. */
  trailers = "";
  readonly #budget: BufferBudget;
  readonly #limitBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #isWhole = true;

  constructor(budget: BufferBudget, limitBytes: number) {
    this.#budget = budget;
    this.#limitBytes = limitBytes;
  }

  /** Nothing of what was taken is missing. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  take(bytes: Buffer): void {
    if (!this.#isWhole) return;
    if (this.#bytes + bytes.length > this.#limitBytes || this.#budget.isExhausted) {
      this.release();
      return;
    }
    this.#pieces.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    this.#budget.usedBytes += bytes.length;
  }

  /** All bytes so far, in memory of their own: whoever sends them may keep it. */
  copy(): Buffer {
    return this.#bytes === 0 ? NOTHING : Buffer.concat(this.#pieces);
  }

  /** The request will not be sent again. */
  release(): void {
    this.#isWhole = false;
    this.#budget.usedBytes -= this.#bytes;
    this.#bytes = 0;
    this.#pieces = [];
  }
}
