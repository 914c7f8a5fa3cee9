/**
 * Disk tier: the cache on a disk, as a worker uses it (`openDiskTier`) and as control keeps it (`DiskKeeper`).
 *
 * shape  control, once: lock the folder, read what was purged, make the shared memory with the secret that the folder
 *        remembers, restore. Then about once a second `look`. Workers: open, append, read
 * rule   purges are written by control alone; segments by who appends; the board's words by all
 * fails  a folder that cannot be used is said with what to do; a cache that cannot be trusted is begun anew
 */
import { readdirSync } from "node:fs";
import type { ColdIndex } from "../../cache/body-files.ts";
import { secretIn } from "../../cache/purge-board.ts";
import type { PurgeScope } from "../../cache/store.ts";
import { BodyFolder } from "./body-folder.ts";
import { removeParts, sweepBodies } from "./body-sweep.ts";
import { ColdLog } from "./cold-log.ts";
import { DiskBoard } from "./disk-board.ts";
import {
  beginStart,
  blockedAt,
  boardPath,
  empty,
  inspect,
  lockPath,
  logFolder,
  makeFolder,
  type Owner,
} from "./disk-folder.ts";
import { FolderLock } from "./folder-lock.ts";
import { LogKeeper } from "./log-keeper.ts";
import type { DescriptorRoom } from "./open-bodies.ts";
import { type JournaledBoard, PurgeJournal, type SavedPurges } from "./purge-journal.ts";
import { segmentBytesOf } from "./segment-format.ts";
import { codeOf, Trouble } from "./trouble.ts";

export interface DiskOptions {
  readonly path: string;
  readonly budgetBytes: number;
  readonly descriptors: DescriptorRoom;
  /** One line for the log, a minute at most. */
  readonly report: (line: string) => void;
}

export interface KeeperOptions extends DiskOptions {
  /** User of the workers, when that is another than ours. */
  readonly owner: Owner | undefined;
}

/** What a worker has of it. */
export interface DiskTier {
  readonly files: BodyFolder;
  readonly records: ColdLog;
  /** Writes what waits: before the process ends. */
  close(): Promise<void>;
}

/** Opens the tier of a folder that control keeps. Throws when that is not there. */
export function openDiskTier(options: DiskOptions): DiskTier {
  return tierOf(options, DiskBoard.open(boardPath(options.path)), undefined);
}

function tierOf(options: DiskOptions, board: DiskBoard, keeper: KeeperOptions | undefined) {
  const { budgetBytes, descriptors, path } = options;
  const trouble = new Trouble(path, options.report);
  const files = new BodyFolder({ root: path, board, budgetBytes, descriptors, trouble });
  const log = {
    folder: logFolder(path),
    board,
    budgetBytes,
    segmentBytes: segmentBytesOf(budgetBytes),
    trouble,
    nowMs: Date.now,
  };
  const records = new ColdLog({ ...log, descriptors, owner: keeper?.owner, isKeeper: keeper !== undefined });
  const logKeeper = new LogKeeper({ ...log, log: records, bodies: files });
  return { files, records, trouble, logKeeper, close: () => records.close() };
}

export interface RestoreResult {
  readonly records: number;
  readonly segments: number;
  readonly ms: number;
}

/** A folder that was opened, or why not, for people. */
export type Opened = { readonly keeper: DiskKeeper } | { readonly problem: string };

export class DiskKeeper {
  /** What was purged before: the shared memory must be made with it (`CacheZone.create`). undefined: begun anew. */
  readonly board: Buffer | undefined;
  /** Settles when files that nobody refers to are gone. out  how many there were */
  swept: Promise<number> = Promise.resolve(0);
  readonly #options: KeeperOptions;
  readonly #words: DiskBoard;
  readonly #lock: FolderLock;
  readonly #journal: PurgeJournal;
  readonly #tier: ReturnType<typeof tierOf>;
  readonly #firstId: number;
  #saved: SavedPurges | undefined;
  #again: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    options: KeeperOptions,
    own: { board: DiskBoard; lock: FolderLock; firstId: number; saved: SavedPurges | undefined },
  ) {
    this.#options = options;
    this.#words = own.board;
    this.#lock = own.lock;
    this.#firstId = own.firstId;
    this.#saved = own.saved;
    this.board = own.saved?.snapshot;
    this.#journal = new PurgeJournal(options.path, () => this.#lock.isHeld);
    this.#tier = tierOf(options, own.board, options);
  }

  /** Locks the folder and makes it ready; `restore` follows. */
  static open(options: KeeperOptions): Opened {
    const { path, owner, report } = options;
    try {
      makeFolder(path, owner);
      const blocked = blockedAt(path, owner);
      if (blocked !== undefined) return { problem: notPassable(path, blocked) };
      const lock = new FolderLock(lockPath(path));
      const taken = lock.take();
      if (!taken.isTaken) return { problem: inUse(path, taken.holder) };
      const { starts, problem } = inspect(path, owner);
      const saved = problem === undefined ? readPurges(path) : undefined;
      const why =
        problem ?? (saved === undefined && starts > 0 ? "what was purged cannot be read" : undefined);
      if (saved === undefined) empty(path);
      if (why !== undefined) report(`cache: begins empty in ${path}: ${why}`);
      const start = beginStart(path, starts, owner);
      const firstId = start * 2 ** 32;
      const board = DiskBoard.create(
        boardPath(path),
        { bodyId: firstId, segment: nextSegmentIn(path) },
        owner,
      );
      return { keeper: new DiskKeeper(options, { board, lock, firstId, saved }) };
    } catch (error) {
      return { problem: `cannot use the cache's folder ${path}: ${codeOf(error)}. ${ADVICE}` };
    }
  }

  /** Takes over from an older control that still runs: folder, board and shared memory go on as they are. */
  static adopt(options: KeeperOptions, purges: JournaledBoard): Opened {
    try {
      const board = DiskBoard.open(boardPath(options.path));
      const lock = new FolderLock(lockPath(options.path));
      lock.take();
      const keeper = new DiskKeeper(options, { board, lock, firstId: 0, saved: undefined });
      keeper.#journal.begin(purges);
      return { keeper };
    } catch (error) {
      return { problem: `cannot take over the cache's folder ${options.path}: ${codeOf(error)}` };
    }
  }

  /** For the store that control has for itself: pass them to `openMemoryStore`. */
  get tier(): DiskTier {
    return this.#tier;
  }

  /**
   * Takes over later purges and the records of earlier starts into shared memory made with `board`, before workers use it.
   * Throws when the folder cannot be written.
   */
  async restore(index: ColdIndex, purges: JournaledBoard): Promise<RestoreResult> {
    const startedMs = performance.now();
    const saved = this.#saved;
    this.#saved = undefined;
    if (saved !== undefined) PurgeJournal.replay(purges, saved);
    this.#journal.begin(purges);
    const found = saved === undefined ? undefined : await this.#tier.logKeeper.restore(index);
    const { places } = this.#tier.files;
    this.swept = sweepBodies(places, found?.bodies ?? new Set(), this.#firstId);
    const ms = performance.now() - startedMs;
    return { records: found?.records ?? 0, segments: found?.segments ?? 0, ms };
  }

  /**
   * Purges, and settles when no crash can undo it. out  undefined, or why a crash might: it is in force all the same
   */
  purge(scope: PurgeScope, isSoft: boolean): Promise<string | undefined> {
    return this.#journal.purge(scope, isSoft);
  }

  /** Once a second: room for what comes, purges of workers, and the lock that a predecessor had. */
  look(): void {
    if (!this.#lock.isHeld && !this.#lock.take().isTaken) return;
    const problem = this.#journal.look();
    if (problem !== undefined) this.#tier.trouble.tell("cannot write purges", problem);
    if (this.#tier.logKeeper.isDue) this.#reclaim();
  }

  /** While the disk is being filled, one look a second would come too late. */
  #reclaim(): void {
    clearTimeout(this.#again);
    void this.#tier.logKeeper.reclaim().then(() => {
      if (this.#isClosed) return;
      this.#again = setTimeout(() => this.look(), RECLAIM_MS);
      this.#again.unref();
    });
  }

  /** A worker has died: what it was writing is given up, what it has written gets its list. */
  async forgetWorker(pid: number): Promise<void> {
    this.#words.forgetProcess(pid);
    removeParts(this.#tier.files.places, (writer) => writer === pid);
    await this.#tier.logKeeper.sealOf(pid);
  }

  /** A newer control goes on with the folder; ours only ends. */
  handOver(): void {
    this.#isClosed = true;
    clearTimeout(this.#again);
    this.#lock.release();
  }

  /** What there is, for status and metrics. */
  usage(): { readonly bodyBytes: number; readonly logBytes: number; readonly budgetBytes: number } {
    return {
      bodyBytes: this.#words.bodyPages * 4096,
      logBytes: this.#words.logPages * 4096,
      budgetBytes: this.#options.budgetBytes,
    };
  }

  /** Who was to go on with the folder has failed: purges are written down here again. Throws as `restore` does. */
  takeBack(purges: JournaledBoard): void {
    this.#journal.begin(purges);
  }

  /** After the workers have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#again);
    await this.#tier.close();
    await this.#journal.end();
    this.#lock.release();
  }
}

/** Two segments of 16 MiB in a tenth of a second: as fast as most disks write. */
const RECLAIM_MS = 100;

const ADVICE = "Let the user that starts Weir make and write it, or choose another cache.disk.path.";

const inUse = (path: string, holder: string) =>
  `cache.disk.path ${path} is used by another Weir${holder === "" ? "" : ` (process ${holder})`}. Stop that one, or give each its own folder.`;

const notPassable = (path: string, folder: string) =>
  `cache.disk.path ${path} cannot be reached by the user of the workers (server.user): ${folder} lets nobody else through. Choose another path, or chmod o+x ${folder}.`;

function readPurges(path: string): SavedPurges | undefined {
  const saved = new PurgeJournal(path, () => true).read();
  return saved === undefined || secretIn(saved.snapshot) === undefined ? undefined : saved;
}

/** Numbers are never used again while a segment of an earlier one may lie there. */
function nextSegmentIn(path: string): number {
  const last = readdirSync(logFolder(path))
    .filter((name) => name.endsWith(".log"))
    .reduce((most, name) => Math.max(most, Number.parseInt(name, 16) || 0), 0);
  return last + 1;
}
