/**
 * Control: the process that a person starts. It carries no traffic: it reads the configuration, holds the
 * sockets, looks after the workers, and answers signals and the admin API.
 *
 * rule   SIGHUP reloads · SIGTERM, SIGINT, SIGQUIT finish and leave, a second one leaves now · SIGUSR1 reopens
 *        logs · SIGUSR2 puts the program on disk in our place
 * rule   reloads and upgrades run one at a time; a reload asked for during a reload runs once after it
 * out    the exit code: 0 drained, 1 failed or cut short, 2 the configuration is wrong
 */
import { join } from "node:path";
import type { AdminHooks, ReloadAnswer, Status } from "../admin/status.ts";
import type { Config, Problem } from "../config/config.ts";
import { errorWithoutLine, formatProblem } from "../config/problem.ts";
import { formatAddress } from "../core/address.ts";
import { raiseDescriptorLimit } from "../transport/descriptors.ts";
import { findIdentity, type Identity, isRoot } from "../transport/privileges.ts";
import { AdminDoor, type StartAdmin, startRealAdmin } from "./admin-door.ts";
import type { Located } from "./certificates.ts";
import { Deployer, hasError } from "./deployer.ts";
import { handOver, type Inheritance, isTakeover, reportTakeover, takeOver } from "./handover.ts";
import { type Log, logToStderr } from "./log.ts";
import { makeLogFile } from "./owned-files.ts";
import { PROGRAM, Running, type RunningFacts } from "./running.ts";
import { watchFile } from "./watch-file.ts";

export interface LoadedConfig {
  readonly config?: Config | undefined;
  readonly problems: readonly Problem[];
  readonly file: string;
  readonly locate?: Located["locate"];
}

export interface ControlOptions {
  /** Reads the configuration: at the start and for each reload. */
  readonly load: () => Promise<LoadedConfig>;
  /** File whose change means a reload. */
  readonly watchFile?: string | undefined;
  readonly log?: Log | undefined;
  /** Command that starts this program anew, for an upgrade. */
  readonly command?: readonly string[] | undefined;
  /** Entry of a worker process, and the admin API: others in tests. */
  readonly workerFile?: string | undefined;
  readonly startAdmin?: StartAdmin | undefined;
}

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_CONFIG = 2;
/** How often rows of the generation before are looked at: see MAX_SILENT_LOOKS. */
const TIDY_MS = 250;
/** After endpoints that were found could not be brought into force, as when workers are too busy to answer. */
const RENEWAL_RETRY_MS = 5000;
const STOP_SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT", "SIGQUIT"];

/** Runs Weir until a signal ends it. out  the exit code */
export async function runControl(options: ControlOptions): Promise<number> {
  const control = new Control(options);
  const stopListening = listenToSignals(control);
  try {
    return await control.run();
  } finally {
    stopListening();
  }
}

function listenToSignals(control: Control): () => void {
  const acts: [NodeJS.Signals, () => void][] = [
    ...STOP_SIGNALS.map((name): [NodeJS.Signals, () => void] => [name, () => control.stop(name)]),
    ["SIGHUP", () => void control.reload()],
    ["SIGUSR1", () => control.reopenLogs()],
    ["SIGUSR2", () => void control.upgrade()],
  ];
  for (const [name, act] of acts) process.on(name, act);
  return () => {
    for (const [name, act] of acts) process.off(name, act);
  };
}

class Control {
  readonly #options: ControlOptions;
  readonly #log: Log;
  readonly #end = Promise.withResolvers<number>();
  readonly #stopUpgrade = new AbortController();
  #state: Status["state"] = "starting";
  #running: Running | undefined;
  #deployer: Deployer | undefined;
  #door: AdminDoor | undefined;
  #identity: Identity | undefined;
  #inheritance: Inheritance | undefined;
  #configVersion = 0;
  #configSource = "";
  #lastReload: ReloadAnswer | undefined;
  #reloadsApplied = 0;
  #reloadsFailed = 0;
  #queuedReload: Promise<ReloadAnswer> | undefined;
  #queuedRenewal: Promise<void> | undefined;
  /** The end of what runs one at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#log = options.log ?? logToStderr;
  }

  async run(): Promise<number> {
    const isUpgrade = isTakeover();
    const code = await this.#start(isUpgrade).catch((error: unknown) => {
      this.#log("error", "control", `start failed: ${messageOf(error)}`);
      return EXIT_FAILED;
    });
    if (code !== undefined) {
      if (isUpgrade) reportTakeover("failed");
      await this.#door?.close();
      this.#inheritance?.zone?.remove();
      // during an upgrade unix sockets belong to the generation that goes on
      await this.#running?.release(isUpgrade);
      return code;
    }
    const { watchFile: path } = this.#options;
    const stopWatching = path === undefined ? () => {} : watchFile(path, () => void this.reload());
    const tidying = setInterval(() => this.#running?.tidy(), TIDY_MS);
    this.#running?.discoverer.onChange(() => void this.renewEndpoints());
    void this.renewEndpoints(); // what was found while we started
    try {
      return await this.#end.promise;
    } finally {
      clearInterval(tidying);
      stopWatching();
    }
  }

  /** out  an exit code when it failed */
  async #start(isUpgrade: boolean): Promise<number | undefined> {
    const descriptorLimit = raiseDescriptorLimit();
    const inheritance = isUpgrade ? await takeOver(this.#log) : undefined;
    this.#inheritance = inheritance;
    this.#reloadsApplied = inheritance?.state.reloadsApplied ?? 0;
    this.#reloadsFailed = inheritance?.state.reloadsFailed ?? 0;
    const { config, problems, file, locate } = await this.#options.load();
    this.#logProblems(problems);
    if (config === undefined) return EXIT_CONFIG;
    const identity = this.#findIdentity(config);
    if (typeof identity === "string") return this.#fail(identity);
    const running = this.#assemble(identity, inheritance, descriptorLimit);
    const found = (await this.#deployer?.deploy({ config, file, locate })) ?? [];
    if (this.#state !== "starting") return EXIT_OK; // a signal came first
    this.#logProblems(found);
    if (hasError(found)) return EXIT_FAILED;
    this.#state = "running";
    running.checks.begin();
    this.#configVersion = (inheritance?.state.configVersion ?? 0) + 1;
    this.#configSource = file;
    this.#log("info", "control", `weir ${PROGRAM} is ready: ${describe(config, running)}`);
    if (isUpgrade) reportTakeover("ready");
    return undefined;
  }

  #fail(text: string): number {
    this.#log("error", "control", text);
    return EXIT_FAILED;
  }

  #findIdentity({ server: { user } }: Config): Identity | undefined | string {
    if (!isRoot()) {
      if (user !== undefined)
        this.#log("warn", "control", `server.user: ${user} is ignored: not started as root`);
      return undefined;
    }
    if (user === undefined) {
      this.#log("warn", "control", "workers run as root: name a user without rights in server.user");
      return undefined;
    }
    return findIdentity(user) ?? `server.user: there is no user ${user} on this machine`;
  }

  #assemble(
    identity: Identity | undefined,
    inheritance: Inheritance | undefined,
    descriptorLimit: number | undefined,
  ): Running {
    const log = this.#log;
    const workerFile = this.#options.workerFile ?? join(import.meta.dir, "worker.ts");
    const running = new Running({ log, identity, workerFile, inheritance });
    const door = new AdminDoor({
      start: this.#options.startAdmin ?? startRealAdmin,
      hooks: this.#hooks(running),
      log,
      inheritedPort: inheritance?.state.adminPort,
      isTakeover: inheritance !== undefined,
    });
    this.#identity = identity;
    this.#running = running;
    this.#door = door;
    this.#deployer = new Deployer({
      ...running,
      identity,
      descriptorLimit,
      log,
      isTakeover: inheritance !== undefined,
      openAdmin: (config, file) => door.open(config.admin, file),
      makeRoom: (configs) => running.makeRoom(configs),
      followEndpoints: (config) => running.followEndpoints(config),
    });
    return running;
  }

  #hooks(running: Running): AdminHooks {
    const isReady = () => this.#state === "running" && running.workers.hasRunning;
    return {
      isReady,
      status: () => running.status(this.#facts()),
      metrics: () => running.metrics(this.#facts(), isReady()),
      reload: () => this.reload(),
      live: () => running.status(this.#facts(), "live"),
      events: () => running.events(),
      changeEndpoint: (upstream, endpoint, wish) =>
        running.changeEndpoint(this.#deployer?.config, { upstream, endpoint }, wish),
      purge: (wish, from) => running.purger.purge(wish, from),
      purges: () => running.purger.events(),
      showCached: (question) => running.cacheReader.show(question),
      topCached: (limit) => running.cacheReader.top(limit),
    };
  }

  #facts(): RunningFacts {
    return {
      state: this.#state,
      config: this.#deployer?.config,
      configVersion: this.#configVersion,
      configSource: this.#configSource,
      lastReload: this.#lastReload,
      reloadsApplied: this.#reloadsApplied,
      reloadsFailed: this.#reloadsFailed,
    };
  }

  /** Reads the configuration again and brings it into force, whole or not at all. */
  reload(): Promise<ReloadAnswer> {
    this.#queuedReload ??= this.#inTurn(() => {
      this.#queuedReload = undefined;
      return this.#reloadNow();
    });
    return this.#queuedReload;
  }

  async #reloadNow(): Promise<ReloadAnswer> {
    const problems = await this.#tryReload().catch((error: unknown) => [problemOf(messageOf(error))]);
    const isApplied = !hasError(problems);
    if (isApplied) this.#configVersion++;
    if (isApplied) this.#reloadsApplied++;
    else this.#reloadsFailed++;
    this.#logProblems(problems);
    const { configVersion } = this.#facts();
    const outcome = isApplied
      ? `reloaded: version ${configVersion} is in force`
      : `reload failed: version ${configVersion} stays in force`;
    this.#log(isApplied ? "info" : "error", "control", outcome);
    const at = new Date().toISOString();
    this.#lastReload = { applied: isApplied, configVersion, at, problems };
    return this.#lastReload;
  }

  async #tryReload(): Promise<readonly Problem[]> {
    if (this.#state !== "running") return [problemOf(`cannot reload while ${this.#state}`)];
    const { config, problems, file, locate } = await this.#options.load();
    if (config === undefined) return problems;
    const before = this.#deployer?.config?.server.user;
    if (config.server.user !== before) {
      this.#log("warn", "control", "server.user has changed: it takes effect at the next start or upgrade");
    }
    const found = (await this.#deployer?.deploy({ config, file, locate })) ?? [];
    if (!hasError(found)) this.#configSource = file;
    return [...problems, ...found];
  }

  /** Brings the endpoints that were found since into force. It is no new version of the configuration. */
  renewEndpoints(): Promise<void> {
    this.#queuedRenewal ??= this.#inTurn(async () => {
      this.#queuedRenewal = undefined;
      if (this.#state !== "running") return;
      const error = await this.#deployer?.renewEndpoints().catch(messageOf);
      if (error === undefined) return;
      this.#log("error", "discovery", `what was found cannot be used, the endpoints before stay: ${error}`);
      setTimeout(() => void this.renewEndpoints(), RENEWAL_RETRY_MS).unref();
    });
    return this.#queuedRenewal;
  }

  /** Lets workers open their log files anew, as after a rotation. */
  reopenLogs(): void {
    const config = this.#deployer?.config;
    if (config === undefined) return;
    const problem = makeLogFile(config, this.#identity, this.#configSource);
    if (problem !== undefined) this.#logProblems([problem]);
    this.#running?.workers.reopenLogs();
    this.#log("info", "control", "log files reopened");
  }

  /** Stops accepting, finishes and leaves; asked twice, leaves now. */
  stop(signal: string): void {
    if (this.#state === "draining" || this.#state === "starting") {
      this.#log("warn", "control", `${signal}: leaving now`);
      this.#state = "draining";
      this.#leave(EXIT_FAILED, false);
      return;
    }
    const timeoutMs = this.#deployer?.config?.server.drainTimeoutMs ?? 0;
    this.#log("info", "control", `${signal}: finishing, at most ${timeoutMs / 1000} s`);
    this.#stopUpgrade.abort();
    this.#drain(false).catch((error: unknown) => this.#fail(messageOf(error)));
  }

  async #drain(isHandedOver: boolean): Promise<void> {
    this.#state = "draining";
    this.#running?.acme.stop(); // a successor takes the storage folder over
    this.#running?.discoverer.stop();
    const drained = this.#running?.workers.drain(this.#deployer?.config?.server.drainTimeoutMs ?? 0);
    // workers stop accepting now; whoever comes is refused at once instead of waiting for nobody
    this.#running?.sockets.close(isHandedOver);
    if (isHandedOver) await this.#door?.close();
    await drained;
    this.#log("info", "control", "all finished");
    this.#leave(EXIT_OK, isHandedOver);
  }

  #leave(code: number, isHandedOver: boolean): void {
    const closed = Promise.allSettled([this.#running?.release(isHandedOver), this.#door?.close()]);
    void closed.finally(() => this.#end.resolve(code));
  }

  /** Starts the program on disk, gives it the sockets, and leaves once it accepts. */
  upgrade(): Promise<void> {
    return this.#inTurn(() => this.#upgradeNow());
  }

  async #upgradeNow(): Promise<void> {
    const running = this.#running;
    running?.tidy();
    const reason = this.#whyNotUpgrade();
    if (running === undefined || reason !== undefined) {
      this.#log("error", "control", `upgrade refused: ${reason}`);
      return;
    }
    const command = this.#options.command ?? [
      process.execPath,
      ...process.execArgv,
      ...process.argv.slice(1),
    ];
    const state = running.handoverState(this.#facts(), this.#door?.port);
    const failed = await handOver({ command, state, log: this.#log, stop: this.#stopUpgrade.signal });
    if (failed !== undefined) {
      running.cache.own();
      this.#log("error", "control", `upgrade failed, pid ${process.pid} goes on: ${failed}`);
      return;
    }
    running.board.handOver();
    running.checks.stop(); // the new generation has its own
    this.#log("info", "control", `upgraded: pid ${process.pid} finishes what it has and leaves`);
    await this.#drain(true);
  }

  #whyNotUpgrade(): string | undefined {
    if (this.#state !== "running") return `this process is ${this.#state}`;
    if (process.pid === 1)
      return "process 1 cannot leave without ending its container: replace the container";
    if (this.#running?.foreign.isEmpty === false)
      return "the generation before this one still finishes; try later";
    return undefined;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(run);
    this.#tail = result.catch(() => {});
    return result;
  }

  #logProblems(problems: readonly Problem[]): void {
    for (const problem of problems) {
      this.#log(problem.severity === "error" ? "error" : "warn", "config", formatProblem(problem));
    }
  }
}

function describe(config: Config, { sockets }: Running): string {
  const places = sockets.bound.map(({ listener, address }) => `${listener} on ${formatAddress(address)}`);
  const { workers } = config.server;
  return `${workers} ${workers === 1 ? "worker" : "workers"}, ${places.join(", ")}`;
}

function problemOf(message: string): Problem {
  return errorWithoutLine("weir", "", message, undefined);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
