/**
 * TLS pair: a listener that speaks TLS, in both ways in which a worker does, and clients of the same runtime.
 */
import { connect, type TLSSocket } from "node:tls";
import { type AcceptingSocket, type HandshakeError, listenOn } from "../../src/transport/listen.ts";
import { openListenSocket } from "../../src/transport/listen-sockets.ts";
import {
  makeContext,
  type NativeTls,
  type TlsContext,
  type TlsRules,
  type TlsSocket,
} from "../../src/transport/tls.ts";
import type { RawSocket, SocketSession } from "../../src/transport/wire.ts";
import { type IssueOptions, type TestAuthority, testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";

/** In the first the runtime shakes hands by itself, in the second once the first bytes were looked at. */
export const MODES = ["native", "upgraded"] as const;
export type Mode = (typeof MODES)[number];

export const ca: TestAuthority = await testAuthority();

export const RULES: TlsRules = {
  minVersion: "1.2",
  ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256",
  curves: "X25519MLKEM768:X25519:P-256",
  clientAuth: "off",
  ca: undefined,
  crl: undefined,
};

/** A context for these certificates, all of them in one. */
export async function contextOf(
  rules: Partial<TlsRules>,
  ...options: readonly IssueOptions[]
): Promise<TlsContext> {
  const issued = await Promise.all(options.map((one) => ca.issue(one)));
  const pairs = issued.map(({ cert, key }, at) => ({
    id: String(at),
    names: [],
    keyType: options[at]?.keyType === "rsa" ? ("rsa" as const) : ("ec" as const),
    cert,
    key,
  }));
  return makeContext(pairs, { ...RULES, ...rules });
}

/** What happened to one accepted connection, in order. */
export class Served implements SocketSession {
  readonly events: string[] = [];
  socket: TlsSocket;
  received = 0;
  error: HandshakeError | null | undefined;
  isDone: boolean | undefined;
  readonly #secure: ((served: Served, first: Buffer) => TlsSocket) | undefined;
  #isSecured = false;

  constructor(socket: RawSocket, secure?: (served: Served, first: Buffer) => TlsSocket) {
    this.socket = socket as TlsSocket;
    this.#secure = secure;
  }

  onHandshake(isDone: boolean, error: HandshakeError | null | undefined): void {
    this.isDone = isDone;
    this.error = error;
    this.events.push(`handshake:${isDone}`);
  }

  onData(bytes: Buffer): void {
    if (this.#secure !== undefined && !this.#isSecured) {
      this.#isSecured = true;
      this.socket = this.#secure(this, bytes);
      return;
    }
    this.received += bytes.length;
    this.events.push(`data:${bytes.length}`);
  }

  onDrain(): void {}

  onEnd(): void {
    this.events.push("end");
  }

  onClose(isReset: boolean): void {
    this.events.push(isReset ? "close:reset" : "close");
  }

  get summary(): string {
    return this.events.join(" ");
  }

  async saw(event: string): Promise<void> {
    await eventually(() => this.events.includes(event), 3000, `${event} (seen: ${this.summary})`);
  }
}

export interface Server {
  readonly port: number;
  readonly served: Served[];
  readonly gone: SocketSession[];
  readonly defects: unknown[];
  readonly accepting: AcceptingSocket;
  /** The newest connection, once its handshake is done. */
  shaken(): Promise<Served>;
}

export interface ServerOptions extends Partial<NativeTls> {
  readonly context: TlsContext;
}

const servers: Server[] = [];

export function stopServers(): void {
  for (const server of servers.splice(0)) {
    server.accepting.stop();
    for (const { socket, events } of server.served) if (!events.includes("close")) socket.terminate();
  }
}

export function serve(mode: Mode, options: ServerOptions): Server {
  const native: NativeTls = {
    rules: RULES,
    contextFor: () => options.context,
    chooseProtocol: () => "http/1.1",
    ...options,
  };
  const made = openListenSocket({ kind: "tcp", host: "127.0.0.1", port: 0 }, false);
  if (made.kind === "failure") throw new Error(made.text);
  const [served, gone, defects]: [Served[], SocketSession[], unknown[]] = [[], [], []];
  const { context, rules } = native;
  const secure = (session: Served, first: Buffer) =>
    accepting.secure(session.socket, session, { context, rules, protocol: "http/1.1", first });
  const acceptor = {
    onAccept(socket: RawSocket) {
      const session = new Served(socket, mode === "native" ? undefined : secure);
      served.push(session);
      return session;
    },
    onGone: (session: SocketSession) => gone.push(session),
    onDefect: (defect: unknown) => defects.push(defect),
  };
  const accepting = listenOn(made.descriptor, acceptor, mode === "native" ? native : undefined);
  const shaken = async () => {
    await eventually(() => served.at(-1)?.isDone === true, 3000, "a handshake");
    return served.at(-1) as Served;
  };
  const server = { port: made.port, served, gone, defects, accepting, shaken };
  servers.push(server);
  return server;
}

export interface ClientOptions {
  readonly servername?: string;
  readonly ALPNProtocols?: string[];
  readonly session?: Buffer;
  readonly cert?: string;
  readonly key?: string;
  readonly maxVersion?: "TLSv1.2";
  readonly ecdhCurve?: string;
  readonly ciphers?: string;
}

/** A client whose handshake is done; throws with the alert when it is refused. */
export async function connectTls(port: number, options: ClientOptions = {}): Promise<TLSSocket> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    rejectUnauthorized: false,
    servername: "a.test",
    allowHalfOpen: true,
    ...options,
  } as Parameters<typeof connect>[0]);
  const opened = new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
  });
  await within(opened, 3000, "a TLS connection");
  socket.on("error", () => {});
  return socket;
}
