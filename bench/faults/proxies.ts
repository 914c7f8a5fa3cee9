/**
 * Proxies: starts one of the three against a set of endpoints, counts its retries, and tells it where a name moved.
 *
 * why    a name server of its own on the machine's port 53 is not to be had; each learns of a move as its operators
 *        would tell it: Weir by its list of endpoints (`discovery.file`), HAProxy by its socket (`set server addr`),
 *        nginx by a new configuration and SIGHUP
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "../../tests/support/ports.ts";
import type { ProxyKind } from "../peers.ts";
import { PROXY_CORE, type Running, start, treeUsage } from "../processes.ts";
import {
  type ConfigOptions,
  haproxyConfig,
  haproxySocket,
  nginxConfig,
  nginxLog,
  type Overload,
  type Target,
  weirConfig,
  weirList,
  weirListOf,
} from "./configs.ts";

const ROOT = join(import.meta.dir, "..", "..");

export interface FaultProxy {
  readonly kind: ProxyKind;
  readonly port: number;
  /** Attempts after the first so far, of all requests. */
  retries(): Promise<number>;
  /** From now on the last target is here. */
  moveLast(target: Target): Promise<void>;
  /** Of all its processes. */
  memoryBytes(): number;
  /** What it says of its endpoints, for a person; "" where it cannot be asked. */
  states(): Promise<string>;
  stop(): Promise<void>;
}

export interface ProxyOptions {
  readonly folder: string;
  readonly targets: readonly Target[];
  readonly isNamed: boolean;
  readonly overload?: Overload;
}

interface Kind {
  command(file: string, folder: string): string[];
  config(options: ConfigOptions): string;
  retries(options: ConfigOptions): Promise<number>;
  moveLast(target: Target, options: ConfigOptions, pid: number): Promise<void>;
  states(options: ConfigOptions): Promise<string>;
}

const configFile = (kind: ProxyKind, folder: string) => join(folder, `${kind}.conf`);

export async function startProxy(kind: ProxyKind, options: ProxyOptions): Promise<FaultProxy> {
  const full: ConfigOptions = { ...options, port: await freePort(), adminPort: await freePort() };
  const { folder, targets, port } = full;
  const does = KINDS[kind];
  const file = configFile(kind, folder);
  writeFileSync(file, does.config(full));
  writeFileSync(weirList(folder), weirListOf(targets.at(-1)));
  const logFile = join(folder, `${kind}.stderr`);
  const command = does.command(file, folder);
  const running: Running = await start({ name: kind, cores: PROXY_CORE, command, logFile, port });
  return {
    kind,
    port,
    retries: async () => await does.retries(full),
    moveLast: async (target) => await does.moveLast(target, full, running.pid),
    memoryBytes: () => {
      const { workers, control } = treeUsage(running.pid);
      return workers.rssBytes + control.rssBytes;
    },
    states: async () => await does.states(full),
    stop: running.stop,
  };
}

const NGINX: Kind = {
  command: (file, folder) => ["nginx", "-p", folder, "-c", file, "-e", join(folder, "nginx.stderr")],
  config: nginxConfig,
  // one address an attempt, with commas between them
  retries: async ({ folder }) => readFileSync(nginxLog(folder), "latin1").split(",").length - 1,
  moveLast: async (target, options, pid) => {
    const targets = [...options.targets.slice(0, -1), target];
    writeFileSync(configFile("nginx", options.folder), nginxConfig({ ...options, targets }));
    process.kill(pid, "SIGHUP");
  },
  states: async () => "",
};

const HAPROXY: Kind = {
  command: (file) => ["haproxy", "-db", "-f", file],
  config: haproxyConfig,
  retries: async ({ folder }) => {
    const [head = "", ...rows] = (await askHaproxy(folder, "show stat")).split("\n");
    const column = head.split(",").indexOf("wretr");
    const backend = rows.find((row) => row.startsWith("app,BACKEND,"));
    return Number(backend?.split(",")[column] ?? Number.NaN);
  },
  moveLast: async (target, { folder, targets }) => {
    const [host, port] = target.address.split(":");
    await askHaproxy(folder, `set server app/${targets.at(-1)?.name} addr ${host} port ${port}`);
  },
  states: async ({ folder }) => await askHaproxy(folder, "show servers state app"),
};

const WEIR: Kind = {
  command: (file) => [join(ROOT, "bin", "weir"), "run", "-c", file],
  config: weirConfig,
  retries: async ({ adminPort }) => {
    const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
    const lines = text.matchAll(/^weir_(?:retries|hedges)_total(?:\{[^}]*\})? (\S+)$/gm);
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
  },
  moveLast: async (target, { folder }) => {
    const fresh = `${weirList(folder)}.new`;
    writeFileSync(fresh, weirListOf(target));
    renameSync(fresh, weirList(folder));
  },
  states: async ({ adminPort }) => {
    const ask = async (path: string) => await (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text();
    const lines = (await ask("/metrics")).matchAll(
      /^weir_\w*(?:shed|refused|turned|failures|retr)\w*(?:\{[^}]*\})? [1-9].*$/gm,
    );
    return [await ask("/api/v1/events"), ...[...lines].map(([line]) => line)].join("\n");
  },
};

const KINDS: Record<ProxyKind, Kind> = { nginx: NGINX, haproxy: HAPROXY, weir: WEIR };

function askHaproxy(folder: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(haproxySocket(folder), () => socket.write(`${command}\n`));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    socket.once("end", () => resolve(text));
    socket.once("error", reject);
  });
}
