/**
 * Header edits with nothing left out.
 */
import type { HeaderEdits } from "../../route/match.ts";
import type { FieldPairs } from "../options/messages.ts";
import type { HEADER_EDITS } from "../options/options.table.ts";
import type { Written } from "../options/types.ts";

/** `own`: fields of the answer itself, set before the edits, which therefore win over them. */
export function toEdits(
  written: Written<typeof HEADER_EDITS> | undefined,
  own: FieldPairs = [],
): HeaderEdits {
  const set = written?.set ?? [];
  const remove = [...new Set(written?.remove)];
  const decided = new Set([...set.map(([name]) => name.toLowerCase()), ...remove]);
  return {
    set: [...own.filter(([name]) => !decided.has(name.toLowerCase())), ...set],
    add: written?.add ?? [],
    remove,
  };
}
