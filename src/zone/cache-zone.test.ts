import { afterEach, expect, test } from "bun:test";
import { existsSync, statSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hasRoomFor } from "../cache/memory/arena.ts";
import { openMemoryStore } from "../cache/memory/memory-store.ts";
import { statsOf } from "../cache/memory/sweep.ts";
import { SharedPurgeBoard } from "../cache/purge-board.ts";
import { keyOf, MemoryBodyFiles, NOW, responseOf, storeCases, textOf } from "../cache/store.cases.ts";
import type { CacheStore } from "../cache/store.ts";
import { CacheZone, type CacheZoneOptions } from "./cache-zone.ts";

const MIB = 1024 * 1024;
const SIZES = { memoryBytes: 16 * MIB, diskBytes: 0, workers: 2 };

const zones: CacheZone[] = [];

afterEach(() => {
  for (const zone of zones.splice(0)) zone.remove();
});

function keep(zone: CacheZone): CacheZone {
  zones.push(zone);
  return zone;
}

const create = (options: CacheZoneOptions = {}) => keep(CacheZone.create(SIZES, options));

function found(store: CacheStore, key: string) {
  const response = store.find(key, NOW);
  return response === undefined || "isCold" in response ? undefined : textOf(response);
}

storeCases("store in a zone that two have opened", () => {
  const zone = create();
  const files = new MemoryBodyFiles();
  const store = openMemoryStore(zone, { row: 0, files });
  return { store, other: openMemoryStore(CacheZone.open(zone.path), { row: 1, files }) };
});

test("a new zone is for its owner alone, and takes memory for its index only", () => {
  const zone = create();
  const { mode, blocks, size } = statSync(zone.path);
  expect(mode & 0o777).toBe(0o600);
  expect(size).toBeGreaterThan(SIZES.memoryBytes);
  expect(blocks * 512).toBeLessThan(SIZES.memoryBytes / 2);
});

test("a zone can belong to the user that workers become", () => {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(create({ owner: { uid: 12_345, gid: 54_321 } }).path);
  expect([uid, gid]).toEqual([12_345, 54_321]);
});

test("memory is taken as records come, and given back when body files need it", async () => {
  const zone = create();
  const files = new MemoryBodyFiles();
  const store = openMemoryStore(zone, { row: 0, files });
  const blocks = () => statSync(zone.path).blocks * 512;
  const empty = blocks();
  for (let number = 0; number < 1000; number++)
    store.put(responseOf(keyOf(`/${number}`), Buffer.alloc(12_000)));
  const full = blocks();
  expect(full - empty).toBeGreaterThan(10 * MIB);
  for (let number = 0; number < 6; number++) {
    const writer = store.write(MIB);
    writer?.write(Buffer.alloc(MIB));
    const file = await writer?.finish();
    store.put(responseOf(keyOf(`/big/${number}`), "", { body: undefined, file }));
  }
  expect(full - blocks()).toBeGreaterThan(3 * MIB);
  const { fileBytes, segmentBytes, budgetBytes } = statsOf(store.parts);
  expect(fileBytes).toBe(6 * MIB);
  expect(segmentBytes + fileBytes).toBeLessThanOrEqual(budgetBytes);
});

test("adopting gives a name of one's own: what the first owner removes lives on", () => {
  const zone = create();
  openMemoryStore(zone, { row: 0 }).put(responseOf(keyOf("/x"), "x"));
  const adopted = keep(CacheZone.adopt(zone.path));
  zone.remove();
  zone.remove();
  expect([existsSync(zone.path), existsSync(adopted.path)]).toEqual([false, true]);
  expect(found(openMemoryStore(CacheZone.open(adopted.path), { row: 1 }), keyOf("/x"))).toBe("x");
});

test("a zone of another version, or one that was cut, is refused, and adopting it leaves no name", () => {
  const other = create();
  other.header[1] = 99;
  expect(() => CacheZone.open(other.path)).toThrow("another version");
  const cut = create();
  truncateSync(cut.path, MIB);
  expect(() => CacheZone.adopt(cut.path)).toThrow("not as long");
  expect(() => CacheZone.open(join(dirname(cut.path), "weir-cache-none"))).toThrow("ENOENT");
  const names = new Bun.Glob(`weir-cache-${process.pid}-*`).scanSync(dirname(cut.path));
  expect([...names]).toHaveLength(2);
});

test("a zone whose process was killed is swept away by the next; one that lives is not", async () => {
  const child = Bun.spawn([process.execPath, "-e", ""]);
  await child.exited;
  const folder = dirname(create().path);
  const orphan = join(folder, `weir-cache-${child.pid}-orphan`);
  const living = join(folder, `weir-cache-${process.pid}-living`);
  for (const path of [orphan, living]) writeFileSync(path, "");
  create();
  expect([existsSync(orphan), existsSync(living)]).toEqual([false, true]);
  unlinkSync(living);
});

test("purges of before are in force in a zone that is made with them, and hashes mean the same", () => {
  const first = create();
  const board = new SharedPurgeBoard(first);
  board.purge({ kind: "tag", tag: "t" }, false);
  const slots = { url: "u", host: "h", tags: ["t"], origin: "o", groups: [] };
  const next = new SharedPurgeBoard(create({ board: board.snapshot() }));
  expect([next.clock, next.slotsOf(slots)]).toEqual([board.clock, board.slotsOf(slots)]);
  expect(new SharedPurgeBoard(create()).slotsOf(slots)).not.toEqual(board.slotsOf(slots));
});

test("the arena is not counted as memory of the runtime", () => {
  const before = process.memoryUsage();
  keep(CacheZone.create({ ...SIZES, memoryBytes: 256 * MIB }));
  const after = process.memoryUsage();
  expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(64 * MIB);
});

test("a zone that is larger than what /dev/shm can give says so, with what to do", () => {
  const zone = create();
  const room = { blocks: 64, bavail: 40, bsize: MIB };
  expect([zone.shortage(), zone.shortage(room)]).toEqual([undefined, undefined]);
  expect(zone.shortage({ ...room, bavail: 20 })).toContain(
    "has room for 4 MiB, and cache.memory wants 14 MiB",
  );
  expect(hasRoomFor(10, { blocks: 1000, bavail: 260, bsize: 1 })).toBe(true);
  expect(hasRoomFor(11, { blocks: 1000, bavail: 260, bsize: 1 })).toBe(false);
});
