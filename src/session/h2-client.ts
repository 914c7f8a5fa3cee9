/**
 * HTTP/2 client session: one connection to an endpoint that carries many exchanges at a time.
 *
 * why    the only place that knows both the HTTP/2 machine and the endpoint's socket; the pipeline sees one Upstream a
 *        stream (h2-client-stream.ts)
 * rule   whatever concerns one stream ends that stream; what concerns the connection ends them all, each with the
 *        failure that says whether its request may be sent again
 * bound  streams by MAX_STREAMS and by the endpoint; response bytes that wait by one window a stream and by
 *        server.memory
 * spec   RFC 9113 §5.1.2, §6.8, §8.7
 */
import type { FailureCode } from "../core/failure.ts";
import { errorName } from "../protocol/h2/codes.table.ts";
import { H2Connection } from "../protocol/h2/connection.ts";
import type { Head } from "../protocol/h2/head.ts";
import type { H2Events, H2Settings } from "../protocol/h2/link.ts";
import { FLUSH_BYTES } from "../protocol/h2/sender.ts";
import type { H2Stream } from "../protocol/h2/stream.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { SecuredSession } from "../transport/dial-tls.ts";
import type { DialedSession } from "../transport/dialed-session.ts";
import type { Timed } from "../transport/timers.ts";
import { type RawSocket, Wire } from "../transport/wire.ts";
import type { EndpointAccount } from "./endpoint-account.ts";
import type { Exchange } from "./exchange.ts";
import { type ClientStreamOwner, H2ClientStream } from "./h2-client-stream.ts";
import { type Flushable, flushSoon } from "./h2-flusher.ts";

/** Streams at once on one connection, whatever the endpoint allows: more than that and one loss costs too much. */
const MAX_STREAMS = 256;
/** Until the endpoint has said how many it takes (RFC 9113 §6.5.2 tells servers to take no fewer). */
const ASSUMED_STREAMS = 100;
/** What may be on its way to one slow client. Envoy: 256 KiB; nginx has no HTTP/2 here. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const SETTINGS: H2Settings = {
  maxStreams: MAX_STREAMS,
  streamWindowBytes: STREAM_WINDOW_BYTES,
  // all streams together may wait for slow clients without holding up one that does not
  connectionWindowBytes: MAX_STREAMS * STREAM_WINDOW_BYTES,
  headBytes: 64 * 1024,
  fields: 200,
  extendedConnect: false,
};
const NEVER = Number.POSITIVE_INFINITY;

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** Whoever holds the connections to one endpoint. */
export interface H2ClientOwner extends EndpointAccount {
  /** Tries the next address. */
  dial(client: H2Client): void;
  /** The connection is there: exchanges that wait may be sent on it. */
  opened(client: H2Client): void;
  /** The endpoint chose HTTP/1.1: the socket is the owner's. */
  becameH1(client: H2Client, socket: RawSocket): void;
  /** The connection was not made. */
  notOpened(client: H2Client, code: FailureCode, detail: string): void;
  /** There may be room for more exchanges, or for fewer; out of them all, the connection asks to be kept. */
  changed(client: H2Client): void;
  /** A connection that was open is closed. */
  closed(client: H2Client): void;
}

export class H2Client implements DialedSession, ClientStreamOwner, H2Events, Timed, Flushable {
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly account: H2ClientOwner;
  readonly connection: H2Connection;
  readonly scheme: "http" | "https";
  /** Where it leads, as the pool names it. */
  address = "";
  /** How it is made, to be compared with how the pool makes connections later. */
  terms: unknown;
  secured: SecuredSession | undefined;
  preface: Buffer | undefined;
  openedAtMs = 0;
  /** Later connections have higher numbers. */
  number = 0;
  isProven = false;
  heldBytes = 0;
  /** Kept by the pool: no exchange is under way, and it waits for one. */
  isResting = false;
  readonly #startedAtMs = clock.nowMs;
  #wire: Wire | undefined;
  #state = CONNECTING;
  #tries = 0;
  #lastReadMs = 0;
  #alert = "";
  #isRetired = false;
  #isFeeding = false;
  #isFlushDue = false;
  #accountedBytes = 0;
  /** Streams whose head waits for the end of this read. */
  #waitingHeads: H2ClientStream[] = [];

  constructor(account: H2ClientOwner, scheme: "http" | "https", connectMs: number) {
    this.account = account;
    this.scheme = scheme;
    this.connection = new H2Connection("client", SETTINGS, this);
    account.services.wheel.schedule(this, connectMs > 0 ? clock.nowMs + connectMs : NEVER);
  }

  // ── what the socket tells ──

  onOpen(socket: RawSocket, protocol: string): void {
    readClock();
    if (this.#state === CONNECTING && this.scheme === "https" && protocol !== "h2") {
      this.#state = CLOSED; // asked for either, the endpoint chose HTTP/1.1
      this.account.services.wheel.forget(this);
      this.account.becameH1(this, socket);
      return;
    }
    this.account.dialled();
    if (this.#state !== CONNECTING) {
      socket.terminate(); // nobody waits for it any more
      return;
    }
    this.#wire = new Wire(socket, this.account.services.budget);
    this.#state = OPEN;
    this.openedAtMs = clock.nowMs;
    this.account.services.wheel.schedule(this, NEVER);
    this.connection.start();
    this.account.connected(this.#startedAtMs);
    this.account.opened(this);
    this.flush();
    this.#rest();
  }

  /** Told of a dial; the machine, which has a word of this name for servers, never tells a client. */
  onRefused(detail: string, code: FailureCode = "connect_refused"): void {
    readClock();
    this.account.dialled();
    this.account.socketGone();
    if (this.#state !== CONNECTING) return;
    if (code === "connect_refused" && ++this.#tries < this.account.addressCount) this.account.dial(this);
    else this.#giveUpDial(code, detail);
  }

  #giveUpDial(code: FailureCode, detail: string): void {
    this.#state = CLOSED;
    this.secured?.abandon();
    this.account.services.wheel.forget(this);
    this.account.notOpened(this, code, detail);
  }

  onAlert(detail: string): void {
    this.#alert = detail;
  }

  onData(bytes: Buffer): void {
    readClock();
    if (this.#state !== OPEN) return;
    if (this.#lastReadMs === 0 && bytes.latin1Slice(0, 5) === "HTTP/") {
      this.#breakOff("h2_response", "the endpoint answers in HTTP/1");
      return;
    }
    this.#lastReadMs = clock.nowMs;
    this.#isFeeding = true;
    this.connection.feed(bytes, clock.nowMs);
    for (let stream = this.#waitingHeads.pop(); stream !== undefined; stream = this.#waitingHeads.pop()) {
      stream.settle();
    }
    this.#isFeeding = false;
    const { failure } = this.connection;
    if (failure !== undefined) this.#breakOff("h2_response", failure.detail);
    else {
      this.touched();
      this.#rest();
    }
  }

  onDrain(): void {
    readClock();
    if (this.#wire?.flush() !== true) return;
    this.connection.isOutputBlocked = false;
    this.touched();
  }

  /** An endpoint that says no more has closed: what it still owed does not come. */
  onEnd(): void {
    readClock();
    this.#breakOff(undefined, "the endpoint closed the connection");
  }

  onClose(): void {
    readClock();
    this.account.socketGone();
    const wire = this.#wire;
    if (wire === undefined) return;
    wire.closed();
    const detail = this.#alert === "" ? "the connection was lost" : `TLS alert ${this.#alert}`;
    this.#breakOff(undefined, detail);
    this.account.closed(this);
    this.connection.isOutputBlocked = true;
    this.connection.outputDone();
    this.#account(0);
  }

  onDefect(defect: unknown): void {
    this.account.services.onDefect?.(defect);
  }

  /** Ends the connection and all that is under way on it. */
  #breakOff(code: FailureCode | undefined, detail: string): void {
    if (this.#state !== OPEN) return;
    this.#close();
    for (const stream of [...this.connection.streams()]) streamOf(stream)?.lost(code, detail);
  }

  /** Closes; the kernel still delivers what was written. */
  #close(): void {
    this.#state = CLOSED;
    this.account.services.wheel.forget(this);
    this.account.changed(this);
    this.#write();
    this.#wire?.close();
  }

  expire(): void {
    if (this.#state === CONNECTING) this.#giveUpDial("connect_timeout", "");
    else if (this.#state === OPEN && this.connection.activeStreams === 0) this.#close();
  }

  // ── exchanges ──

  /** How many more exchanges may be sent on it. */
  get room(): number {
    if (this.#state !== OPEN || this.#isRetired || this.connection.isGoingAway) return 0;
    return this.capacity - this.connection.activeStreams;
  }

  /** How many it carries at most, as far as is known. */
  get capacity(): number {
    const { connection } = this;
    return connection.hasSettings ? Math.min(MAX_STREAMS, connection.peerMaxStreams) : ASSUMED_STREAMS;
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  /** Open, and no exchange is under way. */
  get isIdle(): boolean {
    return this.#state === OPEN && this.connection.activeStreams === 0;
  }

  get hasSettings(): boolean {
    return this.connection.hasSettings;
  }

  /** The endpoint takes WebSockets over HTTP/2 (RFC 8441 §3). */
  get takesWebSocket(): boolean {
    return this.connection.peer.takesExtendedConnect;
  }

  /** Sends the request head: there must be room. out  false when the endpoint has no stream number left */
  send(exchange: Exchange): boolean {
    const stream = this.connection.openStream(undefined);
    if (stream === undefined) {
      this.retire();
      return false;
    }
    const session = new H2ClientStream(this, stream, exchange);
    stream.session = session;
    session.begin();
    return true;
  }

  headWaits(stream: H2ClientStream): void {
    this.#waitingHeads.push(stream);
  }

  streamOver(): void {
    if (!this.#isFeeding && this.#state === OPEN) this.#rest();
  }

  suspect(sentAtMs: number): void {
    if (this.#lastReadMs < sentAtMs) this.retire();
  }

  /** Takes no more exchanges; closes when those under way are over. */
  retire(): void {
    this.#isRetired = true;
    if (this.#state === OPEN && !this.#isFeeding) this.#rest();
  }

  /** Nobody waits for the connection that is being made. */
  abandon(): void {
    if (this.#state !== CONNECTING) return;
    this.#state = CLOSED;
    this.account.services.wheel.forget(this);
    this.secured?.abandon();
  }

  /** Closes it unless it is in use within this time. */
  restFor(idleTimeoutMs: number): void {
    this.account.services.wheel.schedule(this, idleTimeoutMs > 0 ? clock.nowMs + idleTimeoutMs : NEVER);
  }

  #rest(): void {
    if (this.#state !== OPEN) return;
    const isDone = this.#isRetired || this.connection.isGoingAway;
    if (isDone && this.connection.activeStreams === 0) this.#close();
    else this.account.changed(this);
  }

  // ── what the machine tells ──

  onHead(stream: H2Stream, head: Head, isEnd: boolean): void {
    const session = streamOf(stream);
    if (session === undefined) this.connection.releaseHead(head);
    else session.takeHead(head, isEnd);
    this.isProven = true;
  }

  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void {
    streamOf(stream)?.takeBody(bytes, isEnd);
  }

  onTrailers(stream: H2Stream, lines: string): void {
    streamOf(stream)?.takeEnd(lines);
  }

  onReset(stream: H2Stream, code: number): void {
    streamOf(stream)?.wasReset(code);
  }

  onWritable(stream: H2Stream): void {
    streamOf(stream)?.drained();
  }

  onGoaway(lastStreamId: number, code: number): void {
    const detail = `GOAWAY ${errorName(code)}`;
    for (const stream of [...this.connection.streams()]) {
      if (stream.id > lastStreamId) streamOf(stream)?.refused(detail);
    }
  }

  onSettings(): void {
    // `room` says so
  }

  prioritise(stream: H2Stream): void {
    stream.urgency = 0;
  }

  // ── output ──

  /** Something may have to be sent: at the end of this turn, or now when it is much. */
  touched(): void {
    this.#account(this.connection.queuedBytes + this.heldBytes);
    if (this.connection.hasOutput && this.connection.out.length >= FLUSH_BYTES) this.#write();
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    flushSoon(this);
  }

  flush(): void {
    this.#isFlushDue = false;
    this.#write();
    this.#account(this.connection.queuedBytes + this.heldBytes);
  }

  #write(): void {
    const { connection } = this;
    const wire = this.#wire;
    for (connection.pump(); connection.hasOutput; connection.pump()) {
      if (wire !== undefined && !wire.isClosed && !wire.writeOut(connection.out)) {
        connection.isOutputBlocked = true;
      }
      connection.outputDone();
    }
  }

  /** Counts what waits here against server.memory. */
  #account(bytes: number): void {
    this.account.services.budget.usedBytes += bytes - this.#accountedBytes;
    this.#accountedBytes = bytes;
  }
}

function streamOf(stream: H2Stream): H2ClientStream | undefined {
  return stream.session as H2ClientStream | undefined;
}
