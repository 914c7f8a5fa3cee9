/**
 * Patterns: is this regular expression sound, and can a request make it run for seconds?
 *
 * why    a pattern runs on text that strangers choose; one that backtracks without end stops a worker
 * in     RegExp source as a person wrote it
 * out    undefined, or what is wrong and what to do
 * how    the source is read into a small tree of character sets and repeats. Refused are: a repeat inside a
 *        repeat without a character that delimits the rounds, alternatives inside a repeat that begin alike,
 *        three or more open repeats in a row that can take the same text, and back-references
 * cost   the length of the source; bounded by MAX_SOURCE
 * never  say yes to what it cannot judge
 */
import { type Judgement, judgeTree, parsePattern } from "./pattern-tree.ts";

const MAX_SOURCE = 1024;

export function judgePattern(source: string): Judgement | undefined {
  if (source === "") return ["the pattern is empty", "Write a regular expression after the `~`."];
  if (source.length > MAX_SOURCE) return ["the pattern is too long", `Keep to ${MAX_SOURCE} characters.`];
  try {
    new RegExp(source);
  } catch (error) {
    const detail = (error as Error).message.replace(/^Invalid regular expression: /, "");
    return [
      `the pattern is no regular expression: ${detail}`,
      "Write a JavaScript regular expression after `~`.",
    ];
  }
  const tree = parsePattern(source);
  if (tree === undefined) {
    return [
      "the pattern uses a back-reference or a construct that cannot be judged",
      "Write it in simpler terms.",
    ];
  }
  return judgeTree(tree);
}
