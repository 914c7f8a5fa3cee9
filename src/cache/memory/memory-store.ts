/**
 * Memory store: the cache of all workers of a machine, as one worker sees it.
 *
 * why    a response that one worker stored is a hit for all, and a worker that dies takes nothing with it
 * in     shared memory (`zone/cache-zone.ts`, or `privateMemory` for one process alone), and whoever keeps body files and,
 *        with a disk, cold records
 * shape  near responses (decoded, this worker's) → index → records in memory → cold records. `find` takes no lock: it
 *        copies a record out and then makes sure that it was that record
 * rule   a worker that is killed at any instant leaves nothing that is found wrong and nothing that stops the others;
 *        control then calls `forgetWorker`
 * cost   a near hit takes some 100 ns; another one a copy and a decoding, some µs
 */
import type { ColdIndex, ColdPlace } from "../body-files.ts";
import { urlOfKey } from "../key.ts";
import { Near, type NearResponse } from "../near.ts";
import { decodeRecord, encodeRecord, keepUntilMs, recordBytesOf } from "../record.ts";
import type { BodyReader, BodyWriter, CacheStore, Cold, NewResponse } from "../store.ts";
import type { BodyRef, StoredResponse } from "../stored.ts";
import { RoomyWriter } from "./body-writer.ts";
import { COLD_OFFSET, COLD_SEGMENT, FLAGS, IN_MAIN, LENGTH, NOWHERE, PUBLISHED } from "./cache-index.ts";
import { ColdSide } from "./cold-side.ts";
import { LARGEST_RECORD, ROW_REFUSED, ROW_STORED, ROW_WORDS, type SharedMemory } from "./layout.ts";
import { type MemoryStoreOptions, partsOf, type StoreParts, wholeSeconds, writeEntry } from "./parts.ts";
import { forgetRow, responseAt } from "./sweep.ts";

const MOST_NEAR_BYTES = 32 * 1024 * 1024;
const NEAR_SHARE = 8;
/** A body may take this part of the budget, so that one does not push out everything else. */
const BODY_SHARE = 4;
/** Reservation for a body whose length nobody told. */
const UNKNOWN_LENGTH_BYTES = 1024 * 1024;

interface Found {
  readonly response: StoredResponse;
  readonly published: number;
  readonly length: number;
}

/** Opens the store for this process. Its row must be its own; what a predecessor left open in that row is closed. */
export function openMemoryStore(memory: SharedMemory, options: MemoryStoreOptions): MemoryStore {
  const parts = partsOf(memory, options);
  forgetRow(parts);
  return new MemoryStore(parts, options.nearBytes);
}

export class MemoryStore implements CacheStore {
  readonly board;
  readonly smallBytes: number;
  /** For reports and sweeps. */
  readonly parts: StoreParts;
  readonly #near: Near;
  readonly #words: Int32Array;
  readonly #scratch: Buffer;

  constructor(parts: StoreParts, nearBytes?: number) {
    const { layout } = parts.memory;
    this.parts = parts;
    this.board = parts.board;
    this.smallBytes = layout.smallBytes;
    this.#near = new Near(nearBytes ?? Math.min(MOST_NEAR_BYTES, layout.dataBytes / NEAR_SHARE));
    this.#words = parts.index.words;
    this.#scratch = Buffer.allocUnsafeSlow(layout.smallBytes);
    parts.cold?.attach(this.coldIndex());
  }

  /** What the disk log needs to know of the index. */
  coldIndex(): ColdIndex {
    return new ColdSide(this.parts);
  }

  get largestBodyBytes(): number {
    const { files, memory } = this.parts;
    if (files === undefined) return 0;
    return (files.isMemory ? memory.layout.dataBytes : files.budgetBytes) / BODY_SHARE;
  }

  find(key: string, nowMs: number): StoredResponse | Cold | undefined {
    const near = this.#near.get(key);
    if (near !== undefined) {
      if (this.#words[near.entry + PUBLISHED] === near.published && nowMs <= near.keepUntilMs) {
        if (near.seenMade === this.board.made || this.#isStillThere(near)) {
          this.parts.index.use(near.entry);
          return near.response;
        }
      }
      this.#near.delete(key);
    }
    return this.#findFar(key, nowMs);
  }

  /** As `find`, without counting as a use, and purged ones too. */
  peek(key: string): StoredResponse | Cold | undefined {
    const at = this.#entryOf(key);
    if (at === -1) return undefined;
    return this.#recordAt(at, key)?.response ?? this.#coldAt(at, key);
  }

  read(cold: Cold): Promise<StoredResponse | undefined> {
    const { key } = cold;
    const at = this.#entryOf(key);
    const place = at === -1 ? undefined : this.#coldPlaceAt(at);
    if (place === undefined || this.parts.cold === undefined) return Promise.resolve(this.#readNear(key));
    return this.parts.cold.read(place).then(
      (bytes) => this.#warm(key, place, bytes),
      () => undefined, // it cannot be had just now: that is no reason to forget it
    );
  }

  put(response: NewResponse): boolean {
    const isTaken = this.#put(response);
    const { memory, row, room } = this.parts;
    Atomics.add(memory.rows, row * ROW_WORDS + (isTaken ? ROW_STORED : ROW_REFUSED), 1);
    if (!isTaken) room.abandon(response.file);
    return isTaken;
  }

  remove(key: string): void {
    this.#near.delete(key);
    const { hasher, index, room, board, cold } = this.parts;
    hasher.hash(key);
    const { high, low } = hasher;
    const bucket = index.bucketOf(high);
    // with the lock: an entry that is being moved is out of sight for an instant, and would come back
    if (!index.lock(bucket)) {
      board.purge({ kind: "url", url: urlOfKey(key) }, false);
      return;
    }
    const at = index.find(high, low);
    const place = at === -1 ? undefined : this.#coldPlaceAt(at);
    if (at !== -1) room.drop(at);
    index.unlock(bucket);
    if (place !== undefined) cold?.remove?.({ high, low }, place);
  }

  claimRefresh(key: string, nowMs: number, withinMs: number): boolean {
    const at = this.#entryOf(key);
    return at === -1 || this.parts.index.claim(at, nowMs, withinMs);
  }

  write(expectedBytes: number): BodyWriter | undefined {
    const { files, room } = this.parts;
    const reserved = expectedBytes < 0 ? UNKNOWN_LENGTH_BYTES : expectedBytes;
    if (files === undefined || reserved > this.largestBodyBytes || !this.#makeRoom(reserved))
      return undefined;
    const inner = files.create(expectedBytes);
    if (inner === undefined) {
      room.reserve(-reserved);
      return undefined;
    }
    return new RoomyWriter(
      inner,
      reserved,
      (bytes) => inner.length + bytes <= this.largestBodyBytes && this.#makeRoom(bytes),
      (bytes) => room.reserve(-bytes),
    );
  }

  open(ref: BodyRef): Promise<BodyReader | undefined> {
    return this.parts.files?.open(ref) ?? Promise.resolve(undefined);
  }

  /** Makes room for a body and reserves it. */
  #makeRoom(bytes: number): boolean {
    const { files, room, log, segments, memory } = this.parts;
    if (files === undefined) return false;
    if (!files.isMemory) {
      while (room.bytes + bytes > files.budgetBytes) if (!room.evict()) return false;
      room.reserve(bytes);
      return true;
    }
    const { dataBytes } = memory.layout;
    const over = () => segments.census().used * segments.segmentBytes + room.bytes + bytes > dataBytes;
    while (over()) {
      // each has a fair half when both want more
      const isFilesTurn = room.bytes + bytes > dataBytes / 2;
      const isMade = isFilesTurn ? room.evict() : log.shrink();
      if (!isMade) return false;
    }
    room.reserve(bytes);
    return true;
  }

  #put(response: NewResponse): boolean {
    const length = recordBytesOf(response);
    if (length > this.smallBytes || length < 0) return false;
    const { parts } = this;
    const { hasher, index, log } = parts;
    hasher.hash(response.key);
    const { high, low } = hasher;
    encodeRecord(this.#scratch, response, high, low);
    const { facts, file } = response;
    log.nowS = Math.max(log.nowS, wholeSeconds(facts.respondedAtMs));
    const keepUntilS = wholeSeconds(keepUntilMs(facts));
    const found = index.find(high, low);
    const isMain =
      found === -1 ? log.isComingBack(high, low) : ((this.#words[found + FLAGS] as number) & IN_MAIN) !== 0;
    const place = log.append(this.#scratch, length, isMain);
    const cold = parts.cold?.append(this.#scratch.subarray(0, length), {
      hash: { high, low },
      keepUntilS,
      file,
    });
    if (place === NOWHERE && cold === undefined) return false;
    return writeEntry(parts, { high, low, place, length, cold, keepUntilS, file, isMain });
  }

  /** A near response after a purge of something: is it that? */
  #isStillThere(near: NearResponse): boolean {
    const { board } = this;
    const { made } = board;
    if (this.#isGone(near.response)) return false;
    near.seenMade = made;
    return true;
  }

  #isGone({ facts, key }: StoredResponse): boolean {
    const { board } = this;
    return board.stateOf(facts, board.hasRules ? urlOfKey(key) : "") === "gone";
  }

  #entryOf(key: string): number {
    const { hasher, index } = this.parts;
    hasher.hash(key);
    return index.find(hasher.high, hasher.low);
  }

  #findFar(key: string, nowMs: number): StoredResponse | Cold | undefined {
    const { index, room, log } = this.parts;
    log.nowS = wholeSeconds(nowMs);
    const at = this.#entryOf(key);
    if (at === -1) return undefined;
    const { made } = this.board;
    // once more: it may have been on its way from one segment to another
    const found = this.#recordAt(at, key) ?? this.#recordAt(at, key);
    if (found === undefined) return this.#coldOrNothing(at, key);
    const { response, published } = found;
    const keptUntilMs = keepUntilMs(response.facts);
    if (nowMs > keptUntilMs || this.#isGone(response)) {
      room.drop(at);
      return undefined;
    }
    index.use(at);
    this.#near.set({
      response,
      entry: at,
      published,
      recordBytes: found.length,
      keepUntilMs: keptUntilMs,
      seenMade: made,
    });
    return response;
  }

  /** Copies the record of an entry out. out  undefined: it is not in memory, or has just gone */
  #recordAt(at: number, key: string): Found | undefined {
    const published = this.parts.index.publishedAt(at);
    const length = this.#words[at + LENGTH] as number;
    const response = responseAt(this.parts, at);
    return response?.key === key ? { response, published, length } : undefined;
  }

  #coldOrNothing(at: number, key: string): Cold | undefined {
    const { index } = this.parts;
    const cold = this.#coldAt(at, key);
    if (cold !== undefined) index.use(at);
    return cold;
  }

  #coldAt(at: number, key: string): Cold | undefined {
    return this.#coldPlaceAt(at) === undefined ? undefined : { isCold: true, key };
  }

  #coldPlaceAt(at: number): ColdPlace | undefined {
    const words = this.#words;
    const { index, cold } = this.parts;
    const published = index.publishedAt(at);
    const segment = words[at + COLD_SEGMENT] as number;
    const offset = (words[at + COLD_OFFSET] as number) >>> 0;
    const length = words[at + LENGTH] as number;
    if (published === 0 || segment === 0 || cold?.isLive(segment) !== true) return undefined;
    if (length <= 0 || length > LARGEST_RECORD) return undefined;
    return index.publishedAt(at) === published ? { segment, offset, length } : undefined;
  }

  /** What another request has read meanwhile. */
  #readNear(key: string): StoredResponse | undefined {
    const found = this.peek(key);
    return found === undefined || "isCold" in found || this.#isGone(found) ? undefined : found;
  }

  /** A cold record came: it is checked, and put into memory beside its place in the log. */
  #warm(key: string, cold: ColdPlace, bytes: Buffer | undefined): StoredResponse | undefined {
    const { parts } = this;
    const { hasher, log } = parts;
    hasher.hash(key);
    const { high, low } = hasher;
    const response = bytes === undefined ? undefined : decodeRecord(bytes, cold.length);
    if (bytes === undefined || response === undefined) {
      this.coldIndex().dropped({ high, low }, cold);
      return undefined;
    }
    if (response.key !== key || this.#isGone(response)) return undefined;
    const place = log.append(bytes, cold.length, log.isComingBack(high, low));
    if (place !== NOWHERE) {
      const words = this.#words;
      const content = { high, low, place, length: cold.length, cold, isMain: false, file: response.file };
      const keepUntilS = wholeSeconds(keepUntilMs(response.facts));
      const isSame = (at: number) =>
        at !== -1 &&
        words[at + COLD_SEGMENT] === cold.segment &&
        words[at + COLD_OFFSET] === (cold.offset | 0);
      writeEntry(parts, { ...content, keepUntilS }, isSame);
    }
    return response;
  }
}
