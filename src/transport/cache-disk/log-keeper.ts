/**
 * Log keeper: what one process, control, does for the log of all: finds it again at start, seals what dead workers left,
 * drops the oldest segments.
 *
 * rule   what is still used when its segment goes is written again, but no more than half of a segment, or a full disk of
 *        used records would be written round and round
 * fails  a segment that cannot be read is dropped: it is a cache
 */
import { readdirSync, statSync, unlink, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { ColdIndex, ColdPlace } from "../../cache/body-files.ts";
import { type BodyFolder, logPagesAllowed } from "./body-folder.ts";
import type { ColdLog } from "./cold-log.ts";
import { type DiskBoard, PAGE_BYTES, pagesOf } from "./disk-board.ts";
import { segmentPath } from "./log-writer.ts";
import { type Listed, readListed } from "./segment-format.ts";
import { inOrder, type ListedSegment, readList, readSegment, sealSegment } from "./segment-reader.ts";
import { codeOf, type Trouble } from "./trouble.ts";

/** Segments that were open when everything ended; more than that is not worth a late start. */
const MAX_WALKED = 64;
const AT_ONCE = 8;
/** Rewriting goes on in pieces, so that control answers in between. */
const REWRITES_A_TURN = 64;

export interface LogKeeperOptions {
  readonly folder: string;
  readonly board: DiskBoard;
  readonly log: ColdLog;
  readonly bodies: BodyFolder;
  readonly budgetBytes: number;
  readonly segmentBytes: number;
  readonly trouble: Trouble;
  readonly nowMs: () => number;
}

export interface Restored {
  readonly segments: number;
  readonly records: number;
  /** Bodies of theirs, by id. */
  readonly bodies: ReadonlySet<number>;
}

export class LogKeeper {
  /** Segments dropped, records written again. */
  dropped = 0;
  rewritten = 0;
  readonly #options: LogKeeperOptions;
  #isReclaiming = false;

  constructor(options: LogKeeperOptions) {
    this.#options = options;
  }

  /** Finds the records of an earlier start. Before anybody else uses the log. */
  async restore(index: ColdIndex): Promise<Restored> {
    const { board, nowMs } = this.#options;
    const segments = this.#withinBudget(await this.#listAll()).filter(({ number, path }) => {
      const isLive = board.setLive(number, 0);
      if (!isLive) removeFile(path);
      return isLive;
    });
    for (const { bytes } of segments) board.addLogPages(pagesOf(bytes));
    const nowS = Math.floor(nowMs() / 1000);
    const bodies = new Set<number>();
    let records = 0;
    const byStamp = segments.toSorted((one, other) => one.trailer.firstStampMs - other.trailer.firstStampMs);
    await inOrder(byStamp, ({ list, index: at, segment }) => {
      const listed = readListed(list, at);
      if (listed.keepUntilS <= nowS) return;
      if (listed.length === 0) index.dropped(hashOf(listed), takenAway(listed));
      else if (this.#adopt(index, segment, listed)) {
        records++;
        if (listed.file !== undefined) bodies.add(listed.file.id);
      }
    });
    return { segments: segments.length, records, bodies };
  }

  /** out  false: the index has no room for it */
  #adopt(index: ColdIndex, segment: number, listed: Listed): boolean {
    const { bodies } = this.#options;
    const { file, keepUntilS } = listed;
    // counted first: the index may forget it at once
    if (file !== undefined) bodies.count(file, 1);
    const entry = { hash: hashOf(listed), place: placeOf(segment, listed), keepUntilS, file };
    const isKept = index.adopt(entry);
    if (file !== undefined && !isKept) bodies.count(file, -1);
    return isKept;
  }

  /** A process has died: its segments get their lists. */
  async sealOf(pid: number): Promise<void> {
    for (const { segment, writer } of this.#options.board.segments()) {
      if (writer === pid) await this.#sealDead(segment);
    }
  }

  /** Drops the oldest segments while the log takes more than its share; `isDue` says whether it does. */
  async reclaim(): Promise<void> {
    if (this.#isReclaiming) return;
    this.#isReclaiming = true;
    try {
      while (this.isDue && (await this.#dropOldest()));
    } finally {
      this.#isReclaiming = false;
    }
  }

  /** Two segments of room are kept for who begins the next. */
  get isDue(): boolean {
    const { board, budgetBytes, segmentBytes } = this.#options;
    const allowed = logPagesAllowed(Math.floor(budgetBytes / PAGE_BYTES), board.bodyPages);
    return board.logPages + 2 * pagesOf(segmentBytes) > allowed;
  }

  /** Every segment below the folder, oldest first, with its list; those without any worth are removed. */
  async #listAll(): Promise<ListedSegment[]> {
    const { folder } = this.#options;
    const names = readdirSync(folder)
      .filter((name) => /^[0-9a-f]{8}\.log$/.test(name))
      .sort();
    const listed: ListedSegment[] = [];
    let walked = 0;
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const found = await Promise.all(
        names.slice(at, at + AT_ONCE).map((name) => this.#list(name, () => walked++ < MAX_WALKED)),
      );
      for (const segment of found) if (segment !== undefined) listed.push(segment);
    }
    return listed;
  }

  async #list(name: string, mayWalk: () => boolean): Promise<ListedSegment | undefined> {
    const path = join(this.#options.folder, name);
    const number = Number.parseInt(name, 16);
    try {
      const known = await readSegment(path, number, statSync(path).size);
      const segment = known ?? (mayWalk() ? await sealSegment(path, number) : undefined);
      if (segment === undefined) unlinkSync(path);
      return segment;
    } catch (error) {
      this.#options.trouble.tell("cannot read a segment", codeOf(error));
      return undefined;
    }
  }

  /** The newest that fit; the budget may be smaller than it was. */
  #withinBudget(segments: readonly ListedSegment[]): ListedSegment[] {
    const kept: ListedSegment[] = [];
    let room = this.#options.budgetBytes;
    for (const segment of segments.toReversed()) {
      room -= segment.bytes;
      if (room >= 0) kept.push(segment);
      else removeFile(segment.path);
    }
    return kept.reverse();
  }

  async #sealDead(segment: number): Promise<void> {
    const { board, folder, segmentBytes, trouble } = this.#options;
    try {
      const listed = await sealSegment(segmentPath(folder, segment), segment);
      board.addLogPages(pagesOf(listed?.bytes ?? 0) - pagesOf(segmentBytes));
      if (listed !== undefined) board.setSealed(segment);
      else this.#remove(segment);
    } catch (error) {
      trouble.tell("cannot read a segment", codeOf(error));
      board.setSealed(segment);
    }
  }

  /** out  false when there is none that may be dropped */
  async #dropOldest(): Promise<boolean> {
    const { board, folder, segmentBytes } = this.#options;
    const oldest = board.segments().find(({ writer }) => writer === 0)?.segment;
    if (oldest === undefined) return false;
    const path = segmentPath(folder, oldest);
    let pages = pagesOf(segmentBytes);
    try {
      const listed = await readSegment(path, oldest, statSync(path).size);
      if (listed !== undefined) {
        pages = pagesOf(listed.bytes);
        await this.#rescue(listed);
      }
    } catch (error) {
      this.#options.trouble.tell("cannot read a segment", codeOf(error));
    }
    this.#remove(oldest);
    board.addLogPages(-pages);
    this.dropped++;
    return true;
  }

  #remove(segment: number): void {
    this.#options.board.setDropped(segment);
    this.#options.log.closeSegment(segment);
    removeFile(segmentPath(this.#options.folder, segment));
  }

  /** Writes again what is still used of a segment, and forgets the rest. */
  async #rescue(segment: ListedSegment): Promise<void> {
    const list = await readList(segment);
    const { log, segmentBytes } = this.#options;
    if (list === undefined || log.index === undefined) return;
    let roomBytes = Math.floor(segmentBytes / 2);
    for (let at = 0; at < segment.trailer.count; at++) {
      const listed = readListed(list, at);
      if (listed.length === 0) this.#keepNote(listed);
      else roomBytes -= await this.#keepOrDrop(listed, placeOf(segment.number, listed), roomBytes);
      if (at % REWRITES_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** That a record was taken away has to be known for as long as the record lies somewhere. */
  #keepNote(listed: Listed): void {
    const away = takenAway(listed);
    if (this.#options.board.isLive(away.segment)) this.#options.log.remove(hashOf(listed), away);
  }

  /** out  bytes written again */
  async #keepOrDrop(listed: Listed, place: ColdPlace, roomBytes: number): Promise<number> {
    const { index } = this.#options.log;
    const hash = hashOf(listed);
    const uses = index?.usesAt(hash, place) ?? -1;
    if (index === undefined || uses < 0) return 0;
    if (uses > 0 && listed.length <= roomBytes && (await this.#rewrite(listed, place, index))) {
      return listed.length;
    }
    index.dropped(hash, place);
    return 0;
  }

  async #rewrite(listed: Listed, place: ColdPlace, index: ColdIndex): Promise<boolean> {
    const { log } = this.#options;
    const record = await log.read(place);
    if (record === undefined) return false;
    const hash = hashOf(listed);
    const what = { hash, keepUntilS: listed.keepUntilS, file: listed.file };
    let to = log.append(record, what);
    if (to === undefined) {
      await log.flush();
      to = log.append(record, what);
    }
    if (to === undefined || !index.moved(hash, place, to)) return false;
    this.rewritten++;
    return true;
  }
}

const hashOf = ({ high, low }: Listed) => ({ high, low });

/** Which record a note says to be gone. */
const takenAway = ({ file }: Listed): ColdPlace => ({
  segment: file?.id ?? 0,
  offset: file?.length ?? 0,
  length: 0,
});

const placeOf = (segment: number, { offset, length }: Listed): ColdPlace => ({ segment, offset, length });

function removeFile(path: string): void {
  unlink(path, () => {
    // it is gone, or the whole folder is
  });
}
