/**
 * Recode: a stored body is encoded behind the clients' back, and kept beside the response.
 *
 * why    a large body is not encoded while somebody waits for all of it, and a popular one is worth a higher level
 * rule   one at a time in a worker, off its main thread; what only makes a form smaller waits until that is not busy
 * bound  bodies up to MAX_BYTES; what becomes no smaller is given up
 * fails  whatever goes wrong costs nothing but the form
 */
import type { BodyWriter, CacheStore } from "../cache/store.ts";
import type { BodyRef, StoredResponse } from "../cache/stored.ts";
import { LENGTH_UNKNOWN } from "../core/body.ts";
import { defectText } from "../core/failure.ts";
import { COST_BYTES, DENSE_LEVEL, encodeApart } from "../transport/encoder.ts";
import { keepForm, type Wish } from "./form-wish.ts";

/** A second of one processor, or somewhat more. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Facts, key and head of a record, generously. */
const RECORD_ROOM = 2048;

/**
 * Begins it, if this is a good time.
 * in     `haste`: the form that is there, whose place only a smaller one takes
 */
export function recode(wish: Wish, haste?: StoredResponse): void {
  const { exchange, stored, form, forms } = wish;
  const { services } = exchange.plan;
  const { encoders } = services;
  const costBytes = COST_BYTES.apart[form.coding];
  if (stored.bodyLength > MAX_BYTES) form.isTried = true;
  if (form.isTried || !encoders.beginApart(costBytes, haste === undefined)) return;
  form.isTried = true;
  const level = forms.route.compress?.config.level ?? 0;
  const sink = new FormSink(wish.store, haste?.bodyLength ?? stored.bodyLength);
  encode(wish, sink, level === 0 ? DENSE_LEVEL : level)
    .then(async () => {
      encoders.bytesIn += stored.bodyLength;
      encoders.bytesOut += sink.length;
      await keep(wish, sink, haste);
    })
    .catch((defect: unknown) => services.report(defectText(defect)))
    .finally(() => {
      sink.close();
      encoders.endApart(costBytes);
    });
}

async function encode({ store, stored, form }: Wish, sink: FormSink, level: number): Promise<void> {
  try {
    await encodeApart(piecesOf(store, stored), form.coding, level, (piece) => sink.take(piece));
  } catch (defect) {
    if (!sink.isOver) throw defect;
  }
}

async function keep(wish: Wish, sink: FormSink, haste: StoredResponse | undefined): Promise<void> {
  if (!sink.isOver) keepForm(wish, { ...(await sink.finish()), isDense: true });
  else if (!sink.isTooLong) return;
  else if (haste === undefined) wish.form.isVain = true;
  else keepForm(wish, { body: haste.body, file: haste.file, isDense: true });
}

async function* piecesOf(store: CacheStore, { body, file }: StoredResponse): AsyncGenerator<Buffer> {
  if (file === undefined) {
    if (body !== undefined) yield Buffer.from(body); // other readers have it too
    return;
  }
  const reader = await store.open(file);
  if (reader === undefined) throw new Error("the body has gone from the cache");
  try {
    for (let position = 0; position < reader.length; ) {
      const piece = await reader.read(position, reader.length);
      position += piece.length;
      yield piece;
    }
  } finally {
    reader.close();
  }
}

/** Where the outcome goes: memory while it fits into a record, else a file. */
class FormSink {
  readonly #store: CacheStore;
  readonly #maxBytes: number;
  readonly #smallBytes: number;
  #pieces: Buffer[] = [];
  #writer: BodyWriter | undefined;
  #drained: (() => void) | undefined;
  #isHanded = false;
  length = 0;
  /** It would be no smaller than what there is. */
  isTooLong = false;
  /** Nothing will come of it. */
  isOver = false;

  constructor(store: CacheStore, maxBytes: number) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#smallBytes = store.smallBytes - RECORD_ROOM;
  }

  take(piece: Buffer): Promise<void> | undefined {
    this.length += piece.length;
    if (this.length >= this.#maxBytes) this.isTooLong = true;
    if (this.isTooLong || this.isOver) this.#stop();
    this.#pieces.push(piece);
    if (this.#writer === undefined && this.length <= this.#smallBytes) return undefined;
    this.#writer ??= this.#open();
    return this.#flush(this.#writer);
  }

  #stop(): never {
    this.isOver = true;
    throw new Error("the coded form is not worth it");
  }

  #open(): BodyWriter {
    const writer = this.#store.write(LENGTH_UNKNOWN);
    if (writer === undefined) this.#stop();
    writer.onDrain = () => this.#goOn();
    writer.onFail = () => {
      this.isOver = true;
      this.#goOn();
    };
    return writer;
  }

  #flush(writer: BodyWriter): Promise<void> | undefined {
    const isOpen = this.#pieces.splice(0).reduce((_, piece) => writer.write(piece), true);
    if (isOpen || this.isOver) return undefined;
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  #goOn(): void {
    this.#drained?.();
    this.#drained = undefined;
  }

  async finish(): Promise<{ body: Buffer | undefined; file: BodyRef | undefined }> {
    if (this.#writer === undefined) return { body: Buffer.concat(this.#pieces), file: undefined };
    const file = await this.#writer.finish();
    this.#isHanded = true;
    return { body: undefined, file };
  }

  /** Whatever was not handed on is given up. */
  close(): void {
    if (!this.#isHanded) this.#writer?.abort();
  }
}
