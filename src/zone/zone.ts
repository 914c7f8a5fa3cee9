/**
 * Zone: the memory that control and workers share: counters and heartbeats.
 *
 * why    counters must survive the worker that counted them and be read without asking it; a mapped
 *        file in /dev/shm gives that for the price of an array store
 * shape  a header with one heartbeat a worker, then one row of counter slots a worker. A worker writes only its own
 *        heartbeat and row, so plain stores are enough; rows start on pages of their own, and readers sum them. Control
 *        writes the last row
 * note   the file is sparse: only slots in use take memory. It is mapped whole, but only the part of a row that was
 *        asked for becomes a buffer of the runtime
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { closeSync, ftruncateSync, linkSync, openSync } from "node:fs";
import { mapShared, newPath, removeName, removeNamesOf, removeOrphans } from "./shared-file.ts";

const PAGE_BYTES = 4096;
/** Counter slots in each row: 16 MiB of address space, room for about 15,000 routes with own series. */
export const ROW_SLOTS = 1 << 21;
/** More worker slots than any machine we know needs; the row of an unused one costs nothing. */
export const MAX_WORKERS = 128;
/** The last row is control's own: what it has decided about endpoints (`health/board.table.ts`). */
export const CONTROL_ROW = MAX_WORKERS - 1;
const ROW_BYTES = ROW_SLOTS * 8;
/** Heartbeats take the first page, changes of the board the second; the others are for what else will be shared. */
const HEADER_BYTES = PAGE_BYTES * 8;
const ZONE_BYTES = HEADER_BYTES + ROW_BYTES * MAX_WORKERS;
const PREFIX = "weir-zone-";

export class Zone {
  readonly path: string;
  /** Time of each worker's last sign of life, in ms since the epoch (Float64, one writer each). */
  readonly heartbeats: Float64Array;
  /** One word that control adds to whenever it changes its row: workers need not read the row to know. */
  readonly boardChanges: Float64Array;
  readonly #base: Pointer;

  private constructor(path: string, base: Pointer) {
    this.path = path;
    this.#base = base;
    this.heartbeats = new Float64Array(toArrayBuffer(base, 0, MAX_WORKERS * 8));
    this.boardChanges = new Float64Array(toArrayBuffer(base, PAGE_BYTES, 8));
  }

  /** Makes a new zone, empty; the caller removes it with `remove`. */
  static create(): Zone {
    removeOrphans(PREFIX);
    const path = newPath(PREFIX);
    const file = openSync(path, "wx+", 0o600);
    ftruncateSync(file, ZONE_BYTES);
    closeSync(file);
    return Zone.open(path);
  }

  /**
   * Opens the zone of another process under a name of our own, so that it outlives that process: each removes
   * its own name. Throws when the zone is gone or on another file system.
   */
  static adopt(path: string): Zone {
    const own = newPath(PREFIX);
    linkSync(path, own);
    return Zone.open(own);
  }

  /** Maps the zone for good: afterwards the process may lose the right to open it. */
  static open(path: string): Zone {
    const file = openSync(path, "r+");
    const base = mapShared(file, ZONE_BYTES);
    closeSync(file);
    if (base === undefined) throw new Error(`cannot map ${path}`);
    return new Zone(path, base);
  }

  /**
   * The first counter slots of one worker's row. Ask for no more than are needed: the collector takes mapped
   * memory for its own and lets garbage grow in proportion.
   */
  row(worker: number, slots = ROW_SLOTS): Float64Array {
    return new Float64Array(toArrayBuffer(this.#base, HEADER_BYTES + worker * ROW_BYTES, slots * 8));
  }

  /** Takes away the names that a process made which is gone. */
  static removeOf(pid: number): void {
    removeNamesOf(PREFIX, pid);
  }

  /** Takes the name away; processes that have it mapped go on using it. */
  remove(): void {
    removeName(this.path);
  }
}
