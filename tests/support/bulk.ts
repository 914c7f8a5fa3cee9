/**
 * Bulk: bodies of any size that are never in memory as a whole, made and checked on the fly.
 *
 * shape  a body is blocks of BLOCK_BYTES, each marked with its number: one that is lost, doubled or moved changes
 *        the hash
 */
import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { within } from "./eventually.ts";

export const BLOCK_BYTES = 64 * 1024;
export const MIB = 1024 * 1024;
export type Framing = "length" | "chunked" | "close";

const NOISE = (() => {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  let state = 0x2545f491;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
})();

function block(index: number, bytes: number): Buffer {
  const copy = Buffer.from(NOISE.subarray(0, bytes));
  if (bytes >= 4) copy.writeUInt32LE(index, 0);
  return copy;
}

/** sha256 of the body of this size. */
export function hashOf(bytes: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes; at += BLOCK_BYTES) {
    hash.update(block(at / BLOCK_BYTES, Math.min(BLOCK_BYTES, bytes - at)));
  }
  return hash.digest("hex");
}

/** The field line that declares a body. */
export function framingLine(framing: Framing, bytes: number): string {
  if (framing === "length") return `Content-Length: ${bytes}\r\n`;
  return framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : "";
}

/** Writes a body with back-pressure. `pauseMs`: a slow writer, a pause after each MiB. */
export async function sendBody(socket: Socket, bytes: number, framing: Framing, pauseMs = 0): Promise<void> {
  for (let at = 0; at < bytes && !socket.destroyed; at += BLOCK_BYTES) {
    const data = block(at / BLOCK_BYTES, Math.min(BLOCK_BYTES, bytes - at));
    const out =
      framing === "chunked"
        ? Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")])
        : data;
    if (!socket.write(out)) await drained(socket);
    if (pauseMs > 0 && at % MIB === 0) await Bun.sleep(pauseMs);
  }
  if (framing === "chunked") socket.write("0\r\n\r\n");
  if (framing === "close") socket.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.once("drain", done).once("close", done);
  });
}

/** In place of the bytes left of a chunk: its CRLF is due. */
const BEHIND_DATA = -2;

/** Takes the bytes of one message apart and hashes its body. */
export class BodyReader {
  head = "";
  bytes = 0;
  /** The framing says that the body is complete; one that ends with the connection is for the caller to judge. */
  isComplete = false;
  readonly #hash = createHash("sha256");
  #pending = Buffer.alloc(0);
  #left = -1;
  #isChunked = false;
  #digest: string | undefined;

  get sha256(): string {
    this.#digest ??= this.#hash.digest("hex");
    return this.#digest;
  }

  take(data: Buffer): void {
    if (this.head !== "") {
      this.#takeBody(data);
      return;
    }
    this.#pending = Buffer.concat([this.#pending, data]);
    const end = this.#pending.indexOf("\r\n\r\n");
    if (end === -1) return;
    this.head = this.#pending.toString("latin1", 0, end);
    const rest = this.#pending.subarray(end + 4);
    this.#pending = Buffer.alloc(0);
    this.#isChunked = /^transfer-encoding: *chunked$/im.test(this.head);
    const length = /^content-length: *(\d+)$/im.exec(this.head)?.[1];
    this.#left = length === undefined ? -1 : Number(length);
    this.isComplete = this.#left === 0;
    if (rest.length > 0) this.#takeBody(rest);
  }

  #takeBody(data: Buffer): void {
    if (!this.#isChunked) {
      this.#add(data);
      if (this.bytes > this.#left && this.#left !== -1) throw new Error("more body than declared");
      this.isComplete = this.bytes === this.#left;
    } else this.#takeChunks(data);
  }

  #takeChunks(data: Buffer): void {
    let rest = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data]);
    while (rest.length > 0 && !this.isComplete) {
      const taken = this.#left > 0 ? this.#takeChunkData(rest) : this.#takeChunkLine(rest);
      if (taken === 0) break;
      rest = rest.subarray(taken);
    }
    this.#pending = Buffer.from(rest);
  }

  #takeChunkData(data: Buffer): number {
    const part = data.subarray(0, this.#left);
    this.#add(part);
    this.#left -= part.length;
    if (this.#left === 0) this.#left = BEHIND_DATA;
    return part.length;
  }

  /** A size, the end of a chunk, or what follows the last one. out  0 when the line is not there yet */
  #takeChunkLine(data: Buffer): number {
    const lineEnd = data.indexOf("\r\n");
    if (lineEnd === -1) return 0;
    const line = data.toString("latin1", 0, lineEnd);
    if (this.#left === BEHIND_DATA) {
      if (line !== "") throw new Error("a chunk does not end where its size says");
      this.#left = -1;
    } else if (this.#left === 0) this.isComplete = line === "";
    else this.#left = Number.parseInt(line, 16);
    return lineEnd + 2;
  }

  #add(data: Buffer): void {
    this.bytes += data.length;
    this.#hash.update(data);
  }
}

/** An origin for large bodies: one exchange a connection. */
export class BulkOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** What was uploaded, by connection. */
  readonly uploads: BodyReader[] = [];
  readonly address: string;

  private constructor(server: Server) {
    this.#server = server;
    const bound = server.address();
    this.address = `127.0.0.1:${bound !== null && typeof bound === "object" ? bound.port : 0}`;
  }

  /** `serve` is called once with the socket when the request head is there. */
  static async start(serve: (socket: Socket, upload: BodyReader) => unknown): Promise<BulkOrigin> {
    const server = createServer({ noDelay: true });
    const listening = new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await within(listening, 5000, "the origin to listen");
    const origin = new BulkOrigin(server);
    server.on("connection", (socket) => {
      const upload = new BodyReader();
      origin.#sockets.add(socket);
      origin.uploads.push(upload);
      socket.on("data", (data: Buffer) => {
        const hadHead = upload.head !== "";
        upload.take(data);
        if (!hadHead && upload.head !== "") serve(socket, upload);
      });
      socket.on("error", () => {
        // `close` follows
      });
      socket.on("close", () => origin.#sockets.delete(socket));
    });
    return origin;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await within(closed, 5000, "the origin to stop");
  }
}

export interface BulkExchange {
  readonly answer: BodyReader;
  readonly socket: Socket;
  /** Settles when the connection is closed or the answer complete. */
  readonly done: Promise<void>;
}

/** Sends a head and, if `body` says so, a body; reads the answer. `everyMs`: a slow reader, one read in so many ms. */
export function exchange(
  port: number,
  head: string,
  options: { readonly everyMs?: number; readonly body?: (socket: Socket) => Promise<void> } = {},
): BulkExchange {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const answer = new BodyReader();
  const done = new Promise<void>((resolve) => {
    socket.on("data", (data: Buffer) => {
      answer.take(data);
      if (answer.isComplete) resolve();
      else if (options.everyMs !== undefined) {
        socket.pause();
        setTimeout(() => socket.resume(), options.everyMs);
      }
    });
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
  });
  socket.write(head);
  const sending = options.body?.(socket);
  sending?.catch(() => socket.destroy());
  return { answer, socket, done };
}
