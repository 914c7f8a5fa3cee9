/**
 * Cache zone: the memory that holds the cache of all workers: one mapped file in /dev/shm.
 *
 * why    a response that one worker stores is a hit for all, a purge is a word that all see, and a worker that is killed
 *        loses nothing
 * shape  words (header, purge board, index, table of segments), then the arena. Words become typed arrays; the arena does
 *        not, as the collector would count it as garbage to come: bytes go in and out by memcpy
 * rule   the file is sparse. What holds words gets its memory when it is made, a segment when it is first used: writing
 *        to a page that a full /dev/shm cannot give would kill the process, asking for it beforehand only fails; and the
 *        last of /dev/shm is left to others, whose counters are sparse as well
 * note   the arena's copies cost what those between buffers cost; that they are right is held by a test (tests/runtime/mapped-memory.test.ts)
 */
import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import { randomInt } from "node:crypto";
import {
  chownSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readSync,
  statfsSync,
} from "node:fs";
import { type Arena, bytesToTake, type FileSystemRoom, hasRoomFor } from "../cache/memory/arena.ts";
import {
  type CacheLayout,
  type CacheSizes,
  HEADER_WORDS,
  layoutOf,
  offsetsOf,
  type SharedMemory,
  sizesIn,
  writeHeader,
} from "../cache/memory/layout.ts";
import { partsOf } from "../cache/memory/parts.ts";
import { forgetRow } from "../cache/memory/sweep.ts";
import { SharedPurgeBoard, secretIn } from "../cache/purge-board.ts";
import {
  mapShared,
  newPath,
  removeName,
  removeNamesOf,
  removeOrphans,
  SHARED_FOLDER,
} from "./shared-file.ts";

const IS_DARWIN = process.platform === "darwin";
const PAGE_BYTES = IS_DARWIN ? 16_384 : 4096;
const PREFIX = "weir-cache-";

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const WORD_BYTES = 4;
const MIB = 1024 * 1024;

export interface CacheZoneOptions {
  /** Who else may open it, by number: the user that workers become. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Purges of before (`SharedPurgeBoard.snapshot`): hashes of what is on the disk then mean the same. */
  readonly board?: Buffer | undefined;
}

export class CacheZone implements SharedMemory {
  readonly path: string;
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

  private constructor(path: string, layout: CacheLayout, file: number) {
    const offsets = offsetsOf(layout, PAGE_BYTES);
    const base = mapShared(file, offsets.total);
    if (base === undefined) throw new Error(`cannot map ${path}`);
    const words = (at: number, count: number) => new Int32Array(toArrayBuffer(base, at, count * WORD_BYTES));
    this.path = path;
    this.layout = layout;
    this.header = words(offsets.header, layout.words.header);
    this.rows = words(offsets.rows, layout.words.rows);
    this.board = words(offsets.board, layout.words.board);
    this.locks = words(offsets.locks, layout.words.locks);
    this.tags = words(offsets.tags, layout.words.tags);
    this.entries = words(offsets.entries, layout.words.entries);
    this.ghosts = words(offsets.ghosts, layout.words.ghosts);
    this.fileQueue = words(offsets.fileQueue, layout.words.fileQueue);
    this.segments = words(offsets.segments, layout.words.segments);
    this.arena = new MappedArena(file, base, offsets.arena, layout.segmentBytes);
  }

  /** Makes a new zone, empty; the caller removes it. Throws when /dev/shm has no room for the index. */
  static create(sizes: CacheSizes, { owner, board }: CacheZoneOptions = {}): CacheZone {
    removeOrphans(PREFIX);
    const path = newPath(PREFIX);
    const file = openSync(path, "wx+", 0o600);
    try {
      const layout = layoutOf(sizes);
      const offsets = offsetsOf(layout, PAGE_BYTES);
      ftruncateSync(file, offsets.total);
      if (!hasFreeMemory(offsets.arena) || !allocate(file, 0, offsets.arena)) {
        const needed = `${Math.ceil(offsets.arena / 2 ** 20)} MiB`;
        const remedy =
          "Make `cache.memory` or `cache.disk.size` less, or give it more (docker run --shm-size)";
        throw new Error(`${SHARED_FOLDER} has no room for the index of the cache, ${needed}. ${remedy}`);
      }
      if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
      const zone = new CacheZone(path, layout, file);
      writeHeader(zone.header, sizes, (board && secretIn(board)) ?? newSecret());
      if (board !== undefined) new SharedPurgeBoard(zone).restore(board);
      return zone;
    } catch (error) {
      closeSync(file);
      removeName(path);
      throw error;
    }
  }

  /**
   * Opens the zone of another process under a name of our own, so that it outlives that process: each removes its own
   * name. Throws when it is gone, or of another version.
   */
  static adopt(path: string): CacheZone {
    const own = newPath(PREFIX);
    linkSync(path, own);
    try {
      return CacheZone.open(own);
    } catch (error) {
      removeName(own);
      throw error;
    }
  }

  /** Maps the zone for good: afterwards the process may lose the right to open it. */
  static open(path: string): CacheZone {
    const file = openSync(path, "r+");
    try {
      const header = Buffer.alloc(HEADER_WORDS * WORD_BYTES);
      readSync(file, header, 0, header.length, 0);
      const sizes = sizesIn(new Int32Array(header.buffer, header.byteOffset, HEADER_WORDS));
      if (sizes === undefined) throw new Error(`${path} is a cache of another version`);
      const layout = layoutOf(sizes);
      if (fstatSync(file).size !== offsetsOf(layout, PAGE_BYTES).total) {
        throw new Error(`${path} is not as long as it should be`);
      }
      return new CacheZone(path, layout, file);
    } catch (error) {
      closeSync(file);
      throw error;
    }
  }

  /** For people: what there is too little of, before anything is stored; undefined: there is enough. */
  shortage(room: FileSystemRoom = statfsSync(SHARED_FOLDER)): string | undefined {
    const { dataBytes } = this.layout;
    const bytes = bytesToTake(room);
    if (bytes >= dataBytes) return undefined;
    const [wanted, there] = [dataBytes, bytes].map((each) => Math.floor(each / MIB));
    return `${SHARED_FOLDER} has room for ${there} MiB, and cache.memory wants ${wanted} MiB: less is cached. Make cache.memory smaller, or ${SHARED_FOLDER} larger (in a container: --shm-size)`;
  }

  /** The process of this row is gone: its locks are taken away, what it had open is closed. Others go on meanwhile. */
  forgetWorker(row: number): void {
    const parts = partsOf(this, { row });
    forgetRow(parts);
    parts.room.recount();
  }

  /** Takes away the names that a process made which is gone. */
  static removeOf(pid: number): void {
    removeNamesOf(PREFIX, pid);
  }

  /** Takes the name of a zone away whose process could not. */
  static removePath(path: string): void {
    removeName(path);
  }

  /** Takes the name away; processes that have it mapped go on using it. */
  remove(): void {
    removeName(this.path);
  }
}

class MappedArena implements Arena {
  readonly #file: number;
  readonly #base: number;
  readonly #start: number;
  readonly #segmentBytes: number;

  constructor(file: number, base: Pointer, start: number, segmentBytes: number) {
    this.#file = file;
    this.#base = base + start;
    this.#start = start;
    this.#segmentBytes = segmentBytes;
  }

  reserve(segment: number): boolean {
    return (
      hasFreeMemory(this.#segmentBytes) &&
      allocate(this.#file, this.#start + segment * this.#segmentBytes, this.#segmentBytes)
    );
  }

  discard(segment: number): void {
    if (IS_DARWIN) return;
    const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
    LIBC.fallocate(this.#file, mode, this.#start + segment * this.#segmentBytes, this.#segmentBytes);
  }

  copyIn(position: number, from: Buffer, length: number): void {
    if (length > 0) LIBC.copyIn((this.#base + position) as Pointer, from, length);
  }

  copyOut(position: number, into: Buffer, length: number): void {
    if (length > 0) LIBC.copyOut(into, (this.#base + position) as Pointer, length);
  }
}

const LIBC = openLibc();

function openLibc() {
  const pointers = { args: ["ptr", "ptr", "u64"], returns: "ptr" } as const;
  if (IS_DARWIN) {
    const { symbols } = dlopen("libSystem.B.dylib", { memcpy: pointers });
    return { copyIn: symbols.memcpy, copyOut: symbols.memcpy, fallocate: () => 0 };
  }
  const { symbols } = dlopen("libc.so.6", {
    memcpy: pointers,
    fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  });
  return {
    copyIn: symbols.memcpy,
    copyOut: symbols.memcpy,
    fallocate: symbols.fallocate,
  };
}

/** cost: 1 µs */
function hasFreeMemory(bytes: number): boolean {
  return hasRoomFor(bytes, statfsSync(SHARED_FOLDER));
}

/** A signal may interrupt it. */
const ALLOCATE_TRIES = 3;

/** Gets the memory of a part of the file, so that using it cannot fail. */
function allocate(file: number, at: number, bytes: number): boolean {
  for (let tries = 0; tries < ALLOCATE_TRIES; tries++) {
    if (LIBC.fallocate(file, 0, at, bytes) === 0) return true;
  }
  return false;
}

const MOST_WORD = 2 ** 31 - 1;
const newSecret = () => [randomInt(1, MOST_WORD), randomInt(1, MOST_WORD)] as const;
