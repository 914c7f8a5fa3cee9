/**
 * Proc: what a process says, and what Linux says of it: memory and open files. For tests of bounds and leaks.
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

/** Gathers what a process writes. out  all of it so far, at any time */
export function collect(stream: ReadableStream<Uint8Array>): () => string {
  let text = "";
  const decoder = new TextDecoder();
  const read = async () => {
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  };
  read().catch(() => {
    // the pipe ends with the program
  });
  return () => text;
}
