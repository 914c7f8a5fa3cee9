/**
 * Growing body: a body that is still arriving, for several readers at once, each at its own pace.
 *
 * why    many clients may wait for one fetch: all get its first bytes at once, a slow one must not hold up the others, and
 *        what is kept for the cache is the same bytes
 * shape  small: all pieces stay here until the end. Larger: pieces go to a file of the store, and readers that fell behind
 *        read from there. No file to be had: the last pieces are a window that the slowest reader moves
 * out    `take` says false when the endpoint should pause; `onRoom` says when it may go on
 * bound  `smallBytes` in memory, or what a writer has not written, or WINDOW_BYTES; all of it counts against server.memory
 */
import type { BodyReader, BodyWriter } from "../cache/store.ts";
import type { BodyRef } from "../cache/stored.ts";
import type { BufferBudget } from "../transport/wire.ts";

/** What waits for the slowest reader when there is no file. */
const WINDOW_BYTES = 1024 * 1024;

/** Where a body can be read from: one that grows, or one that lies in the store. */
export interface BodySource {
  /** Bytes that are there, or will never be more: see `isComplete`. */
  readonly length: number;
  readonly isComplete: boolean;
  /** A file that lies in memory and begins with the body, to be sent from without reading. */
  readonly descriptor?: number | undefined;
  /** Where in the body that file begins and ends, if it has not all of it. */
  readonly fileStart?: number;
  readonly fileEnd?: number;
  /** A piece from `position` on that is in memory now. */
  peek(position: number): Buffer | undefined;
  /** As far as one piece goes; `end` is at most `length`. fails  rejects when it cannot be had any more */
  read(position: number, end: number): Promise<Buffer>;
  join(reader: GrowthReader): void;
  /** A reader has come further. */
  moved(): void;
  /** A reader has gone; none: there will be no reader. */
  leave(reader?: GrowthReader): void;
}

/** Who reads along: `body-flow.ts` fulfils it. */
export interface GrowthReader {
  readonly position: number;
  /** More is there, or the end. */
  grown(): void;
  /** No more will come. */
  broken(detail: string): void;
}

/** What becomes of it for the cache. */
export interface Keeper {
  readonly smallBytes: number;
  /** More is not kept. */
  readonly maxBytes: number;
  write(expectedBytes: number): BodyWriter | undefined;
  /** The whole body is there, and small. */
  keepSmall(body: Buffer): void;
  /** The whole body is in this file. */
  keepFile(ref: BodyRef): void;
  /** Opens that file for those who read on, before anything can take it away. */
  open(ref: BodyRef): Promise<BodyReader | undefined>;
  /** It will not be kept. */
  forget(why: "size" | "room" | "cut"): void;
}

interface Piece {
  readonly start: number;
  readonly bytes: Buffer;
}

export class GrowingBody implements BodySource {
  length = 0;
  isComplete = false;
  /** The endpoint may send more. */
  onRoom: (() => void) | undefined;
  /** All has come and is being put away, until `onKept`: meanwhile it is read from here. */
  isBeingKept = false;
  onKept: (() => void) | undefined;
  readonly #budget: BufferBudget;
  readonly #keeper: Keeper;
  /** -1 = not told. */
  readonly #declaredBytes: number;
  readonly #readers = new Set<GrowthReader>();
  #pieces: Piece[] = [];
  #heldBytes = 0;
  #writer: BodyWriter | undefined;
  /** The file, once it is the store's, which may forget it while somebody reads here. */
  #file: BodyReader | undefined;
  /** It is for the readers alone: nothing will be kept. */
  #isPassing = false;
  #isFull = false;
  #isFileFull = false;
  #isBroken = false;
  /** Those who waited are joining, one by one: what the first has read is still to be read by the next. */
  #isOpening = true;

  constructor(keeper: Keeper, budget: BufferBudget, declaredBytes: number) {
    this.#keeper = keeper;
    this.#budget = budget;
    this.#declaredBytes = declaredBytes;
    if (declaredBytes > keeper.smallBytes) this.#useFile();
  }

  join(reader: GrowthReader): void {
    this.#readers.add(reader);
  }

  /** All who waited for it have joined. */
  opened(): void {
    this.#isOpening = false;
    this.leave();
  }

  /** True while a reader can begin at the beginning, and does not hold up those who are far on. */
  get isWhole(): boolean {
    const heldFrom = this.#pieces[0]?.start ?? this.length;
    const isOpen = this.#isOpening || !this.#isPassing;
    return isOpen && !this.#isBroken && heldFrom <= (this.#writer?.length ?? 0);
  }

  get hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  /** False once it is clear that the cache will not have it. */
  get isKept(): boolean {
    return !this.#isPassing && !this.#isBroken;
  }

  /** Takes the next bytes, which stay their owner's. out  false: pause until `onRoom` */
  take(bytes: Buffer): boolean {
    const piece = Buffer.from(bytes);
    this.#pieces.push({ start: this.length, bytes: piece });
    this.#heldBytes += piece.length;
    this.#budget.usedBytes += piece.length;
    this.length += piece.length;
    if (this.length > this.#keeper.maxBytes) this.#pass("size");
    else if (this.#writer === undefined) this.#outgrow();
    else if (!this.#isPassing) this.#isFileFull = !this.#writer.write(piece);
    for (const reader of [...this.#readers]) reader.grown();
    this.#trim();
    this.#isFull = this.#isPassing && this.#heldBytes > WINDOW_BYTES;
    return !this.#isFull && !this.#isFileFull;
  }

  /** Too large to stay in memory as a whole. */
  #outgrow(): void {
    if (!this.#isPassing && this.length > this.#keeper.smallBytes) this.#useFile();
  }

  /** All bytes have come. */
  end(): void {
    this.isComplete = true;
    if (this.#writer !== undefined) this.#finishFile(this.#writer);
    else if (!this.#isPassing) this.#keeper.keepSmall(this.#whole());
    for (const reader of [...this.#readers]) reader.grown();
    this.leave();
  }

  /** The endpoint broke off: nobody may take what came for the whole. */
  fail(detail: string): void {
    if (this.isComplete || this.#isBroken) return;
    this.#isBroken = true;
    this.#writer?.abort();
    this.#writer = undefined;
    this.#keeper.forget("cut");
    for (const reader of [...this.#readers]) reader.broken(detail);
    this.#release();
  }

  peek(position: number): Buffer | undefined {
    const pieces = this.#pieces;
    for (let at = pieces.length - 1; at >= 0; at--) {
      const { start, bytes } = pieces[at] as Piece;
      if (position >= start)
        return position < start + bytes.length ? bytes.subarray(position - start) : undefined;
    }
    return undefined;
  }

  async read(position: number, end: number): Promise<Buffer> {
    const source = this.#file ?? this.#writer;
    if (source === undefined) throw new Error("the body is not kept, and its reader fell behind");
    return await source.read(position, Math.min(end, source.length));
  }

  moved(): void {
    this.#trim();
    if (this.#isFull && this.#heldBytes <= WINDOW_BYTES) {
      this.#isFull = false;
      this.onRoom?.();
    }
  }

  leave(reader?: GrowthReader): void {
    if (reader !== undefined) this.#readers.delete(reader);
    if (!this.isComplete || this.#readers.size > 0) this.moved();
    else if (!this.#isOpening) this.#release();
  }

  /** What came so far, and all that follows, goes to a file. */
  #useFile(): void {
    const writer = this.#keeper.write(this.#declaredBytes);
    if (writer === undefined) {
      this.#pass("room");
      return;
    }
    this.#writer = writer;
    writer.onDrain = () => {
      this.#isFileFull = false;
      this.onRoom?.();
    };
    writer.onFail = () => this.#lostFile();
    for (const { bytes } of this.#pieces) this.#isFileFull = !writer.write(bytes);
  }

  /** The file cannot be written on: those who read along go on as far as they can. */
  #lostFile(): void {
    if (this.isComplete) return;
    this.#pass("room");
    this.#isFileFull = false;
    this.onRoom?.();
  }

  #pass(why: "size" | "room"): void {
    if (this.#isPassing) return;
    this.#isPassing = true;
    this.#keeper.forget(why);
    if (this.isComplete && this.#readers.size === 0) this.#release();
  }

  #finishFile(writer: BodyWriter): void {
    if (this.#isPassing) return; // it goes with its last reader
    this.isBeingKept = true;
    const settle = () => {
      this.isBeingKept = false;
      this.onKept?.();
    };
    this.#hand(writer).then(settle, () => {
      this.#pass("room");
      settle();
    });
  }

  /** Gives the file to the store. */
  async #hand(writer: BodyWriter): Promise<void> {
    const ref = await writer.finish();
    // without it, who fell behind is cut; the file is kept all the same
    if (this.#readers.size > 0) this.#file = await this.#keeper.open(ref).catch(() => undefined);
    this.#keeper.keepFile(ref);
    if (this.#readers.size === 0) this.#release();
  }

  #whole(): Buffer {
    return this.#pieces.length === 1
      ? (this.#pieces[0] as Piece).bytes
      : Buffer.concat(this.#pieces.map(({ bytes }) => bytes));
  }

  /** Gives back what everybody has, or can read from the file. */
  #trim(): void {
    if (this.#isOpening && this.#isPassing) return;
    const inFile = this.#writer?.length ?? 0;
    const keepFrom = this.#isPassing ? Math.max(inFile, this.#slowest()) : inFile;
    while (this.#pieces.length > 0) {
      const { start, bytes } = this.#pieces[0] as Piece;
      if (start + bytes.length > keepFrom) break;
      this.#pieces.shift();
      this.#heldBytes -= bytes.length;
      this.#budget.usedBytes -= bytes.length;
    }
  }

  #slowest(): number {
    let slowest = this.length;
    for (const { position } of this.#readers) slowest = Math.min(slowest, position);
    return slowest;
  }

  #release(): void {
    this.#budget.usedBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.#pieces = [];
    if (this.#isPassing) this.#writer?.abort();
    this.#file?.close();
    this.#file = undefined;
  }
}
