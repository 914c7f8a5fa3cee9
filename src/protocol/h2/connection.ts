/**
 * Connection: one HTTP/2 connection, either role: bytes in, events out; commands in, frames out.
 *
 * why    every rule of RFC 9113 that concerns more than one frame is kept here and in the parts that it joins, once for
 *        servers and clients; sockets, timers and exchanges are the sessions' business
 * out    frames gathered in `out`, which the session writes; `failure` once the peer has broken the connection: then
 *        GOAWAY stands in `out`, and nothing more is read
 * spec   RFC 9113, RFC 8441
 */
import type { Out } from "../../core/out.ts";
import type { ResponseToWrite } from "../h1/writer.ts";
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FRAME_SIZE_ERROR,
  HEADERS,
  MAX_STREAM_ID,
  NO_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
  SETTING_ENABLE_CONNECT_PROTOCOL,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_HEADER_LIST_SIZE,
  SETTING_NO_RFC7540_PRIORITIES,
  SETTINGS,
} from "./codes.table.ts";
import { ControlIntake } from "./control-intake.ts";
import { DataIntake } from "./data-intake.ts";
import { type Frame, FrameReader, type FrameSink } from "./frame-reader.ts";
import { beginHeaders, finishHeaders, writeGoaway, writeSettings } from "./frame-writer.ts";
import type { Head } from "./head.ts";
import { HeadIntake } from "./head-intake.ts";
import { type H2RequestToWrite, HeadWriter } from "./head-writer.ts";
import { type H2Events, type H2Failure, type H2Settings, Link } from "./link.ts";
import type { PeerSettings } from "./settings.ts";
import type { H2Stream } from "./stream.ts";

export class H2Connection implements FrameSink {
  readonly #link: Link;
  readonly #reader = new FrameReader(this);
  readonly #heads: HeadIntake;
  readonly #data: DataIntake;
  readonly #control: ControlIntake;
  readonly #headWriter = new HeadWriter();
  #prefaceLeft: number;

  constructor(role: "server" | "client", settings: H2Settings, events: H2Events) {
    const link = new Link(role === "server", settings, events);
    this.#link = link;
    this.#prefaceLeft = link.isServer ? PREFACE.length : 0;
    this.#heads = new HeadIntake(link);
    this.#data = new DataIntake(link);
    this.#control = new ControlIntake(link, (bytes) => this.#headWriter.setTableBytes(bytes));
    link.writeTrailers = (stream, lines) => this.#writeTrailers(stream, lines);
  }

  // ── what the session sees ──

  get failure(): H2Failure | undefined {
    return this.#link.failure;
  }

  get isBroken(): boolean {
    return this.#link.isBroken;
  }

  /** No new streams: the peer has sent GOAWAY, or we have. */
  get isGoingAway(): boolean {
    return this.#link.isGoingAway;
  }

  get peer(): PeerSettings {
    return this.#link.peer;
  }

  get peerMaxStreams(): number {
    return this.#link.peer.maxStreams;
  }

  /** True once the peer has told its settings. */
  get hasSettings(): boolean {
    return this.#control.hasSettings;
  }

  get activeStreams(): number {
    return this.#link.streams.size;
  }

  streams(): Iterable<H2Stream> {
    return this.#link.streams.values();
  }

  /** True between two frames, with no stream open, once the peer has told its settings. */
  get isIdle(): boolean {
    return this.#link.streams.size === 0 && this.hasSettings && this.#reader.isIdle && !this.#heads.isOpen;
  }

  // ── output ──

  /** Frames to send. */
  get out(): Out {
    return this.#link.out;
  }

  get hasOutput(): boolean {
    return this.#link.hasOutput;
  }

  /** What stood in `out` has been written: its memory goes back. */
  outputDone(): void {
    this.#link.outputDone();
  }

  get isOutputBlocked(): boolean {
    return this.#link.sender.isBlocked;
  }

  /** The socket is full: body bytes wait with their streams. */
  set isOutputBlocked(isBlocked: boolean) {
    this.#link.sender.isBlocked = isBlocked;
  }

  /** Body bytes sent since the connection began. */
  get sentBytes(): number {
    return this.#link.sender.sentBytes;
  }

  /** Body bytes that wait for windows or for the socket. */
  get queuedBytes(): number {
    return this.#link.sender.queuedBytes;
  }

  /** Moves body bytes that wait into `out`, as windows allow. */
  pump(): void {
    const { sender } = this.#link;
    if (sender.hasWaiting) sender.pump();
  }

  // ── commands ──

  /** Says what must be said first. */
  start(): void {
    const { maxStreams, streamWindowBytes, headBytes, extendedConnect } = this.#link.settings;
    const settings: [number, number][] = [
      [SETTING_INITIAL_WINDOW_SIZE, streamWindowBytes],
      [SETTING_MAX_HEADER_LIST_SIZE, headBytes],
    ];
    if (this.#link.isServer) {
      settings.push([SETTING_MAX_CONCURRENT_STREAMS, maxStreams], [SETTING_NO_RFC7540_PRIORITIES, 1]);
      if (extendedConnect) settings.push([SETTING_ENABLE_CONNECT_PROTOCOL, 1]);
    } else {
      this.out.text(PREFACE);
      settings.push([SETTING_ENABLE_PUSH, 0]);
    }
    writeSettings(this.out, settings);
    this.#data.open();
  }

  /** Reads what the peer has sent, cut anywhere; the bytes are ours from now on. */
  feed(bytes: Buffer, nowMs: number): void {
    this.#link.nowMs = nowMs;
    const from = this.#prefaceLeft > 0 ? this.#readPreface(bytes) : 0;
    if (from < bytes.length) this.#reader.feed(from === 0 ? bytes : bytes.subarray(from));
    this.#heads.deliver();
  }

  /** Opens a stream; undefined when the peer allows no more of them. */
  openStream(session: unknown): H2Stream | undefined {
    const link = this.#link;
    const isFull = link.streams.size >= link.peer.maxStreams || link.lastOwnStream + 2 > MAX_STREAM_ID;
    if (link.isGoingAway || link.isBroken || isFull) return undefined;
    link.lastOwnStream += 2;
    return link.add(link.lastOwnStream, session);
  }

  sendRequest(stream: H2Stream, request: H2RequestToWrite, isEnd: boolean): void {
    stream.isHeadRequest = request.upstreamMethod === "HEAD";
    const start = beginHeaders(this.out);
    this.#headWriter.request(this.out, request);
    finishHeaders(this.out, start, stream.id, isEnd);
    if (isEnd) this.#link.outputOver(stream);
  }

  sendResponse(stream: H2Stream, response: ResponseToWrite, isEnd: boolean): void {
    if (stream.isClosed) return;
    const start = beginHeaders(this.out);
    this.#headWriter.response(this.out, response);
    finishHeaders(this.out, start, stream.id, isEnd);
    if (isEnd) this.#link.outputOver(stream);
  }

  sendInterim(stream: H2Stream, status: number, lines: string): void {
    if (stream.isClosed || stream.isOutputOver) return;
    const start = beginHeaders(this.out);
    this.#headWriter.interim(this.out, status, lines);
    finishHeaders(this.out, start, stream.id, false);
  }

  /** Sends body bytes, which are ours from now on. out  false: no more until `onWritable` */
  sendData(stream: H2Stream, bytes: Buffer, isEnd: boolean): boolean {
    return this.sendDataFrom(stream, bytes, 0, isEnd);
  }

  /** The same for `bytes[start, …)`. */
  sendDataFrom(stream: H2Stream, bytes: Buffer, start: number, isEnd: boolean): boolean {
    if (stream.isClosed || stream.isOutputOver) return true;
    return this.#link.sender.data(stream, bytes, start, isEnd);
  }

  /** Body bytes of the stream that can go out now. */
  roomFor(stream: H2Stream): number {
    return this.#link.sender.roomFor(stream);
  }

  /** Ends the stream behind its body; `lines` are trailers or "". */
  sendTrailers(stream: H2Stream, lines: string): void {
    if (!stream.isClosed && !stream.isOutputOver) this.#link.sender.end(stream, lines);
  }

  #writeTrailers(stream: H2Stream, lines: string): void {
    const start = beginHeaders(this.out);
    this.#headWriter.trailers(this.out, lines);
    finishHeaders(this.out, start, stream.id, true);
  }

  /** Gives a stream up: the session hears nothing more of it. */
  reset(stream: H2Stream, code: number): void {
    if (!stream.isClosed) this.#link.giveUp(stream, code);
  }

  /** `bytes` of what `onBody` handed over are used up: the peer may send as many more. */
  consumed(stream: H2Stream, bytes: number): void {
    this.#data.consumed(stream, bytes);
  }

  releaseHead(head: Head): void {
    this.#heads.release(head);
  }

  /** First word of leaving: streams already on their way are still welcome (§6.8). */
  announceLeaving(): void {
    if (!this.isBroken) writeGoaway(this.out, MAX_STREAM_ID, NO_ERROR);
  }

  /** Takes no more streams; those open finish. */
  goaway(code: number = NO_ERROR): void {
    const link = this.#link;
    if (link.isBroken || link.goawayStream !== MAX_STREAM_ID) return;
    link.isGoingAway = true;
    link.goawayStream = link.lastPeerStream;
    writeGoaway(this.out, link.lastPeerStream, code);
  }

  /** Ends the connection for a reason that only the session knows. */
  fail(code: number, detail: string): void {
    this.#link.fail(code, detail);
  }

  // ── what the frame reader tells ──

  /** out  how many bytes were the preface's */
  #readPreface(bytes: Buffer): number {
    const done = PREFACE.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, bytes.length);
    for (let at = 0; at < length; at++) {
      if (bytes[at] === PREFACE.charCodeAt(done + at)) continue;
      this.fail(PROTOCOL_ERROR, "no preface");
      return bytes.length;
    }
    this.#prefaceLeft -= length;
    return length;
  }

  badFrame(detail: "too large" | "bad padding"): void {
    this.fail(detail === "too large" ? FRAME_SIZE_ERROR : PROTOCOL_ERROR, `frame: ${detail}`);
  }

  /** SETTINGS must come first (§3.4), and nothing may come between the fragments of a block (§6.10). */
  #isOutOfPlace(type: number, flags: number): boolean {
    const isFirst = !this.#control.hasSettings;
    if (isFirst && (type !== SETTINGS || (flags & FLAG_ACK) !== 0))
      this.fail(PROTOCOL_ERROR, "no SETTINGS first");
    else if (this.#heads.isOpen && type !== CONTINUATION) {
      this.fail(PROTOCOL_ERROR, "a frame between the fragments of a header block");
    }
    return this.isBroken;
  }

  frame(frame: Frame): void {
    if (this.#isOutOfPlace(frame.type, frame.flags)) return;
    if (frame.type === HEADERS) this.#heads.headers(frame);
    else if (frame.type === CONTINUATION) this.#heads.continuation(frame);
    else this.#control.frame(frame);
  }

  dataBegins(streamId: number, length: number, isEnd: boolean): void {
    if (!this.#isOutOfPlace(DATA, 0)) this.#data.begins(streamId, length, isEnd);
  }

  data(streamId: number, bytes: Buffer, padding: number, isEnd: boolean): void {
    this.#heads.deliver();
    this.#data.data(streamId, bytes, padding, isEnd);
  }
}
