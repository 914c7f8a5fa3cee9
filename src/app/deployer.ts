/**
 * Deployer: brings a configuration into force: checked, bound, prepared and committed, or nothing at all.
 *
 * why    first start, reload and upgrade take the same way, so that what works for one works for all
 * rule   steps that can fail come first and leave no trace when a later one fails; after `commit` there is
 *        no way back and nothing that can fail
 * shape  one deployment at a time; `Control` sees to that
 */
import type { CertificateKeeper } from "../acme/keeper.ts";
import type { Config, Problem } from "../config/config.ts";
import { errorWithoutLine } from "../config/problem.ts";
import { type FittedConfig, fitConnections } from "../control/connection-limits.ts";
import { type ListenerSockets, listenSpecs, type SocketPlan } from "../control/listener-sockets.ts";
import { hostsOf, type Resolver } from "../control/resolver.ts";
import { seriesKeysOf } from "../control/series-keys.ts";
import type { Discoverer } from "../discovery/discoverer.ts";
import { hasSameEndpoints, withDiscovered } from "../discovery/merge.ts";
import type { SeriesTable } from "../observe/series.ts";
import type { Identity } from "../transport/privileges.ts";
import type { CacheKeeper } from "./cache-keeper.ts";
import type { Certificates, Located, PreparedCertificates } from "./certificates.ts";
import type { Deployment } from "./deployment.ts";
import type { Log } from "./log.ts";
import type { Addresses, CachePlace } from "./messages.ts";
import { makeLogFile } from "./owned-files.ts";
import { withStickySecrets } from "./sticky-secret.ts";
import type { Workers } from "./workers.ts";

export interface DeployerOptions {
  readonly workers: Workers;
  readonly sockets: ListenerSockets;
  readonly series: SeriesTable;
  readonly resolver: Resolver;
  readonly discoverer: Discoverer;
  readonly certificates: Certificates;
  readonly acme: CertificateKeeper;
  readonly cache: CacheKeeper;
  readonly identity: Identity | undefined;
  readonly descriptorLimit: number | undefined;
  readonly log: Log;
  /** True when another generation still serves the same addresses. */
  readonly isTakeover: boolean;
  /** Opens or moves the admin listener. */
  readonly openAdmin: (config: Config, file: string) => Promise<Problem | undefined>;
  /** What is known about endpoints is for those of this configuration from now on. */
  readonly followEndpoints: (config: Config) => void;
  /** Gives the counters of endpoints that are long gone back; none of those that the configurations name. */
  readonly makeRoom: (configs: readonly Config[]) => void;
}

/** Long enough for a name server that answers, too short to make a restart look like an outage. */
const NAMES_TIMEOUT_MS = 2000;
/** For the sources of endpoints; without them an upstream begins with those that are listed. */
const LISTS_TIMEOUT_MS = 2000;

/** What was made ready for a deployment. */
interface Parts {
  readonly plan: SocketPlan;
  readonly prepared: PreparedCertificates;
  readonly cache: CachePlace | undefined;
}

export class Deployer {
  readonly #options: DeployerOptions;
  /** With the endpoints that were found. */
  #config: Config | undefined;
  /** As it was written. */
  #written: Config | undefined;
  #deployed: Deployment | undefined;
  /** Number of the newest try: unlike the version of the configuration it counts failed ones too. */
  #tries = 0;

  constructor(options: DeployerOptions) {
    this.#options = options;
  }

  /** The configuration in force, with the endpoints that were found. */
  get config(): Config | undefined {
    return this.#config;
  }

  /** out  what is wrong; the configuration is in force when none of it is an error */
  async deploy(located: Located): Promise<readonly Problem[]> {
    const { sockets, identity, certificates, acme } = this.#options;
    const { config, file } = located;
    acme.read(config); // before the first connection: what is stored needs no self-signed stand-in
    const prepared = await certificates.prepare(located);
    if (hasError(prepared.problems)) return prepared.problems;
    const plan = await sockets.plan(config.listeners, config.server.workers, file);
    if (plan.problems.length > 0) return [...prepared.problems, ...plan.problems];
    const problem = makeLogFile(config, identity, file) ?? (await this.#bringIn(located, plan, prepared));
    if (problem === undefined) return prepared.problems;
    await this.#options.cache.abandon();
    sockets.abandon(plan);
    this.#forget();
    return [...prepared.problems, problem];
  }

  /**
   * Brings endpoints that were found since into force: the same configuration, and nothing else of it is touched.
   * out  why that failed; then all stays as it is
   */
  async renewEndpoints(): Promise<string | undefined> {
    const { workers, discoverer, series } = this.#options;
    const [written, deployed, before] = [this.#written, this.#deployed, this.#config];
    if (written === undefined || deployed === undefined || before === undefined) return undefined;
    const config = withDiscovered(written, discoverer.lists(written.upstreams));
    if (hasSameEndpoints(config, before)) return undefined;
    const known = await this.#resolve(config);
    this.#options.makeRoom([before, config]);
    const deployment: Deployment = {
      ...deployed,
      version: ++this.#tries,
      config: this.#forWorkers(config).config,
      slots: series.allocate(seriesKeysOf(config)),
    };
    const error = await workers.prepare(deployment);
    if (error !== undefined) {
      workers.abandon(deployment.version);
      this.#forget();
      return error;
    }
    this.#config = config;
    this.#deployed = deployment;
    this.#options.followEndpoints(config);
    await workers.commit(deployment);
    this.#settle(config, known);
    return undefined;
  }

  async #bringIn(
    { config: written, file }: Located,
    plan: SocketPlan,
    prepared: PreparedCertificates,
  ): Promise<Problem | undefined> {
    const { workers, discoverer, sockets, certificates, acme, cache } = this.#options;
    const config = await this.#discover(written);
    const known = await this.#resolve(config);
    const cached = await cache.prepare(config);
    if (typeof cached === "string")
      return errorWithoutLine(file, "cache", cached.replace(/\.$/, ""), undefined);
    const isFirst = this.#config === undefined;
    const { workers: count } = config.server;
    const extended = isFirst ? sockets.extend(plan, count) : plan;
    const deployment = this.#deploymentOf(config, { plan: extended, prepared, cache: cached.place });
    if (isFirst) this.#options.followEndpoints(config); // workers read it from their first request on
    const problem = await (isFirst ? this.#start(deployment, file) : this.#prepare(deployment, file));
    if (problem !== undefined) {
      if (!isFirst) workers.abandon(deployment.version);
      return problem;
    }
    const final = isFirst ? extended : sockets.extend(plan, count);
    const closeRemoved = sockets.commit(final);
    this.#written = written;
    this.#config = config;
    this.#deployed = { ...deployment, listens: listenSpecs(final.bound) };
    this.#options.followEndpoints(config);
    certificates.adopt(prepared);
    if (!isFirst) await workers.commit(this.#deployed);
    await cache.commit();
    closeRemoved();
    acme.keep(config);
    discoverer.keepOnly(written.upstreams);
    this.#settle(config, known);
    return undefined;
  }

  /** The same configuration with the endpoints that its sources know now. */
  async #discover(written: Config): Promise<Config> {
    const { discoverer } = this.#options;
    discoverer.follow(written.upstreams);
    await discoverer.settled(LISTS_TIMEOUT_MS);
    return withDiscovered(written, discoverer.lists(written.upstreams));
  }

  /** out  the addresses known of its names, after a while */
  async #resolve(config: Config): Promise<Addresses> {
    const { resolver } = this.#options;
    resolver.follow(hostsOf(config));
    await resolver.settled(NAMES_TIMEOUT_MS);
    return resolver.addresses();
  }

  /** `known`: the addresses that were sent with the version. */
  #settle(config: Config, known: Addresses): void {
    const { resolver, workers } = this.#options;
    resolver.keepOnly(hostsOf(config));
    // what changed after `known` was sent went to workers that may not have looked for it yet
    for (const [host, addresses] of Object.entries(resolver.addresses())) {
      if (addresses !== known[host]) workers.setAddresses(host, addresses);
    }
  }

  /** Nobody asks any more for what only a version that failed wanted. */
  #forget(): void {
    const { resolver, discoverer } = this.#options;
    resolver.keepOnly(this.#config === undefined ? new Set() : hostsOf(this.#config));
    discoverer.keepOnly(this.#written?.upstreams ?? []);
  }

  async #start(deployment: Deployment, file: string): Promise<Problem | undefined> {
    const { workers, openAdmin, isTakeover } = this.#options;
    const open = () => openAdmin(deployment.config, file);
    const start = async () => errorAt(file, await workers.start(deployment));
    // the generation before us answers there until our workers accept; otherwise see first whether it is free
    return isTakeover ? ((await start()) ?? (await open())) : ((await open()) ?? (await start()));
  }

  async #prepare(deployment: Deployment, file: string): Promise<Problem | undefined> {
    const { workers, openAdmin } = this.#options;
    return errorAt(file, await workers.prepare(deployment)) ?? (await openAdmin(deployment.config, file));
  }

  #deploymentOf(config: Config, { plan, prepared, cache }: Parts): Deployment {
    const { series, log } = this.#options;
    const fitted = this.#forWorkers(config);
    if (fitted.warning !== undefined) log("warn", "control", fitted.warning);
    this.#options.makeRoom(this.#config === undefined ? [config] : [this.#config, config]);
    return {
      version: ++this.#tries,
      config: fitted.config,
      slots: series.allocate(seriesKeysOf(config)),
      materials: prepared.draft,
      listens: listenSpecs(plan.bound),
      workers: config.server.workers,
      cache,
    };
  }

  #forWorkers(config: Config): FittedConfig {
    const fitted = fitConnections(config, this.#options.descriptorLimit);
    return { ...fitted, config: withStickySecrets(fitted.config) };
  }
}

export function hasError(problems: readonly Problem[]): boolean {
  return problems.some(({ severity }) => severity === "error");
}

function errorAt(file: string, error: string | undefined): Problem | undefined {
  return error === undefined ? undefined : errorWithoutLine(file, "", error, undefined);
}
