/**
 * Segments: who may write where in the arena.
 *
 * shape  a segment is free (it has no memory), open (one worker appends to it), or sealed in one of two queues, small and
 *        main. Each worker has open segments of its own, so that appending takes no lock
 * rule   a segment's generation goes up before anything in it is written over: who copies a record out and finds the
 *        same generation afterwards has copied that record
 * rule   USED is written after the record that it counts; a worker that is killed leaves whole records below it
 */
import {
  HEADER_SEALED,
  PLACE_BYTES,
  ROW_FENCE,
  ROW_WORDS,
  SEGMENT_WORDS,
  type SharedMemory,
} from "./layout.ts";

const STATE = 0;
const GENERATION = 1;
const USED = 2;
const ORDER = 3;

const FREE = 0;
export const SMALL = 1;
export const MAIN = 2;
export type Queue = typeof SMALL | typeof MAIN;
const QUEUE_MASK = 3;
const OWNER_SHIFT = 8;

/** What there is of each kind, and the oldest sealed ones; -1 = none. */
export interface SegmentCensus {
  used: number;
  small: number;
  oldestSmall: number;
  oldestMain: number;
  free: number;
}

export class Segments {
  readonly segmentBytes: number;
  readonly count: number;
  readonly #words: Int32Array;
  readonly #header: Int32Array;
  readonly #rows: Int32Array;
  readonly #fenceWord: number;
  readonly #owner: number;
  readonly #census: SegmentCensus = { used: 0, small: 0, oldestSmall: -1, oldestMain: -1, free: -1 };

  constructor({ segments, header, rows, layout }: SharedMemory, row: number) {
    this.segmentBytes = layout.segmentBytes;
    this.count = layout.segments;
    this.#words = segments;
    this.#header = header;
    this.#rows = rows;
    this.#fenceWord = row * ROW_WORDS + ROW_FENCE;
    this.#owner = row + 1;
  }

  generationOf(segment: number): number {
    return Atomics.load(this.#words, segment * SEGMENT_WORDS + GENERATION);
  }

  /** What was read and written before it was so before what is read and copied after it, on any processor. */
  fence(): void {
    Atomics.add(this.#rows, this.#fenceWord, 1);
    Atomics.load(this.#rows, this.#fenceWord);
  }

  usedOf(segment: number): number {
    const used = Atomics.load(this.#words, segment * SEGMENT_WORDS + USED);
    return Math.min(Math.max(used, 0), this.segmentBytes);
  }

  setUsed(segment: number, bytes: number): void {
    Atomics.store(this.#words, segment * SEGMENT_WORDS + USED, bytes);
  }

  queueOf(segment: number): number {
    return Atomics.load(this.#words, segment * SEGMENT_WORDS + STATE) & QUEUE_MASK;
  }

  /** Takes a free or sealed segment for this worker, in the queue that it is in, or `SMALL`. */
  claim(segment: number): boolean {
    const at = segment * SEGMENT_WORDS + STATE;
    const state = Atomics.load(this.#words, at);
    if (state >>> OWNER_SHIFT !== 0) return false;
    const mine = (state === FREE ? SMALL : state) | (this.#owner << OWNER_SHIFT);
    return Atomics.compareExchange(this.#words, at, state, mine) === state;
  }

  /** Whether a segment is still open for this worker, as it was when it had that generation. */
  isOurs(segment: number, generation: number): boolean {
    const state = Atomics.load(this.#words, segment * SEGMENT_WORDS + STATE);
    return state >>> OWNER_SHIFT === this.#owner && this.generationOf(segment) === generation;
  }

  /** Begins an own segment anew: what was in it is not found from here on. */
  clear(segment: number, queue: Queue): void {
    this.setUsed(segment, 0);
    Atomics.add(this.#words, segment * SEGMENT_WORDS + GENERATION, 1);
    Atomics.store(this.#words, segment * SEGMENT_WORDS + STATE, queue | (this.#owner << OWNER_SHIFT));
    this.fence();
  }

  /** Puts an own segment at the end of its queue. */
  seal(segment: number): void {
    const at = segment * SEGMENT_WORDS;
    Atomics.store(this.#words, at + ORDER, Atomics.add(this.#header, HEADER_SEALED, 1) + 1);
    Atomics.store(this.#words, at + STATE, Atomics.load(this.#words, at + STATE) & QUEUE_MASK);
  }

  /** Gives an own segment, which was cleared and has no memory any more, to whoever wants it. */
  free(segment: number): void {
    Atomics.store(this.#words, segment * SEGMENT_WORDS + STATE, FREE);
  }

  /** Looks over all of them. cost: some ns a segment; the answer is good until the next call */
  census(): SegmentCensus {
    const census = this.#census;
    census.used = 0;
    census.small = 0;
    census.oldestSmall = -1;
    census.oldestMain = -1;
    census.free = -1;
    for (let segment = 0; segment < this.count; segment++) this.#count(segment, census);
    return census;
  }

  #count(segment: number, census: SegmentCensus): void {
    const state = this.#words[segment * SEGMENT_WORDS + STATE] as number;
    if (state === FREE) {
      if (census.free === -1) census.free = segment;
      return;
    }
    census.used++;
    const isSmall = (state & QUEUE_MASK) === SMALL;
    if (isSmall) census.small++;
    if (state >>> OWNER_SHIFT !== 0) return;
    if (isSmall) census.oldestSmall = this.#older(census.oldestSmall, segment);
    else census.oldestMain = this.#older(census.oldestMain, segment);
  }

  #older(one: number, other: number): number {
    if (one === -1) return other;
    const words = this.#words;
    const [first, second] = [words[one * SEGMENT_WORDS + ORDER], words[other * SEGMENT_WORDS + ORDER]];
    return ((first as number) - (second as number)) >>> 31 === 1 ? one : other;
  }

  /** Bytes of records, whole segments apart. */
  recordBytes(): number {
    let bytes = 0;
    for (let segment = 0; segment < this.count; segment++) {
      if (this.queueOf(segment) !== FREE) bytes += this.usedOf(segment);
    }
    return bytes;
  }

  /** Seals what a worker that is gone had open. */
  sealOpen(): void {
    for (let segment = 0; segment < this.count; segment++) {
      const state = Atomics.load(this.#words, segment * SEGMENT_WORDS + STATE);
      if (state >>> OWNER_SHIFT === this.#owner) this.seal(segment);
    }
  }
}

const PLACE_BITS = 16;
const OFFSET_MASK = (1 << PLACE_BITS) - 1;

export const placeOf = (segment: number, offset: number) => (segment << PLACE_BITS) | (offset / PLACE_BYTES);
export const segmentOf = (place: number) => place >>> PLACE_BITS;
export const offsetOf = (place: number) => (place & OFFSET_MASK) * PLACE_BYTES;
/** Room that a record of so many bytes takes. */
export const roomOf = (bytes: number) => Math.ceil(bytes / PLACE_BYTES) * PLACE_BYTES;
