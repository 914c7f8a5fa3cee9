/**
 * Lane: endpoints among which one policy chooses: all of an upstream, or those near or far.
 *
 * why    a policy keeps what it has computed for one picture; near and far endpoints are two pictures
 */
import type { Picture, Policy } from "../balance/policy.ts";

/** What an endpoint is asked for when a policy wants to know. */
export interface Loaded {
  /** Requests in flight at it in all workers. */
  load(): number;
  latencyMs(): number;
}

export class Lane implements Picture {
  readonly count: number;
  revision = 0;
  readonly eligible: Uint8Array;
  readonly weights: Float64Array;
  key = -1;
  readonly #endpoints: readonly Loaded[];
  readonly #policy: Policy;
  readonly #chance: () => number;

  constructor(endpoints: readonly Loaded[], weights: Float64Array, policy: Policy, chance: () => number) {
    this.count = endpoints.length;
    this.#endpoints = endpoints;
    this.weights = weights;
    this.eligible = new Uint8Array(endpoints.length);
    this.#policy = policy;
    this.#chance = chance;
  }

  loadOf(index: number): number {
    return this.#endpoints[index]?.load() ?? 0;
  }

  latencyMs(index: number): number {
    return this.#endpoints[index]?.latencyMs() ?? 0;
  }

  chance(): number {
    return this.#chance();
  }

  /** out  index of an endpoint, or -1 */
  pick(key: number): number {
    this.key = key;
    return this.#policy.pick(this);
  }
}
