/**
 * HTTP/1 client session: one connection to an endpoint; one exchange at a time goes out on it.
 *
 * why    the only place that knows both the HTTP/1 reader and the endpoint's socket; the pipeline sees an
 *        Upstream
 * rule   a connection carries another exchange only when the last one left no doubt: both messages complete,
 *        not one byte too many, nobody asked to close. Whatever an endpoint sends unasked ends the connection.
 * spec   RFC 9112 §9
 */
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../core/body.ts";
import { type Failure, type FailureCode, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { OUT } from "../core/out.ts";
import { CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, readConnection } from "../protocol/h1/connection-field.ts";
import {
  EVENT_BODY,
  EVENT_END,
  EVENT_FAILED,
  EVENT_HEAD,
  EVENT_MORE,
  Reader,
  type ReaderEvent,
} from "../protocol/h1/reader.ts";
import { lastChunk, writeRequestHead } from "../protocol/h1/writer.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { SecuredSession } from "../transport/dial-tls.ts";
import type { DialedSession } from "../transport/dialed-session.ts";
import type { Timed } from "../transport/timers.ts";
import { type RawSocket, Wire } from "../transport/wire.ts";
import type { EndpointAccount } from "./endpoint-account.ts";
import type { Exchange, Upstream } from "./exchange.ts";
import { sendChunk } from "./h1-output.ts";

/** Response heads larger than this are refused. nginx: 4–8 KiB; Envoy: 60 KiB; Go: 10 MiB. */
const RESPONSE_HEAD_LIMITS = { headBytes: 64 * 1024, headers: 200 };
/** A tunnel on which neither side says a word for so long is taken for dead. */
const TUNNEL_IDLE_MS = 60 * 60 * 1000;
/** An endpoint that sends 1xx for ever is not answering. */
const MAX_INTERIMS = 32;
const NEVER = Number.POSITIVE_INFINITY;
const UPGRADE = fieldIdOf("upgrade");

const CONNECTING = 0;
const IDLE = 1;
const BUSY = 2;
const CLOSED = 3;

/** Whoever holds the connections to one endpoint: the pool. */
export interface ClientOwner extends EndpointAccount {
  /** Tries the next address. */
  dial(client: H1Client): void;
  /** A connection offers itself for reuse. out  false when it must be closed instead */
  keep(client: H1Client): boolean;
  /** A socket is gone. */
  closed(client: H1Client, wasIdle: boolean): void;
  /** An idle connection must not be leased any more. */
  forget(client: H1Client): void;
}

export class H1Client implements Upstream, DialedSession, Timed {
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  /** When the connection was made, for its age limit. */
  openedAtMs = 0;
  isReused = false;
  /** Where it leads, as the pool names it. */
  address = "";
  /** How it is made, to be compared with how the pool makes connections later. */
  terms: unknown;
  /** The PROXY header, if one opens the connection. */
  preface: Buffer | undefined;
  /** The handshake that stands between this session and its socket. */
  secured: SecuredSession | undefined;
  readonly #pool: ClientOwner;
  readonly #reader = new Reader("response", RESPONSE_HEAD_LIMITS);
  #wire: Wire | undefined;
  #state = CONNECTING;
  #exchange: Exchange | undefined;
  #mayPersist = true;
  #isRequestOut = false;
  #isHeadRead = false;
  #isPaused = false;
  #isPumping = false;
  #hasAnswered = false;
  #interims = 0;
  #tries = 0;
  /** The TLS alert by which the endpoint ended the connection. */
  #alert = "";
  #isRetired = false;

  /** Starts to connect for `exchange`, whose head goes out as soon as the connection is there. */
  constructor(pool: ClientOwner, exchange: Exchange) {
    this.#pool = pool;
    this.#exchange = exchange;
    this.#watch(exchange.timeouts.connectMs);
  }

  // ── what the socket tells ──

  onOpen(socket: RawSocket): void {
    readClock();
    this.#pool.dialled();
    if (this.#state !== CONNECTING) {
      socket.terminate(); // the exchange gave up on this connection long ago
      return;
    }
    this.#wire = new Wire(socket, this.#pool.services.budget);
    this.openedAtMs = clock.nowMs;
    this.#state = IDLE;
    const exchange = this.#exchange as Exchange;
    exchange.connectedAtMs = clock.nowMs;
    this.#pool.connected(exchange.connectStartedAtMs);
    this.send(exchange);
    this.#pool.services.events.upstreamReady(exchange);
  }

  onRefused(detail: string, code: FailureCode): void {
    readClock();
    this.#pool.dialled();
    this.#pool.socketGone();
    if (this.#state !== CONNECTING) return;
    if (code === "connect_refused" && ++this.#tries < this.#pool.addressCount) {
      this.#pool.dial(this);
      return;
    }
    this.#giveUp(fail(code, detail));
  }

  onAlert(detail: string): void {
    this.#alert = detail;
  }

  onData(bytes: Buffer): void {
    readClock();
    if (this.#exchange === undefined) {
      this.#closeNow(); // bytes nobody asked for must never become the next response
      return;
    }
    this.#reader.feed(bytes);
    this.#pump();
  }

  onDrain(): void {
    readClock();
    if (this.#wire?.flush() !== true || this.#exchange === undefined) return;
    this.#pool.services.events.upstreamDrained(this.#exchange);
  }

  onEnd(): void {
    readClock();
    const exchange = this.#exchange;
    if (exchange?.isTunnel === true) {
      this.#pool.services.events.responseEnd(exchange, "");
      return;
    }
    this.#inputEnded(false);
    this.#closeNow();
  }

  onClose(isReset: boolean): void {
    readClock();
    this.#pool.socketGone();
    const wasOpen = this.#wire !== undefined && !this.#wire.isClosed;
    this.#wire?.closed();
    if (wasOpen) this.#pool.closed(this, this.#state === IDLE);
    this.#readRest();
    const exchange = this.#exchange;
    if (exchange?.isTunnel === true) this.#tunnelClosed(exchange, isReset);
    else this.#inputEnded(true); // a FIN would have told by onEnd, and the exchange would be gone
    this.#state = CLOSED;
    this.#unwatch();
  }

  onDefect(defect: unknown): void {
    this.#pool.services.onDefect?.(defect);
  }

  #tunnelClosed(exchange: Exchange, isReset: boolean): void {
    const { events } = this.#pool.services;
    this.#exchange = undefined;
    this.#pool.finished();
    // after our own FIN the runtime tells the endpoint's by `close` alone
    const isEnd = exchange.isRequestComplete && !isReset;
    if (!isEnd) events.upstreamFailed(exchange, fail("upstream_cut", "tunnel closed"));
    else if (!exchange.isResponseComplete) events.responseEnd(exchange, "");
  }

  expire(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#closeNow();
      return;
    }
    this.#giveUp(fail(this.#timeoutCode(exchange)));
  }

  #timeoutCode(exchange: Exchange): FailureCode {
    if (clock.nowMs >= exchange.deadlineMs) return "request_timeout";
    if (this.#state === CONNECTING) return "connect_timeout";
    return this.#isHeadRead || !this.#isRequestOut ? "upstream_idle" : "response_timeout";
  }

  // ── the request ──

  get mayTake(): boolean {
    return this.#state === IDLE && this.#wire !== undefined && !this.#wire.isClosed;
  }

  /** Sends the exchange's request head; the connection must be idle. */
  send(exchange: Exchange): void {
    this.#state = BUSY;
    this.#exchange = exchange;
    exchange.upstream = this;
    exchange.sentAtMs = clock.nowMs;
    this.#isHeadRead = false;
    this.#hasAnswered = false;
    this.#interims = 0;
    const kind = exchange.requestBodyKind;
    this.#isRequestOut = kind === BODY_NONE || exchange.requestBodyLength === 0;
    this.#reader.expect(exchange.upstreamMethod);
    OUT.reset();
    writeRequestHead(OUT, exchange);
    this.#wire?.writeOut();
    this.#watch(this.#isRequestOut ? exchange.timeouts.responseMs : exchange.timeouts.idleMs);
  }

  sendBody(bytes: Buffer): boolean {
    const exchange = this.#exchange;
    const wire = this.#wire;
    if (exchange === undefined || wire === undefined) return true;
    if (!this.#isPaused) this.#watch(exchange.isTunnel ? TUNNEL_IDLE_MS : exchange.timeouts.idleMs);
    if (exchange.isTunnel || exchange.requestBodyKind === BODY_LENGTH) return wire.writeOwn(bytes);
    return sendChunk(wire, bytes);
  }

  sendEnd(trailers: string): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (exchange.isTunnel) {
      this.#wire?.finish();
      return;
    }
    this.#isRequestOut = true;
    if (exchange.requestBodyKind === BODY_STREAM) this.#wire?.writeText(lastChunk(trailers));
    if (!this.#isPaused)
      this.#watch(this.#isHeadRead ? exchange.timeouts.idleMs : exchange.timeouts.responseMs);
  }

  // ── the response ──

  pauseResponse(): void {
    this.#isPaused = true;
    if (this.#wire?.isClosed === false) this.#wire.socket.pause();
    this.#watch(NEVER);
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#unpause();
    this.#watchBody();
    this.#pump();
  }

  #unpause(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#wire?.isClosed === false) this.#wire.socket.resume();
  }

  cancel(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange !== undefined) this.#pool.finished();
    this.#wire?.terminate();
    this.#closeNow();
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#exchange !== undefined && !this.#isPaused) {
      const event = this.#reader.next();
      if (event === EVENT_MORE) {
        if (this.#isHeadRead) this.#watchBody(); // silence is measured from the last byte on
        break;
      }
      this.#take(event, this.#exchange);
    }
    this.#isPumping = false;
  }

  /** The socket is gone: what it held back for a slow client came before that, and counts. */
  #readRest(): void {
    while (this.#exchange !== undefined) {
      const event = this.#reader.next();
      if (event === EVENT_MORE) return;
      this.#take(event, this.#exchange);
    }
  }

  #take(event: ReaderEvent, exchange: Exchange): void {
    const { events } = this.#pool.services;
    if (event === EVENT_HEAD) this.#takeHead(exchange);
    else if (event === EVENT_BODY) events.responseBody(exchange, this.#reader.body);
    else if (event === EVENT_END) {
      const { trailers } = this.#reader;
      this.#release(exchange);
      events.responseEnd(exchange, trailers);
      this.#forgetFields();
    } else if (event === EVENT_FAILED) this.#giveUp(this.#reader.failure as Failure);
  }

  #takeHead(exchange: Exchange): void {
    const reader = this.#reader;
    const { status } = reader.statusLine;
    this.#hasAnswered = true;
    if (status < 200 && status !== 101) {
      reader.next(); // its end: a 1xx has no body
      if (++this.#interims > MAX_INTERIMS) this.#giveUp(fail("h1_response_head", "1xx without end"));
      else this.#pool.services.events.interim(exchange, status, reader.fields);
      return;
    }
    this.#isHeadRead = true;
    exchange.respondedAtMs = clock.nowMs;
    exchange.status = status;
    exchange.reason = reader.statusLine.reason;
    exchange.isHttp10Response = reader.statusLine.isHttp10;
    exchange.responseFields = reader.fields;
    exchange.responseBodyKind = reader.bodyKind;
    exchange.responseBodyLength = reader.bodyLength;
    this.#pool.responded(exchange);
    this.#mayPersist = this.#readConnectionField() && !reader.isSuspect;
    if (status === 101) this.#takeSwitch(exchange);
    else this.#takeFirst(exchange);
  }

  /** A 101 must name the protocol that was asked for (RFC 9110 §7.8). */
  #takeSwitch(exchange: Exchange): void {
    const named = exchange.responseFields.get(UPGRADE)?.toLowerCase();
    if (exchange.upgrade === "" || named !== exchange.upgrade) {
      this.#giveUp(fail("upgrade_unasked", named ?? "no Upgrade field"));
      return;
    }
    exchange.deadlineMs = NEVER;
    this.#watch(TUNNEL_IDLE_MS);
    this.#pool.services.events.response(exchange, false);
  }

  /** Looks whether body bytes or the end came with the head: then all leaves in one write. */
  #takeFirst(exchange: Exchange): void {
    const reader = this.#reader;
    const { events } = this.#pool.services;
    let event = reader.next();
    if (event === EVENT_BODY) {
      exchange.first = reader.bodyBytes;
      exchange.firstStart = reader.bodyStart;
      exchange.firstEnd = reader.bodyEnd;
      event = reader.next();
    }
    if (event === EVENT_END && reader.trailers === "") {
      this.#release(exchange);
      events.response(exchange, true);
      this.#forgetFields();
      return;
    }
    events.response(exchange, false);
    if (event === EVENT_MORE) this.#watchBody();
    else if (this.#exchange === exchange) this.#take(event, exchange);
  }

  #readConnectionField(): boolean {
    const bits = readConnection(this.#reader.fields);
    if (this.#reader.statusLine.isHttp10) return (bits & CONNECTION_KEEP_ALIVE) !== 0;
    return (bits & CONNECTION_CLOSE) === 0;
  }

  // ── the end ──

  /** The response is complete: keep the connection or not. */
  #release(exchange: Exchange): void {
    this.#exchange = undefined;
    exchange.upstream = undefined;
    this.#unpause();
    const isClean = this.#mayPersist && !this.#isRetired && this.#isRequestOut && this.#reader.unread === 0;
    const isWireFree = this.#wire !== undefined && !this.#wire.isBlocked && !this.#wire.isClosed;
    this.#pool.finished(true);
    if (isClean && isWireFree && this.#reader.isIdle && this.#pool.keep(this)) {
      this.#state = IDLE;
      this.isReused = true;
    } else this.#closeNow();
  }

  /** An idle connection holds no bytes of what it carried. */
  #forgetFields(): void {
    if (this.#state === IDLE) this.#reader.forgetFields();
  }

  /** FIN or reset while an exchange was under way: its end, if it may end so, or its failure. */
  #inputEnded(isReset: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const event = this.#reader.endOfInput(isReset);
    if (event === EVENT_END) {
      this.#mayPersist = false;
      this.#release(exchange);
      this.#pool.services.events.responseEnd(exchange, "");
    } else if (this.#hasAnswered || !this.#reader.isIdle) {
      this.#giveUp(this.#reader.failure ?? fail("upstream_reset", "after a 1xx"));
    } else {
      const detail = this.#alert === "" ? "before any byte" : `TLS alert ${this.#alert}`;
      this.#giveUp(fail(this.isReused ? "stale_connection" : "upstream_reset", detail));
    }
  }

  #giveUp(failure: Failure): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const wasConnecting = this.#state === CONNECTING;
    this.#closeNow();
    if (exchange === undefined) return;
    exchange.upstream = undefined;
    this.#pool.failed(exchange, failure, wasConnecting);
  }

  #closeNow(): void {
    const wasIdle = this.#state === IDLE;
    if (this.#state === CONNECTING) this.secured?.abandon();
    this.#state = CLOSED;
    this.#unwatch();
    const wire = this.#wire;
    if (wire === undefined || wire.isClosed) return;
    wire.close();
    if (wasIdle) this.#pool.forget(this);
  }

  /** Sets the deadline `afterMs` from now, or the exchange's own if that is nearer. */
  #watch(afterMs: number): void {
    const limit = this.#exchange?.deadlineMs ?? NEVER;
    const deadline = afterMs > 0 ? clock.nowMs + afterMs : NEVER;
    this.#pool.services.wheel.schedule(this, Math.min(deadline, limit));
  }

  /** While body bytes are due, and we are ready to take them, the endpoint may not stay silent. */
  #watchBody(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || this.#isPaused) return;
    this.#watch(exchange.isTunnel ? TUNNEL_IDLE_MS : exchange.timeouts.idleMs);
  }

  #unwatch(): void {
    this.#pool.services.wheel.forget(this);
  }

  /** Waits in the pool for the next exchange. */
  rest(idleTimeoutMs: number): void {
    this.#reader.release();
    this.#watch(idleTimeoutMs);
  }

  /** Closes an idle connection; a busy one ends with its exchange. */
  retire(): void {
    if (this.#state === IDLE) this.#closeNow();
    else this.#isRetired = true;
  }
}
