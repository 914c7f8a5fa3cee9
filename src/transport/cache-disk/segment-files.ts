/**
 * Segment files: segments open for reading, few at a time, and reads from them.
 *
 * bound  MAX_OPEN descriptors; MAX_READS at once, MAX_WAITING more in turn: beyond that a read is told to be in vain
 */
import { Busy, closeFile, isShortage, openFile, READ_HERE, readInto } from "./file-calls.ts";
import { segmentPath } from "./log-writer.ts";
import type { DescriptorRoom } from "./open-bodies.ts";

const MAX_OPEN = 16;
const MAX_READS = 64;
const MAX_WAITING = 1024;

interface OpenFile {
  readonly file: number;
  reads: number;
  /** Out of the table: closed after its last read. */
  isLeft: boolean;
}

/** No file: there is none, or it cannot be opened now. */
type Missing = "busy" | undefined;

export class SegmentFiles {
  readonly #folder: string;
  readonly #room: DescriptorRoom;
  /** By number; what was used last is last. */
  readonly #open = new Map<number, Promise<OpenFile | Missing>>();
  #reads = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(folder: string, room: DescriptorRoom) {
    this.#folder = folder;
    this.#room = room;
  }

  /** out  what lies there as far as the file goes, or undefined when the file is gone. fails  as `read` does, or Busy */
  async read(segment: number, offset: number, length: number): Promise<Buffer | undefined> {
    if (this.#reads >= MAX_READS) {
      if (this.#waiting.length >= MAX_WAITING) throw new Busy("too many reads wait");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#reads++;
    try {
      return await this.#readNow(segment, offset, length);
    } finally {
      this.#reads--;
      this.#waiting.shift()?.();
    }
  }

  /** Closes one: the segment was dropped. */
  forget(segment: number): void {
    const opening = this.#open.get(segment);
    if (opening === undefined) return;
    this.#open.delete(segment);
    void opening.then((open) => {
      if (open === undefined || open === "busy") return;
      open.isLeft = true;
      this.#closeWhenIdle(open);
    });
  }

  close(): void {
    for (const segment of [...this.#open.keys()]) this.forget(segment);
  }

  async #readNow(segment: number, offset: number, length: number): Promise<Buffer | undefined> {
    const open = await this.#fileOf(segment);
    if (open === "busy") throw new Busy("no descriptor is free");
    if (open === undefined) return undefined;
    open.reads++;
    try {
      const bytes = Buffer.allocUnsafeSlow(length);
      const count = await readInto(open.file, bytes, offset);
      return bytes.subarray(0, count);
    } finally {
      open.reads--;
      this.#closeWhenIdle(open);
    }
  }

  #fileOf(segment: number): Promise<OpenFile | Missing> {
    const known = this.#open.get(segment);
    if (known !== undefined) {
      this.#open.delete(segment);
      this.#open.set(segment, known);
      return known;
    }
    if (this.#open.size >= MAX_OPEN) this.#forgetOldest();
    const opening = this.#openNow(segment);
    this.#open.set(segment, opening);
    void opening.then((open) => {
      const isMissing = open === undefined || open === "busy";
      if (isMissing && this.#open.get(segment) === opening) this.#open.delete(segment);
    });
    return opening;
  }

  #forgetOldest(): void {
    for (const segment of this.#open.keys()) {
      this.forget(segment);
      return;
    }
  }

  async #openNow(segment: number): Promise<OpenFile | Missing> {
    if (!this.#room.mayOpen()) return "busy";
    this.#room.openCount++;
    try {
      const file = await openFile(segmentPath(this.#folder, segment), READ_HERE);
      return { file, reads: 0, isLeft: false };
    } catch (error) {
      this.#room.openCount--;
      return isShortage(error) ? "busy" : undefined;
    }
  }

  #closeWhenIdle(open: OpenFile): void {
    if (!open.isLeft || open.reads > 0) return;
    closeFile(open.file);
    this.#room.openCount--;
  }
}
