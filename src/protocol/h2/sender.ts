/**
 * Sender: body bytes on their way out of a connection, as windows and the socket allow.
 *
 * why    small bodies leave at once behind their head; what a window or a full socket holds back waits here, by stream,
 *        and leaves by urgency (RFC 9218 §10): the more urgent first, one after the other unless incremental
 * out    `data` says whether more may follow; after false, `drained` tells when the stream's queue is empty again
 * bound  a stream waits with at most what was handed over in one piece: its owner sends no more until told
 * spec   RFC 9113 §5.2, §6.9
 */
import type { Out } from "../../core/out.ts";
import { DEFAULT_WINDOW_BYTES, MAX_FRAME_BYTES } from "./codes.table.ts";
import { markEnd, writeData } from "./frame-writer.ts";
import type { H2Stream } from "./stream.ts";

/** Output that is gathered before the socket sees it. */
export const FLUSH_BYTES = 64 * 1024;

/** Body bytes are answered by credit for stream and connection, and by gRPC with a PING that measures the way. */
const ANSWERS_PER_FRAME = 3;
/** Answers that come late are saved up. */
const MAX_ANSWERS_DUE = 10_000;

/** The connection, as its sender sees it. */
export interface SenderOwner {
  readonly out: Out;
  /** The queue of this stream is empty again: its owner may send, unless its end is out too. */
  drained(stream: H2Stream): void;
  /** All of the stream is out. */
  outputOver(stream: H2Stream): void;
  /** Writes the trailers that end the stream. */
  trailers(stream: H2Stream, lines: string): void;
  /** Sets the stream's urgency, which is asked for only when it has to wait. */
  prioritise(stream: H2Stream): void;
}

export class Sender {
  /** Body bytes that the connection may still send. */
  window = DEFAULT_WINDOW_BYTES;
  /** The socket is full: nothing moves into `out`. */
  isBlocked = false;
  /** Bytes that wait in all streams. */
  queuedBytes = 0;
  /** Bytes sent since the connection began. */
  sentBytes = 0;
  /** WINDOW_UPDATE and PING frames that the peer may send in answer to what we have sent. */
  answersDue = 0;
  readonly #owner: SenderOwner;
  readonly #waiting: H2Stream[] = [];

  constructor(owner: SenderOwner) {
    this.#owner = owner;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends or queues body bytes. out  false: no more until `drained` */
  data(stream: H2Stream, bytes: Buffer, start: number, isEnd: boolean): boolean {
    let at = start;
    if (stream.queuedBytes === 0) {
      if (!this.isBlocked) at = this.#send(stream, bytes, start, isEnd);
      if (at === bytes.length) {
        if (isEnd) this.#end(stream, start === bytes.length);
        return true;
      }
    }
    this.#enqueue(stream, bytes, at, isEnd);
    return false;
  }

  /** Bytes that would not have to wait. */
  roomFor({ queuedBytes, sendWindow }: H2Stream): number {
    return this.isBlocked || queuedBytes > 0 ? 0 : Math.max(0, Math.min(sendWindow, this.window));
  }

  /** Ends the stream, with trailers or without, behind what waits. */
  end(stream: H2Stream, trailers: string): void {
    if (stream.queuedBytes > 0) {
      stream.isEndQueued = true;
      stream.queuedTrailers = trailers;
    } else if (trailers !== "") this.#owner.trailers(stream, trailers);
    else this.#end(stream, true);
  }

  /** Moves what waits into `out`, until that is large enough to be written. */
  pump(): void {
    while (!this.isBlocked && this.#owner.out.length < FLUSH_BYTES) {
      const stream = this.#next();
      if (stream === undefined) return;
      this.#sendQueued(stream);
    }
  }

  /** Drops what a stream still has to send. */
  forget(stream: H2Stream): void {
    this.queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue = undefined;
    stream.isEndQueued = false;
    this.#stopWaiting(stream);
  }

  /** Writes frames while the windows last. out  where the rest starts */
  #send(stream: H2Stream, bytes: Buffer, start: number, isEnd: boolean): number {
    const { out } = this.#owner;
    let at = start;
    while (at < bytes.length) {
      const length = Math.min(bytes.length - at, MAX_FRAME_BYTES, stream.sendWindow, this.window);
      if (length <= 0) break;
      writeData(out, stream.id, bytes, at, at + length);
      if (this.answersDue < MAX_ANSWERS_DUE) this.answersDue += ANSWERS_PER_FRAME;
      stream.sendWindow -= length;
      this.window -= length;
      this.sentBytes += length;
      at += length;
      if (isEnd && at === bytes.length) markEnd(out, length);
    }
    return at;
  }

  /** The last byte of the stream is in `out`; `isEmpty`: no frame carries the end yet. */
  #end(stream: H2Stream, isEmpty: boolean): void {
    if (isEmpty) {
      writeData(this.#owner.out, stream.id, NO_BYTES, 0, 0);
      markEnd(this.#owner.out, 0);
    }
    this.#owner.outputOver(stream);
  }

  #enqueue(stream: H2Stream, bytes: Buffer, from: number, isEnd: boolean): void {
    if (isEnd) stream.isEndQueued = true;
    if (from === bytes.length) return; // an end alone, behind what waits
    if (stream.queue === undefined) {
      stream.queue = [bytes];
      stream.queueOffset = from;
    } else stream.queue.push(from === 0 ? bytes : bytes.subarray(from));
    stream.queuedBytes += bytes.length - from;
    this.queuedBytes += bytes.length - from;
    if (stream.isWaiting) return;
    if (stream.urgency === -1) this.#owner.prioritise(stream);
    stream.isWaiting = true;
    this.#waiting.push(stream);
  }

  /** The most urgent stream that may send; the first that came among equals. */
  #next(): H2Stream | undefined {
    if (this.window <= 0) return undefined;
    let best: H2Stream | undefined;
    for (const stream of this.#waiting) {
      if (stream.sendWindow > 0 && (best === undefined || stream.urgency < best.urgency)) best = stream;
    }
    return best;
  }

  #sendQueued(stream: H2Stream): void {
    const queue = stream.queue as Buffer[];
    const bytes = queue[0] as Buffer;
    const isLast = queue.length === 1 && stream.isEndQueued && stream.queuedTrailers === "";
    const from = stream.queueOffset;
    const limit = stream.isIncremental ? from + MAX_FRAME_BYTES : from + FLUSH_BYTES;
    const isPart = limit < bytes.length;
    const at = this.#send(stream, isPart ? bytes.subarray(0, limit) : bytes, from, isLast && !isPart);
    stream.queuedBytes -= at - from;
    this.queuedBytes -= at - from;
    stream.queueOffset = at;
    if (at === bytes.length) {
      queue.shift();
      stream.queueOffset = 0;
    }
    if (stream.queuedBytes === 0) this.#queueOut(stream, isLast);
    else if (stream.isIncremental) this.#moveBack(stream);
  }

  #queueOut(stream: H2Stream, isEnd: boolean): void {
    stream.queue = undefined;
    this.#stopWaiting(stream);
    if (isEnd) this.#owner.outputOver(stream);
    else if (stream.isEndQueued) this.end(stream, stream.queuedTrailers);
    this.#owner.drained(stream);
  }

  #moveBack(stream: H2Stream): void {
    const index = this.#waiting.indexOf(stream);
    this.#waiting.splice(index, 1);
    this.#waiting.push(stream);
  }

  #stopWaiting(stream: H2Stream): void {
    if (!stream.isWaiting) return;
    stream.isWaiting = false;
    this.#waiting.splice(this.#waiting.indexOf(stream), 1);
  }
}

const NO_BYTES = Buffer.alloc(0);
