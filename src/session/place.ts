/**
 * Place: where a connection was accepted, and who keeps its session.
 */
import type { ShakingSession } from "../transport/listen.ts";
import type { TlsSocket, UpgradeTls } from "../transport/tls.ts";
import type { RawSocket } from "../transport/wire.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import type { Listener } from "./listener.ts";
import type { SessionServices } from "./services.ts";

/** Keeps the sessions of a worker. */
export interface SessionKeeper {
  opened(session: AcceptedSession, listener: Listener): void;
  /** The same connection has another session now. */
  replaced(before: AcceptedSession, after: AcceptedSession): void;
  gone(session: AcceptedSession): void;
  /** A handler threw. */
  defect(defect: unknown): void;
  /** Connections of a listener that are open in all workers together. */
  activeEverywhere(listener: Listener): number;
}

export interface Place {
  readonly listener: Listener;
  readonly services: SessionServices;
  readonly keeper: SessionKeeper;
  /** True when the runtime does the handshake before it hands out a byte. */
  readonly isNative: boolean;
  /** Goes on with TLS on a socket accepted here; `session` hears of it from now on. */
  secure(socket: RawSocket, session: ShakingSession, how: UpgradeTls): TlsSocket;
}
