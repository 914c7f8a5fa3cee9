/**
 * Processes: a control process with echo workers, as a child of the test.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReloadAnswer, Status } from "../../src/admin/status.ts";
import type { Address } from "../../src/core/address.ts";
import { eventually, within } from "../support/eventually.ts";

export interface TestPlan {
  readonly workers?: number;
  readonly drainTimeoutMs?: number;
  readonly user?: string;
  /** What every answer carries: tells one configuration from the next. */
  readonly text?: string;
  readonly listeners: readonly {
    readonly name: string;
    readonly bind: readonly Address[];
    /** Makes it a listener with TLS, though the echo worker speaks plain text; empty = as with ACME. */
    readonly certificates?: readonly { readonly cert: string; readonly key: string }[];
  }[];
}

export interface Echo {
  readonly pid: number;
  readonly uid: number;
  readonly listener: string;
  readonly text: string;
  /** First names of the certificates that the worker has for the listener. */
  readonly certificates: readonly string[];
}

export const LOOPBACK: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };
export const onePort = (plan: Partial<TestPlan> = {}): TestPlan => ({
  listeners: [{ name: "web", bind: [LOOPBACK] }],
  ...plan,
});

const WAIT_MS = 20_000;

export class Control {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #folder: string;
  readonly #file: string;
  #stderr = "";
  #adminPort = 0;
  #ports: Record<string, number> = {};

  private constructor(plan: TestPlan) {
    this.#folder = mkdtempSync(join(tmpdir(), "weir-process-"));
    this.#file = join(this.#folder, "plan.json");
    this.write(plan);
    this.child = Bun.spawn([process.execPath, join(import.meta.dir, "control-main.ts"), this.#file], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    void this.#collect();
  }

  /** Starts one and waits until it is ready. */
  static async start(plan: TestPlan): Promise<Control> {
    const control = Control.launch(plan);
    try {
      await control.ready();
    } catch (error) {
      await control.kill();
      throw new Error(`${String(error)}\n--- stderr\n${control.stderr}`);
    }
    return control;
  }

  static launch(plan: TestPlan): Control {
    return new Control(plan);
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.child.stderr) this.#stderr += decoder.decode(chunk, { stream: true });
  }

  async ready(): Promise<void> {
    await eventually(
      () => this.#stderr.includes("is ready") || this.child.exitCode !== null,
      WAIT_MS,
      "ready",
    );
    this.#adminPort = Number(/admin listening on http:\/\/127.0.0.1:(\d+)/.exec(this.#stderr)?.[1]);
    const { listeners } = await this.status();
    this.#ports = Object.fromEntries(
      listeners.map(({ name, addresses }) => [name, Number(addresses[0]?.split(":").at(-1))]),
    );
  }

  get stderr(): string {
    return this.#stderr;
  }

  get folder(): string {
    return this.#folder;
  }

  port(listener = "web"): number {
    return this.#ports[listener] as number;
  }

  write(plan: TestPlan): void {
    writeFileSync(this.#file, JSON.stringify(plan));
  }

  async #admin(path: string): Promise<Response> {
    const ask = () =>
      fetch(`http://127.0.0.1:${this.#adminPort}${path}`, {
        keepalive: false,
        signal: AbortSignal.timeout(WAIT_MS),
      });
    // during an upgrade both generations listen there, and the one that leaves resets who waits in its queue
    return await ask().catch(ask);
  }

  async status(): Promise<Status> {
    return (await (await this.#admin("/status")).json()) as Status;
  }

  async metrics(): Promise<string> {
    return await (await this.#admin("/metrics")).text();
  }

  async isReady(): Promise<boolean> {
    return (await this.#admin("/readyz")).ok;
  }

  async reload(plan: TestPlan): Promise<ReloadAnswer> {
    this.write(plan);
    const answer = (await (await this.#admin("/reload")).json()) as ReloadAnswer;
    const { listeners } = await this.status();
    for (const { name, addresses } of listeners) {
      this.#ports[name] = Number(addresses[0]?.split(":").at(-1));
    }
    return answer;
  }

  async get(path = "/", port = this.port()): Promise<Echo> {
    return (await (await fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false })).json()) as Echo;
  }

  async workerPids(): Promise<number[]> {
    return (await this.status()).workers.map((worker) => worker.pid);
  }

  /** Waits for its end by itself. */
  async exited(): Promise<number> {
    return await within(this.child.exited, WAIT_MS, "control to end").catch((error: unknown) => {
      throw new Error(`${String(error)}\nwhat it said:\n${this.#stderr}`);
    });
  }

  async stop(): Promise<number> {
    this.child.kill("SIGTERM");
    const code = await this.exited();
    rmSync(this.#folder, { recursive: true, force: true });
    return code;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Processes that this one has started, workers in reserve too. */
export function childrenOf(pid: number): number[] {
  const found = Bun.spawnSync(["ps", "-A", "-o", "pid=,ppid="]).stdout.toString().trim().split("\n");
  const rows = found.map((line) => line.trim().split(/\s+/).map(Number));
  return rows.filter(([, parent]) => parent === pid).map(([child = 0]) => child);
}

/** A process that has ended but that nobody has asked about yet (a zombie) is not alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    if (process.platform !== "linux") return true;
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

export async function allGone(pids: readonly number[], deadlineMs = WAIT_MS): Promise<void> {
  await eventually(() => !pids.some(isAlive), deadlineMs, `processes ${pids.join(", ")} to end`);
}

/** Zones of processes other than those that live: left behind. */
export function zonesOf(pids: readonly number[]): string[] {
  const folder = process.platform === "linux" ? "/dev/shm" : tmpdir();
  return readdirSync(folder).filter((name) => pids.some((pid) => name.startsWith(`weir-zone-${pid}-`)));
}
