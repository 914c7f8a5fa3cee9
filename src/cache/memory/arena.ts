/**
 * Arena: the bytes of all records, in segments.
 *
 * why    not a typed array: the collector counts mapped memory as its own and lets garbage grow with it (256 MiB mapped
 *        let 27 MiB of heap become 455); so bytes go in and out by copies, which cost no more
 * rule   positions are byte offsets in the whole arena; the caller stays inside of a segment that it has reserved, or
 *        reads what may change meanwhile and checks the segment's generation afterwards
 */
export interface Arena {
  /** Makes sure that the memory of a segment is there. out  false: the machine has none left for it */
  reserve(segment: number): boolean;
  /** Gives the memory of a segment back. */
  discard(segment: number): void;
  /** Copies the first `length` bytes of `from` to `position`. */
  copyIn(position: number, from: Buffer, length: number): void;
  /** Copies `length` bytes at `position` to the beginning of `into`. */
  copyOut(position: number, into: Buffer, length: number): void;
}

/**
 * Left free of the file system that shared memory lies on: index and counters lie there too, and a page of theirs that the
 * system cannot give ends the process. A quarter where there is little, as in a container with 64 MiB.
 */
const LEFT_FREE_BYTES = 64 * 1024 * 1024;
const LEFT_FREE_SHARE = 4;

/** What `statfs` tells of it. */
export interface FileSystemRoom {
  readonly blocks: number;
  readonly bavail: number;
  readonly bsize: number;
}

/** May so many bytes more be taken there? */
export const hasRoomFor = (bytes: number, room: FileSystemRoom) => bytesToTake(room) >= bytes;

/** Bytes that may be taken there. */
export function bytesToTake({ blocks, bavail, bsize }: FileSystemRoom): number {
  return Math.max(0, bavail * bsize - Math.min(LEFT_FREE_BYTES, (blocks * bsize) / LEFT_FREE_SHARE));
}

/** An arena of one process: for tests and for caches that nobody shares. */
export class BufferArena implements Arena {
  readonly bytes: Buffer;

  constructor(length: number) {
    this.bytes = Buffer.alloc(length);
  }

  reserve(): boolean {
    return true;
  }

  discard(): void {
    // a buffer cannot give back a part of itself
  }

  copyIn(position: number, from: Buffer, length: number): void {
    from.copy(this.bytes, position, 0, length);
  }

  copyOut(position: number, into: Buffer, length: number): void {
    this.bytes.copy(into, 0, position, position + length);
  }
}
