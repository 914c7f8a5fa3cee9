/**
 * Raw client: sends exactly these bytes, in exactly these cuts, and keeps what comes back.
 *
 * why    an HTTP client would repair what a test wants to send broken, and hide how the answer came
 * shape  bytes are latin1 strings or byte arrays; text handed back is latin1, one character a byte
 */
import { connect, type Socket } from "node:net";
import { within } from "./eventually.ts";

export type Bytes = string | Uint8Array;

export interface Target {
  readonly host?: string;
  readonly port?: number;
  readonly unix?: string;
  /** How long the connection may take to be made. */
  readonly deadlineMs?: number;
}

/** One HTTP/1 response as received. */
export interface RawResponse {
  readonly status: number;
  readonly statusLine: string;
  /** Names in lower case, in the order received, repeats kept. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Decoded when it was chunked. */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** Exactly as received. */
  readonly raw: string;
  /** All values of one field joined by ", "; undefined when it is absent. */
  field(name: string): string | undefined;
}

const DEFAULT_DEADLINE_MS = 5000;
/** Between two pieces, so that the receiver's event loop sees two reads. Nothing may depend on it. */
const CUT_PAUSE_MS = 2;

const bufferOf = (bytes: Bytes) =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);

export class RawClient {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  /** How much of the text `response` has already handed out. */
  #taken = 0;
  #wake: (() => void)[] = [];
  /** The sender has finished: FIN seen. */
  isEnded = false;
  /** Nothing more can come: both directions done, or reset. */
  isClosed = false;
  /** Error code of the socket, such as ECONNRESET. */
  errorCode: string | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#notify();
    });
    socket.on("end", () => {
      this.isEnded = true;
      this.#notify();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message;
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#notify();
    });
  }

  static async connect(target: Target | number): Promise<RawClient> {
    const to = typeof target === "number" ? { port: target } : target;
    const options =
      to.unix === undefined ? { host: to.host ?? "127.0.0.1", port: to.port ?? 0 } : { path: to.unix };
    const socket = connect({ ...options, allowHalfOpen: true, noDelay: true });
    const client = new RawClient(socket);
    const opened = new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve());
      socket.once("error", reject);
    });
    try {
      await within(
        opened,
        to.deadlineMs ?? DEFAULT_DEADLINE_MS,
        `a connection to ${JSON.stringify(options)}`,
      );
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return client;
  }

  /** Local port: what the other side sees as the client's. */
  get port(): number {
    return this.#socket.localPort ?? 0;
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes sent but not taken by the kernel: grows while the other side does not read. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** What `response` has not handed out yet. */
  get unreadText(): string {
    return this.text.slice(this.#taken);
  }

  /** Sends the bytes; `cuts` are offsets at which a new piece starts, or "every" for one byte a piece. */
  async send(bytes: Bytes, cuts: readonly number[] | "every" = []): Promise<void> {
    const whole = bufferOf(bytes);
    const offsets = cuts === "every" ? Array.from({ length: whole.length }, (_, at) => at) : [0, ...cuts];
    const starts = [...new Set(offsets)].filter((at) => at < whole.length).sort((a, b) => a - b);
    for (const [index, start] of starts.entries()) {
      if (index > 0) await Bun.sleep(CUT_PAUSE_MS);
      if (this.isClosed) return;
      this.#socket.write(whole.subarray(start, starts[index + 1] ?? whole.length));
    }
  }

  /** Stops reading: the receive window fills and the sender is held back. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** FIN: nothing more to send; answers may still come. */
  end(): void {
    this.#socket.end();
  }

  /** RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Waits until the text holds a string, matches a pattern, or fulfils a predicate. out  all text so far */
  async until(
    what: string | RegExp | ((text: string) => boolean),
    deadlineMs = DEFAULT_DEADLINE_MS,
  ): Promise<string> {
    const isThere = predicateOf(what);
    await this.#wait(() => isThere(this.text), deadlineMs, String(what));
    return this.text;
  }

  /** Waits for FIN or RST. out  all text received */
  async untilClose(deadlineMs = DEFAULT_DEADLINE_MS): Promise<string> {
    const isDone = () => this.isEnded || this.isClosed;
    await this.#wait(isDone, deadlineMs, "the end of the connection", true);
    return this.text;
  }

  /** Waits until nothing has come for `quietMs`; for "nothing more follows". out  all text received */
  async untilQuiet(quietMs = 150): Promise<string> {
    for (;;) {
      const before = this.#length;
      await Bun.sleep(quietMs);
      if (this.#length === before) return this.text;
    }
  }

  /** The next response. `method: "HEAD"` has no body; 1xx are responses of their own. */
  async response(method = "GET", deadlineMs = DEFAULT_DEADLINE_MS): Promise<RawResponse> {
    let found: RawResponse | undefined;
    const isThere = () => {
      const rest = this.text.slice(this.#taken);
      found = parseResponse(rest, method, this.isEnded || this.isClosed);
      return found !== undefined;
    };
    await this.#wait(isThere, deadlineMs, "a whole response");
    const response = found as RawResponse | undefined;
    if (response === undefined) throw new Error("no whole response");
    this.#taken += response.raw.length;
    return response;
  }

  async #wait(isDone: () => boolean, deadlineMs: number, what: string, endIsFine = false): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    while (!isDone()) {
      const left = deadline - performance.now();
      const isOver = this.isEnded || this.isClosed;
      if (left <= 0 || (isOver && !endIsFine)) {
        const why = isOver ? `the connection ended (${this.errorCode ?? "FIN"})` : `${deadlineMs} ms passed`;
        throw new Error(`waited for ${what}, but ${why}; received ${JSON.stringify(this.text.slice(-2000))}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

function predicateOf(what: string | RegExp | ((text: string) => boolean)): (text: string) => boolean {
  if (typeof what === "string") return (text) => text.includes(what);
  if (typeof what === "function") return what;
  return (text) => what.test(text);
}

/** Connects, sends, and collects until the other side closes. out  all text received */
export async function sendAndCollect(
  target: Target | number,
  bytes: Bytes,
  options: { readonly cuts?: readonly number[] | "every"; readonly deadlineMs?: number } = {},
): Promise<string> {
  const client = await RawClient.connect(target);
  try {
    await client.send(bytes, options.cuts ?? []);
    return await client.untilClose(options.deadlineMs ?? DEFAULT_DEADLINE_MS);
  } finally {
    client.close();
  }
}

/**
 * The first response in the text, or undefined when it is not whole yet.
 *
 * never  lenient: odd framing throws, because a proxy under test must not produce it
 */
export function parseResponse(text: string, method: string, isEnd: boolean): RawResponse | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const [statusLine = "", ...lines] = text.slice(0, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1]);
  if (Number.isNaN(status)) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
  const fields = lines.map(fieldOf);
  const rest = text.slice(headEnd + 4);
  const body = bodyOf(
    rest,
    fields,
    isEnd,
    method === "HEAD" || status < 200 || status === 204 || status === 304,
  );
  if (body === undefined) return undefined;
  const field = (name: string) => {
    const values = fields.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
    return values.length === 0 ? undefined : values.join(", ");
  };
  const raw = text.slice(0, headEnd + 4 + body.length);
  return { status, statusLine, fields, body: body.text, trailers: body.trailers, raw, field };
}

type Field = readonly [name: string, value: string];

function fieldOf(line: string): Field {
  const parts = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(line);
  if (parts === null) throw new Error(`not a field line: ${JSON.stringify(line)}`);
  return [(parts[1] as string).toLowerCase(), parts[2] as string];
}

interface Body {
  readonly text: string;
  /** Bytes it took on the wire. */
  readonly length: number;
  readonly trailers: readonly Field[];
}

function bodyOf(rest: string, fields: readonly Field[], isEnd: boolean, hasNone: boolean): Body | undefined {
  if (hasNone) return { text: "", length: 0, trailers: [] };
  const coding = fields.find(([name]) => name === "transfer-encoding")?.[1];
  const length = fields.find(([name]) => name === "content-length")?.[1];
  if (coding !== undefined && length !== undefined)
    throw new Error("both transfer-encoding and content-length");
  if (coding !== undefined) return chunkedBody(rest);
  if (length === undefined) return isEnd ? { text: rest, length: rest.length, trailers: [] } : undefined;
  const size = Number(length);
  return rest.length < size ? undefined : { text: rest.slice(0, size), length: size, trailers: [] };
}

function chunkedBody(rest: string): Body | undefined {
  let text = "";
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const line = rest.slice(at, lineEnd);
    if (!/^[0-9a-fA-F]{1,15}(;.*)?$/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    at = lineEnd + 2;
    if (size === 0) return trailersOf(rest, at, text);
    if (rest.length < at + size + 2) return undefined;
    text += rest.slice(at, at + size);
    if (rest.slice(at + size, at + size + 2) !== "\r\n") throw new Error("a chunk does not end in CRLF");
    at += size + 2;
  }
}

function trailersOf(rest: string, start: number, text: string): Body | undefined {
  const trailers: Field[] = [];
  let at = start;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    if (lineEnd === at) return { text, length: at + 2, trailers };
    trailers.push(fieldOf(rest.slice(at, lineEnd)));
    at = lineEnd + 2;
  }
}
