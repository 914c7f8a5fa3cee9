/**
 * Near: decoded responses that a worker has at hand, in front of what all workers share.
 *
 * why    a hot hit then costs a look into a map and two loads, instead of a copy out of shared memory and a decoding
 * rule   a response from here is used only while the word of its index entry says that it still stands there; whoever
 *        looks checks that, not this
 * bound  by bytes. Two generations: what was used in the younger one stays, the older is dropped whole; so nothing has to
 *        be ordered on a hit
 */
import type { StoredResponse } from "./stored.ts";

/** What a decoded response takes beside its record: objects, marks, the map. A measured average. */
const OVERHEAD_BYTES = 1200;

export interface NearResponse {
  readonly response: StoredResponse;
  /** Its entry in the index, and the number under which it was published there. */
  readonly entry: number;
  readonly published: number;
  readonly recordBytes: number;
  readonly keepUntilMs: number;
  /** The board's `made` when it was last known to be there. */
  seenMade: number;
}

export class Near {
  readonly #halfBytes: number;
  #young = new Map<string, NearResponse>();
  #old = new Map<string, NearResponse>();
  #youngBytes = 0;

  constructor(maxBytes: number) {
    this.#halfBytes = maxBytes / 2;
  }

  get(key: string): NearResponse | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#keep(old);
    return old;
  }

  set(near: NearResponse): void {
    if (near.recordBytes + OVERHEAD_BYTES > this.#halfBytes) return;
    this.delete(near.response.key);
    this.#keep(near);
  }

  delete(key: string): void {
    const young = this.#young.get(key);
    if (young === undefined) {
      this.#old.delete(key);
      return;
    }
    this.#young.delete(key);
    this.#youngBytes -= young.recordBytes + OVERHEAD_BYTES;
  }

  #keep(near: NearResponse): void {
    this.#young.set(near.response.key, near);
    this.#youngBytes += near.recordBytes + OVERHEAD_BYTES;
    if (this.#youngBytes <= this.#halfBytes) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
