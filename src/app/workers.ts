/**
 * Workers: the data-plane processes: started, watched, replaced, changed together, drained.
 *
 * rule   a slot always has a worker or one on its way; a worker that dies is replaced at once, one that
 *        hangs is killed first, and one that dies as soon as it lives is restarted more and more slowly
 * rule   one spare process has loaded its code and waits for work: starting one takes 30 ms on a quiet machine
 *        and more on a busy one, giving work to one takes 5
 * rule   a version is prepared everywhere before it is committed anywhere
 * shape  a deployment says what all workers are to run; each worker is brought to it, from wherever it is
 */
import type { PurgeScope } from "../cache/store.ts";
import { MAX_SILENT_LOOKS } from "../control/foreign-rows.ts";
import { RestartPolicy } from "../control/restart-policy.ts";
import type { RowPool } from "../control/row-pool.ts";
import type { Identity } from "../transport/privileges.ts";
import type { Zone } from "../zone/zone.ts";
import {
  commitOn,
  type Deployment,
  GONE,
  listenOn,
  type Outcome,
  prepareOn,
  refreshOn,
} from "./deployment.ts";
import type { Log } from "./log.ts";
import type { Addresses } from "./messages.ts";
import { START_TIMEOUT_MS, WorkerProcess, type WorkerState } from "./worker-process.ts";

export interface WorkersOptions {
  readonly file: string;
  readonly zone: Zone;
  readonly rows: RowPool;
  readonly identity: Identity | undefined;
  readonly log: Log;
  /** Sets the gauges of a row whose worker has ended to 0, and lets others use it. */
  readonly retireRow: (row: number, pid: number) => void;
  /** Addresses known now, by host name. */
  readonly addresses: () => Addresses;
  /** A client asked for a name that only an on-demand certificate could serve. */
  readonly onWanted: (listener: string, name: string) => void;
  /** An endpoint fails again and again in one of the workers. */
  readonly onFailing: (upstream: string, endpoint: string, detail: string) => void;
  /** A client asks for a purge. out  undefined once it is in force everywhere, or why it is not */
  readonly onPurge: (scope: PurgeScope, isSoft: boolean, client: string) => Promise<string | undefined>;
  /** Restarts by slot, counted by the generation before an upgrade. */
  readonly restarts: readonly number[];
}

export interface WorkerFacts {
  readonly slot: number;
  readonly row: number;
  readonly pid: number;
  readonly state: WorkerState;
  readonly restarts: number;
  readonly heartbeatAgeMs: number;
}

interface Slot {
  readonly number: number;
  readonly policy: RestartPolicy;
  restarts: number;
  worker: WorkerProcess | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Of heartbeats, here and in `ForeignRows`. */
const LOOK_MS = 250;
/** How often a condition is looked at while we wait for a successor. */
const POLL_MS = 20;
/** A new spare is started when the worker that took the last one has had the processor to itself for a while. */
const SPARE_DELAY_MS = 200;
const SPARE_RETRY_MS = 10_000;
/** What a worker gets beyond the time to drain before it is killed. */
const KILL_GRACE_MS = 2000;
/** Workers that die while a version is prepared are given one more chance: they may have died of the old one. */
const PREPARE_TRIES = 2;

export class Workers {
  readonly #options: WorkersOptions;
  readonly #slots: Slot[] = [];
  /** No longer wanted, finishing what they have. */
  readonly #leaving = new Set<WorkerProcess>();
  readonly #watch: ReturnType<typeof setInterval>;
  #spare: WorkerProcess | undefined;
  #spareTimer: ReturnType<typeof setTimeout> | undefined;
  #current: Deployment | undefined;
  /** First start and end: a worker that dies is not replaced. */
  #isReplacing = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Starts all workers. out  why that failed, or undefined once all of them accept */
  async start(deployment: Deployment): Promise<string | undefined> {
    this.#current = deployment;
    this.#resize(deployment.workers);
    const errors = await Promise.all(this.#slots.map((slot) => this.#bringUp(slot)));
    this.#isReplacing = true;
    this.#keepSpare(SPARE_DELAY_MS);
    return errors.find((error) => error !== undefined);
  }

  /** Lets every worker check and compile a version. out  what is wrong with it, or undefined */
  async prepare(deployment: Deployment): Promise<string | undefined> {
    const addresses = this.#options.addresses();
    for (let tries = 0; tries < PREPARE_TRIES; tries++) {
      const running = this.#running();
      const outcomes = await Promise.all(running.map((worker) => prepareOn(worker, deployment, addresses)));
      const error = outcomes.find((outcome) => typeof outcome === "string");
      if (error !== undefined) return error;
      // who died has a successor on its way, which `commit` brings to the new version
      if (outcomes.includes(undefined)) return undefined;
      await this.#untilAnyRuns();
    }
    return "no worker lived long enough to prepare it";
  }

  abandon(version: number): void {
    for (const worker of this.#running()) worker.abandon(version);
  }

  /** Puts a prepared version in force everywhere; settles when every worker runs it and accepts. */
  async commit(deployment: Deployment): Promise<void> {
    this.#current = deployment;
    const surplus = this.#resize(deployment.workers);
    // all commits leave before any answer is awaited: workers differ in their version for a moment only
    const isPrepared = (worker: WorkerProcess) => worker.preparedVersion === deployment.version;
    const changes = surplus.filter(isPrepared).map((worker) => commitOn(worker, deployment.version));
    await Promise.all([...changes, ...this.#slots.map((slot) => this.#change(slot, deployment))]);
    // only now: what waits in the queue of a worker that leaves is accepted by another
    for (const worker of surplus) this.#letGo(worker, deployment.config.server.drainTimeoutMs);
  }

  async #change({ number, worker }: Slot, deployment: Deployment): Promise<void> {
    if (worker === undefined) {
      const slot = this.#slots[number] as Slot;
      if (slot.timer === undefined) await this.#bringUp(slot);
      return;
    }
    if (worker.state !== "running") return; // on its way: at its end it looks for a newer deployment
    const isPrepared = worker.preparedVersion === deployment.version;
    const changed = isPrepared ? this.#commitTo(worker, deployment) : this.#bringTo(worker, deployment);
    const outcome = (await changed) ?? (await listenOn(worker, deployment));
    if (typeof outcome === "string") this.#giveUp(worker, outcome);
  }

  setAddresses(host: string, addresses: readonly string[]): void {
    for (const worker of this.#all()) worker.send({ kind: "addresses", host, addresses });
  }

  /** Gives every worker the materials that it lacks; those on their way to a version get them there. */
  async setMaterials(): Promise<void> {
    const deployment = this.#current;
    if (deployment === undefined) return;
    const there = workersOf(this.#slots).filter(({ version }) => version === deployment.version);
    await Promise.all(there.map((worker) => this.#refresh(worker, deployment)));
  }

  async #refresh(worker: WorkerProcess, { materials }: Deployment): Promise<void> {
    const outcome = await refreshOn(worker, materials);
    if (typeof outcome === "string") this.#options.log("error", "certificates", outcome);
  }

  reopenLogs(): void {
    for (const worker of this.#all()) worker.send({ kind: "reopen_logs" });
  }

  /** Stops accepting, lets everything finish, at most so long; settles when no worker is left. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isReplacing = false;
    this.#current = undefined;
    this.#dropSpare();
    for (const worker of this.#resize(0)) this.#letGo(worker, timeoutMs);
    await Promise.all([...this.#leaving].map((worker) => worker.exited));
    clearInterval(this.#watch);
  }

  /** Ends all workers now. */
  kill(): void {
    this.#isReplacing = false;
    clearInterval(this.#watch);
    this.#dropSpare();
    for (const slot of this.#slots) clearTimeout(slot.timer);
    for (const worker of this.#all()) worker.kill();
  }

  /** True while every worker accepts. */
  get isReady(): boolean {
    return this.#slots.length > 0 && this.#slots.every((slot) => slot.worker?.state === "running");
  }

  /** True while at least one worker accepts. */
  get hasRunning(): boolean {
    return this.#running().length > 0;
  }

  facts(): WorkerFacts[] {
    const { heartbeats } = this.#options.zone;
    return this.#all().map((worker) => ({
      slot: worker.slot,
      row: worker.row,
      pid: worker.pid,
      state: worker.state,
      restarts: this.#slots[worker.slot]?.restarts ?? 0,
      heartbeatAgeMs: worker.heartbeat === 0 ? 0 : Math.max(0, Date.now() - (heartbeats[worker.row] ?? 0)),
    }));
  }

  restarts(): number[] {
    return this.#slots.map((slot) => slot.restarts);
  }

  #all(): WorkerProcess[] {
    return [...workersOf(this.#slots), ...this.#leaving];
  }

  #running(): WorkerProcess[] {
    return workersOf(this.#slots).filter(({ state }) => state === "running");
  }

  /** Makes so many slots. out  the workers of slots that are no more */
  #resize(count: number): WorkerProcess[] {
    while (this.#slots.length < count) {
      const number = this.#slots.length;
      const restarts = this.#options.restarts[number] ?? 0;
      this.#slots.push({
        number,
        policy: new RestartPolicy(),
        restarts,
        worker: undefined,
        timer: undefined,
      });
    }
    const removed = this.#slots.splice(count);
    for (const slot of removed) clearTimeout(slot.timer);
    const workers = workersOf(removed);
    for (const worker of workers) this.#leaving.add(worker);
    return workers;
  }

  #letGo(worker: WorkerProcess, timeoutMs: number): void {
    const isStarting = worker.state === "starting";
    worker.state = "draining";
    if (isStarting) {
      worker.kill();
      return;
    }
    worker.send({ kind: "drain", timeoutMs });
    const timer = setTimeout(() => {
      this.#options.log(
        "warn",
        "workers",
        `worker ${worker.slot} (pid ${worker.pid}) did not drain in time: killed`,
      );
      worker.kill();
    }, timeoutMs + KILL_GRACE_MS);
    void worker.exited.then(() => clearTimeout(timer));
  }

  async #untilAnyRuns(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (this.#running().length === 0 && performance.now() < deadlineMs) await Bun.sleep(POLL_MS);
  }

  /** Starts a slot's worker and brings it to the newest deployment. out  why that failed */
  async #bringUp(slot: Slot): Promise<string | undefined> {
    slot.timer = undefined;
    const worker = this.#spawn(slot);
    if (typeof worker === "string") {
      this.#replace(slot, 0);
      return worker;
    }
    slot.worker = worker;
    const outcome = await this.#welcome(worker);
    if (typeof outcome === "string") this.#giveUp(worker, outcome);
    else if (outcome === undefined && worker.state === "starting") {
      worker.state = "running";
      this.#keepSpare(SPARE_DELAY_MS);
    }
    return outcome === GONE ? `worker ${slot.number} ended while it started` : outcome;
  }

  #spawn({ number }: Slot): WorkerProcess | string {
    const { rows } = this.#options;
    const row = rows.take();
    if (row === undefined) return "all rows of the shared memory are in use: too many workers";
    try {
      const worker = this.#spare ?? this.#newProcess();
      this.#spare = undefined;
      worker.assign(number, row);
      return worker;
    } catch (error) {
      rows.giveBack(row);
      return `worker ${number} cannot be started: ${(error as Error).message}`;
    }
  }

  #newProcess(): WorkerProcess {
    const { file, log, onWanted, onFailing, onPurge } = this.#options;
    const onExit = (worker: WorkerProcess, how: string) => this.#exited(worker, how);
    return new WorkerProcess({ file, log, onWanted, onFailing, onPurge, onExit });
  }

  /** Has a spare started after a while, when there is none. */
  #keepSpare(delayMs: number): void {
    if (!this.#isReplacing || this.#spare !== undefined) return;
    clearTimeout(this.#spareTimer);
    this.#spareTimer = setTimeout(() => {
      try {
        this.#spare ??= this.#newProcess();
      } catch (error) {
        this.#options.log("warn", "workers", `no spare worker: ${(error as Error).message}`);
        this.#keepSpare(SPARE_RETRY_MS);
      }
    }, delayMs);
  }

  #dropSpare(): void {
    clearTimeout(this.#spareTimer);
    this.#spare?.kill();
    this.#spare = undefined;
  }

  async #welcome(worker: WorkerProcess): Promise<Outcome> {
    const { zone, identity } = this.#options;
    const hello = await worker.hello;
    if (hello === "gone") return GONE;
    if (hello === "late") return `worker ${worker.slot} did not come up in time`;
    worker.start({
      kind: "start",
      worker: worker.row,
      zonePath: zone.path,
      identity,
    });
    for (;;) {
      const deployment = this.#current;
      if (deployment === undefined || worker.state !== "starting") return GONE;
      const outcome = (await this.#bringTo(worker, deployment)) ?? (await listenOn(worker, deployment));
      if (outcome !== undefined || deployment === this.#current) return outcome;
    }
  }

  async #bringTo(worker: WorkerProcess, deployment: Deployment): Promise<Outcome> {
    const outcome = await prepareOn(worker, deployment, this.#options.addresses());
    return outcome ?? (await this.#commitTo(worker, deployment));
  }

  /** Materials may have changed since the version was prepared. */
  async #commitTo(worker: WorkerProcess, deployment: Deployment): Promise<Outcome> {
    const outcome = await commitOn(worker, deployment.version);
    if (outcome === undefined) await this.#refresh(worker, deployment);
    return outcome;
  }

  #giveUp(worker: WorkerProcess, reason: string): void {
    this.#options.log("error", "workers", `${reason}; pid ${worker.pid} is killed`);
    worker.kill();
  }

  #exited(worker: WorkerProcess, how: string): void {
    const { log } = this.#options;
    if (worker.row === -1) {
      if (worker !== this.#spare) return;
      log("warn", "workers", `the spare worker (pid ${worker.pid}) ended with ${how}`);
      this.#spare = undefined;
      this.#keepSpare(SPARE_RETRY_MS);
      return;
    }
    const wasLeaving = this.#leaving.delete(worker);
    const slot = this.#slots.find((entry) => entry.worker === worker);
    this.#options.retireRow(worker.row, worker.pid);
    if (slot === undefined || wasLeaving || !this.#isReplacing) return;
    slot.worker = undefined;
    const delayMs = this.#replace(slot, performance.now() - worker.assignedAtMs);
    const then = delayMs === 0 ? "it is replaced" : `it is replaced in ${delayMs} ms, as it keeps dying`;
    log("error", "workers", `worker ${slot.number} (pid ${worker.pid}) ended with ${how}: ${then}`);
  }

  /** out  after how long the slot gets its next worker */
  #replace(slot: Slot, livedMs: number): number {
    const delayMs = slot.policy.delayAfterDeath(livedMs);
    if (!this.#isReplacing) return delayMs;
    slot.restarts++;
    if (delayMs === 0) void this.#bringUp(slot);
    else slot.timer = setTimeout(() => void this.#bringUp(slot), delayMs);
    return delayMs;
  }

  #look(): void {
    const { zone, log } = this.#options;
    for (const worker of this.#all()) {
      const heartbeat = zone.heartbeats[worker.row] ?? 0;
      // loading code and compiling a configuration have their own deadlines
      const mustBeat = worker.isStarted && !worker.isPreparing;
      worker.silentLooks = mustBeat && heartbeat === worker.heartbeat ? worker.silentLooks + 1 : 0;
      worker.heartbeat = heartbeat;
      if (worker.silentLooks !== MAX_SILENT_LOOKS) continue;
      const silentMs = MAX_SILENT_LOOKS * LOOK_MS;
      log(
        "error",
        "workers",
        `worker ${worker.slot} (pid ${worker.pid}) hangs: no sign of life for ${silentMs} ms`,
      );
      worker.kill();
    }
  }
}

function workersOf(slots: readonly Slot[]): WorkerProcess[] {
  return slots.map(({ worker }) => worker).filter((worker) => worker !== undefined);
}
