/**
 * Body sweep: removes the files of bodies that nobody refers to any more, behind everybody's back.
 *
 * why    a process that is killed leaves what it was writing; a segment that is lost leaves its bodies
 * rule   after a start only files of earlier starts are looked at: newer ones are their writers'
 * cost   some thousand names a turn, then a pause: the start does not wait for it
 */
import { lstatSync, readdirSync } from "node:fs";
import { readdir, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type BodyPlaces, idOfBody, pidOfPart } from "./body-places.ts";
import { isAlive } from "./disk-board.ts";

/** in  ids to keep, and the first id of this start. out  files removed */
export async function sweepBodies(
  places: BodyPlaces,
  kept: ReadonlySet<number>,
  firstId: number,
): Promise<number> {
  let removed = removeParts(places, (pid) => !isAlive(pid));
  for (const name of await namesIn(places.bodies)) {
    const folder = join(places.bodies, name);
    // workers may write here: a link is not followed
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const names = await namesIn(folder);
    const orphans = names.filter((file) => {
      const id = idOfBody(file);
      return id >= 0 && id < firstId && !kept.has(id);
    });
    for (const file of orphans) if (await isDone(unlink(join(folder, file)))) removed++;
    if (orphans.length === names.length) await isDone(rmdir(folder));
  }
  return removed;
}

/** Removes what processes were writing that died. out  how many */
export function removeParts(places: BodyPlaces, isDead: (pid: number) => boolean): number {
  let removed = 0;
  for (const name of partsIn(places)) {
    if (!isDead(pidOfPart(name))) continue;
    unlink(join(places.parts, name)).catch(() => {
      // its writer has done it
    });
    removed++;
  }
  return removed;
}

/** None when somebody has taken the folder away: then there is nothing to remove. */
function partsIn({ parts }: BodyPlaces): string[] {
  try {
    return readdirSync(parts);
  } catch {
    return [];
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

/** False: somebody else has done it, or nobody may. */
async function isDone(removing: Promise<void>): Promise<boolean> {
  try {
    await removing;
    return true;
  } catch {
    return false;
  }
}
