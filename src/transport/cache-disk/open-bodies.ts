/**
 * Open bodies: body files that are open for reading, each once, however many read it.
 *
 * why    who reads keeps what he reads: a file that the store forgets meanwhile stays readable through its descriptor
 * rule   a body that is not what was written is cut where that is seen, and its file removed: it happens once
 * bound  each open file takes one of the worker's descriptors and counts as one; MAX_IDLE that nobody reads stay open, for
 *        IDLE_MS at most, since a forgotten file takes its room until it is closed
 */
import { fstatSync, openSync, readSync, unlink } from "node:fs";
import type { BodyReader } from "../../cache/store.ts";
import type { BodyRef } from "../../cache/stored.ts";
import { areBlocksGood, BLOCK_BYTES, readTail, tailBytes } from "./blocks.ts";
import type { BodyPlaces } from "./body-places.ts";
import { Busy, closeFile, openFile, READ_HERE, readInto } from "./file-calls.ts";
import { HotPieces, newPiece, PIECE_BYTES, type Pieces } from "./hot-pieces.ts";

const MAX_IDLE = 32;
const IDLE_MS = 2000;

/** Descriptors that may be had: `SocketBudget` is one. */
export interface DescriptorRoom {
  openCount: number;
  mayOpen(): boolean;
}

interface OpenedFile {
  readonly file: number;
  readonly sums: Uint32Array | undefined;
}

/** An open file, shared by its readers. */
class OpenBody {
  readonly ref: BodyRef;
  readonly file: number;
  /** undefined: the file lies in memory, which is trusted like all memory. */
  readonly sums: Uint32Array | undefined;
  readonly pieces: Pieces = new Map();
  readonly #hot: HotPieces;
  readers = 0;
  /** How often it was opened since it is open. */
  opens = 0;
  isClosed = false;
  idleSinceMs = 0;
  /** It is not what was written, and no longer given out. */
  isDamaged = false;

  constructor(ref: BodyRef, { file, sums }: OpenedFile, hot: HotPieces) {
    this.ref = ref;
    this.file = file;
    this.sums = sums;
    this.#hot = hot;
  }

  async read(position: number, end: number): Promise<Buffer> {
    const index = Math.floor(position / PIECE_BYTES);
    const start = index * PIECE_BYTES;
    const hot = this.#hot.get(this.pieces, index);
    if (hot !== undefined) return hot.subarray(position - start, Math.min(end - start, hot.length));
    const pieceEnd = Math.min(this.ref.length, start + PIECE_BYTES);
    const isWhole = position === start && end >= pieceEnd;
    const piece = await this.#readPart(position, Math.min(end, pieceEnd));
    if (isWhole && this.opens > 1 && !this.isDamaged && !this.isClosed)
      this.#hot.add(this.pieces, index, piece);
    return piece;
  }

  /** A part of one piece. */
  async #readPart(position: number, end: number): Promise<Buffer> {
    return this.sums === undefined
      ? this.#readMemory(position, end)
      : await this.#readChecked(position, end, this.sums);
  }

  /** Nothing to wait for: a copy of 256 KiB takes 9 µs, a thread would cost as much again. */
  #readMemory(position: number, end: number): Buffer {
    const bytes = newPiece(end - position);
    const count = readSync(this.file, bytes, 0, bytes.length, position);
    if (count < bytes.length) this.#tooShort(position + count);
    return bytes;
  }

  /** Whole blocks around what is asked for, as each has one checksum. */
  async #readChecked(position: number, wanted: number, sums: Uint32Array): Promise<Buffer> {
    const start = position - (position % BLOCK_BYTES);
    const end = Math.min(this.ref.length, Math.ceil(wanted / BLOCK_BYTES) * BLOCK_BYTES);
    const bytes = newPiece(end - start);
    const count = await readInto(this.file, bytes, start);
    if (count < bytes.length) this.#tooShort(start + count);
    if (!areBlocksGood(bytes, start / BLOCK_BYTES, sums)) {
      throw new Error(`a stored body is damaged between ${start} and ${end}`);
    }
    return start === position && end <= wanted ? bytes : bytes.subarray(position - start, wanted - start);
  }

  #tooShort(at: number): never {
    throw new Error(`a stored body ends at ${at} of ${this.ref.length}: it was cut`);
  }
}

/** Who has opened a body: told by its readers. */
interface BodyOwner {
  left(body: OpenBody): void;
  damaged(body: OpenBody): void;
}

class OpenBodyReader implements BodyReader {
  readonly length: number;
  readonly #body: OpenBody;
  readonly #bodies: BodyOwner;
  #calls = 0;
  #isClosed = false;

  constructor(body: OpenBody, bodies: BodyOwner) {
    this.#body = body;
    this.#bodies = bodies;
    this.length = body.ref.length;
    body.readers++;
    body.opens++;
  }

  /** What lies on a disk has to be checked, and would make the worker wait. */
  get descriptor(): number | undefined {
    return this.#body.sums === undefined ? this.#body.file : undefined;
  }

  async read(position: number, end: number): Promise<Buffer> {
    if (this.#isClosed) throw new Error("the body is closed");
    this.#calls++;
    try {
      return await this.#body.read(position, end);
    } catch (error) {
      this.#bodies.damaged(this.#body);
      throw error;
    } finally {
      if (--this.#calls === 0 && this.#isClosed) this.#bodies.left(this.#body);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#calls === 0) this.#bodies.left(this.#body);
  }
}

export class OpenBodies {
  /** Bodies that were not what was written. */
  damagedCount = 0;
  readonly #owner: BodyOwner = { left: (body) => this.#left(body), damaged: (body) => this.#damaged(body) };
  readonly #places: BodyPlaces;
  readonly #room: DescriptorRoom;
  readonly #isChecked: boolean;
  readonly #open = new Map<number, OpenBody>();
  readonly #opening = new Map<number, Promise<OpenBody | undefined>>();
  readonly #hot = new HotPieces();
  #idleCount = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(places: BodyPlaces, room: DescriptorRoom, isChecked: boolean) {
    this.#places = places;
    this.#room = room;
    this.#isChecked = isChecked;
  }

  get openCount(): number {
    return this.#open.size;
  }

  get hotBytes(): number {
    return this.#hot.usedBytes;
  }

  /** out  undefined when it is gone, or is not what it should be. fails  as `open` does, or Busy */
  async open(ref: BodyRef): Promise<BodyReader | undefined> {
    const body = this.#open.get(ref.id) ?? (await this.#openOnce(ref));
    if (body === undefined || body.ref.length !== ref.length) return undefined;
    // forgotten while it was opened, or known to be damaged
    if (this.#open.get(ref.id) !== body || body.isDamaged) return undefined;
    if (body.readers === 0) this.#idleCount--;
    return new OpenBodyReader(body, this.#owner);
  }

  /** It was forgotten: its room is given back as soon as nobody reads it. */
  forget(id: number): void {
    const body = this.#open.get(id);
    if (body?.readers === 0) this.#close(body);
  }

  /** Closes what nobody reads. */
  closeIdle(nowMs = Number.POSITIVE_INFINITY): void {
    for (const body of this.#open.values()) {
      if (body.readers === 0 && nowMs - body.idleSinceMs >= IDLE_MS) this.#close(body);
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#idleCount > 0) this.#startTimer();
  }

  #openOnce(ref: BodyRef): Promise<OpenBody | undefined> {
    const known = this.#opening.get(ref.id);
    if (known !== undefined) return known;
    if (!this.#room.mayOpen()) return Promise.reject(new Busy("no descriptor is free"));
    this.#room.openCount++;
    const opening = this.#openNow(ref)
      .then((body) => {
        if (body === undefined) this.#room.openCount--;
        else this.#add(body);
        return body;
      })
      .catch((error: unknown) => {
        this.#room.openCount--;
        throw error;
      })
      .finally(() => this.#opening.delete(ref.id));
    this.#opening.set(ref.id, opening);
    return opening;
  }

  #add(body: OpenBody): void {
    this.#open.set(body.ref.id, body);
    this.#becameIdle(body);
  }

  async #openNow(ref: BodyRef): Promise<OpenBody | undefined> {
    const path = this.#places.bodyOf(ref.id);
    let file: number;
    try {
      file = this.#isChecked ? await openFile(path, READ_HERE) : openSync(path, READ_HERE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const found = this.#isChecked ? await checkedFile(ref, file) : plainFile(ref, file);
      if (found === undefined) closeFile(file);
      return found === undefined ? undefined : new OpenBody(ref, found, this.#hot);
    } catch (error) {
      closeFile(file);
      throw error;
    }
  }

  #left(body: OpenBody): void {
    if (--body.readers > 0) return;
    this.#becameIdle(body);
    if (body.isDamaged) this.#close(body);
  }

  /** One exchange had to be cut for it; the next one must find nothing. */
  #damaged(body: OpenBody): void {
    if (body.isDamaged) return;
    body.isDamaged = true;
    this.#hot.forget(body.pieces);
    this.damagedCount++;
    unlink(this.#places.bodyOf(body.ref.id), () => {
      // gone already, or it cannot be: then it is found damaged again
    });
  }

  #becameIdle(body: OpenBody): void {
    body.idleSinceMs = performance.now();
    if (this.#idleCount++ >= MAX_IDLE) this.#closeLongestIdle();
    if (this.#timer === undefined) this.#startTimer();
  }

  #closeLongestIdle(): void {
    let oldest: OpenBody | undefined;
    for (const body of this.#open.values()) {
      if (body.readers === 0 && body.idleSinceMs < (oldest?.idleSinceMs ?? Number.POSITIVE_INFINITY))
        oldest = body;
    }
    if (oldest !== undefined) this.#close(oldest);
  }

  #close(body: OpenBody): void {
    this.#open.delete(body.ref.id);
    body.isClosed = true;
    this.#hot.forget(body.pieces);
    this.#idleCount--;
    this.#room.openCount--;
    closeFile(body.file);
  }

  #startTimer(): void {
    this.#timer = setTimeout(() => this.closeIdle(performance.now()), IDLE_MS);
    this.#timer.unref();
  }
}

/** The tail is read with one byte more, which must not be there. */
async function checkedFile(ref: BodyRef, file: number): Promise<OpenedFile | undefined> {
  const bytes = Buffer.allocUnsafe(tailBytes(ref.length) + 1);
  const count = await readInto(file, bytes, ref.length);
  const sums = readTail(bytes.subarray(0, count), ref);
  return sums === undefined ? undefined : { file, sums };
}

function plainFile(ref: BodyRef, file: number): OpenedFile | undefined {
  return fstatSync(file).size === ref.length ? { file, sums: undefined } : undefined;
}
