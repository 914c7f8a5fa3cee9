/**
 * HTTP/2 server session: one client connection; frames in, exchanges out, answers back, many at a time.
 *
 * why    the only place that knows both the HTTP/2 machine and the client's socket; the pipeline sees one Downstream a
 *        stream (h2-server-stream.ts)
 * rule   whatever concerns one stream ends that stream; what concerns the connection ends them all
 * bound  streams by http2.maxStreams; request bytes that wait by http2.connectionWindow; response bytes that wait by
 *        one read a stream and by server.memory; answers that the client does not read by MAX_UNREAD_BYTES
 * spec   RFC 9113, RFC 8441
 */
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../core/body.ts";
import { fail } from "../core/failure.ts";
import { LISTENER } from "../observe/metrics.table.ts";
import { ENHANCE_YOUR_CALM, errorName } from "../protocol/h2/codes.table.ts";
import { H2Connection } from "../protocol/h2/connection.ts";
import type { Head } from "../protocol/h2/head.ts";
import type { H2Events } from "../protocol/h2/link.ts";
import { setPriority } from "../protocol/h2/priority.ts";
import { FLUSH_BYTES } from "../protocol/h2/sender.ts";
import type { H2Stream } from "../protocol/h2/stream.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import { type RawSocket, Wire } from "../transport/wire.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import type { ClientMemo, Exchange, TlsSession } from "./exchange.ts";
import type { ClientAddress } from "./h1-server.ts";
import { type Flushable, flushSoon } from "./h2-flusher.ts";
import { H2ServerStream, type StreamOwner } from "./h2-server-stream.ts";
import type { Listener } from "./listener.ts";
import { countReason, type SessionServices } from "./services.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** How long and how much is read and forgotten after our last word, so that it is not lost to a reset. */
const LINGER_MS = 1000;
const LINGER_BYTES = 1024 * 1024;
/**
 * Answers without a body end their streams, and no window holds them back: a client that asks and does not read would
 * have us keep any number of them. While so much waits, a client that counts its open streams asks for maxStreams at most:
 * it cannot have seen an answer to them.
 */
const MAX_UNREAD_BYTES = 1024 * 1024;
/** Between the first word of leaving and the last: requests that were on their way then have come (RFC 9113 §6.8). */
const LEAVING_MS = 1000;
/** Methods whose content is awaited: without any, they say that there is none (RFC 9110 §8.6). */
const WITH_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

export class H2Server implements AcceptedSession, StreamOwner, H2Events, Timed, Flushable {
  readonly wire: Wire;
  readonly connection: H2Connection;
  readonly clientIp: string;
  readonly clientPort: number;
  readonly localPort: number;
  readonly localIp: string;
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  readonly tls: TlsSession | undefined;
  readonly listener: Listener;
  readonly services: SessionServices;
  readonly memo: ClientMemo = { authority: "", host: "", keyAuthority: "", lines: "" };
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  /** Request bytes of all streams: heads, which an indexed field of 4 KiB makes large for a byte each, and what waits. */
  heldBytes = 0;
  readonly #acceptedAtMs: number;
  /** Instant by which the preface, or the head that has begun to come, must be whole. */
  #headDueMs: number;
  #requests = 0;
  #isFlushDue = false;
  /** Requests that came while more than MAX_UNREAD_BYTES waited for the client. */
  #askedUnread = 0;
  #isStopped = false;
  #isLeavingSaid = false;
  #accountedBytes = 0;
  #lingerBytes = 0;
  /** What the client had not taken when its time to do so began, after our last word. */
  #unreadBytes = 0;
  /** Heads of exchanges that are over: given back at the end of the turn, when nobody looks at them any more. */
  readonly #usedHeads: Head[] = [];

  constructor(socket: RawSocket, listener: Listener, client: ClientAddress, services: SessionServices) {
    const { limits, http2, timeouts } = listener;
    this.wire = new Wire(socket, services.budget);
    this.listener = listener;
    this.services = services;
    this.clientIp = client.ip;
    this.clientPort = client.port;
    this.localPort = client.localPort;
    this.localIp = client.localIp;
    this.tls = client.tls;
    this.scheme = client.tls === undefined ? "http" : "https";
    this.isTrusted = listener.trustedProxies.has(client.ip);
    this.#acceptedAtMs = clock.nowMs;
    const settings = { ...http2, headBytes: limits.requestHeadBytes, fields: limits.headers };
    this.connection = new H2Connection("server", settings, this);
    this.connection.start();
    this.touched();
    this.#headDueMs = clock.nowMs + timeouts.headMs;
    services.wheel.schedule(this, this.#headDueMs);
  }

  // ── what the socket tells ──

  onData(bytes: Buffer): void {
    readClock();
    if (this.#isStopped) {
      this.#linger(bytes.length);
      return;
    }
    this.connection.feed(bytes, clock.nowMs);
    if (this.connection.failure !== undefined) this.#breakOff();
    else this.#rest();
    this.touched();
  }

  onDrain(): void {
    if (!this.wire.isBlocked) return;
    readClock();
    if (!this.wire.flush()) return;
    this.connection.isOutputBlocked = false;
    this.touched();
  }

  /** A client that asks no more, and has not closed both ways, does not exist in HTTP/2. */
  onEnd(): void {
    readClock();
    this.#failStreams("the client closed its side");
    this.flush();
    this.wire.close();
  }

  onClose(): void {
    readClock();
    this.wire.closed();
    this.#isStopped = true;
    this.connection.isOutputBlocked = true;
    this.#failStreams("the connection was closed");
    this.connection.outputDone();
    this.#account(0);
    this.services.wheel.forget(this); // last: what ends an exchange may set a deadline
  }

  #failStreams(detail: string): void {
    for (const stream of [...this.connection.streams()]) this.#streamOf(stream)?.lost(detail);
  }

  expire(): void {
    if (this.#isStopped) this.#endLinger();
    else if (this.#isLeavingSaid && !this.connection.isGoingAway) this.#leaveNow();
    else if (this.connection.activeStreams === 0) this.#stop();
  }

  /** The worker or the listener is leaving, or this connection has served enough: told now, meant a moment later. */
  leave(): void {
    if (this.#isStopped || this.#isLeavingSaid) return;
    this.#isLeavingSaid = true;
    this.connection.announceLeaving();
    this.touched();
    this.services.wheel.schedule(this, clock.nowMs + LEAVING_MS);
  }

  #leaveNow(): void {
    this.connection.goaway();
    this.#rest();
    this.touched();
  }

  kill(): void {
    this.wire.terminate();
  }

  // ── what the machine tells ──

  onHead(stream: H2Stream, head: Head, isEnd: boolean): void {
    this.#headDueMs = NEVER;
    this.#askedUnread = this.wire.queuedBytes > MAX_UNREAD_BYTES ? this.#askedUnread + 1 : 0;
    if (this.#askedUnread > this.listener.http2.maxStreams) {
      this.connection.releaseHead(head);
      this.connection.fail(ENHANCE_YOUR_CALM, "the client asks and does not read");
    } else this.#take(stream, head, isEnd);
  }

  #take(stream: H2Stream, head: Head, isEnd: boolean): void {
    const { limits, slot } = this.listener;
    const { counters } = this.services;
    const at = slot + LISTENER.at.requests;
    counters[at] = (counters[at] as number) + 1;
    if (!this.#isLeavingSaid) this.deadlineMs = NEVER; // each exchange has its own from here on
    this.heldBytes += head.fields.end;
    const exchange = this.#exchangeOf(stream, head, isEnd);
    if (head.isTooLarge) exchange.failure = fail("head_too_large");
    else if (limits.bodyBytes > 0 && exchange.requestBodyLength > limits.bodyBytes) {
      exchange.failure = fail("body_too_large", `${exchange.requestBodyLength} bytes declared`);
    }
    if (limits.requestsPerConnection > 0 && this.#requests >= limits.requestsPerConnection) this.leave();
    this.#streamOf(stream)?.begin();
  }

  #exchangeOf(stream: H2Stream, head: Head, isEnd: boolean): Exchange {
    const downstream = new H2ServerStream(this, stream, head);
    stream.session = downstream;
    const exchange = downstream.exchange;
    exchange.acceptedAtMs = this.#requests++ === 0 ? this.#acceptedAtMs : clock.nowMs;
    exchange.startedAtMs = clock.nowMs;
    exchange.isHttp2 = true;
    exchange.method = head.method;
    exchange.rawTarget = head.path;
    exchange.requestFields = head.fields;
    exchange.requestBodyLength = head.contentLength;
    exchange.isRequestComplete = isEnd;
    if (!isEnd) exchange.requestBodyKind = head.contentLength < 0 ? BODY_STREAM : BODY_LENGTH;
    else if (head.contentLength === 0 || WITH_CONTENT.has(head.method)) {
      exchange.requestBodyKind = BODY_LENGTH;
      exchange.requestBodyLength = 0;
    } else exchange.requestBodyKind = BODY_NONE;
    return exchange;
  }

  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void {
    const downstream = this.#streamOf(stream);
    if (downstream === undefined) this.connection.consumed(stream, bytes.length);
    else downstream.takeBody(bytes, isEnd);
  }

  onTrailers(stream: H2Stream, lines: string): void {
    this.#streamOf(stream)?.takeEnd(lines);
  }

  onReset(stream: H2Stream, code: number): void {
    this.#streamOf(stream)?.lost(`RST_STREAM ${errorName(code)}`);
  }

  onWritable(stream: H2Stream): void {
    this.#streamOf(stream)?.drained();
  }

  onRefused(): void {
    countReason(this.services, "h2_malformed");
  }

  onGoaway(): void {
    // the client asks no more, and awaits the rest
  }

  onSettings(): void {
    // nothing is pushed: how many streams the client allows is of no interest
  }

  prioritise(stream: H2Stream): void {
    setPriority(stream, this.#streamOf(stream)?.exchange.requestFields.find("priority") ?? "");
  }

  #streamOf(stream: H2Stream): H2ServerStream | undefined {
    return stream.session as H2ServerStream | undefined;
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
    for (const head of this.#usedHeads) this.connection.releaseHead(head);
    this.#usedHeads.length = 0;
    this.#write();
    this.#account(this.connection.queuedBytes + this.heldBytes);
  }

  #write(): void {
    const { connection, wire } = this;
    for (connection.pump(); connection.hasOutput; connection.pump()) {
      if (wire.isClosed) connection.out.reset();
      else if (!wire.writeOut(connection.out)) connection.isOutputBlocked = true;
      connection.outputDone();
    }
  }

  /** Counts what waits here against server.memory: nothing, once there is nobody to wait for. */
  #account(waiting: number): void {
    const bytes = this.wire.isClosed ? 0 : waiting;
    this.services.budget.usedBytes += bytes - this.#accountedBytes;
    this.#accountedBytes = bytes;
  }

  /** An exchange is over: its head is used again, once nobody looks at it. */
  exchangeOver(head: Head): void {
    this.heldBytes -= head.fields.end;
    this.#usedHeads.push(head);
    this.#rest();
  }

  streamOver(): void {
    this.#rest();
    this.touched();
  }

  // ── the end ──

  /** Nothing is asked at the moment: for how long may that be? */
  #rest(): void {
    if (this.connection.activeStreams > 0 || this.#isStopped) return;
    if (this.connection.isGoingAway) this.#stop();
    else if (this.services.isDraining || this.listener.isLeaving) this.leave();
    else if (!this.#isLeavingSaid) this.services.wheel.schedule(this, this.#nextDueMs());
  }

  /** Preface and settings, and each head, have their time once, in however many pieces they come. */
  #nextDueMs(): number {
    const { headMs, idleMs } = this.listener.timeouts;
    if (this.connection.isIdle) {
      this.#headDueMs = NEVER;
      return clock.nowMs + idleMs;
    }
    if (this.#headDueMs === NEVER) this.#headDueMs = clock.nowMs + headMs;
    return this.#headDueMs;
  }

  /** The client has broken the connection: GOAWAY stands in the output. */
  #breakOff(): void {
    const isAbuse = this.connection.failure?.code === ENHANCE_YOUR_CALM;
    countReason(this.services, isAbuse ? "h2_abuse" : "h2_protocol");
    this.#stop();
  }

  /** No more requests: our last word, FIN, then a while of reading and forgetting. */
  #stop(): void {
    this.#isStopped = true;
    this.connection.goaway();
    this.#failStreams("the client broke the protocol");
    this.#write();
    this.wire.finish();
    this.#watchLinger();
  }

  /** An answer that is complete may still be waiting for a slow client: it has the time that it has for any bytes. */
  #watchLinger(): void {
    const isAwaited = this.wire.isBlocked && this.connection.failure === undefined;
    this.#unreadBytes = this.wire.queuedBytes;
    const { bodyMs } = this.listener.timeouts;
    this.services.wheel.schedule(this, clock.nowMs + (isAwaited ? bodyMs : LINGER_MS));
  }

  #endLinger(): void {
    if (this.wire.queuedBytes < this.#unreadBytes) this.#watchLinger();
    else this.wire.close();
  }

  #linger(bytes: number): void {
    this.#lingerBytes += bytes;
    if (this.#lingerBytes > LINGER_BYTES) this.wire.close();
  }
}
