/**
 * Compressed body: a response body on its way through an encoder.
 *
 * why    the body's source and the client both go at their own pace, and the encoder between them takes the processor:
 *        what is read at once is encoded in slices, so that other exchanges get their turn
 * rule   what the source has sent is with the client within FLUSH_MS; in a stream of events, at once. What came with the
 *        head leaves with it
 * rule   the source is paused while a slice waits or the client is slow, so that no more than its last read waits here
 * fails  an encoder that breaks cuts the exchange: the client sees an incomplete answer as incomplete
 */
import { BODY_STREAM, LENGTH_UNKNOWN } from "../core/body.ts";
import { defectText, fail } from "../core/failure.ts";
import { END, type EncodeMode, type Encoder, FLUSH, MORE } from "../transport/encoder.ts";
import type { Encoders, Flushable } from "../transport/encoders.ts";
import { release } from "../transport/wire.ts";
import { trailersOfCoded } from "./compress-head.ts";
import type { Coder, Planned } from "./plan.ts";

/** Encoded in one go: about 0.7 ms at the usual level. */
const SLICE_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** Bytes of a read that wait for their turn. */
interface Piece {
  readonly bytes: Buffer;
  /** How many of them are encoded. */
  done: number;
  /** Nobody else looks at them. */
  readonly isOwn: boolean;
}

export class CompressedBody implements Coder, Flushable {
  readonly #exchange: Planned;
  readonly #encoders: Encoders;
  readonly #encoder: Encoder;
  readonly #isLive: boolean;
  #pieces: Piece[] = [];
  #waitingBytes = 0;
  /** The source has come to its end, with these trailers. */
  #trailers: string | undefined;
  #isBlocked = false;
  #isTurnAwaited = false;
  #isFlushAwaited = false;
  /** Something of the body is encoded: until then, whatever comes first leaves at once. */
  #isBegun = false;
  /** The encoder keeps bytes. */
  #isDirty = false;
  #isOver = false;

  constructor(exchange: Planned, encoder: Encoder, isLive: boolean) {
    this.#exchange = exchange;
    this.#encoders = exchange.plan.services.encoders;
    this.#encoder = encoder;
    this.#isLive = isLive;
  }

  /** The body bytes that came with the head leave with it, encoded; the rest of a large read follows. */
  begin(): void {
    const { first, firstStart, firstEnd, plan } = this.#exchange;
    if (plan.isEnd) this.#trailers = "";
    plan.isEnd = false;
    this.#exchange.sentBodyKind = BODY_STREAM;
    this.#exchange.sentBodyLength = LENGTH_UNKNOWN;
    if (first === undefined) return;
    const bytes = first.subarray(firstStart, firstEnd);
    const slice = bytes.subarray(0, SLICE_BYTES);
    this.#isBegun = true;
    this.#exchange.first = this.#encodeBytes(slice, FLUSH);
    this.#exchange.firstStart = 0;
    this.#exchange.firstEnd = this.#exchange.first.length;
    if (bytes.length > slice.length) this.#keep(bytes, slice.length, false);
    else if (this.#trailers !== undefined) this.#awaitTurn();
  }

  take(bytes: Buffer): void {
    if (this.#isOver || bytes.length === 0) return;
    const isOwn = !this.#exchange.isBodyShared; // said anew by the source for each piece
    if (this.#pieces.length > 0 || bytes.length > SLICE_BYTES) {
      this.#keep(bytes, 0, isOwn);
      return;
    }
    this.#encode(bytes, this.#isLive || !this.#isBegun ? FLUSH : MORE);
    if (isOwn) giveBack(bytes);
    if (this.#isBlocked) this.#exchange.upstream?.pauseResponse();
  }

  end(trailers: string): void {
    if (this.#isOver) return;
    this.#trailers = trailers;
    if (this.#pieces.length === 0) this.#finish(trailers);
  }

  blocked(): void {
    this.#isBlocked = true;
  }

  drained(): void {
    if (this.#isOver) return;
    this.#isBlocked = false;
    this.#proceed();
  }

  flush(): void {
    this.#isFlushAwaited = false;
    if (this.#isDirty && this.#pieces.length === 0 && !this.#isOver) this.#encode(NOTHING, FLUSH);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#encoders.giveBack(this.#encoder);
    this.#account(-this.#waitingBytes);
    this.#pieces = [];
  }

  /** The rest of a read waits for its turn, and the source with it. */
  #keep(bytes: Buffer, done: number, isOwn: boolean): void {
    this.#pieces.push({ bytes, done, isOwn });
    this.#account(bytes.length - done);
    this.#exchange.upstream?.pauseResponse();
    if (!this.#isBlocked) this.#awaitTurn();
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    this.#encoders.later(() => {
      this.#isTurnAwaited = false;
      this.#takeTurn();
    });
  }

  #takeTurn(): void {
    if (this.#isOver || this.#isBlocked) return;
    const piece = this.#pieces[0];
    if (piece !== undefined) this.#encodeSlice(piece);
    if (!this.#isOver && !this.#isBlocked) this.#proceed();
  }

  #encodeSlice(piece: Piece): void {
    const slice = piece.bytes.subarray(piece.done, piece.done + SLICE_BYTES);
    piece.done += slice.length;
    this.#account(-slice.length);
    const isWhole = piece.done === piece.bytes.length;
    if (isWhole) this.#pieces.shift();
    this.#encode(slice, this.#isLive && isWhole ? FLUSH : MORE);
    if (isWhole && piece.isOwn) giveBack(piece.bytes);
  }

  /** The client takes more: the next slice, the end, or more from the source. */
  #proceed(): void {
    if (this.#pieces.length > 0) this.#awaitTurn();
    else if (this.#trailers !== undefined) this.#finish(this.#trailers);
    else this.#exchange.upstream?.resumeResponse();
  }

  #finish(trailers: string): void {
    if (!this.#encode(NOTHING, END)) return;
    this.close();
    this.#exchange.downstream.sendEnd(this.#exchange, trailersOfCoded(trailers));
  }

  /** Encodes and sends. out  false when that was the end of the exchange */
  #encode(bytes: Buffer, mode: EncodeMode): boolean {
    let encoded: Buffer;
    try {
      encoded = this.#encodeBytes(bytes, mode);
    } catch (defect) {
      this.#fail(defect);
      return false;
    }
    this.#isBegun = true;
    this.#isDirty = mode === MORE;
    if (this.#isDirty && !this.#isFlushAwaited) {
      this.#isFlushAwaited = true;
      this.#encoders.flushSoon(this);
    }
    if (encoded.length === 0) return true;
    if (!this.#exchange.downstream.sendBody(this.#exchange, encoded)) this.#isBlocked = true;
    return !this.#isOver;
  }

  #encodeBytes(bytes: Buffer, mode: EncodeMode): Buffer {
    const encoded = this.#encoder.encode(bytes, mode);
    this.#encoders.bytesIn += bytes.length;
    this.#encoders.bytesOut += encoded.length;
    return encoded;
  }

  #fail(defect: unknown): void {
    const exchange = this.#exchange;
    const { services } = exchange.plan;
    services.report(defectText(defect));
    exchange.upstream?.cancel();
    services.events?.upstreamFailed(exchange, fail("internal", String(defect)));
  }

  #account(bytes: number): void {
    this.#waitingBytes += bytes;
    this.#exchange.plan.services.budget.usedBytes += bytes;
  }
}

/** The memory of a read that is encoded. */
function giveBack(bytes: Buffer): void {
  if (bytes.length === bytes.buffer.byteLength) release(bytes);
}
