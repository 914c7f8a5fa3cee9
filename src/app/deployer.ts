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
import { fitConnections } from "../control/connection-limits.ts";
import { type ListenerSockets, listenSpecs, type SocketPlan } from "../control/listener-sockets.ts";
import { hostsOf, type Resolver } from "../control/resolver.ts";
import { seriesKeysOf } from "../control/series-keys.ts";
import type { SeriesTable } from "../observe/series.ts";
import type { Identity } from "../transport/privileges.ts";
import type { Certificates, Located, PreparedCertificates } from "./certificates.ts";
import type { Deployment } from "./deployment.ts";
import type { Log } from "./log.ts";
import { makeLogFile } from "./owned-files.ts";
import { withStickySecrets } from "./sticky-secret.ts";
import type { Workers } from "./workers.ts";

export interface DeployerOptions {
  readonly workers: Workers;
  readonly sockets: ListenerSockets;
  readonly series: SeriesTable;
  readonly resolver: Resolver;
  readonly certificates: Certificates;
  readonly acme: CertificateKeeper;
  readonly identity: Identity | undefined;
  readonly descriptorLimit: number | undefined;
  readonly log: Log;
  /** True when another generation still serves the same addresses. */
  readonly isTakeover: boolean;
  /** Opens or moves the admin listener. */
  readonly openAdmin: (config: Config, file: string) => Promise<Problem | undefined>;
  /** What is known about endpoints is for those of this configuration from now on. */
  readonly followEndpoints: (config: Config) => void;
}

/** Long enough for a name server that answers, too short to make a restart look like an outage. */
const NAMES_TIMEOUT_MS = 2000;

export class Deployer {
  readonly #options: DeployerOptions;
  #config: Config | undefined;
  /** Number of the newest try: unlike the version of the configuration it counts failed ones too. */
  #tries = 0;

  constructor(options: DeployerOptions) {
    this.#options = options;
  }

  /** The configuration in force. */
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
    sockets.abandon(plan);
    this.#options.resolver.keepOnly(this.#config === undefined ? new Set() : hostsOf(this.#config));
    return [...prepared.problems, problem];
  }

  async #bringIn(
    { config, file }: Located,
    plan: SocketPlan,
    prepared: PreparedCertificates,
  ): Promise<Problem | undefined> {
    const { workers, resolver, sockets, certificates, acme } = this.#options;
    const hosts = hostsOf(config);
    resolver.follow(hosts);
    await resolver.settled(NAMES_TIMEOUT_MS);
    const known = resolver.addresses();
    const isFirst = this.#config === undefined;
    const { workers: count } = config.server;
    const extended = isFirst ? sockets.extend(plan, count) : plan;
    const deployment = this.#deploymentOf(config, extended, prepared);
    const problem = await (isFirst ? this.#start(deployment, file) : this.#prepare(deployment, file));
    if (problem !== undefined) {
      if (!isFirst) workers.abandon(deployment.version);
      return problem;
    }
    const final = isFirst ? extended : sockets.extend(plan, count);
    const closeRemoved = sockets.commit(final);
    this.#config = config;
    this.#options.followEndpoints(config);
    certificates.adopt(prepared);
    if (!isFirst) await workers.commit({ ...deployment, listens: listenSpecs(final.bound) });
    closeRemoved();
    acme.keep(config);
    resolver.keepOnly(hosts);
    // what changed after `known` was sent went to workers that may not have looked for it yet
    for (const [host, addresses] of Object.entries(resolver.addresses())) {
      if (addresses !== known[host]) workers.setAddresses(host, addresses);
    }
    return undefined;
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

  #deploymentOf(config: Config, plan: SocketPlan, { draft }: PreparedCertificates): Deployment {
    const { series, descriptorLimit, log } = this.#options;
    const fitted = fitConnections(config, descriptorLimit);
    if (fitted.warning !== undefined) log("warn", "control", fitted.warning);
    return {
      version: ++this.#tries,
      config: withStickySecrets(fitted.config),
      slots: series.allocate(seriesKeysOf(config)),
      materials: draft,
      listens: listenSpecs(plan.bound),
      workers: config.server.workers,
    };
  }
}

export function hasError(problems: readonly Problem[]): boolean {
  return problems.some(({ severity }) => severity === "error");
}

function errorAt(file: string, error: string | undefined): Problem | undefined {
  return error === undefined ? undefined : errorWithoutLine(file, "", error, undefined);
}
