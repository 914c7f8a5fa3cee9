import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../../tests/support/eventually.ts";
import type { ColdEntry, ColdIndex, ColdPlace, KeyHash } from "../../cache/body-files.ts";
import { BodyFolder, makeBodyFolders } from "./body-folder.ts";
import { ColdLog } from "./cold-log.ts";
import { DiskBoard } from "./disk-board.ts";
import { LogKeeper } from "./log-keeper.ts";
import { Trouble } from "./trouble.ts";

const MIB = 1024 * 1024;
const made: string[] = [];
afterAll(() => {
  for (const root of made) rmSync(root, { recursive: true, force: true });
});

/** An index that holds places alone. */
class PlainIndex implements ColdIndex {
  readonly held = new Map<string, ColdEntry>();
  readonly used = new Set<string>();

  usesAt(hash: KeyHash, place: ColdPlace): number {
    if (!this.#isAt(hash, place)) return -1;
    return this.used.has(nameOf(hash)) ? 1 : 0;
  }

  moved(hash: KeyHash, from: ColdPlace, to: ColdPlace): boolean {
    const held = this.held.get(nameOf(hash));
    if (held === undefined || !this.#isAt(hash, from)) return false;
    this.held.set(nameOf(hash), { ...held, place: to });
    return true;
  }

  dropped(hash: KeyHash, place: ColdPlace): void {
    if (this.#isAt(hash, place)) this.held.delete(nameOf(hash));
  }

  adopt(entry: ColdEntry): boolean {
    this.held.set(nameOf(entry.hash), entry);
    return true;
  }

  entries() {
    return { entries: [...this.held.values()], next: 0 };
  }

  #isAt(hash: KeyHash, { segment, offset }: ColdPlace): boolean {
    const place = this.held.get(nameOf(hash))?.place;
    return place?.segment === segment && place.offset === offset;
  }
}

const nameOf = ({ high, low }: KeyHash) => `${high | 0}.${low | 0}`;
const hashOf = (key: number): KeyHash => ({ high: key * 7, low: key });

/** Bytes that follow from key and version. */
function recordOf(key: number, length: number, version = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (key * 13 + version * 101 + at * 31) & 0xff;
  return bytes;
}

interface StageOptions {
  readonly root?: string;
  readonly budgetBytes?: number;
  readonly segment?: number;
  readonly nowMs?: () => number;
}

let clockMs = Date.now();

function stage({ root, budgetBytes = 256 * MIB, segment = 1, nowMs = () => clockMs++ }: StageOptions = {}) {
  const folder = root ?? mkdtempSync("/dev/shm/weir-log-test-");
  made.push(folder);
  mkdirSync(join(folder, "log"), { recursive: true });
  makeBodyFolders(folder);
  const board = DiskBoard.create(join(folder, "board"), { bodyId: 1, segment });
  const lines: string[] = [];
  const trouble = new Trouble(folder, (line) => lines.push(line));
  const descriptors = { openCount: 0, mayOpen: () => true };
  const shape = {
    folder: join(folder, "log"),
    board,
    budgetBytes,
    segmentBytes: MIB,
    trouble,
    nowMs,
    descriptors,
    owner: undefined,
  };
  const log = () => new ColdLog({ ...shape, isKeeper: false });
  /** One that has no segment of its own. */
  const reader = () => new ColdLog({ ...shape, isKeeper: true });
  const bodies = new BodyFolder({ root: folder, board, budgetBytes, descriptors, trouble });
  const kept = new ColdLog({ ...shape, isKeeper: true });
  const keeper = new LogKeeper({ ...shape, log: kept, bodies });
  return { root: folder, board, log, reader, kept, keeper, lines, descriptors, shape };
}

/** in  what is not said of a record: worth keeping for long */
async function put(log: ColdLog, index: PlainIndex, key: number, record: Buffer): Promise<ColdPlace> {
  return await putUntil(2e9, log, index, { key, record });
}

async function putUntil(
  keepUntilS: number,
  log: ColdLog,
  index: PlainIndex,
  { key, record }: { readonly key: number; readonly record: Buffer },
): Promise<ColdPlace> {
  const what = { hash: hashOf(key), keepUntilS, file: undefined };
  const place = await eventually(() => log.append(record, what), 5000, "a place");
  if (place === undefined) throw new Error("no place");
  index.held.set(nameOf(what.hash), { ...what, place });
  return place;
}

const segmentFiles = (root: string) => readdirSync(join(root, "log")).sort();

test("a record is found at once, from memory, and after it was written, from the file", async () => {
  const { log, reader, root } = stage();
  const writer = log();
  const index = new PlainIndex();
  const places = [];
  for (let key = 0; key < 50; key++)
    places.push(await put(writer, index, key, recordOf(key, 100 + key * 37)));
  for (const [key, place] of places.entries()) {
    expect(await writer.read(place)).toEqual(recordOf(key, 100 + key * 37));
  }
  await writer.flush();
  const other = reader();
  for (const [key, place] of places.entries()) {
    expect(await other.read(place)).toEqual(recordOf(key, 100 + key * 37));
  }
  expect(statSync(join(root, "log", segmentFiles(root)[0] ?? "")).size).toBeGreaterThan(0);
});

test("it is on its way to the file after 50 ms, without being asked", async () => {
  const { log, reader: other } = stage();
  const [writer, reader] = [log(), other()];
  const place = await put(writer, new PlainIndex(), 1, recordOf(1, 500));
  const startedMs = performance.now();
  await eventually(async () => (await reader.read(place)) !== undefined);
  expect(performance.now() - startedMs).toBeLessThan(1000);
});

test("segments fill, get their lists, and the next goes on; all is found again after a start", async () => {
  const first = stage();
  const writer = first.log();
  const index = new PlainIndex();
  for (let key = 0; key < 300; key++) await put(writer, index, key, recordOf(key, 20_000));
  await writer.close();
  expect(segmentFiles(first.root).length).toBeGreaterThan(5);
  for (const name of segmentFiles(first.root)) {
    expect(statSync(join(first.root, "log", name)).size).toBeLessThanOrEqual(MIB);
  }
  const again = stage({ root: first.root, segment: 1000 });
  const found = new PlainIndex();
  const restored = await again.keeper.restore(found);
  expect(restored.records).toBe(300);
  const reader = again.reader();
  for (const [key, { place }] of [...found.held.values()].entries()) {
    expect(await reader.read(place)).toEqual(recordOf(key, 20_000));
  }
});

test("a segment that nobody closed is walked, and given its list", async () => {
  const first = stage();
  const writer = first.log();
  for (let key = 0; key < 20; key++) await put(writer, new PlainIndex(), key, recordOf(key, 3000));
  await writer.flush();
  for (const segment of [1000, 2000]) {
    const again = stage({ root: first.root, segment });
    const found = new PlainIndex();
    expect((await again.keeper.restore(found)).records).toBe(20);
  }
});

test.each(["cut", "flipped"] as const)(
  "wherever a segment is %s, no wrong record is given, and whole ones before that are found",
  async (damage) => {
    const first = stage();
    const writer = first.log();
    const places: ColdPlace[] = [];
    for (let key = 0; key < 12; key++)
      places.push(await put(writer, new PlainIndex(), key, recordOf(key, 400)));
    await writer.close();
    const [name = ""] = segmentFiles(first.root);
    const path = join(first.root, "log", name);
    const good = readFileSync(path);
    for (let at = 0; at < good.length; at += 97) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      writeFileSync(path, damage === "flipped" ? bytes : good.subarray(0, at));
      const again = stage({ root: first.root, segment: 1000 });
      const found = new PlainIndex();
      await again.keeper.restore(found);
      const reader = again.reader();
      for (const [key, place] of places.entries()) {
        const isWhole = place.offset + 456 <= at;
        const record = found.held.has(nameOf(hashOf(key))) ? await reader.read(place) : undefined;
        if (isWhole || record !== undefined) expect(record).toEqual(recordOf(key, 400));
      }
    }
  },
);

test("of two records for one key, in segments of two writers that took turns, the later is found", async () => {
  const first = stage();
  const writers = [first.log(), first.log()];
  for (let round = 0; round < 40; round++) {
    for (let key = 0; key < 30; key++) {
      const writer = writers[(round + key) % 2] as ColdLog;
      await put(writer, new PlainIndex(), key, recordOf(key, 2000, round));
    }
  }
  for (const writer of writers) await writer.close();
  const again = stage({ root: first.root, segment: 1000 });
  const found = new PlainIndex();
  await again.keeper.restore(found);
  const reader = again.reader();
  for (let key = 0; key < 30; key++) {
    const place = found.held.get(nameOf(hashOf(key)))?.place as ColdPlace;
    expect(await reader.read(place)).toEqual(recordOf(key, 2000, 39));
  }
});

test("a record that was taken away by name is not found again", async () => {
  const first = stage();
  const [writer, other] = [first.log(), first.log()];
  const index = new PlainIndex();
  for (let key = 0; key < 10; key++) await put(writer, index, key, recordOf(key, 100));
  const away = index.held.get(nameOf(hashOf(4))) as ColdEntry;
  await put(other, index, 77, recordOf(77, 10));
  other.remove(away.hash, away.place);
  await writer.close();
  await other.close();
  const found = new PlainIndex();
  await stage({ root: first.root, segment: 1000 }).keeper.restore(found);
  expect(found.held.has(nameOf(hashOf(4)))).toBe(false);
  expect(found.held.size).toBe(10);
});

test("what is not worth keeping any more is not taken over", async () => {
  const first = stage();
  const writer = first.log();
  await putUntil(Math.floor(clockMs / 1000) - 5, writer, new PlainIndex(), {
    key: 1,
    record: recordOf(1, 100),
  });
  await put(writer, new PlainIndex(), 2, recordOf(2, 100));
  await writer.close();
  const found = new PlainIndex();
  await stage({ root: first.root, segment: 1000 }).keeper.restore(found);
  expect([...found.held.keys()]).toEqual([nameOf(hashOf(2))]);
});

test("the log stays within its budget: the oldest segments go, and what is used is written again", async () => {
  const { log, kept, keeper, board, root } = stage({ budgetBytes: 16 * MIB });
  const writer = log();
  const index = new PlainIndex();
  kept.attach(index);
  for (let key = 0; key < 8; key++) index.used.add(nameOf(hashOf(key)));
  for (let key = 0; key < 3000; key++) {
    await put(writer, index, key, recordOf(key, 20_000));
    if (keeper.isDue) await keeper.reclaim();
    expect(board.logPages * 4096).toBeLessThanOrEqual(16 * MIB);
  }
  await writer.flush();
  await kept.flush();
  const onDisk = segmentFiles(root).reduce((sum, name) => sum + statSync(join(root, "log", name)).size, 0);
  expect(onDisk).toBeLessThanOrEqual(16 * MIB);
  expect(keeper.rewritten).toBeGreaterThanOrEqual(8);
  for (let key = 0; key < 8; key++) {
    const { place } = index.held.get(nameOf(hashOf(key))) as ColdEntry;
    expect(await log().read(place)).toEqual(recordOf(key, 20_000));
  }
  expect(index.held.has(nameOf(hashOf(100)))).toBe(false);
  expect(index.held.size).toBeGreaterThan(400);
});

test("a segment that was dropped is dropped for all", async () => {
  const { log, reader: other, kept, keeper } = stage({ budgetBytes: 16 * MIB });
  const [writer, reader] = [log(), other()];
  const index = new PlainIndex();
  kept.attach(index);
  const place = await put(writer, index, 1, recordOf(1, 20_000));
  expect(reader.isLive(place.segment)).toBe(true);
  for (let key = 2; key < 1000; key++) {
    await put(writer, index, key, recordOf(key, 20_000));
    if (keeper.isDue) await keeper.reclaim();
  }
  expect(reader.isLive(place.segment)).toBe(false);
  expect(await reader.read(place)).toBeUndefined();
});

test("a smaller budget keeps what is newest", async () => {
  const first = stage();
  const writer = first.log();
  for (let key = 0; key < 400; key++) await put(writer, new PlainIndex(), key, recordOf(key, 20_000));
  await writer.close();
  const again = stage({ root: first.root, segment: 1000, budgetBytes: 3 * MIB });
  const found = new PlainIndex();
  await again.keeper.restore(found);
  expect(found.held.has(nameOf(hashOf(399)))).toBe(true);
  expect(found.held.has(nameOf(hashOf(0)))).toBe(false);
  expect(again.board.logPages * 4096).toBeLessThanOrEqual(3 * MIB);
});

test("what waits is bounded: records are not taken while the disk is behind", async () => {
  const { log } = stage();
  const writer = log();
  await eventually(() =>
    writer.append(recordOf(1, 100), { hash: hashOf(1), keepUntilS: 2e9, file: undefined }),
  );
  let taken = 0;
  for (let key = 0; key < 100; key++) {
    const place = writer.append(recordOf(key, 60_000), {
      hash: hashOf(key),
      keepUntilS: 2e9,
      file: undefined,
    });
    if (place !== undefined) taken++;
  }
  expect(taken).toBeLessThan(25);
});

test("a folder that is gone: nothing is stored, nothing is found, one line says so", async () => {
  const { log, root, lines } = stage();
  const writer = log();
  const place = await put(writer, new PlainIndex(), 1, recordOf(1, 100));
  rmSync(root, { recursive: true });
  const reader = log();
  expect(
    reader.append(recordOf(1, 10), { hash: hashOf(1), keepUntilS: 2e9, file: undefined }),
  ).toBeUndefined();
  await eventually(() => lines.length > 0);
  expect(await reader.read(place)).toBeUndefined();
  expect(lines.length).toBe(1);
});

test("a dead writer's segment gets its list, and its room is counted as what it takes", async () => {
  const { log, keeper, board } = stage();
  const writer = log();
  await put(writer, new PlainIndex(), 1, recordOf(1, 100));
  await writer.flush();
  const before = board.logPages;
  await keeper.sealOf(process.pid);
  expect(board.logPages).toBeLessThan(before);
  expect(board.segments().every(({ writer: pid }) => pid === 0)).toBe(true);
});

test("few descriptors are kept, however many segments are read", async () => {
  const { log, reader: other, descriptors } = stage();
  const writer = log();
  const places = [];
  for (let key = 0; key < 1500; key++)
    places.push(await put(writer, new PlainIndex(), key, recordOf(key, 20_000)));
  await writer.flush();
  const reader = other();
  for (const place of places) expect((await reader.read(place))?.length).toBe(20_000);
  expect(descriptors.openCount).toBeLessThanOrEqual(16);
  await reader.close();
  await eventually(() => descriptors.openCount === 0);
});
