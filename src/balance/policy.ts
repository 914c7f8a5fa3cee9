/**
 * Policy: which of an upstream's endpoints takes the next request?
 *
 * why    one contract for every way of balancing; time, chance, load and health come in with the picture, so that
 *        each policy is tested without any of them
 * out    the index of an endpoint that is eligible and has weight, or -1 when there is none
 * cost   at most 150 ns with 10 endpoints, 400 ns with 1,000 (bench/micro/balance.ts)
 */
export interface Policy {
  pick(picture: Picture): number;
}

/** An upstream's endpoints now. One object an upstream, reused: a policy keeps nothing of it but what it computed. */
export interface Picture {
  readonly count: number;
  /**
   * Another number whenever `count`, `eligible` or `weights` say something else than at the last pick: what a policy
   * computes from all endpoints, it computes once a revision.
   */
  readonly revision: number;
  /** 1 = may be used now. */
  readonly eligible: Uint8Array;
  /** Effective: configured × set at run time × slow start. 0 = takes nothing. */
  readonly weights: Float64Array;
  /** Requests in flight in all workers. */
  loadOf(index: number): number;
  /** As this worker sees it; 0 = nothing seen. */
  latencyMs(index: number): number;
  /** A number in [0, 1). */
  chance(): number;
  /** 32-bit hash of what the request is told apart by, or -1. */
  readonly key: number;
}
