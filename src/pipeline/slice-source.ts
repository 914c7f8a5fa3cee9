/**
 * Slice source: a large body for one client, slice after slice: from the store, or from whoever fetches it.
 *
 * why    a range in the middle of something huge costs the slices it touches; clients at different places, and slow ones,
 *        share what is stored and what is on its way
 * rule   all slices are of the representation that the head told of. One that is not is the end of what is stored of the URL;
 *        when the endpoint sends no other, the client's answer is cut, which it sees
 * bound  one slice is read, and at most one is fetched ahead, where the client wants it
 */
import { urlOfKey } from "../cache/key.ts";
import { storedPartOf } from "../cache/partial.ts";
import { judgeReuse } from "../cache/reuse.ts";
import { identityOf, lengthBySlice, sliceKey } from "../cache/slice.ts";
import type { CacheStore, Cold } from "../cache/store.ts";
import type { StoredResponse } from "../cache/stored.ts";
import type { ReuseVerdict } from "../cache/verdict.ts";
import { defectText } from "../core/failure.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { CacheNote } from "./cache-note.ts";
import { isAuthorized, policyOf } from "./cache-rules.ts";
import { Fetch, type FetchOrder } from "./fetch.ts";
import { FileSource, openBody } from "./file-source.ts";
import type { BodySource, GrowingBody, GrowthReader } from "./growing-body.ts";
import { MemorySource } from "./memory-source.ts";
import type { Planned } from "./plan.ts";
import { wallOf } from "./serve-stored.ts";

/** Of a slice that has just been opened. */
const FIRST_BYTES = 16 * 1024;

/** What is sent in slices, and where they are. */
export interface Sliced {
  readonly exchange: Planned;
  readonly store: CacheStore;
  /** Of the whole: of the URL, and of the variant. */
  readonly primary: string;
  readonly key: string;
  readonly sliceBytes: number;
  readonly length: number;
  readonly identity: string;
  readonly settle: FetchOrder["settle"];
}

/** A slice that is at hand; positions in it count from its own beginning. */
export interface OpenSlice {
  readonly number: number;
  readonly source: BodySource;
  /** Follows it while it arrives. */
  readonly follower: Follower | undefined;
}

/** Waits for more of a slice that arrives. */
class Follower implements GrowthReader {
  readonly #place: () => number;
  #detail = "";
  #waiting: PromiseWithResolvers<void> | undefined;

  /** in  `place`: where the client is in the slice */
  constructor(place: () => number) {
    this.#place = place;
  }

  get position(): number {
    return this.#place();
  }

  grown(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  broken(detail: string): void {
    this.#detail = detail;
    this.#waiting?.reject(new Error(detail));
    this.#waiting = undefined;
  }

  /** Settles when there is more, or never will be. */
  more(): Promise<void> {
    if (this.#detail !== "") return Promise.reject(new Error(this.#detail));
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }
}

export class SliceSource implements BodySource {
  readonly isComplete = true;
  readonly #of: Sliced;
  #reader: GrowthReader | undefined;
  #current: OpenSlice | undefined;
  #ahead: { readonly number: number; readonly slice: Promise<OpenSlice> } | undefined;
  #isLeft = false;

  constructor(of: Sliced) {
    this.#of = of;
  }

  get length(): number {
    return this.#of.length;
  }

  /** Of the slice that the client is at. */
  get descriptor(): number | undefined {
    const current = this.#current;
    const isThere = current !== undefined && current.number === this.#numberAt(this.#reader?.position ?? -1);
    return isThere ? current.source.descriptor : undefined;
  }

  get fileStart(): number {
    return (this.#current?.number ?? 0) * this.#of.sliceBytes;
  }

  get fileEnd(): number {
    return this.fileStart + (this.#current?.source.length ?? 0);
  }

  /** Begins with a slice that is at hand, or arriving. In the same turn as its head: bytes that nobody reads may go. */
  begin(number: number, body: GrowingBody | Buffer): void {
    const isNeeded = this.#reader !== undefined && this.#numberAt(this.#reader.position) === number;
    if (!isNeeded) return;
    this.#current = Buffer.isBuffer(body) ? inMemory(number, body) : this.#follow(number, body);
  }

  join(reader: GrowthReader): void {
    this.#reader = reader;
  }

  peek(position: number): Buffer | undefined {
    const { sliceBytes } = this.#of;
    const current = this.#current;
    if (current === undefined || current.number !== this.#numberAt(position)) return undefined;
    const from = position - current.number * sliceBytes;
    return from < current.source.length ? current.source.peek(from) : undefined;
  }

  async read(position: number, end: number): Promise<Buffer> {
    const { sliceBytes } = this.#of;
    const number = this.#numberAt(position);
    const slice = await this.#open(number);
    this.#lookAhead(number + 1, end);
    const from = position - number * sliceBytes;
    const { source, follower } = slice;
    while (source.length <= from) {
      if (follower === undefined) throw new Error(`slice ${number} is shorter than it was`);
      await follower.more();
    }
    const held = source.peek(from);
    // where a file can be sent from, all but the beginning is
    const most = source.descriptor === undefined ? source.length : from + FIRST_BYTES;
    const to = Math.min(end - number * sliceBytes, source.length, most);
    // what others hold too is not this reader's to give away
    return held === undefined ? source.read(from, to) : Buffer.from(held.subarray(0, to - from));
  }

  moved(): void {
    this.#current?.source.moved();
  }

  leave(): void {
    this.#isLeft = true;
    if (this.#current !== undefined) close(this.#current);
    this.#ahead?.slice.then(close, () => undefined);
  }

  #numberAt(position: number): number {
    return Math.floor(position / this.#of.sliceBytes);
  }

  async #open(number: number): Promise<OpenSlice> {
    if (this.#current?.number === number) return this.#current;
    if (this.#current !== undefined) close(this.#current);
    this.#current = undefined;
    const ahead = this.#ahead?.number === number ? this.#ahead.slice : undefined;
    this.#ahead = undefined;
    const slice = await (ahead ?? this.#acquire(number));
    readClock();
    if (this.#isLeft) {
      close(slice);
      throw new Error("its client has left");
    }
    this.#current = slice;
    return slice;
  }

  #lookAhead(number: number, end: number): void {
    if (this.#ahead !== undefined || number * this.#of.sliceBytes >= end) return;
    const slice = this.#acquire(number);
    slice.catch(() => undefined); // whoever comes to it hears of it
    this.#ahead = { number, slice };
  }

  /** From the store, or fetched. */
  async #acquire(number: number): Promise<OpenSlice> {
    const { store, key } = this.#of;
    const found = this.#find(sliceKey(key, number));
    const stored = found !== undefined && "isCold" in found ? await store.read(found) : found;
    readClock();
    if (stored === undefined || !this.#isSlice(stored, number)) return await this.#fetch(number, undefined);
    const { use } = this.#judge(stored);
    if (use === "miss" || !this.#isSame(stored)) return await this.#fetch(number, undefined);
    if (use === "validate") return await this.#fetch(number, stored);
    return (await this.#openStored(stored, number)) ?? (await this.#fetch(number, undefined));
  }

  #judge(stored: StoredResponse): ReuseVerdict {
    const { exchange, store, primary } = this.#of;
    const { directives } = exchange.plan.cache as CacheNote;
    return judgeReuse(
      { method: "GET", isAuthorized: isAuthorized(exchange), directives },
      stored,
      store.board.stateOf(stored.facts, urlOfKey(primary)),
      wallOf(exchange),
    );
  }

  /** Slices of another size may lie there since the configuration said so. */
  #isSlice(stored: StoredResponse, number: number): boolean {
    return lengthBySlice(storedPartOf(stored), { number, sliceBytes: this.#of.sliceBytes }) !== undefined;
  }

  /** A store that breaks is one that has nothing. */
  #find(key: string): StoredResponse | Cold | undefined {
    const { store, exchange } = this.#of;
    try {
      return store.find(key, wallOf(exchange));
    } catch (defect) {
      exchange.plan.services.report(defectText(defect));
      return undefined;
    }
  }

  /** One of another representation: nothing that is stored of the URL is used from now on. */
  #isSame({ fields, facts }: StoredResponse): boolean {
    const { store, primary, identity, exchange } = this.#of;
    if (identityOf(fields, facts.completeLength, wallOf(exchange)) === identity) return true;
    store.board.purge({ kind: "url", url: urlOfKey(primary) }, false);
    return false;
  }

  async #openStored(stored: StoredResponse, number: number): Promise<OpenSlice | undefined> {
    const { body, file } = stored;
    if (body !== undefined) return inMemory(number, body);
    const { store } = this.#of;
    const reader = file === undefined ? undefined : await openBody(store, stored.key, file);
    readClock();
    return reader && { number, source: new FileSource(reader), follower: undefined };
  }

  /** By whoever fetches it already, or a fetch of its own. */
  #fetch(number: number, stale: StoredResponse | undefined): Promise<OpenSlice> {
    if (this.#isLeft) return Promise.reject(new Error("its client has left"));
    const { exchange, store, key, primary, sliceBytes, settle } = this.#of;
    const { fetches } = exchange.plan.services;
    const policy = policyOf(exchange);
    const order = {
      key: sliceKey(key, number),
      primary,
      stale,
      part: { kind: "slice", number, sliceBytes } as const,
      mayShare: policy.coalesceMs > 0,
      isBackground: true,
      settle,
    };
    const underWay = fetches.find(order.key) as Fetch | undefined;
    const isJoined = underWay?.isCurrent() === true;
    const fetch = isJoined
      ? underWay
      : new Fetch(exchange, order, store, (exchange.plan.cache as CacheNote).directives);
    const { promise, resolve, reject } = Promise.withResolvers<OpenSlice>();
    fetch.watch(() => {
      try {
        resolve(this.#fetched(fetch, number, stale));
      } catch (error) {
        reject(error);
      }
    });
    if (!isJoined) {
      if (order.mayShare) fetches.add(fetch);
      fetch.start();
    }
    return promise;
  }

  /** The fetch has its answer: in the turn of its head, or later. */
  #fetched(fetch: Fetch, number: number, stale: StoredResponse | undefined): OpenSlice | Promise<OpenSlice> {
    const { fill, fresh, exchange: inner } = fetch;
    const why = inner.failure?.code ?? `status ${inner.status}`;
    const stored = fill?.stored ?? fresh ?? this.#spareFor(inner, stale);
    if (stored === undefined || !this.#isHere(stored, number)) throw new Error(`slice ${number}: ${why}`);
    if (!this.#isSame(stored)) {
      inner.plan.services.fetches.noteUnsliced(this.#of.key, clock.nowMs);
      throw new Error("the body changed while it was sent");
    }
    if (fill?.body !== undefined) return this.#follow(number, fill.body);
    return this.#openStored(stored, number).then((slice) => {
      if (slice === undefined) throw new Error(`slice ${number} is gone`);
      return slice;
    });
  }

  /** What is stale may stand in for an endpoint that fails (RFC 5861 §4). */
  #spareFor({ failure, status }: Planned, stale: StoredResponse | undefined): StoredResponse | undefined {
    const hasFailed = failure !== undefined || status >= 500;
    return stale !== undefined && hasFailed && this.#judge(stale).mayServeOnError ? stale : undefined;
  }

  /** One that still arrives may not know its length yet. */
  #isHere({ facts, bodyLength }: StoredResponse, number: number): boolean {
    const { firstByte, completeLength } = facts;
    const { sliceBytes } = this.#of;
    const length = bodyLength === -1 ? Math.min(sliceBytes, completeLength - firstByte) : bodyLength;
    return lengthBySlice({ firstByte, length, completeLength }, { number, sliceBytes }) !== undefined;
  }

  #follow(number: number, body: GrowingBody): OpenSlice {
    if (!body.isWhole) throw new Error(`the beginning of slice ${number} is gone`);
    const place = () => Math.max(0, (this.#reader?.position ?? 0) - number * this.#of.sliceBytes);
    const follower = new Follower(place);
    body.join(follower);
    return { number, source: body, follower };
  }
}

function inMemory(number: number, body: Buffer): OpenSlice {
  return { number, source: new MemorySource(body), follower: undefined };
}

function close({ source, follower }: OpenSlice): void {
  source.leave(follower);
}
