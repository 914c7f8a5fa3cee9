/**
 * Least-request: the endpoint that is furthest below its fair share of what is in flight.
 *
 * why    the fair share of an endpoint is its weight's part of all that is in flight, with the request to be placed.
 *        Requests are whole and shares are not: among those that lack something, and not a whole request less than
 *        the one that lacks most, weights decide. With equal weights that is the one with the fewest in flight. The
 *        usual (in flight + 1) / weight gives every request of an idle upstream to its heaviest endpoint; and
 *        in flight / weight overruns a light one, such as one that starts slowly, whenever it is idle
 * how    up to 16 endpoints are all compared; of more, two drawn by weight (power of two choices)
 */
import { InFlight } from "./in-flight.ts";
import type { Picture, Policy } from "./policy.ts";
import { Usable } from "./usable.ts";

const ALL_UP_TO = 16;
/** Less what sums of weights are rounded by. */
const ONE_REQUEST = 1 - 1e-6;

/** Compares all while they are few. */
export function leastRequest(): Policy {
  return new LeastRequest(ALL_UP_TO);
}

/** Compares two drawn by weight, however few there are. */
export function powerOfTwo(): Policy {
  return new LeastRequest(1);
}

class LeastRequest implements Policy {
  readonly #allUpTo: number;
  readonly #usable = new Usable();
  readonly #inFlight = new InFlight();
  /** Scratch of one pick: load, then lack, of the endpoint at each place. */
  readonly #lacks = new Float64Array(ALL_UP_TO);

  constructor(allUpTo: number) {
    this.#allUpTo = allUpTo;
  }

  pick(picture: Picture): number {
    const usable = this.#usable;
    if (usable.look(picture) && usable.count > this.#allUpTo) this.#inFlight.restart(picture, usable);
    if (usable.count === 0) return -1;
    if (usable.count === 1) return usable.list[0] as number;
    return usable.list[usable.count <= this.#allUpTo ? this.#ofAll(picture) : this.#ofTwo(picture)] as number;
  }

  #ofAll(picture: Picture): number {
    const { list, weights, count, totalWeight } = this.#usable;
    const lacks = this.#lacks;
    let inFlight = 0;
    for (let place = 0; place < count; place++) {
      const load = picture.loadOf(list[place] as number);
      lacks[place] = load;
      inFlight += load;
    }
    const fair = (inFlight + 1) / totalWeight;
    let most = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < count; place++) {
      const lack = fair * (weights[place] as number) - (lacks[place] as number);
      lacks[place] = lack;
      if (lack > most) most = lack;
    }
    return this.#drawLacking(Math.max(0, most - ONE_REQUEST), picture.chance());
  }

  /** By weight, of those that lack more than `least`. */
  #drawLacking(least: number, chance: number): number {
    const { weights, count } = this.#usable;
    const lacks = this.#lacks;
    let total = 0;
    for (let place = 0; place < count; place++) {
      if ((lacks[place] as number) > least) total += weights[place] as number;
    }
    let point = chance * total;
    let last = 0;
    for (let place = 0; place < count; place++) {
      if ((lacks[place] as number) <= least) continue;
      last = place;
      point -= weights[place] as number;
      if (point < 0) break;
    }
    return last;
  }

  #ofTwo(picture: Picture): number {
    const usable = this.#usable;
    const first = usable.draw(picture.chance());
    const second = usable.drawOther(picture.chance(), first);
    const firstLoad = picture.loadOf(usable.list[first] as number);
    const secondLoad = picture.loadOf(usable.list[second] as number);
    if (usable.isEqual) return secondLoad < firstLoad ? second : first;
    const fair = (this.#inFlight.sum(picture, usable) + 1) / usable.totalWeight;
    const firstLack = fair * (usable.weights[first] as number) - firstLoad;
    const secondLack = fair * (usable.weights[second] as number) - secondLoad;
    return secondLack - firstLack >= ONE_REQUEST ? second : first;
  }
}
