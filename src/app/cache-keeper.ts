/**
 * Cache keeper: which cache there is, over reloads, deaths of workers and upgrades.
 *
 * rule   a configuration with the same sizes keeps the cache and all in it; other sizes make a new one beside it, which is
 *        in force from the moment that workers commit. Exchanges that began before finish with the one they began with
 * rule   a purge is for every cache that a worker may use now
 */
import type { CacheStatus } from "../admin/cache-status.ts";
import type { PurgeScope } from "../cache/store.ts";
import type { Config } from "../config/config.ts";
import { type CacheEnd, type CacheHouse, type CacheSettings, hasSameSettings } from "./cache-house.ts";
import type { CachePlace } from "./messages.ts";

/** What the next generation is told. */
export interface SavedCache {
  readonly place: CachePlace;
  readonly settings: CacheSettings;
}

/** What a new cache takes over, where it can. */
export interface Predecessor {
  readonly place: CachePlace;
  /** Sizes are the same, and so are the rows of workers: all of it, as it is. Else what is on the same disk. */
  readonly isWhole: boolean;
}

export interface CacheKeeperOptions {
  /** Builds a cache. Rejects with a sentence when it cannot. */
  readonly build: (
    settings: CacheSettings,
    workers: number,
    predecessor: Predecessor | undefined,
  ) => Promise<CacheHouse>;
  /** Of the generation before an upgrade. */
  readonly inherited: SavedCache | undefined;
  /** False when rows of workers mean something else in that generation. */
  readonly mayShareRows: boolean;
}

interface Kept {
  readonly settings: CacheSettings;
  readonly house: CacheHouse;
}

export class CacheKeeper {
  readonly #build: CacheKeeperOptions["build"];
  readonly #mayShareRows: boolean;
  #inherited: SavedCache | undefined;
  #current: Kept | undefined;
  /** Of the configuration that is being brought in, while it is another one. */
  #next: Kept | undefined;
  #isNextWanted = false;

  constructor({ build, inherited, mayShareRows }: CacheKeeperOptions) {
    this.#build = build;
    this.#mayShareRows = mayShareRows;
    this.#inherited = inherited;
  }

  /** The cache in force. */
  get house(): CacheHouse | undefined {
    return this.#current?.house;
  }

  /** Has ready what a configuration asks for. out  where it is, or why it cannot be had */
  async prepare({
    cache: config,
    server: { workers },
  }: Pick<Config, "cache" | "server">): Promise<{ place: CachePlace | undefined } | string> {
    this.#isNextWanted = config !== undefined;
    if (config === undefined) return { place: undefined };
    const settings: CacheSettings = { memoryBytes: config.memoryBytes, disk: config.disk };
    const current = this.#current;
    if (current !== undefined && hasSameSettings(current.settings, settings)) {
      return { place: current.house.place };
    }
    try {
      const house = await this.#build(settings, workers, this.#predecessorOf(settings));
      this.#next = { settings, house };
      return { place: house.place };
    } catch (error) {
      return (error as Error).message;
    }
  }

  #predecessorOf(settings: CacheSettings): Predecessor | undefined {
    const inherited = this.#inherited;
    if (inherited !== undefined) {
      const isWhole = this.#mayShareRows && hasSameSettings(inherited.settings, settings);
      return { place: inherited.place, isWhole };
    }
    const current = this.#current;
    return current === undefined ? undefined : { place: current.house.place, isWhole: false };
  }

  /** All workers use what was prepared. */
  async commit(): Promise<void> {
    const before = this.#current;
    if (this.#next !== undefined) this.#current = this.#next;
    else if (!this.#isNextWanted) this.#current = undefined;
    this.#next = undefined;
    this.#inherited = undefined;
    if (before !== undefined && before !== this.#current) await before.house.close("replaced");
  }

  /** What was prepared is not wanted. */
  async abandon(): Promise<void> {
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined) return;
    await next.house.close("replaced");
    this.own();
  }

  /** in  all at once in force. out  why it may not last */
  async purge(scopes: readonly PurgeScope[], isSoft: boolean): Promise<string | undefined> {
    const failed = await Promise.all(this.#houses().map((house) => house.purge(scopes, isSoft)));
    return failed.find((each) => each !== undefined);
  }

  forgetWorker(row: number, pid: number | undefined): void {
    for (const house of this.#houses()) house.forgetWorker(row, pid);
  }

  tidy(): void {
    for (const house of this.#houses()) house.tidy();
  }

  /** undefined = nothing is cached. */
  status(purges: number): CacheStatus | undefined {
    const house = this.house;
    return house === undefined ? undefined : { tiers: house.tiers(), purges };
  }

  save(): SavedCache | undefined {
    const current = this.#current;
    return current === undefined ? undefined : { place: current.house.place, settings: current.settings };
  }

  /** Who was to take over has failed. */
  own(): void {
    this.house?.own();
  }

  async close(end: CacheEnd): Promise<void> {
    const houses = this.#houses();
    this.#current = undefined;
    this.#next = undefined;
    await Promise.all(houses.map((house) => house.close(end)));
  }

  #houses(): CacheHouse[] {
    return [this.#current?.house, this.#next?.house].filter((house) => house !== undefined);
  }
}
