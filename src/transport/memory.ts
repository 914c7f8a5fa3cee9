/**
 * Memory: garbage that the runtime leaves lying after a burst of large transfers is collected when it is quiet.
 *
 * why    the runtime counts the buffers of its sockets too low to hurry: after a second of large bodies 200 MiB
 *        of garbage stayed for as long as nothing else happened. Small settings for its heap would keep it
 *        down at all times, but cost a fifth to a half of the processor time of large transfers
 * rule   a collection when memory has grown by GROWN_BYTES since the last one and stands still, at most every
 *        PAUSE_LOOKS looks; what stays after it is in use and the new floor
 * cost   a full collection: some 10 ms, once
 */
import { readFileSync } from "node:fs";

const MIB = 1024 * 1024;
/** Less is not worth a collection: compiled code and a warm heap come and go by this much. */
const GROWN_BYTES = 32 * MIB;
const STILL_BYTES = 4 * MIB;
const STILL_LOOKS = 2;
const PAUSE_LOOKS = 10;

export interface MemoryOptions {
  /** Bytes in memory; undefined when they cannot be told now. */
  readonly read: () => number | undefined;
  readonly collect: () => void;
}

/** Looks about once a second. */
export class MemoryKeeper {
  readonly #options: MemoryOptions;
  #floorBytes = Number.POSITIVE_INFINITY;
  #lastBytes = 0;
  #stillLooks = 0;
  #pauseLooks = 0;

  constructor(options: MemoryOptions) {
    this.#options = options;
  }

  look(): void {
    const bytes = this.#options.read();
    if (bytes === undefined) return;
    this.#floorBytes = Math.min(this.#floorBytes, bytes);
    this.#stillLooks = Math.abs(bytes - this.#lastBytes) < STILL_BYTES ? this.#stillLooks + 1 : 0;
    this.#lastBytes = bytes;
    if (this.#pauseLooks > 0) this.#pauseLooks--;
    else if (this.#stillLooks >= STILL_LOOKS && bytes - this.#floorBytes >= GROWN_BYTES) this.#collect(bytes);
  }

  #collect(before: number): void {
    this.#options.collect();
    this.#floorBytes = this.#options.read() ?? before;
    this.#lastBytes = this.#floorBytes;
    this.#stillLooks = 0;
    this.#pauseLooks = PAUSE_LOOKS;
  }
}

const STATUS_FILE = "/proc/self/status";

/**
 * What the kernel says that this process has in memory, without what it shares with other workers: pages of the cache
 * are counted in each process that has touched them, and no collection gives one back.
 * out  undefined when the kernel cannot be asked: without a free descriptor
 */
export function ownBytes(): number | undefined {
  try {
    const told = process.platform === "linux" ? ownBytesOf(readFileSync(STATUS_FILE, "latin1")) : undefined;
    return told ?? process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

/** in  text of `/proc/PID/status` (proc_pid_status(5)). out  undefined when it does not tell */
export function ownBytesOf(status: string): number | undefined {
  const [resident, shared] = [kibAt(status, "\nVmRSS:"), kibAt(status, "\nRssShmem:")];
  return Number.isNaN(resident) || Number.isNaN(shared) ? undefined : (resident - shared) * 1024;
}

function kibAt(status: string, label: string): number {
  const at = status.indexOf(label);
  return at === -1 ? Number.NaN : Number.parseInt(status.slice(at + label.length), 10);
}

export const keeperOfThisProcess = () => new MemoryKeeper({ read: ownBytes, collect: () => Bun.gc(true) });
