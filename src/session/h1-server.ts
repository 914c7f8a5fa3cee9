/**
 * HTTP/1 server session: one client connection; bytes in, exchanges out, answers back.
 *
 * why    the only place that knows both the HTTP/1 reader and the client's socket; the pipeline sees a
 *        Downstream
 * shape  one exchange at a time: a pipelined request waits, unread, until the answer before it is out
 * rule   after a framing failure, an early answer or a limit, the connection ends: FIN first, then a
 *        bounded time of reading and forgetting, so that the answer is not lost to a reset (RFC 9112 §9.6)
 * note   a client's FIN does not end its exchange: it may have closed only its sending side (RFC 9112 §9.6)
 */
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../core/body.ts";
import { type Failure, fail } from "../core/failure.ts";
import { LISTENER } from "../observe/metrics.table.ts";
import {
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_UPGRADE,
  readConnection,
} from "../protocol/h1/connection-field.ts";
import {
  EVENT_BODY,
  EVENT_END,
  EVENT_FAILED,
  EVENT_HEAD,
  EVENT_MORE,
  Reader,
} from "../protocol/h1/reader.ts";
import { type ConnectionOption, interimHead, lastChunk } from "../protocol/h1/writer.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import { type RawSocket, Wire } from "../transport/wire.ts";
import { type ClientMemo, type Downstream, Exchange, type TlsSession } from "./exchange.ts";
import { framedKind, sendAnswerHead, sendChunk } from "./h1-output.ts";
import type { Listener } from "./listener.ts";
import type { SessionServices } from "./services.ts";
import { upgradeOf } from "./upgrade.ts";

/** Pipelined bytes read ahead of the current exchange before the socket is paused. */
const MAX_AHEAD_BYTES = 16 * 1024;
/** How long and how much is read and forgotten after the last answer. nginx: 5 s; Go: 256 KiB. */
const LINGER_MS = 2000;
const LINGER_BYTES = 1024 * 1024;
/** While leaving, a connection idle for this long is closed; a younger one may be about to ask again. */
const LEAVING_IDLE_MS = 2000;
const NEVER = Number.POSITIVE_INFINITY;

/** Where a client is, as told by its socket or by a PROXY protocol header. */
export interface ClientAddress {
  readonly ip: string;
  readonly port: number;
  readonly localPort: number;
  readonly localIp: string;
  /** What the TLS handshake settled; undefined on a plain connection. */
  readonly tls: TlsSession | undefined;
}

export class H1Server implements Downstream, Timed {
  readonly wire: Wire;
  readonly clientIp: string;
  readonly clientPort: number;
  readonly localPort: number;
  readonly localIp: string;
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  readonly tls: TlsSession | undefined;
  readonly listener: Listener;
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly memo: ClientMemo = { authority: "", host: "", keyAuthority: "", lines: "" };
  readonly #services: SessionServices;
  readonly #reader: Reader;
  readonly #acceptedAtMs: number;
  #exchange: Exchange | undefined;
  #headStartedAtMs = 0;
  #requests = 0;
  #mayPersist = true;
  #isPumping = false;
  #isReadPaused = false;
  #isToldToLeave = false;
  #isSocketPaused = false;
  #isStopped = false;
  /** The client's FIN was seen: requests read before it are still answered. */
  #isInputOver = false;
  #isFlushing = false;
  #lingerBytes = 0;

  constructor(socket: RawSocket, listener: Listener, client: ClientAddress, services: SessionServices) {
    this.wire = new Wire(socket, services.budget);
    this.listener = listener;
    this.tls = client.tls;
    this.scheme = client.tls === undefined ? "http" : "https";
    this.clientIp = client.ip;
    this.clientPort = client.port;
    this.localPort = client.localPort;
    this.localIp = client.localIp;
    this.isTrusted = listener.trustedProxies.has(client.ip);
    this.#services = services;
    this.#reader = new Reader("request", {
      headBytes: listener.limits.requestHeadBytes,
      headers: listener.limits.headers,
    });
    this.#acceptedAtMs = clock.nowMs;
    services.wheel.schedule(this, clock.nowMs + listener.timeouts.headMs);
  }

  // ── what the socket tells ──

  onData(bytes: Buffer): void {
    readClock();
    if (this.#isStopped) {
      this.#linger(bytes.length);
      return;
    }
    const exchange = this.#exchange;
    if (exchange?.isTunnel === true) {
      this.#takeTunnelBytes(exchange, bytes);
      return;
    }
    if (exchange === undefined && this.#reader.isIdle) this.#headStartedAtMs = clock.nowMs;
    this.#reader.feed(bytes);
    this.#pump();
  }

  onDrain(): void {
    if (!this.wire.isBlocked) return; // also comes after a resume, and says nothing then
    readClock();
    if (!this.wire.flush()) {
      this.#armSendTimeout();
      return;
    }
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#armBodyTimeout(exchange);
    if (this.#isFlushing) this.#responseOut(exchange);
    else this.#services.events.downstreamDrained(exchange);
  }

  /** The client has sent FIN: it asks no more, but may still be listening. */
  onEnd(): void {
    readClock();
    const exchange = this.#exchange;
    this.#isInputOver = true;
    if (exchange?.isTunnel === true) this.#endTunnelInput(exchange);
    else if (exchange?.isRequestComplete !== true) this.#inputEnded();
    else if (this.#reader.unread === 0) this.#mayPersist = false;
  }

  /** What was read before the client's FIN is dealt with: is there half a message? */
  #inputEnded(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.wire.close();
      return;
    }
    this.#reader.endOfInput();
    this.#fail(exchange, this.#reader.failure ?? fail("downstream_closed"));
  }

  #takeTunnelBytes(exchange: Exchange, bytes: Buffer): void {
    exchange.bytesReceived += bytes.length;
    this.#services.events.requestBody(exchange, bytes);
  }

  /** Half of the tunnel is closed; the other half goes on until it closes too. */
  #endTunnelInput(exchange: Exchange): void {
    if (exchange.isRequestComplete) return;
    exchange.isRequestComplete = true;
    this.#services.events.requestEnd(exchange, "");
    if (exchange.isResponseComplete) this.#completeResponse(exchange);
  }

  onClose(isReset: boolean): void {
    readClock();
    const wasOut = !this.wire.isBlocked;
    this.wire.closed();
    const exchange = this.#exchange;
    // after our own FIN the runtime tells the client's by `close` alone
    const isEnd = exchange?.isTunnel === true && exchange.isResponseComplete && wasOut && !isReset;
    if (exchange !== undefined && isEnd) this.#endTunnelInput(exchange);
    else if (exchange !== undefined) this.#fail(exchange, fail("downstream_closed"));
    this.#services.wheel.forget(this); // last: what ends an exchange may set a deadline
  }

  expire(): void {
    const exchange = this.#exchange;
    if (this.#isStopped) this.wire.close();
    else if (this.wire.isBlocked && exchange !== undefined) this.#fail(exchange, fail("send_timeout"));
    else if (exchange !== undefined) {
      if (!exchange.isRequestComplete) this.#fail(exchange, fail("body_timeout"));
    } else if (this.#reader.isIdle) this.#stop();
    else this.#refuse(fail("head_timeout"));
  }

  /** The worker or the listener is leaving: an idle connection soon ends, a busy one after its answer. */
  leave(): void {
    this.#isToldToLeave = true;
    if (this.#exchange === undefined && this.#reader.isIdle && !this.#isStopped) {
      this.#services.wheel.schedule(this, Math.min(this.deadlineMs, clock.nowMs + LEAVING_IDLE_MS));
    }
  }

  /** Ends the connection now, whatever it is doing. */
  kill(): void {
    this.wire.terminate();
  }

  // ── requests ──

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#mayRead()) {
      const event = this.#reader.next();
      if (event === EVENT_MORE) {
        this.#waitForMore();
        break;
      }
      if (event === EVENT_HEAD) this.#begin();
      else if (event === EVENT_BODY) this.#takeBody(this.#reader.body);
      else if (event === EVENT_END) this.#completeRequest();
      else if (event === EVENT_FAILED) this.#takeFailure(this.#reader.failure as Failure);
    }
    this.#isPumping = false;
    this.#limitAhead();
  }

  #mayRead(): boolean {
    if (this.#isStopped) return false;
    const exchange = this.#exchange;
    if (exchange === undefined) return true;
    return !exchange.isRequestComplete && !this.#isReadPaused && !exchange.isTunnel;
  }

  /** The bytes are used up: which time-out watches over the next ones? */
  #waitForMore(): void {
    const { wheel } = this.#services;
    const { timeouts } = this.listener;
    if (this.#isInputOver) this.#inputEnded();
    else if (this.#exchange !== undefined) {
      if (!this.wire.isBlocked) wheel.schedule(this, clock.nowMs + timeouts.bodyMs);
    } else if (!this.#reader.isIdle) wheel.schedule(this, this.#headStartedAtMs + timeouts.headMs);
  }

  /** Requests sent ahead of time wait in the kernel, not here. */
  #limitAhead(): void {
    const isAhead = this.#exchange?.isRequestComplete === true && this.#reader.unread > MAX_AHEAD_BYTES;
    this.#setPaused(isAhead || this.#isReadPaused);
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isSocketPaused || this.wire.isClosed) return;
    this.#isSocketPaused = isPaused;
    if (isPaused) this.wire.socket.pause();
    else this.wire.socket.resume();
  }

  #begin(): void {
    const { limits, slot } = this.listener;
    const { counters, events, wheel } = this.#services;
    const at = slot + LISTENER.at.requests;
    counters[at] = (counters[at] as number) + 1;
    const exchange = this.#newExchange();
    const isLast = ++this.#requests >= limits.requestsPerConnection && limits.requestsPerConnection > 0;
    this.#mayPersist = this.#readConnectionField(exchange) && !isLast;
    if (limits.bodyBytes > 0 && exchange.requestBodyLength > limits.bodyBytes) {
      exchange.failure = fail("body_too_large", `${exchange.requestBodyLength} bytes declared`);
    } else if (exchange.requestBodyKind === BODY_NONE || exchange.requestBodyLength === 0) {
      this.#reader.next(); // the end: nothing of this message is left to read
      exchange.isRequestComplete = true;
      wheel.schedule(this, NEVER);
    }
    events.request(exchange);
  }

  #newExchange(): Exchange {
    const reader = this.#reader;
    const line = reader.requestLine;
    const exchange = new Exchange(this);
    this.#exchange = exchange;
    exchange.acceptedAtMs = this.#requests === 0 ? this.#acceptedAtMs : this.#headStartedAtMs;
    exchange.startedAtMs = clock.nowMs;
    exchange.method = line.method;
    exchange.rawTarget = line.target;
    exchange.isHttp10 = line.isHttp10;
    exchange.requestFields = reader.fields;
    exchange.requestBodyKind = reader.bodyKind;
    exchange.requestBodyLength = reader.bodyLength;
    return exchange;
  }

  /** Notes an Upgrade request. out  whether the client lets the connection live on */
  #readConnectionField(exchange: Exchange): boolean {
    const fields = exchange.requestFields;
    const bits = readConnection(fields);
    if ((bits & CONNECTION_UPGRADE) !== 0) exchange.upgrade = upgradeOf(exchange);
    if (exchange.isHttp10) return (bits & CONNECTION_KEEP_ALIVE) !== 0;
    return (bits & CONNECTION_CLOSE) === 0;
  }

  #takeBody(bytes: Buffer): void {
    const exchange = this.#exchange as Exchange;
    exchange.bytesReceived += bytes.length;
    const limit = this.listener.limits.bodyBytes;
    if (limit > 0 && exchange.bytesReceived > limit) {
      this.#fail(exchange, fail("body_too_large", `more than ${limit} bytes`));
    } else this.#services.events.requestBody(exchange, bytes);
  }

  #completeRequest(): void {
    const exchange = this.#exchange as Exchange;
    exchange.isRequestComplete = true;
    if (!this.wire.isBlocked) this.#services.wheel.schedule(this, NEVER);
    this.#services.events.requestEnd(exchange, this.#reader.trailers);
  }

  #takeFailure(failure: Failure): void {
    if (this.#exchange === undefined) this.#refuse(failure);
    else this.#fail(this.#exchange, failure);
  }

  /** A request that was never understood is answered, counted and logged like any other. */
  #refuse(failure: Failure): void {
    if (this.#reader.failure === undefined) this.#reader.requestLine.forget();
    this.#reader.forgetFields(); // of the request before, when nothing of this one's head was read
    const exchange = this.#newExchange();
    exchange.failure = failure;
    this.#mayPersist = false;
    this.#services.events.request(exchange);
  }

  #fail(exchange: Exchange, failure: Failure): void {
    this.#mayPersist = false;
    this.#services.events.downstreamFailed(exchange, failure);
  }

  // ── responses ──

  sendInterim(exchange: Exchange, status: number, lines: string): void {
    if (!exchange.isHttp10) this.wire.writeText(interimHead(status, lines));
  }

  sendHead(exchange: Exchange, isEnd: boolean): boolean {
    exchange.isHeadSent = true;
    const isOpen = sendAnswerHead(this.wire, exchange, this.#connectionOption(exchange), isEnd);
    if (isEnd) this.#completeResponse(exchange);
    else if (!isOpen) this.#armSendTimeout();
    return isOpen;
  }

  sendBody(exchange: Exchange, bytes: Buffer): boolean {
    exchange.bytesSent += bytes.length;
    const isChunked = !exchange.isTunnel && framedKind(exchange) === BODY_STREAM;
    const isOpen = isChunked
      ? sendChunk(this.wire, bytes, exchange.isBodyShared)
      : this.wire.write(bytes, exchange.isBodyShared);
    if (!isOpen) this.#armSendTimeout();
    return isOpen;
  }

  sendFile(exchange: Exchange, file: number, position: number, count: number): number {
    if (this.tls !== undefined || framedKind(exchange) !== BODY_LENGTH) return 0;
    const taken = this.wire.writeFile(file, position, count);
    exchange.bytesSent += taken;
    return taken;
  }

  sendEnd(exchange: Exchange, trailers: string): void {
    if (exchange.isTunnel) {
      exchange.isResponseComplete = true;
      this.wire.finish();
      if (exchange.isRequestComplete) this.#completeResponse(exchange);
      return;
    }
    if (framedKind(exchange) === BODY_STREAM) this.wire.writeText(lastChunk(trailers));
    this.#completeResponse(exchange);
  }

  sendSwitch(exchange: Exchange): void {
    exchange.isHeadSent = true;
    exchange.isTunnel = true;
    exchange.isRequestComplete = false;
    this.#mayPersist = false;
    this.#services.wheel.schedule(this, NEVER);
    sendAnswerHead(this.wire, exchange, "upgrade", false);
    const early = this.#reader.takeRest();
    if (early.length > 0) this.#takeTunnelBytes(exchange, early);
    this.#setPaused(this.#isReadPaused); // what came too early may have been too much for a request
    if (this.#isInputOver) this.#endTunnelInput(exchange);
  }

  /** Cut, not ended: without its last chunk or its length a client knows; with neither, only RST tells. */
  abort(exchange: Exchange): void {
    const isTelling = exchange.isHeadSent && framedKind(exchange) === exchange.sentBodyKind;
    this.#exchange = undefined;
    this.#mayPersist = false;
    this.#isStopped = true; // at once: the request may be one of many in a buffer that is being read
    if (isTelling && exchange.sentBodyKind === BODY_LENGTH) this.#stop();
    else if (isTelling && exchange.sentBodyKind === BODY_STREAM) this.#stop();
    else this.wire.terminate();
  }

  pauseRequest(_exchange: Exchange): void {
    this.#isReadPaused = true;
    this.#setPaused(true);
    if (!this.wire.isBlocked) this.#services.wheel.schedule(this, NEVER);
  }

  resumeRequest(exchange: Exchange): void {
    if (!this.#isReadPaused) return;
    this.#isReadPaused = false;
    this.#setPaused(false);
    if (!exchange.isTunnel) this.#pump();
  }

  #connectionOption(exchange: Exchange): ConnectionOption {
    const isUnbounded = exchange.isHttp10 && exchange.sentBodyKind >= BODY_STREAM;
    const isLast = exchange.isLastOfConnection || (this.#isInputOver && this.#reader.unread === 0);
    if (isUnbounded || isLast || this.#isLeaving() || !exchange.isRequestComplete) this.#mayPersist = false;
    if (!this.#mayPersist) return "close";
    return exchange.isHttp10 ? "keep-alive" : "";
  }

  #armSendTimeout(): void {
    this.#services.wheel.schedule(this, clock.nowMs + this.listener.timeouts.bodyMs);
  }

  /** Once nothing waits for the client any more: is something awaited from it? */
  #armBodyTimeout(exchange: Exchange): void {
    const isAwaited = !exchange.isRequestComplete && !exchange.isTunnel && !this.#isReadPaused;
    this.#services.wheel.schedule(this, isAwaited ? clock.nowMs + this.listener.timeouts.bodyMs : NEVER);
  }

  #idleMs(): number {
    const { idleMs } = this.listener.timeouts;
    return this.#isLeaving() ? Math.min(idleMs, LEAVING_IDLE_MS) : idleMs;
  }

  #isLeaving(): boolean {
    return this.#isToldToLeave || this.#services.isDraining || this.listener.isLeaving;
  }

  #completeResponse(exchange: Exchange): void {
    exchange.isResponseComplete = true;
    if (this.wire.isBlocked) {
      this.#isFlushing = true;
      this.#armSendTimeout();
    } else this.#responseOut(exchange);
  }

  /** The kernel has the whole response: the exchange is over for this side. */
  #responseOut(exchange: Exchange): void {
    this.#isFlushing = false;
    this.#exchange = undefined;
    this.#services.events.responseSent(exchange);
    if (!this.#mayPersist) {
      this.#stop();
      return;
    }
    this.#isReadPaused = false;
    this.#headStartedAtMs = clock.nowMs;
    this.#services.wheel.schedule(this, clock.nowMs + this.#idleMs());
    if (this.#reader.unread > 0) this.#pump();
    else {
      this.#reader.release();
      this.#reader.forgetFields();
    }
  }

  /** No more requests: FIN, then a while of reading and forgetting. */
  #stop(): void {
    this.#isStopped = true;
    this.#isReadPaused = false;
    this.wire.finish();
    this.#setPaused(false);
    this.#services.wheel.schedule(this, clock.nowMs + LINGER_MS);
  }

  #linger(bytes: number): void {
    this.#lingerBytes += bytes;
    if (this.#lingerBytes > LINGER_BYTES) this.wire.close();
  }
}
