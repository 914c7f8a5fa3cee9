/**
 * In flight: how many requests are in flight at the usable endpoints together?
 *
 * why    a fair share needs the sum, and to ask every endpoint of a thousand at every pick would cost more than the
 *        pick; so a few are asked each time, in turn, and for the others what they said last is taken
 * cost   8 loads a pick: with up to 8 endpoints the sum is exact
 */
import type { Picture } from "./policy.ts";
import type { Usable } from "./usable.ts";

const ASKED_AT_ONCE = 8;

export class InFlight {
  /** What the endpoint at each place said last. */
  #said = new Float64Array(0);
  #sum = 0;
  #next = 0;

  /** Asks all: the places stand for other endpoints now. */
  restart(picture: Picture, usable: Usable): void {
    if (this.#said.length < usable.count) this.#said = new Float64Array(usable.list.length);
    this.#sum = 0;
    this.#next = 0;
    for (let place = 0; place < usable.count; place++) {
      const load = picture.loadOf(usable.list[place] as number);
      this.#said[place] = load;
      this.#sum += load;
    }
  }

  sum(picture: Picture, usable: Usable): number {
    const asked = Math.min(ASKED_AT_ONCE, usable.count);
    for (let count = 0; count < asked; count++) {
      const place = this.#next;
      const load = picture.loadOf(usable.list[place] as number);
      this.#sum += load - (this.#said[place] as number);
      this.#said[place] = load;
      this.#next = place + 1 === usable.count ? 0 : place + 1;
    }
    return this.#sum;
  }
}
