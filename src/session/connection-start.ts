/**
 * Connection start: what comes before HTTP on a connection: PROXY header, TLS handshake, protocol.
 *
 * shape  stages: proxy → hello → handshake → HTTP with TLS whose first bytes must be seen, handshake → HTTP where
 *        the runtime shakes hands from the first byte, proxy → preface → HTTP without TLS
 * rule   PROXY header and handshake together must be done within timeouts.handshake; what is not TLS is closed and
 *        counted; then the HTTP session takes the socket over and nothing of this is left
 * spec   RFC 9113 §3.3, §3.4 (prior knowledge), RFC 8737 §3 (tls-alpn-01)
 */
import type { X509Certificate } from "node:crypto";
import { LISTENER } from "../observe/metrics.table.ts";
import { readClientHello } from "../protocol/client-hello.ts";
import { readProxyHeader } from "../protocol/proxy-line.ts";
import { clock, readClock } from "../transport/clock.ts";
import { type HandshakeError, handOver, type ShakingSession } from "../transport/listen.ts";
import type { Timed } from "../transport/timers.ts";
import { isPlainHttp, sendPlain, type TlsSocket } from "../transport/tls.ts";
import type { RawSocket } from "../transport/wire.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import type { ClientAddress } from "./h1-server.ts";
import { type HttpProtocol, startHttp } from "./http-start.ts";
import type { Place } from "./place.ts";
import { countReason } from "./services.ts";
import { SettledTls, verifiedCertificate } from "./tls-session.ts";

export type Stage = "proxy" | "hello" | "handshake" | "preface" | "over";

/** RFC 9113 §3.4. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const NOTHING = Buffer.alloc(0);
/** While leaving, a connection on which nothing has come for this long is closed. */
const LEAVING_MS = 2000;
const SPEAKS_TLS = "This port speaks TLS: use https://\n";
const PLAIN_ANSWER = Buffer.from(
  `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${SPEAKS_TLS.length}\r\nConnection: close\r\n\r\n${SPEAKS_TLS}`,
);
const METHOD_START = /^[A-Z]{1,7}$/;
const METHOD = /^[A-Z]{3,7} /;

export class ConnectionStart implements AcceptedSession, ShakingSession, Timed {
  deadlineMs = Number.POSITIVE_INFINITY;
  wheelTick = 0;
  wheelIndex = 0;
  #socket: RawSocket;
  #client: ClientAddress;
  readonly #place: Place;
  #stage: Stage;
  #bytes: Buffer = NOTHING;
  #isChallenge = false;
  #isCounted = false;

  constructor(socket: RawSocket, client: ClientAddress, place: Place, stage: Stage) {
    this.#socket = socket;
    this.#client = client;
    this.#place = place;
    this.#stage = stage;
    const { handshakeMs, headMs } = place.listener.timeouts;
    place.services.wheel.schedule(this, clock.nowMs + (stage === "preface" ? headMs : handshakeMs));
  }

  onData(bytes: Buffer): void {
    readClock();
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    if (this.#stage === "proxy") this.#readProxyHeader();
    if (this.#stage === "hello") this.#readHello();
    if (this.#stage === "preface") this.#readPreface();
  }

  // ── stages ──

  #readProxyHeader(): void {
    const header = readProxyHeader(this.#bytes);
    if (header === "more") return;
    if (header === undefined) {
      this.#end("proxy"); // not what was agreed: whoever it is, we cannot name it
      return;
    }
    if (header.source !== undefined) {
      this.#client = { ...this.#client, ...header.source, localPort: header.destinationPort };
    }
    this.#bytes = this.#bytes.subarray(header.bytes);
    const { tls, protocols } = this.#place.listener;
    if (tls !== undefined) this.#stage = "hello";
    else if (protocols.includes("h2")) this.#stage = "preface";
    else this.#begin("h1");
  }

  #readHello(): void {
    const { listener } = this.#place;
    const hello = readClientHello(this.#bytes);
    if (hello === "more") return;
    if (hello === undefined || listener.tls === undefined) {
      this.#refusePlain();
      return;
    }
    const answer = listener.tls.answer(hello);
    if (answer.kind === "alert") {
      this.#socket.write(answer.alert);
      this.#fail();
      return;
    }
    this.#stage = "handshake";
    this.#isChallenge = answer.isChallenge;
    const first = this.#bytes;
    this.#bytes = NOTHING;
    this.#socket = this.#place.secure(this.#socket, this, {
      ...answer,
      rules: listener.tls.settings.rules,
      first,
    });
  }

  /** No hello: somebody who takes this for a plain port is told, as soon as a method can be read. */
  #refusePlain(): void {
    const start = this.#bytes.toString("latin1", 0, 8);
    if (METHOD_START.test(start)) return;
    if (METHOD.test(start)) this.#socket.write(PLAIN_ANSWER);
    this.#fail();
  }

  onHandshake(isDone: boolean, error: HandshakeError | null | undefined): void {
    readClock();
    if (this.#stage !== "handshake") return;
    const { listener } = this.#place;
    const socket = this.#socket as TlsSocket;
    if (!isDone || listener.tls === undefined) {
      if (isPlainHttp(error)) sendPlain(socket, PLAIN_ANSWER);
      this.#fail();
      return;
    }
    const { clientAuth } = listener.tls.settings.rules;
    const x509 = clientAuth === "off" ? undefined : verifiedCertificate(socket, error);
    const protocol = this.#agreedProtocol(socket);
    const isRefused = clientAuth === "require" && x509 === undefined && !this.#isChallenge;
    if (isRefused || protocol === undefined) this.#fail();
    else this.#settle(socket, protocol, x509);
  }

  /** out  undefined when the client offered nothing and HTTP/1 is not spoken here (RFC 9113 §3.2) */
  #agreedProtocol(socket: TlsSocket): HttpProtocol | undefined {
    if (socket.alpnProtocol === "h2") return "h2";
    const { protocols } = this.#place.listener;
    return protocols.includes("h1") || this.#isChallenge ? "h1" : undefined;
  }

  #settle(socket: TlsSocket, protocol: HttpProtocol, x509: X509Certificate | undefined): void {
    this.#count(LISTENER.at.handshakes);
    if (socket.isSessionReused()) this.#count(LISTENER.at.handshakesResumed);
    if (this.#isChallenge) {
      this.#end("over");
      return;
    }
    this.#client = { ...this.#client, tls: new SettledTls(socket, this.#place.listener, x509) };
    this.#begin(protocol);
  }

  #readPreface(): void {
    const length = Math.min(this.#bytes.length, PREFACE.length);
    const isPreface = this.#bytes.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (isPreface && length === PREFACE.length) this.#begin("h2");
    else if (!isPreface && this.#place.listener.protocols.includes("h1")) this.#begin("h1");
    else if (!isPreface) this.#end("over");
  }

  /** HTTP takes over, with what was read too much. */
  #begin(protocol: HttpProtocol): void {
    const { services, keeper } = this.#place;
    this.#stage = "over";
    services.wheel.forget(this);
    if (protocol === "h2") this.#count(LISTENER.at.h2Connections);
    const session = startHttp(protocol, this.#socket, this.#place, this.#client);
    handOver(this.#socket, session);
    keeper.replaced(this, session);
    const rest = this.#bytes;
    this.#bytes = NOTHING;
    if (rest.length > 0) session.onData(rest);
  }

  // ── ends ──

  /** The handshake has failed. */
  #fail(): void {
    this.#countFailure();
    this.#stage = "over";
    this.#socket.close();
  }

  #end(how: "proxy" | "over"): void {
    this.#stage = "over";
    if (how === "proxy") this.#socket.terminate();
    else this.#socket.close();
  }

  onDrain(): void {
    // nothing of ours waits
  }

  onEnd(): void {
    if (this.#isShaking()) this.#fail();
    else this.#socket.terminate();
  }

  onClose(_isReset: boolean): void {
    this.#place.services.wheel.forget(this);
    if (this.#isShaking()) this.#countFailure();
    this.#stage = "over";
  }

  expire(): void {
    if (this.#isShaking()) this.#countFailure();
    this.#stage = "over";
    this.#socket.terminate();
  }

  /** A handshake under way is finished: a request is about to follow. */
  leave(): void {
    const { wheel } = this.#place.services;
    wheel.schedule(this, Math.min(this.deadlineMs, clock.nowMs + LEAVING_MS));
  }

  kill(): void {
    this.#stage = "over";
    this.#socket.terminate();
  }

  #isShaking(): boolean {
    return this.#stage === "hello" || this.#stage === "handshake";
  }

  #count(offset: number): void {
    const { listener, services } = this.#place;
    const at = listener.slot + offset;
    services.counters[at] = (services.counters[at] as number) + 1;
  }

  #countFailure(): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    this.#count(LISTENER.at.handshakeFailures);
    countReason(this.#place.services, "tls_handshake");
  }
}
