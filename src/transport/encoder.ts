/**
 * Encoder: bytes in one of the content codings: a whole body at once, or a stream piece by piece.
 *
 * why    the runtime's compression streams answer on another turn, hold a piece back until more comes and allocate for
 *        each; the handle below them is called and has answered, at half the cost, and says exactly what is out
 * rule   what was encoded with FLUSH can be decoded without anything that follows
 * cost   gzip, br, zstd at their middle level: 105, 95, 365 MB/s; a flush 2 µs and some bytes. The memory behind an encoder
 *        is COST_BYTES, given back by `close` and not before
 * note   `_handle` and `_writeState` of node:zlib's streams are undocumented: tests/runtime holds them. A handle that is
 *        reset has forgotten its level (br is at 11 again), so each body has one of its own: that costs 5 µs
 * spec   RFC 1952 (gzip), RFC 7932 (br), RFC 8878 and 9659 (zstd)
 */
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import type { Coding } from "../protocol/accept-encoding.ts";

/** More follows: the encoder may keep what it likes. */
export const MORE = 0;
/** All that was given must be out. */
export const FLUSH = 1;
/** That was the last of it. */
export const END = 2;
export type EncodeMode = typeof MORE | typeof FLUSH | typeof END;

/** From 1, fast, to 9, small; what comes after it costs ten times as much for 1 % less. */
export const MAX_LEVEL = 9;
/** For bodies that are encoded once and sent often. The next one takes three times the memory, for 1 % less. */
export const DENSE_LEVEL = 8;

/** Our levels on each coding's own scale, from 0, which is not used. Equal levels cost about the same. */
const LEVELS: Readonly<Record<Coding, readonly number[]>> = {
  gzip: [1, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  br: [1, 1, 2, 3, 3, 4, 5, 6, 7, 9],
  zstd: [1, 1, 1, 2, 2, 3, 5, 6, 8, 9],
};

/**
 * How much memory a stream may take to find what came before: `live` for streams that stay open and say little, `apart`
 * where there is one for the whole worker.
 */
export type EncoderSize = "usual" | "live" | "apart";

/** Resident memory behind one encoder, measured with 100 of them at work at the usual level, `apart` at DENSE_LEVEL. */
export const COST_BYTES: Readonly<Record<EncoderSize, Readonly<Record<Coding, number>>>> = {
  usual: { gzip: 320 * 1024, br: 1200 * 1024, zstd: 640 * 1024 },
  live: { gzip: 128 * 1024, br: 192 * 1024, zstd: 256 * 1024 },
  apart: { gzip: 640 * 1024, br: 11 * 1024 * 1024, zstd: 2600 * 1024 },
};

/** br searches wider from its upper levels on: what an encoder of these takes, in bytes. */
const BR_UPPER_BYTES: Readonly<Record<number, number>> = { 8: 10 * 1024 * 1024, 9: 34 * 1024 * 1024 };

/** Resident memory behind one encoder. */
export function costBytesOf(coding: Coding, level: number, size: EncoderSize): number {
  const usual = COST_BYTES[size][coding];
  return coding === "br" && size === "usual" ? (BR_UPPER_BYTES[level] ?? usual) : usual;
}

const { constants: C } = zlib;
/** Windows of 256 KiB and tables to match: a third of the memory that the libraries would take, for 0.3 % of the size. */
const BR_WINDOW: Readonly<Record<EncoderSize, number>> = { usual: 18, live: 16, apart: 20 };
const ZSTD_TABLES: Readonly<Record<EncoderSize, readonly [window: number, table: number]>> = {
  usual: [18, 15],
  live: [15, 13],
  apart: [20, 18],
};
const GZIP_TABLES: Readonly<Record<EncoderSize, readonly [window: number, memory: number]>> = {
  usual: [15, 8],
  live: [13, 5],
  apart: [15, 9],
};
/** br has no small tables but those of its fastest levels. */
const LIVE_BR_LEVEL = 1;

const FLUSH_WORDS: Readonly<Record<Coding, readonly [more: number, flush: number, end: number]>> = {
  gzip: [C.Z_NO_FLUSH, C.Z_SYNC_FLUSH, C.Z_FINISH],
  br: [C.BROTLI_OPERATION_PROCESS, C.BROTLI_OPERATION_FLUSH, C.BROTLI_OPERATION_FINISH],
  zstd: [C.ZSTD_e_continue, C.ZSTD_e_flush, C.ZSTD_e_end],
};

interface ZlibHandle {
  writeSync(
    flush: number,
    from: Uint8Array,
    fromStart: number,
    fromLength: number,
    to: Uint8Array,
    toStart: number,
    toLength: number,
  ): void;
  close(): void;
  onerror: (message: string) => void;
}

interface ZlibStream {
  readonly _handle: ZlibHandle;
  /** After a write: room left in the output, bytes left of the input. */
  readonly _writeState: Uint32Array;
}

/** Where output first goes: one for the process, since each call has taken it before it returns. */
const SCRATCH = Buffer.allocUnsafeSlow(64 * 1024);
const NOTHING = Buffer.alloc(0);
const SUM_BITS = 2n ** 53n - 1n;
const APART_CHUNK_BYTES = 64 * 1024;
/** The streams' own buffers are never used. */
const LEAST_CHUNK = 64;

export class Encoder {
  readonly costBytes: number;
  readonly #stream: ZlibStream;
  readonly #words: readonly [number, number, number];
  #problem = "";
  #isClosed = false;

  /** in  `level`: 1 to MAX_LEVEL */
  constructor(coding: Coding, level: number, size: EncoderSize = "usual") {
    this.costBytes = costBytesOf(coding, level, size);
    this.#words = FLUSH_WORDS[coding];
    this.#stream = openStream(coding, level, size);
    this.#stream._handle.onerror = (message) => {
      this.#problem = message === "" ? "unknown" : message;
    };
  }

  /** out  what is ready, in memory of its own: perhaps nothing. Throws when the encoder is broken */
  encode(bytes: Buffer, mode: EncodeMode): Buffer {
    const { _handle: handle, _writeState: state } = this.#stream;
    const word = this.#words[mode];
    const pieces: Buffer[] = [];
    let left = bytes.length;
    let room: number;
    do {
      handle.writeSync(word, bytes, bytes.length - left, left, SCRATCH, 0, SCRATCH.length);
      if (this.#problem !== "") throw new Error(`encoder: ${this.#problem}`);
      room = state[0] as number;
      left = state[1] as number;
      if (room < SCRATCH.length) pieces.push(copyOf(SCRATCH.length - room));
    } while (room === 0 || left > 0);
    if (pieces.length === 0) return NOTHING;
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  /** Gives its memory back at once; more than once does no harm. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream._handle.close();
  }
}

function copyOf(length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  SCRATCH.copy(copy, 0, 0, length);
  return copy;
}

function openStream(coding: Coding, level: number, size: EncoderSize): ZlibStream {
  return make(coding, level, size, LEAST_CHUNK) as unknown as ZlibStream;
}

function make(coding: Coding, level: number, size: EncoderSize, chunkSize: number) {
  const quality = LEVELS[coding][level] as number;
  if (coding === "gzip") {
    const [windowBits, memLevel] = GZIP_TABLES[size];
    return zlib.createGzip({ level: quality, windowBits, memLevel, chunkSize });
  }
  if (coding === "br") {
    const params = {
      [C.BROTLI_PARAM_QUALITY]: size === "live" ? LIVE_BR_LEVEL : quality,
      [C.BROTLI_PARAM_LGWIN]: BR_WINDOW[size],
    };
    return zlib.createBrotliCompress({ params, chunkSize });
  }
  const [window, table] = ZSTD_TABLES[size];
  const params = {
    [C.ZSTD_c_compressionLevel]: quality,
    [C.ZSTD_c_windowLog]: window,
    [C.ZSTD_c_hashLog]: table,
    [C.ZSTD_c_chainLog]: table,
  };
  return zlib.createZstdCompress({ params, chunkSize });
}

/**
 * Encodes at up to DENSE_LEVEL, apart from the main thread, which is left free: for bodies that nobody waits for.
 * in     `take` gets each piece of the outcome, in memory of its own; nothing is read on before it has settled
 * fails  rejects with what the source or `take` has thrown
 */
export async function encodeApart(
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  coding: Coding,
  level: number,
  take: (piece: Buffer) => Promise<void> | void,
): Promise<void> {
  const stream = make(coding, Math.min(level, DENSE_LEVEL), "apart", APART_CHUNK_BYTES);
  await pipeline(source, stream, async (pieces: AsyncIterable<Buffer>) => {
    for await (const piece of pieces) await take(piece);
  });
}

/** Tells two bodies of one URL apart. out  a whole number below 2^53 */
export function bodySum(bytes: Uint8Array): number {
  return Number(Bun.hash(bytes) & SUM_BITS);
}

/** A body that is here whole; nothing is left behind. in  `level`: 1 to MAX_LEVEL */
export function encodeWhole(bytes: Uint8Array<ArrayBuffer>, coding: Coding, level: number): Buffer {
  const quality = LEVELS[coding][level] as number;
  if (coding === "br") {
    return zlib.brotliCompressSync(bytes, {
      params: { [C.BROTLI_PARAM_QUALITY]: quality, [C.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
  }
  const encoded =
    coding === "zstd"
      ? Bun.zstdCompressSync(bytes, { level: quality })
      : Bun.gzipSync(bytes, { level: quality as 1, library: "libdeflate" });
  return Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
}
