/**
 * Record log: records in segments, and what happens when these are full: S3-FIFO by segments.
 *
 * shape  what is new goes to the small queue, a twentieth of memory; when its turn comes, what was used meanwhile is copied to
 *        the main queue and the rest is forgotten, its hash kept for a while (`Ghosts`). In the main queue what was used
 *        goes round once more. No order is kept between records, so a hit writes nothing
 * cost   making room walks one segment, some 100 µs for 1 MiB; at most ROUNDS of them for one record, then a segment is
 *        given up whatever is in it
 * note   why this and not another policy: docs/decisions/0029-eviction.md
 */
import type { ColdRecords } from "../body-files.ts";
import { RECORD_START_BYTES, recordHashHigh, recordHashLow, recordLengthIn } from "../record.ts";
import type { Arena } from "./arena.ts";
import {
  type CacheIndex,
  COLD_SEGMENT,
  FLAGS,
  GENERATION,
  IN_MAIN,
  KEEP_UNTIL,
  NOWHERE,
  PLACE,
  USES,
} from "./cache-index.ts";
import type { FileRoom } from "./file-room.ts";
import { Ghosts } from "./ghosts.ts";
import { ROW_EVICTED, ROW_WORDS, type SharedMemory } from "./layout.ts";
import {
  MAIN,
  placeOf,
  type Queue,
  roomOf,
  type SegmentCensus,
  type Segments,
  SMALL,
  segmentOf,
} from "./segments.ts";

const ROUNDS = 8;
/** Of the segments in use. */
const SMALL_SHARE = 0.05;
/** Uses that a record needs to get from the small queue into the main one. */
const USES_FOR_MAIN = 2;
/** To stay in that it needs one; what is so many times as large as others there two, or three: it costs as much more. */
const LARGE = 1.5;
const VERY_LARGE = 3;
/** Of the budget: what records and files may each keep when both want more. */
const FAIR_SHARE = 0.5;

/** A record that a walk met: whose, where it was, and where in the scratch memory it is. */
interface Survivor {
  readonly high: number;
  readonly low: number;
  readonly from: number;
  readonly offset: number;
}

/** A segment that this worker appends to; -1 = none yet. */
interface OpenSegment {
  segment: number;
  generation: number;
  /** Where the next record goes. */
  end: number;
}

/** Once over a segment. */
interface Walk {
  readonly victim: number;
  readonly generation: number;
  readonly isMain: boolean;
  /** Nothing may stay. */
  readonly isForced: boolean;
  /** Length of a record in it, on average. */
  readonly usualLength: number;
  /** To be kept where they were, packed at the beginning of the scratch memory. */
  readonly survivors: Survivor[];
  keptEnd: number;
}

export class RecordLog {
  readonly #arena: Arena;
  readonly #segments: Segments;
  readonly #index: CacheIndex;
  readonly #room: FileRoom;
  readonly #cold: ColdRecords | undefined;
  readonly #ghosts: Ghosts;
  readonly #dataBytes: number;
  readonly #rows: Int32Array;
  readonly #evictedWord: number;
  #scratch: Buffer | undefined;
  readonly #small: OpenSegment = { segment: -1, generation: 0, end: 0 };
  readonly #main: OpenSegment = { segment: -1, generation: 0, end: 0 };
  /** As the caller told it last, in s. */
  nowS = 0;

  constructor(
    memory: SharedMemory,
    row: number,
    parts: { segments: Segments; index: CacheIndex; room: FileRoom; cold: ColdRecords | undefined },
  ) {
    this.#arena = memory.arena;
    this.#dataBytes = memory.layout.dataBytes;
    this.#rows = memory.rows;
    this.#evictedWord = row * ROW_WORDS + ROW_EVICTED;
    this.#segments = parts.segments;
    this.#index = parts.index;
    this.#room = parts.room;
    this.#cold = parts.cold;
    this.#ghosts = new Ghosts(memory);
  }

  /** Appends a record. out  its place, or NOWHERE when there is no room */
  append(record: Buffer, length: number, isMain: boolean): number {
    // what a disk has kept from a larger memory may not fit a segment of this one
    if (roomOf(length) > this.#segments.segmentBytes) return NOWHERE;
    const open = isMain ? this.#main : this.#small;
    if (!this.#fits(open, length)) {
      const segment = this.#fresh(isMain ? MAIN : SMALL);
      if (segment === -1) return NOWHERE;
      this.#switch(open, segment, 0);
    }
    return this.#append(record, length, open);
  }

  /** Whether what is stored anew under this hash goes to the main queue at once. */
  isComingBack(high: number, low: number): boolean {
    return this.#ghosts.take(high, low);
  }

  /** Gives the memory of one segment back, for body files. out  false: there is none to give */
  shrink(): boolean {
    for (let round = 1; round <= ROUNDS; round++) {
      const victim = this.#victim(this.#segments.census());
      if (victim === -1) return false;
      if (!this.#segments.claim(victim) || !this.#reclaim(victim, round === ROUNDS)) continue;
      this.#segments.clear(victim, SMALL);
      this.#arena.discard(victim);
      this.#segments.free(victim);
      return true;
    }
    return false;
  }

  #fits({ segment, generation, end }: OpenSegment, length: number): boolean {
    if (segment === -1 || end + roomOf(length) > this.#segments.segmentBytes) return false;
    // closed by somebody else when this row was taken for dead
    return this.#segments.isOurs(segment, generation);
  }

  #append(record: Buffer, length: number, open: OpenSegment): number {
    const { segment, end } = open;
    this.#arena.copyIn(segment * this.#segments.segmentBytes + end, record, length);
    open.end = end + roomOf(length);
    this.#segments.setUsed(segment, open.end);
    return placeOf(segment, end);
  }

  /** Appends to another segment from here on, which is ours. */
  #switch(open: OpenSegment, segment: number, end: number): void {
    if (open.segment !== -1 && this.#segments.isOurs(open.segment, open.generation)) {
      this.#segments.seal(open.segment);
    }
    open.segment = segment;
    open.generation = this.#segments.generationOf(segment);
    open.end = end;
  }

  /** An empty segment of our own, or -1. */
  #fresh(queue: Queue): number {
    for (let round = 1; round <= ROUNDS; round++) {
      const census = this.#segments.census();
      const free = this.#takeFree(census, queue);
      if (free !== -1) return free;
      if (this.#evictFiles(census)) continue;
      const victim = this.#victim(census);
      if (victim === -1) return -1;
      if (!this.#segments.claim(victim) || !this.#reclaim(victim, round === ROUNDS)) continue;
      return this.#begin(victim, queue) ? victim : -1;
    }
    return -1;
  }

  #takeFree({ free, used }: SegmentCensus, queue: Queue): number {
    const { segmentBytes } = this.#segments;
    if (free === -1 || (used + 1) * segmentBytes + this.#room.memoryBytes > this.#dataBytes) return -1;
    return this.#segments.claim(free) && this.#begin(free, queue) ? free : -1;
  }

  /**
   * Begins a segment that we have claimed. One with records in it has memory. An empty one may have none, though it is not
   * free: a worker was killed while it took or gave that.
   */
  #begin(segment: number, queue: Queue): boolean {
    const segments = this.#segments;
    const isEmpty = segments.usedOf(segment) === 0;
    segments.clear(segment, queue);
    if (!isEmpty || this.#arena.reserve(segment)) return true;
    segments.free(segment);
    return false;
  }

  /** Makes room where files in memory have more than their share. out  true: look again */
  #evictFiles({ used }: SegmentCensus): boolean {
    const { segmentBytes } = this.#segments;
    const wanted = this.#dataBytes - (used + 1) * segmentBytes;
    const isUnfair = this.#room.memoryBytes > Math.max(wanted, this.#dataBytes * FAIR_SHARE);
    if (!isUnfair) return false;
    while (this.#room.memoryBytes > wanted) if (!this.#room.evict()) return false;
    return true;
  }

  #victim({ used, small, oldestSmall, oldestMain }: SegmentCensus): number {
    const isSmallFull = small > Math.max(1, used * SMALL_SHARE);
    if (isSmallFull && oldestSmall !== -1) return oldestSmall;
    return oldestMain === -1 ? oldestSmall : oldestMain;
  }

  /**
   * Goes over a segment that is ours: keeps what was used, forgets the rest.
   * out  true: nothing in it is needed; false: what had to be kept lies there again, and it is our open main segment
   */
  #reclaim(victim: number, isForced: boolean): boolean {
    const segments = this.#segments;
    const used = segments.usedOf(victim);
    this.#scratch ??= Buffer.allocUnsafeSlow(segments.segmentBytes);
    const scratch = this.#scratch;
    this.#arena.copyOut(victim * segments.segmentBytes, scratch, used);
    const walk: Walk = {
      victim,
      generation: segments.generationOf(victim),
      isMain: segments.queueOf(victim) === MAIN,
      isForced,
      usualLength: used / Math.max(1, countOf(scratch, used)),
      survivors: [],
      keptEnd: 0,
    };
    for (let offset = 0; offset + RECORD_START_BYTES <= used; ) {
      const record = scratch.subarray(offset, used);
      const length = recordLengthIn(record);
      if (length === 0 || length > record.length) break;
      this.#visit(walk, record, length, offset);
      offset += roomOf(length);
    }
    if (walk.survivors.length === 0) return true;
    this.#keepIn(walk, scratch);
    return false;
  }

  /** Decides about one record, which lies at `offset` of the segment that is walked. */
  #visit(walk: Walk, record: Buffer, length: number, offset: number): void {
    const [high, low] = [recordHashHigh(record), recordHashLow(record)];
    const from = placeOf(walk.victim, offset);
    const at = this.#index.find(high, low);
    const { words } = this.#index;
    if (at === -1 || words[at + PLACE] !== from || words[at + GENERATION] !== walk.generation) return;
    const isKept = (words[at + USES] as number) >= usesNeeded(walk, length) && !walk.isForced;
    if (!isKept || (words[at + KEEP_UNTIL] as number) < this.nowS) {
      this.#forget(walk, { high, low, from, offset }, at);
    } else if (this.#fits(this.#main, length)) {
      this.#move(walk, { high, low, from, offset }, this.#append(record, length, this.#main));
    } else {
      walk.survivors.push({ high, low, from, offset: walk.keptEnd });
      this.#scratch?.copyWithin(walk.keptEnd, offset, offset + length);
      walk.keptEnd += roomOf(length);
    }
  }

  #forget(walk: Walk, record: Survivor, at: number): void {
    Atomics.add(this.#rows, this.#evictedWord, 1);
    if (!walk.isMain) this.#ghosts.add(record.high, record.low);
    const coldSegment = this.#index.words[at + COLD_SEGMENT] as number;
    if (coldSegment !== 0 && this.#cold?.isLive(coldSegment) === true) this.#move(walk, record, NOWHERE);
    else this.#room.drop(at);
  }

  /** What did not fit elsewhere goes to the beginning of the segment it came from, which becomes our open main one. */
  #keepIn(walk: Walk, scratch: Buffer): void {
    const { victim, survivors, keptEnd } = walk;
    this.#segments.clear(victim, MAIN);
    this.#arena.copyIn(victim * this.#segments.segmentBytes, scratch, keptEnd);
    this.#segments.setUsed(victim, keptEnd);
    this.#switch(this.#main, victim, keptEnd);
    for (const record of survivors) this.#move(walk, record, placeOf(victim, record.offset));
  }

  /** Lets the entry of a record point elsewhere, if it still points to where that was. */
  #move(walk: Walk, { high, low, from }: Survivor, to: number): void {
    const index = this.#index;
    const { words } = index;
    const bucket = index.bucketOf(high);
    if (!index.lock(bucket)) return;
    const at = index.find(high, low);
    const isHere = at !== -1 && words[at + PLACE] === from && words[at + GENERATION] === walk.generation;
    if (isHere && index.hide(at, index.publishedAt(at))) {
      words[at + PLACE] = to;
      words[at + GENERATION] = to === NOWHERE ? 0 : this.#segments.generationOf(segmentOf(to));
      words[at + USES] = walk.isMain ? Math.max(0, (words[at + USES] as number) - 1) : 0;
      words[at + FLAGS] = (words[at + FLAGS] as number) | IN_MAIN;
      index.showAgain(at);
    }
    index.unlock(bucket);
  }
}

/** How many records there are in `bytes[0, used)`. */
function countOf(bytes: Buffer, used: number): number {
  let count = 0;
  for (let offset = 0; offset + RECORD_START_BYTES <= used; count++) {
    const length = recordLengthIn(bytes.subarray(offset, used));
    if (length === 0) break;
    offset += roomOf(length);
  }
  return count;
}

function usesNeeded({ isMain, usualLength }: Walk, length: number): number {
  if (!isMain) return USES_FOR_MAIN;
  if (length > usualLength * VERY_LARGE) return 3;
  return length > usualLength * LARGE ? 2 : 1;
}
