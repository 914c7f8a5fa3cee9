/**
 * Dataplane: everything one worker does with traffic, wired together.
 *
 * why    the composition root of a worker: sessions, pipeline, pools, timers and the log meet here and nowhere else
 * rule   `prepare` builds version n+1 beside n; `commit` swaps references and cannot fail; pools of endpoints that
 *        stay are the same objects in both, so a reload closes no connection and forgets no address
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { Config, EndpointConfig, UpstreamConfig } from "../config/config.ts";
import { CidrSet } from "../core/address.ts";
import { defectText } from "../core/failure.ts";
import { HttpClock } from "../core/http-clock.ts";
import { RequestIds } from "../core/request-id.ts";
import { compileLogFormat } from "../observe/access-log.ts";
import { BLOCKS, LISTENER, WORKER } from "../observe/metrics.table.ts";
import { type SlotMap, seriesKey, sharedKey, UNROUTED } from "../observe/series.ts";
import { compileSnapshot, type Snapshot, slotFor } from "../pipeline/compile.ts";
import type { FailingEndpoint } from "../pipeline/endpoint-health.ts";
import { Fetches } from "../pipeline/fetches.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import type { PipelineServices } from "../pipeline/plan.ts";
import { run } from "../pipeline/run.ts";
import type { GateServices } from "../pipeline/upstream-gate.ts";
import type { PoolServices, SessionServices } from "../session/services.ts";
import { EndpointPool, type PoolSettings } from "../session/upstream-pool.ts";
import type { Challenges, Materials } from "../tls/materials.ts";
import { clock, readClock } from "../transport/clock.ts";
import { raiseDescriptorLimit } from "../transport/descriptors.ts";
import type { DialAddress } from "../transport/dial.ts";
import { Encoders } from "../transport/encoders.ts";
import { LogFile } from "../transport/log-file.ts";
import { keeperOfThisProcess } from "../transport/memory.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import { MAX_WORKERS, ROW_SLOTS, type Zone } from "../zone/zone.ts";
import { EndpointSettings, type PemFiles, type PreparedSettings } from "./endpoint-settings.ts";
import { Entrances } from "./entrances.ts";
import { InFlightEverywhere } from "./in-flight.ts";
import type { Log } from "./log.ts";
import type { Addresses, CachePlace } from "./messages.ts";
import { OpenCache } from "./open-cache.ts";
import { Pressure } from "./pressure.ts";
import { UpstreamGates } from "./upstream-gates.ts";
import { UpstreamStates } from "./upstream-states.ts";

export interface DataplaneOptions {
  readonly zone: Zone;
  readonly worker: number;
  readonly log: Log;
  /** Asks control for a certificate that a client wants. */
  readonly wantCertificate?: (listener: string, name: string) => void;
  /** Tells control of an endpoint that fails again and again. */
  readonly reportFailing?: (failing: FailingEndpoint) => void;
  /** Asks control for a purge that a client wants. */
  readonly purge?: PipelineServices["purge"];
}

interface Prepared {
  readonly config: Config;
  readonly slots: SlotMap;
  readonly snapshot: Snapshot;
  readonly accessLog: OpenLog | undefined;
  readonly settings: PreparedSettings;
}

interface OpenLog {
  readonly format: string;
  readonly to: string;
  readonly file: LogFile;
}

/** How often what is not counted per request is brought up to date. */
const HOUSEKEEPING_MS = 1000;
const DRAIN_LOOK_MS = 20;
/** Enough for about a hundred routes: 128 KiB. */
const FIRST_ROW_SLOTS = 16 * 1024;
const MAX_BLOCK_SLOTS = Math.max(...Object.values(BLOCKS).map((block) => block.slots));
/** Part of `server.memory` that may wait for slow readers; the rest is for the runtime and what it has not collected. */
const BUFFERS_SHARE = 0.5;

export class Dataplane {
  readonly #options: DataplaneOptions;
  #counters: Float64Array;
  readonly #rows: (Float64Array | undefined)[] = [];
  readonly #inFlight: InFlightEverywhere;
  readonly #wheel = new Wheel();
  readonly #memory = keeperOfThisProcess();
  readonly #budget = new BufferBudget(Number.POSITIVE_INFINITY);
  readonly #encoders = new Encoders(this.#budget);
  readonly #pipeline: PipelineServices & {
    counters: Float64Array;
    workerSlot: number;
    unroutedSlot: number;
  };
  readonly #sessions: SessionServices & { counters: Float64Array };
  readonly #poolServices: PoolServices & { counters: Float64Array };
  readonly #entrances: Entrances;
  /** By endpoint key, with the endpoint: its name may get other addresses. */
  readonly #pools = new Map<string, { pool: EndpointPool; endpoint: EndpointConfig }>();
  readonly #settings = new EndpointSettings();
  readonly #states: UpstreamStates;
  readonly #gates: UpstreamGates;
  readonly #gateServices: GateServices & { counters: Float64Array };
  readonly #pressure: Pressure;
  readonly #cache: OpenCache;
  #upstreams: readonly UpstreamConfig[] = [];
  #addresses: Map<string, readonly string[]> = new Map();
  #prepared: Prepared | undefined;
  #accessLog: OpenLog | undefined;

  constructor(options: DataplaneOptions) {
    this.#options = options;
    this.#counters = options.zone.row(options.worker, FIRST_ROW_SLOTS);
    this.#inFlight = new InFlightEverywhere(options.zone);
    this.#states = new UpstreamStates(options.zone, options.reportFailing ?? (() => {}));
    this.#pressure = new Pressure({
      memoryShare: () => this.#budget.usedBytes / this.#budget.limitBytes,
      judged: (level) => this.#judged(level),
    });
    this.#gateServices = {
      counters: this.#counters,
      wheel: this.#wheel,
      chance: Math.random,
      resume: run,
      soon: queueMicrotask,
    };
    this.#gates = new UpstreamGates(this.#gateServices);
    this.#pipeline = {
      counters: this.#counters,
      workerSlot: 0,
      unroutedSlot: 0,
      ids: new RequestIds((bytes) => crypto.getRandomValues(bytes)),
      dates: new HttpClock(),
      budget: this.#budget,
      encoders: this.#encoders,
      chance: Math.random,
      shedder: this.#pressure,
      logAccess: undefined,
      epochMs: Date.now() - performance.now(),
      events: undefined,
      report: (text) => options.log("error", "pipeline", text),
      httpChallenges: new Map(),
      cache: undefined,
      purgeFrom: new CidrSet([]),
      ...(options.purge === undefined ? {} : { purge: options.purge }),
      resume: run,
      fetches: new Fetches(),
    };
    const events = new Pipeline(this.#pipeline);
    const sockets = new SocketBudget(raiseDescriptorLimit());
    sockets.makeRoom = () => [...this.#pools.values()].some(({ pool }) => pool.dropIdle());
    this.#cache = new OpenCache({ row: options.worker, descriptors: sockets, log: options.log });
    const shared = { wheel: this.#wheel, budget: this.#budget, sockets, counters: this.#counters };
    this.#sessions = { ...shared, events, workerSlot: 0, isDraining: false };
    const onDefect = (defect: unknown) => this.#pipeline.report(defectText(defect));
    this.#poolServices = { ...shared, events, onDefect };
    this.#entrances = new Entrances({
      sessions: this.#sessions,
      log: options.log,
      activeEverywhere: (slot) => this.#activeEverywhere(slot),
      wantCertificate: options.wantCertificate ?? (() => {}),
    });
    this.#wheel.start();
    this.#pressure.start(readClock);
    setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS);
  }

  /** Compiles a version beside the running one. out  what is wrong with it, or undefined */
  prepare(config: Config, slots: SlotMap, addresses: Addresses, materials: Materials): string | undefined {
    for (const [host, known] of Object.entries(addresses)) this.#addresses.set(host, known);
    this.#fitRow(slots);
    this.#states.prepare(slots);
    this.#setChallenges(materials.challenges);
    try {
      const settings = this.#settings.prepare(config.upstreams, materials.files);
      this.#entrances.prepare(config.listeners, materials);
      const snapshot = compileSnapshot(config, {
        slots,
        worker: this.#options.worker,
        zone: config.server.zone,
        chance: Math.random,
        inFlightAt: (slot) => this.#inFlight.at(slot),
        gateOf: (upstream) => this.#gates.of(upstream, slots),
        standingOf: (upstream, endpointSlots) => this.#states.standingOf(upstream, endpointSlots),
        budgetOf: (upstream, share) => this.#states.budgetOf(upstream, share),
        readText: (path) => readFileSync(path, "utf8"),
        poolFor: (key, slot, upstream, endpoint) =>
          this.#pools.get(key)?.pool ?? this.#newPool(slot, endpoint, settings.of(upstream, endpoint)),
      });
      this.#prepared = { config, slots, snapshot, accessLog: this.#openLog(config), settings };
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** The cache of the version that is prepared next. */
  prepareCache(place: CachePlace | undefined): string | undefined {
    return this.#cache.prepare(place);
  }

  removeShared(): void {
    this.#cache.removeNames();
  }

  /** Maps more of the row when series were added; what holds the old view writes to the same memory. */
  #fitRow(slots: SlotMap): void {
    const last = Object.values(slots).reduce((most, slot) => Math.max(most, slot), 0);
    const needed = last + MAX_BLOCK_SLOTS;
    if (needed <= this.#counters.length) return;
    this.#counters = this.#options.zone.row(this.#options.worker, Math.min(needed * 2, ROW_SLOTS));
    this.#rows.length = 0;
    for (const services of [this.#pipeline, this.#sessions, this.#poolServices, this.#gateServices]) {
      services.counters = this.#counters;
    }
  }

  /** Puts the prepared version in force for new exchanges. */
  commit(): void {
    const prepared = this.#prepared;
    if (prepared === undefined) return;
    this.#prepared = undefined;
    this.#inFlight.refresh(this.#counters.length);
    const { config, slots, snapshot, settings } = prepared;
    this.#pipeline.workerSlot = slots[seriesKey("worker")] ?? 0;
    this.#sessions.workerSlot = this.#pipeline.workerSlot;
    this.#pipeline.unroutedSlot = slotFor(slots, seriesKey("route", UNROUTED), sharedKey("route"));
    this.#budget.limitBytes = config.server.memoryBytes * BUFFERS_SHARE;
    this.#cache.commit();
    this.#pipeline.cache = this.#cache.store;
    this.#pipeline.purgeFrom = new CidrSet(config.cache?.purgeFrom ?? []);
    this.#settings.commit(settings);
    this.#states.commit();
    this.#gates.commit(config.upstreams, snapshot.groups);
    this.#entrances.commit(config.listeners, slots, snapshot.sites);
    this.#setPools(config, snapshot);
    this.#setLog(prepared.accessLog);
  }

  /** Forgets the prepared version. */
  abandon(): void {
    const prepared = this.#prepared;
    if (prepared === undefined) return;
    this.#prepared = undefined;
    this.#cache.abandon();
    this.#gates.abandon();
    if (prepared.accessLog?.file !== this.#accessLog?.file) void prepared.accessLog?.file.close();
  }

  // ── listeners ──

  /** Accepts on an inherited descriptor. Throws when the descriptor is no listening socket. */
  listen(id: string, listenerName: string, descriptor: number): void {
    this.#entrances.listen(id, listenerName, descriptor);
  }

  unlisten(id: string): void {
    this.#entrances.unlisten(id);
  }

  /** Connections of a listener that are open in all workers together. */
  #activeEverywhere(slot: number): number {
    const { zone } = this.#options;
    let total = 0;
    for (let worker = 0; worker < MAX_WORKERS; worker++) {
      if (zone.heartbeats[worker] === 0) continue;
      const row = this.#rows[worker] ?? zone.row(worker, this.#counters.length);
      this.#rows[worker] = row;
      total += row[slot + LISTENER.at.active] as number;
    }
    return total;
  }

  // ── endpoints ──

  #newPool(slot: number, endpoint: EndpointConfig, settings: PoolSettings): EndpointPool {
    const pool = new EndpointPool(this.#poolServices, slot, settings);
    pool.setAddresses(this.#dialAddresses(endpoint));
    return pool;
  }

  #setPools(config: Config, snapshot: Snapshot): void {
    for (const [key, { pool }] of [...this.#pools]) {
      if (snapshot.pools.has(key)) continue;
      pool.retire();
      this.#pools.delete(key);
    }
    this.#upstreams = config.upstreams;
    for (const upstream of config.upstreams) {
      for (const [index, endpoint] of upstream.endpoints.entries()) {
        const key = endpointKey(upstream, endpoint);
        const pool = snapshot.pools.get(key);
        if (pool === undefined) continue;
        pool.watcher = this.#states.of(upstream.name)?.watcherOf(index);
        pool.setAddresses(this.#dialAddresses(endpoint));
        this.#pools.set(key, { pool, endpoint });
      }
    }
    this.#configurePools();
  }

  #configurePools(): void {
    const settings = this.#settings.current;
    for (const upstream of this.#upstreams) {
      for (const endpoint of upstream.endpoints) {
        this.#pools.get(endpointKey(upstream, endpoint))?.pool.configure(settings.of(upstream, endpoint));
      }
    }
  }

  #dialAddresses({ address }: EndpointConfig): DialAddress[] {
    if (address.kind === "unix") return [{ unix: address.path }];
    const { host, port } = address;
    const ips = isIP(host) === 0 ? (this.#addresses.get(host) ?? []) : [host];
    return ips.map((ip) => ({ ip, port }));
  }

  setAddresses(host: string, addresses: readonly string[]): void {
    this.#addresses.set(host, addresses);
    for (const { pool, endpoint } of this.#pools.values()) {
      const { address } = endpoint;
      if (address.kind === "tcp" && address.host === host) pool.setAddresses(this.#dialAddresses(endpoint));
    }
  }

  setMaterials(part: Partial<Materials>): string | undefined {
    const { files, challenges } = part;
    if (challenges !== undefined) this.#setChallenges(challenges);
    try {
      this.#entrances.setMaterials(part);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return files === undefined ? undefined : this.#setFiles(files);
  }

  /** At once, whatever version is in force: an authority looks for them now. */
  #setChallenges({ http }: Challenges): void {
    this.#pipeline.httpChallenges = new Map(Object.entries(http));
  }

  /** Certificates and authorities of endpoints; connections made with others end. out  what is wrong */
  #setFiles(files: PemFiles): string | undefined {
    try {
      this.#settings.commit(this.#settings.prepare(this.#upstreams, files));
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    this.#configurePools();
    return undefined;
  }

  // ── access log ──

  /** The log in use when nothing about it changes, else a new one, opened now so that a failure is told now. */
  #openLog(config: Config): OpenLog | undefined {
    const wanted = config.observe.accessLog;
    if (wanted === undefined) return undefined;
    const current = this.#accessLog;
    if (current !== undefined && current.to === wanted.to) return { ...wanted, file: current.file };
    const report = (problem: string | undefined) =>
      this.#options.log("warn", "access-log", problem ?? `writing to ${wanted.to} works again`);
    return { ...wanted, file: new LogFile(wanted.to, { report }) };
  }

  #setLog(log: OpenLog | undefined): void {
    if (this.#accessLog !== undefined && this.#accessLog.file !== log?.file)
      void this.#accessLog.file.close();
    this.#accessLog = log;
    if (log === undefined) {
      this.#pipeline.logAccess = undefined;
      return;
    }
    const format = compileLogFormat(log.format);
    this.#pipeline.logAccess = (entry) => log.file.write(format(entry));
  }

  reopenLogs(): void {
    this.#accessLog?.file.reopen();
  }

  // ── life ──

  #judged(level: number): void {
    this.#encoders.look(level > 0);
    this.#counters[this.#pipeline.workerSlot + WORKER.at.shedLevel] = level;
    this.#gates.tick();
  }

  #tellCompression(): void {
    const { open, level, bytesIn, bytesOut, refused } = this.#encoders;
    const { at } = WORKER;
    const slot = this.#pipeline.workerSlot;
    this.#counters[slot + at.compressing] = open;
    this.#counters[slot + at.compressLevel] = level;
    this.#counters[slot + at.compressBytes] = bytesIn;
    this.#counters[slot + at.compressBytes + 1] = bytesOut;
    this.#counters[slot + at.compressRefused] = refused;
  }

  #keepHouse(): void {
    this.#memory.look();
    this.#inFlight.refresh(this.#counters.length);
    this.#pipeline.epochMs = Date.now() - performance.now();
    this.#states.setClock();
    const { workerSlot } = this.#pipeline;
    this.#counters[workerSlot + WORKER.at.bufferedBytes] = this.#budget.usedBytes;
    this.#counters[workerSlot + WORKER.at.logDropped] = this.#accessLog?.file.dropped ?? 0;
    this.#tellCompression();
  }

  /** Stops accepting, finishes what is in flight; settles when all is done or at the deadline. */
  async drain(timeoutMs: number): Promise<void> {
    readClock();
    this.#sessions.isDraining = true;
    this.#entrances.leave();
    const deadlineMs = clock.nowMs + timeoutMs;
    while (this.#entrances.openCount > 0 && performance.now() < deadlineMs) await Bun.sleep(DRAIN_LOOK_MS);
    this.#entrances.kill();
    await this.#cache.close();
    await this.#accessLog?.file.close();
  }
}

function endpointKey(upstream: UpstreamConfig, endpoint: EndpointConfig): string {
  return seriesKey("endpoint", upstream.name, endpoint.name);
}
