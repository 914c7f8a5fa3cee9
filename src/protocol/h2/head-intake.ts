/**
 * Head intake: header blocks come in, whole or in fragments, and become heads and trailers of streams.
 *
 * rule   every block is decoded, also one that nobody waits for: the decoder's table must see them all (RFC 9113 §4.3)
 * bound  fragments of a block by MAX_FRAGMENTS and twice headBytes
 * spec   RFC 9113 §6.2, §6.10, §8.1
 */
import { LENGTH_UNKNOWN } from "../../core/body.ts";
import { NO_TRAILERS } from "../trailer-fields.ts";
import { COST } from "./abuse.ts";
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./codes.table.ts";
import { type Frame, uint31At } from "./frame-reader.ts";
import { Head, type HeadKind } from "./head.ts";
import { HeadReader } from "./head-reader.ts";
import type { Link } from "./link.ts";
import type { H2Stream } from "./stream.ts";

/** Two or three fragments are a large head; more are a flood (CVE-2024-27316). */
const MAX_FRAGMENTS = 16;
const PRIORITY_BYTES = 5;
const NO_BYTES = Buffer.alloc(0);

export class HeadIntake {
  readonly #link: Link;
  readonly #reader: HeadReader;
  readonly #spare: Head[] = [];
  /** Streams whose requests are read and not told. */
  #waiting: H2Stream[] = [];
  #spareList: H2Stream[] = [];
  #fragments = 0;
  // the block: its stream, whether the stream ends with it, and where it stands
  #streamId = 0;
  #isEnd = false;
  #bytes: Buffer = NO_BYTES;
  #start = 0;
  #end = 0;

  constructor(link: Link) {
    this.#link = link;
    this.#reader = new HeadReader({ listBytes: link.settings.headBytes, fields: link.settings.fields });
  }

  /** True between the fragments of a block. */
  get isOpen(): boolean {
    return this.#fragments > 0;
  }

  release(head: Head): void {
    // a spare head must not keep the arena that its last fields stand in
    head.fields.reset();
    if (this.#spare.length < this.#link.settings.maxStreams) this.#spare.push(head);
  }

  headers(frame: Frame): void {
    const { bytes, flags, streamId } = frame;
    let { start, end } = frame;
    if ((flags & FLAG_PADDED) !== 0) {
      end -= frame.length > 0 ? (bytes[start] as number) : 0;
      start++;
    }
    const priorityAt = start;
    const hasPriority = (flags & FLAG_PRIORITY) !== 0;
    if (hasPriority) start += PRIORITY_BYTES;
    if (streamId === 0 || start > end) {
      const isShort = frame.length < start - frame.start;
      this.#link.fail(streamId !== 0 && isShort ? FRAME_SIZE_ERROR : PROTOCOL_ERROR, "HEADERS out of shape");
      return;
    }
    this.#streamId = streamId;
    this.#isEnd = (flags & FLAG_END_STREAM) !== 0;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    if ((flags & FLAG_END_HEADERS) !== 0) this.#take();
    else this.#keep();
    // RFC 7540 §5.3.1; told after the block, which the decoder must have seen
    const isWhole = !this.isOpen; // a stream cannot be reset before it is opened
    const isOwnParent = hasPriority && isWhole && uint31At(bytes, priorityAt) === streamId;
    if (isOwnParent && !this.#link.isBroken) this.#link.failStream(streamId, PROTOCOL_ERROR);
  }

  #keep(): void {
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#start, this.#end));
    this.#fragments = 1;
  }

  continuation(frame: Frame): void {
    if (!this.isOpen || frame.streamId !== this.#streamId) {
      this.#link.fail(PROTOCOL_ERROR, "CONTINUATION of nothing");
      return;
    }
    const length = this.#bytes.length + frame.length;
    if (++this.#fragments > MAX_FRAGMENTS || length > this.#link.settings.headBytes * 2) {
      this.#link.fail(ENHANCE_YOUR_CALM, "a header block without end");
      return;
    }
    this.#bytes = Buffer.concat([this.#bytes, frame.bytes.subarray(frame.start, frame.end)], length);
    if ((frame.flags & FLAG_END_HEADERS) === 0) return;
    this.#fragments = 0;
    this.#start = 0;
    this.#end = length;
    this.#take();
  }

  /** The block is whole. */
  #take(): void {
    const stream = this.#link.streams.get(this.#streamId);
    if (stream === undefined) this.#takeForNone();
    else if (stream.isInputOver) {
      if (this.#dropped()) this.#link.failStream(stream.id, STREAM_CLOSED);
    } else if (stream.hasHead) {
      this.deliver();
      this.#takeTrailers(stream);
    } else this.#takeResponse(stream);
    this.#bytes = NO_BYTES;
  }

  /** out  undefined when the block broke the connection */
  #decode(kind: HeadKind): Head | undefined {
    const head = this.#spare.pop() ?? new Head();
    const broken = this.#reader.read(kind, this.#bytes, this.#start, this.#end, head);
    if (broken === "") return head;
    this.#link.fail(COMPRESSION_ERROR, broken);
    return undefined;
  }

  /** Decodes a block that nobody wants. out  false when it broke the connection */
  #dropped(): boolean {
    const head = this.#decode("trailers");
    if (head !== undefined) this.release(head);
    return head !== undefined;
  }

  /** A stream that is not there: a new request, something late, or a mistake. */
  #takeForNone(): void {
    const link = this.#link;
    const id = this.#streamId;
    const isNew = link.isServer && (id & 1) === 1 && id > link.lastPeerStream;
    if (isNew) {
      const head = this.#decode("request");
      if (head !== undefined) this.#takeRequest(id, head);
    } else if (link.isForgotten(id)) this.#dropped();
    else link.fail(link.isUnopened(id) ? PROTOCOL_ERROR : STREAM_CLOSED, "HEADERS on no open stream");
  }

  #takeRequest(id: number, head: Head): void {
    const link = this.#link;
    link.lastPeerStream = id;
    const isFull = link.streams.size >= link.settings.maxStreams;
    if (isFull || id > link.goawayStream) {
      this.release(head);
      link.sendReset(id, REFUSED_STREAM);
      if (isFull) link.spend(COST.refused, "streams at once");
      return;
    }
    const malformed = head.malformed !== "" || head.isTooLarge ? head.malformed : this.#wrongLength(head);
    if (malformed !== "") {
      this.release(head);
      link.events.onRefused(malformed);
      link.failStream(id, PROTOCOL_ERROR);
      return;
    }
    const stream = link.add(id, undefined);
    stream.hasHead = true;
    stream.isInputOver = this.#isEnd;
    stream.declaredBytes = head.contentLength;
    stream.waitingHead = head;
    this.#waiting.push(stream);
    if (head.isTooLarge) link.spend(COST.hugeHead, "heads that are too large");
  }

  /**
   * Tells of the requests that have been read: only now, since those that the client has reset again meanwhile are not
   * worth a connection to an endpoint (CVE-2023-44487).
   */
  deliver(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = this.#spareList;
    this.#spareList = waiting;
    for (const stream of waiting) {
      const head = stream.waitingHead;
      if (head === undefined) continue;
      stream.waitingHead = undefined;
      if (stream.isClosed || this.#link.isBroken) this.release(head);
      else this.#link.events.onHead(stream, head, stream.isInputOver);
    }
    waiting.length = 0;
  }

  #wrongLength(head: Head): string {
    return this.#isEnd && head.contentLength > 0 ? "a content-length, and no body" : "";
  }

  #takeResponse(stream: H2Stream): void {
    const head = this.#decode("response");
    if (head === undefined) return;
    const isEnd = this.#isEnd;
    const isInterim = head.status < 200;
    const isBodiless = stream.isHeadRequest || head.status === 204 || head.status === 304;
    const isWrong = isInterim ? isEnd || head.status === 101 : !isBodiless && this.#wrongLength(head) !== "";
    if (head.malformed !== "" || isWrong || head.isTooLarge) {
      this.release(head);
      this.#link.failStream(stream.id, PROTOCOL_ERROR);
      return;
    }
    if (!isInterim) {
      stream.hasHead = true;
      stream.declaredBytes = isBodiless ? LENGTH_UNKNOWN : head.contentLength;
      stream.isInputOver = isEnd;
    }
    this.#link.events.onHead(stream, head, isEnd);
    if (isEnd) this.#link.inputOver(stream);
  }

  #takeTrailers(stream: H2Stream): void {
    const head = this.#decode("trailers");
    if (head === undefined) return;
    const lines = head.fields.linesWithout(NO_TRAILERS.low, NO_TRAILERS.high);
    const isWrong = !this.#isEnd || head.malformed !== "" || head.isTooLarge;
    this.release(head);
    if (isWrong || stream.isCutShort) {
      this.#link.failStream(stream.id, PROTOCOL_ERROR);
      return;
    }
    stream.isInputOver = true;
    this.#link.events.onTrailers(stream, lines);
    this.#link.inputOver(stream);
  }
}
