/**
 * Files that a configuration names: that they are there. What is inside is read and judged when they are used.
 */
import { type Place, quote } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { absolutePath } from "./places.ts";

/** The absolute path, after saying what is wrong there. */
export function checkFile(written: string, place: Place, facts: CheckFacts): string {
  const path = absolutePath(written, facts.folder);
  const kind = facts.kindOf(path);
  if (kind === "missing") place.error(`there is no file ${quote(written)}`, `It was looked for at ${path}.`);
  else if (kind !== "file") place.error(`${quote(written)} is not a file`, `It was looked for at ${path}.`);
  return path;
}

/** The same for a file that may be left out. */
export function checkOptionalFile(
  written: string | undefined,
  place: Place,
  facts: CheckFacts,
): string | undefined {
  return written === undefined ? undefined : checkFile(written, place, facts);
}
