/**
 * Slow start: what share of its weight does an endpoint take that has just come back?
 *
 * why    an endpoint with cold caches and an empty connection pool that gets its whole share at once falls over again
 * rule   max(10 %, (elapsed / window) ^ (1 / aggression)): with aggression 1 it grows in a straight line, above 1 it
 *        grows faster at first. The floor keeps traffic flowing: what takes nothing warms nothing
 * spec   Envoy's slow start (`slow_start_config`: the same formula and the same floor)
 */

/** Share of the weight at the beginning. */
export const COLD_SHARE = 0.1;

/** Factor of the weight, from COLD_SHARE to 1. cost: one division when aggression is 1 */
export function warmFactor(elapsedMs: number, windowMs: number, aggression = 1): number {
  if (!(elapsedMs < windowMs)) return 1;
  const progress = Math.max(0, elapsedMs) / windowMs;
  const factor = aggression === 1 ? progress : progress ** (1 / aggression);
  return Math.max(factor, COLD_SHARE);
}
