/**
 * Weir under test: the real program, started from `bin/weir` with a configuration of the test's own.
 *
 * in     YAML; listeners bind `127.0.0.1:0`. One worker and an admin listener on port 0 are added unless
 *        the text has `server:` or `admin:` at its top level
 * out    the ports really bound, asked from the admin API
 * rule   stop it in `finally`: `bun test` runs no exit handlers; what is left ends with `npm test`, not before
 * fails  throws with the program's own stderr when it does not become ready
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Status } from "../../src/admin/status.ts";
import { eventually, within } from "./eventually.ts";
import { collect } from "./proc.ts";

const READY_MS = 10_000;
const STOP_MS = 10_000;
export const ROOT = join(import.meta.dir, "..", "..");
const ADMIN_LINE = /admin listening on (http:\/\/\S+)/;

export interface WeirOptions {
  /** More arguments after `run -c FILE`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Command in front of the program, which it ends by starting: `sh -c 'ulimit -n 512; exec "$@"' sh`. */
  readonly within?: readonly string[];
  /** Files to put beside the configuration, by relative name. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Weir {
  readonly pid: number;
  readonly admin: URL;
  /** Temporary folder with the configuration file. */
  readonly folder: string;
  /** First port of a listener by name; without a name, of the only listener. */
  port(listener?: string): number;
  status(): Promise<Status>;
  metrics(): Promise<string>;
  /** Writes a new configuration and asks for it with SIGHUP. out  whether it was applied */
  reload(yaml: string): Promise<boolean>;
  signal(name: NodeJS.Signals): void;
  stdout(): string;
  stderr(): string;
  /** Exit code once it has ended, by itself or otherwise. */
  readonly exited: Promise<number>;
  /** SIGTERM, then SIGKILL at a deadline. out  the exit code */
  stop(): Promise<number>;
}

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

function complete(yaml: string): string {
  let text = yaml.endsWith("\n") ? yaml : `${yaml}\n`;
  if (!/^server:/m.test(text)) text += "server: { workers: 1 }\n";
  if (!/^admin:/m.test(text)) text += 'admin: { bind: "127.0.0.1:0" }\n';
  return text;
}

export async function startWeir(yaml: string, options: WeirOptions = {}): Promise<Weir> {
  const folder = mkdtempSync(join(tmpdir(), "weir-test-"));
  const file = join(folder, "weir.yaml");
  writeFileSync(file, complete(yaml));
  for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
  const command = [...(options.within ?? []), join(ROOT, "bin", "weir"), "run", "-c", file];
  const child = Bun.spawn([...command, ...(options.args ?? [])], {
    cwd: folder,
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const weir = new RunningWeir(child, folder, file);
  try {
    await weir.ready();
  } catch (error) {
    await weir.stop();
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`weir did not become ready: ${reason}\n--- stderr\n${weir.stderr()}--- config\n${yaml}`);
  }
  return weir;
}

class RunningWeir implements Weir {
  readonly #child: Child;
  readonly folder: string;
  readonly #file: string;
  readonly stdout: () => string;
  readonly stderr: () => string;
  #admin: URL | undefined;
  #ports = new Map<string, number>();

  constructor(child: Child, folder: string, file: string) {
    this.#child = child;
    this.folder = folder;
    this.#file = file;
    this.stdout = collect(child.stdout);
    this.stderr = collect(child.stderr);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  get admin(): URL {
    if (this.#admin === undefined) throw new Error("the admin address is not known yet");
    return this.#admin;
  }

  async ready(): Promise<void> {
    const isReady = async () => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return true;
      const found = ADMIN_LINE.exec(this.stderr())?.[1];
      if (found === undefined) return false;
      this.#admin = new URL(found);
      return (await fetch(new URL("/readyz", this.#admin))).ok;
    };
    await eventually(isReady, READY_MS, "weir to become ready");
    const ended = this.#child.exitCode ?? this.#child.signalCode;
    if (ended !== null) throw new Error(`it exited with ${ended}`);
    await this.#readPorts();
  }

  async #readPorts(): Promise<void> {
    const { listeners } = await this.status();
    this.#ports = new Map(
      listeners.map(({ name, addresses }) => [name, Number(/:(\d+)$/.exec(addresses[0] ?? "")?.[1] ?? 0)]),
    );
  }

  port(listener?: string): number {
    if (listener === undefined && this.#ports.size !== 1)
      throw new Error("name the listener: there are several");
    const port = listener === undefined ? [...this.#ports.values()][0] : this.#ports.get(listener);
    if (port === undefined) throw new Error(`no listener ${listener}; there are ${[...this.#ports.keys()]}`);
    return port;
  }

  async status(): Promise<Status> {
    return (await (await fetch(new URL("/api/v1/status", this.admin))).json()) as Status;
  }

  async metrics(): Promise<string> {
    return await (await fetch(new URL("/metrics", this.admin))).text();
  }

  async reload(yaml: string): Promise<boolean> {
    const before = (await this.status()).lastReload?.at;
    writeFileSync(this.#file, complete(yaml));
    this.signal("SIGHUP");
    const answered = async () => {
      const { lastReload } = await this.status();
      return lastReload != null && lastReload.at !== before ? lastReload : undefined;
    };
    const answer = await eventually(answered, READY_MS, "the reload to be answered");
    await this.#readPorts();
    return answer?.applied === true;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async stop(): Promise<number> {
    this.#child.kill("SIGTERM");
    try {
      return await within(this.#child.exited, STOP_MS, "weir to stop");
    } catch {
      this.#child.kill("SIGKILL");
      return await this.#child.exited;
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
