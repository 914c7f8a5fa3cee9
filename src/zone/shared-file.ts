/**
 * Shared file: what every zone needs of its file: a name that tells whose it is, memory that is the file, and an end.
 *
 * why    a process that is killed leaves its files behind; the next one finds them by the id in their name
 */
import { dlopen, type Pointer } from "bun:ffi";
import { readdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const IS_DARWIN = process.platform === "darwin";
/** In memory, where the system has such a place. */
export const SHARED_FOLDER = process.platform === "linux" ? "/dev/shm" : tmpdir();
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 2 ** 64 - 1;

/** A path that no other file has; `prefix` says what for. */
export const newPath = (prefix: string) =>
  join(SHARED_FOLDER, `${prefix}${process.pid}-${crypto.randomUUID().slice(0, 8)}`);

/** mmap(2); Bun.mmap maps whole files only as one buffer, which would count 2 GiB as garbage to come. */
export function mapShared(file: number, bytes: number): Pointer | undefined {
  const { symbols } = dlopen(IS_DARWIN ? "libSystem.B.dylib" : "libc.so.6", {
    mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  });
  const base = symbols.mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, file, 0);
  const address = Number(base ?? MAP_FAILED);
  return address >= MAP_FAILED || address < 0 ? undefined : (address as Pointer);
}

/** Removes files whose process was killed before it could: their name holds its id. */
export function removeOrphans(prefix: string): void {
  for (const name of readdirSync(SHARED_FOLDER)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split("-")[0]);
    if (!isAlive(pid)) removeName(join(SHARED_FOLDER, name));
  }
}

/** Takes away the names that a process made which is gone. */
export function removeNamesOf(prefix: string, pid: number): void {
  for (const name of readdirSync(SHARED_FOLDER)) {
    if (name.startsWith(`${prefix}${pid}-`)) removeName(join(SHARED_FOLDER, name));
  }
}

export function removeName(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // already gone, or another user's; a mapping does not need the name
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
