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

const ID_NAME = "X-Request-Id: ";
const TRACE_NAME = "\r\ntraceparent: 00-";
const TEMPLATE = `${ID_NAME}${"0".repeat(ID_DIGITS)}${TRACE_NAME}${"0".repeat(ID_DIGITS)}-${"0".repeat(SPAN_DIGITS)}-01\r\n`;
const ID_AT = ID_NAME.length;
const TRACE_AT = ID_AT + ID_DIGITS + TRACE_NAME.length;
const SPAN_AT = TRACE_AT + ID_DIGITS + 1;
/** Line pairs made at a time. */
const BATCH = 64;

/** The id that `nextLines` put into its lines. */
export function idInLines(lines: string): string {
  return lines.slice(ID_AT, ID_AT + ID_DIGITS);
}

export class RequestIds {
  readonly #fill: FillRandom;
  readonly #batch = Buffer.from(TEMPLATE.repeat(BATCH), "latin1");
  #lines = "";
  #nextLine = BATCH;
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

  /**
   * The field lines X-Request-Id and traceparent of a new exchange: one id in both, and a span.
   * cost  one slice: the lines are made for 64 exchanges at once, without a string for each part
   */
  nextLines(): string {
    if (this.#nextLine === BATCH) this.#makeLines();
    const start = this.#nextLine++ * TEMPLATE.length;
    return this.#lines.slice(start, start + TEMPLATE.length);
  }

  #makeLines(): void {
    const batch = this.#batch;
    for (let line = 0; line < BATCH; line++) {
      const start = line * TEMPLATE.length;
      const id = this.nextId();
      batch.latin1Write(id, start + ID_AT);
      batch.latin1Write(id, start + TRACE_AT);
      batch.latin1Write(this.nextSpan(), start + SPAN_AT);
    }
    this.#lines = batch.latin1Slice();
    this.#nextLine = 0;
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
