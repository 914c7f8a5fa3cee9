/**
 * Body writer: a body on its way into a file, for which room is made as it grows.
 *
 * rule   what is written counts from its first byte on, so that bodies on their way stay within the budget too
 */
import type { BodyWriter } from "../store.ts";
import type { BodyRef } from "../stored.ts";

/** Of a body whose length nobody knows, room is made by so much at a time. */
const STEP_BYTES = 1024 * 1024;

export class RoomyWriter implements BodyWriter {
  readonly #inner: BodyWriter;
  readonly #makeRoom: (bytes: number) => boolean;
  readonly #giveBack: (bytes: number) => void;
  readonly #steps: number[];
  #reserved: number;
  #isOver = false;
  onFail: ((detail: string) => void) | undefined;

  /** in  `makeRoom` reserves so many bytes or refuses; `giveBack` undoes one reservation; `reserved` is made already */
  constructor(
    inner: BodyWriter,
    reserved: number,
    makeRoom: (bytes: number) => boolean,
    giveBack: (bytes: number) => void,
  ) {
    this.#inner = inner;
    this.#makeRoom = makeRoom;
    this.#giveBack = giveBack;
    this.#steps = [reserved];
    this.#reserved = reserved;
    inner.onFail = (detail) => this.#fail(detail);
  }

  get length(): number {
    return this.#inner.length;
  }

  get onDrain(): (() => void) | undefined {
    return this.#inner.onDrain;
  }

  set onDrain(drained: (() => void) | undefined) {
    this.#inner.onDrain = drained;
  }

  write(bytes: Buffer): boolean {
    if (this.#isOver) return true;
    if (this.#inner.length + bytes.length > this.#reserved) {
      const step = Math.max(STEP_BYTES, bytes.length);
      if (!this.#makeRoom(step)) {
        this.#isOver = true; // what is there counts until it is given up: it may still be read
        this.onFail?.("there is no room for more of it");
        return true;
      }
      this.#steps.push(step);
      this.#reserved += step;
    }
    return this.#inner.write(bytes);
  }

  read(position: number, end: number): Promise<Buffer> {
    return this.#inner.read(position, end);
  }

  finish(): Promise<BodyRef> {
    if (this.#isOver) return Promise.reject(new Error("not all of the body could be kept"));
    return this.#inner.finish().finally(() => this.#release());
  }

  abort(): void {
    this.#inner.abort();
    this.#release();
  }

  #fail(detail: string): void {
    this.#release();
    this.onFail?.(detail);
  }

  #release(): void {
    this.#isOver = true;
    for (const step of this.#steps.splice(0)) this.#giveBack(step);
  }
}
