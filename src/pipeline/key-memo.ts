/**
 * Key memo: keys of the targets that are asked for again and again, ready made.
 *
 * why    to put a key together, flatten it and hash it costs as much as all else that a lookup does; the key of a hot
 *        target is always the same string
 * shape  a table of PLACES entries, each for the target that was there last; whoever is not there is made anew
 * rule   only for keys that follow from the route, the listener's scheme, the authority and the target as it was sent
 * bound  PLACES targets of at most MAX_TARGET characters, in memory of their own
 */
import type { CacheRules } from "./plan.ts";

const PLACES = 2048;
const MAX_TARGET = 256;

interface Entry {
  readonly rules: CacheRules;
  readonly scheme: string;
  readonly authority: string;
  readonly target: string;
  readonly key: string;
}

const ENTRIES: (Entry | undefined)[] = new Array(PLACES).fill(undefined);

/** Some characters tell most targets apart; those that it does not share a place. */
function placeOf(target: string): number {
  const { length } = target;
  const last = target.charCodeAt(length - 1) + 31 * target.charCodeAt(length >> 1);
  return (length * 131 + last * 7 + 17 * target.charCodeAt(length - (length >> 2) - 1)) & (PLACES - 1);
}

/** out  undefined: it has to be made */
export function knownKey(
  rules: CacheRules,
  scheme: string,
  authority: string,
  target: string,
): string | undefined {
  const entry = ENTRIES[placeOf(target)];
  if (entry === undefined || entry.target !== target || entry.rules !== rules) return undefined;
  return entry.authority === authority && entry.scheme === scheme ? entry.key : undefined;
}

/** Keeps a key that was made. out  the same, as one string */
export function keepKey(entry: Entry): string {
  const { target, key } = entry;
  if (target.length > MAX_TARGET) return key;
  const own = { ...entry, target: copyOf(target), key: copyOf(key) };
  ENTRIES[placeOf(target)] = own;
  return own.key;
}

/** A slice would keep the whole head that it was cut from in memory. */
const copyOf = (text: string) => Buffer.from(text, "latin1").latin1Slice();
