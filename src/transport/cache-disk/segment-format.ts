/**
 * Segment format: how records lie in a file of the log, and what stands at its end.
 *
 * why    the log is its own index: each sealed segment ends with a list of its records, so that a start reads lists and
 *        not records, and nothing has to be written twice in the right order
 * shape  frames one after the other (head, record); when it is full: 48 bytes for each record, then a trailer. A segment
 *        without a trailer was being written when its process ended: its frames are walked
 * rule   a frame says which segment and offset it is for: what an earlier file left on the disk is never taken for it
 */
import type { BodyRef } from "../../cache/stored.ts";

const FRAME_MAGIC = 0x46_52_45_57; // "WERF"
/** magic, CRC-32 of all that follows, length, segment, offset, hash (2), keep until, file id, file length, stamp */
export const FRAME_BYTES = 56;
const TRAILER_MAGIC = 0x54_52_45_57; // "WERT"
const VERSION = 1;
/** hash (2), offset, length, keep until, spare, file id, file length, stamp */
export const ENTRY_BYTES = 48;
/** magic, version, segment, count, offset of the list, CRC-32 of it, first stamp, spare, CRC-32 of this */
export const TRAILER_BYTES = 40;
const NO_FILE = -1;

/** What is kept beside a record. */
export interface Listed {
  readonly high: number;
  readonly low: number;
  readonly offset: number;
  /** Of the record. 0: no record, but a note that the one at segment `file.id`, offset `file.length` was taken away. */
  readonly length: number;
  readonly keepUntilS: number;
  readonly file: BodyRef | undefined;
  /** When it was appended, in ms since the epoch: of two for one hash the later counts. */
  readonly stampMs: number;
}

/** A record on its way to a segment. */
export interface Frame extends Listed {
  readonly segment: number;
}

/** Writes head and record to `at`. out  where the next one goes */
export function writeFrame(into: Buffer, at: number, record: Buffer, what: Frame): number {
  const end = at + FRAME_BYTES + record.length;
  into.writeUInt32LE(FRAME_MAGIC, at);
  into.writeUInt32LE(record.length, at + 8);
  into.writeUInt32LE(what.segment, at + 12);
  into.writeUInt32LE(what.offset, at + 16);
  into.writeUInt32LE(what.high >>> 0, at + 20);
  into.writeUInt32LE(what.low >>> 0, at + 24);
  into.writeUInt32LE(what.keepUntilS, at + 28);
  writeFile(into, at + 32, what.file);
  into.writeDoubleLE(what.stampMs, at + 48);
  record.copy(into, at + FRAME_BYTES);
  into.writeUInt32LE(Bun.hash.crc32(into.subarray(at + 8, end)), at + 4);
  return end;
}

function writeFile(into: Buffer, at: number, file: BodyRef | undefined): void {
  into.writeDoubleLE(file?.id ?? NO_FILE, at);
  into.writeDoubleLE(file?.length ?? NO_FILE, at + 8);
}

function readFile(from: Buffer, at: number): BodyRef | undefined {
  const id = from.readDoubleLE(at);
  return id === NO_FILE ? undefined : { id, length: from.readDoubleLE(at + 8) };
}

/** The frame at `at`, if all of it is there and it is whole. in  where `bytes` begins in the segment */
export function readFrame(bytes: Buffer, at: number, segment: number, base = 0): Listed | undefined {
  if (at + FRAME_BYTES > bytes.length || bytes.readUInt32LE(at) !== FRAME_MAGIC) return undefined;
  const length = bytes.readUInt32LE(at + 8);
  const end = at + FRAME_BYTES + length;
  const isIt =
    end <= bytes.length &&
    bytes.readUInt32LE(at + 12) === segment &&
    bytes.readUInt32LE(at + 16) === base + at &&
    bytes.readUInt32LE(at + 4) === Bun.hash.crc32(bytes.subarray(at + 8, end));
  if (!isIt) return undefined;
  return {
    high: bytes.readInt32LE(at + 20),
    low: bytes.readInt32LE(at + 24),
    offset: base + at,
    length,
    keepUntilS: bytes.readUInt32LE(at + 28),
    file: readFile(bytes, at + 32),
    stampMs: bytes.readDoubleLE(at + 48),
  };
}

/** The list of a segment's records, growing while it is written. */
export class SegmentList {
  count = 0;
  #bytes = Buffer.allocUnsafeSlow(ENTRY_BYTES * 64);
  #firstStampMs = 0;

  add(what: Listed): void {
    const at = this.count * ENTRY_BYTES;
    if (at === this.#bytes.length) {
      const wider = Buffer.allocUnsafeSlow(at * 2);
      this.#bytes.copy(wider);
      this.#bytes = wider;
    }
    if (this.count === 0) this.#firstStampMs = what.stampMs;
    writeListed(this.#bytes, at, what);
    this.count++;
  }

  /** Bytes that it takes at the end of the segment. */
  get tailBytes(): number {
    return this.count * ENTRY_BYTES + TRAILER_BYTES;
  }

  /** in  where the frames end */
  tail(segment: number, end: number): Buffer {
    const list = this.#bytes.subarray(0, this.count * ENTRY_BYTES);
    const tail = Buffer.alloc(this.tailBytes);
    list.copy(tail);
    const at = list.length;
    tail.writeUInt32LE(TRAILER_MAGIC, at);
    tail.writeUInt32LE(VERSION, at + 4);
    tail.writeUInt32LE(segment, at + 8);
    tail.writeUInt32LE(this.count, at + 12);
    tail.writeUInt32LE(end, at + 16);
    tail.writeUInt32LE(Bun.hash.crc32(list), at + 20);
    tail.writeDoubleLE(this.#firstStampMs, at + 24);
    tail.writeUInt32LE(Bun.hash.crc32(tail.subarray(at, at + 36)), at + 36);
    return tail;
  }
}

function writeListed(into: Buffer, at: number, what: Listed): void {
  into.writeInt32LE(what.high | 0, at);
  into.writeInt32LE(what.low | 0, at + 4);
  into.writeUInt32LE(what.offset, at + 8);
  into.writeUInt32LE(what.length, at + 12);
  into.writeUInt32LE(what.keepUntilS, at + 16);
  into.writeUInt32LE(0, at + 20);
  writeFile(into, at + 24, what.file);
  into.writeDoubleLE(what.stampMs, at + 40);
}

/** Entry number `index` of a list. */
export function readListed(list: Buffer, index: number): Listed {
  const at = index * ENTRY_BYTES;
  return {
    high: list.readInt32LE(at),
    low: list.readInt32LE(at + 4),
    offset: list.readUInt32LE(at + 8),
    length: list.readUInt32LE(at + 12),
    keepUntilS: list.readUInt32LE(at + 16),
    file: readFile(list, at + 24),
    stampMs: list.readDoubleLE(at + 40),
  };
}

export const stampOf = (list: Buffer, index: number) => list.readDoubleLE(index * ENTRY_BYTES + 40);

/** What a trailer says. */
export interface Trailer {
  readonly count: number;
  /** Where the frames end and the list begins. */
  readonly end: number;
  readonly firstStampMs: number;
  readonly listSum: number;
}

/** in  the last bytes of a file of `size` bytes. out  undefined when the segment was not sealed, or is damaged */
export function readTrailer(bytes: Buffer, segment: number, size: number): Trailer | undefined {
  if (bytes.length !== TRAILER_BYTES || bytes.readUInt32LE(0) !== TRAILER_MAGIC) return undefined;
  const count = bytes.readUInt32LE(12);
  const end = bytes.readUInt32LE(16);
  const isIt =
    bytes.readUInt32LE(4) === VERSION &&
    bytes.readUInt32LE(8) === segment &&
    end + count * ENTRY_BYTES + TRAILER_BYTES === size &&
    bytes.readUInt32LE(36) === Bun.hash.crc32(bytes.subarray(0, 36));
  if (!isIt) return undefined;
  return { count, end, firstStampMs: bytes.readDoubleLE(24), listSum: bytes.readUInt32LE(20) };
}

export const isListGood = (list: Buffer, { listSum }: Trailer) => Bun.hash.crc32(list) === listSum;

const MIB = 1024 * 1024;
const USUAL_BYTES = 16 * MIB;
const MANY_SEGMENTS = 2048;

/** Sixty-four of them or more, and not more than some thousand: what is dropped at once is a small part. */
export function segmentBytesOf(budgetBytes: number): number {
  let bytes = MIB;
  while (bytes < USUAL_BYTES && budgetBytes / bytes > 128) bytes *= 2;
  while (budgetBytes / bytes > MANY_SEGMENTS && bytes < 1024 * MIB) bytes *= 2;
  return bytes;
}
