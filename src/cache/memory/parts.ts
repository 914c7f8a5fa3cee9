/**
 * Parts: what the memory store is made of, for the files that share its work.
 *
 * shape  one set for each worker and zone; `openMemoryStore` makes it
 */
import type { BodyFiles, ColdPlace, ColdRecords } from "../body-files.ts";
import { SharedPurgeBoard } from "../purge-board.ts";
import type { BodyRef } from "../stored.ts";
import {
  CacheIndex,
  CLAIM,
  COLD_OFFSET,
  COLD_SEGMENT,
  FLAGS,
  GENERATION,
  IN_MAIN,
  KEEP_UNTIL,
  LENGTH,
  NOWHERE,
  PLACE,
  USES,
} from "./cache-index.ts";
import { FileRoom } from "./file-room.ts";
import { KeyHasher } from "./key-hash.ts";
import { HEADER_SECRET, ROW_EVICTED, ROW_WORDS, type SharedMemory } from "./layout.ts";
import { RecordLog } from "./record-log.ts";
import { Segments, segmentOf } from "./segments.ts";

export interface MemoryStoreOptions {
  /** The row of this process: a worker's number, or another one below 128 that nobody else has. */
  readonly row: number;
  readonly files?: BodyFiles | undefined;
  readonly cold?: ColdRecords | undefined;
  /** Decoded responses of this worker, in bytes; as a rule an eighth of the budget, 32 MiB at the most. */
  readonly nearBytes?: number | undefined;
}

export interface StoreParts {
  readonly memory: SharedMemory;
  readonly row: number;
  readonly hasher: KeyHasher;
  readonly board: SharedPurgeBoard;
  readonly index: CacheIndex;
  readonly segments: Segments;
  readonly room: FileRoom;
  readonly log: RecordLog;
  readonly files: BodyFiles | undefined;
  readonly cold: ColdRecords | undefined;
}

export function partsOf(memory: SharedMemory, { row, files, cold }: MemoryStoreOptions): StoreParts {
  const { header } = memory;
  const index = new CacheIndex(memory, row);
  const segments = new Segments(memory, row);
  const room = new FileRoom(memory, index, files, row);
  return {
    memory,
    row,
    hasher: new KeyHasher(header[HEADER_SECRET] as number, header[HEADER_SECRET + 1] as number),
    board: new SharedPurgeBoard(memory),
    index,
    segments,
    room,
    log: new RecordLog(memory, row, { segments, index, room, cold }),
    files,
    cold,
  };
}

/** What an entry is to say. */
export interface EntryContent {
  readonly high: number;
  readonly low: number;
  /** In memory, or NOWHERE. */
  readonly place: number;
  readonly length: number;
  readonly cold: ColdPlace | undefined;
  readonly keepUntilS: number;
  readonly file: BodyRef | undefined;
  readonly isMain: boolean;
}

/**
 * Writes the entry of a hash, in the place of what stands there; `mayWrite` decides, under the lock, by the entry that
 * stands there or -1. out  false: the bucket is locked by somebody who does not run, or it may not
 */
export function writeEntry(
  { index, room, segments, log, memory, row }: StoreParts,
  content: EntryContent,
  mayWrite: (at: number) => boolean = () => true,
): boolean {
  const { high, low, place, cold } = content;
  const bucket = index.bucketOf(high);
  if (!index.lock(bucket)) return false;
  const { words } = index;
  const found = index.find(high, low);
  const isWritten = mayWrite(found);
  if (isWritten) {
    const at = found === -1 ? index.slotIn(bucket, log.nowS) : found;
    if (room.drop(at, content.file) && found === -1)
      Atomics.add(memory.rows, row * ROW_WORDS + ROW_EVICTED, 1);
    words[at + PLACE] = place;
    words[at + GENERATION] = place === NOWHERE ? 0 : segments.generationOf(segmentOf(place));
    words[at + LENGTH] = content.length;
    words[at + USES] = found === -1 ? 0 : (words[at + USES] as number);
    words[at + FLAGS] = content.isMain ? IN_MAIN : 0;
    words[at + CLAIM] = 0;
    words[at + COLD_SEGMENT] = cold?.segment ?? 0;
    words[at + COLD_OFFSET] = (cold?.offset ?? 0) | 0;
    words[at + KEEP_UNTIL] = content.keepUntilS;
    room.keep(at, content.file);
    index.show(at, high, low);
  }
  index.unlock(bucket);
  return isWritten;
}

const MOST_S = 2 ** 31 - 1;

/** Seconds since the epoch, rounded up, that fit a word. */
export const wholeSeconds = (ms: number) => Math.min(MOST_S, Math.max(0, Math.ceil(ms / 1000)));
