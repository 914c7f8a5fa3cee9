/**
 * Unknown key: what was probably meant by a key that the schema does not know here.
 *
 * out    a hint: a forgotten space, the mapping it belongs into, the nearest key, or the keys there are
 */
import { didYouMean } from "../suggest.ts";
import { LATER_KEYS } from "./later.table.ts";
import type { Rows } from "./types.ts";

export function hintForKey(key: string, rows: Rows, rule: string): string {
  const [, glued = ""] = /^(\w+):/.exec(key) ?? [];
  if (Object.hasOwn(rows, glued)) return `Write a space after the colon: \`${glued}: …\`.`;
  const parents = Object.keys(rows).filter((parent) => Object.hasOwn(rows[parent]?.type.rows ?? {}, key));
  if (parents.length > 0) return `It belongs under ${parents.map((parent) => `\`${parent}\``).join(" or ")}.`;
  return didYouMean(key, Object.keys(rows), laterKeysOf(rule));
}

/** Keys of later releases that belong into the mapping at `rule`. */
function laterKeysOf(rule: string): readonly string[] {
  const prefix = rule === "" ? "" : `${rule}.`;
  return Object.keys(LATER_KEYS).flatMap((key) => {
    const rest = key.startsWith(prefix) ? key.slice(prefix.length) : "";
    return rest === "" || rest.includes(".") ? [] : [rest];
  });
}
