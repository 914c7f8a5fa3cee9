/**
 * Shared cache: the cache of all workers, as control builds, looks after and removes it.
 *
 * shape  one zone (`zone/cache-zone.ts`). Large bodies lie in a folder in memory; with a disk they lie there, and small
 *        responses too (`transport/cache-disk/disk-tier.ts`)
 * rule   control stores nothing: it looks, purges, and tidies up after workers that ended, in pieces
 * rule   a cache with other sizes on the same disk goes on with what is on it: the new zone gets the old one's secret, its
 *        purges and its places. Purges that workers make in the old one meanwhile are taken over as well
 */
import type { CacheTierStatus } from "../admin/cache-status.ts";
import { type MemoryStore, openMemoryStore } from "../cache/memory/memory-store.ts";
import { filesFrom, type KeptResponse, keptFrom, statsOf, sweep } from "../cache/memory/sweep.ts";
import { SharedPurgeBoard } from "../cache/purge-board.ts";
import type { CacheStore, PurgeScope } from "../cache/store.ts";
import type { BodyRef } from "../cache/stored.ts";
import { defectText } from "../core/failure.ts";
import { BodyFolder } from "../transport/cache-disk/body-folder.ts";
import { BodyPlaces } from "../transport/cache-disk/body-places.ts";
import { removeParts } from "../transport/cache-disk/body-sweep.ts";
import { DiskBoard, isAlive } from "../transport/cache-disk/disk-board.ts";
import { DiskKeeper, type Opened } from "../transport/cache-disk/disk-tier.ts";
import { Trouble } from "../transport/cache-disk/trouble.ts";
import type { Identity } from "../transport/privileges.ts";
import { CacheZone } from "../zone/cache-zone.ts";
import { CONTROL_ROW } from "../zone/zone.ts";
import { boardIn, createBodyFolder, ownBodyFolder, removeBodyFolder } from "./body-folders.ts";
import type { CacheEnd, CacheHouse, CacheSettings } from "./cache-house.ts";
import type { Predecessor } from "./cache-keeper.ts";
import type { Log } from "./log.ts";
import type { CachePlace } from "./messages.ts";

export interface CacheHouseOptions {
  readonly settings: CacheSettings;
  readonly workers: number;
  readonly predecessor: Predecessor | undefined;
  /** User that workers become. */
  readonly identity: Identity | undefined;
  readonly log: Log;
}

/** Entries that one tidying looks over: a million in two minutes, a millisecond a second. */
const SWEPT_AT_ONCE = 8192;
/** Places on the disk that are taken over before somebody else gets a turn. */
const PLACES_A_TURN = 4096;
/** Exchanges that began with the old cache: those that last longer may fill memory that nobody looks at. */
const LEAVE_MS = 60_000;
/** After a worker was killed: by then others have put what they had finished. */
const AUDIT_AFTER_MS = 30_000;
const AUDITED_AT_ONCE = 65_536;
/** Control opens bodies for nobody, and few segments. */
const NO_LIMIT = { openCount: 0, mayOpen: () => true };

/** Rejects with a sentence when it cannot be had. */
export async function buildCacheHouse(options: CacheHouseOptions): Promise<CacheHouse> {
  const { predecessor, log, settings } = options;
  const whole = predecessor?.isWhole === true ? adoptWhole(options, predecessor.place) : undefined;
  if (whole !== undefined) return whole;
  const { disk } = settings;
  if (disk === undefined) return createInMemory(options);
  const isSameDisk = predecessor?.place.disk?.path === disk.path;
  if (!isSameDisk) return createOnDisk(options);
  const house = await createOnSameDisk(options, predecessor.place);
  log("info", "cache", `goes on with what is in ${disk.path}`);
  return house;
}

/** out  undefined when it cannot be: another version of the program made it */
function adoptWhole(options: CacheHouseOptions, place: CachePlace): CacheHouse | undefined {
  let zone: CacheZone;
  try {
    zone = CacheZone.adopt(place.zonePath);
  } catch (error) {
    options.log("warn", "cache", `upgrade: memory of the cache starts empty: ${(error as Error).message}`);
    return undefined;
  }
  const { bodies } = place;
  if (bodies !== undefined) ownBodyFolder(bodies);
  const { disk } = options.settings;
  const keeper = disk === undefined ? undefined : opened(zone, adoptDisk(options, disk, zone));
  return new SharedCache({ zone, bodies, keeper, source: undefined }, options);
}

function createInMemory(options: CacheHouseOptions): CacheHouse {
  const zone = createZone(options, undefined);
  try {
    const bodies = createBodyFolder(options.identity);
    return new SharedCache({ zone, bodies, keeper: undefined, source: undefined }, options);
  } catch (error) {
    zone.remove();
    throw error;
  }
}

async function createOnDisk(options: CacheHouseOptions): Promise<CacheHouse> {
  const { disk } = options.settings;
  if (disk === undefined) throw new Error("there is no disk");
  const keeper = opened(undefined, DiskKeeper.open(diskOptions(options, disk)));
  const zone = createZone(options, keeper.board);
  const house = new SharedCache({ zone, bodies: undefined, keeper, source: undefined }, options);
  await house.restore();
  return house;
}

/** Another zone for the folder that is in use: the index of the old one says what lies there. */
async function createOnSameDisk(options: CacheHouseOptions, place: CachePlace): Promise<CacheHouse> {
  const { disk } = options.settings;
  if (disk === undefined) throw new Error("there is no disk");
  const source = openSource(options, place);
  const zone = createZone(
    options,
    source === undefined ? undefined : new SharedPurgeBoard(source).snapshot(),
  );
  const keeper = opened(zone, adoptDisk(options, disk, zone));
  const house = new SharedCache({ zone, bodies: undefined, keeper, source }, options);
  if (source !== undefined) await house.takeOver(source);
  return house;
}

function openSource({ log }: CacheHouseOptions, place: CachePlace): CacheZone | undefined {
  try {
    return CacheZone.open(place.zonePath);
  } catch (error) {
    log("warn", "cache", `what is on the disk is found at the next start only: ${(error as Error).message}`);
    return undefined;
  }
}

function createZone(
  { settings, workers, identity, log }: CacheHouseOptions,
  board: Buffer | undefined,
): CacheZone {
  const { memoryBytes, disk } = settings;
  const sizes = { memoryBytes, diskBytes: disk?.bytes ?? 0, workers };
  const zone = CacheZone.create(sizes, { owner: identity, board });
  const shortage = zone.shortage();
  if (shortage !== undefined) log("warn", "cache", shortage);
  return zone;
}

type Disk = NonNullable<CacheSettings["disk"]>;

const diskOptions = ({ identity, log }: CacheHouseOptions, { path, bytes }: Disk) => ({
  path,
  budgetBytes: bytes,
  descriptors: NO_LIMIT,
  owner: identity,
  report: (line: string) => log("warn", "cache", line),
});

const adoptDisk = (options: CacheHouseOptions, disk: Disk, zone: CacheZone): Opened =>
  DiskKeeper.adopt(diskOptions(options, disk), new SharedPurgeBoard(zone));

/** Throws what is wrong, as a sentence; then the zone is of no use. */
function opened(zone: CacheZone | undefined, found: Opened): DiskKeeper {
  if ("keeper" in found) return found.keeper;
  zone?.remove();
  throw new Error(found.problem);
}

interface Parts {
  readonly zone: CacheZone;
  readonly bodies: string | undefined;
  readonly keeper: DiskKeeper | undefined;
  /** The zone before, whose exchanges may still purge. */
  readonly source: CacheZone | undefined;
}

class SharedCache implements CacheHouse {
  readonly place: CachePlace;
  readonly store: CacheStore;
  readonly #memory: MemoryStore;
  readonly #zone: CacheZone;
  readonly #keeper: DiskKeeper | undefined;
  readonly #log: Log;
  readonly #bodies: BodyFolder | undefined;
  #audit: NodeJS.Timeout | undefined;
  #source: SharedPurgeBoard | undefined;
  #sourceMade = -1;
  #sweptTo = 0;
  #lastComplaint = "";

  constructor({ zone, bodies, keeper, source }: Parts, { settings, log }: CacheHouseOptions) {
    this.#zone = zone;
    this.#keeper = keeper;
    this.#log = log;
    this.place = { zonePath: zone.path, bodies, disk: settings.disk };
    const tier = keeper?.tier;
    const files = bodies === undefined ? tier?.files : bodyFilesIn(bodies, log);
    this.#bodies = files;
    this.#memory = openMemoryStore(zone, { row: CONTROL_ROW, files, cold: tier?.records, nearBytes: 0 });
    this.store = this.#memory;
    if (source === undefined) return;
    this.#source = new SharedPurgeBoard(source);
    setTimeout(() => (this.#source = undefined), LEAVE_MS).unref();
  }

  /** Finds what earlier starts have left on the disk. */
  async restore(): Promise<void> {
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    try {
      const { records, ms } = await keeper.restore(this.#memory.coldIndex(), this.#memory.board);
      this.#log("info", "cache", `found ${records} responses on the disk in ${Math.round(ms)} ms`);
    } catch (error) {
      this.#zone.remove();
      throw new Error(`the cache's folder cannot be written: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Takes over the places of another zone for the same disk; both have one secret. */
  async takeOver(zone: CacheZone): Promise<void> {
    const old = openMemoryStore(zone, { row: CONTROL_ROW, nearBytes: 0 }).coldIndex();
    const own = this.#memory.coldIndex();
    for (let from = 0; from < zone.layout.buckets; ) {
      const { entries, next } = old.entries(from, PLACES_A_TURN);
      for (const entry of entries) own.adopt(entry);
      from = next;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async purge(scopes: readonly PurgeScope[], isSoft: boolean): Promise<string | undefined> {
    const { board } = this.#memory;
    const keeper = this.#keeper;
    if (keeper === undefined) {
      for (const scope of scopes) board.purge(scope, isSoft);
      return undefined;
    }
    const outcomes = await Promise.all(scopes.map((scope) => keeper.purge(scope, isSoft)));
    return outcomes.find((outcome) => outcome !== undefined);
  }

  forgetWorker(row: number, pid: number | undefined): void {
    this.#zone.forgetWorker(row);
    const { bodies } = this.place;
    if (bodies !== undefined) removeParts(new BodyPlaces(bodies), (writer) => !isAlive(writer));
    this.#auditLater();
    if (pid === undefined) return;
    this.#keeper?.forgetWorker(pid).catch((error: unknown) => this.#complain(`after ${pid} ended`, error));
  }

  /** What the process had in its hands, no entry may name by now. */
  #auditLater(): void {
    const bodies = this.#bodies;
    if (bodies === undefined) return;
    const { idsEnd } = bodies;
    clearTimeout(this.#audit);
    this.#audit = setTimeout(() => {
      bodies
        .audit(() => this.#files(), idsEnd)
        .catch((error: unknown) => this.#complain("looking for bodies that nobody refers to", error));
    }, AUDIT_AFTER_MS);
    this.#audit.unref();
  }

  async #files(): Promise<readonly BodyRef[]> {
    const files: BodyRef[] = [];
    for (let from = 0; from < this.places; from += AUDITED_AT_ONCE) {
      for (const file of filesFrom(this.#memory.parts, from, AUDITED_AT_ONCE)) files.push(file);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return files;
  }

  tidy(): void {
    try {
      this.#catchUp();
      if (this.#memory.board.isWornOut) this.#tellWornOut();
      this.#keeper?.look();
      this.#sweptTo = sweep(this.#memory.parts, this.#sweptTo, SWEPT_AT_ONCE, Date.now());
    } catch (error) {
      this.#complain("tidying up", error);
    }
  }

  #tellWornOut(): void {
    const text = "the clock of purges has come to its end: nothing is cached until Weir is started anew";
    if (text !== this.#lastComplaint) this.#log("error", "cache", text);
    this.#lastComplaint = text;
  }

  /** Control goes on whatever happens to the cache; the same is not told again. */
  #complain(when: string, error: unknown): void {
    const text = `${when}: ${defectText(error)}`;
    if (text !== this.#lastComplaint) this.#log("error", "cache", text);
    this.#lastComplaint = text;
  }

  /** Purges of exchanges that finish with the zone before. */
  #catchUp(): void {
    const source = this.#source;
    if (source === undefined || source.made === this.#sourceMade) return;
    this.#sourceMade = source.made;
    this.#memory.board.restore(source.snapshot());
  }

  tiers(): readonly CacheTierStatus[] {
    const { segmentBytes, fileBytes, budgetBytes, objects, evicted } = statsOf(this.#memory.parts);
    const disk = this.#keeper?.usage();
    const inMemory = segmentBytes + (disk === undefined ? fileBytes : 0);
    const memory = { tier: "memory", usedBytes: inMemory, budgetBytes, objects, evicted } as const;
    if (disk === undefined) return [memory];
    const usedBytes = disk.bodyBytes + disk.logBytes;
    return [memory, { tier: "disk", usedBytes, budgetBytes: disk.budgetBytes, objects, evicted: 0 }];
  }

  get places(): number {
    return this.#zone.layout.words.tags;
  }

  keptFrom(place: number, count: number): readonly KeptResponse[] {
    return keptFrom(this.#memory.parts, place, count);
  }

  own(): void {
    if (this.place.bodies !== undefined) ownBodyFolder(this.place.bodies);
    try {
      this.#keeper?.takeBack(this.#memory.board);
    } catch (error) {
      this.#log("error", "cache", `purges cannot be written down: ${(error as Error).message}`);
    }
  }

  async close(end: CacheEnd): Promise<void> {
    clearTimeout(this.#audit);
    this.#zone.remove();
    const { bodies } = this.place;
    if (bodies !== undefined && end !== "handed_over") removeBodyFolder(bodies);
    if (end === "replaced") this.#giveMemoryBack();
    if (end === "stopped") await this.#keeper?.close();
    else this.#keeper?.handOver();
  }

  /** Workers keep the zone mapped for as long as they live; what is in it is of no use to them. */
  #giveMemoryBack(): void {
    const { arena, layout } = this.#zone;
    setTimeout(() => {
      for (let segment = 0; segment < layout.segments; segment++) arena.discard(segment);
    }, LEAVE_MS).unref();
  }
}

function bodyFilesIn(folder: string, log: Log): BodyFolder {
  return new BodyFolder({
    root: folder,
    board: DiskBoard.open(boardIn(folder)),
    budgetBytes: undefined,
    descriptors: NO_LIMIT,
    trouble: new Trouble(folder, (line) => log("warn", "cache", line)),
  });
}
