/**
 * Line arena: the bytes that the field lines of decoded blocks stand in.
 *
 * why    heads outlive the block they came in, and a buffer for each would be garbage for each: many heads share one,
 *        and it lives as long as one of them looks at it
 * rule   one for the process: a block is decoded whole before anything else can happen, and a connection that is idle
 *        holds none
 * shape  a block's lines are `bytes[base, at)`; lines that stand next to each other where they come from are held back
 *        (`#runStart`, `#runEnd`) and copied at once
 * bound  16 KiB each, more only for a block that needs it
 */
const USUAL_BYTES = 16 * 1024;
/** Up to this many bytes, storing each costs less than the call that copies them. */
const SHORT_RUN = 24;
const NO_BYTES = Buffer.alloc(0);

/** Copies `from[start, start + length)` to `to[at…]`; the two do not overlap. */
// biome-ignore lint/complexity/useMaxParams: a range and a place, and no object per string on the hot path
export function copyBytes(from: Buffer, start: number, length: number, to: Buffer, at: number): void {
  if (length > SHORT_RUN) from.copy(to, at, start, start + length);
  else for (let offset = 0; offset < length; offset++) to[at + offset] = from[start + offset] as number;
}

export class LineArena {
  bytes: Buffer = NO_BYTES;
  /** Where the lines of this block start. */
  base = 0;
  /** Where the next line starts, once the run is written. */
  at = 0;
  #run: Buffer = NO_BYTES;
  #runStart = 0;
  #runEnd = 0;

  /** Gets ready for the lines of a new block. */
  start(): void {
    this.base = this.at;
    this.#runStart = this.#runEnd;
  }

  /** Length of the block's lines so far. */
  get length(): number {
    return this.at - this.base + (this.#runEnd - this.#runStart);
  }

  /** Makes sure that `more` bytes have room behind the lines, which are all written then. */
  reserve(more: number): void {
    if (this.#runEnd !== this.#runStart) this.flush();
    if (this.at + more > this.bytes.length) this.#renew(more);
  }

  /** Adds a line that stands at `from[start, start + length)`, which does not change before the next `flush`. */
  line(from: Buffer, start: number, length: number): void {
    if (start === this.#runEnd && from === this.#run) {
      this.#runEnd += length;
      return;
    }
    if (this.#runEnd !== this.#runStart) this.flush();
    this.#run = from;
    this.#runStart = start;
    this.#runEnd = start + length;
  }

  /** Writes what is held back. */
  flush(): void {
    const from = this.#run;
    const start = this.#runStart;
    const length = this.#runEnd - start;
    this.#runStart = this.#runEnd;
    if (length === 0) return;
    if (this.at + length > this.bytes.length) this.#renew(length);
    copyBytes(from, start, length, this.bytes, this.at);
    this.at += length;
  }

  #renew(more: number): void {
    const held = this.at - this.base;
    const bytes = Buffer.allocUnsafeSlow(Math.max(USUAL_BYTES, (held + more) * 2));
    if (held > 0) this.bytes.copy(bytes, 0, this.base, this.at);
    this.bytes = bytes;
    this.at = held;
    this.base = 0;
  }
}

/** That of this process. */
export const LINE_ARENA = new LineArena();
