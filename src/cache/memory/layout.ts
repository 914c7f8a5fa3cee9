/**
 * Layout: what lies where in the memory that all workers share, and the words that stand for it.
 *
 * shape  header · rows of workers · purge board · bucket locks · tags · entries · ghosts · queue of files · segments · arena.
 *        All but the arena are views of 32-bit words, used by `Atomics` where more than one process writes
 * rule   sizes follow from the budget alone, so that whoever opens a zone finds the same; LAYOUT_VERSION changes with
 *        any of this
 */
import type { Arena } from "./arena.ts";

export const LAYOUT_VERSION = 2;
export const LAYOUT_MAGIC = 0x57434731;

/** Header words. */
export const HEADER_MAGIC = 0;
export const HEADER_VERSION = 1;
/** Budget of memory and of the disk in KiB, and number of workers: what the layout follows from. */
export const HEADER_MEMORY_KIB = 2;
export const HEADER_DISK_KIB = 3;
export const HEADER_WORKERS = 4;
/** Secret of the key hash, two words. */
export const HEADER_SECRET = 5;
/** Number of the entry that was published last: no two ever have the same. */
export const HEADER_PUBLISHED = 16;
/** Number of the segment that was sealed last: their order in the queues. */
export const HEADER_SEALED = 32;
/** KiB of all body files that are kept, and the ends of their queue. */
export const HEADER_FILES_KIB = 48;
export const HEADER_FILES_HEAD = 64;
export const HEADER_FILES_TAIL = 80;
/** Entries that hold a response. */
export const HEADER_OBJECTS = 96;
export const HEADER_WORDS = 128;

/** Words of a worker's row, a cache line or two each. */
export const ROW_WORDS = 32;
/** KiB of body files that it writes just now. */
export const ROW_PENDING_KIB = 0;
/** Written for its effect on the order of loads: see `fence`. */
export const ROW_FENCE = 1;
export const ROW_STORED = 2;
export const ROW_EVICTED = 3;
export const ROW_REFUSED = 4;
export const MAX_ROWS = 128;

/** Entries of a bucket: their tags fill one cache line. */
export const WAYS = 16;
/** Words of an entry. */
export const ENTRY_WORDS = 16;
/** Words of a segment. */
export const SEGMENT_WORDS = 8;
/** Records begin at multiples of this, so that segment and place fit one word. */
export const PLACE_BYTES = 64;
const PLACE_BITS = 16;

const KIB = 1024;
const MIN_SEGMENT = 64 * KIB;
const MAX_SEGMENT = PLACE_BYTES << PLACE_BITS;
/** Above this size segments grow no further while there are fewer than MANY_SEGMENTS. */
const USUAL_SEGMENT = 1024 * KIB;
const MANY_SEGMENTS = 8192;
/** What a place can name, less the last, which is NOWHERE: of memory above 256 GiB the rest is for body files. */
const MOST_SEGMENTS = (1 << PLACE_BITS) - 1;
/** Every worker holds two open, and the queues need some to be queues. */
const SEGMENTS_A_WORKER = 8;
const FEW_SEGMENTS = 64;
/** Pages, scripts and most pictures: what is larger is a file of its own. */
/** Whatever the sizes: a disk may have it from a larger memory. */
export const LARGEST_RECORD = 128 * KIB;
/** A byte of index for so many of memory or disk, at the least: a record with its head is hardly smaller. */
const BYTES_AN_ENTRY = KIB;
const DISK_BYTES_AN_ENTRY = 16 * KIB;
/** The part of memory that the index may take for what is on the disk. */
const MOST_OF_INDEX = 4;
const SMALLEST_FILE = 16 * KIB;

/** Purge board: slots of each of its two tables, and rules about prefixes. */
export const BOARD_SLOTS = 1 << 18;
/** Each slot is shared by so many sets of URLs, told apart by whether anything was fetched for one. */
export const BOARD_BITS_A_SLOT = 16;
export const BOARD_RULES = 256;
export const RULE_WORDS = 4;
export const RULE_BYTES = KIB;
export const BOARD_HEADER_WORDS = 64;
export const BOARD_WORDS =
  BOARD_HEADER_WORDS +
  2 * BOARD_SLOTS +
  (BOARD_SLOTS * BOARD_BITS_A_SLOT) / 32 +
  BOARD_RULES * (RULE_WORDS + RULE_BYTES / Int32Array.BYTES_PER_ELEMENT);

export interface CacheSizes {
  /** Of all workers together: records and body files, index included. */
  readonly memoryBytes: number;
  /** Of the disk tier, 0 = none. */
  readonly diskBytes: number;
  readonly workers: number;
}

export interface CacheLayout {
  readonly sizes: CacheSizes;
  /** Largest record. */
  readonly smallBytes: number;
  readonly segmentBytes: number;
  readonly segments: number;
  /** What records and files in memory may take. */
  readonly dataBytes: number;
  readonly buckets: number;
  /** A power of two. */
  readonly ghosts: number;
  /** A power of two. */
  readonly fileQueue: number;
  /** Words of all views together, in their order; the arena begins at the next page. */
  readonly words: {
    readonly header: number;
    readonly rows: number;
    readonly board: number;
    readonly locks: number;
    readonly tags: number;
    readonly entries: number;
    readonly ghosts: number;
    readonly fileQueue: number;
    readonly segments: number;
  };
}

/** What all processes see; each view is its own. */
export interface SharedMemory {
  readonly layout: CacheLayout;
  readonly header: Int32Array;
  readonly rows: Int32Array;
  readonly board: Int32Array;
  readonly locks: Int32Array;
  readonly tags: Int32Array;
  readonly entries: Int32Array;
  readonly ghosts: Int32Array;
  readonly fileQueue: Int32Array;
  readonly segments: Int32Array;
  readonly arena: Arena;
}

/** As the header tells them: who makes a zone and who opens it must come to the same. */
function inWholeKib({ memoryBytes, diskBytes, workers }: CacheSizes): CacheSizes {
  return {
    memoryBytes: Math.floor(memoryBytes / KIB) * KIB,
    diskBytes: Math.ceil(diskBytes / KIB) * KIB,
    workers,
  };
}

export function layoutOf(told: CacheSizes): CacheLayout {
  const sizes = inWholeKib(told);
  const { memoryBytes, diskBytes, workers } = sizes;
  const segmentBytes = segmentBytesFor(memoryBytes, workers);
  const wanted = memoryBytes / BYTES_AN_ENTRY + diskBytes / DISK_BYTES_AN_ENTRY;
  const most = memoryBytes / MOST_OF_INDEX / (ENTRY_WORDS * 4);
  const buckets = Math.max(16, Math.floor(Math.min(wanted, most) / WAYS));
  const entries = buckets * WAYS;
  const ghosts = powerAbove(entries);
  const fileQueue = powerAbove(Math.min(entries, Math.max(memoryBytes, diskBytes) / SMALLEST_FILE));
  const indexBytes = 4 * (buckets + entries * (1 + ENTRY_WORDS) + ghosts + fileQueue);
  const dataBytes = Math.max(memoryBytes - indexBytes, segmentBytes * 4);
  const segments = Math.min(MOST_SEGMENTS, Math.floor(dataBytes / segmentBytes));
  return {
    sizes,
    smallBytes: Math.min(LARGEST_RECORD, segmentBytes / 4),
    segmentBytes,
    segments,
    dataBytes,
    buckets,
    ghosts,
    fileQueue,
    words: {
      header: HEADER_WORDS,
      rows: MAX_ROWS * ROW_WORDS,
      board: BOARD_WORDS,
      locks: buckets,
      tags: entries,
      entries: entries * ENTRY_WORDS,
      ghosts,
      fileQueue,
      segments: segments * SEGMENT_WORDS,
    },
  };
}

/** Segments are as large as leaves enough of them, and small enough that walking one is not noticed. */
function segmentBytesFor(memoryBytes: number, workers: number): number {
  const few = Math.max(FEW_SEGMENTS, workers * SEGMENTS_A_WORKER);
  let bytes = MIN_SEGMENT;
  while (bytes < USUAL_SEGMENT && memoryBytes / (bytes * 2) >= few) bytes *= 2;
  while (bytes < MAX_SEGMENT && memoryBytes / bytes > MANY_SEGMENTS) bytes *= 2;
  return bytes;
}

const powerAbove = (number: number) => 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, number))));

/** Where each view begins, in bytes, and where the arena does: all at multiples of `pageBytes`. */
export function offsetsOf({ words, segments, segmentBytes }: CacheLayout, pageBytes: number) {
  let at = 0;
  const next = (count: number) => {
    const start = at;
    at += Math.ceil((count * 4) / pageBytes) * pageBytes;
    return start;
  };
  const offsets = {
    header: next(words.header),
    rows: next(words.rows),
    board: next(words.board),
    locks: next(words.locks),
    tags: next(words.tags),
    entries: next(words.entries),
    ghosts: next(words.ghosts),
    fileQueue: next(words.fileQueue),
    segments: next(words.segments),
  };
  return { ...offsets, arena: at, total: at + segments * segmentBytes };
}

/** The same memory for one process alone; `secret`: two words of chance. */
export function privateMemory(
  sizes: CacheSizes,
  secret: readonly [number, number],
  arena: (bytes: number) => Arena,
): SharedMemory {
  const layout = layoutOf(sizes);
  const { words } = layout;
  const header = new Int32Array(words.header);
  writeHeader(header, sizes, secret);
  return {
    layout,
    header,
    rows: new Int32Array(words.rows),
    board: new Int32Array(words.board),
    locks: new Int32Array(words.locks),
    tags: new Int32Array(words.tags),
    entries: new Int32Array(words.entries),
    ghosts: new Int32Array(words.ghosts),
    fileQueue: new Int32Array(words.fileQueue),
    segments: new Int32Array(words.segments),
    arena: arena(layout.segments * layout.segmentBytes),
  };
}

export function writeHeader(header: Int32Array, sizes: CacheSizes, secret: readonly [number, number]): void {
  header[HEADER_VERSION] = LAYOUT_VERSION;
  header[HEADER_MEMORY_KIB] = Math.floor(sizes.memoryBytes / KIB);
  header[HEADER_DISK_KIB] = Math.ceil(sizes.diskBytes / KIB);
  header[HEADER_WORKERS] = sizes.workers;
  header[HEADER_SECRET] = secret[0];
  header[HEADER_SECRET + 1] = secret[1];
  header[HEADER_MAGIC] = LAYOUT_MAGIC;
}

/** What a zone was made for, or undefined when it is none of this version. */
export function sizesIn(header: Int32Array): CacheSizes | undefined {
  if (header[HEADER_MAGIC] !== LAYOUT_MAGIC || header[HEADER_VERSION] !== LAYOUT_VERSION) return undefined;
  return {
    memoryBytes: (header[HEADER_MEMORY_KIB] as number) * KIB,
    diskBytes: (header[HEADER_DISK_KIB] as number) * KIB,
    workers: header[HEADER_WORKERS] as number,
  };
}
