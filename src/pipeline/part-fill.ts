/**
 * Part fill: parts of bodies on their way into the store: where they belong, and what they make with what is there.
 *
 * rule   a part never takes the place of the whole while that is fresh; parts of one representation become one, others
 *        take each other's place
 * rule   what makes the whole is stored as the whole: a 200
 * bound  parts that are put together are small: what is larger is not kept in pieces of any length (slices are)
 * spec   RFC 9111 §3.3, §3.4; RFC 9110 §14.4, §15.3.7
 */
import { freshenLines } from "../cache/freshen.ts";
import { urlOfKey } from "../cache/key.ts";
import { contentRangeLine, joinParts, type Part, partOf, storedPartOf } from "../cache/partial.ts";
import type { CacheStore } from "../cache/store.ts";
import { ageOf, PARTIAL, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { LENGTH_UNKNOWN } from "../core/body.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { reasonOf } from "../protocol/reasons.table.ts";

const OK = 200;
const CONTENT_RANGE = "content-range";

export const rangeTextOf = (fields: Fields): string => fields.find(CONTENT_RANGE) ?? "";

/** The part that fields announce. in  `bytes` as declared; unknown = as the fields say */
export function announcedPart(fields: Fields, bytes: number): Part | undefined {
  const text = rangeTextOf(fields);
  return partOf(text, bytes === LENGTH_UNKNOWN ? saidLength(text) : bytes);
}

function saidLength(text: string): number {
  const said = /(\d{1,15})-(\d{1,15})\//.exec(text);
  return said === null ? 0 : Number(said[2]) - Number(said[1]) + 1;
}

export const isWholePart = ({ firstByte, length, completeLength }: Part): boolean =>
  firstByte === 0 && length === completeLength;

/** The lines without Content-Range, or with another one. */
export function linesWithRange(fields: Fields, rangeLine: string): string {
  const kept = fields.view();
  kept.drop(CONTENT_RANGE);
  return kept.linesWithout(0, 0) + rangeLine;
}

/** A part that is all of it. */
export function asWhole(stored: StoredResponse): StoredResponse {
  const { facts, fields } = stored;
  return {
    ...stored,
    reason: reasonOf(OK),
    fields: fieldsOfLines(linesWithRange(fields, "")),
    facts: {
      ...facts,
      status: OK,
      flags: facts.flags & ~PARTIAL,
      firstByte: 0,
      completeLength: LENGTH_UNKNOWN,
    },
  };
}

/** in  `roomBytes`: for the body of a joined one. out  what to store; undefined = nothing, as better stands there */
export function placed(
  store: CacheStore,
  came: StoredResponse,
  roomBytes: number,
  nowMs: number,
): StoredResponse | undefined {
  const part = announcedPart(came.fields, came.bodyLength);
  if (part === undefined) return undefined;
  const there = whatStands(store, came.key);
  if (there !== undefined && (there.facts.flags & PARTIAL) === 0) {
    if (ageOf(there.facts, nowMs) < there.facts.lifetimeMs) return undefined;
  } else if (there !== undefined) {
    const both = joined(there, came, part, nowMs);
    if (both !== undefined && both.bodyLength <= roomBytes) return both;
  }
  return isWholePart(part) ? asWhole(came) : at(came, part);
}

/** Only what is neither purged nor on a disk, nor a list of variants. */
function whatStands(store: CacheStore, key: string): StoredResponse | undefined {
  const there = store.peek(key);
  if (there === undefined || "isCold" in there || (there.facts.flags & VARY_INDEX) !== 0) return undefined;
  return store.board.stateOf(there.facts, urlOfKey(key)) === "alive" ? there : undefined;
}

const at = (stored: StoredResponse, { firstByte, completeLength }: Part): StoredResponse => ({
  ...stored,
  facts: { ...stored.facts, firstByte, completeLength },
});

/** Two parts as one; the newer fields count (RFC 9111 §3.4). */
function joined(
  there: StoredResponse,
  came: StoredResponse,
  part: Part,
  nowMs: number,
): StoredResponse | undefined {
  const [stored, got] = [there.body, came.body];
  if (stored === undefined || got === undefined) return undefined;
  const joint = joinParts(
    { part: storedPartOf(there), fields: there.fields },
    { part, fields: came.fields },
    nowMs,
  );
  if (joint === undefined) return undefined;
  const pieces = joint.pieces.map(({ from, start, end }) =>
    (from === "stored" ? stored : got).subarray(start, end),
  );
  const body = Buffer.concat(pieces);
  const { firstByte, length, completeLength } = joint.part;
  const rangeLine = contentRangeLine({ first: firstByte, last: firstByte + length - 1 }, completeLength);
  const merged = fieldsOfLines(freshenLines(there.fields, came.fields));
  const fields = fieldsOfLines(linesWithRange(merged, rangeLine));
  const both = at({ ...came, fields, body, bodyLength: body.length }, joint.part);
  return isWholePart(joint.part) ? asWhole(both) : both;
}

/** What stands before and behind the bytes that come, to make the whole. */
export interface Around {
  readonly before: Buffer;
  readonly after: Buffer;
  /** Of the whole. */
  readonly length: number;
  readonly fields: Fields;
}

const NOTHING = Buffer.alloc(0);

/** A part that is all there is. */
export function allOf(fields: Fields, length: number): Around {
  return { before: NOTHING, after: NOTHING, length, fields: fieldsOfLines(linesWithRange(fields, "")) };
}

/**
 * The whole that a stored part and an answer make.
 * in     `fields`, `bytes`: of the answer; its length, or LENGTH_UNKNOWN
 * out    undefined when they do not
 */
export function wholeOf(
  of: StoredResponse,
  fields: Fields,
  bytes: number,
  nowMs: number,
): Around | undefined {
  const part = announcedPart(fields, bytes);
  const { body } = of;
  if (part === undefined || body === undefined) return undefined;
  const joint = joinParts({ part: storedPartOf(of), fields: of.fields }, { part, fields }, nowMs);
  if (joint === undefined || !isWholePart(joint.part)) return undefined;
  const { pieces } = joint;
  const got = pieces.findIndex(({ from }) => from === "got");
  const cut = (from: number, to?: number) =>
    Buffer.concat(pieces.slice(from, to).map(({ start, end }) => body.subarray(start, end)));
  return {
    before: cut(0, got),
    after: cut(got + 1),
    length: joint.part.length,
    fields: fieldsOfLines(linesWithRange(fieldsOfLines(freshenLines(of.fields, fields)), "")),
  };
}
