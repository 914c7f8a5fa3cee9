import { afterAll, describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { eventually, within } from "../../../tests/support/eventually.ts";
import type { BodyWriter } from "../../cache/store.ts";
import type { BodyRef } from "../../cache/stored.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { BodyFolder, bodyPagesAllowed, logPagesAllowed, makeBodyFolders } from "./body-folder.ts";
import { DiskBoard, isAlive, pagesOf } from "./disk-board.ts";
import { Trouble } from "./trouble.ts";

const MIB = 1024 * 1024;
const made: string[] = [];
afterAll(() => {
  for (const root of made) rmSync(root, { recursive: true, force: true });
});

function stage(budgetBytes: number | undefined = 64 * MIB) {
  const root = mkdtempSync("/dev/shm/weir-test-bodies-");
  made.push(root);
  makeBodyFolders(root);
  const board = DiskBoard.create(join(root, "board"), { bodyId: 2 ** 32, segment: 1 });
  const lines: string[] = [];
  const descriptors = { openCount: 0, mayOpen: () => true };
  const trouble = new Trouble(root, (line) => lines.push(line));
  const folder = new BodyFolder({ root, board, budgetBytes, descriptors, trouble });
  return { root, board, folder, lines, descriptors };
}

/** Bytes that say where they stand. */
function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff;
  return bytes;
}

async function fill(writer: BodyWriter, body: Buffer, pieceBytes: number): Promise<BodyRef> {
  for (let at = 0; at < body.length; at += pieceBytes) {
    const { promise, resolve } = Promise.withResolvers<void>();
    writer.onDrain = resolve;
    if (!writer.write(Buffer.from(body.subarray(at, at + pieceBytes)))) await within(promise, 5000, "drain");
  }
  return await writer.finish();
}

function begin(folder: BodyFolder, expectedBytes: number): BodyWriter {
  const writer = folder.create(expectedBytes);
  if (writer === undefined) throw new Error("no writer");
  return writer;
}

async function readAll(source: { read(from: number, end: number): Promise<Buffer> }, length: number) {
  const pieces: Buffer[] = [];
  for (let at = 0; at < length; ) {
    const piece = await source.read(at, length);
    pieces.push(piece);
    at += piece.length;
  }
  return Buffer.concat(pieces);
}

describe.each([
  ["on a disk", 64 * MIB],
  ["in memory", undefined],
] as const)("a body %s", (_where, budgetBytes) => {
  test.each([
    [1, 1],
    [BLOCK_BYTES, 1000],
    [BLOCK_BYTES * 4, BLOCK_BYTES],
    [BLOCK_BYTES * 4 + 1, 999_999],
    [5 * MIB + 17, 512 * 1024],
    [3 * MIB, 4096],
  ])("of %p bytes in pieces of %p is what was written, at any place", async (length, pieceBytes) => {
    const { folder } = stage(budgetBytes);
    const body = pattern(length);
    const ref = await fill(begin(folder, length), body, pieceBytes);
    expect(ref.length).toBe(length);
    const reader = await folder.open(ref);
    if (reader === undefined) throw new Error("it is gone");
    expect((await readAll(reader, length)).equals(body)).toBe(true);
    for (const at of [0, length >> 2, length >> 1, length - 1]) {
      const end = Math.min(length, at + 70_000);
      const piece = await reader.read(at, end);
      expect(piece.length).toBeGreaterThan(0);
      expect(piece.equals(body.subarray(at, at + piece.length))).toBe(true);
    }
    reader.close();
  });

  test("is read while it is written, and after, as far as it was taken", async () => {
    const { folder } = stage(budgetBytes);
    const body = pattern(2 * MIB);
    const writer = begin(folder, -1);
    for (let at = 0; at < body.length; at += 100_000) {
      writer.write(Buffer.from(body.subarray(at, at + 100_000)));
      const from = Math.floor(writer.length / 3);
      const piece = await writer.read(from, writer.length);
      expect(piece.equals(body.subarray(from, from + piece.length))).toBe(true);
    }
    await writer.finish();
    expect((await readAll(writer, body.length)).equals(body)).toBe(true);
  });

  test("that is forgotten stays readable for who has it open, and for nobody else", async () => {
    const { folder, root, descriptors } = stage(budgetBytes);
    const body = pattern(MIB);
    const ref = await fill(begin(folder, MIB), body, 65_536);
    const reader = await folder.open(ref);
    folder.remove(ref);
    await eventually(() => bodyFilesIn(root).length === 0);
    if (reader === undefined) throw new Error("it is gone");
    expect((await readAll(reader, MIB)).equals(body)).toBe(true);
    reader.close();
    folder.closeIdle();
    expect(await folder.open(ref)).toBeUndefined();
    expect(descriptors.openCount).toBe(0);
  });

  test("that is given up leaves no file, and gives its room and descriptor back", async () => {
    const { folder, root, board, descriptors } = stage(budgetBytes);
    const writer = begin(folder, 3 * MIB);
    writer.write(pattern(MIB));
    await writer.read(0, 100);
    writer.abort();
    await eventually(() => readdirSync(join(root, "parts")).length === 0);
    await expect(writer.read(0, 100)).rejects.toThrow("given up");
    await expect(writer.finish()).rejects.toThrow("cannot be kept");
    expect(bodyFilesIn(root)).toEqual([]);
    expect([board.bodyPages, descriptors.openCount]).toEqual([0, 0]);
  });

  test("has no name of a body before all of it is there", async () => {
    const { folder, root } = stage(budgetBytes);
    const writer = begin(folder, -1);
    writer.write(pattern(MIB));
    await eventually(() => readdirSync(join(root, "parts")).length === 1);
    expect(bodyFilesIn(root)).toEqual([]);
    await writer.finish();
    expect(bodyFilesIn(root).length).toBe(1);
    expect(readdirSync(join(root, "parts"))).toEqual([]);
  });

  test("that was cut is not opened", async () => {
    const { folder, root } = stage(budgetBytes);
    const ref = await fill(begin(folder, MIB), pattern(MIB), 65_536);
    truncateSync(bodyFilesIn(root)[0] ?? "", MIB - 1);
    expect(await folder.open(ref)).toBeUndefined();
  });

  test("is told apart from one of another length", async () => {
    const { folder } = stage(budgetBytes);
    const ref = await fill(begin(folder, MIB), pattern(MIB), 65_536);
    expect(await folder.open({ id: ref.id, length: MIB - 1 })).toBeUndefined();
    expect(await folder.open({ id: ref.id + 1, length: MIB })).toBeUndefined();
  });
});

test("a flipped bit in any block is seen before a byte of that block is given out, and only there; the file is removed", async () => {
  const { folder, root, descriptors } = stage();
  const body = pattern(BLOCK_BYTES * 3 + 5);
  const ref = await fill(begin(folder, body.length), body, 50_000);
  const path = bodyFilesIn(root)[0] ?? "";
  const bytes = readFileSync(path);
  bytes[BLOCK_BYTES + 7] = (bytes[BLOCK_BYTES + 7] ?? 0) ^ 4;
  writeFileSync(path, bytes);
  const reader = await folder.open(ref);
  if (reader === undefined) throw new Error("it is gone");
  expect((await reader.read(0, BLOCK_BYTES)).equals(body.subarray(0, BLOCK_BYTES))).toBe(true);
  await expect(reader.read(BLOCK_BYTES + 100, BLOCK_BYTES + 101)).rejects.toThrow("damaged");
  expect((await reader.read(BLOCK_BYTES * 3, body.length)).length).toBe(5);
  expect(await folder.open(ref)).toBeUndefined();
  await eventually(() => bodyFilesIn(root).length === 0);
  reader.close();
  expect(descriptors.openCount).toBe(0);
});

test("a flipped bit in what stands behind the body makes it nobody's", async () => {
  const { folder, root } = stage();
  const ref = await fill(begin(folder, MIB), pattern(MIB), 65_536);
  const path = bodyFilesIn(root)[0] ?? "";
  const good = readFileSync(path);
  for (let at = MIB; at < good.length; at += 3) {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(await folder.open(ref)).toBeUndefined();
  }
  writeFileSync(path, Buffer.concat([good, Buffer.from([0])]));
  expect(await folder.open(ref)).toBeUndefined();
});

test("what waits to be written is bounded: `write` says false, and `onDrain` when half of it is out", () => {
  const { folder } = stage();
  const writer = begin(folder, -1);
  let pieces = 0;
  while (writer.write(pattern(65_536)) && pieces < 1000) pieces++;
  expect(pieces).toBe(16);
  const { promise, resolve } = Promise.withResolvers<void>();
  writer.onDrain = resolve;
  return within(promise, 5000, "drain");
});

test("a body that is opened again and again is kept in memory, within bounds, and let go when nobody reads it", async () => {
  const { folder } = stage();
  const body = pattern(3 * MIB + 1000);
  const ref = await fill(begin(folder, body.length), body, 300_000);
  const readers = [await folder.open(ref), await folder.open(ref), await folder.open(ref)];
  const [first, second, third] = readers;
  if (first === undefined || second === undefined || third === undefined) throw new Error("it is gone");
  expect((await readAll(first, body.length)).equals(body)).toBe(true);
  for (const [from, end] of [
    [0, body.length],
    [100, 200],
    [300_000, 300_001],
    [body.length - 500, body.length],
  ] as const) {
    const [one, two] = [await second.read(from, end), await third.read(from, end)];
    expect(one.buffer).toBe(two.buffer);
    expect(one.length).toBeLessThan(one.buffer.byteLength);
    expect(one.equals(body.subarray(from, from + one.length))).toBe(true);
  }
  expect(folder.hotBytes).toBe(body.length);
  for (const reader of readers) reader?.close();
  folder.closeIdle();
  expect(folder.hotBytes).toBe(0);
});

test("hot bodies take no more than 16 MiB, and what is read once takes nothing", async () => {
  const { folder } = stage();
  for (let count = 0; count < 8; count++) {
    const ref = await fill(begin(folder, 3 * MIB), pattern(3 * MIB), 500_000);
    const [one, two] = [await folder.open(ref), count === 0 ? undefined : await folder.open(ref)];
    await readAll(one as NonNullable<typeof one>, 3 * MIB);
    if (count === 0) expect(folder.hotBytes).toBe(0);
    one?.close();
    two?.close();
  }
  expect(folder.hotBytes).toBeGreaterThan(12 * MIB);
  expect(folder.hotBytes).toBeLessThanOrEqual(16 * MIB);
});

test("room is taken before it is written, and the budget is never exceeded", async () => {
  const { folder, board } = stage(8 * MIB);
  const refs: BodyRef[] = [];
  for (let count = 0; count < 20; count++) {
    const writer = folder.create(MIB);
    if (writer !== undefined) refs.push(await fill(writer, pattern(MIB), 65_536));
  }
  expect(refs.length).toBe(7);
  expect(folder.usedBytes).toBe(7 * pagesOf(MIB + 1) * 4096);
  const late = begin(folder, -1);
  const { promise, resolve } = Promise.withResolvers<string>();
  late.onFail = resolve;
  for (let count = 0; count < 16; count++) late.write(pattern(65_536));
  expect(await promise).toContain("no room");
  expect((await late.read(0, 100)).equals(pattern(65_536).subarray(0, 100))).toBe(true);
  late.abort();
  for (const ref of refs) folder.remove(ref);
  await eventually(() => board.bodyPages === 0);
});

test("a process that died gives back what it had reserved", () => {
  const { board } = stage();
  expect(board.reserve(100, 1000)).toBe(true);
  board.settle(40);
  board.forgetProcess(process.pid);
  expect(board.bodyPages).toBe(40);
});

test("a folder that is gone: nothing is stored, one line a minute says so, what is in memory can be read", async () => {
  const { folder, root, lines, descriptors } = stage();
  rmSync(root, { recursive: true });
  for (let count = 0; count < 3; count++) {
    const writer = begin(folder, -1);
    const { promise, resolve } = Promise.withResolvers<string>();
    writer.onFail = resolve;
    writer.write(pattern(1000));
    expect(await promise).toBe("ENOENT");
    expect((await writer.read(10, 20)).length).toBe(10);
    await expect(writer.finish()).rejects.toThrow();
    writer.abort();
  }
  expect(lines.length).toBe(1);
  expect(lines[0]).toContain("the folder is gone");
  expect(descriptors.openCount).toBe(0);
});

test("without a free descriptor nothing is begun and nothing is opened", async () => {
  const { folder, descriptors } = stage();
  const ref = await fill(begin(folder, MIB), pattern(MIB), 65_536);
  descriptors.mayOpen = () => false;
  expect(folder.create(MIB)).toBeUndefined();
  await expect(folder.open(ref)).rejects.toThrow("no descriptor is free");
  descriptors.mayOpen = () => true;
  expect((await folder.open(ref))?.length).toBe(MIB);
});

test("many readers of one body share one descriptor, and few that nobody reads stay open", async () => {
  const { folder, descriptors } = stage();
  const refs: BodyRef[] = [];
  for (let count = 0; count < 50; count++)
    refs.push(await fill(begin(folder, 100), pattern(100, count), 100));
  const readers = await Promise.all(Array.from({ length: 20 }, () => folder.open(refs[0] as BodyRef)));
  expect(descriptors.openCount).toBe(1);
  for (const reader of readers) reader?.close();
  for (const ref of refs) (await folder.open(ref))?.close();
  expect(descriptors.openCount).toBeLessThanOrEqual(32);
  folder.closeIdle();
  expect(descriptors.openCount).toBe(0);
});

test.each([
  [1600, 0, 1500],
  [1600, 700, 800],
  [1600, 750, 800],
  [1600, 800, 800],
  [1600, 1500, 100],
  [1600, 1600, 0],
])("of %p pages, where one side has %p, the other may have %p", (limit, others, allowed) => {
  expect(bodyPagesAllowed(limit, others)).toBe(allowed);
  expect(logPagesAllowed(limit, others)).toBe(allowed);
});

function bodyFilesIn(root: string): string[] {
  const bodies = join(root, "bodies");
  return readdirSync(bodies).flatMap((folder) =>
    readdirSync(join(bodies, folder)).map((name) => join(bodies, folder, name)),
  );
}

describe("after a process was killed", () => {
  test("files that no entry names are removed, and their room is free again", async () => {
    const { folder, board, root } = stage();
    const kept = await fill(begin(folder, MIB), pattern(MIB), 65_536);
    const lost = await fill(begin(folder, MIB), pattern(MIB), 65_536);
    const end = folder.idsEnd;
    const later = await fill(begin(folder, MIB), pattern(MIB), 65_536);
    board.addBodyPages(1000); // of files that are gone, and nobody was left to say so
    expect(await folder.audit(() => Promise.resolve([kept, later]), end)).toBe(1);
    expect(board.bodyPages).toBe(2 * pagesOf(MIB + 96));
    expect([await folder.open(lost), (await folder.open(later))?.length]).toEqual([undefined, MIB]);
    rmSync(join(root, "parts"), { recursive: true });
    expect(await folder.audit(() => Promise.resolve([kept, later]), end)).toBe(0);
  });

  test("room that it had taken for bodies and for a segment is given back", () => {
    const { board } = stage();
    board.reserve(100, 10_000);
    board.reserveLog(4096);
    board.reserveLog(4096);
    board.settleLog(4096);
    expect([board.bodyPages, board.logPages]).toEqual([100, 8192]);
    board.forgetProcess(process.pid);
    expect([board.bodyPages, board.logPages, board.reservedPages]).toEqual([0, 4096, 0]);
  });
});

test("a board takes its room when it is made: a page that a full disk cannot give would end the process", () => {
  expect(statSync(join(stage().root, "board")).blocks * 512).toBe(128 * 1024);
});

test("a segment does not take the place of one that is still there", () => {
  const { board } = stage();
  expect([board.setLive(5, 1), board.setLive(5 + 8192, 1)]).toEqual([true, false]);
  board.setDropped(5);
  expect([board.setLive(5 + 8192, 1), board.isLive(5)]).toEqual([true, false]);
});

test("a process that has ended is dead, though nobody has waited for it", async () => {
  const shell = Bun.spawn(["sh", "-c", "sleep 0.01 & echo $!; exec sleep 60"], { stdout: "pipe" });
  try {
    const { value } = await shell.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value));
    await eventually(() => !isAlive(pid));
    expect([process.kill(pid, 0), isAlive(shell.pid)]).toEqual([true, true]);
  } finally {
    shell.kill("SIGKILL");
    await shell.exited;
  }
});
