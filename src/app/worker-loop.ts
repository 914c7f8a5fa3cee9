/**
 * Worker loop: obeys the control process, and shows it that we are alive.
 *
 * why    kept apart from the data plane, so that processes can be tested without HTTP and the data plane
 *        without processes
 * rule   privileges are dropped on `start`, before any traffic; when control is gone nobody could reload,
 *        replace or stop us, so we stop accepting, finish, and leave
 * never  loads the configuration's parsers or the admin API: the time to start is the time a dead worker's
 *        connections wait
 */
import type { Config } from "../config/config.ts";
import { defectText } from "../core/failure.ts";
import { WORKER } from "../observe/metrics.table.ts";
import { type SlotMap, seriesKey } from "../observe/series.ts";
import type { FailingEndpoint } from "../pipeline/endpoint-health.ts";
import type { Materials } from "../tls/materials.ts";
import { closeDescriptor, DESCRIPTOR_SOCKET, receiveDescriptor } from "../transport/descriptors.ts";
import { ownBytes } from "../transport/memory.ts";
import { become } from "../transport/privileges.ts";
import { Zone } from "../zone/zone.ts";
import type { DataplaneOptions } from "./dataplane.ts";
import { type Level, type Log, logToStderr } from "./log.ts";
import type { Addresses, CachePlace, FromWorker, ToWorker } from "./messages.ts";
import { PurgeRequests } from "./purge-requests.ts";

/** What a worker drives; the real one is `Dataplane`. */
export interface WorkerEngine {
  /** out  what is wrong with the version, or undefined */
  prepare(config: Config, slots: SlotMap, addresses: Addresses, materials: Materials): string | undefined;
  commit(): void;
  abandon(): void;
  listen(id: string, listener: string, descriptor: number): void;
  unlisten(id: string): void;
  setAddresses(host: string, addresses: readonly string[]): void;
  /** New certificates, files or challenges. out  what is wrong with them, or undefined */
  setMaterials(materials: Partial<Materials>): string | undefined;
  /** The cache of the version that is prepared next. out  why it cannot be used, or undefined */
  prepareCache?(place: CachePlace | undefined): string | undefined;
  drain(timeoutMs: number): Promise<void>;
  /** Control is gone without having tidied up: names of what was shared are taken away. */
  removeShared?(): void;
  reopenLogs(): void;
}

/** A dozen beats before control gives a worker up (`workers.ts`). */
const HEARTBEAT_MS = 250;
/** Memory is read from the kernel: not with every beat. */
const BEATS_A_MEMORY_READING = 4;
/** Until a configuration tells another. */
const DEFAULT_DRAIN_MS = 30_000;
/** After this much more than the time to drain, a worker that control does not end ends itself. */
const DRAIN_GRACE_MS = 5000;
/** Signals that reach a whole process group or control group: control hears them too, and decides. */
const LEFT_TO_CONTROL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"];

/** Runs this process as a worker; returns at once, the process lives on. */
export function runWorker(makeEngine: (options: DataplaneOptions) => WorkerEngine): void {
  const loop = new WorkerLoop(makeEngine);
  for (const signal of LEFT_TO_CONTROL) process.on(signal, () => {});
  process.on("SIGTERM", () => loop.leave());
  process.on("disconnect", () => loop.leave());
  process.on("message", (message) => loop.obey(message as ToWorker));
  process.on("uncaughtException", (error) => loop.fail(error));
  process.on("unhandledRejection", (error) => loop.fail(error));
  loop.send({ kind: "hello" });
}

type Acts = {
  readonly [Kind in ToWorker["kind"]]: (message: Extract<ToWorker, { kind: Kind }>) => void;
};

class WorkerLoop {
  readonly #makeEngine: (options: DataplaneOptions) => WorkerEngine;
  #engine: WorkerEngine | undefined;
  #zone: Zone | undefined;
  /** This worker's own block of counters, once a configuration says where it is. */
  #gauges: Float64Array | undefined;
  #worker = 0;
  #prepared: { config: Config; slots: SlotMap } | undefined;
  #drainMs = DEFAULT_DRAIN_MS;
  #isLeaving = false;

  readonly #purges = new PurgeRequests((message) => this.send(message));

  readonly #acts: Acts = {
    start: (message) => this.#start(message),
    prepare: (message) => this.#prepare(message),
    commit: (message) => this.#commit(message.version),
    abandon: () => this.#abandon(),
    listen: (message) => this.#listen(message),
    unlisten: (message) => this.#unlisten(message.id),
    addresses: (message) => this.#engine?.setAddresses(message.host, message.addresses),
    materials: (message) => this.#setMaterials(message),
    purged: ({ number, error }) => this.#purges.answered(number, error),
    drain: (message) => this.leave(message.timeoutMs),
    reopen_logs: () => this.#engine?.reopenLogs(),
  };

  constructor(makeEngine: (options: DataplaneOptions) => WorkerEngine) {
    this.#makeEngine = makeEngine;
  }

  send(message: FromWorker): void {
    if (process.connected) process.send?.(message);
  }

  log(level: Level, area: string, text: string): void {
    if (process.connected) this.send({ kind: "log", level, area, text });
    else logToStderr(level, area, text);
  }

  /** A bug: the process goes, with its reason, and control starts another. */
  fail(error: unknown): void {
    const text = `worker ${this.#worker} stops because of a bug: ${defectText(error)}`;
    logToStderr("error", "worker", text);
    process.exit(70); // EX_SOFTWARE of sysexits(3)
  }

  obey(message: ToWorker): void {
    const act = this.#acts[message.kind] as (message: ToWorker) => void;
    act(message);
  }

  #start(message: Extract<ToWorker, { kind: "start" }>): void {
    // the zone belongs to the user that control runs as: opened first
    const zone = Zone.open(message.zonePath);
    if (message.identity !== undefined) become(message.identity);
    const log: Log = (level, area, text) => this.log(level, area, text);
    this.#zone = zone;
    this.#worker = message.worker;
    const wantCertificate = (listener: string, name: string) =>
      this.send({ kind: "certificate_wanted", listener, name });
    const reportFailing = (failing: FailingEndpoint) => this.send({ kind: "endpoint_failing", ...failing });
    const { worker } = message;
    const purge: PurgeRequests["ask"] = (...asked) => this.#purges.ask(...asked);
    this.#engine = this.#makeEngine({ zone, worker, log, wantCertificate, reportFailing, purge });
    this.#beat(zone.heartbeats);
  }

  #beat(heartbeats: Float64Array): void {
    let beats = 0;
    let dueAtMs = performance.now();
    const beat = () => {
      const nowMs = performance.now();
      heartbeats[this.#worker] = Date.now();
      this.#gauge(WORKER.at.loopLagSec, Math.max(0, nowMs - dueAtMs) / 1000);
      if (beats % BEATS_A_MEMORY_READING === 0) this.#readMemory();
      beats++;
      dueAtMs = nowMs + HEARTBEAT_MS;
    };
    beat();
    setInterval(beat, HEARTBEAT_MS);
  }

  #readMemory(): void {
    const bytes = ownBytes();
    if (bytes !== undefined) this.#gauge(WORKER.at.memoryBytes, bytes);
  }

  #gauge(offset: number, value: number): void {
    if (this.#gauges !== undefined) this.#gauges[offset] = value;
  }

  #prepare(message: Extract<ToWorker, { kind: "prepare" }>): void {
    const { version, config, slots, addresses, materials } = message;
    let error: string | undefined;
    try {
      const engine = this.#engine;
      error =
        engine === undefined
          ? "the worker was not started"
          : (engine.prepareCache?.(message.cache) ?? engine.prepare(config, slots, addresses, materials));
    } catch (thrown) {
      error = `the configuration cannot be compiled: ${defectText(thrown)}`;
    }
    this.#prepared = error === undefined ? { config, slots } : undefined;
    this.send({ kind: "prepared", version, error });
  }

  #setMaterials({ number, materials }: Extract<ToWorker, { kind: "materials" }>): void {
    this.send({ kind: "materials_set", number, error: this.#engine?.setMaterials(materials) });
  }

  #commit(version: number): void {
    if (this.#prepared === undefined) throw new Error("commit without a prepared version");
    this.#engine?.commit();
    this.#drainMs = this.#prepared.config.server.drainTimeoutMs;
    const slot = this.#prepared.slots[seriesKey("worker")];
    if (slot !== undefined) this.#gauges = this.#zone?.row(this.#worker, slot + WORKER.slots).subarray(slot);
    this.#prepared = undefined;
    this.#readMemory();
    this.send({ kind: "committed", version });
  }

  #abandon(): void {
    this.#prepared = undefined;
    this.#engine?.abandon();
  }

  #unlisten(id: string): void {
    this.#engine?.unlisten(id);
    this.send({ kind: "unlistened", id });
  }

  #listen({ id, listener, number }: Extract<ToWorker, { kind: "listen" }>): void {
    let error: string | undefined;
    try {
      const got = receiveDescriptor(DESCRIPTOR_SOCKET);
      if (got?.number !== number) {
        if (got !== undefined) closeDescriptor(got.descriptor);
        error = `expected descriptor ${number}, got ${got?.number ?? "none"}`;
      } else if (this.#engine === undefined || this.#isLeaving) closeDescriptor(got.descriptor);
      else this.#engine.listen(id, listener, got.descriptor);
    } catch (thrown) {
      error = String(thrown);
    }
    this.send({ kind: "listening", id, error });
  }

  /** Stops accepting, finishes what is in flight, and ends the process. */
  leave(timeoutMs = this.#drainMs): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    setTimeout(() => this.#end(1), timeoutMs + DRAIN_GRACE_MS);
    const drained = this.#engine?.drain(timeoutMs) ?? Promise.resolve();
    drained.then(
      () => {
        this.send({ kind: "drained" });
        this.#end(0);
      },
      (error: unknown) => this.fail(error),
    );
  }

  #end(code: number): void {
    // without control nobody else tidies up; a successor after an upgrade has its own name for the zone
    if (!process.connected) {
      this.#zone?.remove();
      this.#engine?.removeShared?.();
    }
    process.exit(code);
  }
}
