/** The arithmetic behind the figures: medians, ratios by round, bars. */
import { expect, test } from "bun:test";
import { type Bar, isMet, judged, median, ratio, rowOf } from "./case.ts";
import { caseMarkdown } from "./report.ts";

const rows = [
  rowOf("nginx", [{ cpuUs: 10 }, { cpuUs: 20 }, { cpuUs: 10 }]),
  rowOf("weir", [{ cpuUs: 9 }, { cpuUs: 18 }, { cpuUs: 30 }]),
];

test("the median of an even count lies between the two in the middle", () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5]);
});

test("a ratio compares rounds with each other: one slow round of the machine does not count", () => {
  expect(ratio(rows, "cpuUs", "weir", "nginx")).toBeCloseTo(0.9);
});

test("a bar against a peer that is not here is not judged", () => {
  const bar = { text: "against none", value: ratio(rows, "cpuUs", "weir", "none"), limit: 1 };
  expect(judged([bar])).toEqual([]);
});

const BARS: readonly (readonly [Bar, boolean])[] = [
  [{ text: "at most", value: 1, limit: 1 }, true],
  [{ text: "at most", value: 1.001, limit: 1 }, false],
  [{ text: "at least", value: 1.8, limit: 1.8, isFloor: true }, true],
  [{ text: "at least", value: 1.7, limit: 1.8, isFloor: true }, false],
];
for (const [bar, met] of BARS) {
  test(`${bar.value} is ${met ? "" : "not "}${bar.text} ${bar.limit}`, () => expect(isMet(bar)).toBe(met));
}

test("a report names every subject, its cost as a multiple of each peer's, and missed bars", () => {
  const what = {
    name: "x",
    title: "X",
    setup: "Some work.",
    run: () => Promise.reject(new Error("not run")),
  };
  const columns = [{ key: "cpuUs", title: "CPU", digits: 1 }];
  const text = caseMarkdown({
    what,
    result: { columns, rows, bars: [{ text: "cost", value: 2, limit: 1 }] },
  });
  expect(text).toContain("| weir | 18.0 | 0.900 |");
  expect(text).toContain("**missed**: cost: 2.000 (bar: ≤ 1)");
});
