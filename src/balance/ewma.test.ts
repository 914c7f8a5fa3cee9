import { expect, test } from "bun:test";
import { ewma } from "./ewma.ts";
import { DrawnPicture, policyCases, Traffic } from "./policy.cases.ts";

policyCases("ewma", ewma);

/** Requests at endpoint i take `latencies[i]` of any unit: so that what is slow piles up. */
function sharesBySpeed(
  latencies: readonly number[],
  seen: readonly number[],
): { shares: number[]; loads: number[] } {
  const picture = new DrawnPicture(latencies.map(() => 1));
  picture.latencies.set(seen);
  const policy = ewma();
  const ends: { at: number; index: number }[] = [];
  const counts = latencies.map(() => 0);
  const mostLoads = latencies.map(() => 0);
  for (let now = 0; now < 20_000; now++) {
    for (let at = ends.length - 1; at >= 0; at--) {
      const { at: end, index } = ends[at] as (typeof ends)[number];
      if (end > now) continue;
      ends.splice(at, 1);
      picture.loads[index] = (picture.loads[index] as number) - 1;
    }
    const index = policy.pick(picture);
    counts[index] = (counts[index] as number) + 1;
    picture.loads[index] = (picture.loads[index] as number) + 1;
    mostLoads[index] = Math.max(mostLoads[index] as number, picture.loads[index] as number);
    ends.push({ at: now + (latencies[index] as number), index });
  }
  return { shares: counts.map((count) => count / 20_000), loads: mostLoads };
}

test("an endpoint that is 50 times slower takes next to nothing", () => {
  const { shares } = sharesBySpeed([8, 8, 8, 400], [8, 8, 8, 400]);
  expect(shares[3]).toBeLessThan(0.03);
});

test("an endpoint that nothing is known of gets its share, and no more", () => {
  const { shares } = sharesBySpeed([8, 8, 8, 8], [8, 8, 8, 0]);
  expect(shares[3]).toBeGreaterThan(0.22);
  expect(shares[3]).toBeLessThan(0.28);
});

test("of two idle endpoints the faster one is picked", () => {
  const picture = new DrawnPicture([1, 1]);
  picture.latencies.set([30, 20]);
  expect(new Traffic(picture, 0).shares(ewma(), 1000)).toEqual([0, 1]);
});

test("one that stopped answering draws no more than 4 times its share, however fast it was", () => {
  const inFlight = 100;
  const picture = new DrawnPicture([1, 1, 1, 1]);
  picture.latencies.set([0.001, 20, 20, 20]);
  const policy = ewma();
  // the first endpoint never ends a request; the others hold what it leaves of a hundred
  const going: number[] = [];
  let most = 0;
  for (let pick = 0; pick < 10_000; pick++) {
    const index = policy.pick(picture);
    picture.loads[index] = (picture.loads[index] as number) + 1;
    if (index === 0) continue;
    most = Math.max(most, picture.loads[index] as number);
    going.push(index);
    if (going.length > inFlight) {
      const ended = going.shift() as number;
      picture.loads[ended] = (picture.loads[ended] as number) - 1;
    }
  }
  expect(picture.loads[0]).toBeLessThanOrEqual(4 * (most + 1));
});
