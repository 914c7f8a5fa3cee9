/**
 * Body files: what the store needs from whoever keeps bytes outside the shared index: large bodies, and small records
 * on a disk. The memory store decides what is kept; these only hold bytes.
 *
 * shape  the index entry of a response says where its record is: in memory (segment, offset), in the cold log (segment,
 *        offset), or in both; a record may name one body file. Whoever takes the entry away removes the file
 * rule   what is given back was checked: exactly the bytes that were given, or nothing
 * rule   nothing here blocks the caller: writing is gathered, reading is asynchronous, removing is at most an unlink
 */

import type { BodyReader, BodyWriter } from "./store.ts";
import type { BodyRef } from "./stored.ts";

/** Large bodies, one file each: in a folder in memory, or on the disk. */
export interface BodyFiles {
  /** True: the files lie in memory, and the store counts them against the budget of memory. */
  readonly isMemory: boolean;
  /** What all files together may take now; on a disk what the log leaves. The store removes files to stay below. */
  readonly budgetBytes: number;
  /**
   * Begins a file; the store has made room for `expectedBytes` (-1 = not known). Its id is below 2^53 and is never used
   * again, also after a restart. out  undefined when no file can be made now
   */
  create(expectedBytes: number): BodyWriter | undefined;
  /** out  undefined when it is gone, or is not as long as the reference says. fails  when it cannot be had just now */
  open(ref: BodyRef): Promise<BodyReader | undefined>;
  /** Forgets a file; who has it open reads on. Of one that is gone already nothing is said. */
  remove(ref: BodyRef): void;
}

/** Where a record lies in the cold log. Segments are numbered for good (1 to 2^31 - 1), offsets stay below 2^32. */
export interface ColdPlace {
  readonly segment: number;
  readonly offset: number;
  /** Of the record itself, without the log's own framing. */
  readonly length: number;
}

/** Keyed hash of a key, 64 bits as two unsigned words; its secret is the zone's and is saved with the purge board. */
export interface KeyHash {
  readonly high: number;
  readonly low: number;
}

/** What has to be known of a record to find it again after a restart. */
export interface ColdEntry {
  readonly hash: KeyHash;
  readonly place: ColdPlace;
  /** Not worth keeping after this, in seconds since the epoch. */
  readonly keepUntilS: number;
  readonly file: BodyRef | undefined;
}

/** The disk tier of small records: a log that each worker appends to in segments of its own. */
export interface ColdRecords {
  /** Attached once, before anything else: through it the log asks what its records are still worth. */
  attach(index: ColdIndex): void;
  /**
   * Takes a copy of a record's bytes to be written soon. `what` goes beside it for the next start.
   * out  where it will lie, or undefined when it is not taken (too much is waiting, disk full)
   */
  append(record: Buffer, what: Omit<ColdEntry, "place">): ColdPlace | undefined;
  /**
   * The record's bytes, verified by checksum, in memory that is not shared with anything (the caller keeps views of it);
   * undefined when they are gone or damaged. What is still waiting to be written is found as well. Rejects when they cannot
   * be had just now.
   */
  read(place: ColdPlace): Promise<Buffer | undefined>;
  /** The record there was taken away by name: the next start must not find it again. (Purges are told by the board.) */
  remove?(hash: KeyHash, place: ColdPlace): void;
  /** False: the segment has been dropped, in whichever process; its places mean nothing. cost: a load or two */
  isLive(segment: number): boolean;
}

/** What the index tells the log, and is told by it. Calls are cheap and synchronous. */
export interface ColdIndex {
  /** How often the record at this place was used lately (0 to 3), or -1 when the index no longer points there. */
  usesAt(hash: KeyHash, place: ColdPlace): number;
  /** The record lies elsewhere now (it was written again). out  false when the index did not point to `from` */
  moved(hash: KeyHash, from: ColdPlace, to: ColdPlace): boolean;
  /** Nothing lies there any more. */
  dropped(hash: KeyHash, place: ColdPlace): void;
  /** At start: here is a record from before. The later of two for one hash wins. out  false when there is no room */
  adopt(entry: ColdEntry): boolean;
  /** All that the index knows to lie in the log, for an index file: bucket by bucket, from `from` on. */
  entries(from: number, limit: number): { readonly entries: readonly ColdEntry[]; readonly next: number };
}
