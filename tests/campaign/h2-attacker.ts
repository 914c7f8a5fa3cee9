/**
 * Attacker: one attack, over and over on new connections, for some seconds. A program of its own in campaigns, so
 * that the clients beside it are measured by a process that has nothing else to do.
 *
 * in     `bun h2-attacker.ts NAME PORT SECONDS`
 * out    `AttackReport` as JSON
 */
import { connect, type Socket } from "node:net";
import { setPriority } from "node:os";
import { FRAME, takeFrames } from "../support/h2-frames.ts";
import { ATTACKS, type Attack } from "./h2-attacks.table.ts";

export interface AttackReport {
  readonly connections: number;
  /** Ended by the server, by code of its GOAWAY; "none" when it said none, or we did not read. */
  readonly ended: Readonly<Record<string, number>>;
  readonly sentMib: number;
  /** Longest life of a connection that the server ended. */
  readonly longestMs: number;
}

/** New connections a second for each lane: a client that is refused comes again, but the kernel has its limits. */
const RECONNECT_MS = 100;
/** An attacker comes from elsewhere: its own work must not be what slows the others down. */
const LOWEST_PRIORITY = 19;
const MIB = 1024 * 1024;

interface Counts {
  connections: number;
  sentBytes: number;
  longestMs: number;
  readonly ended: Record<string, number>;
}

/** Attacks until the time is over. */
export async function attack(what: Attack, port: number, seconds: number): Promise<AttackReport> {
  const counts: Counts = { connections: 0, sentBytes: 0, longestMs: 0, ended: {} };
  const untilMs = performance.now() + seconds * 1000;
  await Promise.all(Array.from({ length: what.connections }, () => lane(what, port, untilMs, counts)));
  const { connections, ended, sentBytes, longestMs } = counts;
  return { connections, ended, sentMib: sentBytes / MIB, longestMs };
}

async function lane(what: Attack, port: number, untilMs: number, counts: Counts): Promise<void> {
  while (performance.now() < untilMs) {
    await new OneConnection(what, port, counts).run(untilMs);
    await Bun.sleep(RECONNECT_MS);
  }
}

class OneConnection {
  readonly #what: Attack;
  readonly #counts: Counts;
  readonly #socket: Socket;
  readonly #startedAtMs = performance.now();
  #pending: Buffer = Buffer.alloc(0);
  #code = "none";
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(what: Attack, port: number, counts: Counts) {
    this.#what = what;
    this.#counts = counts;
    counts.connections++;
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const over = () => this.#over();
    this.#socket
      .on("end", over)
      .on("close", over)
      .on("error", over)
      .on("drain", () => this.#wake());
    if (what.reads === false) this.#socket.pause();
    else this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  async run(untilMs: number): Promise<void> {
    const late = setTimeout(() => this.#wake(), Math.max(0, untilMs - performance.now()));
    for (const bytes of this.#what.bytes()) {
      if (this.#isOver || performance.now() >= untilMs) break;
      this.#counts.sentBytes += bytes.length;
      if (!this.#socket.write(bytes)) await this.#woken();
      if (this.#what.pauseMs !== undefined) await Bun.sleep(this.#what.pauseMs);
    }
    // a slow attack has said all it has: it waits for what the server makes of it
    if (!this.#isOver && performance.now() < untilMs) await this.#woken();
    clearTimeout(late);
    if (this.#isOver) this.#count();
    this.#isOver = true;
    this.#socket.destroy();
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOver) resolve();
      this.#wake = resolve;
    });
  }

  #count(): void {
    const { ended } = this.#counts;
    ended[this.#code] = (ended[this.#code] ?? 0) + 1;
    this.#counts.longestMs = Math.max(this.#counts.longestMs, performance.now() - this.#startedAtMs);
  }

  #over(): void {
    this.#isOver = true;
    this.#wake();
  }

  #read(chunk: Buffer): void {
    const { frames, rest } = takeFrames(Buffer.concat([this.#pending, chunk]));
    this.#pending = rest;
    for (const { type, payload } of frames)
      if (type === FRAME.goaway) this.#code = String(payload.readUInt32BE(4));
  }
}

if (import.meta.main) {
  setPriority(0, LOWEST_PRIORITY);
  const [name = "", port = "", seconds = ""] = process.argv.slice(2);
  const what = ATTACKS.find((one) => one.name === name);
  if (what === undefined) throw new Error(`no attack ${name}`);
  console.log(JSON.stringify(await attack(what, Number(port), Number(seconds))));
  process.exit(0);
}
