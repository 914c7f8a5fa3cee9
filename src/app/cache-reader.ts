/**
 * Cache reader: what is in the cache, for people and for metrics.
 *
 * rule   control answers, and workers do not notice: it looks at a bounded number of responses, in pieces, and counts no use
 */
import type {
  CacheObject,
  CacheQuestion,
  CacheRefusal,
  CacheShown,
  CacheStatus,
  CacheTierStatus,
  CacheTop,
  CacheTopRow,
} from "../admin/cache-status.ts";
import { requestDirectives } from "../cache/directives.ts";
import { urlOfKey } from "../cache/key.ts";
import type { KeptResponse } from "../cache/memory/sweep.ts";
import { judgeReuse } from "../cache/reuse.ts";
import type { CacheStore } from "../cache/store.ts";
import { ageOf, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { languageVariantKey, readIndex, variantKey } from "../cache/vary.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { PROCESS, type ProcessMetricRow } from "../observe/metrics.table.ts";
import type { ExtraMetric } from "../observe/registry.ts";
import type { CacheHouse } from "./cache-house.ts";
import type { CacheKeeper } from "./cache-keeper.ts";
import { objectOf, topRowOf } from "./cache-rows.ts";
import { type CachedRoute, keyOf, type NamedUrl, parseUrl } from "./cached-routes.ts";
import type { PurgeCounts, Purger } from "./purger.ts";

export interface CacheReaderOptions {
  readonly cache: CacheKeeper;
  readonly purger: Purger;
  readonly nowMs: () => number;
}

const AUTHORIZATION = fieldIdOf("authorization");
const NOT_CACHED: CacheRefusal = { status: 409, error: "nothing is cached: no route has `cache`" };
/** Places looked at before somebody else gets a turn: less than a millisecond each time. */
const PLACES_A_TURN = 2048;
/** Responses that are looked at to find variants, or the most used: a tenth of a second of control's time. */
const MAX_LOOKED = 50_000;
const MAX_OBJECTS = 200;

/** What was asked, as it concerns one route. */
interface Look {
  readonly route: CachedRoute;
  readonly key: string;
  readonly request: Fields;
  readonly store: CacheStore;
  readonly nowMs: number;
  /** Bodies of their own lie on a disk. */
  readonly hasDisk: boolean;
}

export class CacheReader {
  readonly #options: CacheReaderOptions;

  constructor(options: CacheReaderOptions) {
    this.#options = options;
  }

  status(): CacheStatus | undefined {
    const { cache, purger } = this.#options;
    return cache.status(Object.values(purger.counts).reduce((sum, count) => sum + count, 0));
  }

  async show({ url, headers }: CacheQuestion): Promise<CacheShown | CacheRefusal> {
    const { cache, purger, nowMs } = this.#options;
    const { house } = cache;
    if (house === undefined) return NOT_CACHED;
    const named = parseUrl(url);
    if (typeof named === "string") return { status: 400, error: named };
    const request = fieldsOfLines(headers.map(([name, value]) => `${name}: ${value}\r\n`).join(""));
    const routes = purger.routes.routesOf(named);
    const { store, place } = house;
    const hasDisk = place.disk !== undefined;
    const looks = routes.flatMap((route) =>
      schemesOf(named).map((scheme) => {
        const key = keyOf(route, { ...named, scheme }, request);
        return { route, key, request, store, nowMs: nowMs(), hasDisk };
      }),
    );
    const vary = new Set<string>();
    const objects: CacheObject[] = [];
    for (const look of looks) {
      const found = await primaryOf(look);
      if (found === undefined) continue;
      if ((found.facts.flags & VARY_INDEX) === 0) objects.push(objectFrom(look, found, true));
      else {
        for (const name of readIndex(found.fields).names) vary.add(name);
        objects.push(...(await variantsOf(house, look, found)));
      }
    }
    const names = [...new Set(routes.map(({ config }) => config.name))];
    return { url, vary: [...vary], routes: names, objects: objects.slice(0, MAX_OBJECTS) };
  }

  async top(limit: number): Promise<CacheTop | CacheRefusal> {
    const { house } = this.#options.cache;
    if (house === undefined) return NOT_CACHED;
    const nowMs = this.#options.nowMs();
    let rows: CacheTopRow[] = [];
    let looked = 0;
    for await (const kept of turns(house)) {
      looked += kept.length;
      const more = kept.flatMap((each) => topRowOf(each, nowMs) ?? []);
      rows = [...rows, ...more].sort(byUse).slice(0, limit);
      if (looked >= MAX_LOOKED) break;
    }
    const objects = house.tiers().reduce((sum, tier) => Math.max(sum, tier.objects), 0);
    return { looked, objects: Math.max(looked, objects), rows };
  }
}

const byUse = (one: CacheTopRow, two: CacheTopRow) => two.uses - one.uses || two.bodyBytes - one.bodyBytes;

const schemesOf = ({ scheme }: NamedUrl): readonly ("http" | "https")[] =>
  scheme === undefined ? ["https", "http"] : [scheme];

/** What stands under the look's key. */
async function primaryOf({ store, key }: Look): Promise<StoredResponse | undefined> {
  const found = store.peek(key);
  return found !== undefined && "isCold" in found ? await store.read(found) : found;
}

/** The one that the request selects, read even from a disk; others as far as they are found in memory. */
async function variantsOf(house: CacheHouse, look: Look, index: StoredResponse): Promise<CacheObject[]> {
  const chosen = await chosenOf(look, index);
  const objects = chosen === undefined ? [] : [objectFrom(look, chosen, true)];
  const isOther = ({ key }: StoredResponse) => key !== chosen?.key && key.startsWith(`${look.key}\n`);
  let looked = 0;
  for await (const kept of turns(house)) {
    looked += kept.length;
    const others = kept.map(({ response }) => response).filter((each) => each !== undefined);
    objects.push(...others.filter(isOther).map((other) => objectFrom(look, other, false)));
    if (looked >= MAX_LOOKED || objects.length >= MAX_OBJECTS) break;
  }
  return objects;
}

async function chosenOf(look: Look, { fields }: StoredResponse): Promise<StoredResponse | undefined> {
  const { key, request } = look;
  const { vary } = look.route.policy;
  const own = await primaryOf({ ...look, key: variantKey(key, fields, request, vary) });
  if (own !== undefined) return own;
  const other = languageVariantKey(key, fields, request, vary);
  return other === undefined ? undefined : await primaryOf({ ...look, key: other });
}

/** All that is kept, from a place by chance on, in turns. */
async function* turns(house: CacheHouse): AsyncGenerator<readonly KeptResponse[]> {
  const start = Math.floor(Math.random() * house.places);
  for (let done = 0; done < house.places; done += PLACES_A_TURN) {
    const from = (start + done) % house.places;
    const count = Math.min(PLACES_A_TURN, house.places - done);
    const first = house.keptFrom(from, count);
    const past = from + count - house.places;
    yield past > 0 ? [...first, ...house.keptFrom(0, past)] : first;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function objectFrom(look: Look, stored: StoredResponse, isSelected: boolean): CacheObject {
  const { route, request, store, nowMs, hasDisk } = look;
  const state = store.board.stateOf(stored.facts, urlOfKey(stored.key));
  const verdict = judgeReuse(
    {
      method: "GET",
      isAuthorized: request.has(AUTHORIZATION),
      directives: requestDirectives(request, route.policy.heedsClient),
    },
    stored,
    state,
    nowMs,
  );
  const tier = hasDisk && stored.file !== undefined ? "disk" : "memory";
  const ageMs = ageOf(stored.facts, nowMs);
  return objectOf(stored, { route: route.config.name, isSelected, state, verdict, ageMs, tier });
}

/** in  `status`: undefined where nothing is cached */
export function cacheMetrics(status: CacheStatus | undefined, purges: PurgeCounts): ExtraMetric[] {
  if (status === undefined) return [];
  const each = (row: ProcessMetricRow, readTier: (tier: CacheTierStatus) => number): ExtraMetric => ({
    row,
    samples: status.tiers.map((tier) => ({ labels: [tier.tier], value: readTier(tier) })),
  });
  return [
    each(PROCESS.cacheBytes, ({ usedBytes }) => usedBytes),
    each(PROCESS.cacheBudget, ({ budgetBytes }) => budgetBytes),
    each(PROCESS.cacheObjects, ({ objects }) => objects),
    each(PROCESS.cacheEvicted, ({ evicted }) => evicted),
    {
      row: PROCESS.cachePurges,
      samples: Object.entries(purges).map(([kind, value]) => ({ labels: [kind], value })),
    },
  ];
}
