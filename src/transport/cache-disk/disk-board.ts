/**
 * Disk board: the few words about the cache's folder that all processes share: what is taken, what comes next.
 *
 * why    a budget holds for all workers together, and a number for a file must never be given twice
 * shape  one small file in the folder, mapped by each process; control makes a new one at each start, so that a worker
 *        that outlived its control counts on the old one. Room is counted in pages of 4 KiB
 * rule   what a process has reserved for what it is still writing stands in its own slot too: when it is killed,
 *        control gives that back
 * rule   all of the file is written when it is made: a page that a full disk cannot give ends the process that writes to it
 */
import { closeSync, fchownSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

export const PAGE_BYTES = 4096;

const FILE_BYTES = 128 * 1024;
const MAGIC = 0x57_42_44_32;
/** Words: magic, pages of bodies, pages of the log, number of the next segment. */
const MAGIC_AT = 0;
const BODIES_AT = 1;
const LOG_AT = 2;
const SEGMENT_AT = 3;
/** Of a 64-bit word: the next body's id. */
const BODY_ID_AT = 8;
const SLOTS_AT = 1024;
const SLOTS = 1024;
/** pid, pages reserved for bodies, pages reserved for segments, spare */
const SLOT_WORDS = 4;
const SLOT_BODIES = 1;
const SLOT_LOG = 2;
const SLOTS_END = SLOTS_AT + SLOTS * SLOT_WORDS;
/** Segments that have a place here: four times as many as there should ever be (`segmentBytesOf`). */
const SEGMENT_SLOTS = 8192;
const SEGMENTS_AT = 8192;
/** number, pid of who writes it (0 = nobody any more) */
const SEGMENT_WORDS = 2;

export const pagesOf = (bytes: number) => Math.ceil(bytes / PAGE_BYTES);

export class DiskBoard {
  readonly #words: Int32Array;
  readonly #wide: BigInt64Array;
  #slot = -1;

  private constructor(words: Int32Array, wide: BigInt64Array) {
    this.#words = words;
    this.#wide = wide;
  }

  /** Makes a new board at `path`, in the place of one that was there. in  the first numbers to be given */
  static create(
    path: string,
    first: { readonly bodyId: number; readonly segment: number },
    owner?: { readonly uid: number; readonly gid: number },
  ): DiskBoard {
    const file = openSync(`${path}.new`, "w+", 0o600);
    const zeros = Buffer.alloc(FILE_BYTES);
    for (let done = 0; done < FILE_BYTES; ) done += writeSync(file, zeros, done);
    if (owner !== undefined) fchownSync(file, owner.uid, owner.gid);
    closeSync(file);
    const board = DiskBoard.#map(`${path}.new`);
    Atomics.store(board.#wide, BODY_ID_AT, BigInt(first.bodyId));
    Atomics.store(board.#words, SEGMENT_AT, first.segment);
    Atomics.store(board.#words, MAGIC_AT, MAGIC);
    renameSync(`${path}.new`, path);
    return board;
  }

  /** Throws when there is none, or not one of ours. */
  static open(path: string): DiskBoard {
    const board = DiskBoard.#map(path);
    if (Atomics.load(board.#words, MAGIC_AT) !== MAGIC)
      throw new Error(`${path} is not a board of the cache`);
    return board;
  }

  static #map(path: string): DiskBoard {
    const { buffer } = Bun.mmap(path, { shared: true });
    return new DiskBoard(new Int32Array(buffer), new BigInt64Array(buffer));
  }

  nextBodyId(): number {
    return Number(Atomics.add(this.#wide, BODY_ID_AT, 1n));
  }

  /** Below it are the ids that were given. */
  get bodyIdsEnd(): number {
    return Number(Atomics.load(this.#wide, BODY_ID_AT));
  }

  nextSegment(): number {
    return Atomics.add(this.#words, SEGMENT_AT, 1);
  }

  get bodyPages(): number {
    return Atomics.load(this.#words, BODIES_AT);
  }

  get logPages(): number {
    return Atomics.load(this.#words, LOG_AT);
  }

  /** in  negative: given back */
  addBodyPages(pages: number): void {
    Atomics.add(this.#words, BODIES_AT, pages);
  }

  addLogPages(pages: number): void {
    Atomics.add(this.#words, LOG_AT, pages);
  }

  /** Takes room for a body that is being written, if bodies and log together then stay within `limitPages`. */
  reserve(pages: number, limitPages: number): boolean {
    const before = Atomics.add(this.#words, BODIES_AT, pages);
    if (before + pages + this.logPages > limitPages) {
      Atomics.sub(this.#words, BODIES_AT, pages);
      return false;
    }
    Atomics.add(this.#words, this.#ownSlot() + SLOT_BODIES, pages);
    return true;
  }

  /** Of `bodyPages`, what is reserved by all processes. */
  get reservedPages(): number {
    let pages = 0;
    for (let at = SLOTS_AT; at < SLOTS_END; at += SLOT_WORDS) {
      pages += Atomics.load(this.#words, at + SLOT_BODIES);
    }
    return pages;
  }

  /** The body is kept, and so is its room: it is the file's now. */
  settle(pages: number): void {
    Atomics.sub(this.#words, this.#ownSlot() + SLOT_BODIES, pages);
  }

  /** Gives back what was reserved. */
  release(pages: number): void {
    this.settle(pages);
    this.addBodyPages(-pages);
  }

  /** Takes room for a segment that is being made. */
  reserveLog(pages: number): void {
    this.addLogPages(pages);
    Atomics.add(this.#words, this.#ownSlot() + SLOT_LOG, pages);
  }

  /** It is made: its room goes with it. */
  settleLog(pages: number): void {
    Atomics.sub(this.#words, this.#ownSlot() + SLOT_LOG, pages);
  }

  /** A process has died: what it was writing will not be finished. */
  forgetProcess(pid: number): void {
    for (let at = SLOTS_AT; at < SLOTS_END; at += SLOT_WORDS) {
      if (Atomics.load(this.#words, at) !== pid) continue;
      this.addBodyPages(-Atomics.exchange(this.#words, at + SLOT_BODIES, 0));
      this.addLogPages(-Atomics.exchange(this.#words, at + SLOT_LOG, 0));
      Atomics.store(this.#words, at, 0);
    }
  }

  /**
   * The segment can be read from now on. in  who writes it, 0 = nobody any more. out  false: one that is older by all
   * places there are still has its own
   */
  setLive(segment: number, writer: number): boolean {
    const at = slotOfSegment(segment);
    if (Atomics.load(this.#words, at) !== 0) return false;
    Atomics.store(this.#words, at + 1, writer);
    Atomics.store(this.#words, at, segment);
    return true;
  }

  setDropped(segment: number): void {
    Atomics.compareExchange(this.#words, slotOfSegment(segment), segment, 0);
  }

  isLive(segment: number): boolean {
    return this.#words[slotOfSegment(segment)] === segment;
  }

  /** Nobody writes it any more. */
  setSealed(segment: number): void {
    if (this.isLive(segment)) Atomics.store(this.#words, slotOfSegment(segment) + 1, 0);
  }

  /** Segments that can be read, oldest first, with the process that writes each (0 = nobody). */
  segments(): { readonly segment: number; readonly writer: number }[] {
    const found: { segment: number; writer: number }[] = [];
    for (let at = SEGMENTS_AT; at < SEGMENTS_AT + SEGMENT_SLOTS * SEGMENT_WORDS; at += SEGMENT_WORDS) {
      const segment = Atomics.load(this.#words, at);
      if (segment !== 0) found.push({ segment, writer: Atomics.load(this.#words, at + 1) });
    }
    return found.sort((one, other) => one.segment - other.segment);
  }

  #ownSlot(): number {
    if (this.#slot === -1) this.#slot = this.#claimSlot();
    return this.#slot;
  }

  #claimSlot(): number {
    for (let round = 0; round < 2; round++) {
      for (let at = SLOTS_AT; at < SLOTS_END; at += SLOT_WORDS) {
        if (Atomics.compareExchange(this.#words, at, 0, process.pid) === 0) return at;
      }
      this.#forgetDead();
    }
    throw new Error(`more than ${SLOTS} processes use one cache folder`);
  }

  /** Processes of which nobody has said that they died. */
  #forgetDead(): void {
    for (let at = SLOTS_AT; at < SLOTS_END; at += SLOT_WORDS) {
      const pid = Atomics.load(this.#words, at);
      if (pid !== 0 && !isAlive(pid)) this.forgetProcess(pid);
    }
  }
}

const slotOfSegment = (segment: number) => SEGMENTS_AT + (segment % SEGMENT_SLOTS) * SEGMENT_WORDS;

/** One that has ended and was not waited for yet is dead: whoever should wait for it may never do so. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Its state follows its name, which may hold anything (proc_pid_stat(5)). */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] === "Z";
  } catch {
    return false; // it is hidden from us, or this system has no such files
  }
}
