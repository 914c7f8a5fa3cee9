/**
 * Panic: when so few endpoints are usable that checks are the likelier fault, or the few would be crushed, all are
 * used.
 *
 * why    a check that fails everywhere at once must not take the site down, and a third of the endpoints must not get
 *        three times their load; some requests fail then, but not all
 * rule   what a person took out of service stays out, and does not count
 * cost   one pass over the endpoints, when a state has changed
 * spec   Envoy's panic threshold, which is 50 % unless it is set
 */
import { takesFresh, takesInPanic } from "./endpoint-state.table.ts";

/** Is that too few? `threshold` is a share of `total`; 0 = there is no panic. */
export function isPanic(usable: number, total: number, threshold: number): boolean {
  return total > 0 && usable < total * threshold;
}

/**
 * Writes into `eligible` which endpoints may take a fresh request, and says whether that is by panic.
 *
 * in  `states[i]` is the number of endpoint i's state; `eligible` has as many places
 */
export function fillEligible(states: Uint8Array, threshold: number, eligible: Uint8Array): boolean {
  let usable = 0;
  let total = 0;
  for (let index = 0; index < states.length; index++) {
    const state = states[index] as number;
    const mayTake = takesFresh(state);
    eligible[index] = mayTake ? 1 : 0;
    if (mayTake) usable++;
    if (takesInPanic(state)) total++;
  }
  if (!isPanic(usable, total, threshold)) return false;
  for (let index = 0; index < states.length; index++) {
    eligible[index] = takesInPanic(states[index] as number) ? 1 : 0;
  }
  return true;
}
