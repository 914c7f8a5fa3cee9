/**
 * Field rules: what HTTP/2 allows in one field, told as a note that a table entry can carry.
 *
 * why    a field is judged when it is new; the hundred requests that only point at it have nothing left to check
 * shape  note = 1 + class of the name, and VALUE_GOOD or VALUE_BAD; 0 = nothing known yet. A class is an id of
 *        core/field-names, or one of those below
 * spec   RFC 9113 §8.2, §8.3; RFC 9110 §5.1, §5.5
 */
import { COLON, HTAB, IS_DIGIT, IS_TARGET, IS_TOKEN, IS_VALUE, SLASH, SP } from "../../core/bytes.ts";
import { fieldIdAt, fieldIdOf } from "../../core/field-names.ts";
import {
  STATIC_BYTES,
  STATIC_COUNT,
  STATIC_NAME_LENGTHS,
  STATIC_STARTS,
  STATIC_VALUE_LENGTHS,
} from "../hpack/static-table.ts";

export const CLASS_METHOD = 64;
export const CLASS_SCHEME = 65;
export const CLASS_AUTHORITY = 66;
export const CLASS_PATH = 67;
export const CLASS_STATUS = 68;
export const CLASS_PROTOCOL = 69;
/** No field may be called so. */
export const CLASS_BAD_NAME = 70;
export const CLASSES = 71;

export const VALUE_GOOD = 0x100;
export const VALUE_BAD = 0x200;

const PSEUDO_NAMES = [":method", ":scheme", ":authority", ":path", ":status", ":protocol"];
const ASTERISK = 42;
const AT_SIGN = 64;
const UPPER_A = 65;
const UPPER_Z = 90;

/** RFC 9113 §8.2.1: upper case never comes from a peer that follows the rules. */
const IS_NAME = IS_TOKEN.map((isToken, byte) => (byte >= UPPER_A && byte <= UPPER_Z ? 0 : isToken));
/** RFC 3986 §3.1. */
const IS_SCHEME = IS_TOKEN.map((_, byte) => (/[a-zA-Z0-9+.-]/.test(String.fromCharCode(byte)) ? 1 : 0));
/** A host and a port; user information is refused (RFC 9113 §8.3.1). */
const IS_AUTHORITY = IS_TARGET.map((isTarget, byte) => (byte === AT_SIGN || byte === SLASH ? 0 : isTarget));

const TE = fieldIdOf("te");
const CONTENT_LENGTH = fieldIdOf("content-length");
const MAX_LENGTH_DIGITS = 15;
const TRAILERS = "trailers";

/** The note for the field `name: value` at `start`. in  `known`: what is known of the name, or 0 */
// biome-ignore lint/complexity/useMaxParams: numbers, and no object per field on the hot path
export function judgeField(
  bytes: Buffer,
  start: number,
  nameLength: number,
  valueLength: number,
  known: number,
): number {
  const nameEnd = start + nameLength;
  const note = known === 0 ? 1 + classOfName(bytes, start, nameEnd) : known;
  const isGood = isGoodValue(note - 1, bytes, nameEnd + 2, nameEnd + 2 + valueLength);
  return note | (isGood ? VALUE_GOOD : VALUE_BAD);
}

function classOfName(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] === COLON) return pseudoClass(bytes, start, end);
  return end > start && isAllOf(IS_NAME, bytes, start, end) ? fieldIdAt(bytes, start, end) : CLASS_BAD_NAME;
}

function pseudoClass(bytes: Buffer, start: number, end: number): number {
  const at = PSEUDO_NAMES.indexOf(bytes.latin1Slice(start, Math.min(end, start + 12)));
  return at === -1 ? CLASS_BAD_NAME : CLASS_METHOD + at;
}

function isAllOf(isOfClass: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (isOfClass[bytes[at] as number] !== 1) return false;
  }
  return true;
}

function isGoodValue(nameClass: number, bytes: Buffer, start: number, end: number): boolean {
  if (nameClass < CLASS_METHOD) return isGoodFieldValue(nameClass, bytes, start, end);
  if (start === end) return false;
  switch (nameClass) {
    case CLASS_METHOD:
    case CLASS_PROTOCOL:
      return isAllOf(IS_TOKEN, bytes, start, end);
    case CLASS_SCHEME:
      return isAllOf(IS_SCHEME, bytes, start, end);
    case CLASS_AUTHORITY:
      return isAllOf(IS_AUTHORITY, bytes, start, end);
    case CLASS_PATH:
      return isPath(bytes, start, end);
    case CLASS_STATUS:
      return end - start === 3 && bytes[start] !== 48 && isAllOf(IS_DIGIT, bytes, start, end);
    default:
      return false;
  }
}

function isPath(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start] === SLASH) return isAllOf(IS_TARGET, bytes, start, end);
  return bytes[start] === ASTERISK && end - start === 1;
}

/** RFC 9113 §8.2.1, and what §8.2.2 and §8.1.1 say of two of them. */
function isGoodFieldValue(id: number, bytes: Buffer, start: number, end: number): boolean {
  if (start === end) return id !== TE && id !== CONTENT_LENGTH;
  if (isBlank(bytes[start]) || isBlank(bytes[end - 1])) return false;
  if (!isAllOf(IS_VALUE, bytes, start, end)) return false;
  if (id === TE) return isText(bytes, start, end, TRAILERS);
  if (id === CONTENT_LENGTH) return end - start <= MAX_LENGTH_DIGITS && isAllOf(IS_DIGIT, bytes, start, end);
  return true;
}

const isBlank = (byte: number | undefined) => byte === SP || byte === HTAB;

/** True when the bytes are `lowerText`, in any case. */
export function isText(bytes: Buffer, start: number, end: number, lowerText: string): boolean {
  return end - start === lowerText.length && bytes.latin1Slice(start, end).toLowerCase() === lowerText;
}

/** The notes of the static table, by index; entries without a value say nothing of one. */
export const STATIC_NOTES = Int32Array.from({ length: STATIC_COUNT + 1 }, (_, index) =>
  index === 0
    ? 0
    : judgeField(
        STATIC_BYTES,
        STATIC_STARTS[index] as number,
        STATIC_NAME_LENGTHS[index] as number,
        STATIC_VALUE_LENGTHS[index] as number,
        0,
      ),
);
