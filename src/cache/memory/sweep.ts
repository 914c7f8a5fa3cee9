/**
 * Sweep: what one process does for all: order after a worker died, room taken back from what is of no use, and figures.
 *
 * rule   control does it, in pieces, so that nothing waits for it
 * rule   a worker may have been taken over: whatever stands in shared memory, control reads nothing outside of it and goes on
 */
import { urlOfKey } from "../key.ts";
import { decodeRecord } from "../record.ts";
import type { BodyRef, StoredResponse } from "../stored.ts";
import {
  COLD_SEGMENT,
  FLAGS,
  GENERATION,
  HAS_FILE,
  KEEP_UNTIL,
  LENGTH,
  NOWHERE,
  PLACE,
  PUBLISHED,
  USES,
} from "./cache-index.ts";
import {
  ENTRY_WORDS,
  HEADER_OBJECTS,
  MAX_ROWS,
  ROW_EVICTED,
  ROW_PENDING_KIB,
  ROW_REFUSED,
  ROW_STORED,
  ROW_WORDS,
} from "./layout.ts";
import { type StoreParts, wholeSeconds } from "./parts.ts";
import { offsetOf, segmentOf } from "./segments.ts";

export interface MemoryStoreStats {
  /** What records and files in memory may take. */
  readonly budgetBytes: number;
  /** Records, and the segments that they lie in. */
  readonly recordBytes: number;
  readonly segmentBytes: number;
  /** Body files, those on their way included. */
  readonly fileBytes: number;
  readonly objects: number;
  readonly mostObjects: number;
  /** Since the zone was made. */
  readonly stored: number;
  readonly refused: number;
  readonly evicted: number;
}

/** One response that the index knows, for people. */
export interface KeptResponse {
  /** undefined: only its place on the disk is known. */
  readonly response: StoredResponse | undefined;
  readonly uses: number;
  readonly recordBytes: number;
  readonly isInMemory: boolean;
  readonly isOnDisk: boolean;
}

/** Closes what the process of this row had open when it ended. Others go on meanwhile. */
export function forgetRow({ index, segments, board, memory, row }: StoreParts): void {
  board.recover();
  index.releaseLocks();
  segments.sealOpen();
  Atomics.store(memory.rows, row * ROW_WORDS + ROW_PENDING_KIB, 0);
}

export function statsOf({ memory, segments, room }: StoreParts): MemoryStoreStats {
  const { layout, header, rows } = memory;
  const sum = (word: number) => {
    let total = 0;
    for (let row = 0; row < MAX_ROWS; row++) total += (rows[row * ROW_WORDS + word] as number) >>> 0;
    return total;
  };
  return {
    budgetBytes: layout.dataBytes,
    recordBytes: segments.recordBytes(),
    segmentBytes: segments.census().used * segments.segmentBytes,
    fileBytes: room.bytes,
    objects: Math.max(0, header[HEADER_OBJECTS] as number),
    mostObjects: layout.words.tags,
    stored: sum(ROW_STORED),
    refused: sum(ROW_REFUSED),
    evicted: sum(ROW_EVICTED),
  };
}

/**
 * Looks over `count` entries from `from` on, forgets what is past keeping, purged (as far as a file belongs to it: records
 * go by themselves), or without a record. out  where to go on, 0 after the last
 */
export function sweep(parts: StoreParts, from: number, count: number, nowMs: number): number {
  const { words } = parts.index;
  const end = Math.min(words.length / ENTRY_WORDS, from + count);
  const nowS = wholeSeconds(nowMs);
  for (let slot = from; slot < end; slot++) {
    const at = slot * ENTRY_WORDS;
    if (words[at + PUBLISHED] !== 0 && isOfNoUse(parts, at, nowS)) parts.room.drop(at);
  }
  return end * ENTRY_WORDS >= words.length ? 0 : end;
}

function isOfNoUse(parts: StoreParts, at: number, nowS: number): boolean {
  const { words } = parts.index;
  if ((words[at + KEEP_UNTIL] as number) < nowS) return true;
  const isCold =
    words[at + COLD_SEGMENT] !== 0 && parts.cold?.isLive(words[at + COLD_SEGMENT] as number) !== false;
  const place = words[at + PLACE] as number;
  const { segments } = parts;
  const segment = segmentOf(place);
  const isHere = segment < segments.count && segments.generationOf(segment) === words[at + GENERATION];
  if (!isHere) return !isCold;
  if (((words[at + FLAGS] as number) & HAS_FILE) === 0) return false;
  const response = responseAt(parts, at);
  return response !== undefined && parts.board.stateOf(response.facts, urlOfKey(response.key)) === "gone";
}

/** Some of what is kept, `count` entries from `from` on: for lists of what is used most. */
export function keptFrom(parts: StoreParts, from: number, count: number): KeptResponse[] {
  const { words } = parts.index;
  const kept: KeptResponse[] = [];
  const end = Math.min(words.length / ENTRY_WORDS, from + count);
  for (let slot = from; slot < end; slot++) {
    const at = slot * ENTRY_WORDS;
    if (words[at + PUBLISHED] === 0) continue;
    kept.push({
      response: responseAt(parts, at),
      uses: words[at + USES] as number,
      recordBytes: words[at + LENGTH] as number,
      isInMemory: words[at + PLACE] !== NOWHERE,
      isOnDisk: words[at + COLD_SEGMENT] !== 0,
    });
  }
  return kept;
}

/** Body files that `count` entries from `from` on name. */
export function filesFrom(parts: StoreParts, from: number, count: number): BodyRef[] {
  const { index } = parts;
  const files: BodyRef[] = [];
  const end = Math.min(index.words.length / ENTRY_WORDS, from + count);
  for (let slot = from; slot < end; slot++) {
    const at = slot * ENTRY_WORDS;
    const file = index.words[at + PUBLISHED] === 0 ? undefined : index.fileOf(at);
    if (file !== undefined) files.push(file);
  }
  return files;
}

/** The response of an entry that is in memory, whatever its key: copied, and copied whole. */
export function responseAt({ index, segments, memory }: StoreParts, at: number): StoredResponse | undefined {
  const { words } = index;
  const published = index.publishedAt(at);
  const place = words[at + PLACE] as number;
  const generation = words[at + GENERATION] as number;
  const length = words[at + LENGTH] as number;
  const segment = segmentOf(place);
  const offset = offsetOf(place);
  if (published === 0 || place === NOWHERE || length <= 0 || length > segments.segmentBytes - offset) {
    return undefined;
  }
  if (segment >= segments.count || segments.generationOf(segment) !== generation) return undefined;
  const bytes = Buffer.allocUnsafeSlow(length);
  memory.arena.copyOut(segment * segments.segmentBytes + offset, bytes, length);
  segments.fence();
  if (segments.generationOf(segment) !== generation || index.publishedAt(at) !== published) return undefined;
  return decodeRecord(bytes, length);
}
