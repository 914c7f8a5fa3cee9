import { expect, test } from "bun:test";
import { locateInScript } from "./locate.ts";
import type { Path } from "./problem.ts";

const SCRIPT = `import { defineConfig } from "weir";
// defineConfigs are { nice: 1 }
const names = ["a", "b"];

export default defineConfig({
  listeners: { web: { bind: ":8080" /* , bind: 2 */ } },
  routes: [
    { to: "app", "timeouts": { idle: \`5\${"s"}\` } },
    ...names.map((name) => ({ match: { path: \`/\${name}/*\` }, to: "app" })),
    { to: "late" },
  ],
  upstreams: { 'app': names.map(() => "127.0.0.1:3000") , other: ["x"] },
});
`;

const PLACES: readonly (readonly [Path, line: number, column: number])[] = [
  [["listeners"], 6, 3],
  [["listeners", "web", "bind"], 6, 23],
  [["routes", 0], 8, 5],
  [["routes", 0, "timeouts", "idle"], 8, 32],
  [["upstreams", "app"], 12, 16],
  [["upstreams", "other", 0], 12, 67],
];

test.each(PLACES)("the literal shows the place of %p", (path, line, column) => {
  expect(locateInScript(SCRIPT)(path)).toEqual({ line, column });
});

test("behind a spread, and inside a call, the nearest certain place is given", () => {
  expect(locateInScript(SCRIPT)(["routes", 2, "to"])).toEqual({ line: 7, column: 3 });
  expect(locateInScript(SCRIPT)(["upstreams", "app", 1])).toEqual({ line: 12, column: 16 });
});

test("a file without a literal has no places", () => {
  for (const script of ["", "export default config;", "export default defineConfig(make());"]) {
    expect(locateInScript(script)(["routes", 0])).toEqual({ line: 0, column: 0 });
  }
});

test("broken text ends, with or without places", () => {
  for (let end = 0; end < SCRIPT.length; end++) locateInScript(SCRIPT.slice(0, end))(["routes", 0, "to"]);
  for (let start = 0; start < SCRIPT.length; start++) {
    locateInScript(`defineConfig(${SCRIPT.slice(start)}`)(["routes", 0, "to"]);
  }
  expect(locateInScript("defineConfig({ a: [ } ] )")(["a"])).toEqual({ line: 1, column: 16 });
});
