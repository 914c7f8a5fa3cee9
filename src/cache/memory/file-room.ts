/**
 * File room: how much the body files take, and which goes when there is no room.
 *
 * shape  a queue of index entries that have a file, in shared words: the oldest is looked at first; one that was used
 *        since goes to the end with one use less
 * rule   whoever hides an entry removes its file: nobody else can have hidden it
 * note   kept in KiB of whole blocks. A worker that is killed between two words leaves the sum off by one file:
 *        `recount` is exact
 */
import type { BodyFiles } from "../body-files.ts";
import type { BodyRef } from "../stored.ts";
import { type CacheIndex, FILE_TURN, FLAGS, HAS_FILE, PUBLISHED, USES } from "./cache-index.ts";
import {
  ENTRY_WORDS,
  HEADER_FILES_HEAD,
  HEADER_FILES_KIB,
  HEADER_FILES_TAIL,
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

  #enqueue(at: number): void {
    const turn = Atomics.add(this.#header, HEADER_FILES_TAIL, 1);
    this.#index.words[at + FILE_TURN] = turn;
    Atomics.store(this.#queue, turn & (this.#queue.length - 1), at / ENTRY_WORDS + 1);
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
    const head = Atomics.load(header, HEADER_FILES_HEAD);
    if (((Atomics.load(header, HEADER_FILES_TAIL) - head) | 0) <= 0) return -1;
    if (Atomics.compareExchange(header, HEADER_FILES_HEAD, head, (head + 1) | 0) !== head) return -2;
    const at = (Atomics.load(this.#queue, head & (this.#queue.length - 1)) - 1) * ENTRY_WORDS;
    const { words } = this.#index;
    if (at < 0 || words[at + PUBLISHED] === 0 || words[at + FILE_TURN] !== head) return -2;
    return ((words[at + FLAGS] as number) & HAS_FILE) === 0 ? -2 : at;
  }

  /** Counts all files anew and gives each that has lost its turn another: after a worker was killed. */
  recount(): void {
    const { words } = this.#index;
    let kib = 0;
    for (let at = 0; at < words.length; at += ENTRY_WORDS) {
      const file = words[at + PUBLISHED] === 0 ? undefined : this.#index.fileOf(at);
      if (file === undefined) continue;
      kib += kibOf(file.length);
      const turn = words[at + FILE_TURN] as number;
      if (this.#queue[turn & (this.#queue.length - 1)] !== at / ENTRY_WORDS + 1) this.#enqueue(at);
    }
    Atomics.store(this.#header, HEADER_FILES_KIB, kib);
  }
}
