/**
 * Entrance: one listening socket of a listener in this worker, and what is behind it.
 *
 * why    what a socket speaks from its first byte follows the listener's configuration and certificates, which
 *        change while it is open
 */
import { type AcceptingSocket, listenOn, type ShakingSession } from "../transport/listen.ts";
import type { NativeTls, TlsSocket, UpgradeTls } from "../transport/tls.ts";
import type { RawSocket } from "../transport/wire.ts";
import { accept } from "./accept.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import type { Listener } from "./listener.ts";
import type { Place, SessionKeeper } from "./place.ts";
import type { SessionServices } from "./services.ts";

export class Entrance implements Place {
  readonly listener: Listener;
  readonly services: SessionServices;
  readonly keeper: SessionKeeper;
  readonly #socket: AcceptingSocket;
  #key: string;

  /** Accepts at once. Throws when the descriptor is no listening socket, or the certificates cannot be used. */
  constructor(descriptor: number, listener: Listener, services: SessionServices, keeper: SessionKeeper) {
    this.listener = listener;
    this.services = services;
    this.keeper = keeper;
    this.#key = keyOf(listener);
    const acceptor = {
      onAccept: (socket: RawSocket) => this.#accept(socket),
      onGone: (session: unknown) => keeper.gone(session as AcceptedSession),
      onDefect: (defect: unknown) => keeper.defect(defect),
    };
    this.#socket = listenOn(descriptor, acceptor, nativeOf(listener));
  }

  /** True when the runtime does the handshake before it hands out a byte. */
  get isNative(): boolean {
    return isNative(this.listener);
  }

  #accept(socket: RawSocket): AcceptedSession | undefined {
    const session = accept(socket, this);
    if (session !== undefined) this.keeper.opened(session, this.listener);
    return session;
  }

  /** Brings what the socket speaks in line with the listener. Throws when the certificates cannot be used. */
  refresh(): void {
    const key = keyOf(this.listener);
    if (key === this.#key) return;
    this.#socket.setTls(nativeOf(this.listener));
    this.#key = key;
  }

  secure(socket: RawSocket, session: ShakingSession, how: UpgradeTls): TlsSocket {
    return this.#socket.secure(socket, session, how);
  }

  stop(): void {
    this.#socket.stop();
  }
}

function isNative({ tls }: Listener): boolean {
  return tls !== undefined && !tls.settings.isPeeked;
}

function keyOf(listener: Listener): string {
  return listener.tls?.listenKey ?? "plain";
}

/** Asks the listener each time, so that names find the certificates of now. */
function nativeOf(listener: Listener): NativeTls | undefined {
  const { tls } = listener;
  if (tls === undefined || !isNative(listener)) return undefined;
  return {
    rules: tls.settings.rules,
    context: tls.unnamedContext(),
    contextFor: (serverName) => (listener.tls ?? tls).contextFor(serverName),
    chooseProtocol: (offered) => (listener.tls ?? tls).chooseProtocol(offered),
  };
}
