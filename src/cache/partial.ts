/**
 * Partial: parts of representations: which requests a stored part answers, what completes it, what two parts make together.
 *
 * shape  a part is `length` bytes from `firstByte` on, of `completeLength` in all (-1 = nobody said)
 * rule   two parts are of one representation only if a strong validator says so; what cannot be proved is fetched anew
 * note   where Content-Range and the body disagree about the length, the body counts, from the first byte on; a part that
 *        says it reaches the end then ends where its bytes do, so that whatever is made of it agrees with itself
 * spec   RFC 9111 §3.3, §3.4; RFC 9110 §8.8.2.2, §13.1.5, §14, §15.3.7.3
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { parseHttpDate } from "../protocol/http-date.ts";
import { type ByteRange, chooseRanges } from "../protocol/range.ts";
import { PARTIAL, type StoredResponse } from "./stored.ts";
import { etagOf, lastModifiedOf, validatorsOf } from "./validate.ts";

export interface Part {
  readonly firstByte: number;
  readonly length: number;
  /** -1 = not told. */
  readonly completeLength: number;
}

const DATE = fieldIdOf("date");
const RANGE = fieldIdOf("range");
const IF_RANGE = fieldIdOf("if-range");
/** 15 digits: the most that a number holds exactly. */
const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i;

/** in  `bodyLength`: bytes that came, or will. out  undefined when they cannot be placed (RFC 9110 §14.4) */
export function partOf(contentRange: string, bodyLength: number): Part | undefined {
  const match = CONTENT_RANGE.exec(contentRange);
  if (match === null || bodyLength === 0) return undefined;
  const [firstByte, last] = [Number(match[1]), Number(match[2])];
  const completeLength = match[3] === "*" ? -1 : Number(match[3]);
  if (last < firstByte || (completeLength !== -1 && last >= completeLength)) return undefined;
  const end = firstByte + bodyLength;
  if (end > last + 1) return undefined;
  if (end === last + 1) return { firstByte, length: bodyLength, completeLength };
  return { firstByte, length: bodyLength, completeLength: last + 1 === completeLength ? end : -1 };
}

export function storedPartOf({ facts, bodyLength }: Pick<StoredResponse, "facts" | "bodyLength">): Part {
  const isPart = (facts.flags & PARTIAL) !== 0;
  const { firstByte, completeLength } = facts;
  return isPart
    ? { firstByte, length: bodyLength, completeLength }
    : { firstByte: 0, length: bodyLength, completeLength: bodyLength };
}

const endOf = ({ firstByte, length }: Part) => firstByte + length;
const isComplete = (part: Part) => part.firstByte === 0 && part.length === part.completeLength;

export function contentRangeLine({ first, last }: ByteRange, completeLength: number): string {
  return `Content-Range: bytes ${first}-${last}/${completeLength === -1 ? "*" : completeLength}\r\n`;
}

/** Of a 416. */
export function unsatisfiedRangeLine(completeLength: number): string {
  return `Content-Range: bytes */${completeLength}\r\n`;
}

// ── answering from a part ──

/**
 * whole          the part is all of it
 * a ByteRange    in the whole; the body has it from `first - firstByte` on
 * unsatisfiable  outside of the whole
 * lacking        the part does not have what is wanted
 */
export type PartAnswer = ByteRange | "whole" | "unsatisfiable" | "lacking";

/** What a GET gets of a stored part. Several ranges at once are for the endpoint. */
export function answerFromPart(stored: StoredResponse, request: Fields, nowMs: number): PartAnswer {
  const part = storedPartOf(stored);
  if (!request.has(RANGE)) return isComplete(part) ? "whole" : "lacking";
  if (part.completeLength === -1) return answerFromOpenPart(part, request);
  const choice = chooseRanges(request, part.completeLength, validatorsOf(stored, nowMs), nowMs);
  if (choice === "whole") return isComplete(part) ? "whole" : "lacking";
  if (choice === "unsatisfiable") return choice;
  const [only] = choice;
  return choice.length === 1 && only !== undefined && holds(part, only) ? only : "lacking";
}

/** First and last byte, both said: the only range that means the same whatever the length of the whole. */
const CLOSED_RANGE = /^bytes=(\d{1,15})-(\d{1,15})$/i;

function answerFromOpenPart(part: Part, request: Fields): PartAnswer {
  const match = request.isRepeated(RANGE) ? null : CLOSED_RANGE.exec(request.get(RANGE) ?? "");
  if (match === null || request.has(IF_RANGE)) return "lacking";
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return range.last >= range.first && holds(part, range) ? range : "lacking";
}

function holds(part: Part, { first, last }: ByteRange): boolean {
  return first >= part.firstByte && last < endOf(part);
}

// ── completing a part ──

export interface Completion {
  /** Request lines: Range, and If-Range where there is what to compare. */
  readonly lines: string;
  /** What is asked for; `last` -1 = to the end. */
  readonly first: number;
  readonly last: number;
  /**
   * False: the part has no validator, so that a 206 cannot be put together with it, and the whole has to be asked for after
   * all. A 200, which many endpoints send, serves at once.
   */
  readonly isCombinable: boolean;
}

/** What to ask for so that a stored part becomes the whole; undefined when asking for the whole is no worse. */
export function completionOf(
  stored: Pick<StoredResponse, "facts" | "fields" | "bodyLength">,
  nowMs: number,
): Completion | undefined {
  const part = storedPartOf(stored);
  const isFront = part.firstByte === 0;
  const isEnd = endOf(part) === part.completeLength;
  if (isFront === isEnd) return undefined;
  const validator = strongValidatorOf(stored.fields, nowMs);
  if (validator === undefined && isWeaklyMarked(stored.fields)) return undefined;
  const [first, last] = isFront ? [endOf(part), -1] : [0, part.firstByte - 1];
  const range = `Range: bytes=${first}-${last === -1 ? "" : last}\r\n`;
  const lines = validator === undefined ? range : `${range}If-Range: ${validator}\r\n`;
  return { lines, first, last, isCombinable: validator !== undefined };
}

const LAST_MODIFIED = fieldIdOf("last-modified");
const isWeaklyMarked = (fields: Fields) => etagOf(fields) !== "" || fields.has(LAST_MODIFIED);
const STRONG_TAG = /^"[!#-~\x80-\xff]*"$/;

/** What If-Range may hold: a strong tag; or a date at least a second before the response was made (RFC 9110 §8.8.2.2). */
function strongValidatorOf(fields: Fields, nowMs: number): string | undefined {
  const etag = etagOf(fields);
  if (etag !== "") return STRONG_TAG.test(etag) ? etag : undefined;
  const modified = lastModifiedOf(fields, nowMs);
  const date = fields.get(DATE);
  const dateMs = date === undefined ? undefined : parseHttpDate(date, nowMs);
  if (modified === undefined || dateMs === undefined) return undefined;
  return modified.atMs + 1000 <= dateMs ? modified.text : undefined;
}

/** Where the bytes of two parts put together come from: `[start, end)` of each body, in the order of the whole. */
export interface Joint {
  readonly part: Part;
  readonly pieces: readonly {
    readonly from: "stored" | "got";
    readonly start: number;
    readonly end: number;
  }[];
}

export interface PartWithFields {
  readonly part: Part;
  readonly fields: Fields;
}

/**
 * Two parts as one (RFC 9111 §3.4); where they overlap the newer bytes count, which are the same.
 * out  undefined when they are not known to be of one representation, or leave a hole
 */
export function joinParts(stored: PartWithFields, got: PartWithFields, nowMs: number): Joint | undefined {
  const validator = strongValidatorOf(stored.fields, nowMs);
  if (validator === undefined || validator !== strongValidatorOf(got.fields, nowMs)) return undefined;
  const [one, two] = [stored.part, got.part];
  const completeLength = Math.max(one.completeLength, two.completeLength);
  if (Math.min(one.completeLength, two.completeLength) !== completeLength && areBothTold(one, two))
    return undefined;
  if (endOf(one) < two.firstByte || endOf(two) < one.firstByte) return undefined;
  const firstByte = Math.min(one.firstByte, two.firstByte);
  const end = Math.max(endOf(one), endOf(two));
  if (completeLength !== -1 && end > completeLength) return undefined;
  const pieces = [
    { from: "stored", start: 0, end: Math.max(0, two.firstByte - one.firstByte) },
    { from: "got", start: 0, end: two.length },
    { from: "stored", start: Math.max(0, endOf(two) - one.firstByte), end: one.length },
  ] as const;
  return {
    part: { firstByte, length: end - firstByte, completeLength },
    pieces: pieces.filter((piece) => piece.start < piece.end),
  };
}

const areBothTold = (one: Part, two: Part) => one.completeLength !== -1 && two.completeLength !== -1;
