import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { FailureRows } from "./passive.ts";

const RULES = { failures: 3, windowMs: 1000 };

/** Outcomes of one endpoint as instants of failures, `ok` between them; the answers of `failed`. */
const answers = (outcomes: readonly (number | "ok")[], rules = RULES) => {
  const rows = new FailureRows(2, rules);
  const found: boolean[] = [];
  for (const outcome of outcomes) {
    if (outcome === "ok") rows.succeeded(1);
    else found.push(rows.failed(1, outcome));
  }
  return found;
};

const ROWS: readonly (readonly [
  rule: string,
  outcomes: readonly (number | "ok")[],
  wanted: readonly boolean[],
])[] = [
  ["the third failure in a row is one too many", [0, 1, 2], [false, false, true]],
  ["the row begins anew then", [0, 1, 2, 3, 4, 5], [false, false, true, false, false, true]],
  ["a success ends the row", [0, 1, "ok", 2, 3, 4], [false, false, false, false, true]],
  ["just inside of the window", [0, 1, 1000], [false, false, true]],
  ["outside of the window", [0, 1, 1001], [false, false, false]],
  [
    "the window slides: old failures of a long row do not count",
    [0, 900, 1800, 1850],
    [false, false, false, true],
  ],
];
for (const [rule, outcomes, wanted] of ROWS) {
  test(rule, () => {
    expect(answers(outcomes)).toEqual([...wanted]);
  });
}

test("with one failure allowed each failure is one too many", () => {
  expect(answers([0, 5000], { failures: 1, windowMs: 10 })).toEqual([true, true]);
});

test("endpoints do not count for each other", () => {
  const rows = new FailureRows(2, RULES);
  expect([rows.failed(0, 0), rows.failed(1, 0), rows.failed(0, 1), rows.failed(1, 1)]).not.toContain(true);
  expect(rows.failed(0, 2)).toBe(true);
});

test("when half of all requests fail at random five in a row come soon, when one in fifty does they never come", () => {
  const rows = new FailureRows(2, { failures: 5, windowMs: 10_000 });
  const chance = new Chance(5);
  let half = 0;
  let few = 0;
  for (let request = 0; request < 1000; request++) {
    if (chance.isTrue(0.5)) half += Number(rows.failed(0, request));
    else rows.succeeded(0);
    if (request % 50 === 0) few += Number(rows.failed(1, request));
    else rows.succeeded(1);
  }
  expect(few).toBe(0);
  expect(half).toBeGreaterThan(0);
});
