/**
 * Store: where responses are kept, whatever that is made of: memory of all workers, a disk, later a tier of all nodes.
 *
 * why    the pipeline knows one contract; every tier passes one test suite (`store.cases.ts`)
 * rule   a store may forget anything at any time, and may never give back anything but what was put under that key:
 *        whatever is read is checked before it is given out
 * rule   what is in memory is found at once, without waiting; what is on a disk is told as Cold and read apart
 * bound  by bytes, over all workers; what does not fit pushes out what is used least
 */
import type { BodyRef, StoredFacts, StoredResponse } from "./stored.ts";

/** A response that has to be read first. */
export interface Cold {
  readonly isCold: true;
  readonly key: string;
}

/** A response to be kept. */
export interface NewResponse {
  readonly key: string;
  readonly facts: StoredFacts;
  readonly reason: string;
  /** Field lines `Name: value\r\n`, Latin-1. */
  readonly lines: Buffer;
  /** The whole body, if it is small; it is copied. */
  readonly body: Buffer | undefined;
  /** Or the file that holds it. */
  readonly file: BodyRef | undefined;
}

export interface CacheStore {
  readonly board: PurgeBoard;
  /** Largest record, head and body, that `put` takes with its body in it: larger ones go through `write`. */
  readonly smallBytes: number;
  /** Largest body that `write` takes now. */
  readonly largestBodyBytes: number;

  /** Looks where no waiting is needed. It counts as a use. What is purged or past keeping is not found. */
  find(key: string, nowMs: number): StoredResponse | Cold | undefined;
  /** Reads what `find` told to be cold. out  undefined when it is gone, or not what it should be */
  read(cold: Cold): Promise<StoredResponse | undefined>;
  /** As `find`, without counting as a use, and purged ones too: for people. */
  peek(key: string): StoredResponse | Cold | undefined;
  /** Keeps it under its key, in the place of what stood there. out  false when it was not taken: no room, or too large */
  put(response: NewResponse): boolean;
  /** Forgets one. */
  remove(key: string): void;

  /**
   * Marks a key as being refreshed, in all workers.
   * out  false when somebody else does it already, and has not for longer than `withinMs`
   */
  claimRefresh(key: string, nowMs: number, withinMs: number): boolean;

  /** Begins a body that is too large for a record. out  undefined when there is no room, or no place for files */
  write(expectedBytes: number): BodyWriter | undefined;
  /**
   * Opens a body: apart from the main thread, as a disk may have to be asked.
   * out  undefined when it is gone. fails  when it cannot be had just now, as without a free descriptor
   */
  open(ref: BodyRef): Promise<BodyReader | undefined>;
}

/** A body on its way into the store. Pieces are written in order, apart from whoever brings them. */
export interface BodyWriter {
  /** Bytes taken so far. */
  readonly length: number;
  /** Takes a piece, whose memory is the writer's from then on. out  false: too much is waiting, go on at `onDrain` */
  write(bytes: Buffer): boolean;
  onDrain: (() => void) | undefined;
  /** Something cannot be written: nothing more will be, what was taken can still be read as far as it is there. */
  onFail: ((detail: string) => void) | undefined;
  /** Reads `[position, end)` of what was taken, as far as one piece goes; also after `finish`. */
  read(position: number, end: number): Promise<Buffer>;
  /** All is there. The file is kept once a response that names it is put; settles when it is safely readable by others. */
  finish(): Promise<BodyRef>;
  /** It will not be kept. Readers that have it open go on reading. */
  abort(): void;
}

/** An open body: it stays readable when the store forgets it meanwhile. */
export interface BodyReader {
  readonly length: number;
  /** A file that lies in memory and begins with the body; undefined when it has to be read. Valid until `close`. */
  readonly descriptor?: number | undefined;
  /**
   * Reads `[position, end)` as far as one piece goes, off the main thread, checked; whoever gets it must not change it.
   * fails  rejects when it is not what was written: the exchange must be cut
   */
  read(position: number, end: number): Promise<Buffer>;
  close(): void;
}

/** What a purge is for. */
export type PurgeScope =
  /** All variants of a URL, as its key names it: `host[:port]/path[?query]`, whatever the scheme and the route. */
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "host"; readonly host: string }
  | { readonly kind: "tag"; readonly tag: string }
  /** Beginning of a URL as above: `host/path`. */
  | { readonly kind: "prefix"; readonly prefix: string }
  /** A cache group (RFC 9875): of one origin, `scheme://host[:port]`. */
  | { readonly kind: "group"; readonly origin: string; readonly group: string }
  | { readonly kind: "all" };

/** Words that all workers share: what was purged, and when. */
export interface PurgeBoard {
  /** Its clock: goes up by one with each purge. */
  readonly clock: number;
  /** How many are in force: one that is on its way has its clock, and is not. */
  readonly made: number;
  /** Slots that a response belongs to. `url` as `PurgeScope` says it. */
  slotsOf(of: {
    readonly url: string;
    readonly host: string;
    readonly tags: readonly string[];
    readonly origin: string;
    readonly groups: readonly string[];
  }): Uint32Array;
  /** The mark of a fetch for this URL that begins now: call it before anything is asked of the endpoint. */
  begin(url: string): number;
  /** Purges a URL, if anything may be stored for it or on its way. out  false: there is nothing, and no purge is made */
  invalidate(url: string): boolean;
  /** In force for everybody when it returns. Soft: what is purged counts as stale, and may be used as such. */
  purge(scope: PurgeScope, isSoft: boolean): void;
  /** A prefix was purged: only then does `stateOf` look at the URL. */
  readonly hasRules: boolean;
  /** `url`: of the key, as `PurgeScope` says it. */
  stateOf(facts: Pick<StoredFacts, "mark" | "purgeSlots">, url: string): "alive" | "stale" | "gone";
}
