/**
 * Body places: where below the cache's folder a body lies, by its id.
 *
 * shape  bodies/<id / 1024, hex>/<id, hex>: folders of at most 1024 files, filled one after the other, so that an old
 *        folder empties as its bodies go. parts/<id, hex>.<pid>: what is not whole yet, all in one folder, so that
 *        what a killed process leaves is found at once
 */
import { join } from "node:path";

const FOLDER_IDS = 1024;

export class BodyPlaces {
  readonly root: string;
  readonly bodies: string;
  readonly parts: string;

  constructor(root: string) {
    this.root = root;
    this.bodies = join(root, "bodies");
    this.parts = join(root, "parts");
  }

  folderOf(id: number): string {
    return join(this.bodies, Math.floor(id / FOLDER_IDS).toString(16));
  }

  bodyOf(id: number): string {
    return join(this.folderOf(id), id.toString(16));
  }

  partOf(id: number, pid = process.pid): string {
    return join(this.parts, `${id.toString(16)}.${pid}`);
  }
}

/** Process that was writing a part. */
export function pidOfPart(name: string): number {
  return Number(name.split(".")[1]);
}

/** out  -1 for a name that is not one of ours */
export function idOfBody(name: string): number {
  return /^[0-9a-f]{1,14}$/.test(name) ? Number.parseInt(name, 16) : -1;
}
