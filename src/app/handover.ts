/**
 * Handover: a running Weir gives its sockets and counters to a newly started program, and leaves.
 *
 * why    the binary is replaced with no connection refused or reset: both generations hold the same sockets,
 *        and the old one lets go only after the new one accepts
 * shape  old control starts the new one with IPC and a descriptor socket; new: `hello`; old: `handover` and
 *        the descriptors; new: `ready` once its workers accept; old: drains and exits
 * fails  the new one ends, says `failed` or is not ready in time: the old one goes on as if nothing had been
 */
import type { SavedStanding } from "../control/endpoint-board.ts";
import type { BoundAddress } from "../control/listener-sockets.ts";
import type { SavedLists } from "../discovery/discoverer.ts";
import { BLOCKS } from "../observe/metrics.table.ts";
import type { SavedSeries } from "../observe/series.ts";
import {
  closeDescriptor,
  DESCRIPTOR_SOCKET,
  descriptorPair,
  receiveDescriptor,
  sendDescriptor,
} from "../transport/descriptors.ts";
import { ROW_SLOTS, Zone } from "../zone/zone.ts";
import type { SavedCache } from "./cache-keeper.ts";
import type { Log } from "./log.ts";
import type { PurgeCounts } from "./purger.ts";

/** Set in the environment of a new generation: tells it that somebody waits to hand over. */
const HANDOVER_VARIABLE = "WEIR_HANDOVER";
/** Reading the configuration, names, and workers: well above a slow start on a busy machine. */
const READY_TIMEOUT_MS = 60_000;
/** For a new program that has failed to end by itself. */
const END_TIMEOUT_MS = 2000;
const HANDOVER_TIMEOUT_MS = 10_000;
const POLL_MS = 2;

/** What the old generation tells; the descriptors follow in the order of `sockets`. */
export interface HandoverState {
  readonly sockets: readonly BoundAddress[];
  readonly zonePath: string;
  /** Digest of how counters lie in the zone: another program version may count other things. */
  readonly layout: string;
  readonly series: SavedSeries;
  /** Rows ever used, and those with a live writer. */
  readonly rowsUsed: number;
  readonly rowsTaken: readonly number[];
  readonly configVersion: number;
  readonly reloadsApplied: number;
  readonly reloadsFailed: number;
  /** Restarts by worker slot. */
  readonly restarts: readonly number[];
  readonly startedAtMs: number;
  /** What people have set at endpoints: needed only by a version that cannot take the zone over. */
  readonly standings?: readonly SavedStanding[];
  /** Port of the admin listener, for a configuration that leaves it to the kernel. */
  readonly adminPort: number | undefined;
  /** Processes by row: whose what they were writing is, once they have ended. */
  readonly pids?: Readonly<Record<number, number>>;
  /** The cache, and purges counted by kind. */
  readonly cache?: SavedCache | undefined;
  readonly purges?: PurgeCounts;
  /** Endpoints that sources named, by upstream: one of them may be silent now. */
  readonly discovered?: SavedLists;
}

type ToNew = { readonly kind: "handover"; readonly state: HandoverState };
type FromNew = { readonly kind: "hello" } | { readonly kind: "ready" } | { readonly kind: "failed" };

/** What a new generation starts with. */
export interface Inheritance {
  readonly state: HandoverState;
  readonly sockets: readonly BoundAddress[];
  /** The zone of the old generation; undefined when it cannot be used, and counting starts anew. */
  readonly zone: Zone | undefined;
}

/** Differs when counters lie elsewhere in the zone: then its numbers mean something else. */
export function layoutDigest(): string {
  return Bun.hash(JSON.stringify([BLOCKS, ROW_SLOTS])).toString(36);
}

export interface HandoverOptions {
  /** Starts the new program. */
  readonly command: readonly string[];
  readonly state: HandoverState;
  readonly log: Log;
  /** Gives the upgrade up. */
  readonly stop: AbortSignal;
}

/** Starts the new program and hands over. out  undefined once it is ready, or why it is not */
export async function handOver({ command, state, log, stop }: HandoverOptions): Promise<string | undefined> {
  const [own, child] = descriptorPair();
  const { promise: outcome, resolve } = Promise.withResolvers<string | undefined>();
  const late = () => resolve(`it was not ready within ${READY_TIMEOUT_MS / 1000} s`);
  const timer = setTimeout(late, READY_TIMEOUT_MS);
  stop.addEventListener("abort", () => resolve("this process is told to stop"), { once: true });
  let isEnding = false;
  const obey = (message: FromNew) => {
    if (message.kind === "ready") resolve(undefined);
    else if (message.kind === "failed") {
      isEnding = true;
      resolve("the new program could not start: its log says why");
    } else {
      started?.send({ kind: "handover", state } satisfies ToNew);
      sendSockets(own, state.sockets).catch((error: unknown) => resolve(String(error)));
    }
  };
  let started: Bun.Subprocess | undefined;
  try {
    started = Bun.spawn([...command], {
      env: { ...process.env, [HANDOVER_VARIABLE]: "1" },
      stdio: ["inherit", "inherit", "inherit", child],
      ipc: (message) => obey(message as FromNew),
      onExit: (_process, code, signal) =>
        resolve(`the new program ended with ${signal ?? `exit code ${code}`}`),
    });
    log("info", "control", `upgrade: started pid ${started.pid}`);
  } catch (error) {
    resolve(`the new program cannot be started: ${(error as Error).message}`);
  }
  closeDescriptor(child);
  const failed = await outcome;
  clearTimeout(timer);
  closeDescriptor(own);
  if (failed !== undefined && started !== undefined) {
    // one that has failed tidies up and ends; one that is merely late must not become ready after all
    if (isEnding) await Promise.race([started.exited, Bun.sleep(END_TIMEOUT_MS)]);
    started.kill("SIGKILL");
    await Promise.race([started.exited, Bun.sleep(END_TIMEOUT_MS)]);
    Zone.removeOf(started.pid); // killed, it could not tidy up itself
  }
  started?.unref();
  return failed;
}

async function sendSockets(socket: number, sockets: readonly BoundAddress[]): Promise<void> {
  let number = 0;
  for (const descriptor of sockets.flatMap((entry) => entry.descriptors)) {
    number++;
    // a full socket is emptied by the receiver; when it ends instead, sending throws
    while (!sendDescriptor(socket, number, descriptor)) await Bun.sleep(POLL_MS);
  }
}

/** True in a program that was started to take over. */
export function isTakeover(): boolean {
  return process.env[HANDOVER_VARIABLE] !== undefined && process.send !== undefined;
}

/** Takes over what the old generation has. Throws when it says nothing or goes away. */
export async function takeOver(log: Log): Promise<Inheritance> {
  delete process.env[HANDOVER_VARIABLE];
  const state = await receiveState();
  const sockets = await receiveSockets(state.sockets);
  closeDescriptor(DESCRIPTOR_SOCKET);
  return { state, sockets, zone: adoptZone(state, log) };
}

function receiveState(): Promise<HandoverState> {
  const { promise, resolve, reject } = Promise.withResolvers<HandoverState>();
  const timer = setTimeout(() => reject(new Error("nothing was handed over in time")), HANDOVER_TIMEOUT_MS);
  process.once("message", (message) => {
    clearTimeout(timer);
    resolve((message as ToNew).state);
  });
  process.send?.({ kind: "hello" } satisfies FromNew);
  return promise;
}

async function receiveSockets(sockets: readonly BoundAddress[]): Promise<readonly BoundAddress[]> {
  let expected = 0;
  const received: BoundAddress[] = [];
  for (const socket of sockets) {
    const descriptors: number[] = [];
    while (descriptors.length < socket.descriptors.length) {
      expected++;
      descriptors.push(await receiveNumbered(expected));
    }
    received.push({ ...socket, descriptors });
  }
  return received;
}

async function receiveNumbered(expected: number): Promise<number> {
  const deadlineMs = performance.now() + HANDOVER_TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const got = receiveDescriptor(DESCRIPTOR_SOCKET);
    if (got === undefined) await Bun.sleep(POLL_MS);
    else if (got.number === expected) return got.descriptor;
    else throw new Error(`expected descriptor ${expected}, got ${got.number}`);
  }
  throw new Error(`descriptor ${expected} was not handed over in time`);
}

function adoptZone(state: HandoverState, log: Log): Zone | undefined {
  if (state.layout !== layoutDigest()) {
    log("warn", "control", "upgrade: this version counts other things: counters start from 0");
    return undefined;
  }
  try {
    return Zone.adopt(state.zonePath);
  } catch (error) {
    log("warn", "control", `upgrade: counters start from 0: ${(error as Error).message}`);
    return undefined;
  }
}

/** Tells the old generation that we accept, or that we never will. */
export function reportTakeover(kind: "ready" | "failed"): void {
  if (process.connected) process.send?.({ kind } satisfies FromNew);
}
