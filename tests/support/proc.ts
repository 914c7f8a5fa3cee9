/**
 * Proc: what Linux says of a process: memory and open files. For tests of bounds and leaks.
 */
import { readdirSync, readFileSync } from "node:fs";

/** True where /proc can be asked. */
export const hasProc = process.platform === "linux";

/** Resident memory in bytes, without what is shared with other processes (the zone, the program's code). */
export function ownMemoryBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "latin1");
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kib === undefined) throw new Error(`no RssAnon for process ${pid}`);
  return Number(kib) * 1024;
}

/** Descriptors that the process has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
