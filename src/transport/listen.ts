/**
 * Listen: accepts on a descriptor that the control process bound; the one place that calls Bun.listen.
 *
 * why    the socket was made and is kept open by the control process, so that connections waiting in its queue
 *        outlive this worker
 * rule   what TLS a listening socket speaks is fixed when it begins to accept: to change it, accepting begins anew
 *        on a second descriptor of the same socket before it ends on the first, and no connection is lost
 * note   `fd` is undocumented: tests/runtime holds it
 */
import { duplicateDescriptor } from "./descriptors.ts";
import { restoreBacklog } from "./listen-sockets.ts";
import {
  listenOptions,
  type NativeTls,
  nativeHandlers,
  type TlsSocket,
  type UpgradeTls,
  upgrade,
} from "./tls.ts";
import type { RawSocket, SocketSession } from "./wire.ts";

export interface Acceptor {
  /** out  the session of this connection, or undefined when it was refused and closed */
  onAccept(socket: RawSocket): SocketSession | undefined;
  onGone(session: SocketSession): void;
  /** A handler threw: a defect; the connection is closed. */
  onDefect(defect: unknown): void;
}

/** A session that waits for a TLS handshake. */
export interface ShakingSession extends SocketSession {
  /** `isDone`: by the library's reckoning; `error` says what is wrong, the client's certificate included. */
  onHandshake(isDone: boolean, error: HandshakeError | null | undefined): void;
}

export interface HandshakeError extends Error {
  readonly code?: string;
}

type Accepted = Bun.Socket<SocketSession | undefined>;
type Handlers = Bun.SocketHandler<SocketSession | undefined>;

export interface AcceptingSocket {
  /** Accepts with this TLS from now on; undefined = none. Connections already accepted go on as they are. */
  setTls(tls: NativeTls | undefined): void;
  /** Goes on with TLS on a connection accepted here; `session` hears of it from now on, and of nothing else. */
  secure(socket: RawSocket, session: ShakingSession, how: UpgradeTls): TlsSocket;
  /** Stops accepting; connections already accepted go on. */
  stop(): void;
}

interface ListenByDescriptor {
  fd: number;
  allowHalfOpen: boolean;
  socket: Handlers;
  tls?: object;
}

/** Accepts on an inherited descriptor from now on. Throws when it is no listening socket. */
export function listenOn(fd: number, acceptor: Acceptor, tls?: NativeTls): AcceptingSocket {
  return new Accepting(fd, acceptor, tls);
}

/** This session hears of the socket from now on, and no other. */
export function handOver(socket: RawSocket, session: SocketSession | undefined): void {
  (socket as unknown as Accepted).data = session;
}

class Accepting implements AcceptingSocket {
  readonly #plain: Handlers;
  readonly #secured: Handlers;
  #fd: number;
  #listener: { stop(): void };

  constructor(fd: number, acceptor: Acceptor, tls: NativeTls | undefined) {
    this.#plain = handlersOf(acceptor);
    this.#secured = { ...this.#plain, open() {} }; // it was accepted before it was secured
    this.#fd = fd;
    this.#listener = this.#listen(fd, tls);
  }

  #listen(fd: number, tls: NativeTls | undefined): { stop(): void } {
    const options: ListenByDescriptor = { fd, allowHalfOpen: true, socket: this.#plain };
    if (tls !== undefined) {
      options.tls = listenOptions(tls);
      options.socket = { ...this.#plain, ...nativeHandlers(tls) };
    }
    return Bun.listen(options as unknown as Bun.UnixSocketOptions<SocketSession | undefined>);
  }

  setTls(tls: NativeTls | undefined): void {
    const fd = duplicateDescriptor(this.#fd);
    const next = this.#listen(fd, tls);
    this.#listener.stop(); // closes its descriptor
    this.#listener = next;
    this.#fd = fd;
    restoreBacklog(fd); // beginning to accept has shortened it
  }

  secure(socket: RawSocket, session: ShakingSession, how: UpgradeTls): TlsSocket {
    handOver(socket, undefined);
    return upgrade(socket, session, how, this.#secured);
  }

  stop(): void {
    this.#listener.stop();
  }
}

function handlersOf(acceptor: Acceptor): Handlers {
  return {
    open(socket: Accepted) {
      socket.data = acceptor.onAccept(socket as unknown as RawSocket);
    },
    handshake(socket: Accepted, isDone: boolean, error?: HandshakeError | null) {
      (socket.data as ShakingSession | undefined)?.onHandshake?.(isDone, error);
    },
    data(socket: Accepted, bytes: Buffer) {
      socket.data?.onData(bytes);
    },
    drain(socket: Accepted) {
      socket.data?.onDrain();
    },
    end(socket: Accepted) {
      socket.data?.onEnd();
    },
    close(socket: Accepted, error?: Error) {
      if (socket.data === undefined) return;
      acceptor.onGone(socket.data);
      socket.data.onClose(error !== undefined);
    },
    error(socket: Accepted, error: HandshakeError) {
      // what is wrong with a client's TLS records is told here too, and is no defect of ours
      if (error.code !== TLS_ERROR) acceptor.onDefect(error);
      socket.terminate();
    },
  };
}

const TLS_ERROR = "EPROTO";
