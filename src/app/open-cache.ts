/**
 * Open cache: the cache that control has built, as one worker uses it.
 *
 * rule   mapped once for each place: a reload that changes nothing about the cache goes on with the same store
 */
import { openMemoryStore } from "../cache/memory/memory-store.ts";
import type { CacheStore } from "../cache/store.ts";
import { BodyFolder } from "../transport/cache-disk/body-folder.ts";
import { DiskBoard } from "../transport/cache-disk/disk-board.ts";
import { openDiskTier } from "../transport/cache-disk/disk-tier.ts";
import type { DescriptorRoom } from "../transport/cache-disk/open-bodies.ts";
import { Trouble } from "../transport/cache-disk/trouble.ts";
import { CacheZone } from "../zone/cache-zone.ts";
import { boardIn, isOwned, removeBodyFolder } from "./body-folders.ts";
import type { Log } from "./log.ts";
import type { CachePlace } from "./messages.ts";

export interface OpenCacheOptions {
  readonly row: number;
  readonly descriptors: DescriptorRoom;
  readonly log: Log;
}

export class OpenCache {
  readonly #options: OpenCacheOptions;
  /** Who started us: when it dies, we hear of that before it is gone. */
  readonly #control = process.ppid;
  #current: Opened | undefined;
  #next: Opened | undefined;

  constructor(options: OpenCacheOptions) {
    this.#options = options;
  }

  /** Of the version in force. */
  get store(): CacheStore | undefined {
    return this.#current?.store;
  }

  /** Opens the cache of the version that comes next. out  why it cannot be used */
  prepare(place: CachePlace | undefined): string | undefined {
    this.#next = undefined;
    if (place === undefined) return undefined;
    if (place.zonePath === this.#current?.place.zonePath) {
      this.#next = this.#current;
      return undefined;
    }
    try {
      this.#next = openStore(place, this.#options);
      return undefined;
    } catch (error) {
      return `the cache cannot be opened: ${(error as Error).message}`;
    }
  }

  commit(): void {
    const before = this.#current;
    this.#current = this.#next;
    this.#next = undefined;
    // what still finishes with the one before may write a little more; that is lost, and no harm
    if (before !== undefined && before !== this.#current) void this.#closeOne(before);
  }

  /** Nobody uses it any more: the process ends. */
  async close(): Promise<void> {
    const current = this.#current;
    if (current !== undefined) await this.#closeOne(current);
  }

  /** Takes away what control has left behind, unless a successor has it. */
  removeNames(): void {
    const place = this.#current?.place;
    if (place === undefined) return;
    CacheZone.removePath(place.zonePath);
    if (place.bodies !== undefined && !isOwned(place.bodies, this.#control)) removeBodyFolder(place.bodies);
  }

  async #closeOne({ close }: Opened): Promise<void> {
    await close().catch((error: unknown) => {
      this.#options.log("warn", "cache", `the end of what was stored is not on the disk: ${String(error)}`);
    });
  }

  abandon(): void {
    this.#next = undefined;
  }
}

interface Opened {
  readonly place: CachePlace;
  readonly store: CacheStore;
  /** Writes what waits for the disk. */
  readonly close: () => Promise<void>;
}

function openStore(place: CachePlace, { row, descriptors, log }: OpenCacheOptions): Opened {
  const zone = CacheZone.open(place.zonePath);
  const { bodies, disk } = place;
  const report = (line: string) => log("warn", "cache", line);
  if (disk !== undefined) {
    const tier = openDiskTier({ path: disk.path, budgetBytes: disk.bytes, descriptors, report });
    const store = openMemoryStore(zone, { row, files: tier.files, cold: tier.records });
    return { place, store, close: () => tier.close() };
  }
  const files = bodies === undefined ? undefined : bodyFilesIn(bodies, descriptors, report);
  return { place, store: openMemoryStore(zone, { row, files }), close: () => Promise.resolve() };
}

function bodyFilesIn(root: string, descriptors: DescriptorRoom, report: (line: string) => void): BodyFolder {
  return new BodyFolder({
    root,
    board: DiskBoard.open(boardIn(root)),
    budgetBytes: undefined,
    descriptors,
    trouble: new Trouble(root, report),
  });
}
