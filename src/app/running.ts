/**
 * Running: the parts of a control process that is up, put together once, and what can be read from them.
 *
 * why    first start and upgrade differ in what they start from, not in what they become
 */
import program from "../../package.json" with { type: "json" };
import { CertificateKeeper } from "../acme/keeper.ts";
import type {
  EndpointChangeEvent,
  EndpointStatus,
  EndpointWish,
  ReloadAnswer,
  Status,
} from "../admin/status.ts";
import type { CheckKeeper } from "../checks/keeper.ts";
import type { Config } from "../config/config.ts";
import { Ejections } from "../control/ejections.ts";
import { EndpointBoard, type SavedStanding } from "../control/endpoint-board.ts";
import { ForeignRows } from "../control/foreign-rows.ts";
import { ListenerSockets } from "../control/listener-sockets.ts";
import { Resolver } from "../control/resolver.ts";
import { RowPool } from "../control/row-pool.ts";
import { zeroGauges } from "../control/series-keys.ts";
import { makeRoom } from "../control/series-room.ts";
import { Discoverer, type SavedLists } from "../discovery/discoverer.ts";
import { makeSource } from "../discovery/sources.ts";
import { exposition, processMetrics } from "../observe/registry.ts";
import { SeriesTable } from "../observe/series.ts";
import { NameLookup } from "../transport/dns.ts";
import type { Identity } from "../transport/privileges.ts";
import { CONTROL_ROW, ROW_SLOTS, Zone } from "../zone/zone.ts";
import { CacheKeeper } from "./cache-keeper.ts";
import { CacheReader, cacheMetrics } from "./cache-reader.ts";
import { Certificates } from "./certificates.ts";
import { discoveryMetrics, discoveryStatus } from "./discovery-status.ts";
import { checkMetrics, makeCheckKeeper } from "./endpoint-checks.ts";
import { eventRow, setEndpoint, standingMetrics } from "./endpoint-states.ts";
import { type HandoverState, type Inheritance, layoutDigest } from "./handover.ts";
import type { Log } from "./log.ts";
import { Purger } from "./purger.ts";
import { buildCacheHouse } from "./shared-cache.ts";
import {
  Counted,
  certificateStatus,
  type Detail,
  endpointStatus,
  listenerStatus,
  routeStatus,
  type UpstreamSources,
  upstreamStatus,
  workerStatus,
} from "./status.ts";
import { Workers } from "./workers.ts";

export const PROGRAM = program.version;
/** Four tidyings a second, one comparison of endpoints. */
const TIDYINGS_A_LOOK = 4;
/** Less is a clock that is being adjusted, and no matter. */
const MIN_CLOCK_STEP_MS = 1000;

/** What changes while we run, told by `Control`. */
export interface RunningFacts {
  readonly state: Status["state"];
  readonly config: Config | undefined;
  readonly configVersion: number;
  readonly configSource: string;
  readonly lastReload: ReloadAnswer | undefined;
  readonly reloadsApplied: number;
  readonly reloadsFailed: number;
}

export interface RunningOptions {
  readonly log: Log;
  readonly identity: Identity | undefined;
  readonly workerFile: string;
  readonly inheritance: Inheritance | undefined;
}

export class Running {
  readonly zone: Zone;
  readonly rows: RowPool;
  readonly series: SeriesTable;
  readonly sockets: ListenerSockets;
  readonly resolver: Resolver;
  readonly discoverer: Discoverer;
  readonly workers: Workers;
  readonly certificates: Certificates;
  readonly acme: CertificateKeeper;
  readonly foreign: ForeignRows;
  /** States of endpoints. */
  readonly board: EndpointBoard;
  readonly ejections: Ejections;
  readonly checks: CheckKeeper;
  readonly cache: CacheKeeper;
  readonly purger: Purger;
  readonly cacheReader: CacheReader;
  readonly startedAtMs: number;
  readonly #log: Log;
  /** What people had set, until it is set again: the zone that held it could not be taken over. */
  readonly #lostStandings: SavedStanding[] = [];
  /** Of workers that the generation before has started, by row. */
  readonly #foreignPids: Readonly<Record<number, number>>;
  #tidyings = 0;
  /** ms since the epoch at monotonic 0. */
  #epochMs = Date.now() - performance.now();
  /** Views of the rows that were used, made anew when there are more or longer ones. */
  #views: readonly Float64Array[] = [];

  constructor({ log, identity, workerFile: file, inheritance }: RunningOptions) {
    this.#log = log;
    if (inheritance?.zone === undefined) this.#lostStandings.push(...(inheritance?.state.standings ?? []));
    const state = inheritance?.zone === undefined ? undefined : inheritance.state;
    const zone = inheritance?.zone ?? Zone.create();
    const rows = new RowPool(CONTROL_ROW, state?.rowsUsed, state?.rowsTaken);
    const series = state === undefined ? new SeriesTable(ROW_SLOTS) : SeriesTable.restore(state.series);
    const names = new NameLookup();
    const lookup = (host: string) => names.lookup(host);
    this.#foreignPids = state?.pids ?? {};
    this.zone = zone;
    this.rows = rows;
    this.series = series;
    this.startedAtMs = state?.startedAtMs ?? Date.now();
    this.sockets = new ListenerSockets(lookup, inheritance?.sockets);
    this.foreign = new ForeignRows(rows, zone.heartbeats, state?.rowsTaken ?? []);
    this.resolver = new Resolver({
      lookup,
      onChange: (host, addresses) => this.workers.setAddresses(host, addresses),
      onFailure: (host, text) => log("warn", "dns", `${host} cannot be resolved: ${text}; trying again`),
      after: startTimer,
      random: Math.random,
    });
    this.discoverer = makeDiscoverer(names, log, inheritance?.state.discovered);
    this.certificates = new Certificates({ log, send: () => this.workers.setMaterials() });
    const { board: materials } = this.certificates;
    this.acme = new CertificateKeeper({ board: materials, log });
    const onWanted = (listener: string, name: string) => materials.want(listener, name);
    this.board = new EndpointBoard({
      rowOf: (slots) => zone.row(CONTROL_ROW, slots),
      changes: zone.boardChanges,
      log,
      nowMs: Date.now,
    });
    const workerRows = () => this.#keptRows();
    this.ejections = new Ejections({ board: this.board, rows: workerRows, log, nowMs: Date.now });
    this.checks = makeCheckKeeper({
      board: this.board,
      addresses: () => this.resolver.addresses(),
      files: () => materials.loaded.files,
      after: startTimer,
    });
    const onFailing = (upstream: string, endpoint: string, detail: string) =>
      this.ejections.failing(upstream, endpoint, detail);
    const { cache, purger, cacheReader } = makeCaching(log, identity, inheritance);
    [this.cache, this.purger, this.cacheReader] = [cache, purger, cacheReader];
    const onPurge: Purger["purgeScope"] = (...asked) => purger.purgeScope(...asked);
    const addresses = () => this.resolver.addresses();
    const retireRow = (row: number, pid: number) => this.#retireRow(row, pid);
    const restarts = state?.restarts ?? [];
    this.workers = new Workers({
      file,
      zone,
      rows,
      identity,
      log,
      retireRow,
      addresses,
      onWanted,
      onFailing,
      onPurge,
      restarts,
    });
  }

  /** Looks after what an older generation left, and after what time changes. */
  tidy(): void {
    for (const row of this.foreign.look()) {
      zeroGauges(this.#row(row), this.series.slots());
      this.cache.forgetWorker(row, this.#foreignPids[row]);
    }
    this.#lookAtClock();
    this.board.look();
    this.#tidyings++;
    if (this.#tidyings % TIDYINGS_A_LOOK !== 0) return;
    this.ejections.look();
    this.cache.tidy();
  }

  /** Ejections end by the wall clock, since processes share it: when it is set, they are moved with it. */
  #lookAtClock(): void {
    const epochMs = Date.now() - performance.now();
    const stepMs = epochMs - this.#epochMs;
    this.#epochMs = epochMs;
    if (Math.abs(stepMs) < MIN_CLOCK_STEP_MS) return;
    this.board.shiftClock(stepMs);
    this.ejections.shiftClock(stepMs);
  }

  /** A configuration is in force. */
  followEndpoints(config: Config): void {
    const { upstreams } = config;
    this.purger.adopt(config);
    const slots = this.series.slots();
    this.board.adopt(slots, upstreams);
    this.board.restore(this.#lostStandings.splice(0));
    this.ejections.adopt(slots, upstreams);
    this.checks.keep({ upstreams });
  }

  #retireRow(row: number, pid: number): void {
    this.cache.forgetWorker(row, pid); // before another worker gets the row
    zeroGauges(this.#row(row), this.series.slots());
    this.zone.heartbeats[row] = 0;
    this.rows.giveBack(row);
  }

  #row(row: number): Float64Array {
    return this.zone.row(row, this.series.used);
  }

  /** Gives the counters of endpoints that are long gone back. in  the configurations that workers may run */
  makeRoom(configs: readonly Config[]): void {
    makeRoom(this.series, this.#rows(), configs);
  }

  /** Gives back what belongs to the machine. `isHandedOver`: the sockets live on in another process. */
  release(isHandedOver: boolean): Promise<void> {
    this.checks.stop();
    this.resolver.stop();
    this.discoverer.stop();
    this.certificates.stop();
    this.acme.stop();
    this.workers.kill();
    this.sockets.close(isHandedOver);
    this.zone.remove();
    return this.cache.close(isHandedOver ? "handed_over" : "stopped");
  }

  handoverState(facts: RunningFacts, adminPort: number | undefined): HandoverState {
    const { configVersion, reloadsApplied, reloadsFailed } = facts;
    return {
      sockets: this.sockets.bound,
      zonePath: this.zone.path,
      layout: layoutDigest(),
      series: this.series.save(),
      rowsUsed: this.rows.used,
      rowsTaken: this.rows.taken,
      configVersion,
      reloadsApplied,
      reloadsFailed,
      restarts: this.workers.restarts(),
      startedAtMs: this.startedAtMs,
      standings: this.board.save(),
      adminPort,
      discovered: this.discoverer.save(),
      pids: Object.fromEntries(this.workers.facts().map(({ row, pid }) => [row, pid])),
      cache: this.cache.save(),
      purges: this.purger.counts,
    };
  }

  status(facts: RunningFacts, detail: Detail = "status"): Status {
    const counted = new Counted(this.#rows(), this.series.slots());
    const sources = this.#upstreamSources(counted);
    const { config, state, configVersion, configSource, lastReload } = facts;
    const { bound } = this.sockets;
    const discovery = this.discoverer.standings().map(discoveryStatus);
    const cache = this.cacheReader.status();
    return {
      program: PROGRAM,
      pid: process.pid,
      startedAt: new Date(this.startedAtMs).toISOString(),
      state,
      configVersion,
      configSource,
      lastReload,
      workers: this.workers.facts().map((worker) => workerStatus(worker, counted)),
      listeners: config?.listeners.map(({ name }) => listenerStatus(name, bound, counted)) ?? [],
      routes: config?.routes.map((route) => routeStatus(route, counted, detail)) ?? [],
      upstreams: config?.upstreams.map((upstream) => upstreamStatus(upstream, sources, detail)) ?? [],
      ...(discovery.length === 0 ? {} : { discovery }),
      certificates: this.certificates.board.rows().map(certificateStatus),
      ...(cache === undefined ? {} : { cache }),
    };
  }

  #upstreamSources(counted: Counted): UpstreamSources {
    const standing = (upstream: string, endpoint: string) => this.board.state(upstream, endpoint);
    return { counted, addresses: this.resolver.addresses(), standing };
  }

  /** Latest changes of endpoints' states, the oldest first. */
  events(): EndpointChangeEvent[] {
    return this.board.events().map(eventRow);
  }

  /** Does what a person wants with an endpoint. out  undefined when nothing can be set there */
  changeEndpoint(
    config: Config | undefined,
    name: { readonly upstream: string; readonly endpoint: string },
    wish: EndpointWish,
  ): EndpointStatus | undefined {
    const upstream = config?.upstreams.find((each) => each.name === name.upstream);
    const endpoint = upstream?.endpoints.find((each) => each.name === name.endpoint);
    if (endpoint === undefined || !setEndpoint(this.board, name, wish, this.#log)) return undefined;
    const sources = this.#upstreamSources(new Counted(this.#rows(), this.series.slots()));
    return endpointStatus(name.upstream, endpoint, sources, "status");
  }

  /** Prometheus text, "" when `observe.metrics` is off. */
  metrics(facts: RunningFacts, isReady: boolean): string {
    if (facts.config?.observe.metrics === false) return "";
    const workers = this.workers.facts();
    const extra = processMetrics({
      program: PROGRAM,
      runtime: `bun ${Bun.version}`,
      startedAtMs: this.startedAtMs,
      isReady,
      workersConfigured: facts.config?.server.workers ?? 0,
      workersUp: workers.filter((worker) => worker.state === "running").length,
      restarts: this.workers.restarts(),
      configVersion: facts.configVersion,
      reloadsApplied: facts.reloadsApplied,
      reloadsFailed: facts.reloadsFailed,
      certificates: this.certificates.served(),
      certificateErrors: this.certificates.failures,
      acme: this.acme.counts(),
    });
    extra.push(...standingMetrics(this.board.standings()));
    extra.push(...checkMetrics(this.checks.counts()));
    extra.push(...discoveryMetrics(this.discoverer.standings()));
    extra.push(...cacheMetrics(this.cacheReader.status(), this.purger.counts));
    const rows = workers.map((worker) => worker.row);
    return exposition(this.series.slots(), this.#rows(), rows, extra);
  }

  #keptRows(): readonly Float64Array[] {
    const isSame = this.#views.length === this.rows.used && this.#views[0]?.length === this.series.used;
    if (!isSame) this.#views = this.#rows();
    return this.#views;
  }

  /** Only rows that were used: reading others would make the kernel give them memory. */
  #rows(): Float64Array[] {
    return Array.from({ length: this.rows.used }, (_, row) => this.#row(row));
  }
}

function makeCaching(log: Log, identity: Identity | undefined, inheritance: Inheritance | undefined) {
  const cache = new CacheKeeper({
    build: (settings, workers, predecessor) =>
      buildCacheHouse({ settings, workers, predecessor, identity, log }),
    inherited: inheritance?.state.cache,
    mayShareRows: inheritance?.zone !== undefined,
  });
  const carryOut: CacheKeeper["purge"] = (...asked) => cache.purge(...asked);
  const purger = new Purger({ log, nowMs: Date.now, carryOut }, inheritance?.state.purges);
  return { cache, purger, cacheReader: new CacheReader({ cache, purger, nowMs: Date.now }) };
}

function makeDiscoverer(names: NameLookup, log: Log, saved: SavedLists | undefined): Discoverer {
  return new Discoverer({
    makeSource: (config, isSecure) => makeSource(config, isSecure, names),
    log,
    after: startTimer,
    random: Math.random,
    nowMs: Date.now,
    saved,
  });
}

function startTimer(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}
