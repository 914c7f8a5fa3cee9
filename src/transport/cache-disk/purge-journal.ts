/**
 * Purge journal: what was purged, on the disk before it is answered, so that no crash brings it back.
 *
 * shape  a snapshot of the board (its own bytes, with a checksum), written whole and renamed into place; beside it a list of
 *        the purges since, one line each with a checksum, synced in groups
 * rule   only control writes here. A purge is in force first and on the disk before its answer
 * rule   marks of stored responses must never be ahead of the clock after a crash, or a later purge would miss them. So a
 *        snapshot allows the clock to run CLOCK_AHEAD further; after a crash it starts from there
 * fails  a damaged snapshot, or one of another version: the cache starts empty, as nobody knows what was purged
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PurgeScope } from "../../cache/store.ts";
import { closeFile, openFile, syncFile, writeAll } from "./file-calls.ts";
import { codeOf } from "./trouble.ts";

const SNAPSHOT_MAGIC = 0x50_52_45_57; // "WERP"
const VERSION = 1;
/** magic, version, clock's ceiling, is it final, length, CRC-32 of all but this */
const HEAD_BYTES = 24;
const CLOCK_AHEAD = 1 << 20;
/** After so many purges the list is replaced by a snapshot. */
const MANY_PURGES = 4096;
/** What workers purged by themselves is on the disk after so long. */
const SAVE_MS = 5000;
/** Clocks are 32-bit words: far below their end a cache is begun anew. */
const LAST_CLOCK = 1 << 30;

/** The board, as the journal sees it: `cache/purge-board.ts` is one. */
export interface JournaledBoard {
  readonly clock: number;
  snapshot(): Buffer;
  nextClock(): number;
  purgeAt(scope: PurgeScope, isSoft: boolean, clock: number): void;
  /** No clock up to this one is given any more. */
  skipTo(clock: number): void;
}

interface Purge {
  readonly scope: PurgeScope;
  readonly isSoft: boolean;
  readonly clock: number;
}

/** What an earlier start has left. */
export interface SavedPurges {
  readonly snapshot: Buffer;
  readonly purges: readonly Purge[];
  /** Where the clock goes on. */
  readonly clock: number;
}

export class PurgeJournal {
  readonly #folder: string;
  /** False while another control writes here too, over an upgrade: then only whole snapshots are written. */
  readonly #isAlone: () => boolean;
  #board: JournaledBoard | undefined;
  #ceiling = 0;
  #savedClock = -1;
  #savedAtMs = 0;
  #list = -1;
  #listBytes = 0;
  #count = 0;
  #waiting: { readonly line: string; readonly done: (problem: string | undefined) => void }[] = [];
  #isWriting = false;

  constructor(folder: string, isAlone: () => boolean) {
    this.#folder = folder;
    this.#isAlone = isAlone;
  }

  get #snapshotPath(): string {
    return join(this.#folder, "purges.snapshot");
  }

  get #listPath(): string {
    return join(this.#folder, "purges.list");
  }

  /** out  undefined: there is nothing, or nothing that can be trusted */
  read(): SavedPurges | undefined {
    const saved = readSnapshot(readOrEmpty(this.#snapshotPath));
    if (saved === undefined) return undefined;
    const purges = readList(readOrEmpty(this.#listPath).toString("utf8"));
    const last = purges.reduce((clock, purge) => Math.max(clock, purge.clock), saved.ceiling);
    return last >= LAST_CLOCK ? undefined : { snapshot: saved.board, purges, clock: last };
  }

  /** Does again what came after the snapshot that the board was made from. */
  static replay(board: JournaledBoard, { purges, clock }: SavedPurges): void {
    for (const purge of purges) board.purgeAt(purge.scope, purge.isSoft, purge.clock);
    board.skipTo(clock);
  }

  /** From now on this board's purges are kept. Throws when the folder cannot be written. */
  begin(board: JournaledBoard): void {
    this.#board = board;
    this.#save(false);
  }

  /**
   * Purges, and settles when no crash can undo it.
   * out  undefined, or why it may be undone by a crash: it is in force all the same
   */
  purge(scope: PurgeScope, isSoft: boolean): Promise<string | undefined> {
    const board = this.#board;
    if (board === undefined) throw new Error("the journal has not begun");
    const clock = board.nextClock();
    board.purgeAt(scope, isSoft, clock);
    if (!this.#isAlone()) return Promise.resolve(this.#trySave());
    return new Promise((resolve) => {
      this.#waiting.push({ line: writeLine({ scope, isSoft, clock }), done: resolve });
      void this.#writeNext();
    });
  }

  /** About once a second. out  undefined, or why a snapshot that was due could not be written */
  look(): string | undefined {
    const board = this.#board;
    if (board === undefined || this.#isWriting || board.clock === this.#savedClock) return undefined;
    const isDue =
      performance.now() >= this.#savedAtMs + SAVE_MS ||
      this.#count >= MANY_PURGES ||
      board.clock > this.#ceiling - CLOCK_AHEAD / 2;
    return isDue ? this.#trySave() : undefined;
  }

  /** The last snapshot, when no worker purges any more: the next start goes on from this clock. */
  async end(): Promise<void> {
    if (this.#isWriting) await new Promise((done) => this.#waiting.push({ line: "", done }));
    if (this.#board !== undefined && this.#isAlone()) this.#save(true);
    this.#board = undefined;
    if (this.#list !== -1) closeSync(this.#list);
    this.#list = -1;
  }

  #trySave(): string | undefined {
    try {
      this.#save(false);
      return undefined;
    } catch (error) {
      return `cannot write ${this.#snapshotPath}: ${codeOf(error)}`;
    }
  }

  async #writeNext(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0);
      const problem = await this.#append(group.map(({ line }) => line).join(""));
      for (const { done } of group) done(problem);
      this.#count += group.length;
    }
    this.#isWriting = false;
  }

  async #append(text: string): Promise<string | undefined> {
    try {
      // not for appending: what a write that failed has left there is written over by the next
      if (this.#list === -1) this.#list = await openFile(this.#listPath, "w");
      const bytes = Buffer.from(text);
      await writeAll(this.#list, bytes, this.#listBytes);
      this.#listBytes += bytes.length;
      await syncFile(this.#list);
      return undefined;
    } catch (error) {
      return `cannot write ${this.#listPath}: ${codeOf(error)}`;
    }
  }

  /** Writes the board as it is, and begins a new list. */
  #save(isFinal: boolean): void {
    const board = this.#board as JournaledBoard;
    const { clock } = board;
    const ceiling = isFinal ? clock : clock + CLOCK_AHEAD;
    writeDurably(this.#snapshotPath, snapshotBytes(board.snapshot(), ceiling, isFinal));
    this.#ceiling = ceiling;
    this.#savedClock = clock;
    this.#savedAtMs = performance.now();
    this.#count = 0;
    if (this.#list !== -1) closeFile(this.#list);
    this.#list = -1;
    this.#listBytes = 0;
    try {
      unlinkSync(this.#listPath);
    } catch {
      // there was none; what stays is in the snapshot too
    }
  }
}

function snapshotBytes(board: Buffer, ceiling: number, isFinal: boolean): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(SNAPSHOT_MAGIC, 0);
  head.writeUInt32LE(VERSION, 4);
  head.writeUInt32LE(ceiling, 8);
  head.writeUInt32LE(isFinal ? 1 : 0, 12);
  head.writeUInt32LE(board.length, 16);
  head.writeUInt32LE(Bun.hash.crc32(board, Bun.hash.crc32(head.subarray(0, 20))), 20);
  return Buffer.concat([head, board]);
}

function readSnapshot(bytes: Buffer): { readonly board: Buffer; readonly ceiling: number } | undefined {
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(0) !== SNAPSHOT_MAGIC) return undefined;
  const board = bytes.subarray(HEAD_BYTES);
  const isIt =
    bytes.readUInt32LE(4) === VERSION &&
    bytes.readUInt32LE(16) === board.length &&
    bytes.readUInt32LE(20) === Bun.hash.crc32(board, Bun.hash.crc32(bytes.subarray(0, 20)));
  return isIt ? { board, ceiling: bytes.readUInt32LE(8) } : undefined;
}

function writeLine(purge: Purge): string {
  const text = JSON.stringify(purge);
  return `${Bun.hash.crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
}

/** Lines up to the first that is not whole: it was never answered. */
function readList(text: string): Purge[] {
  const purges: Purge[] = [];
  for (const line of text.split("\n")) {
    const body = line.slice(9);
    if (line === "" || Bun.hash.crc32(body) !== Number.parseInt(line.slice(0, 8), 16)) break;
    purges.push(JSON.parse(body) as Purge);
  }
  return purges;
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** All of it, or what was there before: also after a power cut. */
export function writeDurably(path: string, bytes: Buffer): void {
  const file = openSync(`${path}.new`, "w", 0o600);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } catch {
    // not every file system syncs folders
  } finally {
    closeSync(folder);
  }
}
