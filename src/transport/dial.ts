/**
 * Dial: opens connections; the one place that calls Bun.connect.
 *
 * why    Bun.connect has no time-out and cannot be called off: whoever dials must expect `onOpen` long after
 *        it has lost interest, and must then close the socket
 * out    `onOpen`, or `onRefused` with what the runtime says; it calls every failure ECONNREFUSED but
 *        ENOENT, so the text is for logs only
 */
import { alertText, type Offer, SecuredSession, type TlsDialer } from "./dial-tls.ts";
import type { DialedSession } from "./dialed-session.ts";
import type { RawSocket } from "./wire.ts";

export type DialAddress = { readonly ip: string; readonly port: number } | { readonly unix: string };

/** How the connection begins. */
export interface DialOptions {
  readonly tls?: TlsDialer | undefined;
  /** With `tls`. */
  readonly offer?: Offer;
}

type Dialed = Bun.Socket<DialedSession>;

const HANDLERS: Bun.SocketHandler<DialedSession> = {
  open(socket: Dialed) {
    const { preface } = socket.data;
    if (preface !== undefined) socket.write(preface);
    socket.data.onOpen(socket as unknown as RawSocket, "");
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
    socket.data.onRefused(error.message, "connect_refused");
  },
};

type Secured = Bun.Socket<SecuredSession>;

/** `session` is told of tickets and is missing from the runtime's types. */
const TLS_HANDLERS = {
  ...(HANDLERS as unknown as Bun.SocketHandler<SecuredSession>),
  handshake(socket: Secured, isDone: boolean, error: Error | null) {
    socket.data.onHandshake(isDone, error);
  },
  session(socket: Secured, ticket: Buffer) {
    socket.data.onTicket(ticket);
  },
  error(socket: Secured, error: Error & { readonly code?: string }) {
    // an alert that comes after the handshake is told here, and is no defect of ours
    if (error.code === "EPROTO") socket.data.onAlert(alertText(error.message));
    else socket.data.onDefect(error);
    socket.terminate();
  },
};

/** A connection that sends bytes before it is secured. */
interface Prefaced {
  readonly preface: Buffer;
  readonly secured: SecuredSession;
  readonly tls: Bun.TLSOptions;
  isSecuring: boolean;
}

/** Under upgradeTLS the first handlers go on hearing of the socket, with ciphertext: all but its opening is ignored. */
const PREFACED_HANDLERS: Bun.SocketHandler<Prefaced> = {
  open(socket) {
    const { preface, secured, tls } = socket.data;
    socket.write(preface);
    socket.data.isSecuring = true;
    socket.upgradeTLS({ data: secured, tls, socket: TLS_HANDLERS });
  },
  data() {
    // ciphertext
  },
  close(socket) {
    if (!socket.data.isSecuring) socket.data.secured.onClose(true);
  },
  error(socket, error) {
    if (socket.data.isSecuring) return;
    socket.data.secured.onDefect(error);
    socket.terminate();
  },
  connectError(socket, error) {
    socket.data.secured.onRefused(error.message);
  },
};

/**
 * Starts to connect; the session hears the outcome, however late. Bound the number of those under way.
 * out  with TLS, what can be abandoned or handed to another session
 */
export function dial(
  address: DialAddress,
  session: DialedSession,
  options: DialOptions = {},
): SecuredSession | undefined {
  const { tls, offer = "h1" } = options;
  const { preface } = session;
  if (tls === undefined) {
    connect(address, { socket: HANDLERS, data: session });
    return undefined;
  }
  const secured = new SecuredSession(session, tls, offer);
  if (preface === undefined) {
    connect(address, { socket: TLS_HANDLERS, data: secured, tls: tls.options(offer) });
  } else {
    const data = { preface, secured, tls: tls.options(offer), isSecuring: false };
    connect(address, { socket: PREFACED_HANDLERS, data });
  }
  return secured;
}

interface Connecting<Data> {
  readonly socket: Bun.SocketHandler<Data>;
  readonly data: Data;
  readonly tls?: Bun.TLSOptions;
}

function connect<Data>(address: DialAddress, options: Connecting<Data>): void {
  const shared = { ...options, allowHalfOpen: true };
  const connecting =
    "unix" in address
      ? Bun.connect<Data>({ ...shared, unix: address.unix })
      : Bun.connect<Data>({ ...shared, hostname: address.ip, port: address.port });
  // connectError has told the session already; the promise says the same again
  connecting.catch(() => undefined);
}
