/**
 * Random: an endpoint by chance, in proportion to its weight.
 *
 * why    no state to agree on between workers; with many endpoints as even as taking turns
 */
import type { Policy } from "./policy.ts";
import { Usable } from "./usable.ts";

export function random(): Policy {
  const usable = new Usable();
  return {
    pick(picture) {
      usable.look(picture);
      return usable.count === 0 ? -1 : (usable.list[usable.draw(picture.chance())] as number);
    },
  };
}
