/**
 * Slice: large bodies in pieces of one length, each stored by itself, so that a range costs the pieces that it touches.
 *
 * shape  slice N of a body is its bytes from N × size on; the last one is shorter. It stands under the key of the whole and a
 *        line `#N`, as a 206 that says where it belongs
 * rule   slices are put together only when a strong validator, or Last-Modified and the length, say that they are of one
 *        representation
 * spec   RFC 9111 §3.3, §3.4; RFC 9110 §8.8.1, §14.1.2, §15.3.7.3
 */
import type { Fields } from "../core/fields.ts";
import type { Part } from "./partial.ts";
import { etagOf, lastModifiedOf } from "./validate.ts";

/** Which one, and of which size. */
export interface SlicePlace {
  /** From 0. */
  readonly number: number;
  readonly sliceBytes: number;
}

const MARK = "\n#";

export const sliceKey = (key: string, number: number): string => `${key}${MARK}${number}`;

/** Of the whole that a slice belongs to. */
export const wholeKey = (key: string): string => key.slice(0, key.lastIndexOf(MARK));

const FIRST_BYTE = /^bytes=(\d{1,15})-\d{0,15}$/i;

/**
 * The slice that tells most about what a request with this Range gets: where its range begins, or the first one.
 * out  undefined for several ranges, which are the endpoint's to answer
 */
export function firstSlice(range: string | undefined, sliceBytes: number): number | undefined {
  if (range === undefined) return 0;
  if (range.includes(",")) return undefined;
  const first = FIRST_BYTE.exec(range)?.[1];
  return first === undefined ? 0 : Math.floor(Number(first) / sliceBytes);
}

/** Of the whole. out  undefined when the part is not this slice, or does not say of how much */
export function lengthBySlice(
  part: Part | undefined,
  { number, sliceBytes }: SlicePlace,
): number | undefined {
  if (part === undefined || part.completeLength === -1) return undefined;
  const { firstByte, length, completeLength } = part;
  const isHere = firstByte === number * sliceBytes;
  return isHere && length === Math.min(sliceBytes, completeLength - firstByte) ? completeLength : undefined;
}

const STRONG_TAG = /^"[!#-~\x80-\xff]*"$/;

/** What all slices of one representation have in common; "" = nothing proves it. */
export function identityOf(fields: Fields, completeLength: number, nowMs: number): string {
  const etag = etagOf(fields);
  const modified = STRONG_TAG.test(etag) ? undefined : lastModifiedOf(fields, nowMs);
  if (modified !== undefined) return `${modified.atMs} ${completeLength}`;
  return STRONG_TAG.test(etag) ? `${etag} ${completeLength}` : "";
}
