/**
 * Split: one of several weighted targets for each request.
 *
 * in     weights ≥ 0; a chance in [0, 1), from the caller, so that the choice can be tested
 * out    the index of a target; a weight of 0 is never picked; -1 when all weights are 0
 */
export interface Split {
  pick(chance: number): number;
}

export function compileSplit(targets: readonly { readonly weight: number }[]): Split {
  const bounds: number[] = [];
  let total = 0;
  for (const { weight } of targets) {
    if (!(weight >= 0) || !Number.isFinite(weight))
      throw new Error(`weight ${weight} is not a number from 0 on`);
    total += weight;
    bounds.push(total);
  }
  if (total === 0) return { pick: () => -1 };
  if (targets.length === 1) return { pick: () => 0 };
  const last = bounds.indexOf(total);
  return {
    pick(chance) {
      const point = chance * total;
      for (let index = 0; index < last; index++) if (point < (bounds[index] as number)) return index;
      return last;
    },
  };
}
