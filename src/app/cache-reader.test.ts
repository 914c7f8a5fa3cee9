import { beforeEach, describe, expect, test } from "bun:test";
import type { CacheRefusal, CacheShown, CacheTop } from "../admin/cache-status.ts";
import { BufferArena } from "../cache/memory/arena.ts";
import { privateMemory } from "../cache/memory/layout.ts";
import { type MemoryStore, openMemoryStore } from "../cache/memory/memory-store.ts";
import { keptFrom } from "../cache/memory/sweep.ts";
import type { CachePolicy } from "../cache/policy.ts";
import { EXPLICIT, VARY_INDEX } from "../cache/stored.ts";
import { indexLines, variantKey } from "../cache/vary.ts";
import type { Config } from "../config/config.ts";
import { fieldsOfLines } from "../core/fields.ts";
import type { CacheHouse } from "./cache-house.ts";
import { CacheKeeper } from "./cache-keeper.ts";
import { CacheReader, cacheMetrics } from "./cache-reader.ts";
import { Purger } from "./purger.ts";

const NOW_MS = Date.UTC(2026, 0, 1, 12);
const POLICY = {
  heedsClient: true,
  key: {
    query: { mode: "except", names: ["utm"] },
    sortQuery: false,
    headers: [],
    cookies: [],
    device: false,
    languages: [],
    host: undefined,
  },
  vary: { encoding: true, languages: [], ignore: [] },
} as unknown as CachePolicy;
const CONFIG = {
  server: { workers: 1 },
  cache: { memoryBytes: 1 << 22 },
  routes: [
    {
      name: "site",
      priority: 0,
      match: {
        hosts: ["a.test"],
        path: undefined,
        methods: [],
        headers: [],
        query: [],
        cookies: [],
        clientIp: [],
        clientCert: undefined,
      },
      cache: POLICY,
    },
  ],
} as unknown as Config;

let store: MemoryStore;
let reader: CacheReader;
beforeEach(async () => {
  const sizes = { memoryBytes: 1 << 22, diskBytes: 0, workers: 1 };
  const memory = privateMemory(sizes, [1, 2], (bytes) => new BufferArena(bytes));
  store = openMemoryStore(memory, { row: 0, nearBytes: 0 });
  const house = {
    place: { zonePath: "zone", bodies: undefined, disk: undefined },
    store,
    places: memory.layout.words.tags,
    keptFrom: (place: number, count: number) => keptFrom(store.parts, place, count),
    tiers: () => [{ tier: "memory", usedBytes: 5, budgetBytes: 10, objects: 1, evicted: 2 }],
  } as unknown as CacheHouse;
  const cache = new CacheKeeper({
    build: () => Promise.resolve(house),
    inherited: undefined,
    mayShareRows: true,
  });
  await cache.prepare(CONFIG);
  await cache.commit();
  const carryOut = () => Promise.resolve(undefined);
  const purger = new Purger({ log: () => {}, nowMs: () => NOW_MS, carryOut }, { tag: 3 });
  purger.adopt(CONFIG);
  reader = new CacheReader({ cache, purger, nowMs: () => NOW_MS });
});

interface Put {
  readonly key: string;
  readonly lines?: string;
  readonly body?: string;
  readonly flags?: number;
  readonly agedSec?: number;
}

function put({ key, lines = "", body = "text", flags = EXPLICIT, agedSec = 10 }: Put): void {
  const atMs = NOW_MS - agedSec * 1000;
  const of = { url: "a.test/x", host: "a.test", tags: ["t1"], origin: "", groups: [] };
  const facts = {
    status: 200,
    requestedAtMs: atMs,
    respondedAtMs: atMs,
    initialAgeMs: 0,
    lifetimeMs: 60_000,
    staleWhileRevalidateMs: 30_000,
    staleIfErrorMs: -1,
    keepMs: 3_600_000,
    flags,
    mark: store.board.clock,
    purgeSlots: store.board.slotsOf(of),
    firstByte: 0,
    completeLength: -1,
  };
  const taken = store.put({
    key,
    facts,
    reason: "OK",
    lines: Buffer.from(lines, "latin1"),
    body: Buffer.from(body),
    file: undefined,
  });
  expect(taken).toBe(true);
}

const PAGE = "site\nhttps://a.test/x?a=1";
const show = async (url: string, ...headers: (readonly [string, string])[]) =>
  (await reader.show({ url, headers })) as CacheShown;

describe("what is stored for a request", () => {
  test("it is found as the route's key names it, with and without scheme", async () => {
    put({ key: PAGE, lines: 'Content-Type: text/html\r\nETag: "e"\r\nCache-Tag: t1, t2\r\n' });
    for (const url of ["https://a.test/x?utm=9&a=1", "a.test/x?a=1"]) {
      expect((await show(url)).objects).toEqual([
        {
          route: "site",
          url: "a.test/x?a=1",
          variant: "",
          isSelected: true,
          status: 200,
          state: "fresh",
          ageSec: 10,
          ttlSec: 50,
          staleWhileRevalidateSec: 30,
          staleIfErrorSec: 0,
          storedAt: "2026-01-01T11:59:50.000Z",
          bodyBytes: 4,
          tier: "memory",
          flags: ["lifetime told by the origin"],
          tags: ["t1", "t2"],
          contentType: "text/html",
          contentEncoding: "",
          etag: '"e"',
          use: "fresh",
          rule: "fresh",
          why: "it is fresh",
        },
      ]);
    }
    expect((await show("http://a.test/x?a=1")).objects).toEqual([]);
  });

  test("its state is that of now, purges included", async () => {
    put({ key: PAGE, agedSec: 70 });
    const url = "https://a.test/x?a=1";
    expect((await show(url)).objects).toMatchObject([{ state: "stale", ttlSec: -10, use: "stale_refresh" }]);
    put({ key: PAGE });
    store.board.purge({ kind: "tag", tag: "t1" }, true);
    expect((await show(url)).objects).toMatchObject([{ state: "stale", ttlSec: 0 }]);
    store.board.purge({ kind: "host", host: "a.test" }, false);
    expect((await show(url)).objects).toMatchObject([{ state: "gone", use: "miss", rule: "purged" }]);
  });

  test("what the client says counts as it would", async () => {
    put({ key: PAGE });
    const shown = await show("https://a.test/x?a=1", ["Cache-Control", "no-cache"]);
    expect(shown.objects).toMatchObject([{ use: "validate", rule: "request_no_cache" }]);
  });

  test("all variants are told, first the one that the request selects", async () => {
    const index = indexLines({ names: ["x-kind"], languages: new Map() });
    put({ key: PAGE, lines: index, flags: VARY_INDEX, body: "" });
    for (const kind of ["a", "b", "c"]) {
      const request = fieldsOfLines(`X-Kind: ${kind}\r\n`);
      put({ key: variantKey(PAGE, fieldsOfLines(index), request, POLICY.vary), body: kind });
    }
    put({ key: `${PAGE}0`, body: "another URL" });
    const shown = await show("https://a.test/x?a=1", ["X-Kind", "b"]);
    expect(shown.vary).toEqual(["x-kind"]);
    expect(shown.objects.map(({ variant, isSelected }) => [variant, isSelected]).sort()).toEqual([
      ["-x-kind:a", false],
      ["-x-kind:b", true],
      ["-x-kind:c", false],
    ]);
    expect(shown.objects[0]?.isSelected).toBe(true);
  });

  test("where no route caches it, or it is no URL, that is told", async () => {
    expect(await show("https://b.test/")).toMatchObject({ routes: [], objects: [] });
    expect(await reader.show({ url: "/x", headers: [] })).toMatchObject({ status: 400 });
  });

  test("looking counts as no use", async () => {
    put({ key: PAGE });
    for (let round = 0; round < 5; round++) await show("https://a.test/x?a=1");
    expect(((await reader.top(5)) as CacheTop).rows).toMatchObject([{ uses: 0 }]);
  });
});

test("what is used most stands first, the largest among equals", async () => {
  put({ key: "site\nhttps://a.test/small", body: "s" });
  put({ key: "site\nhttps://a.test/large", body: "large" });
  put({ key: "site\nhttps://a.test/used", body: "u" });
  put({ key: "site\nhttps://a.test/index", lines: "Vary: a\r\n", flags: VARY_INDEX, body: "" });
  store.find("site\nhttps://a.test/used", NOW_MS);
  const top = (await reader.top(2)) as CacheTop;
  expect(top.looked).toBe(4);
  expect(top.rows.map(({ url, uses }) => [url, uses])).toEqual([
    ["a.test/used", 1],
    ["a.test/large", 0],
  ]);
});

test("without a cache there is nothing to tell", async () => {
  const cache = new CacheKeeper({
    build: () => Promise.reject(new Error("none")),
    inherited: undefined,
    mayShareRows: true,
  });
  const carryOut = () => Promise.resolve(undefined);
  const purger = new Purger({ log: () => {}, nowMs: () => NOW_MS, carryOut });
  const none = new CacheReader({ cache, purger, nowMs: () => NOW_MS });
  expect(none.status()).toBeUndefined();
  expect(((await none.top(1)) as CacheRefusal).status).toBe(409);
  expect(((await none.show({ url: "a.test", headers: [] })) as CacheRefusal).status).toBe(409);
  expect(cacheMetrics(none.status(), purger.counts)).toEqual([]);
});

test("metrics tell each tier, and purges by kind", () => {
  const metrics = cacheMetrics(reader.status(), { url: 1, prefix: 0, tag: 3, host: 0, all: 0 });
  const samples = Object.fromEntries(metrics.map(({ row, samples: each }) => [row.name, each]));
  expect(samples["weir_cache_bytes"]).toEqual([{ labels: ["memory"], value: 5 }]);
  expect(samples["weir_cache_evicted_total"]).toEqual([{ labels: ["memory"], value: 2 }]);
  expect(samples["weir_cache_purges_total"]).toContainEqual({ labels: ["tag"], value: 3 });
  expect(reader.status()?.purges).toBe(3);
});
