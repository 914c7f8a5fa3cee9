/**
 * What encoder.ts relies on in the runtime's zlib streams: a handle that can be written to at once.
 */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import zlib from "node:zlib";

interface Stream {
  readonly _handle: {
    writeSync(
      flush: number,
      from: Uint8Array,
      at: number,
      length: number,
      ...to: [Uint8Array, number, number]
    ): void;
    close(): void;
    onerror: unknown;
  };
  readonly _writeState: Uint32Array;
}

const { constants: C } = zlib;
const ROWS = [
  ["gzip", () => zlib.createGzip({ chunkSize: 64 }), C.Z_SYNC_FLUSH, C.Z_FINISH, zlib.gunzipSync],
  [
    "br",
    () => zlib.createBrotliCompress({ chunkSize: 64 }),
    C.BROTLI_OPERATION_FLUSH,
    C.BROTLI_OPERATION_FINISH,
    zlib.brotliDecompressSync,
  ],
  [
    "zstd",
    () => zlib.createZstdCompress({ chunkSize: 64 }),
    C.ZSTD_e_flush,
    C.ZSTD_e_end,
    zlib.zstdDecompressSync,
  ],
] as const;

for (const [name, open, flush, end, decode] of ROWS) {
  test(`${name}: writeSync says in _writeState what room and what input are left, and more calls bring the rest`, () => {
    const stream = open() as unknown as Stream;
    const bytes = randomBytes(5000);
    const room = Buffer.alloc(64);
    const pieces: Buffer[] = [];
    let left = bytes.length;
    for (let turns = 0; turns < 1000; turns++) {
      stream._handle.writeSync(end, bytes, bytes.length - left, left, room, 0, room.length);
      pieces.push(Buffer.from(room.subarray(0, room.length - (stream._writeState[0] as number))));
      left = stream._writeState[1] as number;
      if (stream._writeState[0] !== 0) break;
    }
    stream._handle.close();
    expect(pieces.length).toBeGreaterThan(50);
    expect(decode(Buffer.concat(pieces)).equals(bytes)).toBe(true);
  });

  test(`${name}: a flush brings out all that was written, and a closed handle refuses more`, () => {
    const stream = open() as unknown as Stream;
    const out = Buffer.alloc(1000);
    const pieces: Buffer[] = [];
    for (const word of ["one ", "two ", "three"]) {
      const bytes = Buffer.from(word);
      stream._handle.writeSync(flush, bytes, 0, bytes.length, out, 0, out.length);
      expect(stream._writeState[1]).toBe(0);
      const length = out.length - (stream._writeState[0] as number);
      expect(length).toBeGreaterThan(0);
      pieces.push(Buffer.from(out.subarray(0, length)));
    }
    stream._handle.writeSync(end, Buffer.alloc(0), 0, 0, out, 0, out.length);
    pieces.push(Buffer.from(out.subarray(0, out.length - (stream._writeState[0] as number))));
    expect(decode(Buffer.concat(pieces)).toString()).toBe("one two three");
    stream._handle.close();
    stream._handle.close();
    expect(() => stream._handle.writeSync(end, out, 0, 1, out, 0, out.length)).toThrow();
  });
}

test("an encoder that is used wrongly tells its handle's onerror, and takes nothing", () => {
  const stream = zlib.createGzip({ chunkSize: 64 }) as unknown as Stream;
  const told: string[] = [];
  stream._handle.onerror = (message: string) => told.push(message);
  const out = Buffer.alloc(1000);
  stream._handle.writeSync(C.Z_FINISH, out, 0, 3, out, 100, 900);
  expect(told).toEqual([]);
  stream._handle.writeSync(C.Z_NO_FLUSH, out, 0, 3, out, 100, 900);
  expect(told).toEqual(["stream error"]);
  stream._handle.close();
});

test("a thread can be asked for its processor time", () => {
  const before = process.threadCpuUsage();
  const started = performance.now();
  while (performance.now() - started < 30);
  const after = process.threadCpuUsage();
  expect(after.user + after.system - before.user - before.system).toBeGreaterThan(5000);
});
