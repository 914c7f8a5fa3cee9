/**
 * Dialed session: what a connection to an endpoint reports to.
 */
import type { FailureCode } from "../core/failure.ts";
import type { RawSocket, SocketSession } from "./wire.ts";

/** For each dial, one of `onOpen` and `onRefused` is told, once. */
export interface DialedSession extends SocketSession {
  /** `protocol`: what ALPN chose, "" when it was not asked or said nothing. */
  onOpen(socket: RawSocket, protocol: string): void;
  /** The connection was not made, or could not be secured; the socket is gone. */
  onRefused(detail: string, code: FailureCode): void;
  /** The endpoint ends TLS with an alert: `onClose` follows. */
  onAlert?(detail: string): void;
  /** One of these threw: the connection is closed. */
  onDefect(defect: unknown): void;
  /** Bytes that go out first, before TLS: a new socket takes them whole. */
  readonly preface?: Buffer | undefined;
}
