/**
 * Exchange: one request and its response, whatever the HTTP version.
 *
 * why    every protocol is turned into this at the edge, so that routing, policies, logs and metrics are
 *        written once; HTTP/2 will be another maker of exchanges and another upstream, nothing else
 * shape  plain state, one object a request; sessions fill in what arrived, phases what was decided
 * rule   `requestFields` and `responseFields` belong to their reader: they are valid until the exchange
 *        ends, and the response's until its connection goes back to the pool
 */
import type { AnswerMemo } from "../core/answer-memo.ts";
import { BODY_NONE, type BodyKind, LENGTH_UNKNOWN } from "../core/body.ts";
import type { Failure } from "../core/failure.ts";
import { Fields } from "../core/fields.ts";
import { idInLines, type RequestIds } from "../core/request-id.ts";
import type { Listener } from "./listener.ts";

/** Most exchanges of a connection name the same host: what follows from it is kept, not made again. */
export interface ClientMemo {
  authority: string;
  host: string;
  /** As in the keys of the cache; "" = not made yet. */
  keyAuthority: string;
  /** Field lines about this client and this authority. */
  lines: string;
}

/** A client's certificate that was verified (RFC 8446 §4.4.2). */
export interface ClientCertificate {
  /** Distinguished name, RFC 4514, as `CN=alice,O=Example`. */
  readonly subject: string;
  readonly issuer: string;
  /** As `DNS:a.example.com`, `URI:spiffe://…`, `email:…`. */
  readonly sans: readonly string[];
  readonly serial: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
  /** DER in base64: the value of Client-Cert (RFC 9440) without its colons. */
  readonly der: string;
}

/** What the TLS handshake of a client's connection settled. */
export interface TlsSession {
  /** Lower case; "" when the client named none. */
  readonly serverName: string;
  /** `TLSv1.3`. */
  readonly version: string;
  readonly cipher: string;
  readonly client: ClientCertificate | undefined;
  /** True when a connection for this server name may also ask for `host` (RFC 9110 §7.4). */
  covers(host: string): boolean;
}

/** The client's side of an exchange, as the pipeline sees it. Fulfilled by each downstream session. */
export interface Downstream {
  /** Address of the client as known after PROXY protocol; "unix" on a unix socket. */
  readonly clientIp: string;
  readonly clientPort: number;
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  /** undefined on a plain connection. */
  readonly tls: TlsSession | undefined;
  readonly listener: Listener;
  /** Port the client connected to; 0 on a unix socket. */
  readonly localPort: number;
  /** Address the client connected to; "" on a unix socket. */
  readonly localIp: string;
  /** What the pipeline remembers of this client from one exchange to the next. */
  readonly memo: ClientMemo;

  /** Sends a 1xx head; `lines` are field lines. Ignored for clients that cannot take one. */
  sendInterim(exchange: Exchange, status: number, lines: string): void;
  /**
   * Sends the response head: `responseFields` but those of framing and connection, then `sentAdded`, framed by
   * `sentBodyKind` and `sentBodyLength`; and with it the body bytes that stand in `first`, in one write where
   * that is possible. `isEnd`: the body is complete with them.
   * out  false when the client is slow: send no more until `downstreamDrained`
   */
  sendHead(exchange: Exchange, isEnd: boolean): boolean;
  /** Sends body bytes, whose memory is the session's from then on. out  as for `sendHead` */
  sendBody(exchange: Exchange, bytes: Buffer): boolean;
  /**
   * Sends body bytes `[position, position + count)` of a file that lies in memory, where this connection can do that
   * without reading them. out  bytes taken; the caller sends the rest, or at least the next byte, by `sendBody`
   */
  sendFile?(exchange: Exchange, file: number, position: number, count: number): number;
  /**
   * Body bytes that can go out now; who has more at hand than that keeps it, as what waits for a client waits in memory.
   * Not there: nobody knows.
   */
  roomFor?(exchange: Exchange): number;
  /** Ends the response; `trailers` are field lines or "". */
  sendEnd(exchange: Exchange, trailers: string): void;
  /** Makes sure that the client sees an incomplete response as incomplete. */
  abort(exchange: Exchange): void;
  /** Stops and restarts the arrival of request body bytes (back-pressure). */
  pauseRequest(exchange: Exchange): void;
  resumeRequest(exchange: Exchange): void;
  /** Sends the 101, as `sendHead`: bytes both ways are raw from here on, carried as body bytes. */
  sendSwitch(exchange: Exchange): void;
}

/** The server's side of an exchange. Fulfilled by each upstream session. */
export interface Upstream {
  /** As for Downstream. out  false when the endpoint is slow: send no more until `upstreamDrained` */
  sendBody(bytes: Buffer): boolean;
  sendEnd(trailers: string): void;
  pauseResponse(): void;
  resumeResponse(): void;
  /** Gives the exchange up: the connection is closed (HTTP/1) or the stream reset (HTTP/2). */
  cancel(): void;
}

/** What downstream sessions tell the pipeline, which fulfils it. */
export interface DownstreamEvents {
  /** A request head was read; body bytes follow only after this returns. */
  request(exchange: Exchange): void;
  requestBody(exchange: Exchange, bytes: Buffer): void;
  requestEnd(exchange: Exchange, trailers: string): void;
  downstreamDrained(exchange: Exchange): void;
  /** The last response byte was handed to the kernel. */
  responseSent(exchange: Exchange): void;
  /** The client is gone, or broke the protocol in the middle of its body. */
  downstreamFailed(exchange: Exchange, failure: Failure): void;
}

/** What upstream sessions tell the pipeline. */
export interface UpstreamEvents {
  /** A connection is there and the request head is on its way: body bytes may follow. */
  upstreamReady(exchange: Exchange): void;
  interim(exchange: Exchange, status: number, fields: Fields): void;
  /** The final response head; body bytes that came with it stand in `exchange.first`. `isEnd`: nothing follows. */
  response(exchange: Exchange, isEnd: boolean): void;
  responseBody(exchange: Exchange, bytes: Buffer): void;
  responseEnd(exchange: Exchange, trailers: string): void;
  upstreamDrained(exchange: Exchange): void;
  upstreamFailed(exchange: Exchange, failure: Failure): void;
}

/** How long the endpoint may take for each part, in ms. */
export interface UpstreamTimeouts {
  readonly connectMs: number;
  readonly responseMs: number;
  readonly idleMs: number;
}

const NO_FIELDS = new Fields();
const NO_TIMEOUTS: UpstreamTimeouts = { connectMs: 0, responseMs: 0, idleMs: 0 };

/** What is chosen for an exchange further up; sessions only carry it. */
export class Exchange<Plan = unknown> {
  readonly downstream: Downstream;
  upstream: Upstream | undefined;
  /** What the pipeline decided about it: route, endpoint, attempts. Set in phase `match`. */
  plan: Plan | undefined;

  // request, as read
  method = "";
  /** Request target as sent by the client. */
  rawTarget = "";
  isHttp10 = false;
  isHttp2 = false;
  /** Over HTTP/2: the client takes trailers (`te: trailers`), which endpoints that speak it are told. */
  takesTrailers = false;
  requestFields: Fields = NO_FIELDS;
  requestBodyKind: BodyKind = BODY_NONE;
  requestBodyLength = LENGTH_UNKNOWN;
  /** Lower-case protocol of a well-formed Upgrade request, or "". */
  upgrade = "";
  expectsContinue = false;
  /** What the client sends behind this request may be no request: the connection ends with the answer. */
  isLastOfConnection = false;

  // request, as understood (phase `receive`)
  /** The client's address; behind trusted proxies the one they name. */
  clientIp = "";
  /** Host without port, lower case. */
  host = "";
  /** Host value as sent, with port. */
  authority = "";
  /** Normalised path: what is matched and forwarded. */
  path = "";
  /** Without "?"; "" when there is none. */
  query = "";
  /** True when the authority is not told by Host: by the target (RFC 9112 §3.2.2), or in its normal form for the cache. */
  isTargetAbsolute = false;
  /** True when the path goes out exactly as it came in. */
  isPathAsSent = false;
  /** Who makes its id when somebody asks for it; undefined when a trusted proxy gave one. */
  ids: Pick<RequestIds, "nextLines"> | undefined;
  /** As made so far: see `idLines`. */
  madeIdLines = "";

  // request, as sent upstream (phase `forward`)
  upstreamMethod = "";
  /** Path and query. */
  upstreamTarget = "";
  /** Known request fields that do not pass, besides those of framing and connection. */
  upstreamDropLow = 0;
  upstreamDropHigh = 0;
  /** Field lines to append. */
  upstreamAdded = "";
  /** `idLines` when they go out as they are: appended after `upstreamAdded`. */
  upstreamIdLines = "";
  /** What an endpoint got of the body and says it has not begun: the next attempt gets it first, and then the rest. */
  bodyAgain: Buffer | undefined;
  /** Behind it, once the request is complete. */
  trailersAgain = "";
  timeouts: UpstreamTimeouts = NO_TIMEOUTS;
  /** Instant by which the whole exchange must be over. */
  deadlineMs = Number.POSITIVE_INFINITY;

  // response, as read
  status = 0;
  reason = "";
  isHttp10Response = false;
  responseFields: Fields = NO_FIELDS;
  responseBodyKind: BodyKind = BODY_NONE;
  responseBodyLength = LENGTH_UNKNOWN;

  /** Body bytes that came with the head: `first[firstStart, firstEnd)`. */
  first: Buffer | undefined;
  firstStart = 0;
  firstEnd = 0;

  // response, as sent
  sentStatus = 0;
  /** Field lines to append to `responseFields`. */
  sentAdded = "";
  sentBodyKind: BodyKind = BODY_NONE;
  /** Length to declare; for HEAD and 304 the length the resource would have. */
  sentBodyLength = LENGTH_UNKNOWN;
  /** This answer is the same as that of every other exchange with this memo. */
  answerMemo: AnswerMemo | undefined;
  /** Body bytes belong to others too: sessions may keep and send them, but not change or give back their memory. */
  isBodyShared = false;

  // life
  isHeadSent = false;
  isRequestComplete = false;
  isResponseComplete = false;
  isTunnel = false;
  /** Set once `record` has run: late events for it are ignored. */
  isOver = false;
  failure: Failure | undefined;

  // accounting: instants in ms of the monotonic clock, 0 = not reached
  acceptedAtMs = 0;
  startedAtMs = 0;
  connectStartedAtMs = 0;
  connectedAtMs = 0;
  sentAtMs = 0;
  respondedAtMs = 0;
  bytesReceived = 0;
  bytesSent = 0;

  #requestId = "";

  constructor(downstream: Downstream) {
    this.downstream = downstream;
  }

  /** Field lines X-Request-Id and traceparent of this exchange; "" when a trusted proxy gave the id. */
  get idLines(): string {
    if (this.madeIdLines === "" && this.ids !== undefined) this.madeIdLines = this.ids.nextLines();
    return this.madeIdLines;
  }

  /** The id that goes upstream, into the log and to the client with an error. */
  get requestId(): string {
    return this.#requestId === "" && this.idLines !== "" ? idInLines(this.idLines) : this.#requestId;
  }

  /** Takes over the id that a trusted proxy sent. */
  adoptRequestId(id: string): void {
    this.#requestId = id;
  }
}
