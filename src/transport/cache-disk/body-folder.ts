/**
 * Body folder: the files of large bodies, in memory (/dev/shm) or on a disk.
 *
 * why    a body of any size must neither stand in the heap of a worker nor be copied for each; the kernel keeps files,
 *        and keeps them readable for who has them open when they are forgotten
 * rule   of the disk's budget, bodies and log each leave the other a slack to grow into until it has its half; what both
 *        take together never exceeds the budget, as room is taken before it is written
 * fails  whatever the file system refuses: the body is not kept, one line a minute says why, traffic goes on
 * note   in memory the store counts; here only the file system's own room is looked at
 */
import { mkdirSync, statfsSync, unlink } from "node:fs";
import type { BodyFiles } from "../../cache/body-files.ts";
import { hasRoomFor } from "../../cache/memory/arena.ts";
import type { BodyReader, BodyWriter } from "../../cache/store.ts";
import type { BodyRef } from "../../cache/stored.ts";
import { tailBytes } from "./blocks.ts";
import { BodyPlaces } from "./body-places.ts";
import { sweepBodies } from "./body-sweep.ts";
import { type BodyRoom, FileBodyWriter } from "./body-writer.ts";
import { type DiskBoard, PAGE_BYTES, pagesOf } from "./disk-board.ts";
import { isShortage } from "./file-calls.ts";
import { type DescriptorRoom, OpenBodies } from "./open-bodies.ts";
import { codeOf, type Trouble } from "./trouble.ts";

/** Room is taken in steps of 256 KiB. */
const STEP_PAGES = 64;
/** Bodies being written at once by one worker: each has a descriptor and up to 1 MiB that waits. */
const MAX_WRITERS = 256;
/** Longer than it takes to put what was finished, and to remove what was forgotten. */
const AUDIT_PAUSE_MS = 1000;

export interface BodyFolderOptions {
  readonly root: string;
  readonly board: DiskBoard;
  /** Of bodies and log together; undefined = the folder lies in memory, and the store counts. */
  readonly budgetBytes: number | undefined;
  readonly descriptors: DescriptorRoom;
  readonly trouble: Trouble;
}

export class BodyFolder implements BodyFiles, BodyRoom {
  readonly isMemory: boolean;
  readonly isChecked: boolean;
  readonly places: BodyPlaces;
  readonly #options: BodyFolderOptions;
  readonly #open: OpenBodies;
  readonly #limitPages: number;
  #writerCount = 0;

  constructor(options: BodyFolderOptions) {
    this.#options = options;
    this.isMemory = options.budgetBytes === undefined;
    this.isChecked = !this.isMemory;
    this.#limitPages = Math.floor((options.budgetBytes ?? 0) / PAGE_BYTES);
    this.places = new BodyPlaces(options.root);
    this.#open = new OpenBodies(this.places, options.descriptors, this.isChecked);
  }

  get budgetBytes(): number {
    if (this.isMemory) return Number.MAX_SAFE_INTEGER;
    return bodyPagesAllowed(this.#limitPages, this.#options.board.logPages) * PAGE_BYTES;
  }

  /** Bytes of all bodies, those under way too. */
  get usedBytes(): number {
    return this.#options.board.bodyPages * PAGE_BYTES;
  }

  /** Bytes of bodies that this worker has in its own memory. */
  get hotBytes(): number {
    return this.#open.hotBytes;
  }

  create(expectedBytes: number): BodyWriter | undefined {
    const { board, descriptors } = this.#options;
    if (this.#writerCount >= MAX_WRITERS || !descriptors.mayOpen()) return undefined;
    if (this.isMemory && !hasFreeMemory(this.places.root, expectedBytes)) {
      this.failed("ENOSPC");
      return undefined;
    }
    const pages = this.#pagesFor(Math.max(0, expectedBytes));
    if (!this.isMemory && !board.reserve(pages, this.#limitPages)) return undefined;
    this.#writerCount++;
    descriptors.openCount++;
    const writer = new FileBodyWriter(this, board.nextBodyId());
    writer.reservedPages = pages;
    return writer;
  }

  async open(ref: BodyRef): Promise<BodyReader | undefined> {
    try {
      return await this.#open.open(ref);
    } catch (error) {
      if (isShortage(error)) throw error;
      this.#options.trouble.tell("cannot read a body", codeOf(error));
      return undefined;
    }
  }

  remove(ref: BodyRef): void {
    this.#open.forget(ref.id);
    unlink(this.places.bodyOf(ref.id), (error) => {
      // a file that is gone was counted all the same: each is forgotten once, by who took its entry away
      if (error === null || error.code === "ENOENT") this.count(ref, -1);
      else this.#options.trouble.tell("cannot remove a body", error.code ?? "");
    });
  }

  /** A file that an earlier start has left counts from now on (1), or is gone (-1). */
  count({ length }: BodyRef, sign: 1 | -1): void {
    if (!this.isMemory) this.#options.board.addBodyPages(sign * this.#pagesFor(length));
  }

  /** Ids that were given are below it. */
  get idsEnd(): number {
    return this.#options.board.bodyIdsEnd;
  }

  /**
   * Removes files that nobody refers to, and tells the board what the others take: a process that was killed leaves what
   * it had finished and not put, and what it had forgotten and not removed.
   * in  `refsOf` all bodies that are kept; ids from `end` on are not looked at. out  files removed
   */
  async audit(refsOf: () => Promise<readonly BodyRef[]>, end: number): Promise<number> {
    const kept = await refsOf();
    const surplus = this.#surplusPages(kept);
    const removed = await sweepBodies(this.places, new Set(kept.map(({ id }) => id)), end);
    if (this.isMemory) return removed;
    // what others finish or remove just now is in one of the two, what is wrong in both
    await new Promise((resolve) => setTimeout(resolve, AUDIT_PAUSE_MS).unref());
    const again = this.#surplusPages(await refsOf());
    const isWrong = surplus !== 0 && Math.sign(surplus) === Math.sign(again);
    if (isWrong) this.#options.board.addBodyPages(Math.abs(surplus) < Math.abs(again) ? -surplus : -again);
    return removed;
  }

  /** Pages that the board counts and nobody has, or the other way round. */
  #surplusPages(kept: readonly BodyRef[]): number {
    const { board } = this.#options;
    const pages = kept.reduce((sum, { length }) => sum + this.#pagesFor(length), 0);
    return board.bodyPages - board.reservedPages - pages;
  }

  /** Gives back descriptors that nobody uses, as when the worker has too few. */
  closeIdle(): void {
    this.#open.closeIdle();
  }

  grow(writer: FileBodyWriter, length: number): boolean {
    if (this.isMemory) return true;
    const more = this.#pagesFor(length) - writer.reservedPages;
    if (more <= 0) return true;
    const pages = Math.max(more, STEP_PAGES);
    if (!this.#options.board.reserve(pages, this.#limitPages)) return false;
    writer.reservedPages += pages;
    return true;
  }

  kept(writer: FileBodyWriter): void {
    this.#ended();
    if (this.isMemory) return;
    const pages = this.#pagesFor(writer.length);
    this.#options.board.settle(pages);
    this.#options.board.release(writer.reservedPages - pages);
  }

  gone(writer: FileBodyWriter): void {
    this.#ended();
    if (!this.isMemory) this.#options.board.release(writer.reservedPages);
  }

  failed(code: string): void {
    this.#options.trouble.tell("cannot write a body", code);
  }

  async readWhole(ref: BodyRef, position: number, end: number): Promise<Buffer> {
    const reader = await this.#open.open(ref);
    if (reader === undefined) throw new Error("the body is gone");
    try {
      return await reader.read(position, end);
    } finally {
      reader.close();
    }
  }

  #ended(): void {
    this.#writerCount--;
    this.#options.descriptors.openCount--;
  }

  #pagesFor(length: number): number {
    return pagesOf(length + (this.isChecked ? tailBytes(length) : 0));
  }
}

/** Makes the folders; throws as `mkdir` does. */
export function makeBodyFolders(root: string): void {
  const { bodies, parts } = new BodyPlaces(root);
  mkdirSync(bodies, { recursive: true, mode: 0o700 });
  mkdirSync(parts, { recursive: true, mode: 0o700 });
}

/** One side leaves the other this share of the budget free to grow into. */
const SLACK_PARTS = 16;

/** Pages that bodies may take. */
export function bodyPagesAllowed(limitPages: number, logPages: number): number {
  return pagesAllowed(limitPages, logPages);
}

/** Pages that the log may take: the same rule from the other side. */
export function logPagesAllowed(limitPages: number, bodyPages: number): number {
  return pagesAllowed(limitPages, bodyPages);
}

function pagesAllowed(limitPages: number, othersPages: number): number {
  const half = Math.floor(limitPages / 2);
  const slack = Math.floor(limitPages / SLACK_PARTS);
  const isOtherSmall = othersPages + slack < half;
  return Math.max(
    0,
    isOtherSmall ? limitPages - othersPages - slack : Math.min(half, limitPages - othersPages),
  );
}

function hasFreeMemory(folder: string, bytes: number): boolean {
  try {
    return hasRoomFor(Math.max(0, bytes), statfsSync(folder));
  } catch {
    return false; // the folder is gone: `create` would fail too
  }
}
