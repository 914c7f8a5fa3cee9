/**
 * Zone: the memory that control and workers share: counters, heartbeats, and later limits and health.
 *
 * why    counters must survive the worker that counted them and be read without asking it; a mapped
 *        file in /dev/shm gives that for the price of an array store
 * shape  a header, a word of state a worker, then one row of counter slots a worker slot. A worker writes
 *        only its own row, so plain stores are enough and cores never share a cache line; readers sum rows.
 *        Words that several processes write are Int32 and go through Atomics.
 * note   the file is sparse: only slots in use take memory
 */
import { closeSync, ftruncateSync, linkSync, openSync, readdirSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PAGE_BYTES = 4096;
/** Counter slots in each row: 16 MiB of address space, room for about 15,000 routes with own series. */
export const ROW_SLOTS = 1 << 21;
/** More worker slots than any machine we know needs; the row of an unused one costs nothing. */
export const MAX_WORKERS = 128;
const ROW_BYTES = ROW_SLOTS * 8;
const HEADER_BYTES = PAGE_BYTES * 8;
const ZONE_BYTES = HEADER_BYTES + ROW_BYTES * MAX_WORKERS;
const PREFIX = "weir-zone-";

const zoneFolder = () => (process.platform === "linux" ? "/dev/shm" : tmpdir());

export class Zone {
  readonly path: string;
  /** Time of each worker's last sign of life, in ms since the epoch (Float64, one writer each). */
  readonly heartbeats: Float64Array;
  readonly #bytes: Uint8Array;

  private constructor(path: string, bytes: Uint8Array) {
    this.path = path;
    this.#bytes = bytes;
    this.heartbeats = new Float64Array(bytes.buffer, bytes.byteOffset, MAX_WORKERS);
  }

  /** Makes a new zone, empty; the caller removes it with `remove`. */
  static create(): Zone {
    removeOrphans();
    const path = newPath();
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
    const own = newPath();
    linkSync(path, own);
    return Zone.open(own);
  }

  static open(path: string): Zone {
    return new Zone(path, Bun.mmap(path, { shared: true }));
  }

  /** The counter slots of one worker. */
  row(worker: number): Float64Array {
    const start = this.#bytes.byteOffset + HEADER_BYTES + worker * ROW_BYTES;
    return new Float64Array(this.#bytes.buffer, start, ROW_SLOTS);
  }

  /** Takes the name away; processes that have it mapped go on using it. */
  remove(): void {
    try {
      unlinkSync(this.path);
    } catch {
      // already gone: somebody cleaned /dev/shm, and the mapping does not need the name
    }
  }
}

const newPath = () => join(zoneFolder(), `${PREFIX}${process.pid}-${crypto.randomUUID().slice(0, 8)}`);

/** Removes zones whose process was killed before it could: their name holds its id. */
function removeOrphans(): void {
  for (const name of readdirSync(zoneFolder())) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number(name.slice(PREFIX.length).split("-")[0]);
    if (!isAlive(pid)) {
      try {
        unlinkSync(join(zoneFolder(), name));
      } catch {
        // another process was faster, or it belongs to another user
      }
    }
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
