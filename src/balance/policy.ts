/**
 * Policy: which of an upstream's endpoints takes the next request?
 *
 * why    one contract for every way of balancing; time, chance and health come in as parameters, so that
 *        each is tested without any of them
 * in     `eligible[i]` is 1 when endpoint i may be used now; `chance` in [0, 1)
 * out    the index of an endpoint, or -1 when none is eligible
 */
export interface Policy {
  pick(eligible: Uint8Array, chance: number): number;
}

export interface Weighted {
  readonly weight: number;
}
