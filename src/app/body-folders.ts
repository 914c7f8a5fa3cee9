/**
 * Body folders: where large bodies lie when there is no disk: one folder in memory for each cache.
 *
 * why    a folder in memory outlives a process that is killed: the file `owner` says whose it is, so that the next start
 *        removes what nobody owns any more. An upgrade changes the owner, and nothing else: workers of both generations
 *        go on with the same paths
 * rule   the folder belongs to who starts Weir, what is in it to the user of the workers: one that was taken over cannot
 *        put a link in the place of what control writes. Everybody may make such a folder, so nothing is waited for
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBodyFolders } from "../transport/cache-disk/body-folder.ts";
import { BodyPlaces } from "../transport/cache-disk/body-places.ts";
import { DiskBoard, isAlive } from "../transport/cache-disk/disk-board.ts";
import { READ_HERE } from "../transport/cache-disk/file-calls.ts";
import type { Identity } from "../transport/privileges.ts";

const ROOT = process.platform === "linux" ? "/dev/shm" : tmpdir();
const PREFIX = "weir-bodies-";
const UNNAMED = "weir-unnamed-";
const OWNER = "owner";
const BOARD = "board";

/** Makes a folder that workers may write to. Throws as `mkdir` does. */
export function createBodyFolder(identity: Identity | undefined): string {
  removeUnowned();
  const folder = join(ROOT, `${PREFIX}${crypto.randomUUID()}`);
  // under another name until it has an owner: one that starts beside us removes what nobody owns
  const unnamed = join(ROOT, `${UNNAMED}${crypto.randomUUID()}`);
  mkdirSync(unnamed, { mode: 0o700 });
  ownBodyFolder(unnamed);
  renameSync(unnamed, folder);
  makeBodyFolders(folder);
  DiskBoard.create(boardIn(folder), { bodyId: 1, segment: 1 });
  const { bodies, parts } = new BodyPlaces(folder);
  if (identity !== undefined) {
    chmodSync(folder, 0o711); // workers pass through it
    for (const path of [bodies, parts, boardIn(folder)]) chownSync(path, identity.uid, identity.gid);
  }
  return folder;
}

export const boardIn = (folder: string) => join(folder, BOARD);

/** From now on it is this process that has to remove it. */
export function ownBodyFolder(folder: string): void {
  const path = join(folder, OWNER);
  writeFileSync(path, `${process.pid}`);
  chmodSync(path, 0o644); // workers ask too
}

/** Who has one of its files open reads on. A worker that may not remove the folder itself empties it. */
export function removeBodyFolder(folder: string): void {
  const { bodies, parts } = new BodyPlaces(folder);
  for (const path of [bodies, parts, folder]) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // not ours to remove: the next start does it
    }
  }
}

function removeUnowned(): void {
  for (const name of namesIn(ROOT)) {
    const folder = join(ROOT, name);
    // not waited for: a start must not wait for a folder full of what a crash left
    if (name.startsWith(PREFIX) && !isOwned(folder))
      rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

/** Does a process live that will remove it? One that cannot be looked into is another user's. in  `gone`: it is dying */
export function isOwned(folder: string, gone?: number): boolean {
  try {
    const pid = Number(readShort(join(folder, OWNER)));
    return pid !== gone && isAlive(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

const SHORT_BYTES = 32;

/** The beginning of a file: it may be anybody's, and no file at all. */
function readShort(path: string): string {
  const file = openSync(path, READ_HERE);
  try {
    const bytes = Buffer.alloc(SHORT_BYTES);
    return bytes.latin1Slice(0, readSync(file, bytes, 0, SHORT_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
