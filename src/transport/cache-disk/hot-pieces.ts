/**
 * Hot pieces: parts of bodies that are read again and again, in this worker's memory.
 *
 * why    a body that many ask for is read from the file for each of them: fresh memory, a copy, and on a disk a thread and
 *        a checksum: 70 µs for 1 MiB in memory, 220 on a disk that the kernel has in its cache
 * rule   only of bodies that were opened before while they were open: what is read once does not get in
 * bound  MAX_BYTES a worker; what was used longest ago goes
 * note   a piece is a view into memory a little larger than itself, so that nobody takes it for his own and gives the
 *        memory away (`Wire.writeOwn`)
 */
export const PIECE_BYTES = 256 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;
const MARGIN_BYTES = 64;

/** Memory for a piece, which may be shared. */
export function newPiece(length: number): Buffer {
  return Buffer.allocUnsafeSlow(length + MARGIN_BYTES).subarray(0, length);
}

/** Pieces of one open body, by number. */
export type Pieces = Map<number, Buffer>;

interface Place {
  readonly pieces: Pieces;
  readonly index: number;
}

export class HotPieces {
  usedBytes = 0;
  /** What was used last is last. */
  readonly #order = new Map<Buffer, Place>();

  get(pieces: Pieces, index: number): Buffer | undefined {
    const piece = pieces.get(index);
    if (piece === undefined) return undefined;
    this.#order.delete(piece);
    this.#order.set(piece, { pieces, index });
    return piece;
  }

  /** in  memory of `newPiece` */
  add(pieces: Pieces, index: number, piece: Buffer): void {
    if (pieces.has(index)) return;
    pieces.set(index, piece);
    this.#order.set(piece, { pieces, index });
    this.usedBytes += piece.length;
    for (const [oldest, place] of this.#order) {
      if (this.usedBytes <= MAX_BYTES) return;
      this.#drop(oldest, place);
    }
  }

  /** The body is closed. */
  forget(pieces: Pieces): void {
    for (const [index, piece] of pieces) this.#drop(piece, { pieces, index });
  }

  #drop(piece: Buffer, { pieces, index }: Place): void {
    pieces.delete(index);
    this.#order.delete(piece);
    this.usedBytes -= piece.length;
  }
}
