/**
 * Dial: opens connections; the one place that calls Bun.connect.
 *
 * why    Bun.connect has no time-out and cannot be called off: whoever dials must expect `onOpen` long after
 *        it has lost interest, and must then close the socket
 * out    `onOpen`, or `onRefused` with what the runtime says; it calls every failure ECONNREFUSED but
 *        ENOENT, so the text is for logs only
 */
import type { RawSocket, SocketSession } from "./wire.ts";

/** What a connected socket reports to. */
export interface DialedSession extends SocketSession {
  onOpen(socket: RawSocket): void;
  onRefused(detail: string): void;
  /** One of these threw: the connection is closed. */
  onDefect(defect: unknown): void;
}

export type DialAddress = { readonly ip: string; readonly port: number } | { readonly unix: string };

type Dialed = Bun.Socket<DialedSession>;

const HANDLERS: Bun.SocketHandler<DialedSession> = {
  open(socket: Dialed) {
    socket.data.onOpen(socket as unknown as RawSocket);
  },
  data(socket: Dialed, bytes: Buffer) {
    socket.data.onData(bytes);
  },
  drain(socket: Dialed) {
    socket.data.onDrain();
  },
  end(socket: Dialed) {
    socket.data.onEnd();
  },
  close(socket: Dialed, error?: Error) {
    socket.data.onClose(error !== undefined);
  },
  error(socket: Dialed, defect: Error) {
    socket.data.onDefect(defect);
    socket.terminate(); // `close` follows: without it whoever waits for this socket would wait for ever
  },
  connectError(socket: Dialed, error: Error) {
    socket.data.onRefused(error.message);
  },
};

/** Starts to connect; the session hears the outcome, however late. Bound the number of those under way. */
export function dial(address: DialAddress, session: DialedSession): void {
  const shared = { socket: HANDLERS, data: session, allowHalfOpen: true };
  const connecting =
    "unix" in address
      ? Bun.connect({ ...shared, unix: address.unix })
      : Bun.connect({ ...shared, hostname: address.ip, port: address.port });
  // connectError has told the session already; the promise says the same again
  connecting.catch(() => undefined);
}
