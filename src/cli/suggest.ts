/**
 * Suggest: which known word did a person mean by an unknown one?
 *
 * why    beside a slip of the finger, on a command line people also stop early: `--conf`, `vers`
 */
import { nearest } from "../config/suggest.ts";

const SHORTEST_PREFIX = 2;

export function suggest(word: string, known: readonly string[]): string | undefined {
  const isPrefix = word.length >= SHORTEST_PREFIX;
  return nearest(word, known) ?? (isPrefix ? known.find((each) => each.startsWith(word)) : undefined);
}
