/**
 * Processes: starts what a benchmark needs on its own cores, reads what it costs, and stops all of it.
 *
 * why    cost is taken from the kernel's accounting of the processes themselves, so it does not matter how
 *        busy the load generator is; ratios hold on a shared machine where requests per second do not
 */
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { isInstalled } from "../tests/packages.mjs";
import { eventually, within } from "../tests/support/eventually.ts";

const START_MS = 15_000;
const STOP_MS = 10_000;
/** Kernel ticks a second in /proc: fixed by the ABI on Linux. */
const TICKS_PER_SEC = 100;
const PAGE_BYTES = 4096;

/** Cores we may use, by number. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

const CORES = allowedCores();
const core = (index: number) => String(CORES[Math.min(index, CORES.length - 1)]);
/** The proxy has a core to itself; load and origin share the second one when there are only two. */
export const PROXY_CORE = core(0);
export const LOAD_CORE = core(1);
export const ORIGIN_CORE = core(2);
/** For proxies with two workers. */
export const PROXY_CORES_2 = [...new Set([core(0), core(1)])].join(",");

/** The command, run on these cores only. */
export function pinned(cores: string, command: readonly string[]): string[] {
  return isInstalled("taskset") ? ["taskset", "-c", cores, ...command] : [...command];
}

type Child = Bun.Subprocess<"ignore" | "pipe", "pipe" | "ignore" | "inherit" | Bun.BunFile, Bun.BunFile>;

const running = new Set<Child>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface StartOptions {
  readonly name: string;
  readonly cores: string;
  readonly command: readonly string[];
  /** Where its stderr goes; shown when it fails to start. */
  readonly logFile: string;
  /** Where its stdout goes; default: the same file as stderr. */
  readonly outFile?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ready when this port accepts. */
  readonly port: number;
}

export interface Running {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a program and waits until its port accepts. */
export async function start(options: StartOptions): Promise<Running> {
  const child = Bun.spawn(pinned(options.cores, options.command), {
    stdin: "ignore",
    stdout: Bun.file(options.outFile ?? `${options.logFile}.out`),
    stderr: Bun.file(options.logFile),
    env: { ...process.env, ...options.env },
  }) as Child;
  running.add(child);
  const stop = async () => {
    child.kill("SIGTERM");
    await within(child.exited, STOP_MS, `${options.name} to stop`).catch(() => child.kill("SIGKILL"));
    await child.exited;
    running.delete(child);
  };
  try {
    await eventually(
      () => accepts(options.port) || hasEnded(child),
      START_MS,
      `${options.name} on ${options.port}`,
    );
    if (hasEnded(child)) throw new Error(`${options.name} ended at start`);
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}\n${readFileSync(options.logFile, "utf8").slice(-2000)}`);
  }
  return { pid: child.pid, stop };
}

const hasEnded = (child: Child) => child.exitCode !== null || child.signalCode !== null;

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

/** The file of a load program. */
export const clientFile = (name: string) => join(import.meta.dir, "clients", `${name}.ts`);

/** Runs a program to its end on the load core. out  its stdout */
export async function runToEnd(command: readonly string[], deadlineMs: number): Promise<string> {
  const child = Bun.spawn(pinned(LOAD_CORE, command), { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  const text = await new Response(child.stdout).text();
  const code = await child.exited;
  clearTimeout(late);
  if (code !== 0)
    throw new Error(`${command.slice(0, 3).join(" ")} … ended with ${code}: ${text.slice(-500)}`);
  return text;
}

/** What one set of processes has used since it started. */
export interface Usage {
  readonly userMs: number;
  readonly systemMs: number;
  readonly rssBytes: number;
}

export interface TreeUsage {
  /** Processes that carry traffic: the children, or the process itself when it has none. */
  readonly workers: Usage;
  /** The process that started them; zero when it is the worker. */
  readonly control: Usage;
}

const NOTHING: Usage = { userMs: 0, systemMs: 0, rssBytes: 0 };
const sum = (a: Usage, b: Usage): Usage => ({
  userMs: a.userMs + b.userMs,
  systemMs: a.systemMs + b.systemMs,
  rssBytes: a.rssBytes + b.rssBytes,
});

export function treeUsage(pid: number): TreeUsage {
  const children = descendants(pid);
  const own = usage(pid);
  if (children.length === 0) return { workers: own, control: NOTHING };
  return { workers: children.map(usage).reduce(sum, NOTHING), control: own };
}

function usage(pid: number): Usage {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ms = (index: number) => (Number(fields[index]) * 1000) / TICKS_PER_SEC;
    // Counted from the state field: utime is 11 further, stime 12 (proc(5)).
    const rssPages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
    return { userMs: ms(11), systemMs: ms(12), rssBytes: rssPages * PAGE_BYTES };
  } catch {
    return NOTHING; // it ended between the listing and the read
  }
}

function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (Number.isInteger(pid)) parents.set(pid, parentOf(pid));
  }
  const found: number[] = [];
  for (const pid of parents.keys()) {
    let at: number | undefined = parents.get(pid);
    while (at !== undefined && at > 1 && at !== root) at = parents.get(at);
    if (at === root) found.push(pid);
  }
  return found;
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}
