import { expect, test } from "bun:test";
import type { Problem } from "./config.ts";
import { formatPath, formatProblem, NOWHERE, Place, quote, Report, type Source } from "./problem.ts";

const PROBLEM: Problem = {
  file: "weir.yaml",
  line: 3,
  column: 7,
  path: "routes[0].to",
  message: 'there is no upstream "ap"',
  hint: "Did you mean `app`?",
  severity: "error",
};

const LINES: readonly (readonly [Partial<Problem>, string])[] = [
  [{}, 'weir.yaml:3:7: routes[0].to: there is no upstream "ap". Did you mean `app`?'],
  [{ line: 0, column: 0 }, 'weir.yaml: routes[0].to: there is no upstream "ap". Did you mean `app`?'],
  [{ hint: undefined, path: "" }, 'weir.yaml:3:7: there is no upstream "ap".'],
  [{ message: "`routes[0].to` is odd", hint: undefined }, "weir.yaml:3:7: `routes[0].to` is odd."],
  [{ severity: "warning", path: "", hint: undefined }, 'weir.yaml:3:7: warning: there is no upstream "ap".'],
];

test("a problem is one line: place, subject, what is wrong, what to do", () => {
  for (const [change, line] of LINES) expect(formatProblem({ ...PROBLEM, ...change })).toBe(line);
});

test("a path shows list positions, and quotes what is no plain word", () => {
  expect(formatPath(["routes", 0, "match", "path"])).toBe("routes[0].match.path");
  expect(formatPath(["upstreams", "a b"])).toBe('upstreams["a b"]');
  expect(formatPath([])).toBe("");
});

test("a quoted value is cut, and control characters are visible", () => {
  expect(quote("a\nb")).toBe('"a\\nb"');
  expect(quote("x".repeat(500)).length).toBeLessThan(80);
});

test("problems beyond a bound are counted, not kept", () => {
  const source: Source = { file: "f", value: {}, locate: () => NOWHERE, written: () => undefined };
  const report = new Report();
  for (let count = 0; count < 500; count++) new Place(source, report).error("no");
  const problems = report.problems();
  expect(problems.length).toBe(201);
  expect(problems.at(-1)?.message).toBe("300 more problems are not shown");
  expect(report.errorCount).toBe(500);
});
