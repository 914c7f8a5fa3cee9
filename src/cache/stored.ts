/**
 * Stored: a response in the cache, as the pipeline reads it.
 *
 * shape  facts are numbers, made once when the response came and kept beside it; fields are the lines that were stored,
 *        without hop-by-hop ones and those that `private` or `no-cache` name; the body is here when it is small, else in a
 *        file that a BodyRef names
 * rule   nothing in it may be changed by who reads it, but for `answers`: one object serves many requests
 * spec   RFC 9111 §3, §4.2
 */
import type { AnswerMemo } from "../core/answer-memo.ts";
import type { Fields } from "../core/fields.ts";
import type { ByteRange } from "../protocol/range.ts";

/** A response must not be used stale, whatever allows it elsewhere (must-revalidate, proxy-revalidate, s-maxage). */
export const MUST_REVALIDATE = 1;
/** Not to be used without validation (`no-cache` without names). */
export const NO_CACHE = 2;
/** It may answer requests that do not carry the Authorization it was got with (RFC 9111 §3.5). */
export const SHAREABLE = 4;
/** `immutable` (RFC 8246). */
export const IMMUTABLE = 8;
/** The lifetime is a guess of ours (RFC 9111 §4.2.2). */
export const HEURISTIC = 16;
/** A part of a representation: `firstByte` says which, `completeLength` of how much. */
export const PARTIAL = 32;
/** No response: a list of the request fields that tell its variants apart, in its lines (`Vary: …`). */
export const VARY_INDEX = 64;
/** `no-transform`: it is sent with the coding it has. */
export const NO_TRANSFORM = 128;
/** Only counted, in a dry run: never answers. */
export const DRY = 256;
/** The origin said how long (max-age, s-maxage, Expires, a targeted field), as opposed to the route's `ttl` or a guess. */
export const EXPLICIT = 512;
/**
 * No response: another one's body in a content coding. `firstByte` names the body that it was made of, `completeLength`
 * is the length of that (`coded.ts`).
 */
export const CODED = 1024;
/** Of a coded one: it is as small as we make it. */
export const DENSE = 2048;

/** Instants in ms since the epoch, lengths of time in ms. */
export interface StoredFacts {
  readonly status: number;
  /** When the request that got or last validated it was sent. */
  readonly requestedAtMs: number;
  /** When its head came. */
  readonly respondedAtMs: number;
  /** corrected_initial_age at `respondedAtMs` (RFC 9111 §4.2.3). */
  readonly initialAgeMs: number;
  /** freshness_lifetime (RFC 9111 §4.2.1), jitter and the route's caps included. */
  readonly lifetimeMs: number;
  /** How long past that it may be used while it is refreshed (RFC 5861 §3), and when the endpoint fails (§4). */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** How long past that it is worth keeping at all, for validation. */
  readonly keepMs: number;
  /** The constants above, or-ed. */
  readonly flags: number;
  /** The purge board's clock when the fetch began. */
  readonly mark: number;
  /** Slots of the purge board that can purge it: URL, host, tags, groups. */
  readonly purgeSlots: Uint32Array;
  /** Of a partial one: where it begins in the whole, and how long that is (-1 = not told). */
  readonly firstByte: number;
  readonly completeLength: number;
}

/** A body that is too large for a record: a file of the store. */
export interface BodyRef {
  /** Unique in the store for good. */
  readonly id: number;
  readonly length: number;
}

export interface StoredResponse {
  readonly key: string;
  readonly facts: StoredFacts;
  /** `HTTP/1.1 200 reason` gives "OK" or what the endpoint said. */
  readonly reason: string;
  /** As stored; with marks, so that they can be searched and written. Never changed. */
  readonly fields: Fields;
  /** undefined when `file` holds it. Shared: never given away as own memory. */
  readonly body: Buffer | undefined;
  readonly file: BodyRef | undefined;
  /** Of the body, wherever it is. */
  readonly bodyLength: number;
  /** What hits of this second have in common: the one part that changes. */
  answers?: KeptAnswers | undefined;
}

/** Answers that are alike as long as age and what is left of the lifetime are, in seconds. */
export interface KeptAnswers {
  readonly ageSec: number;
  readonly ttlSec: number;
  /** Field lines that are added: Age and Cache-Status. */
  readonly lines: string;
  /** The listener's rules that they were made by. */
  readonly site: unknown;
  readonly whole: AnswerMemo;
  readonly notModified: AnswerMemo;
  /** The range that was asked for last: players and downloaders begin alike. */
  range: KeptRange | undefined;
}

export interface KeptRange {
  /** As requests write it. */
  readonly text: string;
  readonly range: ByteRange;
  /** Content-Range, as a field line. */
  readonly line: string;
  readonly memo: AnswerMemo;
}

/** Age of a stored response now, in ms (RFC 9111 §4.2.3 current_age). A clock that went back makes nothing younger. */
export function ageOf({ initialAgeMs, respondedAtMs }: StoredFacts, nowMs: number): number {
  return initialAgeMs + Math.max(0, nowMs - respondedAtMs);
}
