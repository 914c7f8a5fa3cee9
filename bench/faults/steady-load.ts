/**
 * Steady load: idempotent GETs at a constant rate, each answer checked byte for byte.
 *
 * why    latency counts from the instant at which a request was due, not from when there was a connection for it:
 *        a proxy that stalls cannot hide that behind a load that waits for it (coordinated omission)
 * out    for every request when it was due, how long it took and how it ended
 * rule   an idle connection is used if there is one, else one is opened; beyond MAX_LANES a request fails
 */
import { takeAnswer } from "../../tests/campaign/answer-reader.ts";
import { bodyOf, targetOf } from "./body.ts";

export interface Sample {
  /** ms since the epoch. */
  readonly dueAtMs: number;
  readonly tookMs: number;
  /** "" for the right answer; else what went wrong. */
  readonly trouble: string;
}

interface Pending {
  readonly target: string;
  readonly dueAtMs: number;
}

interface Lane {
  socket: Bun.Socket<Lane> | undefined;
  pending: Pending | undefined;
  text: string;
  isDone: boolean;
}

export interface SteadyLoadOptions {
  readonly port: number;
  readonly ratePerSec: number;
  /** Different things that are asked for, by chance. */
  readonly keys: number;
  /** A client that has waited so long leaves. */
  readonly patienceMs: number;
}

const TICK_MS = 2;
const MAX_LANES = 6000;
const SWEEP_TICKS = 25;

export class SteadyLoad {
  readonly #options: SteadyLoadOptions;
  readonly #idle: Lane[] = [];
  readonly #busy = new Set<Lane>();
  readonly samples: Sample[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;
  #ratePerSec: number;
  /** Where the present rate began: its instant, and how many were due before. */
  #since = { atMs: 0, sent: 0 };
  #sent = 0;
  #ticks = 0;

  constructor(options: SteadyLoadOptions) {
    this.#options = options;
    this.#ratePerSec = options.ratePerSec;
  }

  start(): void {
    this.#since = { atMs: now(), sent: 0 };
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** From now on at another rate. */
  set ratePerSec(rate: number) {
    this.#since = { atMs: now(), sent: this.#sent };
    this.#ratePerSec = rate;
  }

  /** Sends no more and waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const deadlineMs = now() + this.#options.patienceMs;
    while (this.#busy.size > 0 && now() < deadlineMs) await Bun.sleep(TICK_MS);
    for (const lane of this.#busy) this.#fail(lane, "no answer in time");
    for (const lane of this.#idle.splice(0)) this.#leave(lane);
  }

  #tick(): void {
    const atMs = now();
    const { atMs: sinceMs, sent } = this.#since;
    const due = sent + Math.floor(((atMs - sinceMs) * this.#ratePerSec) / 1000);
    while (this.#sent < due) this.#send(this.#sent++);
    if (this.#ticks++ % SWEEP_TICKS !== 0) return;
    // a Set keeps the order of their coming: the first that may stay ends the walk
    for (const lane of this.#busy) {
      if (lane.pending === undefined || atMs - lane.pending.dueAtMs < this.#options.patienceMs) break;
      this.#fail(lane, "no answer in time");
    }
  }

  #send(id: number): void {
    const { atMs, sent } = this.#since;
    const dueAtMs = atMs + ((id - sent) * 1000) / this.#ratePerSec;
    const target = targetOf(id, Math.floor(Math.random() * this.#options.keys));
    const pending: Pending = { target, dueAtMs };
    const lane = this.#idle.pop();
    if (lane !== undefined) this.#ask(lane, pending);
    else if (this.#busy.size >= MAX_LANES) this.#note(pending, "the client has no connection left");
    else this.#open(pending);
  }

  #open(pending: Pending): void {
    const lane: Lane = { socket: undefined, pending, text: "", isDone: false };
    this.#busy.add(lane);
    Bun.connect<Lane>({
      hostname: "127.0.0.1",
      port: this.#options.port,
      data: lane,
      socket: {
        open: (socket) => {
          lane.socket = socket;
          if (lane.isDone) socket.terminate();
          else if (lane.pending !== undefined) this.#ask(lane, lane.pending);
        },
        data: (socket, chunk) => this.#read(socket.data, chunk),
        end: (socket) => this.#ended(socket.data),
        close: (socket) => this.#ended(socket.data),
        error: (_socket, error) => {
          throw error;
        },
      },
    }).catch(() => this.#fail(lane, "cannot connect"));
  }

  #ask(lane: Lane, pending: Pending): void {
    lane.pending = pending;
    lane.text = "";
    this.#busy.add(lane);
    lane.socket?.write(`GET ${pending.target} HTTP/1.1\r\nHost: faults.test\r\n\r\n`);
  }

  #read(lane: Lane, chunk: Buffer): void {
    const { pending } = lane;
    if (lane.isDone) return;
    if (pending === undefined) {
      this.#leave(lane); // surplus bytes: whoever uses this connection next must not get them
      this.#forget(lane);
      return;
    }
    lane.text += chunk.toString("latin1");
    try {
      const answer = takeAnswer(lane.text, false);
      if (answer === undefined) return;
      const isRight = answer.body === bodyOf(pending.target);
      const trouble = answer.status !== 200 ? `status ${answer.status}` : isRight ? "" : "a wrong body";
      this.#note(pending, trouble);
      this.#busy.delete(lane);
      lane.pending = undefined;
      if (answer.isLast || answer.length !== lane.text.length) this.#leave(lane);
      else this.#idle.push(lane);
    } catch {
      this.#fail(lane, "not an answer");
    }
  }

  #ended(lane: Lane): void {
    if (lane.isDone) return;
    if (lane.pending !== undefined)
      this.#fail(lane, lane.text === "" ? "closed without an answer" : "an answer cut short");
    this.#forget(lane);
    this.#leave(lane);
  }

  #forget(lane: Lane): void {
    const index = this.#idle.indexOf(lane);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  #fail(lane: Lane, trouble: string): void {
    if (lane.isDone) return;
    this.#busy.delete(lane);
    if (lane.pending !== undefined) this.#note(lane.pending, trouble);
    lane.pending = undefined;
    this.#leave(lane);
  }

  #note({ dueAtMs }: Pending, trouble: string): void {
    this.samples.push({ dueAtMs, tookMs: now() - dueAtMs, trouble });
  }

  #leave(lane: Lane): void {
    lane.isDone = true;
    lane.socket?.end();
  }
}

const now = () => performance.timeOrigin + performance.now();
