/**
 * Usable: the endpoints of a picture that may take a request, and a draw among them by weight.
 *
 * why    every policy needs the list; made once a revision, a pick need not look at all endpoints
 * cost   O(endpoints) for a new revision; a draw is O(1) for equal weights, else O(log endpoints)
 */
import type { Picture } from "./policy.ts";

export class Usable {
  /** How many there are. Places 0 to `count` - 1 stand for endpoints; `list` tells which. */
  count = 0;
  /** Index of the endpoint at each place, in rising order. */
  list = new Int32Array(0);
  /** Weight of the endpoint at each place. */
  weights = new Float64Array(0);
  totalWeight = 0;
  isEqual = true;
  /** Sum of the weights up to and with each place. */
  #upTo = new Float64Array(0);
  #picture: Picture | undefined;
  #revision = 0;

  /** True when something may have changed since the last look. */
  look(picture: Picture): boolean {
    if (picture === this.#picture && picture.revision === this.#revision) return false;
    this.#picture = picture;
    this.#revision = picture.revision;
    this.#read(picture);
    return true;
  }

  #read({ count, eligible, weights }: Picture): void {
    if (count > this.list.length) {
      this.list = new Int32Array(count);
      this.weights = new Float64Array(count);
      this.#upTo = new Float64Array(count);
    }
    let place = 0;
    let total = 0;
    for (let index = 0; index < count; index++) {
      const weight = weights[index] as number;
      if (eligible[index] !== 1 || !(weight > 0)) continue;
      total += weight;
      this.list[place] = index;
      this.weights[place] = weight;
      this.#upTo[place++] = total;
    }
    this.count = place;
    this.totalWeight = total;
    this.isEqual = true;
    for (let at = 1; at < place; at++) if (this.weights[at] !== this.weights[0]) this.isEqual = false;
  }

  /** A place by weight. There must be at least one. */
  draw(chance: number): number {
    return this.isEqual ? Math.floor(chance * this.count) : this.#placeOf(chance * this.totalWeight);
  }

  /** Another place by weight than `first`. There must be at least two. */
  drawOther(chance: number, first: number): number {
    if (this.isEqual) {
      const place = Math.floor(chance * (this.count - 1));
      return place >= first ? place + 1 : place;
    }
    const weight = this.weights[first] as number;
    const point = chance * (this.totalWeight - weight);
    const before = (this.#upTo[first] as number) - weight;
    const place = this.#placeOf(point < before ? point : point + weight);
    // sums of very unequal weights are rounded
    if (place === first) return first === 0 ? 1 : first - 1;
    return place;
  }

  /** The first place whose sum is beyond `point`. */
  #placeOf(point: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#upTo[middle] as number) > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
