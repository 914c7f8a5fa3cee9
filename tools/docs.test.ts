/** Docs check: it fires on a name that does not exist, and on nothing else. */
import { expect, test } from "bun:test";
import { unknownKey } from "./config-keys.ts";
import { breaksInDoc, breaksInSource, type Known } from "./docs.ts";

const SCHEMA = {
  properties: {
    listeners: {
      additionalProperties: {
        properties: { bind: {}, limits: { $ref: "#/$defs/limits" } },
        additionalProperties: false,
      },
    },
    routes: { items: { properties: { to: { anyOf: [{}, { items: { properties: { weight: {} } } }] } } } },
  },
  $defs: { limits: { properties: { body: {} } } },
};

const KNOWN: Known = {
  exists: (path) => ["src/core/a.ts", "docs/tour.md", "README.md", "src/core/"].includes(path),
  read: (path) => (path === "docs/tour.md" ? "# Tour\n\n## One GET, `slowly`\n" : ""),
  scripts: new Set(["test", "bench"]),
  metrics: new Set(["weir_requests_total", "weir_request_duration_seconds"]),
  keys: SCHEMA,
};

const ROWS: readonly (readonly [text: string, breaks: number])[] = [
  ["see `src/core/a.ts`", 0],
  ["see `src/core/b.ts`", 1],
  ["see `src/core/`", 0],
  ["see `make src/core/b.ts`", 0],
  ["run `npm test` or `npm run bench`", 0],
  ["run `npm run lift`", 1],
  ["```sh\nnpm run lift\ncat src/core/b.ts\n```", 1],
  ["counts `weir_requests_total`", 0],
  ["counts `weir_request_duration_seconds_bucket`", 0],
  ["counts `weir_wishes_total`", 1],
  ["set `listeners.web.limits.body`", 0],
  ["set `listeners.web.limits.soul`", 1],
  ["set `routes[].to`", 0],
  ["set `routes[].to[].weight`", 0],
  ["set `routes.to.weight`", 0],
  ["set `routes[].fro`", 1],
  ["read `exchange.head`", 0],
  ["[tour](docs/tour.md)", 0],
  ["[tour](docs/tour.md#one-get-slowly)", 0],
  ["[tour](docs/tour.md#two-gets)", 1],
  ["[tour](docs/detour.md)", 1],
  ["[far](https://example.com/docs/detour.md)", 0],
  ["`[code](docs/detour.md)`", 0],
];

for (const [text, breaks] of ROWS) {
  test(`${JSON.stringify(text)} has ${breaks === 0 ? "only names that exist" : "a name that does not exist"}`, () => {
    expect(breaksInDoc("README.md", text, KNOWN).length).toBe(breaks);
  });
}

test("a break is named with its line", () => {
  expect(breaksInDoc("README.md", "a\n\n`src/none.ts`", KNOWN)[0]?.line).toBe(3);
});

test("a to-do mark in a comment needs the number of an issue, the word in a string does not", () => {
  const marker = ["TO", "DO"].join("");
  expect(breaksInSource("a.ts", `// ${marker}: later`).length).toBe(1);
  expect(breaksInSource("a.ts", `// ${marker}(#12): later`).length).toBe(0);
  expect(breaksInSource("a.ts", `f("${marker}");`).length).toBe(0);
});

test("a key path is followed step by step and the first unknown step is named", () => {
  expect(unknownKey("listeners.web.bound.x", SCHEMA)).toBe(
    "there is no configuration key listeners.web.bound",
  );
});
