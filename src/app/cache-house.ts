/**
 * Cache house: the cache of one size, as control holds it: what the keeper asks of whoever builds it.
 */
import type { CacheTierStatus } from "../admin/cache-status.ts";
import type { KeptResponse } from "../cache/memory/sweep.ts";
import type { CacheStore, PurgeScope } from "../cache/store.ts";
import type { CacheConfig } from "../config/config.ts";
import type { CachePlace } from "./messages.ts";

/** What makes one cache another: with the same settings a reload keeps all that is in it. */
export type CacheSettings = Pick<CacheConfig, "memoryBytes" | "disk">;

export interface CacheHouse {
  /** Where workers find it. */
  readonly place: CachePlace;
  /** As control sees it: it looks, and stores nothing. */
  readonly store: CacheStore;
  /** In force in all workers at once; settles when it lasts over a crash. out  why it does not last */
  purge(scopes: readonly PurgeScope[], isSoft: boolean): Promise<string | undefined>;
  /** The worker of this row has ended, however it did. `pid`: undefined when nobody knows it any more */
  forgetWorker(row: number, pid: number | undefined): void;
  /** Now and then: gives back what nobody needs. */
  tidy(): void;
  tiers(): readonly CacheTierStatus[];
  /** Places for responses, most of them empty; `keptFrom` looks at some of them. */
  readonly places: number;
  keptFrom(place: number, count: number): readonly KeptResponse[];
  /** It is ours again: who was to take it over has failed. */
  own(): void;
  /** No new worker will look for it; who has it goes on with it. */
  close(end: CacheEnd): Promise<void>;
}

/**
 * stopped      nobody uses it any more
 * replaced     exchanges that began with it finish, all others have another
 * handed_over  another control looks after it: nothing but our own names is taken away
 */
export type CacheEnd = "stopped" | "replaced" | "handed_over";

export function hasSameSettings(one: CacheSettings, two: CacheSettings): boolean {
  return (
    one.memoryBytes === two.memoryBytes &&
    one.disk?.path === two.disk?.path &&
    one.disk?.bytes === two.disk?.bytes
  );
}
