/**
 * Log writer: appends records to segments of its own, gathered, off the main thread.
 *
 * why    a write call a record costs more than the response; and one writer a segment needs no lock
 * rule   a record has its place at once, and can be read from memory until it is in the file
 * rule   room for a whole segment is taken before it is begun; what it did not need is given back when it is sealed
 * bound  MAX_BATCHES of BATCH_BYTES wait; after FLUSH_MS at the latest a batch is on its way. Beyond that, and while the
 *        next segment cannot be had, records are not taken
 * fails  a write that fails ends its segment; the next one is begun after PAUSE_MS
 */
import { fchownSync, unlink } from "node:fs";
import { join } from "node:path";
import type { ColdEntry, ColdPlace } from "../../cache/body-files.ts";
import { logPagesAllowed } from "./body-folder.ts";
import { type DiskBoard, PAGE_BYTES, pagesOf } from "./disk-board.ts";
import type { Owner } from "./disk-folder.ts";
import { closeFile, openFile, writeAll } from "./file-calls.ts";
import { ENTRY_BYTES, FRAME_BYTES, type Frame, SegmentList, writeFrame } from "./segment-format.ts";
import { codeOf, type Trouble } from "./trouble.ts";

const BATCH_BYTES = 256 * 1024;
const MAX_BATCHES = 4;
const FLUSH_MS = 50;
const PAUSE_MS = 5000;

export interface LogWriterOptions {
  readonly folder: string;
  readonly board: DiskBoard;
  readonly budgetBytes: number;
  readonly segmentBytes: number;
  readonly trouble: Trouble;
  readonly nowMs: () => number;
  /** User of the workers, when this process is not it. */
  readonly owner: Owner | undefined;
  /** Reclaiming may use what others may not: it makes more room than it takes. */
  readonly isKeeper: boolean;
}

/** A segment that this process writes. */
interface OpenSegment {
  readonly number: number;
  readonly file: number;
  readonly list: SegmentList;
  /** Where the next frame goes. */
  offset: number;
  hasFailed: boolean;
}

interface Batch {
  readonly segment: OpenSegment;
  readonly start: number;
  readonly bytes: Buffer;
  length: number;
  /** It is the list of a segment that is full. */
  readonly isTail: boolean;
}

export function segmentPath(folder: string, segment: number): string {
  return join(folder, `${segment.toString(16).padStart(8, "0")}.log`);
}

export class LogWriter {
  /** Records that were not taken: too much was waiting, or there was no segment. */
  refused = 0;
  readonly #options: LogWriterOptions;
  #current: OpenSegment | undefined;
  #next: OpenSegment | undefined;
  #opening: Promise<void> | undefined;
  #pausedUntilMs = 0;
  #filling: Batch | undefined;
  #waiting: Batch[] = [];
  #isWriting = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #idle: (() => void)[] = [];

  constructor(options: LogWriterOptions) {
    this.#options = options;
    // who only keeps the log appends seldom
    if (!options.isKeeper) void this.#prepare();
  }

  append(record: Buffer, what: Omit<ColdEntry, "place">): ColdPlace | undefined {
    const length = FRAME_BYTES + record.length;
    const segment = length <= BATCH_BYTES && !this.#isClosed ? this.#segmentFor(length) : undefined;
    const batch = segment === undefined ? undefined : this.#batchFor(segment, length);
    if (segment === undefined || batch === undefined) {
      this.refused++;
      return undefined;
    }
    const frame: Frame = {
      segment: segment.number,
      high: what.hash.high,
      low: what.hash.low,
      offset: segment.offset,
      length: record.length,
      keepUntilS: Math.max(0, Math.min(what.keepUntilS, 0xffff_ffff)),
      file: what.file,
      stampMs: this.#options.nowMs(),
    };
    batch.length = writeFrame(batch.bytes, batch.length, record, frame);
    segment.list.add(frame);
    segment.offset += length;
    this.#timer ??= this.#startTimer();
    return { segment: segment.number, offset: frame.offset, length: record.length };
  }

  /** A frame that is not in the file yet: a copy. */
  pending({ segment, offset, length }: ColdPlace): Buffer | undefined {
    const isThere = (batch: Batch | undefined) =>
      batch?.segment.number === segment && offset >= batch.start && offset < batch.start + batch.length;
    const batch = isThere(this.#filling) ? this.#filling : this.#waiting.find(isThere);
    if (batch === undefined) return undefined;
    const start = offset - batch.start;
    return Buffer.from(batch.bytes.subarray(start, start + FRAME_BYTES + length));
  }

  /** Writes what waits. Settles when it is in the file or has failed, and a segment is ready if one can be had. */
  async flush(): Promise<void> {
    this.#push();
    if (this.#isWriting) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#opening;
    await this.#prepare();
  }

  /** Writes what waits, seals the segment, and takes no more. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#current !== undefined) this.#seal(this.#current);
    this.#current = undefined;
    this.#discardNext();
    await this.flush();
  }

  /** Nothing was written to it. */
  #discardNext(): void {
    const { board, folder, segmentBytes } = this.#options;
    if (this.#next === undefined) return;
    const { file, number } = this.#next;
    this.#next = undefined;
    board.setDropped(number);
    board.addLogPages(-pagesOf(segmentBytes));
    closeFile(file);
    unlink(segmentPath(folder, number), () => {
      // an empty file is no harm
    });
  }

  #startTimer(): NodeJS.Timeout {
    const timer = setTimeout(() => this.#push(), FLUSH_MS);
    timer.unref();
    return timer;
  }

  /** The segment that has room for so many bytes and their entry in the list. */
  #segmentFor(length: number): OpenSegment | undefined {
    const { segmentBytes } = this.#options;
    const current = this.#current;
    if (current !== undefined && !current.hasFailed) {
      const end = current.offset + length + current.list.tailBytes + ENTRY_BYTES;
      if (end > (segmentBytes * 3) / 4) void this.#prepare();
      if (end <= segmentBytes) return current;
    }
    if (this.#waiting.length >= MAX_BATCHES) return undefined;
    if (current !== undefined && !current.hasFailed) this.#seal(current);
    this.#current = this.#next;
    this.#next = undefined;
    if (this.#current === undefined) void this.#prepare();
    return this.#current;
  }

  /** The batch that takes so many bytes of the segment. */
  #batchFor(segment: OpenSegment, length: number): Batch | undefined {
    const filling = this.#filling;
    if (filling !== undefined && filling.segment === segment && filling.length + length <= BATCH_BYTES) {
      return filling;
    }
    if (this.#waiting.length >= MAX_BATCHES) return undefined;
    this.#push();
    const bytes = Buffer.allocUnsafeSlow(BATCH_BYTES);
    this.#filling = { segment, start: segment.offset, bytes, length: 0, isTail: false };
    return this.#filling;
  }

  /** What is gathered is written next. */
  #push(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#filling !== undefined) this.#waiting.push(this.#filling);
    this.#filling = undefined;
    void this.#writeNext();
  }

  #seal(segment: OpenSegment): void {
    this.#push();
    const bytes = segment.list.tail(segment.number, segment.offset);
    this.#waiting.push({ segment, start: segment.offset, bytes, length: bytes.length, isTail: true });
    void this.#writeNext();
  }

  async #writeNext(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    for (;;) {
      const batch = this.#waiting[0];
      if (batch === undefined) break;
      await this.#write(batch);
      this.#waiting.shift();
    }
    this.#isWriting = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #write({ segment, start, bytes, length, isTail }: Batch): Promise<void> {
    if (segment.hasFailed) return;
    try {
      await writeAll(segment.file, bytes.subarray(0, length), start);
      if (isTail) this.#sealed(segment, start + length);
    } catch (error) {
      this.#options.trouble.tell("cannot write records", codeOf(error));
      this.#pausedUntilMs = performance.now() + PAUSE_MS;
      segment.hasFailed = true;
      this.#sealed(segment, this.#options.segmentBytes);
    }
  }

  /** Nothing more is written to it. Without a list, its room stays counted as a whole until it is dropped. */
  #sealed(segment: OpenSegment, bytes: number): void {
    const { board, segmentBytes } = this.#options;
    board.addLogPages(pagesOf(bytes) - pagesOf(segmentBytes));
    board.setSealed(segment.number);
    closeFile(segment.file);
  }

  /** Makes the next segment ready, so that nobody waits for it. */
  async #prepare(): Promise<void> {
    if (this.#opening !== undefined || this.#next !== undefined || this.#isClosed) return;
    if (performance.now() < this.#pausedUntilMs || !this.#takeRoom()) return;
    this.#opening = this.#openNext();
    await this.#opening;
    this.#opening = undefined;
    if (this.#isClosed) this.#discardNext();
  }

  async #openNext(): Promise<void> {
    const { board, folder, owner, segmentBytes, trouble } = this.#options;
    const number = board.nextSegment();
    try {
      const file = await openFile(segmentPath(folder, number), "wx");
      if (owner !== undefined) fchownSync(file, owner.uid, owner.gid);
      if (!board.setLive(number, process.pid)) throw closed(file);
      board.settleLog(pagesOf(segmentBytes));
      this.#next = { number, file, list: new SegmentList(), offset: 0, hasFailed: false };
    } catch (error) {
      board.settleLog(pagesOf(segmentBytes));
      board.addLogPages(-pagesOf(segmentBytes));
      // a number that an older board has given too: the next one is free
      if (codeOf(error) !== "EEXIST") {
        trouble.tell("cannot make a segment", codeOf(error));
        this.#pausedUntilMs = performance.now() + PAUSE_MS;
      }
    }
  }

  #takeRoom(): boolean {
    const { board, budgetBytes, isKeeper, segmentBytes } = this.#options;
    const limit = Math.floor(budgetBytes / PAGE_BYTES);
    const pages = pagesOf(segmentBytes);
    // the keeper's own segment may overstep the log's share, never the whole
    const allowed = isKeeper ? limit - board.bodyPages : logPagesAllowed(limit, board.bodyPages);
    if (board.logPages + pages > allowed) return false;
    board.reserveLog(pages);
    return true;
  }
}

function closed(file: number): Error {
  closeFile(file);
  return new Error("its place is another segment's");
}
