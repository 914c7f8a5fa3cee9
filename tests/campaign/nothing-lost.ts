/**
 * Nothing lost: everything about a running Weir changes under a steady load, and not one request fails.
 *
 * in     a rate and how often to reload: the same steps for the short run in the tests and for the full campaign
 * shape  three loads at once: plain HTTP/1.1, HTTP/1.1 over TLS and HTTP/2 over TLS; each of them asks for endpoints that
 *        speak HTTP/1.1, HTTP/2 in the clear and HTTP/2 over TLS in turn
 * out    what was sent and answered, and for each step what failed; `excused` are the failures on connections that
 *        a killed worker held at the moment of its end, told by the kernel: nobody could have saved these
 * rule   a killed worker is stopped first, for the milliseconds it takes to write down which connections it holds
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ReloadAnswer, Status } from "../../src/admin/status.ts";
import { type Issued, testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { type EchoOrigin, startEchoOrigin } from "./echo-origin.ts";
import { type H2EchoOrigin, startH2EchoOrigin } from "./h2-echo-origin.ts";
import { H2Load, type H2LoadReport } from "./h2-load.ts";
import { clientPortsOf } from "./kernel.ts";
import { Load, type LoadFailure, type LoadReport } from "./load.ts";
import { SocketStreams, type StreamReport } from "./socket-streams.ts";

export interface NothingLostOptions {
  /** Requests a second of each load. */
  readonly plainPerSec: number;
  readonly tlsPerSec: number;
  readonly h2PerSec: number;
  /** Keep-alive connections of each load over HTTP/1.1. */
  readonly lanes: number;
  /** Connections of the load over HTTP/2. */
  readonly h2Connections: number;
  /** WebSockets open at once. */
  readonly streams: number;
  readonly reloads: number;
  /** Between two reloads. */
  readonly pauseMs: number;
  /** How often endpoints that speak HTTP/2 send GOAWAY on all connections. */
  readonly farewells: number;
  readonly say: (line: string) => void;
}

export interface Step {
  readonly name: string;
  readonly sent: number;
  /** Connections that the worker had which was killed in this step. */
  readonly killed: number;
  readonly excused: number;
  /** Failures that are ours. */
  readonly lost: readonly string[];
  readonly tookMs: number;
}

export interface NothingLostReport {
  readonly steps: readonly Step[];
  readonly plain: LoadReport;
  readonly tls: LoadReport;
  readonly h2: H2LoadReport;
  readonly streams: StreamReport;
  /** GOAWAY frames that endpoints have sent. */
  readonly farewells: number;
  readonly exitCode: number;
  readonly lost: readonly string[];
  readonly excused: number;
  readonly status: Status;
  readonly stderr: string;
}

const STEP_MS = 30_000;
const HOST = "campaign.test";
const ORIGIN_NAME = "origin.test";
/** By name, endpoints of another kind each: which load asks for which changes from request to request. */
const HOSTS = [`h1.${HOST}`, `h2c.${HOST}`, `h2.${HOST}`];
const QUIET_MS = 500;
const FAREWELL_MS = 50;
/** Losses of one step that are told one by one. */
const MAX_TOLD = 5;
const H2_STREAMS = 50;
const H2_REQUESTS_A_CONNECTION = 2000;

export async function runNothingLost(options: NothingLostOptions): Promise<NothingLostReport> {
  const site = await openSite();
  const plan = new Plan(site);
  const files = { ...filesOf(0, site), ...filesOf(1, site), "ca.pem": site.ca };
  const weir = await startWeir(plan.text(0), { files });
  try {
    return await new Campaign(weir, plan, site, options).run();
  } finally {
    await weir.stop();
    await Promise.all([...site.origins, ...site.h2Origins].map((origin) => origin.stop()));
  }
}

/** What is there before Weir is. */
interface Site {
  readonly port: number;
  readonly securePort: number;
  readonly ca: string;
  /** The listener's pair is one of these two, as the version says. */
  readonly pairs: readonly Issued[];
  readonly origins: readonly EchoOrigin[];
  /** In the clear, and by TLS. */
  readonly h2Origins: readonly H2EchoOrigin[];
}

async function openSite(): Promise<Site> {
  const authority = await testAuthority();
  const names = [HOST, `*.${HOST}`];
  const [port = 0, securePort = 0] = await freePorts(2);
  return {
    port,
    securePort,
    ca: authority.caPem,
    pairs: [await authority.issue({ names }), await authority.issue({ names })],
    origins: [startEchoOrigin(), startEchoOrigin()],
    h2Origins: [
      await startH2EchoOrigin(),
      await startH2EchoOrigin(await authority.issue({ names: [ORIGIN_NAME] })),
    ],
  };
}

function filesOf(index: number, { pairs }: Site): Record<string, string> {
  return { [`${index}.crt`]: pairs[index]?.cert ?? "", [`${index}.key`]: pairs[index]?.key ?? "" };
}

/** Configurations that differ in everything that may change without harm. */
class Plan {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  workers(version: number): number {
    return version % 10 >= 5 && version % 10 <= 7 ? 3 : 2;
  }

  text(version: number): string {
    const { port, securePort } = this.#site;
    const extra = version % 4 === 3 ? 'extra: { bind: "127.0.0.1:0" }' : "";
    const pair = version % 2;
    return `
server: { workers: ${this.workers(version)}, drainTimeout: 30s }
listeners:
  web: { bind: "127.0.0.1:${port}", timeouts: { idle: ${60 + (version % 5)}s } }
  secure:
    bind: "127.0.0.1:${securePort}"
    timeouts: { handshake: ${10 + (version % 6)}s }
    tls:
      certificates: [ { cert: ${pair}.crt, key: ${pair}.key } ]
      policy: ${version % 3 === 2 ? "modern" : "intermediate"}
  ${extra}
routes:
${this.#routes(version)}
upstreams:
${this.#upstreams(version)}
`;
  }

  #routes(version: number): string {
    const extra = Array.from(
      { length: version % 7 },
      (_, index) =>
        `  - { name: extra-${index}, match: { path: /extra/${version}/${index} }, respond: { status: 200, body: "x" } }`,
    );
    const timeouts = `timeouts: { response: ${20 + (version % 9)}s }`;
    return [
      `  - { to: app, ${timeouts} }`,
      `  - { match: { host: ${HOSTS[1]} }, to: clear, ${timeouts} }`,
      `  - { match: { host: ${HOSTS[2]} }, to: secured, ${timeouts} }`,
      ...extra,
    ].join("\n");
  }

  /** Connections over HTTP/2 live for some seconds only: they too come and go. */
  #upstreams(version: number): string {
    const { origins, h2Origins } = this.#site;
    const address = ({ port }: { readonly port: number }) => `"127.0.0.1:${port}"`;
    const endpoints = (version % 3 === 1 ? origins : origins.slice(0, 1)).map(address);
    const [clear = "", secured = ""] = h2Origins.map(address);
    const pool = `pool: { maxAge: ${3 + (version % 3)}s }`;
    const tls = `tls: { ca: ca.pem, serverName: ${ORIGIN_NAME} }`;
    return [
      `  app: [ ${endpoints.join(", ")} ]`,
      `  clear: { endpoints: [ ${clear} ], protocol: h2c, ${pool} }`,
      `  secured: { endpoints: [ ${secured} ], protocol: h2, ${tls}, ${pool} }`,
    ].join("\n");
  }
}

class Campaign {
  readonly #weir: Weir;
  readonly #plan: Plan;
  readonly #site: Site;
  readonly #options: NothingLostOptions;
  readonly #plain: Load;
  readonly #tls: Load;
  readonly #h2: H2Load;
  readonly #streams: SocketStreams;
  readonly #failures: LoadFailure[] = [];
  readonly #steps: Step[] = [];
  /** Client ports whose worker was killed, with how many connections each: one to every listener may have it. */
  readonly #excusable = new Map<number, number>();
  #version = 0;
  #farewells = 0;

  constructor(weir: Weir, plan: Plan, site: Site, options: NothingLostOptions) {
    this.#weir = weir;
    this.#plan = plan;
    this.#site = site;
    this.#options = options;
    const { plainPerSec, tlsPerSec, h2PerSec, lanes, h2Connections } = options;
    const shared = { hosts: HOSTS, failures: this.#failures };
    const tls = { ca: [site.ca], serverNames: HOSTS };
    const ofH1 = { ...shared, lanes, freshEvery: 10 };
    this.#plain = new Load({ ...ofH1, port: site.port, ratePerSec: plainPerSec });
    this.#tls = new Load({ ...ofH1, port: site.securePort, ratePerSec: tlsPerSec, tls });
    this.#h2 = new H2Load({
      ...shared,
      port: site.securePort,
      ratePerSec: h2PerSec,
      connections: h2Connections,
      streams: H2_STREAMS,
      requestsPerConnection: H2_REQUESTS_A_CONNECTION,
      tls,
    });
    this.#streams = new SocketStreams(site.port, options.streams, this.#failures);
  }

  get #loads() {
    return [this.#plain, this.#tls, this.#h2];
  }

  get #sent(): number {
    return this.#loads.reduce((sum, load) => sum + load.report().sent, 0);
  }

  async run(): Promise<NothingLostReport> {
    const { reloads } = this.#options;
    for (const load of this.#loads) load.start();
    await this.#step("quiet", () => Bun.sleep(QUIET_MS));
    await this.#step(`${reloads} reloads`, () => this.#reloadOften(reloads));
    await this.#step("a reload that fails", () => this.#failToReload());
    await this.#step("endpoints say goodbye", () => this.#sayGoodbye());
    await this.#step("SIGUSR1", () => this.#reopenLogs());
    await this.#step("a worker killed", () => this.#loseWorker("SIGKILL"));
    await this.#step("a worker hangs", () => this.#loseWorker("SIGSTOP"));
    await this.#step("upgrade", () => this.#upgrade());
    await this.#step("reloads of the heir", () => this.#reloadOften(3));
    const status = await this.#weir.status();
    let exitCode = -1;
    await this.#step("SIGTERM", async () => {
      exitCode = await this.#terminate(status.pid);
    });
    return await this.#report(status, exitCode);
  }

  async #report(status: Status, exitCode: number): Promise<NothingLostReport> {
    const [plain, tls, h2] = [await this.#plain.stop(), await this.#tls.stop(), await this.#h2.stop()];
    const streams = await this.#streams.stop();
    const lost = this.#steps.flatMap((step) => step.lost.map((why) => `${step.name}: ${why}`));
    const excused = this.#steps.reduce((sum, step) => sum + step.excused, 0);
    return {
      steps: this.#steps,
      plain,
      tls,
      h2,
      streams,
      farewells: this.#farewells,
      exitCode,
      lost,
      excused,
      status,
      stderr: this.#weir.stderr(),
    };
  }

  /** Does it, waits until nothing of before is in flight, and says what failed meanwhile. */
  async #step(name: string, act: () => Promise<unknown>): Promise<void> {
    const before = this.#failures.length;
    const [sent, startedAtMs] = [this.#sent, performance.now()];
    this.#excusable.clear();
    await within(Promise.resolve(act()), STEP_MS * 4, name);
    await Bun.sleep(300);
    const killed = [...this.#excusable.values()].reduce((sum, count) => sum + count, 0);
    const lost: string[] = [];
    let excused = 0;
    for (const { why, port, isShared } of this.#failures.slice(before)) {
      if (this.#isExcused(port, isShared === true)) excused++;
      else lost.push(`${why} (port ${port})`);
    }
    const tookMs = Math.round(performance.now() - startedAtMs);
    const step = { name, sent: this.#sent - sent, killed, excused, lost, tookMs };
    this.#steps.push(step);
    this.#options.say(
      `${name}: ${step.sent} sent, ${lost.length} lost, ${excused} excused of ${killed} connections, ${tookMs} ms`,
    );
    for (const why of lost.slice(0, MAX_TOLD)) this.#options.say(`  lost: ${why}`);
  }

  /** A connection is forgiven one failure, or all that its requests share. */
  #isExcused(port: number, isShared: boolean): boolean {
    const left = this.#excusable.get(port) ?? 0;
    if (left > 0 && !isShared) this.#excusable.set(port, left - 1);
    return left > 0;
  }

  #write(text: string): void {
    writeFileSync(join(this.#weir.folder, "weir.yaml"), `${text}admin: { bind: "127.0.0.1:0" }\n`);
  }

  async #reload(text: string): Promise<ReloadAnswer> {
    this.#write(text);
    const answer = await fetch(new URL("/api/v1/reload", this.#weir.admin), { method: "POST" });
    return (await answer.json()) as ReloadAnswer;
  }

  async #reloadOften(times: number): Promise<void> {
    for (let count = 0; count < times; count++) {
      const { applied, problems } = await this.#reload(this.#plan.text(++this.#version));
      if (!applied) throw new Error(`reload ${this.#version} failed: ${JSON.stringify(problems)}`);
      await Bun.sleep(this.#options.pauseMs);
    }
    await this.#untilAllRun(0);
  }

  async #failToReload(): Promise<void> {
    const bad = [
      "listeners: { web: { bund: 1 } }\n",
      this.#plan.text(this.#version + 5).replace("idle:", "idel:"),
      this.#plan
        .text(this.#version + 3)
        .replace("listeners:", 'listeners:\n  nobody: { bind: "192.0.2.1:80" }'),
    ];
    for (const text of bad) {
      if ((await this.#reload(text)).applied) throw new Error(`a bad configuration was applied:\n${text}`);
    }
    this.#write(this.#plan.text(this.#version));
  }

  async #sayGoodbye(): Promise<void> {
    for (let count = 0; count < this.#options.farewells; count++) {
      for (const origin of this.#site.h2Origins) this.#farewells += origin.farewell();
      await Bun.sleep(FAREWELL_MS);
    }
  }

  async #reopenLogs(): Promise<void> {
    process.kill((await this.#weir.status()).pid, "SIGUSR1");
    await eventually(() => this.#weir.stderr().includes("log files reopened"), 5000, "logs to be reopened");
  }

  async #loseWorker(signal: "SIGKILL" | "SIGSTOP"): Promise<void> {
    const { workers } = await this.#weir.status();
    const held = workers.map(({ pid }) => ({ pid, ports: this.#portsOf(pid) }));
    const victim = held.toSorted((a, b) => b.ports.length - a.ports.length)[0]?.pid as number;
    process.kill(victim, "SIGSTOP");
    for (const port of this.#portsOf(victim)) {
      this.#excusable.set(port, (this.#excusable.get(port) ?? 0) + 1);
    }
    if (signal === "SIGKILL") process.kill(victim, "SIGKILL");
    await this.#untilAllRun(victim);
    await Bun.sleep(500);
  }

  /** Client ports of the connections that this worker has accepted. */
  #portsOf(pid: number): number[] {
    const { port, securePort } = this.#site;
    return [...clientPortsOf(pid, port), ...clientPortsOf(pid, securePort)];
  }

  async #untilAllRun(without: number): Promise<void> {
    const allRun = async () => {
      const { workers } = await this.#weir.status();
      const wanted = this.#plan.workers(this.#version);
      const running = workers.filter(({ pid, state }) => pid !== without && state === "running");
      return running.length === wanted && !workers.some(({ pid }) => pid === without);
    };
    await eventually(allRun, STEP_MS, "all workers to run");
  }

  async #upgrade(): Promise<void> {
    const { pid } = await this.#weir.status();
    process.kill(pid, "SIGUSR2");
    await eventually(async () => (await this.#weir.status()).pid !== pid, STEP_MS, "the next generation");
    await within(this.#weir.exited, STEP_MS, "the old generation to leave");
    await this.#untilAllRun(0);
  }

  /** Whoever comes after SIGTERM is refused, and must be; whoever was there is served to the end. */
  async #terminate(pid: number): Promise<number> {
    for (const load of this.#loads) load.stopOpening();
    this.#streams.stopOpening();
    await Bun.sleep(200);
    process.kill(pid, "SIGTERM");
    const isGone = () => !isAlive(pid);
    await eventually(isGone, STEP_MS, "weir to leave");
    return this.#weir.stderr().trimEnd().endsWith("all finished") ? 0 : 1;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
