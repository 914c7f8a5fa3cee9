import { describe, expect, test } from "bun:test";
import { compileSplit } from "./split.ts";

const split = (...weights: number[]) => compileSplit(weights.map((weight) => ({ weight })));

describe("a weighted choice", () => {
  const rows: [weights: number[], chance: number, index: number][] = [
    [[1], 0.99, 0],
    [[95, 5], 0, 0],
    [[95, 5], 0.9499, 0],
    [[95, 5], 0.95, 1],
    [[95, 5], 0.9999999999999999, 1],
    [[0, 1], 0, 1],
    [[1, 0], 0.9999999999999999, 0],
    [[1, 0, 1, 0], 0.5, 2],
    [[1, 0, 1, 0], 0.9999999999999999, 2],
    [[0, 0], 0.5, -1],
    [[0], 0.5, -1],
    [[], 0.5, -1],
  ];
  test.each(rows)("of %o at %d", (weights, chance, index) => {
    expect(split(...weights).pick(chance)).toBe(index);
  });

  test("gives each target its share", () => {
    const choice = split(1, 2, 7);
    const picks = Array.from({ length: 1000 }, (_, step) => choice.pick(step / 1000));
    const counts = [0, 1, 2].map((index) => picks.filter((pick) => pick === index).length);
    expect(counts).toEqual([100, 200, 700]);
  });

  test.each([[-1], [Number.NaN], [Number.POSITIVE_INFINITY]])("a weight of %d is a defect", (weight) => {
    expect(() => split(1, weight)).toThrow("weight");
  });
});
