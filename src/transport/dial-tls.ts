/**
 * Dial TLS: secures a connection that was dialled and verifies who answers; the session hears of it only then.
 *
 * why    the runtime tells `open` before the handshake and lets a caller write whatever it thinks of the certificate:
 *        here nothing above sees a socket whose other end has not been verified
 * out    the same as for plain connections: `onOpen`, with the protocol that ALPN chose, or `onRefused`, never both
 * rule   a connection that cannot be secured is closed: there is no second try in plain text
 * bound  a few session tickets for each endpoint; each TLS 1.3 ticket is used once (RFC 8446 §C.4)
 * note   secureContext, ALPN in wire format, setSession, upgradeTLS on a client: tests/runtime/connect-tls holds them
 */
import { createSecureContext } from "node:tls";
import type { FailureCode } from "../core/failure.ts";
import type { DialedSession } from "./dialed-session.ts";
import type { RawSocket } from "./wire.ts";

/** Which protocols are offered to the endpoint: `both` leaves the choice to it. */
export type Offer = "h1" | "h2" | "both";

/** PEM texts. */
export interface TlsContextOptions {
  /** undefined = the authorities that the system trusts. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** What the runtime makes of certificates and keys; the same object serves any number of connections. */
export interface TlsContext {
  readonly native: object;
}

/** Throws when a text is no certificate or key, or when certificate and key do not belong together. */
export function makeTlsContext({ ca, cert, key }: TlsContextOptions): TlsContext {
  const context = createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  return { native: context.context as object };
}

/** How connections to one endpoint are secured; `context` is the same object as long as its texts are the same. */
export interface TlsSettings {
  readonly context: TlsContext;
  /** Name to ask for and to verify; "" = the IP address that is dialled. */
  readonly serverName: string;
  readonly verify: boolean;
}

/** What the runtime's sockets can do beyond RawSocket when TLS is spoken. */
export interface TlsSocket extends RawSocket {
  readonly alpnProtocol: string | false | null;
  setSession(ticket: Buffer): void;
  isSessionReused(): boolean;
  getTLSVersion(): string;
}

interface RuntimeError {
  readonly code?: string;
  readonly message: string;
}

/** ALPN protocol lists in wire format (RFC 7301 §3.1): nothing else works. */
const ALPN: Readonly<Record<Offer, Buffer>> = {
  h1: Buffer.from("\x08http/1.1", "latin1"),
  h2: Buffer.from("\x02h2", "latin1"),
  both: Buffer.from("\x02h2\x08http/1.1", "latin1"),
};
/** Servers send two or more with each handshake: enough for a burst of new connections. */
const MAX_TICKETS = 8;
/** Codes of a handshake that broke; all others are about the certificate. */
const BROKEN: ReadonlySet<string | undefined> = new Set(["EPROTO", "ECONNRESET", "EPIPE", undefined]);

/** Secures the connections to one endpoint. */
export class TlsDialer {
  readonly settings: TlsSettings;
  readonly #tickets: Buffer[] = [];

  constructor(settings: TlsSettings) {
    this.settings = settings;
  }

  /** For Bun.connect and upgradeTLS. */
  options(offer: Offer): Bun.TLSOptions {
    const { context, serverName, verify } = this.settings;
    const options = {
      secureContext: context.native,
      serverName,
      rejectUnauthorized: verify,
      ALPNProtocols: ALPN[offer],
    };
    return options as unknown as Bun.TLSOptions;
  }

  keepTicket(ticket: Buffer): void {
    if (this.#tickets.length === MAX_TICKETS) this.#tickets.shift();
    this.#tickets.push(ticket);
  }

  takeTicket(): Buffer | undefined {
    return this.#tickets.pop();
  }
}

/** One connection from its first byte on: it stands between socket and session, who may change afterwards. */
export class SecuredSession implements DialedSession {
  /** Who is told; an open connection may be handed to another. */
  session: DialedSession;
  readonly #dialer: TlsDialer;
  readonly #offer: Offer;
  #socket: TlsSocket | undefined;
  #ticket: Buffer | undefined;
  #isOpen = false;
  #isAbandoned = false;
  #code: FailureCode = "tls_failed";
  #detail = "the endpoint closed the connection during the TLS handshake";

  constructor(session: DialedSession, dialer: TlsDialer, offer: Offer) {
    this.session = session;
    this.#dialer = dialer;
    this.#offer = offer;
  }

  /** Nobody waits for this connection any more. */
  abandon(): void {
    this.#isAbandoned = true;
    if (!this.#isOpen) this.#socket?.terminate();
  }

  /** TCP is there; the handshake begins when this returns. */
  onOpen(socket: RawSocket): void {
    this.#socket = socket as TlsSocket;
    if (this.#isAbandoned) {
      socket.terminate();
      return;
    }
    this.#ticket = this.#dialer.takeTicket();
    if (this.#ticket !== undefined) this.#socket.setSession(this.#ticket);
  }

  onHandshake(isDone: boolean, error: RuntimeError | null): void {
    const socket = this.#socket;
    if (socket === undefined || this.#isOpen) return;
    const protocol = socket.alpnProtocol || "";
    if (!this.#isTrusted(isDone, error)) this.#note(error);
    else if (this.#offer === "h2" && protocol !== "h2") {
      this.#code = "tls_no_h2";
      this.#detail = `ALPN chose ${protocol === "" ? "nothing" : protocol}`;
    } else {
      this.#isOpen = true;
      // TLS 1.3 endpoints send new tickets; one of TLS 1.2 stays valid and comes once
      const isReusable = socket.isSessionReused() && socket.getTLSVersion() === "TLSv1.2";
      if (isReusable && this.#ticket !== undefined) this.#dialer.keepTicket(this.#ticket);
      this.session.onOpen(socket, protocol);
      return;
    }
    socket.terminate(); // `close` follows and tells the session
  }

  /** With `verify: false` the runtime says what it thinks of the certificate all the same. */
  #isTrusted(isDone: boolean, error: RuntimeError | null): boolean {
    if (this.#dialer.settings.verify) return isDone && error === null;
    return error === null ? isDone : !BROKEN.has(error.code);
  }

  #note(error: RuntimeError | null): void {
    if (error === null) return;
    const { code, message } = error;
    if (!BROKEN.has(code)) {
      this.#code = "tls_untrusted";
      this.#detail = `${message} (${code})`;
    } else if (code === "EPROTO") {
      this.#detail = alertText(message);
      if (this.#offer === "h2" && message.includes("NO_APPLICATION_PROTOCOL")) this.#code = "tls_no_h2";
    }
  }

  onTicket(ticket: Buffer): void {
    this.#dialer.keepTicket(ticket);
  }

  onRefused(detail: string): void {
    this.session.onRefused(detail, "connect_refused");
  }

  onAlert(detail: string): void {
    if (this.#isOpen) this.session.onAlert?.(detail);
    else this.#detail = detail;
  }

  onData(bytes: Buffer): void {
    if (this.#isOpen) this.session.onData(bytes);
  }

  onDrain(): void {
    if (this.#isOpen) this.session.onDrain();
  }

  onEnd(): void {
    if (this.#isOpen) this.session.onEnd();
    else this.#socket?.terminate();
  }

  onClose(isReset: boolean): void {
    if (this.#isOpen) this.session.onClose(isReset);
    else this.session.onRefused(this.#detail, this.#code);
  }

  onDefect(defect: unknown): void {
    this.session.onDefect(defect);
  }
}

/** `error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED` → its last part. */
export function alertText(message: string): string {
  const reason = message.slice(message.lastIndexOf(":") + 1);
  return reason === "WRONG_VERSION_NUMBER" ? `${reason}: does the endpoint speak TLS?` : reason;
}
