/**
 * Cold side: what the index tells the disk log, and is told by it.
 *
 * rule   the log numbers its segments for good, so a place that the index holds is that record or nothing
 */
import type { ColdEntry, ColdIndex, ColdPlace, KeyHash } from "../body-files.ts";
import {
  COLD_OFFSET,
  COLD_SEGMENT,
  HIGH,
  KEEP_UNTIL,
  LENGTH,
  LOW,
  NOWHERE,
  PLACE,
  PUBLISHED,
  USES,
} from "./cache-index.ts";
import { ENTRY_WORDS, WAYS } from "./layout.ts";
import { type StoreParts, writeEntry } from "./parts.ts";

export class ColdSide implements ColdIndex {
  readonly #parts: StoreParts;
  #hasAdopted = false;

  /** What is in memory came after the start, and so after everything that is adopted. */
  readonly #isNotInMemory = (at: number) => at === -1 || this.#parts.index.words[at + PLACE] === NOWHERE;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  usesAt(hash: KeyHash, place: ColdPlace): number {
    const at = this.#find(hash, place);
    return at === -1 ? -1 : (this.#parts.index.words[at + USES] as number);
  }

  moved(hash: KeyHash, from: ColdPlace, to: ColdPlace): boolean {
    return this.#change(hash, from, (words, at) => {
      words[at + COLD_SEGMENT] = to.segment;
      words[at + COLD_OFFSET] = to.offset | 0;
      // used once more on the disk, it has to be used again to stay there the next time
      words[at + USES] = Math.max(0, (words[at + USES] as number) - 1);
    });
  }

  dropped(hash: KeyHash, place: ColdPlace): void {
    const { index, room } = this.#parts;
    const at = this.#find(hash, place);
    if (at === -1) return;
    if (index.words[at + PLACE] === NOWHERE) room.drop(at);
    else this.#change(hash, place, (words, entry) => (words[entry + COLD_SEGMENT] = 0));
  }

  adopt({ hash, place, keepUntilS, file }: ColdEntry): boolean {
    if (!this.#hasAdopted) this.#parts.board.knowAll();
    this.#hasAdopted = true;
    return writeEntry(
      this.#parts,
      {
        high: hash.high | 0,
        low: hash.low | 0,
        place: NOWHERE,
        length: place.length,
        cold: place,
        keepUntilS,
        file,
        isMain: false,
      },
      this.#isNotInMemory,
    );
  }

  entries(from: number, limit: number): { readonly entries: readonly ColdEntry[]; readonly next: number } {
    const { index } = this.#parts;
    const entries: ColdEntry[] = [];
    let bucket = from;
    for (; bucket < index.buckets && entries.length < limit; bucket++) {
      for (let slot = bucket * WAYS; slot < (bucket + 1) * WAYS; slot++) {
        const entry = this.#entryAt(slot * ENTRY_WORDS);
        if (entry !== undefined) entries.push(entry);
      }
    }
    return { entries, next: bucket };
  }

  #entryAt(at: number): ColdEntry | undefined {
    const { index } = this.#parts;
    const { words } = index;
    const published = index.publishedAt(at);
    const segment = words[at + COLD_SEGMENT] as number;
    if (published === 0 || segment === 0) return undefined;
    const entry = {
      hash: { high: (words[at + HIGH] as number) >>> 0, low: (words[at + LOW] as number) >>> 0 },
      place: {
        segment,
        offset: (words[at + COLD_OFFSET] as number) >>> 0,
        length: words[at + LENGTH] as number,
      },
      keepUntilS: words[at + KEEP_UNTIL] as number,
      file: index.fileOf(at),
    };
    return index.publishedAt(at) === published ? entry : undefined;
  }

  #find({ high, low }: KeyHash, { segment, offset }: ColdPlace): number {
    const { index } = this.#parts;
    const at = index.find(high | 0, low | 0);
    if (at === -1 || index.words[at + COLD_SEGMENT] !== segment) return -1;
    return index.words[at + COLD_OFFSET] === (offset | 0) ? at : -1;
  }

  #change(hash: KeyHash, place: ColdPlace, change: (words: Int32Array, at: number) => void): boolean {
    const { index } = this.#parts;
    const bucket = index.bucketOf(hash.high | 0);
    if (!index.lock(bucket)) return false;
    const at = this.#find(hash, place);
    const isOurs = at !== -1 && index.words[at + PUBLISHED] !== 0 && index.hide(at, index.publishedAt(at));
    if (isOurs) {
      change(index.words, at);
      index.showAgain(at);
    }
    index.unlock(bucket);
    return isOurs;
  }
}
