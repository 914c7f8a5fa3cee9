/**
 * Still picture: endpoints whose weights and health do not change while a configuration is in force.
 */
import type { Picture } from "../balance/policy.ts";

export class StillPicture implements Picture {
  readonly count: number;
  readonly revision = 0;
  readonly eligible: Uint8Array;
  readonly weights: Float64Array;
  readonly key = -1;
  /** Of the exchange that asks. */
  chance: () => number = () => 0;

  constructor(eligible: Uint8Array, weights: Float64Array) {
    this.count = eligible.length;
    this.eligible = eligible;
    this.weights = weights;
  }

  loadOf(): number {
    return 0;
  }

  latencyMs(): number {
    return 0;
  }
}
