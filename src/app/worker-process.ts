/**
 * Worker process: one data-plane process, as control sees it.
 *
 * shape  questions and answers over IPC, each with a deadline; descriptors over a socket pair beside it
 * out    "gone" when the process ended before it answered, "late" at the deadline: the caller decides what
 *        that means
 */
import type { PurgeScope } from "../cache/store.ts";
import type { ListenSpec } from "../control/listener-sockets.ts";
import { defectText } from "../core/failure.ts";
import { closeDescriptor, descriptorPair, sendDescriptor } from "../transport/descriptors.ts";
import { restoreBacklog } from "../transport/listen-sockets.ts";
import type { Log } from "./log.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

export interface WorkerSpawn {
  /** Entry file of the worker. */
  readonly file: string;
  readonly log: Log;
  readonly onExit: (worker: WorkerProcess, how: string) => void;
  /** A client asked for a name that only an on-demand certificate could serve. */
  readonly onWanted: (listener: string, name: string) => void;
  /** An endpoint fails again and again. */
  readonly onFailing: (upstream: string, endpoint: string, detail: string) => void;
  /** A client asks for a purge. out  undefined once it is in force, or why it is not */
  readonly onPurge: (scope: PurgeScope, isSoft: boolean, client: string) => Promise<string | undefined>;
}

export type WorkerState = "starting" | "running" | "draining";
export type Answer<Kind extends FromWorker["kind"]> = Extract<FromWorker, { kind: Kind }> | "gone" | "late";

/** Loading the code on a busy machine, or compiling 10,000 routes: far above what is normal. */
export const START_TIMEOUT_MS = 20_000;
const PREPARE_TIMEOUT_MS = 20_000;
const COMMIT_TIMEOUT_MS = 5000;
const LISTEN_TIMEOUT_MS = 5000;
/** A thousand new certificates, on a machine that is busy. */
const MATERIALS_TIMEOUT_MS = 10_000;
/** Room in the descriptor socket: it is read at once, so a full one is soon empty again. */
const SEND_RETRY_MS = 5;
/**
 * How long the runtime's allocator keeps freed pages. Its 10 ms give pages back to the kernel between one collection
 * and the next, to be faulted in again at once: a third of the system time of a busy worker.
 */
const PURGE_DELAY_MS = "5000";

export class WorkerProcess {
  /** Its place among the workers and its row of the zone; -1 until it has been given work. */
  slot = -1;
  row = -1;
  assignedAtMs = 0;
  state: WorkerState = "starting";
  /** Versions prepared and in force there; 0 = none yet. */
  preparedVersion = 0;
  version = 0;
  /** Number of the materials that its version in force has, and of those it was prepared with (`MaterialsSource`). */
  materialsNumber = 0;
  preparedMaterials = 0;
  /** Last heartbeat seen, and how many looks ago it changed (`workers.ts`). */
  heartbeat = 0;
  silentLooks = 0;
  /** Told to start, and not in the middle of a long computation that we asked for: must show signs of life. */
  isStarted = false;
  isPreparing = false;
  /** It has loaded its code. */
  readonly hello: Promise<Answer<"hello">>;
  readonly listening = new Set<string>();
  /** Settles after `onExit` has run. */
  readonly exited: Promise<void>;
  readonly #process: Bun.Subprocess;
  readonly #socket: number;
  readonly #log: Log;
  readonly #onWanted: WorkerSpawn["onWanted"];
  readonly #onFailing: WorkerSpawn["onFailing"];
  readonly #onPurge: WorkerSpawn["onPurge"];
  readonly #waiting = new Map<string, (answer: FromWorker | "gone") => void>();
  readonly #exit = Promise.withResolvers<void>();
  #nextNumber = 1;
  #isGone = false;

  /** Starts the process. Throws when the system refuses: no memory, no process left. */
  constructor(spawn: WorkerSpawn) {
    this.exited = this.#exit.promise;
    this.#log = spawn.log;
    this.#onWanted = spawn.onWanted;
    this.#onFailing = spawn.onFailing;
    this.#onPurge = spawn.onPurge;
    const [own, child] = descriptorPair();
    this.#socket = own;
    try {
      this.#process = Bun.spawn([process.execPath, ...process.execArgv, spawn.file], {
        stdio: ["ignore", "inherit", "inherit", child],
        env: { MIMALLOC_PURGE_DELAY: PURGE_DELAY_MS, ...process.env },
        ipc: (message) => this.#receive(message as FromWorker),
        onExit: (_process, code, signal) => {
          this.#end();
          spawn.onExit(this, signal === null ? `exit code ${code}` : `signal ${signalName(signal)}`);
          this.#exit.resolve();
        },
      });
    } catch (error) {
      closeDescriptor(own);
      throw error;
    } finally {
      closeDescriptor(child);
    }
    this.hello = this.#answer("hello", START_TIMEOUT_MS);
  }

  get pid(): number {
    return this.#process.pid;
  }

  send(message: ToWorker): void {
    if (this.#isGone) return;
    try {
      this.#process.send(message);
    } catch {
      // the channel closes a moment before the exit is reported; onExit follows
    }
  }

  /** Gives it its place. */
  assign(slot: number, row: number): void {
    this.slot = slot;
    this.row = row;
    this.assignedAtMs = performance.now();
  }

  start(message: Extract<ToWorker, { kind: "start" }>): void {
    this.isStarted = true;
    this.send(message);
  }

  async prepare(message: Extract<ToWorker, { kind: "prepare" }>): Promise<Answer<"prepared">> {
    const answer = this.#answer<"prepared">(`prepared ${message.version}`, PREPARE_TIMEOUT_MS);
    this.isPreparing = true;
    this.send(message);
    const got = await answer;
    this.isPreparing = false;
    if (typeof got === "object" && got.error === undefined) this.preparedVersion = got.version;
    return got;
  }

  async commit(version: number): Promise<Answer<"committed">> {
    const answer = this.#answer<"committed">(`committed ${version}`, COMMIT_TIMEOUT_MS);
    this.version = version;
    this.send({ kind: "commit", version });
    return await answer;
  }

  async setMaterials(message: Extract<ToWorker, { kind: "materials" }>): Promise<Answer<"materials_set">> {
    const answer = this.#answer<"materials_set">(`materials_set ${message.number}`, MATERIALS_TIMEOUT_MS);
    this.send(message);
    return await answer;
  }

  abandon(version: number): void {
    if (this.preparedVersion === version) this.preparedVersion = this.version;
    this.send({ kind: "abandon", version });
  }

  /** Hands a listening descriptor over and waits until the worker accepts on it. */
  async listen({ id, listener, descriptor }: ListenSpec): Promise<Answer<"listening">> {
    const number = this.#nextNumber++;
    if (!(await this.#sendDescriptor(number, descriptor))) return "gone";
    const answer = this.#answer<"listening">(`listening ${id}`, LISTEN_TIMEOUT_MS);
    this.send({ kind: "listen", id, listener, number });
    const got = await answer;
    if (typeof got === "object" && got.error === undefined) {
      this.listening.add(id);
      restoreBacklog(descriptor);
    }
    return got;
  }

  async unlisten(id: string): Promise<Answer<"unlistened">> {
    const answer = this.#answer<"unlistened">(`unlistened ${id}`, LISTEN_TIMEOUT_MS);
    this.listening.delete(id);
    this.send({ kind: "unlisten", id });
    return await answer;
  }

  kill(): void {
    if (!this.#isGone) this.#process.kill("SIGKILL");
  }

  async #sendDescriptor(number: number, descriptor: number): Promise<boolean> {
    const deadlineMs = performance.now() + LISTEN_TIMEOUT_MS;
    try {
      while (!this.#isGone && performance.now() < deadlineMs) {
        if (sendDescriptor(this.#socket, number, descriptor)) return true;
        await Bun.sleep(SEND_RETRY_MS);
      }
    } catch {
      // the other end is closed: the process is ending
    }
    return false;
  }

  async #answer<Kind extends FromWorker["kind"]>(key: string, timeoutMs: number): Promise<Answer<Kind>> {
    if (this.#isGone) return "gone";
    const { promise, resolve } = Promise.withResolvers<FromWorker | "gone" | "late">();
    const timer = setTimeout(() => resolve("late"), timeoutMs);
    this.#waiting.set(key, resolve);
    const got = await promise;
    clearTimeout(timer);
    this.#waiting.delete(key);
    return got as Answer<Kind>;
  }

  #receive(message: FromWorker): void {
    if (message.kind === "log") this.#log(message.level, message.area, message.text);
    else if (message.kind === "certificate_wanted") this.#onWanted(message.listener, message.name);
    else if (message.kind === "endpoint_failing") {
      this.#onFailing(message.upstream, message.endpoint, message.detail);
    } else if (message.kind === "purge") void this.#purge(message);
    else this.#waiting.get(keyOf(message))?.(message);
  }

  async #purge({ number, scope, isSoft, client }: Extract<FromWorker, { kind: "purge" }>): Promise<void> {
    const error = await this.#onPurge(scope, isSoft, client).catch((thrown: unknown) => {
      this.#log("error", "cache", defectText(thrown));
      return "a defect in the control process; its log has more";
    });
    this.send({ kind: "purged", number, error });
  }

  #end(): void {
    this.#isGone = true;
    closeDescriptor(this.#socket);
    for (const resolve of this.#waiting.values()) resolve("gone");
  }
}

function keyOf(
  message: Exclude<FromWorker, { kind: "log" | "certificate_wanted" | "endpoint_failing" | "purge" }>,
): string {
  if ("version" in message) return `${message.kind} ${message.version}`;
  if ("number" in message) return `${message.kind} ${message.number}`;
  return "id" in message ? `${message.kind} ${message.id}` : message.kind;
}

function signalName(signal: number | string): string {
  return typeof signal === "string" ? signal : `number ${signal}`;
}
