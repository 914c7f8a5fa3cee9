/**
 * Body folders: where large bodies lie when there is no disk: one folder in memory for each cache.
 *
 * why    a folder in memory outlives a process that is killed: the file `owner` says whose it is, so that the next start
 *        removes what nobody owns any more. An upgrade changes the owner, and nothing else: workers of both generations
 *        go on with the same paths
 */
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBodyFolders } from "../transport/cache-disk/body-folder.ts";
import { BodyPlaces } from "../transport/cache-disk/body-places.ts";
import { DiskBoard, isAlive } from "../transport/cache-disk/disk-board.ts";
import type { Identity } from "../transport/privileges.ts";

const ROOT = process.platform === "linux" ? "/dev/shm" : tmpdir();
const PREFIX = "weir-bodies-";
const OWNER = "owner";
const BOARD = "board";

/** Makes a folder that workers may write to. Throws as `mkdir` does. */
export function createBodyFolder(identity: Identity | undefined): string {
  removeUnowned();
  const folder = join(ROOT, `${PREFIX}${crypto.randomUUID()}`);
  mkdirSync(folder, { mode: 0o700 });
  ownBodyFolder(folder);
  makeBodyFolders(folder);
  DiskBoard.create(boardIn(folder), { bodyId: 1, segment: 1 });
  const { bodies, parts } = new BodyPlaces(folder);
  if (identity !== undefined) {
    for (const path of [folder, bodies, parts, boardIn(folder)]) chownSync(path, identity.uid, identity.gid);
  }
  return folder;
}

export const boardIn = (folder: string) => join(folder, BOARD);

/** From now on it is this process that has to remove it. */
export function ownBodyFolder(folder: string): void {
  writeFileSync(join(folder, OWNER), `${process.pid}`);
}

/** Who has one of its files open reads on. */
export function removeBodyFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function removeUnowned(): void {
  for (const name of namesIn(ROOT)) {
    const folder = join(ROOT, name);
    // not waited for: a start must not wait for a folder full of what a crash left
    if (name.startsWith(PREFIX) && !isOwned(folder))
      rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

/** Does a process live that will remove it? One that cannot be looked into is another user's. */
export function isOwned(folder: string): boolean {
  try {
    return isAlive(Number(readFileSync(join(folder, OWNER), "latin1")));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
