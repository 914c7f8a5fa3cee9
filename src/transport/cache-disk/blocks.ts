/**
 * Blocks: checksums of a body by blocks, and the tail of a body file that holds them.
 *
 * why    a disk may give back what was never written: a torn page after a power cut, a flipped bit, another file's
 *        block. A client gets a byte only when the block around it is what it was
 * shape  the body as it is, from offset 0, so that any part of it is one read; then one CRC-32 for each block; then a
 *        tail with the id, the length and a CRC-32 of all that. The tail is written last
 * cost   CRC-32 runs at some 60 GB/s here (4 µs for 256 KiB) and is the same function in every version of the runtime,
 *        which faster hashes are not. 64 KiB: a small range costs one small read, a large one four checksums a piece
 */
import type { BodyRef } from "../../cache/stored.ts";

export const BLOCK_BYTES = 64 * 1024;

const MAGIC = 0x59_44_42_57; // "WBDY"
const VERSION = 1;
/** magic, version, id, length, bytes of a block, CRC-32 of the sums and of this */
const TAIL_BYTES = 32;

/** Bytes of a file behind the body. */
export function tailBytes(length: number): number {
  return 4 * Math.ceil(length / BLOCK_BYTES) + TAIL_BYTES;
}

/** Sums up a body that comes in pieces of any size. */
export class BlockSums {
  #sums = new Uint32Array(64);
  #count = 0;
  #sum = 0;
  #filled = 0;

  add(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + BLOCK_BYTES - this.#filled);
      this.#sum = Bun.hash.crc32(bytes.subarray(at, end), this.#sum);
      this.#filled += end - at;
      at = end;
      if (this.#filled === BLOCK_BYTES) this.#push();
    }
  }

  #push(): void {
    if (this.#count === this.#sums.length) {
      const wider = new Uint32Array(this.#count * 2);
      wider.set(this.#sums);
      this.#sums = wider;
    }
    this.#sums[this.#count++] = this.#sum;
    this.#sum = 0;
    this.#filled = 0;
  }

  /** What stands behind the body; afterwards nothing may be added. */
  tail({ id, length }: BodyRef): Buffer {
    if (this.#filled > 0) this.#push();
    const tail = Buffer.alloc(4 * this.#count + TAIL_BYTES);
    for (let index = 0; index < this.#count; index++) tail.writeUInt32LE(this.#sums[index] ?? 0, 4 * index);
    const at = 4 * this.#count;
    tail.writeUInt32LE(MAGIC, at);
    tail.writeUInt32LE(VERSION, at + 4);
    tail.writeDoubleLE(id, at + 8);
    tail.writeDoubleLE(length, at + 16);
    tail.writeUInt32LE(BLOCK_BYTES, at + 24);
    tail.writeUInt32LE(Bun.hash.crc32(tail.subarray(0, at + 28)), at + 28);
    return tail;
  }
}

/** in  the bytes behind the body. out  the blocks' sums, or undefined when it is not the tail of this body */
export function readTail(tail: Buffer, { id, length }: BodyRef): Uint32Array | undefined {
  if (tail.length !== tailBytes(length)) return undefined;
  const at = tail.length - TAIL_BYTES;
  const isIt =
    tail.readUInt32LE(at) === MAGIC &&
    tail.readUInt32LE(at + 4) === VERSION &&
    tail.readDoubleLE(at + 8) === id &&
    tail.readDoubleLE(at + 16) === length &&
    tail.readUInt32LE(at + 24) === BLOCK_BYTES &&
    tail.readUInt32LE(at + 28) === Bun.hash.crc32(tail.subarray(0, at + 28));
  if (!isIt) return undefined;
  const sums = new Uint32Array(at / 4);
  for (let index = 0; index < sums.length; index++) sums[index] = tail.readUInt32LE(4 * index);
  return sums;
}

/** in  whole blocks, the first of which is number `block`; the last of a body may be short */
export function areBlocksGood(bytes: Buffer, block: number, sums: Uint32Array): boolean {
  for (let at = 0, index = block; at < bytes.length; at += BLOCK_BYTES, index++) {
    if (Bun.hash.crc32(bytes.subarray(at, at + BLOCK_BYTES)) !== sums[index]) return false;
  }
  return true;
}
