/**
 * HTTP/2 peer: a client that sends exactly these frames and keeps every frame that comes back.
 *
 * why    a client library would never send what a hostile or broken client does, and hides how it is answered
 * rule   it acknowledges SETTINGS and nothing else: windows are given back when a test says so
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { eventually, within } from "./eventually.ts";
import {
  FLAG,
  FRAME,
  type Frame,
  PREFACE,
  SETTING,
  settings,
  settingsAck,
  statusOf,
  takeFrames,
} from "./h2-frames.ts";

const DEADLINE_MS = 5000;

export interface H2Target {
  readonly port: number;
  /** Over TLS: the authority to trust, and the name to ask for. */
  readonly tls?: { readonly ca: string; readonly serverName: string };
}

export class H2Peer {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  /** Everything received, in order. */
  readonly frames: Frame[] = [];
  /** What the server has announced, by id; the last word counts. */
  readonly settings = new Map<number, number>();
  readonly scheme: "http" | "https";
  /** False: SETTINGS are taken in silence. */
  acknowledges = true;
  /** FIN or RST seen. */
  isClosed = false;
  /** Bytes that are no frames: nothing of HTTP/2 was spoken. */
  get unframed(): Buffer {
    return this.#pending;
  }

  private constructor(socket: Socket, scheme: "http" | "https") {
    this.#socket = socket;
    this.scheme = scheme;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    const close = () => {
      this.isClosed = true;
    };
    socket.on("end", close).on("close", close).on("error", close);
  }

  /** Connects without a word. */
  static async open({ port, tls }: H2Target): Promise<H2Peer> {
    const socket =
      tls === undefined
        ? connectTcp({ host: "127.0.0.1", port, noDelay: true })
        : connectTls({
            host: "127.0.0.1",
            port,
            ca: tls.ca,
            servername: tls.serverName,
            ALPNProtocols: ["h2"],
          });
    const opened = new Promise<void>((resolve, reject) => {
      socket.once(tls === undefined ? "connect" : "secureConnect", () => resolve());
      socket.once("error", reject);
    });
    await within(opened, DEADLINE_MS, `a connection to port ${port}`);
    return new H2Peer(socket, tls === undefined ? "http" : "https");
  }

  /** Connects and does what both sides must at first; more settings may be given. */
  static async connect(target: H2Target, ...pairs: readonly (readonly [number, number])[]): Promise<H2Peer> {
    const peer = await H2Peer.open(target);
    peer.send(PREFACE, settings([SETTING.headerTableSize, 0], ...pairs));
    await peer.until(() => peer.settings.size > 0 || peer.has(isServerSettings), "the server's settings");
    await peer.until(() => peer.has(isSettingsAck), "our settings to be acknowledged");
    return peer;
  }

  send(...pieces: readonly (string | Uint8Array)[]): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(
      Buffer.concat(
        pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece, "latin1") : piece)),
      ),
    );
  }

  /** Bytes sent but not taken by the kernel. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  has(isIt: (frame: Frame) => boolean): boolean {
    return this.frames.some(isIt);
  }

  count(isIt: (frame: Frame) => boolean): number {
    return this.frames.reduce((sum, frame) => sum + (isIt(frame) ? 1 : 0), 0);
  }

  /** Status of the last HEADERS on a stream that has one; 0 when none has come. */
  status(stream: number): number {
    const found = this.frames.findLast((frame) => frame.type === FRAME.headers && frame.stream === stream);
    return found === undefined ? 0 : statusOf(found.payload);
  }

  /** Code of the stream's RST_STREAM; undefined when none has come. */
  resetCode(stream: number): number | undefined {
    return this.frames
      .find((frame) => frame.type === FRAME.rstStream && frame.stream === stream)
      ?.payload.readUInt32BE(0);
  }

  /** Code of the last GOAWAY; undefined when none has come. */
  get goawayCode(): number | undefined {
    return this.frames.findLast((frame) => frame.type === FRAME.goaway)?.payload.readUInt32BE(4);
  }

  /** What the last GOAWAY says: for messages of failures. */
  get goawayText(): string {
    const found = this.frames.findLast((frame) => frame.type === FRAME.goaway);
    return found?.payload.toString("latin1", 8) ?? "";
  }

  isEnded(stream: number): boolean {
    return this.has(
      (frame) =>
        frame.stream === stream &&
        (frame.type === FRAME.data || frame.type === FRAME.headers) &&
        (frame.flags & FLAG.endStream) !== 0,
    );
  }

  /** Body bytes received on a stream. */
  body(stream: number): Buffer {
    return Buffer.concat(
      this.frames
        .filter((frame) => frame.type === FRAME.data && frame.stream === stream)
        .map((frame) => frame.payload),
    );
  }

  /** Waits for a condition on what has come. */
  async until(isThere: () => boolean, what: string, deadlineMs = DEADLINE_MS): Promise<void> {
    await eventually(isThere, deadlineMs, what).catch(() => {
      throw new Error(`waited ${deadlineMs} ms for ${what}, but got ${this.story()}`);
    });
  }

  /** All frames in short: for messages of failures. */
  story(): string {
    const names = Object.keys(FRAME);
    const lines = this.frames.slice(-12).map(({ type, flags, stream, payload }) => {
      const code =
        type === FRAME.rstStream
          ? `(${payload.readUInt32BE(0)})`
          : type === FRAME.goaway
            ? `(${this.goawayCode} ${this.goawayText})`
            : "";
      return `${names[type] ?? type}${code} flags ${flags} stream ${stream} ${payload.length} bytes`;
    });
    return `${lines.join("; ") || "nothing"}${this.isClosed ? "; closed" : "; still open"}`;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const { frames, rest } = takeFrames(Buffer.concat([this.#pending, chunk]));
    this.#pending = rest;
    for (const frame of frames) {
      this.frames.push(frame);
      if (isServerSettings(frame)) this.#takeSettings(frame.payload);
    }
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6)
      this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    if (this.acknowledges) this.send(settingsAck());
  }
}

const isServerSettings = (frame: Frame) => frame.type === FRAME.settings && (frame.flags & FLAG.ack) === 0;
export const isSettingsAck = (frame: Frame) =>
  frame.type === FRAME.settings && (frame.flags & FLAG.ack) !== 0;
export const isPingAck = (frame: Frame) => frame.type === FRAME.ping && (frame.flags & FLAG.ack) !== 0;
