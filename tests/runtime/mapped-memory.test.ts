/** Memory that processes share, as `zone/cache-zone.ts` uses it: copies in and out, room asked for and given back. */
import { dlopen, type Pointer, toArrayBuffer } from "bun:ffi";
import { afterEach, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, statSync, unlinkSync } from "node:fs";

const MIB = 1024 * 1024;
const PATH = `/dev/shm/weir-test-${process.pid}`;
const { symbols } = dlopen("libc.so.6", {
  memcpy: { args: ["ptr", "ptr", "u64"], returns: "ptr" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
});
let file = -1;

afterEach(() => {
  if (file !== -1) closeSync(file);
  if (file !== -1) unlinkSync(PATH);
  file = -1;
});

/** Addresses are numbers: they are below 2^47. */
function map(bytes: number): number {
  file = openSync(PATH, "wx+", 0o600);
  ftruncateSync(file, bytes);
  return Number(symbols.mmap(null, bytes, 3, 1, file, 0));
}

test("memcpy takes parts of buffers, pooled ones too, and copies just what was said", () => {
  const base = map(MIB);
  for (const length of [1, 64, 1000, 65_536]) {
    const whole = Buffer.alloc(length + 20, 7);
    const part = whole.subarray(10, 10 + length).fill("ab");
    symbols.memcpy((base + 12_345) as Pointer, part, length);
    const target = Buffer.alloc(length + 2, 9);
    symbols.memcpy(target.subarray(1), (base + 12_345) as Pointer, length);
    expect(target.subarray(1, length + 1).equals(part)).toBe(true);
    expect([target[0], target[length + 1], whole[9], whole[10 + length]]).toEqual([9, 9, 7, 7]);
  }
});

test("words of mapped memory take atomic operations, and a view of a part counts from there", () => {
  const base = map(MIB);
  const words = new Int32Array(toArrayBuffer(base as Pointer, 4096, 4096));
  const same = new Int32Array(toArrayBuffer(base as Pointer, 4096 + 400, 400));
  expect([
    Atomics.add(words, 100, 5),
    Atomics.compareExchange(same, 0, 5, 9),
    Atomics.load(words, 100),
  ]).toEqual([0, 5, 9]);
});

test("fallocate takes memory, gives it back with what was in it, and refuses what there is not", () => {
  const base = map(4 * MIB);
  const used = () => statSync(PATH).blocks * 512;
  expect([symbols.fallocate(file, 0, MIB, MIB), used()]).toEqual([0, MIB]);
  symbols.memcpy((base + MIB) as Pointer, Buffer.from("x"), 1);
  expect([symbols.fallocate(file, 3, MIB, MIB), used()]).toEqual([0, 0]);
  const byte = Buffer.from("y");
  symbols.memcpy(byte, (base + MIB) as Pointer, 1);
  expect(byte[0]).toBe(0);
  expect(symbols.fallocate(file, 0, 0, 2 ** 50)).toBe(-1);
});
