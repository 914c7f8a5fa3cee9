/**
 * Cache index: which response stands where, for all workers, in shared words.
 *
 * shape  buckets of WAYS entries, found by the key's hash; the tags of a bucket are one cache line. An entry says where its
 *        record lies in memory, in the cold log, or both, and which body file belongs to it
 * rule   an entry means something only while PUBLISHED is not 0. Who changes it holds the bucket's lock, sets PUBLISHED
 *        to 0, writes, and sets it to a number that never was there: a reader that finds the same number before and
 *        after has read one entry, and a writer that is killed in between leaves one that nobody finds
 * rule   a lock is tried a bounded number of times; who does not get it does without. Of a worker that died, control
 *        takes the locks away (`forgetWorker`)
 */
import type { BodyRef } from "../stored.ts";
import { ENTRY_WORDS, HEADER_OBJECTS, HEADER_PUBLISHED, type SharedMemory, WAYS } from "./layout.ts";

/** Words of an entry. */
export const PUBLISHED = 0;
/** Segment and offset in memory (see `Segments`), or NOWHERE. */
export const PLACE = 1;
/** Generation that the segment had. */
export const GENERATION = 2;
export const LENGTH = 3;
/** 0 to 3. Written by readers, without the lock. */
export const USES = 4;
/** HAS_FILE, IN_MAIN. */
export const FLAGS = 5;
/** When somebody began to refresh it, in units of CLAIM_UNIT_MS; 0 = nobody. */
export const CLAIM = 6;
export const HIGH = 7;
export const LOW = 8;
/** Where it lies in the cold log; segment 0 = it does not. */
export const COLD_SEGMENT = 9;
export const COLD_OFFSET = 10;
const FILE_LOW = 11;
/** 21 bits of the id, then 11 bits of the length. */
const FILE_HIGH = 12;
const FILE_LENGTH_LOW = 13;
/** In seconds since the epoch. */
export const KEEP_UNTIL = 14;
/** Its turn in the queue of files. */
export const FILE_TURN = 15;

export const NOWHERE = -1;
export const HAS_FILE = 1;
export const IN_MAIN = 2;
export const MOST_USES = 3;
const CLAIM_UNIT_MS = 16;
/** Some microseconds: a lock is held for less than one, unless its holder is not running. */
const LOCK_TRIES = 400;
const TWO_32 = 2 ** 32;
const ID_HIGH_BITS = 21;

export class CacheIndex {
  readonly words: Int32Array;
  readonly #tags: Int32Array;
  readonly #locks: Int32Array;
  readonly #header: Int32Array;
  readonly #buckets: number;
  readonly #owner: number;

  constructor({ entries, tags, locks, header, layout }: SharedMemory, row: number) {
    this.words = entries;
    this.#tags = tags;
    this.#locks = locks;
    this.#header = header;
    this.#buckets = layout.buckets;
    this.#owner = row + 1;
  }

  get buckets(): number {
    return this.#buckets;
  }

  bucketOf(high: number): number {
    return (high >>> 0) % this.#buckets;
  }

  /** First word of the entry for a hash, or -1. Without the lock it may be another's a moment later. */
  find(high: number, low: number): number {
    const tags = this.#tags;
    const { words } = this;
    const tag = tagOf(low);
    const first = this.bucketOf(high) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (tags[slot] !== tag) continue;
      const at = slot * ENTRY_WORDS;
      if (words[at + HIGH] === high && Atomics.load(words, at + PUBLISHED) !== 0) return at;
    }
    return -1;
  }

  publishedAt(at: number): number {
    return Atomics.load(this.words, at + PUBLISHED);
  }

  /** A use, counted up to 3: hot entries cost no write. */
  use(at: number): void {
    const uses = this.words[at + USES] as number;
    if (uses < MOST_USES) this.words[at + USES] = uses + 1;
  }

  /** Tries to lock a bucket. */
  lock(bucket: number): boolean {
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      if (Atomics.compareExchange(this.#locks, bucket, 0, this.#owner) === 0) return true;
    }
    return false;
  }

  unlock(bucket: number): void {
    Atomics.store(this.#locks, bucket, 0);
  }

  /** Takes an entry out of sight. Needs no lock. out  false: somebody else did, or it is another's by now */
  hide(at: number, published: number): boolean {
    if (published === 0) return false;
    const isOurs = Atomics.compareExchange(this.words, at + PUBLISHED, published, 0) === published;
    if (isOurs) Atomics.sub(this.#header, HEADER_OBJECTS, 1);
    return isOurs;
  }

  /** Shows what was written to a hidden entry. Under the lock. out  its number */
  show(at: number, high: number, low: number): number {
    const { words } = this;
    words[at + HIGH] = high;
    words[at + LOW] = low;
    this.#tags[at / ENTRY_WORDS] = tagOf(low);
    return this.showAgain(at);
  }

  /** Shows an entry again that was hidden to be changed. Under the lock. */
  showAgain(at: number): number {
    Atomics.add(this.#header, HEADER_OBJECTS, 1);
    let published = 0;
    while (published === 0) published = (Atomics.add(this.#header, HEADER_PUBLISHED, 1) + 1) | 0;
    Atomics.store(this.words, at + PUBLISHED, published);
    return published;
  }

  /**
   * The entry of a bucket to write a new response to, under the lock: a free one, else the one that is worth least.
   * It is not hidden yet.
   */
  slotIn(bucket: number, nowS: number): number {
    const { words } = this;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let slot = bucket * WAYS; slot < (bucket + 1) * WAYS; slot++) {
      const at = slot * ENTRY_WORDS;
      if (words[at + PUBLISHED] === 0) return at;
      const worth = this.#worthOf(at, nowS);
      if (worth < least) {
        least = worth;
        best = at;
      }
    }
    return best;
  }

  /** Uses first, then whether it is in memory, then how long ago it was published. */
  #worthOf(at: number, nowS: number): number {
    const { words } = this;
    if ((words[at + KEEP_UNTIL] as number) < nowS) return -1;
    const age = ((this.#header[HEADER_PUBLISHED] as number) - (words[at + PUBLISHED] as number)) >>> 0;
    const rank = (words[at + USES] as number) * 2 + (words[at + PLACE] === NOWHERE ? 0 : 1);
    return rank * TWO_32 + (TWO_32 - age);
  }

  /** out  false: it is being refreshed, for not longer than `withinMs` */
  claim(at: number, nowMs: number, withinMs: number): boolean {
    const now = Math.floor(nowMs / CLAIM_UNIT_MS) | 0 || 1;
    const seen = Atomics.load(this.words, at + CLAIM);
    if (seen !== 0 && ((now - seen) >>> 0) * CLAIM_UNIT_MS <= withinMs) return false;
    return Atomics.compareExchange(this.words, at + CLAIM, seen, now) === seen;
  }

  fileOf(at: number): BodyRef | undefined {
    const { words } = this;
    if (((words[at + FLAGS] as number) & HAS_FILE) === 0) return undefined;
    const high = (words[at + FILE_HIGH] as number) >>> 0;
    return {
      id: (high & ((1 << ID_HIGH_BITS) - 1)) * TWO_32 + ((words[at + FILE_LOW] as number) >>> 0),
      length: (high >>> ID_HIGH_BITS) * TWO_32 + ((words[at + FILE_LENGTH_LOW] as number) >>> 0),
    };
  }

  /** Under the lock, of a hidden entry. Files are shorter than 8 TiB. */
  setFile(at: number, file: BodyRef | undefined): void {
    const { words } = this;
    const flags = (words[at + FLAGS] as number) & ~HAS_FILE;
    Atomics.store(words, at + FLAGS, flags);
    if (file === undefined) return;
    const { id, length } = file;
    words[at + FILE_LOW] = (id % TWO_32) | 0;
    words[at + FILE_HIGH] = Math.floor(id / TWO_32) | (Math.floor(length / TWO_32) << ID_HIGH_BITS);
    words[at + FILE_LENGTH_LOW] = (length % TWO_32) | 0;
    Atomics.store(words, at + FLAGS, flags | HAS_FILE);
  }

  /** Takes away the locks of a worker that is gone. */
  releaseLocks(): void {
    for (let bucket = 0; bucket < this.#buckets; bucket++) {
      Atomics.compareExchange(this.#locks, bucket, this.#owner, 0);
    }
  }
}

const tagOf = (low: number) => low | 0 || 1;
