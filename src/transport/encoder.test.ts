import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import zlib from "node:zlib";
import type { Coding } from "../protocol/accept-encoding.ts";
import {
  bodySum,
  DENSE_LEVEL,
  END,
  type EncodeMode,
  Encoder,
  encodeApart,
  encodeWhole,
  FLUSH,
  MAX_LEVEL,
  MORE,
} from "./encoder.ts";

const DECODE = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync };
const CODINGS = Object.keys(DECODE) as Coding[];
/** As text is: a page of the documentation. */
const TEXT = readFileSync(new URL("../../docs/configuration.md", import.meta.url));
/** Cannot be made smaller: the output is longer than the room for it. */
const NOISE = randomBytes(300_000);
const NOTHING = Buffer.alloc(0);

/** Encodes `bytes` in pieces of this size. */
function inPieces(encoder: Encoder, bytes: Buffer, size: number, mode: EncodeMode = MORE): Buffer {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size)
    out.push(encoder.encode(bytes.subarray(at, at + size), mode));
  out.push(encoder.encode(NOTHING, END));
  encoder.close();
  return Buffer.concat(out);
}

/** What can be decoded of a stream that has not ended. */
function decodeStart(coding: Coding, bytes: Buffer): string {
  const flush = {
    gzip: zlib.constants.Z_SYNC_FLUSH,
    br: zlib.constants.BROTLI_OPERATION_FLUSH,
    zstd: zlib.constants.ZSTD_e_flush,
  };
  return DECODE[coding](bytes, { finishFlush: flush[coding] }).toString();
}

for (const coding of CODINGS) {
  describe(coding, () => {
    test("whatever the pieces, the same bytes come back", () => {
      for (const [bytes, size] of [
        [TEXT, 1000],
        [TEXT, 64 * 1024],
        [TEXT, TEXT.length],
        [TEXT.subarray(0, 300), 1],
        [NOISE, NOISE.length],
        [NOISE, 7777],
        [NOTHING, 1],
      ] as const) {
        const encoded = inPieces(new Encoder(coding, 5), bytes, size);
        expect(DECODE[coding](encoded).equals(bytes)).toBe(true);
      }
    });

    test("flushed pieces come back too, in either size", () => {
      for (const size of ["usual", "live"] as const) {
        const encoded = inPieces(new Encoder(coding, 5, size), TEXT.subarray(0, 50_000), 100, FLUSH);
        expect(DECODE[coding](encoded).equals(TEXT.subarray(0, 50_000))).toBe(true);
      }
    });

    test("after a flush nothing is kept: all that was given can be decoded", () => {
      const encoder = new Encoder(coding, 5);
      let out = NOTHING;
      let given = "";
      for (const piece of ["a first event\n\n", "a second one\n\n", "x"]) {
        given += piece;
        out = Buffer.concat([out, encoder.encode(Buffer.from(piece), MORE), encoder.encode(NOTHING, FLUSH)]);
        expect(decodeStart(coding, out)).toBe(given);
      }
      encoder.close();
    });

    test("every level works, and the last makes less of a text than the first", () => {
      const sizes: number[] = [];
      for (let level = 1; level <= MAX_LEVEL; level++) {
        const whole = encodeWhole(TEXT as Buffer<ArrayBuffer>, coding, level);
        expect(DECODE[coding](whole).equals(TEXT)).toBe(true);
        const streamed = inPieces(new Encoder(coding, level), TEXT, 64 * 1024);
        expect(DECODE[coding](streamed).equals(TEXT)).toBe(true);
        sizes.push(whole.length);
      }
      expect(sizes.at(-1)).toBeLessThan(sizes[0] as number);
      expect(sizes[0]).toBeLessThan(TEXT.length / 2);
    });

    test("a whole body of nothing is one too", () => {
      expect(DECODE[coding](encodeWhole(Buffer.alloc(0), coding, 5)).length).toBe(0);
    });

    test("what is given out is not written over by the next piece", () => {
      const encoder = new Encoder(coding, 5);
      const first = encoder.encode(NOISE.subarray(0, 1000), FLUSH);
      const copy = Buffer.from(first);
      encoder.encode(NOISE.subarray(1000, 5000), FLUSH);
      expect(first.equals(copy)).toBe(true);
      encoder.close();
    });

    test("a closed encoder takes nothing, and may be closed again", () => {
      const encoder = new Encoder(coding, 5);
      encoder.close();
      encoder.close();
      expect(() => encoder.encode(TEXT, MORE)).toThrow();
    });
  });
}

test("zstd stays within a window that every client can hold (RFC 9659 §3)", () => {
  const encoder = new Encoder("zstd", MAX_LEVEL);
  const head = encoder.encode(TEXT, FLUSH);
  encoder.close();
  // frame header (RFC 8878 §3.1.1.1): after the magic a descriptor without single segment, then the window
  expect((head[4] as number) & 0x20).toBe(0);
  const exponent = (head[5] as number) >> 3;
  expect(2 ** (10 + exponent)).toBeLessThanOrEqual(8 * 1024 * 1024);
});

test("an encoder that is used after its end says so", () => {
  const encoder = new Encoder("gzip", 5);
  encoder.encode(TEXT, END);
  expect(() => encoder.encode(TEXT, MORE)).toThrow("encoder: stream error");
  encoder.close();
});

describe("apart", () => {
  async function apart(source: Iterable<Buffer>, coding: Coding): Promise<Buffer> {
    const pieces: Buffer[] = [];
    await encodeApart(source, coding, DENSE_LEVEL, (piece) => void pieces.push(piece));
    return Buffer.concat(pieces);
  }

  for (const coding of CODINGS) {
    test(`${coding}: whatever the pieces, the same bytes come back`, async () => {
      const pieces = [TEXT.subarray(0, 1), TEXT.subarray(1, 20_000), NOISE, TEXT.subarray(20_000)];
      expect(DECODE[coding](await apart(pieces, coding)).equals(Buffer.concat(pieces))).toBe(true);
      expect(DECODE[coding](await apart([], coding)).length).toBe(0);
    });
  }

  test("the main thread has little to do with it", async () => {
    const pieces = Array.from({ length: 60 }, (_, at) =>
      Buffer.from(TEXT.toString().replaceAll("e", `${at}`)),
    );
    const usedMs = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1000;
    const all = process.cpuUsage();
    const thread = usedMs(process.threadCpuUsage());
    await apart(pieces, "br");
    const ownMs = usedMs(process.threadCpuUsage()) - thread;
    expect(ownMs).toBeLessThan(usedMs(process.cpuUsage(all)) / 2);
  });

  test("what the source or the taker throws is thrown", async () => {
    function* broken(): Generator<Buffer> {
      yield TEXT;
      throw new Error("torn");
    }
    await expect(apart(broken(), "gzip")).rejects.toThrow("torn");
    const full = () => {
      throw new Error("full");
    };
    await expect(encodeApart([NOISE], "gzip", 5, full)).rejects.toThrow("full");
  });
});

test("bodies are told apart by a whole number that any file can hold", () => {
  const one = bodySum(TEXT);
  expect(Number.isSafeInteger(one)).toBe(true);
  expect(bodySum(Buffer.from(TEXT))).toBe(one);
  expect(bodySum(TEXT.subarray(1))).not.toBe(one);
});

test("an encoder of br's upper levels counts what it takes, many times the usual", () => {
  const usual = new Encoder("br", 5);
  const upper = new Encoder("br", MAX_LEVEL);
  expect(upper.costBytes).toBeGreaterThan(20 * usual.costBytes);
  usual.close();
  upper.close();
});
