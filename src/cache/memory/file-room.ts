/**
 * File room: how much the body files take, and which goes when there is no room.
 *
 * shape  a queue of index entries that have a file, in shared words: the oldest is looked at first; one that was used
 *        since goes to the end with one use less
 * rule   whoever hides an entry removes its file: nobody else can have hidden it
 * note   kept in KiB of whole blocks. A worker that is killed between two words leaves the sum off by one file: `recount`
 *        sets that right
 */
import type { BodyFiles } from "../body-files.ts";
import type { BodyRef } from "../stored.ts";
import { type CacheIndex, FILE_TURN, FLAGS, HAS_FILE, PUBLISHED, USES } from "./cache-index.ts";
import {
  ENTRY_WORDS,
  HEADER_FILES_HEAD,
  HEADER_FILES_KIB,
  HEADER_FILES_TAIL,
  HEADER_OBJECTS,
  MAX_ROWS,
  ROW_EVICTED,
  ROW_PENDING_KIB,
  ROW_WORDS,
  type SharedMemory,
} from "./layout.ts";

const KIB = 1024;
/** Files take whole pages. */
const BLOCK = 4;
/** Entries looked at for one that may go: each use that is taken away is one look. */
const MOST_LOOKS = 10_000;
/** Turns given at once: files that were kept a round long stand next to each other. */
const MOST_MOVED = 1000;
/** While others keep or drop files, so often is counted anew. */
const MOST_COUNTS = 4;

const kibOf = (bytes: number) => Math.ceil(bytes / (BLOCK * KIB)) * BLOCK;

export class FileRoom {
  readonly #files: BodyFiles | undefined;
  /** Bytes of files lie in memory: they count against its budget. */
  readonly isMemory: boolean;
  readonly #index: CacheIndex;
  readonly #header: Int32Array;
  readonly #rows: Int32Array;
  readonly #row: number;
  readonly #queue: Int32Array;

  constructor(
    { header, rows, fileQueue }: SharedMemory,
    index: CacheIndex,
    files: BodyFiles | undefined,
    row: number,
  ) {
    this.#header = header;
    this.#rows = rows;
    this.#row = row * ROW_WORDS;
    this.#queue = fileQueue;
    this.#index = index;
    this.#files = files;
    this.isMemory = files?.isMemory ?? true;
  }

  /** Bytes of all files that are kept or being written. */
  get bytes(): number {
    let kib = Atomics.load(this.#header, HEADER_FILES_KIB);
    for (let row = 0; row < MAX_ROWS; row++) kib += this.#rows[row * ROW_WORDS + ROW_PENDING_KIB] as number;
    return Math.max(0, kib) * KIB;
  }

  /** What of it counts against memory. */
  get memoryBytes(): number {
    return this.isMemory ? this.bytes : 0;
  }

  /** Counts what this worker is writing: bytes reserved, or given back when negative. */
  reserve(bytes: number): void {
    const kib = bytes < 0 ? -kibOf(-bytes) : kibOf(bytes);
    Atomics.add(this.#rows, this.#row + ROW_PENDING_KIB, kib);
  }

  /** The file of an entry that is hidden and locked. */
  keep(at: number, file: BodyRef | undefined): void {
    this.#index.setFile(at, file);
    if (file === undefined) return;
    Atomics.add(this.#header, HEADER_FILES_KIB, kibOf(file.length));
    this.#enqueue(at);
  }

  /** Gives an entry the last turn. Whose turn stood in that place, a whole round ago, gets another. */
  #enqueue(at: number): void {
    const queue = this.#queue;
    for (let next = at, moved = 0; next !== -1 && moved < MOST_MOVED; moved++) {
      const turn = Atomics.add(this.#header, HEADER_FILES_TAIL, 1);
      const place = turn & (queue.length - 1);
      const before = (Atomics.load(queue, place) - 1) * ENTRY_WORDS;
      this.#index.words[next + FILE_TURN] = turn;
      Atomics.store(queue, place, next / ENTRY_WORDS + 1);
      next = before !== next && this.#hasTurn(before, (turn - queue.length) | 0) ? before : -1;
    }
  }

  #hasTurn(at: number, turn: number): boolean {
    const { words } = this.#index;
    if (at < 0 || words[at + PUBLISHED] === 0 || words[at + FILE_TURN] !== turn) return false;
    return ((words[at + FLAGS] as number) & HAS_FILE) !== 0;
  }

  /** Hides an entry and removes its file, unless that goes on being used. out  false: somebody else did */
  drop(at: number, keptFile?: BodyRef): boolean {
    const published = this.#index.publishedAt(at);
    const file = this.#index.fileOf(at);
    if (!this.#index.hide(at, published)) return false;
    if (file === undefined) return true;
    Atomics.sub(this.#header, HEADER_FILES_KIB, kibOf(file.length));
    if (file.id !== keptFile?.id) this.#files?.remove(file);
    return true;
  }

  /** Removes a file that no entry names. */
  abandon(file: BodyRef | undefined): void {
    if (file !== undefined) this.#files?.remove(file);
  }

  /** Lets go of the file that is worth least. out  false: there is none */
  evict(): boolean {
    const { words } = this.#index;
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const at = this.#next();
      if (at === -1) return false;
      if (at === -2) continue;
      const uses = words[at + USES] as number;
      if (uses > 0) {
        words[at + USES] = uses - 1;
        this.#enqueue(at);
      } else if (this.drop(at)) {
        Atomics.add(this.#rows, this.#row + ROW_EVICTED, 1);
        return true;
      }
    }
    return false;
  }

  /** The entry whose turn it is; -1: the queue is empty, -2: what stood there is gone. */
  #next(): number {
    const header = this.#header;
    const { length } = this.#queue;
    const head = Atomics.load(header, HEADER_FILES_HEAD);
    const tail = Atomics.load(header, HEADER_FILES_TAIL);
    if (((tail - head) | 0) <= 0) return -1;
    // turns that are more than a round old were given anew, or belong to nobody
    const first = ((tail - head) | 0) > length ? (tail - length) | 0 : head;
    if (Atomics.compareExchange(header, HEADER_FILES_HEAD, head, (first + 1) | 0) !== head) return -2;
    const at = (Atomics.load(this.#queue, first & (length - 1)) - 1) * ENTRY_WORDS;
    return this.#hasTurn(at, first) ? at : -2;
  }

  /**
   * Counts all files and entries anew, and gives each file that has lost its turn another: after a worker was killed.
   * Others go on meanwhile: when they never pause, what they did during the last count is left out.
   */
  recount(): void {
    const header = this.#header;
    for (let tries = 1; ; tries++) {
      const [kib, objects] = [Atomics.load(header, HEADER_FILES_KIB), Atomics.load(header, HEADER_OBJECTS)];
      const counted = this.#count();
      if (tries < MOST_COUNTS && Atomics.load(header, HEADER_FILES_KIB) !== kib) continue;
      Atomics.add(header, HEADER_FILES_KIB, counted.kib - kib);
      Atomics.add(header, HEADER_OBJECTS, counted.objects - objects);
      return;
    }
  }

  #count(): { readonly kib: number; readonly objects: number } {
    const { words } = this.#index;
    let kib = 0;
    let objects = 0;
    for (let at = 0; at < words.length; at += ENTRY_WORDS) {
      if (words[at + PUBLISHED] === 0) continue;
      objects++;
      const file = this.#index.fileOf(at);
      if (file === undefined) continue;
      kib += kibOf(file.length);
      const turn = words[at + FILE_TURN] as number;
      if (this.#queue[turn & (this.#queue.length - 1)] !== at / ENTRY_WORDS + 1) this.#enqueue(at);
    }
    return { kib, objects };
  }
}
