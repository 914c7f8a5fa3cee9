/**
 * Cold log: small records on the disk: appended by each process to its own segments, read by all.
 *
 * out    a record exactly as it was appended, or nothing: every frame has a checksum, its own place, and the length that
 *        the index knows
 */
import type { ColdEntry, ColdIndex, ColdPlace, ColdRecords, KeyHash } from "../../cache/body-files.ts";
import type { DiskBoard } from "./disk-board.ts";
import { isShortage } from "./file-calls.ts";
import { LogWriter, type LogWriterOptions } from "./log-writer.ts";
import type { DescriptorRoom } from "./open-bodies.ts";
import { SegmentFiles } from "./segment-files.ts";
import { FRAME_BYTES, readFrame } from "./segment-format.ts";
import { codeOf } from "./trouble.ts";

const NOTHING = Buffer.alloc(0);
const FOREVER_S = 0xffff_ffff;

export interface ColdLogOptions extends LogWriterOptions {
  readonly descriptors: DescriptorRoom;
}

export class ColdLog implements ColdRecords {
  /** Records that were not what they should be. */
  damaged = 0;
  readonly #board: DiskBoard;
  readonly #options: ColdLogOptions;
  readonly #writer: LogWriter;
  readonly #files: SegmentFiles;
  #index: ColdIndex | undefined;

  constructor(options: ColdLogOptions) {
    this.#options = options;
    this.#board = options.board;
    this.#writer = new LogWriter(options);
    this.#files = new SegmentFiles(options.folder, options.descriptors);
  }

  attach(index: ColdIndex): void {
    this.#index = index;
  }

  get index(): ColdIndex | undefined {
    return this.#index;
  }

  /** Records that were not taken. */
  get refused(): number {
    return this.#writer.refused;
  }

  append(record: Buffer, what: Omit<ColdEntry, "place">): ColdPlace | undefined {
    return this.#writer.append(record, what);
  }

  async read(place: ColdPlace): Promise<Buffer | undefined> {
    if (!this.isLive(place.segment)) {
      this.#files.forget(place.segment);
      return undefined;
    }
    const bytes = this.#writer.pending(place) ?? (await this.#readFile(place));
    if (bytes === undefined) return undefined;
    const frame = readFrame(bytes, 0, place.segment, place.offset);
    if (frame?.length === place.length) return bytes.subarray(FRAME_BYTES);
    this.damaged++;
    return undefined;
  }

  isLive(segment: number): boolean {
    return this.#board.isLive(segment);
  }

  /** Writes what waits. */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /** An empty record, which says in the place of its body which one is gone. */
  remove(hash: KeyHash, { segment, offset }: ColdPlace): void {
    this.#writer.append(NOTHING, { hash, keepUntilS: FOREVER_S, file: { id: segment, length: offset } });
  }

  /** Closes the file of a segment that was dropped. */
  closeSegment(segment: number): void {
    this.#files.forget(segment);
  }

  /** Writes what waits, with the list of what was written: a start then need not walk the records. */
  async close(): Promise<void> {
    await this.#writer.close();
    this.#files.close();
  }

  async #readFile({ segment, offset, length }: ColdPlace): Promise<Buffer | undefined> {
    try {
      return await this.#files.read(segment, offset, FRAME_BYTES + length);
    } catch (error) {
      if (isShortage(error)) throw error;
      this.#options.trouble.tell("cannot read a record", codeOf(error));
      return undefined;
    }
  }
}
