/** Floors: the check fires on what it forbids, and on nothing else. */
import { expect, test } from "bun:test";
import { breaksIn } from "./floors.ts";
import { partsOf } from "./source-text.ts";

const ROWS: readonly (readonly [name: string, file: string, source: string, broken: boolean])[] = [
  ["an import of a lower floor", "route/a.ts", 'import { x } from "../core/b.ts";', false],
  ["an import inside the folder", "route/a.ts", 'import { x } from "./b.ts";', false],
  ["an import of a higher floor", "core/a.ts", 'import { x } from "../route/b.ts";', true],
  ["a type import of a higher floor", "core/a.ts", 'import type { X } from "../route/b.ts";', true],
  ["a re-export of a higher floor", "core/a.ts", 'export { x } from "../route/b.ts";', true],
  ["an import over several lines", "core/a.ts", 'import {\n  x,\n  y,\n} from "../route/b.ts";', true],
  ["a dynamic import of a higher floor", "core/a.ts", 'f(() => import("../route/b.ts"));', true],
  ["a bare import of a higher floor", "core/a.ts", 'import "../route/b.ts";', true],
  ["a neighbour", "config/a.ts", 'import { x } from "../zone/b.ts";', true],
  ["a folder without a floor", "core/a.ts", 'import { x } from "../stuff/b.ts";', true],
  ["a file outside src", "core/a.ts", 'import { x } from "../../tools/b.ts";', true],
  ["a test that uses test support", "core/a.test.ts", 'import { x } from "../../tests/support/b.ts";', false],
  ["an import in a comment", "core/a.ts", '// import { x } from "../route/b.ts";', false],
  ["the clock", "core/a.ts", "const now = Date.now();", true],
  ["the empty Date", "limit/a.ts", "const now = new Date();", true],
  ["a Date of a given time", "limit/a.ts", "const day = new Date(nowMs);", false],
  ["performance.now", "observe/a.ts", "const t = performance.now();", true],
  ["chance", "balance/a.ts", "pick(Math.random());", true],
  ["chance by another name", "tls/a.ts", 'import { randomBytes } from "node:crypto";\nrandomBytes(8);', true],
  ["a digest", "tls/a.ts", 'import { createHash } from "node:crypto";', false],
  ["other mathematics", "balance/a.ts", "Math.floor(1.5);", false],
  ["a timer", "cache/a.ts", "setTimeout(f, 1);", true],
  ["the process", "config/a.ts", "process.env;", true],
  ["a field called process", "config/a.ts", "this.process.env;", false],
  ["Bun", "protocol/a.ts", "Bun.write(1);", true],
  ["Bun in the pipeline", "pipeline/a.ts", "Bun.file(p);", true],
  ["Bun in transport", "transport/a.ts", "Bun.listen({});", false],
  ["a module that does I/O", "config/a.ts", 'import { readFileSync } from "node:fs";', true],
  ["a module that computes", "config/a.ts", 'import { join } from "node:path";', false],
  ["a package in the configuration", "config/a.ts", 'import { parse } from "yaml";', false],
  ["a package in the pipeline", "pipeline/a.ts", 'import { parse } from "yaml";', true],
  ["an async function", "route/a.ts", "export async function f() {}", true],
  ["a word in a string", "core/a.ts", 'const why = "Date.now() is not allowed";', false],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is the source under test
  ["a word in a template", "core/a.ts", "const why = `Date.now() of ${x} Math.random`;", false],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is the source under test
  ["code in a template", "core/a.ts", "const why = `at ${Date.now()}`;", true],
  ["a word after a regular expression with a quote", "core/a.ts", "const r = /['\"]/; Date.now();", true],
  ["a word after a division", "core/a.ts", "const r = a / b; Date.now(); // x / y", true],
  ["a word in a block comment", "core/a.ts", "/* Date.now() */", false],
  ["the clock in a test", "core/a.test.ts", "Date.now();", false],
  ["the clock above", "session/a.ts", "Date.now();", false],
];

for (const [name, file, source, broken] of ROWS) {
  test(`${name} ${broken ? "is refused" : "is fine"} in ${file}`, () => {
    expect(breaksIn(file, source).length).toBe(broken ? 1 : 0);
  });
}

test("a break is named with its line", () => {
  expect(breaksIn("core/a.ts", "\n\nDate.now();")[0]?.line).toBe(3);
});

test("parts are as long as the source, and nested templates close where they should", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is the source under test
  const source = "a(`x${b(`y${c}`)}z`); /* k */ d // e\nf /= 2; g = /[/]'/.test(h) ? '//' : 1; // i";
  const { code, comments } = partsOf(source);
  expect([code.length, comments.length]).toEqual([source.length, source.length]);
  expect(code.replace(/\s+/g, " ")).toBe("a(` b(` c} )} ); d f /= 2; g = .test(h) ? : 1; ");
  expect(comments.replace(/\s+/g, " ").trim()).toBe("/* k */ // e // i");
});
