import { beforeEach, expect, test } from "bun:test";
import type { PurgeScope } from "../cache/store.ts";
import type { CacheConfig, Config } from "../config/config.ts";
import type { CacheHouse, CacheSettings } from "./cache-house.ts";
import { CacheKeeper, type Predecessor, type SavedCache } from "./cache-keeper.ts";
import type { CachePlace } from "./messages.ts";

const SMALL: CacheConfig = { memoryBytes: 1 << 20, disk: undefined, purgeFrom: [], audit: undefined };
const LARGE: CacheConfig = { ...SMALL, memoryBytes: 1 << 24 };
const server = { workers: 2 } as Config["server"];
const ALL: readonly PurgeScope[] = [{ kind: "all" }];

let done: string[] = [];
let failure: string | undefined;
beforeEach(() => {
  done = [];
  failure = undefined;
});

function keeperOf(inherited?: SavedCache, mayShareRows = true) {
  let count = 0;
  const build = (_settings: CacheSettings, _workers: number, from: Predecessor | undefined) => {
    const name = from?.isWhole === true ? `adopted ${from.place.zonePath}` : `new${++count}`;
    if (failure !== undefined) return Promise.reject<CacheHouse>(new Error(failure));
    done.push(`build ${name}`);
    return Promise.resolve<CacheHouse>({
      place: { zonePath: name, bodies: undefined, disk: undefined },
      store: undefined as never,
      purge: () => {
        done.push(`purge ${name}`);
        return Promise.resolve(undefined);
      },
      forgetWorker: (row) => void done.push(`forget ${row} ${name}`),
      tidy: () => {},
      tiers: () => [],
      places: 0,
      keptFrom: () => [],
      own: () => {},
      close: (end) => {
        done.push(`close ${name}: ${end}`);
        return Promise.resolve();
      },
    });
  };
  return new CacheKeeper({ build, inherited, mayShareRows });
}

const pathOf = (prepared: { place: CachePlace | undefined } | string) =>
  typeof prepared === "string" ? prepared : prepared.place?.zonePath;

test("a reload with the same sizes keeps the cache", async () => {
  const keeper = keeperOf();
  expect(pathOf(await keeper.prepare({ server, cache: SMALL }))).toBe("new1");
  await keeper.commit();
  expect(
    pathOf(await keeper.prepare({ server, cache: { ...SMALL, purgeFrom: ["10.0.0.0/8"], audit: "/a" } })),
  ).toBe("new1");
  await keeper.commit();
  expect(done).toEqual(["build new1"]);
});

test("other sizes make a new one, and the one before goes once all workers have left it", async () => {
  const keeper = keeperOf();
  await keeper.prepare({ server, cache: SMALL });
  await keeper.commit();
  expect(pathOf(await keeper.prepare({ server, cache: LARGE }))).toBe("new2");
  await keeper.purge(ALL, false);
  keeper.forgetWorker(3, 1);
  await keeper.commit();
  await keeper.purge(ALL, false);
  expect(done).toEqual([
    "build new1",
    "build new2",
    "purge new1",
    "purge new2",
    "forget 3 new1",
    "forget 3 new2",
    "close new1: replaced",
    "purge new2",
  ]);
});

test("a reload that fails leaves the cache as it was", async () => {
  const keeper = keeperOf();
  await keeper.prepare({ server, cache: SMALL });
  await keeper.commit();
  await keeper.prepare({ server, cache: LARGE });
  await keeper.abandon();
  expect(keeper.house?.place.zonePath).toBe("new1");
  await keeper.prepare({ server, cache: undefined });
  await keeper.abandon();
  expect(keeper.house?.place.zonePath).toBe("new1");
  expect(done).toEqual(["build new1", "build new2", "close new2: replaced"]);
});

test("without any route that caches there is no cache", async () => {
  const keeper = keeperOf();
  expect(await keeper.prepare({ server, cache: undefined })).toEqual({ place: undefined });
  await keeper.commit();
  expect([keeper.house, keeper.status(0), done]).toEqual([undefined, undefined, []]);
  await keeper.prepare({ server, cache: SMALL });
  await keeper.commit();
  await keeper.prepare({ server, cache: undefined });
  await keeper.commit();
  expect([keeper.house, done]).toEqual([undefined, ["build new1", "close new1: replaced"]]);
});

test("one that cannot be had is told", async () => {
  failure = "no room in /dev/shm";
  expect(await keeperOf().prepare({ server, cache: SMALL })).toBe("no room in /dev/shm");
});

test("an upgrade takes the cache over when its sizes are the same", async () => {
  const old = keeperOf();
  await old.prepare({ server, cache: SMALL });
  await old.commit();
  const saved = old.save();
  const same = keeperOf(saved);
  expect(pathOf(await same.prepare({ server, cache: SMALL }))).toBe("adopted new1");
  await same.commit();
  expect(pathOf(await keeperOf(saved).prepare({ server, cache: LARGE }))).toBe("new1");
  expect(pathOf(await keeperOf(saved, false).prepare({ server, cache: SMALL }))).toBe("new1");
  await old.close("handed_over");
  expect(done.at(-1)).toBe("close new1: handed_over");
});
