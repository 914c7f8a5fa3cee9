/**
 * Open cache: the cache that control has built, as one worker uses it.
 *
 * rule   mapped once for each place: a reload that changes nothing about the cache goes on with the same store
 */
import { openMemoryStore } from "../cache/memory/memory-store.ts";
import type { CacheStore } from "../cache/store.ts";
import { BodyFolder } from "../transport/cache-disk/body-folder.ts";
import { DiskBoard } from "../transport/cache-disk/disk-board.ts";
import type { DescriptorRoom } from "../transport/cache-disk/open-bodies.ts";
import { Trouble } from "../transport/cache-disk/trouble.ts";
import { CacheZone } from "../zone/cache-zone.ts";
import { boardIn } from "./body-folders.ts";
import type { Log } from "./log.ts";
import type { CachePlace } from "./messages.ts";

export interface OpenCacheOptions {
  readonly row: number;
  readonly descriptors: DescriptorRoom;
  readonly log: Log;
}

export class OpenCache {
  readonly #options: OpenCacheOptions;
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
    if (place.zonePath === this.#current?.path) {
      this.#next = this.#current;
      return undefined;
    }
    try {
      this.#next = { path: place.zonePath, store: openStore(place, this.#options) };
      return undefined;
    } catch (error) {
      return `the cache cannot be opened: ${(error as Error).message}`;
    }
  }

  commit(): void {
    this.#current = this.#next;
    this.#next = undefined;
  }

  abandon(): void {
    this.#next = undefined;
  }
}

interface Opened {
  readonly path: string;
  readonly store: CacheStore;
}

function openStore(place: CachePlace, { row, descriptors, log }: OpenCacheOptions): CacheStore {
  const zone = CacheZone.open(place.zonePath);
  const { bodies } = place;
  const files =
    bodies === undefined
      ? undefined
      : new BodyFolder({
          root: bodies,
          board: DiskBoard.open(boardIn(bodies)),
          budgetBytes: undefined,
          descriptors,
          trouble: new Trouble(bodies, (line) => log("warn", "cache", line)),
        });
  return openMemoryStore(zone, { row, files });
}
