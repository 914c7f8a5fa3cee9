/**
 * Edits: what a route removes from, sets in and adds to a message's fields.
 *
 * shape  in this order: remove, set (which first drops all of that name), add; compiled to names to drop and
 *        one text to append, so applying it to a message builds nothing
 * note   only fields that came with the message are dropped; lines that the proxy adds itself under a name in
 *        `names` are the caller's to leave out
 * fails  compileEdits throws on an illegal name or value: the configuration was to refuse it
 */
import { isFieldValue, isToken } from "../core/bytes.ts";
import type { Fields } from "../core/fields.ts";
import type { HeaderEdits } from "./match.ts";

export interface CompiledEdits {
  /** Lower-case names that lose what the message had. */
  readonly drops: readonly string[];
  /** Lines to append: `Name: value\r\n` each. */
  readonly lines: string;
  /** Every lower-case name that is removed, set or added. */
  readonly names: ReadonlySet<string>;
}

/** out  undefined when there is nothing to do, so that the hot path branches once */
export function compileEdits(edits: HeaderEdits): CompiledEdits | undefined {
  const set = new Map<string, string>();
  for (const [name, value] of edits.set) {
    // delete first: a name set twice in two spellings stands where it was set last
    set.delete(name.toLowerCase());
    set.set(name.toLowerCase(), lineOf(name, value));
  }
  const added = edits.add.map(([name, value]) => lineOf(name, value));
  const removed = edits.remove.map((name) => name.toLowerCase());
  const drops = [...new Set([...removed, ...set.keys()])];
  const lines = [...set.values(), ...added].join("");
  if (drops.length === 0 && lines === "") return undefined;
  return { drops, lines, names: new Set([...drops, ...edits.add.map(([name]) => name.toLowerCase())]) };
}

/** Changes the fields in place. */
export function applyEdits(fields: Fields, edits: CompiledEdits): void {
  const drops = edits.drops;
  for (let at = 0; at < drops.length; at++) fields.drop(drops[at] as string);
  fields.added += edits.lines;
}

function lineOf(name: string, value: string): string {
  if (!isToken(name)) throw new Error(`"${name}" cannot be a field name`);
  if (!isFieldValue(value))
    throw new Error(`the value of field "${name}" holds a character that no field may hold`);
  return `${name}: ${value}\r\n`;
}
