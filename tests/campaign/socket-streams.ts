/**
 * Socket streams: WebSockets that say something now and then and want it back, for some seconds each.
 *
 * why    a tunnel is where a reload or an upgrade shows most easily that it forgot somebody
 */
import type { LoadFailure } from "./load.ts";
import { pattern } from "./pattern.ts";

export interface StreamReport {
  /** Opened, and ended as agreed. */
  readonly opened: number;
  readonly completed: number;
  readonly messages: number;
}

interface Stream {
  socket: Bun.Socket<Stream> | undefined;
  port: number;
  text: string;
  expected: string;
  sent: number;
  phase: "handshake" | "open" | "closing" | "over";
}

const EVERY_MS = 100;
const MESSAGES = 30;
const SIZE = 100;
const HANDSHAKE =
  "GET /socket HTTP/1.1\r\nHost: campaign.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/** Frames of RFC 6455 §5.2: text and close; clients mask, here with zeros. */
const MASKED = 0x80;
const NO_MASK = "\0\0\0\0";
const frame = (first: number, second: number, rest: string) => String.fromCharCode(first, second) + rest;
const CLOSE = frame(0x88, MASKED, NO_MASK);
/** The frame of the other end starts with the same byte, and its length. */
const isClose = (text: string) => text.length >= 2 && text.charCodeAt(0) === 0x88;

export class SocketStreams {
  readonly #port: number;
  readonly #streams = new Set<Stream>();
  readonly #failures: LoadFailure[];
  readonly #timer: ReturnType<typeof setInterval>;
  #count: number;
  #opened = 0;
  #completed = 0;
  #messages = 0;

  constructor(port: number, count: number, failures: LoadFailure[]) {
    this.#port = port;
    this.#failures = failures;
    this.#count = count;
    this.#timer = setInterval(() => this.#tick(), EVERY_MS);
  }

  /** Opens no more; those that are open go on to their end. */
  stopOpening(): void {
    this.#count = 0;
  }

  get openCount(): number {
    return this.#streams.size;
  }

  async stop(): Promise<StreamReport> {
    this.stopOpening();
    const deadlineMs = performance.now() + EVERY_MS * MESSAGES * 3;
    while (this.#streams.size > 0 && performance.now() < deadlineMs) await Bun.sleep(20);
    for (const stream of this.#streams) this.#fail(stream, `did not end, ${stream.phase}`);
    clearInterval(this.#timer);
    return {
      opened: this.#opened,
      completed: this.#completed,
      messages: this.#messages,
    };
  }

  #tick(): void {
    for (const stream of this.#streams) if (stream.phase === "open") this.#say(stream);
    if (this.#streams.size < this.#count) this.#open();
  }

  #open(): void {
    const stream: Stream = {
      socket: undefined,
      port: 0,
      text: "",
      expected: "",
      sent: 0,
      phase: "handshake",
    };
    this.#streams.add(stream);
    this.#opened++;
    Bun.connect<Stream>({
      hostname: "127.0.0.1",
      port: this.#port,
      data: stream,
      socket: {
        open: (socket) => {
          stream.socket = socket;
          stream.port = socket.localPort;
          socket.write(HANDSHAKE);
        },
        data: (_socket, chunk) => this.#read(stream, chunk.toString("latin1")),
        end: () => this.#ended(stream),
        close: () => this.#ended(stream),
      },
    }).catch((error: unknown) => this.#fail(stream, `cannot connect: ${String(error)}`));
  }

  #say(stream: Stream): void {
    if (stream.sent === MESSAGES) {
      stream.phase = "closing";
      stream.socket?.write(Buffer.from(CLOSE, "latin1"));
      return;
    }
    const text = pattern(stream.port * 1000 + stream.sent++, SIZE);
    stream.expected += frame(0x81, SIZE, text);
    stream.socket?.write(Buffer.from(frame(0x81, MASKED | SIZE, NO_MASK + text), "latin1"));
  }

  #read(stream: Stream, text: string): void {
    stream.text += text;
    if (stream.phase === "handshake") {
      const end = stream.text.indexOf("\r\n\r\n");
      if (end === -1) return;
      if (!stream.text.startsWith("HTTP/1.1 101 ")) this.#fail(stream, stream.text.slice(0, 40));
      else stream.phase = "open";
      stream.text = stream.text.slice(end + 4);
    }
    const { length } = stream.expected;
    if (length > 0 && stream.text.length >= length) {
      if (!stream.text.startsWith(stream.expected)) this.#fail(stream, "an echo of other bytes");
      this.#messages += length / (SIZE + 2);
      stream.text = stream.text.slice(length);
      stream.expected = "";
    }
    if (stream.phase === "closing" && isClose(stream.text)) this.#complete(stream);
  }

  #complete(stream: Stream): void {
    this.#completed++;
    this.#forget(stream);
  }

  #ended(stream: Stream): void {
    if (stream.phase !== "over") this.#fail(stream, `cut after ${stream.sent} messages, ${stream.phase}`);
  }

  #fail(stream: Stream, why: string): void {
    if (stream.phase === "over") return;
    this.#failures.push({ why: `WebSocket: ${why}`, port: stream.port });
    this.#forget(stream);
  }

  #forget(stream: Stream): void {
    stream.phase = "over";
    this.#streams.delete(stream);
    stream.socket?.end();
  }
}
