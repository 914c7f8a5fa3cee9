/**
 * HTTP/2 load: a steady stream of requests at a given rate over a few connections, checked byte for byte.
 *
 * why    one connection carries many requests: what a reload, an upgrade or a lost worker forgets, it forgets for all
 * shape  the connection with room that is next in turn is asked; one that has carried its share of requests is ended, and
 *        another takes its place
 * rule   after GOAWAY nothing more is asked on that connection, and what stands there is awaited. What the server says it
 *        has not begun (REFUSED_STREAM, a stream above the one that GOAWAY names) is asked again; whatever else ends
 *        without its answer is a failure, always
 * spec   RFC 9113 §6.8, §8.7
 */
import { Head } from "../../src/protocol/h2/head.ts";
import { HeadReader } from "../../src/protocol/h2/head-reader.ts";
import * as wire from "../support/h2-frames.ts";
import type { LoadFailure, LoadReport, LoadTls } from "./load.ts";
import { kindOf, type RequestKind, type RequestParts } from "./request-kinds.table.ts";

export interface H2LoadOptions {
  readonly port: number;
  readonly ratePerSec: number;
  readonly connections: number;
  /** Asked at once on one connection. */
  readonly streams: number;
  /** A connection ends after so many requests. */
  readonly requestsPerConnection: number;
  /** Values of `:authority`, in turn; unless told, each connection asks for the server that it has named. */
  readonly hosts?: readonly string[];
  readonly failures: LoadFailure[];
  /** By TLS, verified; without it HTTP/2 is spoken from the first byte. */
  readonly tls?: LoadTls;
}

export interface H2LoadReport extends LoadReport {
  /** Not begun by the server, which said so, and asked again. */
  readonly askedAgain: number;
  /** GOAWAY frames that came. */
  readonly farewells: number;
}

interface Pending {
  readonly id: number;
  readonly kind: RequestKind;
  readonly parts: RequestParts;
  /** "" = whatever server the connection has named. */
  readonly host: string;
  readonly dueAtMs: number;
  tries: number;
  hasHead: boolean;
  body: string;
}

const { FRAME, FLAG, CODE, SETTING } = wire;
const TICK_MS = 5;
const ANSWER_MS = 15_000;
const MAX_TRIES = 3;
/** Far above what the rate needs: reaching it means that answers have stopped coming. */
const MAX_WAITING = 4000;
const STREAM_WINDOW = 1024 * 1024;
/** A connection whose window is smaller is not asked: no request is larger. */
const LEAST_WINDOW = 4096;

/** As the runtime takes it: on the wire (RFC 7301 §3.1). */
const ALPN = Buffer.from("\x02h2");

export class H2Load {
  readonly options: H2LoadOptions;
  readonly #lines = new Set<Line>();
  #waiting: Pending[] = [];
  readonly #latencies: number[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #startedAtMs = 0;
  #planned = 0;
  #sent = 0;
  #answered = 0;
  #connections = 0;
  #askedAgain = 0;
  #turn = 0;
  #mayOpen = true;
  farewells = 0;

  constructor(options: H2LoadOptions) {
    this.options = options;
  }

  start(): void {
    this.#startedAtMs = performance.now();
    this.#fillUp();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** From now on only connections that are open are used: nobody listens any more, or soon. */
  stopOpening(): void {
    this.#mayOpen = false;
  }

  /** Sends no more and waits for what is under way. */
  async stop(): Promise<H2LoadReport> {
    clearInterval(this.#timer);
    const deadlineMs = performance.now() + ANSWER_MS;
    const isBusy = () => this.#waiting.length > 0 || [...this.#lines].some((line) => line.isBusy);
    while (isBusy() && performance.now() < deadlineMs) {
      if (this.#waiting.length > 0) this.#fillUp();
      this.#askWaiting();
      await Bun.sleep(TICK_MS);
    }
    for (const line of this.#lines) line.giveUp(`no answer in ${ANSWER_MS} ms`);
    for (const pending of this.#waiting.splice(0)) this.failed(pending, "no connection took it", 0, false);
    return this.report();
  }

  report(): H2LoadReport {
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return {
      sent: this.#sent,
      answered: this.#answered,
      connections: this.#connections,
      askedAgain: this.#askedAgain,
      farewells: this.farewells,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  }

  #tick(): void {
    const nowMs = performance.now();
    const due = Math.floor(((nowMs - this.#startedAtMs) * this.options.ratePerSec) / 1000);
    this.#fillUp();
    this.#askWaiting();
    while (this.#planned < due) this.#send(this.#planned++);
    for (const line of this.#lines) line.look(nowMs - ANSWER_MS);
  }

  #fillUp(): void {
    if (!this.#mayOpen) return;
    const staying = [...this.#lines].filter((line) => !line.isLeaving).length;
    for (let count = staying; count < this.options.connections; count++) {
      this.#connections++;
      this.#lines.add(new Line(this, this.#serverName()));
    }
  }

  #serverName(): string {
    const { serverNames } = this.options.tls ?? { serverNames: [""] };
    return serverNames[this.#connections % serverNames.length] ?? "";
  }

  #send(id: number): void {
    const kind = kindOf(id);
    const { hosts = [""], ratePerSec } = this.options;
    const pending: Pending = {
      id,
      kind,
      parts: kind.parts(id),
      host: hosts[id % hosts.length] ?? "",
      dueAtMs: this.#startedAtMs + (id * 1000) / ratePerSec,
      tries: 0,
      hasHead: false,
      body: "",
    };
    this.#sent++;
    if (this.#waiting.length >= MAX_WAITING) this.failed(pending, "too many requests wait", 0, false);
    else this.#ask(pending);
  }

  #ask(pending: Pending): void {
    const line = this.#lineWithRoom();
    if (line !== undefined) line.ask(pending);
    else if (this.#mayOpen) this.#waiting.push(pending);
    else this.#sent--; // the proxy is leaving: nobody to ask
  }

  #lineWithRoom(): Line | undefined {
    const free = [...this.#lines].filter((line) => line.hasRoom);
    return free[this.#turn++ % Math.max(1, free.length)];
  }

  #askWaiting(): void {
    for (const pending of this.#waiting.splice(0)) this.#ask(pending);
  }

  // ── what the lines tell ──

  answered({ dueAtMs }: Pending): void {
    this.#answered++;
    this.#latencies.push(performance.now() - dueAtMs);
  }

  /** The server has not begun. */
  refused(pending: Pending, port: number): void {
    if (++pending.tries >= MAX_TRIES) {
      this.failed(pending, `refused ${MAX_TRIES} times`, port, false);
      return;
    }
    this.#askedAgain++;
    this.#ask(pending);
  }

  failed({ kind, id, host }: Pending, why: string, port: number, isShared: boolean): void {
    const atMs = Math.round(performance.now() - this.#startedAtMs);
    const what = `h2 ${kind.name} ${id} for ${host}`;
    this.options.failures.push({ why: `${what}: ${why}, ${atMs} ms after the start`, port, isShared });
  }

  gone(line: Line, why: string): void {
    this.#lines.delete(line);
    if (why === "") return;
    // whoever waited for this connection has got none
    const [first] = this.#waiting.splice(0, 1);
    if (first !== undefined) this.failed(first, why, line.port, true);
  }
}

/** One connection. */
class Line {
  readonly #load: H2Load;
  readonly #streams = new Map<number, Pending>();
  readonly #reader = new HeadReader({ listBytes: 65_536, fields: 100 });
  readonly #head = new Head();
  readonly #serverName: string;
  #socket: Bun.Socket | undefined;
  #unsent: Buffer = Buffer.alloc(0);
  #rest: Buffer = Buffer.alloc(0);
  #nextId = 1;
  #window = wire.DEFAULT_WINDOW;
  #streamWindow = wire.DEFAULT_WINDOW;
  #maxStreams = 100;
  #isDone = false;
  port = 0;
  /** Nothing more is asked here. */
  isLeaving = false;

  constructor(load: H2Load, serverName: string) {
    this.#load = load;
    this.#serverName = serverName;
    const { port, tls } = load.options;
    const security = tls === undefined ? {} : { tls: { ca: [...tls.ca], serverName, ALPNProtocols: ALPN } };
    Bun.connect({
      hostname: "127.0.0.1",
      port,
      ...security,
      socket: {
        open: (socket) => {
          this.port = socket.localPort;
          if (tls === undefined) this.#opened(socket);
        },
        handshake: (socket, isDone, error) => {
          if (isDone && error === null) this.#opened(socket);
          else this.#lost(`the handshake failed: ${error?.message}`);
        },
        data: (_socket, bytes) => this.#read(bytes),
        drain: () => this.#flush(),
        end: () => this.#lost("FIN"),
        close: () => this.#lost("closed"),
        error: (_socket, error) => {
          throw error;
        },
      },
    }).catch((error: unknown) => this.#lost(`cannot connect: ${String(error)}`));
  }

  get isBusy(): boolean {
    return this.#streams.size > 0;
  }

  get hasRoom(): boolean {
    if (this.#socket === undefined || this.isLeaving || this.#isDone) return false;
    const { streams } = this.#load.options;
    return this.#streams.size < Math.min(streams, this.#maxStreams) && this.#window >= LEAST_WINDOW;
  }

  #opened(socket: Bun.Socket): void {
    this.#socket = socket;
    if (this.#isDone) {
      socket.end();
      return;
    }
    const ours = wire.settings([SETTING.initialWindowSize, STREAM_WINDOW], [SETTING.enablePush, 0]);
    this.#write(wire.PREFACE, ours, wire.windowUpdate(0, wire.MAX_WINDOW - wire.DEFAULT_WINDOW));
  }

  #write(...frames: readonly Buffer[]): void {
    this.#unsent = Buffer.concat([this.#unsent, ...frames]);
    this.#flush();
  }

  #flush(): void {
    if (this.#socket === undefined || this.#unsent.length === 0) return;
    const taken = Math.max(0, this.#socket.write(this.#unsent));
    this.#unsent = this.#unsent.subarray(taken);
  }

  // ── requests ──

  ask(pending: Pending): void {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#streams.set(id, pending);
    const { kind, parts, host } = pending;
    const { content } = parts;
    const length: [string, string][] =
      content.length === 1 ? [["content-length", `${content[0]?.length}`]] : [];
    const fields: wire.FieldList = [
      [":method", kind.method],
      [":scheme", this.#load.options.tls === undefined ? "http" : "https"],
      [":authority", host || this.#serverName],
      [":path", parts.path],
      ["user-agent", "campaign/1"],
      ...length,
    ];
    this.#window -= content.reduce((sum, piece) => sum + piece.length, 0);
    const pieces = content.map((piece, at) => wire.data(id, piece, { end: at === content.length - 1 }));
    this.#write(wire.headers(id, fields, { end: content.length === 0 }), ...pieces);
    if (id > this.#load.options.requestsPerConnection * 2) this.isLeaving = true;
  }

  /** Fails what was due before. */
  look(beforeMs: number): void {
    for (const [id, pending] of this.#streams) {
      if (pending.dueAtMs < beforeMs) this.#fail(id, "no answer in time");
    }
    this.#leaveWhenDone();
  }

  giveUp(why: string): void {
    for (const id of [...this.#streams.keys()]) this.#fail(id, why);
    this.#isDone = true;
    this.#socket?.end();
  }

  #fail(id: number, why: string): void {
    const pending = this.#streams.get(id);
    this.#streams.delete(id);
    if (pending !== undefined) this.#load.failed(pending, why, this.port, false);
  }

  #lost(why: string): void {
    if (this.#isDone) return;
    this.#isDone = true;
    for (const pending of this.#streams.values()) {
      const got = pending.hasHead ? `after ${pending.body.length} bytes of the answer` : "before the answer";
      this.#load.failed(pending, `${why} ${got}`, this.port, true);
    }
    this.#streams.clear();
    this.#load.gone(this, this.#socket === undefined ? why : "");
    this.#socket?.end();
  }

  #leaveWhenDone(): void {
    if (!this.isLeaving || this.#isDone || this.#streams.size > 0 || this.#socket === undefined) return;
    this.#isDone = true;
    this.#load.gone(this, "");
    this.#socket.end();
  }

  // ── answers ──

  #read(bytes: Buffer): void {
    if (this.#isDone) return;
    const { frames, rest } = wire.takeFrames(Buffer.concat([this.#rest, bytes]));
    this.#rest = Buffer.from(rest);
    for (const frame of frames) this.#take(frame);
    this.#leaveWhenDone();
  }

  #take(frame: wire.Frame): void {
    const { type, flags, payload, stream } = frame;
    if (type === FRAME.headers) this.#takeHead(frame);
    else if (type === FRAME.data) this.#takeBody(frame);
    else if (type === FRAME.rstStream) this.#takeReset(stream, payload.readUInt32BE(0));
    else if (type === FRAME.goaway) this.#takeGoaway(payload);
    else if (type === FRAME.settings && (flags & FLAG.ack) === 0) this.#takeSettings(payload);
    else if (type === FRAME.ping && (flags & FLAG.ack) === 0)
      this.#write(wire.ping(payload.toString("latin1"), true));
    else if (type === FRAME.windowUpdate && stream === 0) this.#window += payload.readUInt32BE(0);
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      if (payload.readUInt16BE(at) === SETTING.maxConcurrentStreams) this.#maxStreams = value;
      else if (payload.readUInt16BE(at) === SETTING.initialWindowSize) this.#streamWindow = value;
    }
    if (this.#streamWindow < LEAST_WINDOW) throw new Error("a window too small for this load");
    this.#write(wire.settingsAck());
  }

  #takeHead({ stream, flags, payload }: wire.Frame): void {
    const pending = this.#streams.get(stream);
    const head = this.#head;
    if ((flags & FLAG.endHeaders) === 0) throw new Error("an answer in CONTINUATION: not expected here");
    const broken = this.#reader.read("response", payload, 0, payload.length, head);
    if (broken !== "") throw new Error(`a header block that cannot be read: ${broken}`);
    if (pending === undefined) return;
    pending.hasHead = true;
    if (head.status !== 200) this.#fail(stream, `status ${head.status}`);
    else if (head.fields.find("x-echo") !== String(pending.id))
      this.#fail(stream, "the answer to another request");
    else if ((flags & FLAG.endStream) !== 0) this.#end(stream, pending);
  }

  #takeBody({ stream, flags, payload }: wire.Frame): void {
    if (payload.length > 0) this.#write(wire.windowUpdate(0, payload.length));
    const pending = this.#streams.get(stream);
    if (pending === undefined) return;
    pending.body += payload.toString("latin1");
    if ((flags & FLAG.endStream) !== 0) this.#end(stream, pending);
  }

  #end(stream: number, pending: Pending): void {
    if (!pending.hasHead) this.#fail(stream, "an end without a head");
    else if (pending.body !== pending.parts.answer) this.#fail(stream, "other bytes than the origin sent");
    else {
      this.#streams.delete(stream);
      this.#load.answered(pending);
    }
  }

  #takeReset(stream: number, code: number): void {
    const pending = this.#streams.get(stream);
    if (code === CODE.refusedStream && pending !== undefined) this.#askAgain(stream, pending);
    else this.#fail(stream, `RST_STREAM ${code}`);
  }

  #takeGoaway(payload: Buffer): void {
    this.#load.farewells++;
    this.isLeaving = true;
    const last = payload.readUInt32BE(0) & wire.MAX_WINDOW;
    const code = payload.readUInt32BE(4);
    for (const [stream, pending] of [...this.#streams]) {
      if (stream > last) this.#askAgain(stream, pending);
      else if (code !== CODE.none) this.#fail(stream, `GOAWAY ${code}`);
    }
  }

  #askAgain(stream: number, pending: Pending): void {
    this.#streams.delete(stream);
    this.#load.refused(pending, this.port);
  }
}
