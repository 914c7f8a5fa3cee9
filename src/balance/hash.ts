/**
 * Hash: the same key to the same endpoint, as long as that endpoint has no more than its part of the load.
 *
 * why    consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2017): a key that everybody asks for
 *        spills over, always to the same next endpoints, instead of burying its owner
 * how    a key's owner is looked for in a bucket of keys; if it is full, in another bucket, and so on. When an owner
 *        may not be used, the second best of the same bucket stands in for it, who will own it if the owner is removed
 *        for good: no key moves twice
 * cost   keys of endpoints that may not be used take a look at all the others
 */
import { InFlight } from "./in-flight.ts";
import type { Picture, Policy } from "./policy.ts";
import { bucketOf, Rendezvous } from "./rendezvous.ts";
import { Usable } from "./usable.ts";

/** Of the fair share of what is in flight. */
const DEFAULT_LOAD = 1.25;
/** So many in flight bury nobody: while it is quiet, the requests of one client stay together. */
const ALWAYS_BEARABLE = 8;
const MAX_TURNS = 16;

/** `names` tell endpoints apart over reloads and in all workers; `load`, a factor; Infinity = no bound. */
export function hash(names: readonly string[], load = DEFAULT_LOAD): Policy {
  return new Hash(names, load);
}

class Hash implements Policy {
  readonly #load: number;
  readonly #rendezvous: Rendezvous;
  readonly #usable = new Usable();
  readonly #inFlight = new InFlight();

  constructor(names: readonly string[], load: number) {
    this.#load = load;
    this.#rendezvous = new Rendezvous(names);
  }

  pick(picture: Picture): number {
    const usable = this.#usable;
    if (usable.look(picture)) {
      this.#rendezvous.weigh(picture.weights);
      this.#inFlight.restart(picture, usable);
    }
    if (usable.count < 2) return usable.count === 0 ? -1 : (usable.list[0] as number);
    if (picture.key === -1) return usable.list[usable.draw(picture.chance())] as number;
    const owner = this.#ownerOf(picture, 0);
    const fair = (this.#inFlight.sum(picture, usable) + 1) / usable.totalWeight;
    if (this.#canBear(picture, owner, fair)) return owner;
    for (let turn = 1; turn < MAX_TURNS; turn++) {
      const other = this.#ownerOf(picture, turn);
      if (this.#canBear(picture, other, fair)) return other;
    }
    return this.#nextThatCan(picture, fair) ?? owner;
  }

  /** When nearly all are full: from a place that the key gives, whoever can. */
  #nextThatCan(picture: Picture, fair: number): number | undefined {
    const { list, count } = this.#usable;
    const start = picture.key % count;
    for (let step = 0; step < count; step++) {
      const index = list[(start + step) % count] as number;
      if (this.#canBear(picture, index, fair)) return index;
    }
    return undefined;
  }

  #ownerOf(picture: Picture, turn: number): number {
    const bucket = bucketOf(picture.key, turn);
    const owner = this.#rendezvous.ownerOf(bucket);
    if (picture.eligible[owner] === 1) return owner;
    return this.#rendezvous.bestOf(bucket, this.#usable.list, this.#usable.count);
  }

  #canBear(picture: Picture, index: number, fair: number): boolean {
    const load = picture.loadOf(index);
    return load < ALWAYS_BEARABLE || load < Math.ceil(this.#load * fair * (picture.weights[index] as number));
  }
}
