/**
 * Reader: HTTP/1 bytes in, events out; one for each direction of a connection.
 *
 * why    pulled events keep the caller in charge of the order: it decides when the next pipelined request
 *        may be read, and nothing is allocated for an event
 * in     `feed(bytes)` in any cut, `endOfInput()` at FIN
 * out    `next()` → an EVENT code; what it brought stands in the public fields until the next call
 * fails  EVENT_FAILED is the last event, after everything that was understood before it
 * rule   body bytes are `bodyBytes[bodyStart, bodyEnd)`, inside of what was fed; `body` makes a view of them,
 *        which costs more than a small body itself. The reader may move bytes inside of what it was fed.
 * spec   RFC 9112
 */
import {
  BODY_LENGTH,
  BODY_NONE,
  BODY_STREAM,
  BODY_UNTIL_CLOSE,
  type BodyKind,
  LENGTH_UNKNOWN,
} from "../../core/body.ts";
import { CR, LF } from "../../core/bytes.ts";
import { type Failure, type FailureCode, fail } from "../../core/failure.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import type { Fields } from "../../core/fields.ts";
import { NO_TRAILERS } from "../trailer-fields.ts";
import { ChunkedDecoder } from "./chunked.ts";
import {
  declaredLength,
  declaresForbiddenBody,
  FRAMING_CHUNKED,
  FRAMING_NONE,
  FRAMING_TUNNEL,
  FRAMING_UNTIL_CLOSE,
  requestFraming,
  responseFraming,
} from "./framing.ts";
import { type HeadLimits, HeadScanner, SCAN_DONE, SCAN_LINE, SCAN_MORE } from "./head-scanner.ts";
import { RequestLine, StatusLine } from "./start-line.ts";

/** Nothing more in the bytes given so far. */
export const EVENT_MORE = 0;
/** A head: `fields`, the start line's parts and the body's framing are set. */
export const EVENT_HEAD = 1;
/** Body bytes: `bodyBytes[bodyStart, bodyEnd)`, or `body`. */
export const EVENT_BODY = 2;
/** The message is complete; `trailers` are set. */
export const EVENT_END = 3;
/** `failure` says why; the reader is of no more use. */
export const EVENT_FAILED = 4;
export type ReaderEvent = 0 | 1 | 2 | 3 | 4;

const IN_HEAD = 0;
const IN_LENGTH = 1;
const IN_CHUNKS = 2;
const IN_TRAILERS = 3;
const UNTIL_CLOSE = 4;
const AT_END = 5;
const TUNNEL = 6;
const FAILED = 7;

/** Empty lines tolerated before a request line (§2.2 asks for one; old clients send it after a POST). */
const MAX_EMPTY_LINES = 2;
const HOST = fieldIdOf("host");
const NOTHING = Buffer.alloc(0);

export class Reader {
  readonly requestLine = new RequestLine();
  readonly statusLine = new StatusLine();
  bodyKind: BodyKind = BODY_NONE;
  bodyLength = LENGTH_UNKNOWN;
  bodyStart = 0;
  bodyEnd = 0;
  /** Trailer field lines, checked; forbidden ones left out. */
  trailers = "";
  failure: Failure | undefined;
  /** The response declared a body where none may be: the connection must not carry another exchange. */
  isSuspect = false;
  readonly #isRequest: boolean;
  readonly #head: HeadScanner;
  readonly #limits: HeadLimits;
  /** Chunked bodies are the rarer kind: their decoder and trailer scanner are made when one comes. */
  #chunks: ChunkedDecoder | undefined;
  #trailerScanner: HeadScanner | undefined;
  #bytes: Buffer = NOTHING;
  #position = 0;
  #end = 0;
  /** True when #bytes is our own and may be appended to. */
  #isOwn = false;
  #state = IN_HEAD;
  #left = 0;
  #emptyLines = 0;
  #method = "";

  constructor(role: "request" | "response", limits: HeadLimits) {
    this.#isRequest = role === "request";
    this.#limits = limits;
    this.#head = new HeadScanner(limits);
  }

  get fields(): Fields {
    return this.#head.fields;
  }

  /** The method of the request that the next response answers: it decides about the body. */
  expect(method: string): void {
    this.#method = method;
  }

  /** True between two messages with no byte of the next one read. */
  get isIdle(): boolean {
    return this.#state === IN_HEAD && this.#position === this.#end && this.#head.isAtStart;
  }

  /** Bytes given but not yet turned into events. */
  get unread(): number {
    return this.#end - this.#position;
  }

  /** The buffer that holds the body bytes of the last EVENT_BODY. */
  get bodyBytes(): Buffer {
    return this.#bytes;
  }

  /** The body bytes of the last EVENT_BODY, alone. */
  get body(): Buffer {
    const isWhole = this.bodyStart === 0 && this.bodyEnd === this.#bytes.length;
    return isWhole ? this.#bytes : this.#bytes.subarray(this.bodyStart, this.bodyEnd);
  }

  /** Between two messages: lets go of the bytes read, so that an idle connection holds none. */
  release(): void {
    if (!this.isIdle) return;
    this.#bytes = NOTHING;
    this.#position = 0;
    this.#end = 0;
    this.#head.startHead(0);
  }

  /** Lets go of the last message's fields, and of the bytes that they stand in: nobody will ask any more. */
  forgetFields(): void {
    if (this.#head.isAtStart) this.#head.fields.reset();
  }

  /** After an upgrade: the bytes that came too early, as they are. */
  takeRest(): Buffer {
    const rest = this.#bytes.subarray(this.#position, this.#end);
    this.#position = this.#end;
    return rest;
  }

  feed(bytes: Buffer): void {
    if (this.#position === this.#end && (this.#scanner()?.isAtStart ?? true)) {
      this.#bytes = bytes;
      this.#position = 0;
      this.#end = bytes.length;
      this.#isOwn = false;
      this.#scanner()?.moveStart(0);
      return;
    }
    this.#append(bytes);
  }

  /** Joins what is unread (a head begun, or pipelined requests) with new bytes. */
  #append(bytes: Buffer): void {
    const scanner = this.#scanner();
    const from = scanner === undefined ? this.#position : scanner.headStart;
    const kept = this.#end - from;
    if (!this.#isOwn || this.#end + bytes.length > this.#bytes.length) {
      const room = Buffer.allocUnsafe(Math.max(1024, (kept + bytes.length) * 2));
      this.#bytes.copy(room, 0, from, this.#end);
      this.#bytes = room;
      this.#isOwn = true;
      this.#position -= from;
      this.#end = kept;
      scanner?.rebase();
    }
    bytes.copy(this.#bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The scanner that is at work now, if any: what it has begun must stay in one piece. */
  #scanner(): HeadScanner | undefined {
    if (this.#state === IN_HEAD) return this.#head;
    return this.#state === IN_TRAILERS ? this.#trailerScanner : undefined;
  }

  next(): ReaderEvent {
    switch (this.#state) {
      case IN_HEAD:
        return this.#readHead();
      case IN_LENGTH:
        return this.#readLength();
      case IN_CHUNKS:
        return this.#readChunks();
      case IN_TRAILERS:
        return this.#readTrailers();
      case UNTIL_CLOSE:
        return this.#readAll();
      case AT_END:
        this.#startNext();
        return EVENT_END;
      case TUNNEL:
        return this.#readAll();
      default:
        return EVENT_FAILED;
    }
  }

  /**
   * No byte will follow: what does that make of the message being read?
   * in   `isReset`: the connection broke off, which completes nothing (RFC 9112 §8)
   */
  endOfInput(isReset = false): ReaderEvent {
    if (this.#state === UNTIL_CLOSE && !isReset) {
      this.#startNext();
      return EVENT_END;
    }
    if (this.#state === TUNNEL || this.isIdle) return EVENT_MORE;
    if (this.#state === FAILED) return EVENT_FAILED;
    const isHead = this.#state === IN_HEAD;
    if (this.#isRequest) return this.#fail("downstream_closed", isHead ? "in the head" : "in the body");
    return this.#fail(isHead ? "upstream_reset" : "upstream_cut", `after ${this.#left} bytes short`);
  }

  #startNext(): void {
    this.#state = IN_HEAD;
    this.#emptyLines = 0;
    this.#head.startHead(this.#position);
  }

  #readHead(): ReaderEvent {
    const head = this.#head;
    if (this.#isRequest && head.isAtStart && !this.#skipEmptyLines()) {
      return this.#state === FAILED ? EVENT_FAILED : EVENT_MORE;
    }
    let result = head.scan(this.#bytes, this.#end);
    if (result === SCAN_LINE) {
      const failure = this.#readStartLine();
      if (failure !== undefined) return this.#failWith(failure);
      result = head.scan(this.#bytes, this.#end);
    }
    this.#position = head.position;
    if (result === SCAN_MORE) return EVENT_MORE;
    if (result !== SCAN_DONE) return this.#failHead(head.failure as Failure);
    head.fields.bind(this.#bytes, head.headStart, head.startLineEnd + 2, head.position - head.headStart - 2);
    const failure = this.#isRequest ? this.#openRequest() : this.#openResponse();
    return failure === undefined ? EVENT_HEAD : this.#failWith(failure);
  }

  #readStartLine(): Failure | undefined {
    const { headStart, startLineEnd } = this.#head;
    const lineEnd = headStart + startLineEnd;
    if (!this.#isRequest) {
      const isLegal = this.statusLine.read(this.#bytes, headStart, lineEnd);
      return isLegal ? undefined : fail("h1_response_head", this.#startOfHead());
    }
    const code = this.requestLine.read(this.#bytes, headStart, lineEnd);
    if (code === undefined) return undefined;
    this.requestLine.forget();
    return fail(code, this.#startOfHead());
  }

  #failWith(failure: Failure): ReaderEvent {
    this.#state = FAILED;
    this.failure = failure;
    return EVENT_FAILED;
  }

  /** A failed scan of a response speaks of the upstream, not of the client. */
  #failHead(failure: Failure): ReaderEvent {
    if (this.#isRequest) {
      if (this.#head.isInStartLine) this.requestLine.forget();
      return this.#failWith(failure);
    }
    const isTooLarge = failure.code === "head_too_large" || failure.code === "target_too_long";
    const code = isTooLarge ? "h1_response_head_too_large" : "h1_response_head";
    return this.#failWith(fail(code, `${failure.code}: ${failure.detail}`));
  }

  /** out  true when a head may start here; false when bytes are missing or the reader failed */
  #skipEmptyLines(): boolean {
    while (this.#position < this.#end && this.#bytes[this.#position] === CR) {
      if (this.#position + 1 === this.#end) return false;
      if (this.#bytes[this.#position + 1] !== LF)
        return this.#fail("h1_bad_line_end", "bare CR") === EVENT_MORE;
      if (++this.#emptyLines > MAX_EMPTY_LINES) {
        return this.#fail("h1_bad_request_line", "empty lines") === EVENT_MORE;
      }
      this.#position += 2;
      this.#head.startHead(this.#position);
    }
    return this.#position < this.#end;
  }

  #openRequest(): Failure | undefined {
    const { isHttp10 } = this.requestLine;
    if (!isHttp10 && !this.fields.has(HOST)) return fail("h1_host_missing"); // RFC 9112 §3.2
    if (this.fields.isRepeated(HOST)) return fail("h1_host_conflict", "several Host fields");
    const framing = requestFraming(this.fields, isHttp10);
    if (typeof framing !== "number") return framing;
    this.#openBody(framing);
    return undefined;
  }

  /** What to show of a head that was refused. */
  #startOfHead(): string {
    const { headStart, position } = this.#head;
    return this.#bytes.latin1Slice(headStart, Math.min(position, headStart + 100));
  }

  #openResponse(): Failure | undefined {
    const { status, isHttp10 } = this.statusLine;
    const framing = responseFraming(this.fields, status, this.#method, isHttp10);
    if (typeof framing !== "number") return framing;
    this.isSuspect = declaresForbiddenBody(this.fields, status);
    this.#openBody(framing);
    // what a HEAD or 304 would carry may be told; a 204 has no length to tell (RFC 9110 §8.6)
    if (framing === FRAMING_NONE && status !== 204) this.bodyLength = declaredLength(this.fields);
    return undefined;
  }

  #openBody(framing: number): void {
    this.trailers = "";
    this.bodyLength = LENGTH_UNKNOWN;
    this.bodyKind = BODY_NONE;
    if (framing === FRAMING_NONE) this.#state = AT_END;
    else if (framing === FRAMING_CHUNKED) {
      this.bodyKind = BODY_STREAM;
      this.#chunks = new ChunkedDecoder();
      this.#state = IN_CHUNKS;
    } else if (framing === FRAMING_UNTIL_CLOSE) {
      this.bodyKind = BODY_UNTIL_CLOSE;
      this.#state = UNTIL_CLOSE;
    } else if (framing === FRAMING_TUNNEL) this.#state = TUNNEL;
    else {
      this.bodyKind = BODY_LENGTH;
      this.bodyLength = framing;
      this.#left = framing;
      this.#state = framing === 0 ? AT_END : IN_LENGTH;
    }
  }

  #readLength(): ReaderEvent {
    const available = this.#end - this.#position;
    if (available === 0) return EVENT_MORE;
    const length = Math.min(available, this.#left);
    this.#left -= length;
    if (this.#left === 0) this.#state = AT_END;
    return this.#giveBody(this.#position + length);
  }

  #readAll(): ReaderEvent {
    return this.#position === this.#end ? EVENT_MORE : this.#giveBody(this.#end);
  }

  #giveBody(end: number): ReaderEvent {
    this.bodyStart = this.#position;
    this.bodyEnd = end;
    this.#position = end;
    return EVENT_BODY;
  }

  #readChunks(): ReaderEvent {
    const chunks = this.#chunks as ChunkedDecoder;
    const start = this.#position;
    if (!chunks.isBroken && !chunks.isLast) {
      chunks.decode(this.#bytes, start, this.#end);
      this.#position = chunks.position;
      if (chunks.dataEnd > start) {
        this.bodyStart = start;
        this.bodyEnd = chunks.dataEnd;
        return EVENT_BODY;
      }
    }
    if (chunks.isBroken)
      return this.#fail(this.#isRequest ? "h1_bad_chunk" : "h1_response_chunk", chunks.detail);
    if (!chunks.isLast) return EVENT_MORE;
    this.#state = IN_TRAILERS;
    this.#trailerScanner = new HeadScanner(this.#limits);
    this.#trailerScanner.startTrailers(this.#position);
    return this.#readTrailers();
  }

  #readTrailers(): ReaderEvent {
    const head = this.#trailerScanner as HeadScanner;
    const result = head.scan(this.#bytes, this.#end);
    this.#position = head.position;
    if (result === SCAN_MORE) return EVENT_MORE;
    if (result !== SCAN_DONE) {
      const { code, detail } = head.failure as Failure;
      return this.#fail(
        this.#isRequest ? "h1_bad_chunk" : "h1_response_chunk",
        `trailers: ${code} ${detail}`,
      );
    }
    if (head.fields.count > 0) this.trailers = this.#trailerLines(head);
    this.#startNext();
    return EVENT_END;
  }

  /** Trailers may not say anything that decides about framing, routing or trust (RFC 9110 §6.5.1). */
  #trailerLines(head: HeadScanner): string {
    head.fields.bind(this.#bytes, head.headStart, 0, head.position - head.headStart - 2);
    return head.fields.linesWithout(NO_TRAILERS.low, NO_TRAILERS.high);
  }

  #fail(code: FailureCode, detail: string): ReaderEvent {
    return this.#failWith(fail(code, detail));
  }
}
