/**
 * Request ids and span ids from a pool of random bytes.
 *
 * why    asking the system for 16 bytes and writing them as hex costs several times the rest of a log line;
 *        one pool serves some hundred ids
 * in     a random source that fills a byte array: `crypto.getRandomValues` outside of tests
 * note   32 and 16 hex digits are a W3C trace id and span id as they stand; the all-zero values that Trace Context
 *        forbids come up less often than once in 2^64 ids
 */
const POOL_BYTES = 4096;
const ID_DIGITS = 32;
const SPAN_DIGITS = 16;

export type FillRandom = (bytes: Uint8Array<ArrayBuffer>) => unknown;

export class RequestIds {
  readonly #fill: FillRandom;
  readonly #bytes = Buffer.alloc(POOL_BYTES);
  #hex = "";
  #at = 0;

  constructor(fill: FillRandom) {
    this.#fill = fill;
  }

  /** 32 lower-case hex digits. */
  nextId(): string {
    return this.#take(ID_DIGITS);
  }

  /** 16 lower-case hex digits. */
  nextSpan(): string {
    return this.#take(SPAN_DIGITS);
  }

  #take(digits: number): string {
    let start = this.#at;
    if (start + digits > this.#hex.length) {
      this.#fill(this.#bytes);
      this.#hex = this.#bytes.toString("hex");
      start = 0;
    }
    this.#at = start + digits;
    return this.#hex.slice(start, start + digits);
  }
}
