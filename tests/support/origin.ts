/**
 * Origin: a scripted server. The script sees the bytes of each connection and writes what it likes.
 *
 * why    tests need servers that lie, stall, cut short and reset, which a real one will not do
 * shape  text is latin1, one character a byte
 */
import { createServer, type Server, type Socket } from "node:net";
import { within } from "./eventually.ts";

export class OriginConnection {
  readonly #socket: Socket;
  /** From 0, in the order accepted. */
  readonly index: number;
  /** Everything received on this connection. */
  received = "";
  /** How much of `received` a script has dealt with; `perRequest` moves it. */
  consumed = 0;
  /** Requests answered on this connection; `perRequest` counts it. */
  requests = 0;
  isEnded = false;
  isClosed = false;

  constructor(socket: Socket, index: number) {
    this.#socket = socket;
    this.index = index;
  }

  write(bytes: string | Uint8Array): void {
    if (!this.#socket.destroyed) {
      this.#socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    }
  }

  /** Bytes written but not taken by the kernel: grows while the reader is held back. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** FIN. */
  end(): void {
    this.#socket.end();
  }

  /** RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }
}

export interface OriginScript {
  /** A connection was accepted; before any byte. */
  open?(connection: OriginConnection): void;
  /** Bytes arrived; they are already part of `connection.received`. */
  data?(connection: OriginConnection, chunk: string): void;
  /** The client has sent FIN. Default: answer with FIN. */
  end?(connection: OriginConnection): void;
}

export class Origin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly connections: OriginConnection[] = [];
  /** As a configuration names it: `127.0.0.1:PORT`, or `unix:/path`. */
  readonly address: string;
  readonly port: number;

  private constructor(server: Server, unix: string | undefined) {
    this.#server = server;
    const bound = server.address();
    this.port = bound !== null && typeof bound === "object" ? bound.port : 0;
    this.address = unix === undefined ? `127.0.0.1:${this.port}` : `unix:${unix}`;
  }

  static async start(
    script: OriginScript | OriginScript["data"],
    options: { readonly unix?: string; readonly port?: number } = {},
  ): Promise<Origin> {
    const full: OriginScript = typeof script === "function" ? { data: script } : (script ?? {});
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const where =
      options.unix === undefined ? { host: "127.0.0.1", port: options.port ?? 0 } : { path: options.unix };
    const listening = new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, () => resolve());
    });
    await within(listening, 5000, "the origin to listen");
    const origin = new Origin(server, options.unix);
    server.on("connection", (socket) => origin.#accept(socket, full));
    return origin;
  }

  #accept(socket: Socket, script: OriginScript): void {
    const connection = new OriginConnection(socket, this.connections.length);
    this.connections.push(connection);
    this.#sockets.add(socket);
    socket.on("data", (chunk: Buffer) => {
      const text = chunk.toString("latin1");
      connection.received += text;
      script.data?.(connection, text);
    });
    socket.on("end", () => {
      connection.isEnded = true;
      if (script.end === undefined) socket.end();
      else script.end(connection);
    });
    socket.on("error", () => {
      // a reset is part of many scripts; `close` follows
    });
    socket.on("close", () => {
      connection.isClosed = true;
      this.#sockets.delete(socket);
    });
    script.open?.(connection);
  }

  /** Everything received, one text a connection. */
  get received(): string[] {
    return this.connections.map((connection) => connection.received);
  }

  get requests(): number {
    return this.connections.reduce((sum, connection) => sum + connection.requests, 0);
  }

  /** Closes all connections and the port. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await within(closed, 5000, "the origin to stop");
  }
}

/** One request as the origin got it. */
export interface OriginRequest {
  readonly head: string;
  readonly requestLine: string;
  /** Decoded when it was chunked. */
  readonly body: string;
  readonly raw: string;
  /** Value of one field, by any case; repeats joined by ", ". */
  field(name: string): string | undefined;
}

/**
 * A script that waits for whole requests and answers each.
 *
 * in     what to write for a request; undefined = the function has written itself, or stays silent
 */
export function perRequest(
  answer: (request: OriginRequest, connection: OriginConnection) => string | undefined,
): (connection: OriginConnection) => void {
  return (connection) => {
    for (;;) {
      const request = takeRequest(connection.received.slice(connection.consumed));
      if (request === undefined) return;
      connection.consumed += request.raw.length;
      connection.requests++;
      const text = answer(request, connection);
      if (text !== undefined) connection.write(text);
    }
  };
}

/** A complete response with a Content-Length. */
export function response(body = "", extra: readonly string[] = [], status = "200 OK"): string {
  const lines = [`HTTP/1.1 ${status}`, `Content-Length: ${body.length}`, ...extra];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

function takeRequest(text: string): OriginRequest | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const head = text.slice(0, headEnd);
  const [requestLine = "", ...lines] = head.split("\r\n");
  const field = (name: string) => {
    const prefix = `${name.toLowerCase()}:`;
    const values = lines.filter((line) => line.toLowerCase().startsWith(prefix));
    return values.length === 0
      ? undefined
      : values.map((line) => line.slice(prefix.length).trim()).join(", ");
  };
  const rest = text.slice(headEnd + 4);
  const isChunked = /chunked\s*$/i.test(field("transfer-encoding") ?? "");
  const body = isChunked ? takeChunked(rest) : takeSized(rest, Number(field("content-length") ?? "0"));
  if (body === undefined) return undefined;
  return { head, requestLine, body: body.text, raw: text.slice(0, headEnd + 4 + body.length), field };
}

function takeSized(rest: string, size: number): { text: string; length: number } | undefined {
  return rest.length < size ? undefined : { text: rest.slice(0, size), length: size };
}

function takeChunked(rest: string): { text: string; length: number } | undefined {
  let text = "";
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(rest.slice(at, lineEnd), 16);
    if (size === 0) {
      const end = rest.startsWith("\r\n", lineEnd + 2)
        ? lineEnd + 4
        : rest.indexOf("\r\n\r\n", lineEnd + 2) + 4;
      return end < lineEnd + 4 || rest.length < end ? undefined : { text, length: end };
    }
    at = lineEnd + 2;
    if (rest.length < at + size + 2) return undefined;
    text += rest.slice(at, at + size);
    at += size + 2;
  }
}
