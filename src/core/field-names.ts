/**
 * Which known field is this name? Answers from the bytes, without making a string.
 *
 * cost   one table load and, when it hits, one compare of the name's bytes
 */
import { LOWER } from "./bytes.ts";
import { ID_UNKNOWN, KNOWN_NAMES, type KnownName } from "./field-names.table.ts";

const MAX_NAME_BYTES = 32;
const NAME_BYTES: readonly Uint8Array[] = KNOWN_NAMES.map((name) => new TextEncoder().encode(name));

const CANDIDATES = buildCandidates();

function buildCandidates(): Uint8Array {
  const candidates = new Uint8Array(65536).fill(ID_UNKNOWN);
  for (const [id, bytes] of NAME_BYTES.entries()) {
    const slot = slotOfBytes(bytes, 0, bytes.length);
    if (candidates[slot] !== ID_UNKNOWN) throw new Error(`field names share a slot: ${KNOWN_NAMES[id]}`);
    candidates[slot] = id;
  }
  return candidates;
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
    if (LOWER[bytes[start + at] as number] !== name[at]) return ID_UNKNOWN;
  }
  return id;
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

export function fieldMask(...names: readonly KnownName[]): FieldMask {
  let low = 0;
  let high = 0;
  for (const id of names.map(fieldIdOf)) {
    if (id < 32) low |= 1 << id;
    else high |= 1 << (id - 32);
  }
  return { low, high };
}
