/** The table of programs: what tests ask for is in it, and what it installs for tests is asked for. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { PACKAGES } from "../packages.mjs";
import { needs } from "./tools.ts";

const ROOT = join(import.meta.dir, "..", "..");
const asked = new Set(
  [...new Glob("{src,tests,tools,bench}/**/*.test.ts").scanSync(ROOT)]
    .filter((file) => !file.endsWith("support/tools.test.ts"))
    .flatMap((file) => [...readFileSync(join(ROOT, file), "utf8").matchAll(/\bneeds\("([\w-]+)"\)/g)])
    .map((match) => match[1] ?? ""),
);

test("every program that a test needs has a row that says which package brings it", () => {
  const known = new Set(PACKAGES.filter((row) => row.for.includes("test")).map((row) => row.program));
  expect([...asked].filter((program) => !known.has(program))).toEqual([]);
});

test("nothing is installed for tests that no test needs", () => {
  const idle = PACKAGES.filter((row) => row.for.includes("test") && !asked.has(row.program));
  expect(idle.map((row) => row.program)).toEqual([]);
});

test("a program that is there is there, another one is not", () => {
  expect(needs("sh")).toBe(true);
  expect(needs("no-such-program-anywhere")).toBe(false);
});
