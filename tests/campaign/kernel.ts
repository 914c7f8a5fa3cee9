/**
 * Kernel: what Linux says about processes: which connections are whose, files, memory, time used.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const ESTABLISHED = "01";
const CLOSE_WAIT = "08";

/** Client ports of the connections to `port` that this process holds. */
export function clientPortsOf(pid: number, port: number): Set<number> {
  const inodes = new Set(openFiles(pid).map((name) => /^socket:\[(\d+)\]$/.exec(name)?.[1]));
  const lines = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1, -1);
  const found = new Set<number>();
  for (const line of lines) {
    const [, local = "", remote = "", state = "", , , , , , inode = ""] = line.trim().split(/\s+/);
    const isOpen = state === ESTABLISHED || state === CLOSE_WAIT;
    if (isOpen && portOf(local) === port && inodes.has(inode)) found.add(portOf(remote));
  }
  return found;
}

const portOf = (address: string) => Number.parseInt(address.slice(address.indexOf(":") + 1), 16);

/** What the open descriptors of a process point to. */
export function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
}

/** Memory of its own that a process has in use, in bytes: without what it shares with others. */
export function privateBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return (kib("Private_Dirty") + kib("Private_Clean")) * 1024;
}

export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * 4096;
}

/** Processor time used since it started, in ms. */
export function usedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
