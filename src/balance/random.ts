/**
 * Random: an endpoint by chance, in proportion to its weight.
 *
 * why    no state to agree on between workers; with many endpoints as even as taking turns
 */
import type { Policy, Weighted } from "./policy.ts";

export function random(endpoints: readonly Weighted[]): Policy {
  const weights = Float64Array.from(endpoints, ({ weight }) => weight);
  return {
    pick(eligible, chance) {
      let total = 0;
      for (let index = 0; index < weights.length; index++) {
        if (eligible[index] === 1) total += weights[index] as number;
      }
      let point = chance * total;
      let last = -1;
      for (let index = 0; index < weights.length; index++) {
        const weight = weights[index] as number;
        if (eligible[index] !== 1 || weight === 0) continue;
        last = index;
        point -= weight;
        if (point < 0) return index;
      }
      return last;
    },
  };
}
