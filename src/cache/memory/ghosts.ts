/**
 * Ghosts: which responses were pushed out lately, without having been used.
 *
 * why    one that is asked for again soon after belongs to the main queue (S3-FIFO): it was pushed out too early, while a
 *        scan asks for nothing twice
 * shape  a table of words, a fingerprint and a time each; a new ghost takes the place of whatever has its word
 * note   to be wrong costs a worse choice of queue, nothing else: no locks
 */
import { HEADER_SEALED, type SharedMemory } from "./layout.ts";

const STAMP_MASK = 0xffff;

export class Ghosts {
  readonly #words: Int32Array;
  readonly #header: Int32Array;
  readonly #segments: number;

  constructor({ ghosts, header, layout }: SharedMemory) {
    this.#words = ghosts;
    this.#header = header;
    this.#segments = layout.segments;
  }

  add(high: number, low: number): void {
    this.#words[this.#slotOf(high, low)] = (low & ~STAMP_MASK) | (this.#now() & STAMP_MASK);
  }

  /** True when it was pushed out since about as much as memory holds was stored. It is no ghost afterwards. */
  take(high: number, low: number): boolean {
    const slot = this.#slotOf(high, low);
    const ghost = this.#words[slot] as number;
    if (ghost === 0 || (ghost ^ low) >>> 16 !== 0) return false;
    this.#words[slot] = 0;
    return ((this.#now() - ghost) & STAMP_MASK) <= this.#segments;
  }

  #now(): number {
    return this.#header[HEADER_SEALED] as number;
  }

  #slotOf(high: number, low: number): number {
    return (high ^ low) & (this.#words.length - 1);
  }
}
