/**
 * Load: a steady stream of requests at a given rate, whatever the answers take, checked byte for byte.
 *
 * why    a closed loop slows down with the program under test and hides what it loses; this one does not
 * shape  idle connections are used in turn; a request that finds none opens one. A share of the requests
 *        comes on a fresh connection and asks for its end
 * rule   a connection that ends between two requests is nobody's loss; one that ends after a request was
 *        sent and before its answer is whole is a failure, always
 */
import { takeAnswer } from "./answer-reader.ts";
import { kindOf, type RequestKind, requestText } from "./request-kinds.table.ts";

export interface LoadOptions {
  readonly port: number;
  readonly ratePerSec: number;
  /** Keep-alive connections opened before the first request. */
  readonly lanes: number;
  /** Every n-th request comes on a fresh connection. */
  readonly freshEvery: number;
  /** Where failures are noted, in the order in which they happen. */
  readonly failures: LoadFailure[];
  /** Values of Host, in turn; `campaign.test` unless told. */
  readonly hosts?: readonly string[];
  /** By TLS, verified: a certificate that does not hold is a failure as any other. */
  readonly tls?: LoadTls;
}

export interface LoadTls {
  /** PEM of the authorities that are believed. */
  readonly ca: readonly string[];
  /** Names to ask for, in turn. */
  readonly serverNames: readonly string[];
}

export interface LoadFailure {
  readonly why: string;
  /** The client's port: which connection it was; 0 when there was none. */
  readonly port: number;
  /** The connection carried other requests too, which fail with it. */
  readonly isShared?: boolean;
}

export interface LoadReport {
  readonly sent: number;
  readonly answered: number;
  readonly connections: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Pending {
  readonly id: number;
  readonly kind: RequestKind;
  readonly body: string;
  readonly bytes: string;
  /** When it was due by the plan, not when there was time for it. */
  readonly dueAtMs: number;
  readonly isLast: boolean;
}

interface Lane {
  socket: Bun.Socket<Lane> | undefined;
  port: number;
  pending: Pending | undefined;
  /** Not yet taken by the kernel. */
  unsent: Buffer | undefined;
  text: string;
  isDone: boolean;
}

const TICK_MS = 5;
const ANSWER_MS = 15_000;
/** Far above what the rate needs: reaching it means that answers have stopped coming. */
const MAX_LANES = 4000;
const HOST = "campaign.test";
const AGENT = "User-Agent: campaign/1\r\n";
const CLOSE = "Connection: close\r\n";

export class Load {
  readonly #options: LoadOptions;
  readonly #idle: Lane[] = [];
  readonly #busy = new Set<Lane>();
  readonly #latencies: number[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #startedAtMs = 0;
  #planned = 0;
  #sent = 0;
  #answered = 0;
  #connections = 0;
  #mayOpen = true;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    this.#startedAtMs = performance.now();
    for (let count = 0; count < this.#options.lanes; count++) this.#open(undefined);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** From now on only connections that are open are used: nobody listens any more, or soon. */
  stopOpening(): void {
    this.#mayOpen = false;
  }

  get inFlight(): number {
    return this.#busy.size;
  }

  get openCount(): number {
    return this.#busy.size + this.#idle.length;
  }

  /** Sends no more and waits for what is under way. */
  async stop(): Promise<LoadReport> {
    clearInterval(this.#timer);
    const deadlineMs = performance.now() + ANSWER_MS;
    while (this.#busy.size > 0 && performance.now() < deadlineMs) await Bun.sleep(TICK_MS);
    for (const lane of this.#busy) this.#fail(lane, `no answer in ${ANSWER_MS} ms`);
    for (const lane of this.#idle.splice(0)) this.#leave(lane);
    return this.report();
  }

  report(): LoadReport {
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return {
      sent: this.#sent,
      answered: this.#answered,
      connections: this.#connections,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  }

  /** Latencies since the last call. */
  takeLatencies(): number[] {
    return this.#latencies.splice(0);
  }

  #tick(): void {
    const nowMs = performance.now();
    const due = Math.floor(((nowMs - this.#startedAtMs) * this.#options.ratePerSec) / 1000);
    while (this.#planned < due) this.#send(this.#planned++);
    for (const lane of this.#busy) {
      const { pending } = lane;
      if (pending !== undefined && nowMs - pending.dueAtMs > ANSWER_MS) this.#fail(lane, "no answer in time");
    }
  }

  #send(id: number): void {
    const isFresh = id % this.#options.freshEvery === 0;
    const lane = isFresh && this.#mayOpen ? undefined : this.#idle.shift();
    if (lane === undefined && !this.#mayOpen) return; // the proxy is leaving: nobody to ask
    this.#sent++;
    const pending = this.#compose(id, isFresh && lane === undefined);
    if (lane !== undefined) this.#ask(lane, pending);
    else if (this.openCount >= MAX_LANES) this.#note("too many connections wait", pending.kind.name, 0);
    else this.#open(pending);
  }

  #compose(id: number, isLast: boolean): Pending {
    const kind = kindOf(id);
    const { hosts = [HOST] } = this.#options;
    const parts = kind.parts(id);
    const lines = `Host: ${hosts[id % hosts.length]}\r\n${AGENT}${isLast ? CLOSE : ""}`;
    const bytes = requestText(kind, parts, lines);
    const dueAtMs = this.#startedAtMs + (id * 1000) / this.#options.ratePerSec;
    return { id, kind, body: parts.answer, bytes, dueAtMs, isLast };
  }

  #open(pending: Pending | undefined): void {
    this.#connections++;
    const lane: Lane = { socket: undefined, port: 0, pending, unsent: undefined, text: "", isDone: false };
    if (pending !== undefined) this.#busy.add(lane);
    Bun.connect<Lane>({
      hostname: "127.0.0.1",
      port: this.#options.port,
      data: lane,
      ...this.#security(),
      socket: {
        open: (socket) => {
          lane.port = socket.localPort;
          if (this.#options.tls === undefined) this.#opened(socket);
        },
        handshake: (socket, isDone, error) => {
          if (isDone && error === null) this.#opened(socket);
          else this.#fail(socket.data, `the handshake failed: ${error?.message}`);
        },
        data: (socket, chunk) => this.#read(socket.data, chunk),
        drain: (socket) => this.#flush(socket.data),
        end: (socket) => this.#ended(socket.data, "FIN"),
        close: (socket) => this.#ended(socket.data, "closed"),
        error: (_socket, error) => {
          throw error;
        },
      },
    }).catch((error: unknown) => this.#fail(lane, `cannot connect: ${String(error)}`));
  }

  #security(): { tls?: Bun.TLSOptions & { serverName: string } } {
    const { tls } = this.#options;
    if (tls === undefined) return {};
    const serverName = tls.serverNames[this.#connections % tls.serverNames.length] ?? "";
    return { tls: { ca: [...tls.ca], serverName } };
  }

  #opened(socket: Bun.Socket<Lane>): void {
    const lane = socket.data;
    lane.socket = socket;
    if (lane.pending === undefined) this.#idle.push(lane);
    else this.#ask(lane, lane.pending);
  }

  #ask(lane: Lane, pending: Pending): void {
    lane.pending = pending;
    lane.text = "";
    this.#busy.add(lane);
    lane.unsent = Buffer.from(pending.bytes, "latin1");
    this.#flush(lane);
  }

  #flush(lane: Lane): void {
    if (lane.unsent === undefined || lane.socket === undefined) return;
    const taken = Math.max(0, lane.socket.write(lane.unsent));
    lane.unsent = taken >= lane.unsent.length ? undefined : lane.unsent.subarray(taken);
  }

  #read(lane: Lane, chunk: Buffer): void {
    const { pending } = lane;
    if (lane.isDone) return;
    if (pending === undefined) {
      this.#fail(lane, `bytes that nobody asked for: ${chunk.toString("latin1", 0, 60)}`);
      return;
    }
    lane.text += chunk.toString("latin1");
    try {
      const answer = takeAnswer(lane.text, pending.kind.method === "HEAD");
      if (answer === undefined) return;
      if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 200)}`);
      if (!answer.head.includes(`\r\nx-echo: ${pending.id}\r\n`))
        throw new Error("the answer to another request");
      if (answer.body !== pending.body) throw new Error("other bytes than the origin sent");
      if (answer.length !== lane.text.length) throw new Error("more bytes than one answer");
      this.#latencies.push(performance.now() - pending.dueAtMs);
      this.#answered++;
      this.#busy.delete(lane);
      lane.pending = undefined;
      if (answer.isLast || pending.isLast) this.#leave(lane);
      else this.#idle.push(lane);
    } catch (error) {
      this.#fail(lane, (error as Error).message);
    }
  }

  #ended(lane: Lane, how: string): void {
    if (lane.isDone) return;
    if (lane.pending !== undefined) {
      const got = lane.text === "" ? "before the answer" : `after ${lane.text.length} bytes of the answer`;
      this.#fail(lane, `${how} ${got}`);
      return;
    }
    const index = this.#idle.indexOf(lane);
    if (index !== -1) this.#idle.splice(index, 1);
    this.#leave(lane);
  }

  #fail(lane: Lane, why: string): void {
    if (lane.isDone) return;
    this.#busy.delete(lane);
    const index = this.#idle.indexOf(lane);
    if (index !== -1) this.#idle.splice(index, 1);
    // one that was opened ahead of any request has lost none
    if (lane.pending !== undefined || lane.socket !== undefined)
      this.#note(why, lane.pending?.kind.name ?? "none", lane.port);
    this.#leave(lane);
  }

  #note(why: string, kind: string, port: number): void {
    const atMs = Math.round(performance.now() - this.#startedAtMs);
    this.#options.failures.push({ why: `${kind}: ${why}, ${atMs} ms after the start`, port });
  }

  #leave(lane: Lane): void {
    lane.isDone = true;
    lane.socket?.end();
  }
}
