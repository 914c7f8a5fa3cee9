/**
 * Listen: accepts on a descriptor that the control process bound; the one place that calls Bun.listen.
 *
 * why    the socket was made and is kept open by the control process, so that connections waiting in its queue
 *        outlive this worker
 * note   `fd` is undocumented: tests/runtime holds it
 */
import type { RawSocket, SocketSession } from "./wire.ts";

export interface Acceptor {
  /** out  the session of this connection, or undefined when it was refused and closed */
  onAccept(socket: RawSocket): SocketSession | undefined;
  onGone(session: SocketSession): void;
  /** A handler threw: a defect; the connection is closed. */
  onDefect(defect: unknown): void;
}

type Accepted = Bun.Socket<SocketSession | undefined>;

export interface AcceptingSocket {
  /** Stops accepting; connections already accepted go on. */
  stop(): void;
}

interface ListenByDescriptor {
  fd: number;
  allowHalfOpen: boolean;
  socket: Bun.SocketHandler<SocketSession | undefined>;
}

/** Accepts on an inherited descriptor from now on. Throws when it is no listening socket. */
export function listenOn(fd: number, acceptor: Acceptor): AcceptingSocket {
  const options: ListenByDescriptor = { fd, allowHalfOpen: true, socket: handlersOf(acceptor) };
  const listener = Bun.listen(options as unknown as Bun.UnixSocketOptions<SocketSession | undefined>);
  return { stop: () => listener.stop() };
}

function handlersOf(acceptor: Acceptor): Bun.SocketHandler<SocketSession | undefined> {
  return {
    open(socket: Accepted) {
      socket.data = acceptor.onAccept(socket as unknown as RawSocket);
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
    error(socket: Accepted, defect: Error) {
      acceptor.onDefect(defect);
      socket.terminate();
    },
  };
}
