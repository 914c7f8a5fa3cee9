/**
 * Segment reader: what a segment holds, by the list at its end, or by walking it when there is none.
 *
 * why    a start reads lists: 48 bytes a record. Only what was open when its process ended is walked, and is given its
 *        list then, so that it is walked once
 */
import { ftruncateSync } from "node:fs";
import { CHANGE_HERE, closeFile, openFile, READ_HERE, readInto, writeAll } from "./file-calls.ts";
import {
  ENTRY_BYTES,
  FRAME_BYTES,
  isListGood,
  readFrame,
  readTrailer,
  SegmentList,
  stampOf,
  TRAILER_BYTES,
  type Trailer,
} from "./segment-format.ts";

/** A segment whose list is known. */
export interface ListedSegment {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly trailer: Trailer;
}

/** out  undefined when it has no list. fails  as `open` and `read` do */
export async function readSegment(
  path: string,
  number: number,
  bytes: number,
): Promise<ListedSegment | undefined> {
  if (bytes < TRAILER_BYTES) return undefined;
  const last = await readPart(path, bytes - TRAILER_BYTES, TRAILER_BYTES);
  const trailer = readTrailer(last, number, bytes);
  return trailer === undefined ? undefined : { number, path, bytes, trailer };
}

/** Its list: `count` entries. out  undefined when it is damaged */
export async function readList({ path, trailer }: ListedSegment): Promise<Buffer | undefined> {
  const list = await readPart(path, trailer.end, trailer.count * ENTRY_BYTES);
  return list.length === trailer.count * ENTRY_BYTES && isListGood(list, trailer) ? list : undefined;
}

async function readPart(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await openFile(path, READ_HERE);
  try {
    const bytes = Buffer.allocUnsafeSlow(length);
    return bytes.subarray(0, await readInto(file, bytes, offset));
  } finally {
    closeFile(file);
  }
}

const WALK_BYTES = 1024 * 1024;

/**
 * Walks a segment that has no list, cuts off what is not whole, and writes the list. Nobody may be writing to it.
 * out  undefined when nothing in it is whole
 */
export async function sealSegment(path: string, number: number): Promise<ListedSegment | undefined> {
  const file = await openFile(path, CHANGE_HERE);
  try {
    const { list, end } = await walk(file, number);
    if (list.count === 0) return undefined;
    ftruncateSync(file, end);
    const tail = list.tail(number, end);
    await writeAll(file, tail, end);
    const bytes = end + tail.length;
    const trailer = readTrailer(tail.subarray(tail.length - TRAILER_BYTES), number, bytes);
    return trailer === undefined ? undefined : { number, path, bytes, trailer };
  } finally {
    closeFile(file);
  }
}

/** All whole frames from the beginning on. */
async function walk(file: number, number: number): Promise<{ list: SegmentList; end: number }> {
  const list = new SegmentList();
  const window = Buffer.allocUnsafeSlow(WALK_BYTES);
  let end = 0;
  for (;;) {
    const bytes = window.subarray(0, await readInto(file, window, end));
    let at = 0;
    for (;;) {
      const frame = readFrame(bytes, at, number, end);
      if (frame === undefined) break;
      list.add(frame);
      at += FRAME_BYTES + frame.length;
    }
    if (at === 0) return { list, end };
    end += at;
  }
}

/** A list that is being gone through, oldest entry first. */
export interface Cursor {
  readonly segment: number;
  readonly list: Buffer;
  readonly count: number;
  index: number;
}

/**
 * Goes through lists in the order of their stamps, across segments: of two records for one key the later comes later.
 * in  segments by their first stamp, read as they are needed
 */
export async function inOrder(
  segments: readonly ListedSegment[],
  visit: (cursor: Cursor) => void,
): Promise<void> {
  const ahead = new ReadAhead(segments);
  let active: Cursor[] = [];
  for (;;) {
    const nextStampMs = ahead.nextStampMs;
    const { first, secondStampMs } = earliest(active);
    if (first !== undefined && stampAt(first) <= nextStampMs) {
      visitUntil(first, Math.min(secondStampMs, nextStampMs), visit);
      if (first.index >= first.count) active = active.filter((cursor) => cursor !== first);
    } else {
      if (nextStampMs === Number.POSITIVE_INFINITY) return;
      const next = await ahead.next();
      if (next !== undefined) active.push(next);
    }
  }
}

/** The cursor whose turn it is, and when it is another's. */
function earliest(active: readonly Cursor[]) {
  let first: Cursor | undefined;
  let firstStampMs = Number.POSITIVE_INFINITY;
  let secondStampMs = Number.POSITIVE_INFINITY;
  for (const cursor of active) {
    const stampMs = stampAt(cursor);
    if (stampMs < firstStampMs) {
      secondStampMs = firstStampMs;
      firstStampMs = stampMs;
      first = cursor;
    } else secondStampMs = Math.min(secondStampMs, stampMs);
  }
  return { first, secondStampMs };
}

function visitUntil(cursor: Cursor, stampMs: number, visit: (cursor: Cursor) => void): void {
  while (cursor.index < cursor.count && stampAt(cursor) <= stampMs) {
    visit(cursor);
    cursor.index++;
  }
}

const stampAt = ({ list, index }: Cursor) => stampOf(list, index);

/** Lists that are read before their turn: a disk answers several questions at once. */
const READ_AHEAD = 8;

class ReadAhead {
  readonly #segments: readonly ListedSegment[];
  readonly #lists: Promise<Cursor | undefined>[] = [];
  #at = 0;

  constructor(segments: readonly ListedSegment[]) {
    this.#segments = segments;
  }

  /** First stamp of the next segment, Infinity when there is none. */
  get nextStampMs(): number {
    return this.#segments[this.#at]?.trailer.firstStampMs ?? Number.POSITIVE_INFINITY;
  }

  /** out  undefined when there is none, or it cannot be read */
  async next(): Promise<Cursor | undefined> {
    while (this.#lists.length < Math.min(this.#at + READ_AHEAD, this.#segments.length)) {
      this.#lists.push(listOrNothing(this.#segments[this.#lists.length]));
    }
    const cursor = await this.#lists[this.#at];
    this.#lists[this.#at] = Promise.resolve(undefined); // read once: its memory goes with the cursor
    this.#at++;
    return cursor === undefined || cursor.count === 0 ? undefined : cursor;
  }
}

/** A list that is damaged is made anew from the records. */
async function listOrNothing(segment: ListedSegment | undefined): Promise<Cursor | undefined> {
  if (segment === undefined) return undefined;
  const { number, path, trailer } = segment;
  try {
    const list = await readList(segment);
    if (list !== undefined) return { segment: number, list, count: trailer.count, index: 0 };
    const walked = await sealSegment(path, number);
    const again = walked === undefined ? undefined : await readList(walked);
    return walked === undefined || again === undefined
      ? undefined
      : { segment: number, list: again, count: walked.trailer.count, index: 0 };
  } catch {
    return undefined;
  }
}
