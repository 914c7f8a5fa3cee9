/**
 * Body writer: a body on its way into a file, and readable meanwhile.
 *
 * rule   the file gets the name of a body only when all of it is written, so that what a killed process leaves is never
 *        taken for a body
 * bound  MAX_PENDING bytes wait to be written, and one piece more; then `write` says false until half of that is out
 * fails  no room, no right, no descriptor: what was taken stays readable (what did not reach the file is kept in
 *        memory, at most that bound), nothing more is written, and `onFail` says why
 */
import { mkdir, rename, unlink } from "node:fs";
import type { BodyWriter } from "../../cache/store.ts";
import type { BodyRef } from "../../cache/stored.ts";
import { BlockSums } from "./blocks.ts";
import type { BodyPlaces } from "./body-places.ts";
import { closeFile, openFile, readInto, writeAll, writeSome } from "./file-calls.ts";
import { codeOf } from "./trouble.ts";

const MAX_PENDING = 1024 * 1024;
/** Pieces of one write call: sockets give up to 512 KiB each, but also many small ones. */
const MAX_PIECES = 64;
const READ_BYTES = 256 * 1024;

/** What a writer needs from the folder that it writes in. */
export interface BodyRoom {
  readonly places: BodyPlaces;
  readonly isChecked: boolean;
  /** Makes room for a body that has become this long. out  false: there is none */
  grow(writer: FileBodyWriter, length: number): boolean;
  /** It is kept: its room is the file's. */
  kept(writer: FileBodyWriter): void;
  /** It is gone. */
  gone(writer: FileBodyWriter): void;
  /** Cannot write, and why. */
  failed(code: string): void;
  /** Reads a body that is whole. */
  readWhole(ref: BodyRef, position: number, end: number): Promise<Buffer>;
}

export class FileBodyWriter implements BodyWriter {
  readonly id: number;
  length = 0;
  /** Pages reserved for it: the folder's own account. */
  reservedPages = 0;
  onDrain: (() => void) | undefined;
  onFail: ((detail: string) => void) | undefined;
  readonly #room: BodyRoom;
  readonly #sums: BlockSums | undefined;
  /** Not written yet, oldest first; they lie at `#writtenBytes` and after. */
  #pending: Buffer[] = [];
  #writtenBytes = 0;
  #file = -1;
  /** Calls on the file that have not ended; it is closed after the last. */
  #calls = 0;
  #isWriting = false;
  #isFull = false;
  #isEnded = false;
  #state: "open" | "failed" | "whole" | "gone" = "open";
  #finishing: PromiseWithResolvers<BodyRef> | undefined;

  constructor(room: BodyRoom, id: number) {
    this.#room = room;
    this.id = id;
    this.#sums = room.isChecked ? new BlockSums() : undefined;
    void this.#open();
  }

  get #ref(): BodyRef {
    return { id: this.id, length: this.length };
  }

  write(bytes: Buffer): boolean {
    if (this.#state !== "open" || bytes.length === 0) return true;
    if (!this.#room.grow(this, this.length + bytes.length)) {
      this.#fail("no room in the cache");
      return true;
    }
    this.#sums?.add(bytes);
    this.#pending.push(bytes);
    this.length += bytes.length;
    void this.#writeNext();
    this.#isFull = this.length - this.#writtenBytes > MAX_PENDING;
    return !this.#isFull;
  }

  async read(position: number, end: number): Promise<Buffer> {
    if (this.#state === "whole") return await this.#room.readWhole(this.#ref, position, end);
    if (this.#state === "gone") throw new Error("the body was given up");
    if (position >= this.#writtenBytes) return this.#readPending(position, end);
    const bytes = Buffer.allocUnsafeSlow(Math.min(end, this.#writtenBytes, position + READ_BYTES) - position);
    this.#calls++;
    try {
      if ((await readInto(this.#file, bytes, position)) === bytes.length) return bytes;
    } finally {
      this.#calls--;
      this.#closeWhenIdle();
    }
    throw new Error(`the file ends before ${end}: it was cut while written`);
  }

  finish(): Promise<BodyRef> {
    if (this.#finishing !== undefined) return this.#finishing.promise;
    this.#finishing = Promise.withResolvers();
    if (this.#state !== "open") this.#finishing.reject(new Error("the body cannot be kept"));
    this.#isEnded = true;
    void this.#writeNext();
    return this.#finishing.promise;
  }

  abort(): void {
    if (this.#state === "gone" || this.#state === "whole") return;
    this.#give("gone");
    this.#pending = [];
  }

  /** What is in memory still: a copy, for whoever gets it may give its memory away. */
  #readPending(position: number, end: number): Buffer {
    let start = this.#writtenBytes;
    for (const piece of this.#pending) {
      const from = position - start;
      if (from < piece.length) {
        const bytes = Buffer.allocUnsafeSlow(Math.min(piece.length - from, end - position));
        piece.copy(bytes, 0, from, from + bytes.length);
        return bytes;
      }
      start += piece.length;
    }
    throw new Error(`${position} lies behind what was taken`);
  }

  async #open(): Promise<void> {
    this.#calls++;
    try {
      this.#file = await openFile(this.#room.places.partOf(this.id), "wx+");
    } catch (error) {
      this.#fail(codeOf(error));
    }
    this.#calls--;
    this.#closeWhenIdle();
    await this.#writeNext();
  }

  /** Writes what waits, one call at a time, and the end when nothing does. */
  async #writeNext(): Promise<void> {
    if (this.#isWriting || this.#file === -1) return;
    this.#isWriting = true;
    this.#calls++;
    try {
      while (this.#state === "open" && this.#pending.length > 0) await this.#writePieces();
      if (this.#isEnded && this.#state === "open") await this.#close();
    } catch (error) {
      this.#fail(codeOf(error));
    }
    this.#isWriting = false;
    this.#calls--;
    this.#closeWhenIdle();
  }

  async #writePieces(): Promise<void> {
    let count = await writeSome(this.#file, this.#pending.slice(0, MAX_PIECES), this.#writtenBytes);
    this.#writtenBytes += count;
    while (count > 0) {
      const piece = this.#pending[0];
      if (piece === undefined) return; // given up meanwhile
      if (piece.length > count) {
        this.#pending[0] = piece.subarray(count);
        break;
      }
      count -= piece.length;
      this.#pending.shift();
    }
    if (this.#isFull && this.length - this.#writtenBytes <= MAX_PENDING / 2) {
      this.#isFull = false;
      this.onDrain?.();
    }
  }

  /** All is written: the tail, then the name. */
  async #close(): Promise<void> {
    const { places } = this.#room;
    if (this.#sums !== undefined) await writeAll(this.#file, this.#sums.tail(this.#ref), this.length);
    await nameBody(places, this.id);
    if (this.#state !== "open") {
      // given up while the name was being given
      unlink(places.bodyOf(this.id), () => {
        // nobody has seen it
      });
      return;
    }
    this.#state = "whole";
    this.#room.kept(this);
    this.#finishing?.resolve(this.#ref);
  }

  #fail(code: string): void {
    if (this.#state !== "open") return;
    this.#room.failed(code);
    this.#give("failed");
    this.onFail?.(code);
  }

  #give(state: "failed" | "gone"): void {
    if (this.#state === "open") {
      this.#room.gone(this);
      unlink(this.#room.places.partOf(this.id), () => {
        // it may not have been made
      });
    }
    this.#state = state;
    this.#finishing?.reject(new Error("the body cannot be kept"));
    this.#closeWhenIdle();
  }

  /** A failed one is still read; it is closed when it is given up. */
  #closeWhenIdle(): void {
    if (this.#file === -1 || this.#calls > 0) return;
    if (this.#state !== "gone" && this.#state !== "whole") return;
    closeFile(this.#file);
    this.#file = -1;
  }
}

async function nameBody(places: BodyPlaces, id: number): Promise<void> {
  const move = () =>
    new Promise<NodeJS.ErrnoException | null>((resolve) =>
      rename(places.partOf(id), places.bodyOf(id), resolve),
    );
  let problem = await move();
  if (problem?.code === "ENOENT") {
    await new Promise<void>((resolve) => mkdir(places.folderOf(id), { mode: 0o700 }, () => resolve()));
    problem = await move();
  }
  if (problem !== null) throw problem;
}
