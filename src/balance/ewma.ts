/**
 * EWMA: of two endpoints drawn by weight, the one whose answer is to be expected sooner.
 *
 * why    latency × pressure, where pressure is (in flight + 1) / the share of all in flight that its weight is due.
 *        Two, not all: workers measure latencies of their own, and all of them would run to the same fastest one
 * how    less than one request above the share is no pressure: requests are whole, and a light endpoint, drawn seldom
 *        already, would be refused besides. An endpoint not measured yet is taken to be as fast as the other, so that
 *        it gets its share and no more
 */
import { InFlight } from "./in-flight.ts";
import type { Picture, Policy } from "./policy.ts";
import { Usable } from "./usable.ts";

/**
 * However fast one was, it gets no more than this many times its share of what is in flight: a value that has decayed,
 * of an endpoint that answers no more, must not draw everything to it.
 */
const MOST_TIMES_FASTER = 4;
/** Less what sums of weights are rounded by. */
const ONE_REQUEST = 1 - 1e-6;

export function ewma(): Policy {
  const usable = new Usable();
  const inFlight = new InFlight();
  return {
    pick(picture) {
      if (usable.look(picture)) inFlight.restart(picture, usable);
      if (usable.count < 2) return usable.count === 0 ? -1 : (usable.list[0] as number);
      const first = usable.draw(picture.chance());
      const second = usable.drawOther(picture.chance(), first);
      const fair = (inFlight.sum(picture, usable) + 1) / usable.totalWeight;
      const [one, two] = [usable.list[first] as number, usable.list[second] as number];
      const onePressure = pressure(picture, one, fair);
      const twoPressure = pressure(picture, two, fair);
      const ratio = timesSlower(picture.latencyMs(two), picture.latencyMs(one));
      return twoPressure * ratio < onePressure ? two : one;
    },
  };
}

function pressure(picture: Picture, index: number, fair: number): number {
  const share = fair * (picture.weights[index] as number);
  const after = picture.loadOf(index) + 1;
  return after >= share && after < share + ONE_REQUEST ? 1 : after / share;
}

function timesSlower(latencyMs: number, thanMs: number): number {
  if (latencyMs <= 0 || thanMs <= 0) return 1;
  return Math.max(1 / MOST_TIMES_FASTER, Math.min(MOST_TIMES_FASTER, latencyMs / thanMs));
}
