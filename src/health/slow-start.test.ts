import { expect, test } from "bun:test";
import { COLD_SHARE, warmFactor } from "./slow-start.ts";

const WINDOW_MS = 30_000;
const ROWS: readonly (readonly [elapsedMs: number, windowMs: number, aggression: number, factor: number])[] =
  [
    [0, WINDOW_MS, 1, COLD_SHARE],
    [-5, WINDOW_MS, 1, COLD_SHARE],
    [1_500, WINDOW_MS, 1, COLD_SHARE],
    [3_000, WINDOW_MS, 1, 0.1],
    [15_000, WINDOW_MS, 1, 0.5],
    [29_999, WINDOW_MS, 1, 29_999 / WINDOW_MS],
    [30_000, WINDOW_MS, 1, 1],
    [90_000, WINDOW_MS, 1, 1],
    [0, 0, 1, 1],
    [7_500, WINDOW_MS, 2, 0.5],
    [15_000, WINDOW_MS, 0.5, 0.25],
  ];
for (const [elapsedMs, windowMs, aggression, factor] of ROWS) {
  test(`${elapsedMs} of ${windowMs} ms at aggression ${aggression}: ${factor.toFixed(3)} of the weight`, () => {
    expect(warmFactor(elapsedMs, windowMs, aggression)).toBeCloseTo(factor, 10);
  });
}

test("by smooth weighting an endpoint that came back among four gets the curve's share, within 10 %", () => {
  const credit = [0, 0, 0, 0];
  const PICKS_PER_SEC = 2000;
  for (let second = 0; second < 30; second++) {
    let got = 0;
    let wanted = 0;
    for (let pick = 0; pick < PICKS_PER_SEC; pick++) {
      const factor = warmFactor(second * 1000 + (pick * 1000) / PICKS_PER_SEC, WINDOW_MS);
      const weights = [factor, 1, 1, 1];
      wanted += factor / (3 + factor);
      const best = pickSmoothly(credit, weights);
      if (best === 0) got++;
    }
    expect(Math.abs(got / wanted - 1)).toBeLessThan(0.1);
  }
});

function pickSmoothly(credit: number[], weights: readonly number[]): number {
  let best = 0;
  for (const [index, weight] of weights.entries()) {
    credit[index] = (credit[index] as number) + weight;
    if ((credit[index] as number) > (credit[best] as number)) best = index;
  }
  credit[best] = (credit[best] as number) - weights.reduce((sum, weight) => sum + weight, 0);
  return best;
}
