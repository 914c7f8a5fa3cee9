/**
 * Known names: what the encoder knows of a name beforehand, by its code.
 *
 * shape  a code is the field's id (core/field-names) or one of the pseudo-header fields' behind those; a name without an
 *        id is looked up by a hash of a few of its bytes
 */
import { LOWER } from "../../core/bytes.ts";
import { FIRST_SHARED_ID, ID_UNKNOWN, KNOWN_NAMES } from "../../core/field-names.table.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { STATIC_FIELDS } from "./codes.table.ts";
import { INDEXING, type Indexing, REPEATED } from "./indexing.table.ts";

export const CODE_METHOD = 64;
export const CODE_SCHEME = 65;
export const CODE_AUTHORITY = 66;
export const CODE_PATH = 67;
export const CODE_STATUS = 68;
export const CODE_PROTOCOL = 69;
export const CODES = 70;
export const CODE_COOKIE = fieldIdOf("cookie");
export const NAME_HASH_MASK = 127;

const ALL_NAMES: string[] = new Array(CODES).fill("");
for (const [id, name] of KNOWN_NAMES.entries()) ALL_NAMES[id] = name;
for (const [at, name] of [":method", ":scheme", ":authority", ":path", ":status", ":protocol"].entries()) {
  ALL_NAMES[CODE_METHOD + at] = name;
}

/** By code: the name as bytes. */
export const NAMES: readonly Buffer[] = ALL_NAMES.map((name) => Buffer.from(name, "latin1"));
/** By code. */
export const INDEXINGS = Uint8Array.from(ALL_NAMES, (name) => INDEXING[name] ?? REPEATED);
/** By code: first index of the name in the static table, or 0. */
export const STATIC_NAME_INDEX = Uint8Array.from(ALL_NAMES, staticIndexOf);
/** By code of a pseudo-header field: indexes of its values in the static table. */
export const STATIC_VALUE_INDEX: readonly (ReadonlyMap<string, number> | undefined)[] = ALL_NAMES.map(
  (name, code) => (code < CODE_METHOD ? undefined : staticValuesOf(name)),
);

function staticIndexOf(name: string): number {
  return 1 + STATIC_FIELDS.findIndex(([there]) => there === name);
}

function staticValuesOf(name: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const [row, [there, value]] of STATIC_FIELDS.entries()) {
    if (there === name && value !== "") values.set(value, row + 1);
  }
  return values;
}

/** Code of a field id: an id that several names share says nothing of the name. */
export function codeOf(id: number): number {
  return id < FIRST_SHARED_ID ? id : ID_UNKNOWN;
}

/** Hash of a name in any case. */
export function nameHash(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const first = LOWER[bytes[start] as number] as number;
  const middle = LOWER[bytes[start + (length >> 1)] as number] as number;
  const late = LOWER[bytes[end - (length > 3 ? 3 : 1)] as number] as number;
  const last = LOWER[bytes[end - 1] as number] as number;
  return (length * 37 + first * 3 + middle * 11 + late * 5 + last * 7) & NAME_HASH_MASK;
}

/** A name without an id of which something is known. */
interface OwnName {
  readonly name: Buffer;
  readonly staticIndex: number;
  readonly indexing: Indexing;
}

/** By hash. */
const OWN_NAMES: readonly (readonly OwnName[])[] = ownNames();

function ownNames(): OwnName[][] {
  const byHash: OwnName[][] = Array.from({ length: NAME_HASH_MASK + 1 }, () => []);
  const names = new Set([...STATIC_FIELDS.map(([name]) => name), ...Object.keys(INDEXING)]);
  for (const text of names) {
    if (text.startsWith(":") || fieldIdOf(text) < FIRST_SHARED_ID) continue;
    const name = Buffer.from(text, "latin1");
    const own = { name, staticIndex: staticIndexOf(text), indexing: INDEXING[text] ?? REPEATED };
    byHash[nameHash(name, 0, name.length)]?.push(own);
  }
  return byHash;
}

function ownName(bytes: Uint8Array, start: number, length: number): OwnName | undefined {
  for (const own of OWN_NAMES[nameHash(bytes, start, start + length)] as readonly OwnName[]) {
    if (isNamed(own.name, bytes, start, length)) return own;
  }
  return undefined;
}

function isNamed(name: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let at = 0; at < length; at++) {
    if (LOWER[bytes[start + at] as number] !== name[at]) return false;
  }
  return true;
}

/** Index in the static table of a name without an id, or 0. */
export function ownStaticIndex(bytes: Uint8Array, start: number, length: number): number {
  return ownName(bytes, start, length)?.staticIndex ?? 0;
}

export function ownIndexing(bytes: Uint8Array, start: number, length: number): Indexing {
  return ownName(bytes, start, length)?.indexing ?? REPEATED;
}
