/**
 * Which known field is this name? Answers from the bytes, without making a string.
 *
 * cost   one table load and, when it hits, one compare of the name's bytes
 */
import { LOWER } from "./bytes.ts";
import {
  CERTIFICATE_NAMES,
  FAMILY_IDS,
  type FieldFamily,
  FOLDED_NAMES,
  ID_UNKNOWN,
  KNOWN_NAMES,
  type KnownName,
  STEERING_NAMES,
} from "./field-names.table.ts";

const MAX_NAME_BYTES = 32;
const HYPHEN = 45;
const UNDERSCORE = 95;
const NO_ROW = 255;
const CERTIFICATE = FAMILY_IDS["client certificate"];
const STEERING = FAMILY_IDS.steering;
const UNDERSCORED = FAMILY_IDS.underscored;

/** Names to tell apart; those with an id of their own stand at it. */
const ROWS: readonly string[] = [...KNOWN_NAMES, ...CERTIFICATE_NAMES, ...STEERING_NAMES];
const ROW_BYTES: readonly Uint8Array[] = ROWS.map((name) => new TextEncoder().encode(name));
const OWN_IDS = KNOWN_NAMES.length;
const FIRST_STEERING = OWN_IDS + CERTIFICATE_NAMES.length;
/** Id of the name in each row. */
const ROW_IDS = Uint8Array.from(ROWS, (_name, row) => {
  if (row < OWN_IDS) return row;
  return row < FIRST_STEERING ? CERTIFICATE : STEERING;
});
/** Names that backends which fold "_" to "-" read as the ones with hyphens, however they are mixed. */
const FOLDED: ReadonlySet<string> = new Set(FOLDED_NAMES);
const IS_FOLDED = Uint8Array.from(ROWS, (name) => (FOLDED.has(name) ? 1 : 0));

/** Row that a slot may be, or NO_ROW. */
const CANDIDATES = buildCandidates();

function buildCandidates(): Uint8Array {
  const candidates = new Uint8Array(65536).fill(NO_ROW);
  for (const [row, name] of ROWS.entries()) {
    for (const spelling of spellings(name, IS_FOLDED[row] === 1)) {
      const bytes = new TextEncoder().encode(spelling);
      const slot = slotOfBytes(bytes, 0, bytes.length);
      const there = candidates[slot] as number;
      if (there !== NO_ROW && there !== row)
        throw new Error(`field names share a slot: ${name}, ${ROWS[there]}`);
      candidates[slot] = row;
    }
  }
  return candidates;
}

/** The name, and one spelling for each way in which underscores for hyphens change its slot. */
function spellings(name: string, isFolded: boolean): readonly string[] {
  const found = [name];
  if (!isFolded) return found;
  for (const at of [1, name.length - 4]) {
    if (name.charCodeAt(at) !== HYPHEN) continue;
    found.push(...found.map((spelling) => `${spelling.slice(0, at)}_${spelling.slice(at + 1)}`));
  }
  return found;
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
  const row = CANDIDATES[slotOfBytes(bytes, start, end)] as number;
  if (row === NO_ROW) return ID_UNKNOWN;
  const name = ROW_BYTES[row] as Uint8Array;
  if (name.length !== length) return ID_UNKNOWN;
  for (let at = 0; at < length; at++) {
    if (LOWER[bytes[start + at] as number] !== name[at]) return foldedId(bytes, start, row);
  }
  return ROW_IDS[row] as number;
}

/** UNDERSCORED when the bytes are the name of a row that is folded, but for underscores; else ID_UNKNOWN. */
function foldedId(bytes: Uint8Array, start: number, row: number): number {
  if (IS_FOLDED[row] === 0) return ID_UNKNOWN;
  const name = ROW_BYTES[row] as Uint8Array;
  for (let at = 0; at < name.length; at++) {
    const byte = LOWER[bytes[start + at] as number] as number;
    const wanted = name[at] as number;
    if (byte !== wanted && !(wanted === HYPHEN && byte === UNDERSCORE)) return ID_UNKNOWN;
  }
  return UNDERSCORED;
}

const IDS = new Map<string, number>(ROWS.map((name, row) => [name, ROW_IDS[row] as number]));

/** Id of a lower-case name, or ID_UNKNOWN: what `fieldIdAt` says of its bytes. */
export function fieldIdOf(lowerName: string): number {
  const id = IDS.get(lowerName);
  if (id !== undefined) return id;
  return lowerName.includes("_") && FOLDED.has(lowerName.replaceAll("_", "-")) ? UNDERSCORED : ID_UNKNOWN;
}

/** A set of known fields as two 32-bit words: `low` for ids under 32, `high` for the others. */
export interface FieldMask {
  readonly low: number;
  readonly high: number;
}

/** The set of these names and families. */
export function fieldMask(...names: readonly (KnownName | FieldFamily)[]): FieldMask {
  let low = 0;
  let high = 0;
  for (const name of names) {
    const id = name in FAMILY_IDS ? FAMILY_IDS[name as FieldFamily] : fieldIdOf(name);
    if (id < 32) low |= 1 << id;
    else high |= 1 << (id - 32);
  }
  return { low, high };
}
