/**
 * Nothing lost: everything about a running Weir changes under a steady load, and not one request fails.
 *
 * in     a rate and how often to reload: the same steps for the short run in the tests and for the full campaign
 * out    what was sent and answered, and for each step what failed; `excused` are the failures on connections that
 *        a killed worker held at the moment of its end, told by the kernel: nobody could have saved these
 * rule   a killed worker is stopped first, for the milliseconds it takes to write down which connections it holds
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ReloadAnswer, Status } from "../../src/admin/status.ts";
import { eventually, within } from "../support/eventually.ts";
import { freePort } from "../support/ports.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { type EchoOrigin, startEchoOrigin } from "./echo-origin.ts";
import { clientPortsOf } from "./kernel.ts";
import { Load, type LoadFailure, type LoadReport } from "./load.ts";
import { SocketStreams, type StreamReport } from "./socket-streams.ts";

export interface NothingLostOptions {
  readonly ratePerSec: number;
  readonly lanes: number;
  readonly streams: number;
  readonly reloads: number;
  /** Between two reloads. */
  readonly pauseMs: number;
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
  readonly load: LoadReport;
  readonly streams: StreamReport;
  readonly exitCode: number;
  readonly lost: readonly string[];
  readonly excused: number;
  readonly status: Status;
  readonly stderr: string;
}

const STEP_MS = 30_000;

export async function runNothingLost(options: NothingLostOptions): Promise<NothingLostReport> {
  const origins = [startEchoOrigin(), startEchoOrigin()];
  const port = await freePort();
  const plan = new Plan(port, origins);
  const weir = await startWeir(plan.text(0));
  try {
    return await new Campaign(weir, plan, options).run();
  } finally {
    await weir.stop();
    await Promise.all(origins.map((origin) => origin.stop()));
  }
}

/** Configurations that differ in everything that may change without harm. */
class Plan {
  readonly port: number;
  readonly #origins: readonly EchoOrigin[];

  constructor(port: number, origins: readonly EchoOrigin[]) {
    this.port = port;
    this.#origins = origins;
  }

  workers(version: number): number {
    return version % 10 >= 5 && version % 10 <= 7 ? 3 : 2;
  }

  text(version: number): string {
    const endpoints = version % 3 === 1 ? this.#origins : this.#origins.slice(0, 1);
    const routes = Array.from(
      { length: version % 7 },
      (_, index) =>
        `  - { name: extra-${index}, match: { path: /extra/${version}/${index} }, respond: { status: 200, body: "x" } }`,
    );
    const extra = version % 4 === 3 ? 'extra: { bind: "127.0.0.1:0" }' : "";
    return `
server: { workers: ${this.workers(version)}, drainTimeout: 30s }
listeners:
  web: { bind: "127.0.0.1:${this.port}", timeouts: { idle: ${60 + (version % 5)}s } }
  ${extra}
routes:
  - { to: app, timeouts: { response: ${20 + (version % 9)}s } }
${routes.join("\n")}
upstreams: { app: [ ${endpoints.map((origin) => `"127.0.0.1:${origin.port}"`).join(", ")} ] }
`;
  }
}

class Campaign {
  readonly #weir: Weir;
  readonly #plan: Plan;
  readonly #options: NothingLostOptions;
  readonly #load: Load;
  readonly #streams: SocketStreams;
  readonly #failures: LoadFailure[] = [];
  readonly #steps: Step[] = [];
  /** Client ports whose worker was killed; a port is forgiven one failure. */
  readonly #excusable = new Set<number>();
  #version = 0;

  constructor(weir: Weir, plan: Plan, options: NothingLostOptions) {
    this.#weir = weir;
    this.#plan = plan;
    this.#options = options;
    const { ratePerSec, lanes } = options;
    this.#load = new Load({ port: plan.port, ratePerSec, lanes, freshEvery: 10, failures: this.#failures });
    this.#streams = new SocketStreams(plan.port, options.streams, this.#failures);
  }

  async run(): Promise<NothingLostReport> {
    const { reloads } = this.#options;
    this.#load.start();
    await this.#step("quiet", () => Bun.sleep(1000));
    await this.#step(`${reloads} reloads`, () => this.#reloadOften(reloads));
    await this.#step("a reload that fails", () => this.#failToReload());
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
    const [load, streams] = [await this.#load.stop(), await this.#streams.stop()];
    const lost = this.#steps.flatMap((step) => step.lost.map((why) => `${step.name}: ${why}`));
    const excused = this.#steps.reduce((sum, step) => sum + step.excused, 0);
    return {
      steps: this.#steps,
      load,
      streams,
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
    const [sent, startedAtMs] = [this.#load.report().sent, performance.now()];
    this.#excusable.clear();
    await within(Promise.resolve(act()), STEP_MS * 4, name);
    await Bun.sleep(300);
    const killed = this.#excusable.size;
    const lost: string[] = [];
    let excused = 0;
    for (const { why, port } of this.#failures.slice(before)) {
      if (this.#excusable.delete(port)) excused++;
      else lost.push(`${why} (port ${port})`);
    }
    const tookMs = Math.round(performance.now() - startedAtMs);
    const step = { name, sent: this.#load.report().sent - sent, killed, excused, lost, tookMs };
    this.#steps.push(step);
    this.#options.say(
      `${name}: ${step.sent} sent, ${lost.length} lost, ${excused} excused of ${killed} connections, ${tookMs} ms`,
    );
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

  async #reopenLogs(): Promise<void> {
    process.kill((await this.#weir.status()).pid, "SIGUSR1");
    await eventually(() => this.#weir.stderr().includes("log files reopened"), 5000, "logs to be reopened");
  }

  async #loseWorker(signal: "SIGKILL" | "SIGSTOP"): Promise<void> {
    const { workers } = await this.#weir.status();
    const held = workers.map(({ pid }) => ({ pid, ports: clientPortsOf(pid, this.#plan.port) }));
    const victim = held.toSorted((a, b) => b.ports.size - a.ports.size)[0]?.pid as number;
    process.kill(victim, "SIGSTOP");
    for (const port of clientPortsOf(victim, this.#plan.port)) this.#excusable.add(port);
    if (signal === "SIGKILL") process.kill(victim, "SIGKILL");
    await this.#untilAllRun(victim);
    await Bun.sleep(500);
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
    this.#load.stopOpening();
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
