/**
 * Which known field is this name? Answers from the bytes, without making a string.
 *
 * cost   one table load and, when it hits, one compare of the name's bytes
 */
import { LOWER } from "./bytes.ts";
import { ID_UNKNOWN, KNOWN_NAMES, type KnownName, UNDERSCORE_NAMES } from "./field-names.table.ts";

const MAX_NAME_BYTES = 32;
const HYPHEN = 45;
const UNDERSCORE = 95;
/** Names that backends which fold "_" to "-" read as the ones with hyphens, however they are mixed. */
const DISGUISED: ReadonlyMap<string, KnownName> = new Map(
  UNDERSCORE_NAMES.map((name) => [name.replaceAll("_", "-"), name]),
);
const NAME_BYTES: readonly Uint8Array[] = KNOWN_NAMES.map((name) => new TextEncoder().encode(name));
/** By id of either spelling: the underscore one. */
const DISGUISES = KNOWN_NAMES.map((name) => DISGUISED.get(name.replaceAll("_", "-")));

const CANDIDATES = buildCandidates();

function buildCandidates(): Uint8Array {
  const candidates = new Uint8Array(65536).fill(ID_UNKNOWN);
  for (const [id, bytes] of NAME_BYTES.entries()) {
    const slot = slotOfBytes(bytes, 0, bytes.length);
    if (candidates[slot] !== ID_UNKNOWN) throw new Error(`field names share a slot: ${KNOWN_NAMES[id]}`);
    candidates[slot] = id;
  }
  for (const [id, name] of KNOWN_NAMES.entries()) {
    if (DISGUISED.has(name)) addDisguises(candidates, id, NAME_BYTES[id] as Uint8Array);
  }
  return candidates;
}

/** The slots that a name has when underscores stand for some of its hyphens. */
function addDisguises(candidates: Uint8Array, id: number, name: Uint8Array): void {
  for (const at of [1, name.length - 4]) {
    if (name[at] !== HYPHEN) continue;
    const disguised = name.slice();
    disguised[at] = UNDERSCORE;
    const slot = slotOfBytes(disguised, 0, disguised.length);
    const there = candidates[slot] as number;
    if (there === ID_UNKNOWN) candidates[slot] = id;
    else if (DISGUISES[there] !== DISGUISES[id])
      throw new Error(`field names share a slot: ${KNOWN_NAMES[id]}`);
  }
}

/** Length and four letters tell all known names apart; start-up proves it. */
function slotOfBytes(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const first = (bytes[start] as number) & 31;
  const second = (bytes[length < 2 ? start : start + 1] as number) & 31;
  const late = (bytes[length < 4 ? start : end - 4] as number) & 31;
  const last = (bytes[end - 1] as number) & 31;
  return ((length & 31) << 11) ^ (first << 6) ^ (second << 8) ^ (late << 2) ^ last;
}

/** Id of the known field name in `bytes[start, end)`, in any case, or ID_UNKNOWN. */
export function fieldIdAt(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0 || length >= MAX_NAME_BYTES) return ID_UNKNOWN;
  const id = CANDIDATES[slotOfBytes(bytes, start, end)] as number;
  if (id === ID_UNKNOWN) return ID_UNKNOWN;
  const name = NAME_BYTES[id] as Uint8Array;
  if (name.length !== length) return ID_UNKNOWN;
  for (let at = 0; at < length; at++) {
    if (LOWER[bytes[start + at] as number] !== name[at]) return disguisedId(bytes, start, id);
  }
  return id;
}

/** Id of the underscore spelling when the bytes are the known name `id` but for its separators, or ID_UNKNOWN. */
function disguisedId(bytes: Uint8Array, start: number, id: number): number {
  const disguise = DISGUISES[id];
  if (disguise === undefined) return ID_UNKNOWN;
  for (let at = 0; at < disguise.length; at++) {
    const byte = LOWER[bytes[start + at] as number] as number;
    const wanted = disguise.charCodeAt(at);
    if (byte !== wanted && !(wanted === UNDERSCORE && byte === HYPHEN)) return ID_UNKNOWN;
  }
  return fieldIdOf(disguise);
}

const IDS = new Map<string, number>(KNOWN_NAMES.map((name, id) => [name, id]));

/** Id of a lower-case name, or ID_UNKNOWN. */
export function fieldIdOf(lowerName: string): number {
  return IDS.get(lowerName) ?? ID_UNKNOWN;
}

/** A set of known fields as two 32-bit words: `low` for ids under 32, `high` for the others. */
export interface FieldMask {
  readonly low: number;
  readonly high: number;
}

/** The set of these names. */
export function fieldMask(...names: readonly KnownName[]): FieldMask {
  let low = 0;
  let high = 0;
  for (const id of names.map(fieldIdOf)) {
    if (id < 32) low |= 1 << id;
    else high |= 1 << (id - 32);
  }
  return { low, high };
}
