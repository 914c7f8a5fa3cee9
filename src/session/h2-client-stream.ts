/**
 * One exchange on an HTTP/2 connection to an endpoint: the exchange's Upstream.
 *
 * why    what HTTP/1 says with a connection is said with a stream here: back-pressure by credit, an end by END_STREAM, a
 *        cut by RST_STREAM
 * rule   response bytes that come while the client is slow wait here, bounded by the stream's window; their credit goes
 *        back when the client has taken them. A head waits until the end of its read for the body that came with it:
 *        both then leave in one write. Request bytes are kept for a while, for an endpoint that has not begun.
 * note   a WebSocket is asked for by extended CONNECT; its 200 becomes the 101 that the client's side knows
 * spec   RFC 9113 §8, RFC 8441 §5
 */
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, type BodyKind } from "../core/body.ts";
import { type Failure, type FailureCode, fail } from "../core/failure.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import { Fields, fieldsOfLines } from "../core/fields.ts";
import { CANCEL, errorName, NO_ERROR, REFUSED_STREAM } from "../protocol/h2/codes.table.ts";
import type { H2Connection } from "../protocol/h2/connection.ts";
import type { Head } from "../protocol/h2/head.ts";
import { authorityOf, type H2RequestToWrite } from "../protocol/h2/head-writer.ts";
import type { H2Stream } from "../protocol/h2/stream.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import { acceptOf } from "../protocol/websocket-key.ts";
import { clock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import type { EndpointAccount } from "./endpoint-account.ts";
import type { Exchange, Upstream } from "./exchange.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** A tunnel on which neither side says a word for so long is taken for dead. */
const TUNNEL_IDLE_MS = 60 * 60 * 1000;
/** An endpoint that sends 1xx for ever is not answering. */
const MAX_INTERIMS = 32;
/**
 * Request bytes that are kept until the endpoint answers, to be sent again when it says that it has not begun: what may
 * be sent before it has said a word, unless it has told other windows (RFC 9113 §6.9.2).
 */
const MAX_KEPT_BYTES = 65_535;
const SWITCHED = 101;
const WEBSOCKET_KEY = fieldIdOf("sec-websocket-key");
const ADDED_KEY = /^sec-websocket-key: ([^\r]*)/im;
/** RFC 8441 §5: HTTP/2 has no use for it, and the endpoint may make its own. */
const KEY_MASK = fieldMask("sec-websocket-key");

/** The connection, as its streams see it. */
export interface ClientStreamOwner {
  readonly connection: H2Connection;
  readonly account: EndpointAccount;
  readonly scheme: "http" | "https";
  /** The connection has carried an answer before: if it breaks now, it may have been broken before we asked. */
  readonly isProven: boolean;
  /** Bytes that all streams hold: of responses that wait, of requests that may have to be sent again. */
  heldBytes: number;
  /** Something may have to be sent. */
  touched(): void;
  /** Tells the head at the end of this read, if no body comes before. */
  headWaits(stream: H2ClientStream): void;
  /** The exchange is over: there may be room for another. */
  streamOver(): void;
  /** Nothing came for an exchange that was sent at `sentAtMs`: is anybody there? */
  suspect(sentAtMs: number): void;
}

/** The request being written: one for the process, as each is written in one go. */
class Outgoing implements H2RequestToWrite {
  scheme = "";
  authority = "";
  protocol = "";
  takesTrailers = false;
  upstreamMethod = "";
  upstreamTarget = "";
  requestFields = new Fields();
  upstreamDropLow = 0;
  upstreamDropHigh = 0;
  upstreamAdded = "";
  upstreamIdLines = "";
  requestBodyKind: BodyKind = BODY_NONE;
  requestBodyLength = 0;
  upgrade = "";

  fill(exchange: Exchange, scheme: string): void {
    this.scheme = scheme;
    this.authority = authorityOf(exchange);
    this.protocol = exchange.upgrade;
    this.takesTrailers = exchange.takesTrailers;
    this.upstreamMethod = exchange.upgrade === "" ? exchange.upstreamMethod : "CONNECT";
    this.upstreamTarget = exchange.upstreamTarget;
    this.requestFields = exchange.requestFields;
    this.upstreamDropLow = exchange.upstreamDropLow | KEY_MASK.low;
    this.upstreamDropHigh = exchange.upstreamDropHigh | KEY_MASK.high;
    this.upstreamAdded = exchange.upstreamAdded;
    this.upstreamIdLines = exchange.upstreamIdLines;
    this.requestBodyKind = exchange.requestBodyKind;
    this.requestBodyLength = exchange.requestBodyLength;
  }
}

const OUTGOING = new Outgoing();
const NOTHING_KEPT: Buffer[] = [];

/** True when no body byte follows the head. */
function isBodyless({ requestBodyKind, requestBodyLength }: Exchange): boolean {
  return requestBodyKind === BODY_NONE || requestBodyLength === 0;
}

/** What the client's side will look for in the answer: its own key, or one made for a client that has none. */
function webSocketKeyOf({ requestFields: fields }: Exchange): string {
  return fields.get(WEBSOCKET_KEY) ?? ADDED_KEY.exec(fields.added)?.[1] ?? "";
}

export class H2ClientStream implements Upstream, Timed {
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly #client: ClientStreamOwner;
  readonly #stream: H2Stream;
  readonly #exchange: Exchange;
  readonly #isReused: boolean;
  #head: Head | undefined;
  #isOver = false;
  #isPaused = false;
  #isRequestOut = false;
  /** What was given of the body, as long as it can be given again; undefined = part of it is gone for good. */
  #kept: Buffer[] | undefined = NOTHING_KEPT;
  #keptBytes = 0;
  #trailers = "";
  #isHeadWaiting = false;
  #interims = 0;
  /** What came while the client was slow. */
  #held: Buffer[] = [];
  /** The end came behind it, with these trailers. */
  #heldEnd: string | undefined;
  /** Given to the client, which has not taken all of it yet. */
  #uncreditedBytes = 0;

  constructor(client: ClientStreamOwner, stream: H2Stream, exchange: Exchange) {
    this.#client = client;
    this.#stream = stream;
    this.#exchange = exchange;
    this.#isReused = client.isProven;
  }

  // ── the request ──

  /** Sends the request head. */
  begin(): void {
    const exchange = this.#exchange;
    const isTunnel = exchange.upgrade !== "";
    exchange.upstream = this;
    exchange.sentAtMs = clock.nowMs;
    this.#isRequestOut = !isTunnel && isBodyless(exchange);
    OUTGOING.fill(exchange, this.#client.scheme);
    this.#client.connection.sendRequest(this.#stream, OUTGOING, this.#isRequestOut);
    this.#client.touched();
    const { responseMs, idleMs } = exchange.timeouts;
    this.#watch(this.#isRequestOut || isTunnel ? responseMs : idleMs);
  }

  sendBody(bytes: Buffer): boolean {
    const { timeouts, isTunnel } = this.#exchange;
    this.#keep(bytes);
    if (!this.#isPaused) this.#watch(isTunnel ? TUNNEL_IDLE_MS : timeouts.idleMs);
    const isOpen = this.#client.connection.sendData(this.#stream, bytes, false);
    this.#client.touched();
    return isOpen;
  }

  sendEnd(trailers: string): void {
    const { timeouts, isTunnel } = this.#exchange;
    this.#isRequestOut = true;
    this.#trailers = trailers;
    this.#client.connection.sendTrailers(this.#stream, isTunnel ? "" : trailers);
    this.#client.touched();
    if (isTunnel) this.#endTunnel();
    else if (!this.#isPaused) this.#watch(this.#head === undefined ? timeouts.responseMs : timeouts.idleMs);
  }

  /** Copies: the piece may be a small part of a large read. */
  #keep(bytes: Buffer): void {
    if (this.#kept === undefined) return;
    const isTooMuch = this.#keptBytes + bytes.length > MAX_KEPT_BYTES;
    if (isTooMuch || this.#exchange.isTunnel || this.#client.account.services.budget.isExhausted) {
      this.#keepNothing();
      return;
    }
    if (this.#keptBytes === 0) this.#kept = [];
    this.#kept.push(Buffer.from(bytes));
    this.#keptBytes += bytes.length;
    this.#client.heldBytes += bytes.length;
  }

  #keepNothing(): void {
    this.#client.heldBytes -= this.#keptBytes;
    this.#keptBytes = 0;
    this.#kept = undefined;
  }

  /** What could not be sent is out. */
  drained(): void {
    if (this.#exchange.isTunnel) this.#endTunnel();
    if (this.#isOver || this.#isRequestOut) return;
    this.#client.account.services.events.upstreamDrained(this.#exchange);
  }

  /** A tunnel is over when both ways are. */
  #endTunnel(): void {
    if (this.#isOver || !this.#stream.isClosed) return;
    this.#over();
    this.#client.account.finished();
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#client.connection.reset(this.#stream, CANCEL);
    this.#over();
    this.#client.account.finished();
  }

  // ── the response ──

  takeHead(head: Head, isEnd: boolean): void {
    const { connection } = this.#client;
    if (this.#isOver) {
      connection.releaseHead(head);
      return;
    }
    if (head.status < 200) {
      this.#takeInterim(head);
      return;
    }
    const exchange = this.#exchange;
    this.#head = head;
    this.#keepNothing();
    exchange.respondedAtMs = clock.nowMs;
    exchange.status = head.status;
    exchange.reason = reasonOf(head.status);
    exchange.isHttp10Response = false;
    exchange.responseFields = head.fields;
    this.#frame(head, isEnd);
    this.#client.account.responded(exchange);
    if (exchange.upgrade !== "" && head.status < 300) this.#takeSwitch(exchange, isEnd);
    else if (isEnd) this.#endWithHead();
    else {
      this.#isHeadWaiting = true;
      this.#client.headWaits(this);
    }
  }

  /** How much body follows, in words that every protocol shares. */
  #frame({ status, contentLength }: Head, isEnd: boolean): void {
    const exchange = this.#exchange;
    const isBodiless = exchange.upstreamMethod === "HEAD" || status === 204 || status === 304;
    exchange.responseBodyLength = status === 204 ? -1 : contentLength;
    if (isBodiless) exchange.responseBodyKind = BODY_NONE;
    else if (contentLength >= 0) exchange.responseBodyKind = BODY_LENGTH;
    else if (isEnd && !exchange.isHttp2) {
      // HTTP/1 says so with a length; gRPC, on HTTP/2, would take one for a body that is missing
      exchange.responseBodyKind = BODY_LENGTH;
      exchange.responseBodyLength = 0;
    } else exchange.responseBodyKind = BODY_STREAM;
  }

  #takeInterim(head: Head): void {
    const { connection, account } = this.#client;
    if (++this.#interims > MAX_INTERIMS) this.#abandon(fail("h2_response", "1xx without end"));
    else account.services.events.interim(this.#exchange, head.status, head.fields);
    connection.releaseHead(head);
  }

  /** The endpoint agrees to a WebSocket: told as HTTP/1 would (RFC 6455 §4.2.2). */
  #takeSwitch(exchange: Exchange, isEnd: boolean): void {
    const { responseFields: fields, upgrade } = exchange;
    fields.drop("sec-websocket-accept");
    exchange.responseFields = fieldsOfLines(
      `Upgrade: ${upgrade}\r\nSec-WebSocket-Accept: ${acceptOf(webSocketKeyOf(exchange))}\r\n${fields.linesWithout(0, 0)}`,
    );
    exchange.status = SWITCHED;
    exchange.reason = reasonOf(SWITCHED);
    exchange.responseBodyKind = BODY_NONE;
    exchange.responseBodyLength = -1;
    exchange.deadlineMs = NEVER;
    this.#watch(TUNNEL_IDLE_MS);
    this.#client.account.services.events.response(exchange, false);
    if (isEnd) this.takeEnd("");
  }

  /** The read is over, and no body came with the head. */
  settle(): void {
    if (!this.#isHeadWaiting || this.#isOver) return;
    this.#isHeadWaiting = false;
    this.#client.account.services.events.response(this.#exchange, false);
    this.#watchBody();
  }

  takeBody(bytes: Buffer, isEnd: boolean): void {
    if (this.#isOver) {
      this.#client.connection.consumed(this.#stream, bytes.length);
      return;
    }
    const { responseBodyKind, isTunnel } = this.#exchange;
    if (bytes.length > 0 && responseBodyKind === BODY_NONE && !isTunnel) {
      // §8.1: to HEAD, and with 204 and 304, there is none: passed on, it would be taken for the next answer
      this.#abandon(fail("h2_response", "a body where none may be"));
    } else if (this.#isHeadWaiting) this.#takeFirst(bytes, isEnd);
    else {
      if (bytes.length > 0) this.#takeMore(bytes);
      if (isEnd) this.takeEnd("");
      else this.#watchBody();
    }
  }

  #takeMore(bytes: Buffer): void {
    if (!this.#isPaused) {
      this.#deliver(bytes);
      return;
    }
    if (this.#client.account.services.budget.isExhausted) {
      this.#abandon(fail("out_of_memory", "the client takes no bytes"));
      return;
    }
    this.#held.push(bytes);
    this.#client.heldBytes += bytes.length;
    this.#client.touched();
  }

  /** Body bytes that came with the head. */
  #takeFirst(bytes: Buffer, isEnd: boolean): void {
    const exchange = this.#exchange;
    this.#isHeadWaiting = false;
    if (bytes.length > 0) {
      exchange.first = bytes;
      exchange.firstStart = 0;
      exchange.firstEnd = bytes.length;
    }
    if (isEnd) {
      this.#endWithHead();
      return;
    }
    this.#uncreditedBytes = bytes.length;
    this.#client.account.services.events.response(exchange, false);
    if (!this.#isPaused) this.#giveCredit();
    this.#watchBody();
  }

  #deliver(bytes: Buffer): void {
    this.#uncreditedBytes += bytes.length;
    this.#client.account.services.events.responseBody(this.#exchange, bytes);
    if (!this.#isPaused) this.#giveCredit();
  }

  #giveCredit(): void {
    if (this.#uncreditedBytes === 0) return;
    this.#client.connection.consumed(this.#stream, this.#uncreditedBytes);
    this.#uncreditedBytes = 0;
    this.#client.touched();
  }

  /** The response is complete with its head, and what stands in `exchange.first`. */
  #endWithHead(): void {
    const exchange = this.#exchange;
    const head = this.#head;
    this.#complete();
    this.#client.account.services.events.response(exchange, true);
    this.#forget(head);
  }

  /** The response is complete; `trailers` are field lines or "". */
  takeEnd(trailers: string): void {
    if (this.#isOver) return;
    if (this.#held.length > 0) {
      this.#heldEnd = trailers;
      return;
    }
    this.settle();
    const exchange = this.#exchange;
    const head = this.#head;
    if (!exchange.isTunnel || this.#stream.isOutputOver) this.#complete();
    this.#client.account.services.events.responseEnd(exchange, trailers);
    this.#forget(head);
  }

  /** Somebody who still has to log the exchange may look at the fields: then they are left to the collector. */
  #forget(head: Head | undefined): void {
    if (head !== undefined && this.#exchange.isOver) this.#client.connection.releaseHead(head);
  }

  pauseResponse(): void {
    this.#isPaused = true;
    this.#watch(NEVER);
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#giveCredit();
    this.#watchBody();
    this.#deliverHeld();
  }

  #deliverHeld(): void {
    while (this.#held.length > 0 && !this.#isPaused && !this.#isOver) {
      const bytes = this.#held.shift() as Buffer;
      this.#client.heldBytes -= bytes.length;
      this.#deliver(bytes);
    }
    if (this.#held.length > 0 || this.#heldEnd === undefined) return;
    const trailers = this.#heldEnd;
    this.#heldEnd = undefined;
    this.takeEnd(trailers);
  }

  // ── the end ──

  /** The stream was reset, by the endpoint or for its mistake. */
  wasReset(code: number): void {
    if (this.#isOver || this.#heldEnd !== undefined) return; // §8.1: the answer was complete, the rest is of no use
    if (code === REFUSED_STREAM) this.refused(errorName(code));
    else if (this.#stream.isFaulty) this.#cut("h2_response", errorName(code));
    else {
      const detail = `RST_STREAM ${errorName(code)}`;
      this.#cut(this.#head === undefined ? "upstream_reset" : "upstream_cut", detail);
    }
  }

  /** The endpoint says that it has not begun (RFC 9113 §8.7): nothing is lost unless part of the request is. */
  refused(detail: string): void {
    if (this.#isOver) return;
    const exchange = this.#exchange;
    if (this.#kept !== undefined && !isBodyless(exchange)) {
      exchange.bodyAgain = Buffer.concat(this.#kept);
      exchange.trailersAgain = this.#trailers;
    }
    this.#cut(this.#kept === undefined ? "upstream_reset" : "stream_refused", detail);
  }

  /** The connection is gone, or broken. */
  lost(code: FailureCode | undefined, detail: string): void {
    if (this.#isOver || this.#heldEnd !== undefined) return;
    const found = this.#head !== undefined ? "upstream_cut" : this.#isReused ? "stale_connection" : undefined;
    this.#cut(code ?? found ?? "upstream_reset", detail);
  }

  /** Body bytes that came before count, however slow the client; a head that nobody has been told of does not. */
  #cut(code: FailureCode, detail: string): void {
    this.#isPaused = false;
    while (this.#held.length > 0 && !this.#isOver) {
      const bytes = this.#held.shift() as Buffer;
      this.#client.heldBytes -= bytes.length;
      this.#client.account.services.events.responseBody(this.#exchange, bytes);
    }
    if (this.#isOver) return;
    this.#client.connection.reset(this.#stream, CANCEL);
    this.#fail(fail(code, detail));
  }

  expire(): void {
    const exchange = this.#exchange;
    if (this.#head === undefined) this.#client.suspect(exchange.sentAtMs);
    this.#abandon(fail(this.#timeoutCode(exchange)));
  }

  #timeoutCode(exchange: Exchange): FailureCode {
    if (clock.nowMs >= exchange.deadlineMs) return "request_timeout";
    return this.#head !== undefined || !this.#isRequestOut ? "upstream_idle" : "response_timeout";
  }

  #abandon(failure: Failure): void {
    this.#client.connection.reset(this.#stream, CANCEL);
    this.#fail(failure);
  }

  #fail(failure: Failure): void {
    const exchange = this.#exchange;
    this.#over();
    exchange.upstream = undefined;
    const { account } = this.#client;
    if (!exchange.isTunnel) account.failed(exchange, failure, false);
    else {
      account.finished(); // either side may end a tunnel at any time
      account.services.events.upstreamFailed(exchange, failure);
    }
  }

  #complete(): void {
    this.#exchange.upstream = undefined;
    // §8.1: the rest of the request is of no use
    if (!this.#stream.isOutputOver) this.#client.connection.reset(this.#stream, NO_ERROR);
    this.#over();
    this.#client.account.finished(true);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const bytes of this.#held.splice(0)) this.#client.heldBytes -= bytes.length;
    this.#keepNothing();
    this.#client.account.services.wheel.forget(this);
    this.#client.touched(); // a reset may have to go out
    this.#client.streamOver();
  }

  /** Sets the deadline `afterMs` from now, or the exchange's own if that is nearer. */
  #watch(afterMs: number): void {
    if (this.#isOver) return;
    const deadline = afterMs > 0 ? clock.nowMs + afterMs : NEVER;
    this.#client.account.services.wheel.schedule(this, Math.min(deadline, this.#exchange.deadlineMs));
  }

  /** While body bytes are due, and we are ready to take them, the endpoint may not stay silent. */
  #watchBody(): void {
    if (this.#isPaused) return;
    this.#watch(this.#exchange.isTunnel ? TUNNEL_IDLE_MS : this.#exchange.timeouts.idleMs);
  }
}
