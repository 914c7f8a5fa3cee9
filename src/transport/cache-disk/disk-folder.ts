/**
 * Disk folder: what lies in the folder of the disk tier, whose it is, and whether it can be used as it is.
 *
 * shape  lock · format.json · board · purges.snapshot · purges.list · log/ · bodies/ · parts/
 * rule   the folder belongs to who starts Weir, log, bodies and parts to the user of the workers: a worker that was taken
 *        over can neither replace the folders that control works in as root, nor undo purges
 * rule   a folder of another version, of another user of workers, or that is damaged is emptied, of nothing but what is
 *        ours, and with one line in the log
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeBodyFolders } from "./body-folder.ts";
import { writeDurably } from "./purge-journal.ts";

const FORMAT = 1;
/** Ids of bodies hold 21 bits of it. */
const MOST_STARTS = 1 << 21;
const OURS = ["log", "bodies", "parts", "board", "purges.snapshot", "purges.list"];

/** User of the workers. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const logFolder = (path: string) => join(path, "log");
export const boardPath = (path: string) => join(path, "board");
export const lockPath = (path: string) => join(path, "lock");
const formatPath = (path: string) => join(path, "format.json");

/** Makes the folder itself; throws as `mkdir` does. */
export function makeFolder(path: string, owner: Owner | undefined): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  // workers pass through it, and can list nothing
  if (owner !== undefined) chmodSync(path, 0o711);
}

/** A folder above that the workers may not pass through, or undefined. */
export function blockedAt(path: string, owner: Owner | undefined): string | undefined {
  if (owner === undefined) return undefined;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder);
    const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

/** Why what lies there cannot be used, or undefined. `starts`: how many there were, 0 when that is not known. */
export function inspect(
  path: string,
  owner: Owner | undefined,
): { starts: number; problem: string | undefined } {
  const format = readFormat(path);
  if (format === undefined)
    return { starts: 0, problem: isThere(logFolder(path)) ? "its format.json cannot be read" : undefined };
  if (format.format !== FORMAT)
    return { starts: 0, problem: `its format is ${format.format}, not ${FORMAT}` };
  if (format.starts >= MOST_STARTS) return { starts: 0, problem: "its numbers are used up" };
  if (format.uid !== uidOf(owner)) return { starts: 0, problem: "it was another user's" };
  return { starts: format.starts, problem: undefined };
}

/** Removes all that is ours. */
export function empty(path: string): void {
  for (const name of OURS) rmSync(join(path, name), { recursive: true, force: true });
}

/** Makes what is missing, and writes down this start. out  its number */
export function beginStart(path: string, starts: number, owner: Owner | undefined): number {
  mkdirSync(logFolder(path), { recursive: true, mode: 0o700 });
  makeBodyFolders(path);
  if (owner !== undefined) {
    for (const name of ["log", "bodies", "parts"]) chownSync(join(path, name), owner.uid, owner.gid);
  }
  const format = { format: FORMAT, starts: starts + 1, uid: uidOf(owner) };
  writeDurably(formatPath(path), Buffer.from(`${JSON.stringify(format)}\n`));
  return starts + 1;
}

function readFormat(path: string): { format: number; starts: number; uid: number } | undefined {
  try {
    const { format, starts, uid } = JSON.parse(readFileSync(formatPath(path), "utf8"));
    const areNumbers = [format, starts, uid].every((value) => Number.isSafeInteger(value));
    return areNumbers ? { format, starts, uid } : undefined;
  } catch {
    return undefined;
  }
}

const uidOf = (owner: Owner | undefined) => owner?.uid ?? process.getuid?.() ?? 0;

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
