/**
 * Did you mean? The nearest legal word to a wrong one.
 *
 * cost   length × length for each candidate; only ever paid for a mistake
 */
const MAX_WORD = 64;

/** Edits (insert, delete, replace, swap of neighbours) that turn `from` into `to`. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const replace = (last[column - 1] as number) + (isSame ? 0 : 1);
      let best = Math.min(replace, (last[column] as number) + 1, (current[column - 1] as number) + 1);
      const isSwap =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwap) best = Math.min(best, (beforeLast[column - 2] as number) + 1);
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] as number;
}

/** The nearest candidate, when it is near enough to be meant: about a third of the word may differ. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_WORD) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

const MAX_LISTED = 24;

/** A hint: the nearest word, or the words there are. `unlisted` may be meant, but is not offered. */
export function didYouMean(
  word: string,
  candidates: readonly string[],
  unlisted: readonly string[] = [],
): string {
  const found = nearest(word, [...candidates, ...unlisted]);
  if (found !== undefined) return `Did you mean \`${found}\`?`;
  if (candidates.length === 0) return "There is none to choose from.";
  const listed = candidates.slice(0, MAX_LISTED).join(", ");
  return `Known here: ${listed}${candidates.length > MAX_LISTED ? ", …" : ""}.`;
}
