/**
 * One stream of an HTTP/2 client: an exchange's Downstream.
 *
 * why    what HTTP/1 says with a connection is said with a stream here: back-pressure by credit, an end by END_STREAM,
 *        a cut by RST_STREAM
 * rule   request bytes that come while the endpoint is slow wait here, bounded by the windows; their credit goes back
 *        when the endpoint has taken them
 * note   a WebSocket is asked for by extended CONNECT; endpoints are asked by a GET with Upgrade, whose 101 becomes 200
 * spec   RFC 9113 §8, RFC 8441 §5, RFC 6455 §4.2.2
 */
import { randomBytes } from "node:crypto";
import { BODY_NONE } from "../core/body.ts";
import { type Failure, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { CANCEL, INTERNAL_ERROR, NO_ERROR } from "../protocol/h2/codes.table.ts";
import type { H2Connection } from "../protocol/h2/connection.ts";
import type { Head } from "../protocol/h2/head.ts";
import type { H2Stream } from "../protocol/h2/stream.ts";
import { acceptOf } from "../protocol/websocket-key.ts";
import { clock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import { type ClientMemo, type Downstream, Exchange, type TlsSession } from "./exchange.ts";
import type { Listener } from "./listener.ts";
import type { SessionServices } from "./services.ts";

const NEVER = Number.POSITIVE_INFINITY;
const WEBSOCKET_ACCEPT = fieldIdOf("sec-websocket-accept");
const SWITCHED = 101;
const BAD_GATEWAY = 502;
/** How long a client may take to end a request that is answered. */
const EARLY_END_MS = 300;
/** RFC 6455 §4.1. */
const KEY_BYTES = 16;
/** Pieces up to this size are put together while they wait: each alone costs more than its bytes. */
const JOIN_BYTES = 1024;

/** The connection, as its streams see it. */
export interface StreamOwner extends Omit<Downstream, keyof StreamCommands> {
  readonly connection: H2Connection;
  readonly services: SessionServices;
  /** Request bytes that wait in all streams. */
  heldBytes: number;
  /** Something may have to be sent. */
  touched(): void;
  /** The exchange is over: its head may be used again. */
  exchangeOver(head: Head): void;
  /** A stream that outlived its exchange is over too. */
  streamOver(): void;
}

type StreamCommands = Pick<
  Downstream,
  | "sendInterim"
  | "sendHead"
  | "sendBody"
  | "roomFor"
  | "sendEnd"
  | "abort"
  | "pauseRequest"
  | "resumeRequest"
  | "sendSwitch"
>;

export class H2ServerStream implements Downstream, Timed {
  readonly exchange: Exchange;
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly #server: StreamOwner;
  readonly #stream: H2Stream;
  readonly #head: Head;
  #isOver = false;
  #isPaused = false;
  /** What came while the endpoint was slow. */
  #held: Buffer[] | undefined;
  /** The end came behind it, with these trailers. */
  #heldEnd: string | undefined;
  /** Given to the endpoint, which has not taken all of it yet. */
  #uncreditedBytes = 0;
  /** What waited for the client when its time began to run. */
  #waitedBytes = 0;
  /** What the connection had sent by then. */
  #sentByThen = 0;
  /** Key that an endpoint must answer; "" = no WebSocket. */
  #webSocketKey = "";

  constructor(server: StreamOwner, stream: H2Stream, head: Head) {
    this.#server = server;
    this.#stream = stream;
    this.#head = head;
    this.exchange = new Exchange(this);
  }

  get clientIp(): string {
    return this.#server.clientIp;
  }
  get clientPort(): number {
    return this.#server.clientPort;
  }
  get isTrusted(): boolean {
    return this.#server.isTrusted;
  }
  get scheme(): "http" | "https" {
    return this.#server.scheme;
  }
  get tls(): TlsSession | undefined {
    return this.#server.tls;
  }
  get listener(): Listener {
    return this.#server.listener;
  }
  get localPort(): number {
    return this.#server.localPort;
  }
  get localIp(): string {
    return this.#server.localIp;
  }
  get memo(): ClientMemo {
    return this.#server.memo;
  }

  // ── the request ──

  /** The head is read: the exchange begins. */
  begin(): void {
    const { exchange } = this;
    if (this.#head.protocol !== "") this.#askForWebSocket(exchange);
    if (!exchange.isRequestComplete) this.#watchBody();
    this.#server.services.events.request(exchange);
  }

  /** Extended CONNECT for anything but a WebSocket, or where the listener takes none, is a method that is refused. */
  #askForWebSocket(exchange: Exchange): void {
    if (!this.listener.http2.extendedConnect || this.#head.protocol !== "websocket") {
      exchange.failure = fail("method_refused", `CONNECT for ${this.#head.protocol}`);
      return;
    }
    this.#webSocketKey = randomBytes(KEY_BYTES).toString("base64");
    exchange.method = "GET";
    exchange.upgrade = "websocket";
    exchange.requestBodyKind = BODY_NONE;
    if (exchange.isRequestComplete) this.#heldEnd = ""; // nothing will come, which the endpoint is told once it agrees
    exchange.isRequestComplete = true; // until the endpoint agrees, as in HTTP/1
    exchange.requestFields.drop("sec-websocket-key");
    exchange.requestFields.add("Sec-WebSocket-Key", this.#webSocketKey);
  }

  takeBody(bytes: Buffer, isEnd: boolean): void {
    const { exchange } = this;
    exchange.bytesReceived += bytes.length;
    if (this.#isTooMuch(bytes.length)) return;
    const isWaiting = this.#isPaused || this.#isAsking;
    if (bytes.length > 0 && isWaiting) this.#hold(bytes);
    else if (bytes.length > 0) this.#deliver(bytes);
    if (isEnd) this.takeEnd("");
    else if (!this.#isPaused) this.#watchBody();
  }

  /** Told once: what comes while the client reads our answer is forgotten. */
  #isTooMuch(newBytes: number): boolean {
    const { exchange } = this;
    const limit = this.listener.limits.bodyBytes;
    if (limit === 0 || exchange.bytesReceived <= limit || exchange.isTunnel) return false;
    this.#server.connection.consumed(this.#stream, newBytes);
    if (exchange.bytesReceived - newBytes <= limit) {
      this.#fail(fail("body_too_large", `more than ${limit} bytes`));
    }
    return true;
  }

  /** The WebSocket is asked for, and not agreed on. */
  get #isAsking(): boolean {
    return this.#webSocketKey !== "" && !this.exchange.isTunnel;
  }

  #hold(bytes: Buffer): void {
    this.#held ??= [];
    const last = this.#held.at(-1);
    if (last !== undefined && last.length + bytes.length <= JOIN_BYTES) {
      this.#held[this.#held.length - 1] = Buffer.concat([last, bytes]);
    } else {
      // a small piece of a large read must not keep all of it
      const isSmallPart = bytes.length * 2 < bytes.buffer.byteLength;
      this.#held.push(isSmallPart ? Buffer.from(bytes) : bytes);
    }
    this.#server.heldBytes += bytes.length;
    this.#server.touched();
  }

  #deliver(bytes: Buffer): void {
    this.#uncreditedBytes += bytes.length;
    this.#server.services.events.requestBody(this.exchange, bytes);
    if (!this.#isPaused) this.#giveCredit();
  }

  #giveCredit(): void {
    if (this.#uncreditedBytes === 0) return;
    this.#server.connection.consumed(this.#stream, this.#uncreditedBytes);
    this.#uncreditedBytes = 0;
    this.#server.touched();
  }

  /** The request is complete; `trailers` are field lines or "". */
  takeEnd(trailers: string): void {
    const { exchange } = this;
    // while no connection is there, an end is given to nobody either
    if (this.#isPaused || this.#held !== undefined || this.#isAsking) {
      this.#heldEnd = trailers;
      this.#watchLastBytes();
      return;
    }
    if (exchange.isRequestComplete || this.#isOver) return;
    exchange.isRequestComplete = true;
    this.#server.services.wheel.forget(this);
    this.#server.services.events.requestEnd(exchange, trailers);
    if (exchange.isTunnel && this.#stream.isOutputOver) this.#complete();
  }

  pauseRequest(): void {
    this.#isPaused = true;
    if (this.#waitedBytes === 0) this.#server.services.wheel.forget(this);
    this.#watchLastBytes();
  }

  resumeRequest(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#giveCredit();
    this.#deliverHeld();
    if (!this.exchange.isRequestComplete && !this.#isPaused && !this.#isOver) this.#watchBody();
  }

  #deliverHeld(): void {
    for (let bytes = this.#held?.shift(); bytes !== undefined; bytes = this.#held?.shift()) {
      if (this.#held?.length === 0) this.#held = undefined;
      this.#server.heldBytes -= bytes.length;
      this.#deliver(bytes);
      if (this.#isPaused || this.#isOver) return;
    }
    if (this.#isPaused || this.#heldEnd === undefined) return;
    const trailers = this.#heldEnd;
    this.#heldEnd = undefined;
    this.takeEnd(trailers);
  }

  /** The stream, or its connection, is gone. */
  lost(detail: string): void {
    if (this.#isOver) return;
    this.#fail(fail("downstream_closed", detail));
    this.#over();
  }

  #fail(failure: Failure): void {
    this.#server.services.events.downstreamFailed(this.exchange, failure);
  }

  // ── the response ──

  sendInterim(_exchange: Exchange, status: number, lines: string): void {
    this.#server.connection.sendInterim(this.#stream, status, lines);
    this.#server.touched();
  }

  sendHead(exchange: Exchange, isEnd: boolean): boolean {
    const { connection } = this.#server;
    const { first, firstStart, firstEnd } = exchange;
    exchange.isHeadSent = true;
    exchange.first = undefined;
    this.#server.services.wheel.forget(this); // a conversation from here on: see #watchBody
    if (this.#isAsking) this.#refuseWebSocket(exchange);
    const hasBody = first !== undefined && firstEnd > firstStart && exchange.sentBodyKind !== BODY_NONE;
    connection.sendResponse(this.#stream, exchange, isEnd && !hasBody);
    let isOpen = true;
    if (hasBody) {
      exchange.bytesSent += firstEnd - firstStart;
      const bytes = firstEnd === first.length ? first : first.subarray(0, firstEnd);
      isOpen = connection.sendDataFrom(this.#stream, bytes, firstStart, isEnd);
    }
    if (!isOpen && this.#isRefusedMemory()) return true;
    this.#sent(isOpen, isEnd);
    return isOpen;
  }

  /** What waits for this client would be too much: its exchange ends. */
  #isRefusedMemory(): boolean {
    if (!this.#server.services.budget.isExhausted) return false;
    this.#fail(fail("out_of_memory", "the client takes no bytes"));
    return true;
  }

  /** To a client that asked with CONNECT, 2xx means a tunnel: an endpoint that did not switch has not agreed. */
  #refuseWebSocket(exchange: Exchange): void {
    if (exchange.sentStatus >= 200 && exchange.sentStatus < 300) exchange.sentStatus = BAD_GATEWAY;
  }

  sendBody(exchange: Exchange, bytes: Buffer): boolean {
    exchange.bytesSent += bytes.length;
    const isOpen = this.#server.connection.sendData(this.#stream, bytes, false);
    if (!isOpen && this.#isRefusedMemory()) return true;
    this.#sent(isOpen, false);
    return isOpen;
  }

  roomFor(): number {
    return this.#server.connection.roomFor(this.#stream);
  }

  sendEnd(exchange: Exchange, trailers: string): void {
    if (exchange.isTunnel) {
      exchange.isResponseComplete = true;
      this.#server.connection.sendTrailers(this.#stream, "");
      this.#server.touched();
      if (exchange.isRequestComplete && this.#stream.isOutputOver) this.#complete();
      else this.#watchLastBytes();
      return;
    }
    this.#server.connection.sendTrailers(this.#stream, trailers);
    this.#sent(true, true);
  }

  /** The endpoint has agreed: what comes is handed on as it is. */
  sendSwitch(exchange: Exchange): void {
    const accept = exchange.responseFields.get(WEBSOCKET_ACCEPT);
    if (this.#webSocketKey === "" || accept !== acceptOf(this.#webSocketKey)) {
      this.#fail(fail("upgrade_unasked", "the endpoint's Sec-WebSocket-Accept is not ours"));
      return;
    }
    exchange.isHeadSent = true;
    exchange.isTunnel = true;
    exchange.isRequestComplete = false;
    exchange.responseFields.drop("sec-websocket-accept");
    exchange.sentStatus = exchange.sentStatus === SWITCHED ? 200 : exchange.sentStatus;
    this.#server.connection.sendResponse(this.#stream, exchange, false);
    this.#server.services.wheel.forget(this);
    this.#server.touched();
    this.#deliverHeld();
  }

  abort(exchange: Exchange): void {
    this.#server.connection.reset(this.#stream, exchange.isTunnel ? CANCEL : INTERNAL_ERROR);
    this.#over();
  }

  /** What could not be sent is out. */
  drained(): void {
    this.#waitedBytes = 0;
    this.#server.services.wheel.forget(this);
    if (this.#stream.isOutputOver) {
      if (!this.exchange.isTunnel || this.exchange.isRequestComplete) this.#complete();
      return;
    }
    if (!this.exchange.isRequestComplete && !this.#isPaused) this.#watchBody();
    this.#server.services.events.downstreamDrained(this.exchange);
  }

  #sent(isOpen: boolean, isEnd: boolean): void {
    this.#server.touched();
    if (!isOpen) this.#watchClient();
    if (!isEnd) return;
    this.exchange.isResponseComplete = true;
    if (this.#stream.isOutputOver) this.#complete();
  }

  /** The last byte is on its way. */
  #complete(): void {
    if (this.#isOver) return;
    const { exchange } = this;
    this.#server.services.events.responseSent(exchange);
    if (!this.#stream.isInputOver) this.#endEarly(exchange);
    this.#over();
  }

  /**
   * §8.1: an answer may come before the end of its request, whose rest is of no use. The client has a moment to end it
   * by itself: some take a reset for a failure, whatever its code.
   */
  #endEarly(exchange: Exchange): void {
    const isLong = exchange.failure?.code === "body_too_large";
    if (isLong) this.#server.connection.reset(this.#stream, NO_ERROR);
    else
      this.#server.services.wheel.schedule(
        new AwaitedEnd(this.#server, this.#stream),
        clock.nowMs + EARLY_END_MS,
      );
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.session = undefined;
    this.#server.services.wheel.forget(this);
    for (const bytes of this.#held ?? []) this.#server.heldBytes -= bytes.length;
    this.#held = undefined;
    this.#server.exchangeOver(this.#head);
    this.#server.touched();
  }

  // ── time ──

  /**
   * The next body bytes must not be long in coming. Once the answer has begun, both sides may think for a while, as in
   * a gRPC stream: then the endpoint's session bounds the silence of either, by timeouts.idle.
   */
  #watchBody(): void {
    if (this.exchange.isTunnel || this.exchange.isHeadSent || this.#waitedBytes > 0) return;
    const { wheel } = this.#server.services;
    wheel.schedule(this, clock.nowMs + this.listener.timeouts.bodyMs);
  }

  /**
   * Both ends of a tunnel are said, and the stream is gone with them; what the endpoint still has to take waits here. If
   * it takes none, nobody else would notice: not even that the client has left.
   */
  #watchLastBytes(): void {
    if (!this.exchange.isTunnel || this.#heldEnd === undefined || !this.#stream.isOutputOver) return;
    this.#server.services.wheel.schedule(this, clock.nowMs + this.listener.timeouts.bodyMs);
  }

  /** The client must take bytes. */
  #watchClient(): void {
    this.#waitedBytes = this.#stream.queuedBytes;
    this.#sentByThen = this.#server.connection.sentBytes;
    this.#server.services.wheel.schedule(this, clock.nowMs + this.listener.timeouts.bodyMs);
  }

  /** It took bytes of this stream, or of others that went first while this one might have been sent. */
  get #isClientReading(): boolean {
    const { queuedBytes, sendWindow } = this.#stream;
    const isOvertaken = sendWindow > 0 && this.#server.connection.sentBytes > this.#sentByThen;
    return queuedBytes < this.#waitedBytes || isOvertaken;
  }

  expire(): void {
    if (this.#waitedBytes > 0) {
      if (this.#isClientReading) this.#watchClient();
      else this.#fail(fail("send_timeout"));
    } else if (!this.exchange.isRequestComplete) this.#fail(fail("body_timeout"));
  }
}

/** A stream that is answered, and whose request has not ended. */
class AwaitedEnd implements Timed {
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly #server: StreamOwner;
  readonly #stream: H2Stream;

  constructor(server: StreamOwner, stream: H2Stream) {
    this.#server = server;
    this.#stream = stream;
  }

  expire(): void {
    if (this.#stream.isClosed) return;
    this.#server.connection.reset(this.#stream, NO_ERROR);
    this.#server.streamOver();
  }
}
