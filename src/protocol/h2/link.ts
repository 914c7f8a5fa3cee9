/**
 * Link: the state of a connection that all of its parts share: its streams, its output, its end.
 *
 * why    heads, body bytes and control frames are taken in by a part each; what a mistake costs, and which streams
 *        there are, is the same for all of them
 * rule   a mistake in one stream resets that stream; one that leaves doubt about the others ends the connection
 * spec   RFC 9113 §5.1, §5.4
 */
import { borrowOut, type Out, returnOut } from "../../core/out.ts";
import { AbuseMeter, COST } from "./abuse.ts";
import { DEFAULT_WINDOW_BYTES, ENHANCE_YOUR_CALM, errorName, MAX_STREAM_ID } from "./codes.table.ts";
import { writeGoaway, writeReset } from "./frame-writer.ts";
import type { Head } from "./head.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import { PeerSettings } from "./settings.ts";
import { H2Stream } from "./stream.ts";

export interface H2Settings {
  /** Streams that the peer may have open at once. */
  readonly maxStreams: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Of a decoded head: RFC 9113 §6.5.2 counts 32 more for each field. */
  readonly headBytes: number;
  readonly fields: number;
  /** RFC 8441. */
  readonly extendedConnect: boolean;
}

/** What a connection tells its session. */
export interface H2Events {
  /** A request or response head, or a 1xx; `head` is the session's until `releaseHead`. */
  onHead(stream: H2Stream, head: Head, isEnd: boolean): void;
  /** Body bytes, the session's from now on; `consumed` gives the peer its credit back. */
  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void;
  /** Field lines behind the body: the end of what comes in. */
  onTrailers(stream: H2Stream, lines: string): void;
  /** The stream is gone before its end: reset by the peer, or by us for a mistake of the peer. */
  onReset(stream: H2Stream, code: number): void;
  /** What `sendData` could not send is out; `stream.isOutputOver` when that was the end. */
  onWritable(stream: H2Stream): void;
  /** A request head was malformed, and is refused: nobody else will tell of it. */
  onRefused(reason: string): void;
  onGoaway(lastStreamId: number, code: number): void;
  /** The peer allows more or fewer streams than before. */
  onSettings(): void;
  /** A stream has to wait: sets `urgency` and `isIncremental` from what its request asked for. */
  prioritise(stream: H2Stream): void;
}

export interface H2Failure {
  readonly code: number;
  readonly detail: string;
}

/** Streams that we have reset, for which frames may still be on their way. */
const MAX_REMEMBERED = 256;

export class Link implements SenderOwner {
  readonly isServer: boolean;
  readonly settings: H2Settings;
  readonly events: H2Events;
  readonly peer = new PeerSettings();
  readonly sender: Sender = new Sender(this);
  readonly streams = new Map<number, H2Stream>();
  failure: H2Failure | undefined;
  /** Newest stream that the peer opened, and that we did. */
  lastPeerStream = 0;
  lastOwnStream: number;
  /** Streams of the peer above this one are not processed any more. */
  goawayStream = MAX_STREAM_ID;
  isGoingAway = false;
  /** The peer has acknowledged our settings, and keeps to them from now on. */
  isAcknowledged = false;
  nowMs = 0;
  /** Writes the trailers of a stream: set by whoever writes heads. */
  writeTrailers: (stream: H2Stream, lines: string) => void = () => {};
  /** Gives the connection's window back what a stream leaves behind: set by whoever counts it. */
  credit: (bytes: number) => void = () => {};
  readonly #abuse = new AbuseMeter();
  /** Reset by us, newest last. */
  readonly #forgotten = new Set<number>();
  #out: Out | undefined;

  constructor(isServer: boolean, settings: H2Settings, events: H2Events) {
    this.isServer = isServer;
    this.settings = settings;
    this.events = events;
    this.lastOwnStream = isServer ? 0 : -1;
  }

  // ── output ──

  get out(): Out {
    this.#out ??= borrowOut();
    return this.#out;
  }

  get hasOutput(): boolean {
    return this.#out !== undefined && this.#out.length > 0;
  }

  outputDone(): void {
    if (this.#out !== undefined) returnOut(this.#out);
    this.#out = undefined;
  }

  // ── what the sender asks ──

  drained(stream: H2Stream): void {
    this.events.onWritable(stream);
  }

  outputOver(stream: H2Stream): void {
    stream.isOutputOver = true;
    if (stream.isInputOver) this.#finish(stream);
  }

  trailers(stream: H2Stream, lines: string): void {
    this.writeTrailers(stream, lines);
    this.outputOver(stream);
  }

  prioritise(stream: H2Stream): void {
    this.events.prioritise(stream);
  }

  // ── streams ──

  add(id: number, session: unknown): H2Stream {
    const { streamWindowBytes } = this.settings;
    // §6.9.2: until the peer has read our settings it may send as much as the defaults allow
    const window = this.isAcknowledged
      ? streamWindowBytes
      : Math.max(streamWindowBytes, DEFAULT_WINDOW_BYTES);
    const stream = new H2Stream(id, window, this.peer.initialWindow);
    stream.session = session;
    this.streams.set(id, stream);
    return stream;
  }

  /** The peer's half is complete, and its session knows. */
  inputOver(stream: H2Stream): void {
    if (stream.isOutputOver && !stream.isClosed) this.#finish(stream);
  }

  /** Both ends are over. */
  #finish(stream: H2Stream): void {
    this.#abuse.streamDone();
    this.close(stream);
  }

  close(stream: H2Stream): void {
    stream.isClosed = true;
    this.streams.delete(stream.id);
    if (stream.queuedBytes > 0) this.sender.forget(stream);
    if (stream.unconsumedBytes > 0) this.credit(stream.unconsumedBytes);
    stream.unconsumedBytes = 0;
  }

  /** True for a stream that nobody has opened yet (§5.1: idle). */
  isUnopened(id: number): boolean {
    const isPeers = (id & 1) === (this.isServer ? 1 : 0);
    return isPeers ? id > this.lastPeerStream : id > this.lastOwnStream;
  }

  /** True for a stream that we have reset: its peer may not know yet. */
  isForgotten(id: number): boolean {
    return this.#forgotten.has(id);
  }

  /** The peer has reset it as well: what it sends on it after that is a mistake (§5.1). */
  endForgotten(id: number): void {
    this.#forgotten.delete(id);
  }

  sendReset(id: number, code: number): void {
    writeReset(this.out, id, code);
    this.#forgotten.add(id);
    if (this.#forgotten.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#forgotten;
    if (oldest !== undefined) this.#forgotten.delete(oldest);
  }

  /** Ends a stream that we have no more use for; one that is answered in full has done its work. */
  giveUp(stream: H2Stream, code: number): void {
    this.sendReset(stream.id, code);
    if (stream.isOutputOver) this.#abuse.streamDone();
    this.close(stream);
  }

  // ── mistakes ──

  get isBroken(): boolean {
    return this.failure !== undefined;
  }

  /** A mistake of the peer in one stream. */
  failStream(id: number, code: number): void {
    const stream = this.streams.get(id);
    this.sendReset(id, code);
    if (stream !== undefined) {
      stream.isFaulty = true;
      this.close(stream);
      this.events.onReset(stream, code);
    }
    this.spend(COST.reset, "streams reset for mistakes");
  }

  /** A mistake that ends the connection. */
  fail(code: number, detail: string): void {
    if (this.isBroken) return;
    this.failure = { code, detail: `${errorName(code)}: ${detail}` };
    writeGoaway(this.out, this.lastPeerStream, code);
  }

  /** Takes from what the peer may ask for nothing. */
  spend(cost: number, what: string): void {
    if (this.#abuse.isTooMuch(cost, this.nowMs)) this.fail(ENHANCE_YOUR_CALM, `too many ${what}`);
  }
}
