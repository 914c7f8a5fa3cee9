/**
 * Shared cache: the cache of all workers, as control builds, looks after and removes it.
 *
 * shape  one zone (`zone/cache-zone.ts`), and large bodies in a folder: in memory, or on the disk tier
 * rule   control stores nothing: it looks, purges, and tidies up after workers that ended, in pieces
 */
import type { CacheTierStatus } from "../admin/cache-status.ts";
import { type MemoryStore, openMemoryStore } from "../cache/memory/memory-store.ts";
import { type KeptResponse, keptFrom, statsOf, sweep } from "../cache/memory/sweep.ts";
import type { CacheStore, PurgeScope } from "../cache/store.ts";
import { BodyFolder } from "../transport/cache-disk/body-folder.ts";
import { DiskBoard } from "../transport/cache-disk/disk-board.ts";
import { Trouble } from "../transport/cache-disk/trouble.ts";
import type { Identity } from "../transport/privileges.ts";
import { CacheZone } from "../zone/cache-zone.ts";
import { CONTROL_ROW } from "../zone/zone.ts";
import { boardIn, createBodyFolder, ownBodyFolder, removeBodyFolder, removeParts } from "./body-folders.ts";
import type { CacheHouse, CacheSettings } from "./cache-house.ts";
import type { Log } from "./log.ts";
import type { CachePlace } from "./messages.ts";

export interface CacheHouseOptions {
  readonly settings: CacheSettings;
  readonly workers: number;
  /** The cache of the generation before an upgrade. */
  readonly inherited: CachePlace | undefined;
  /** User that workers become. */
  readonly identity: Identity | undefined;
  readonly log: Log;
}

/** Entries that one tidying looks over: a million in two minutes, a millisecond a second. */
const SWEPT_AT_ONCE = 8192;
/** Control opens bodies for nobody. */
const NO_DESCRIPTORS = { openCount: 0, mayOpen: () => true };

/** Rejects with a sentence when it cannot be had. */
export async function buildCacheHouse(options: CacheHouseOptions): Promise<CacheHouse> {
  const { inherited, log } = options;
  if (inherited !== undefined) {
    try {
      return adopt(options, inherited);
    } catch (error) {
      log("warn", "cache", `upgrade: the cache starts empty: ${(error as Error).message}`);
    }
  }
  return Promise.resolve(create(options));
}

function adopt(options: CacheHouseOptions, place: CachePlace): CacheHouse {
  const zone = CacheZone.adopt(place.zonePath);
  if (place.bodies !== undefined) ownBodyFolder(place.bodies);
  return new SharedCache(zone, { ...place, zonePath: zone.path }, options);
}

function create(options: CacheHouseOptions): CacheHouse {
  const { settings, workers, identity } = options;
  const sizes = { memoryBytes: settings.memoryBytes, diskBytes: settings.disk?.bytes ?? 0, workers };
  const zone = CacheZone.create(sizes, { owner: identity });
  try {
    const bodies = createBodyFolder(identity);
    return new SharedCache(zone, { zonePath: zone.path, bodies, disk: undefined }, options);
  } catch (error) {
    zone.remove();
    throw error;
  }
}

class SharedCache implements CacheHouse {
  readonly place: CachePlace;
  readonly store: CacheStore;
  readonly #memory: MemoryStore;
  readonly #zone: CacheZone;
  #sweptTo = 0;

  constructor(zone: CacheZone, place: CachePlace, { log }: CacheHouseOptions) {
    this.#zone = zone;
    this.place = place;
    const files = place.bodies === undefined ? undefined : bodyFilesIn(place.bodies, log);
    this.#memory = openMemoryStore(zone, { row: CONTROL_ROW, files, nearBytes: 0 });
    this.store = this.#memory;
  }

  purge(scopes: readonly PurgeScope[], isSoft: boolean): Promise<string | undefined> {
    for (const scope of scopes) this.#memory.board.purge(scope, isSoft);
    return Promise.resolve(undefined);
  }

  forgetWorker(row: number): void {
    this.#zone.forgetWorker(row);
    if (this.place.bodies !== undefined) removeParts(this.place.bodies);
  }

  tidy(): void {
    this.#sweptTo = sweep(this.#memory.parts, this.#sweptTo, SWEPT_AT_ONCE, Date.now());
  }

  tiers(): readonly CacheTierStatus[] {
    const { segmentBytes, fileBytes, budgetBytes, objects, evicted } = statsOf(this.#memory.parts);
    return [{ tier: "memory", usedBytes: segmentBytes + fileBytes, budgetBytes, objects, evicted }];
  }

  get places(): number {
    return this.#zone.layout.words.tags;
  }

  keptFrom(place: number, count: number): readonly KeptResponse[] {
    return keptFrom(this.#memory.parts, place, count);
  }

  close(isHandedOver: boolean): Promise<void> {
    this.#zone.remove();
    if (this.place.bodies !== undefined && !isHandedOver) removeBodyFolder(this.place.bodies);
    return Promise.resolve();
  }
}

function bodyFilesIn(folder: string, log: Log): BodyFolder {
  return new BodyFolder({
    root: folder,
    board: DiskBoard.open(boardIn(folder)),
    budgetBytes: undefined,
    descriptors: NO_DESCRIPTORS,
    trouble: new Trouble(folder, (line) => log("warn", "cache", line)),
  });
}
