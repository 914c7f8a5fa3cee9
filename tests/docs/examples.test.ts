/**
 * Every YAML block in the documents goes through the real check.
 *
 * rule   a block marked `yaml` is right, without a warning; one marked `yaml wrong` has problems, and the block
 *        that follows it shows them as the check words them; a metric in a query (`promql`) exists
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Glob } from "bun";
import { checkText } from "../../src/app/load-config.ts";
import { formatProblem } from "../../src/config/problem.ts";
import { BLOCKS, PROCESS } from "../../src/observe/metrics.table.ts";

const ROOT = join(import.meta.dir, "..", "..");
/** What the examples name and a reader would have. */
const FILES = [
  "pages/missing.html",
  "pages/away.html",
  "public/index.html",
  "endpoints.yaml",
  ...["app", "shop", "weir"].flatMap((name) => [`certs/${name}.crt`, `certs/${name}.key`]),
  ...["internal", "clients", "revoked"].map((name) => `certs/${name}.pem`),
];
const ENV = {
  WEIR_ADMIN_TOKEN: "correct-horse-battery-staple",
  WEIR_ACME_KEY: "correct-horse-battery-staple",
  ZEROSSL_HMAC_KEY: "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ",
};

interface Block {
  readonly kind: string;
  readonly text: string;
  readonly line: number;
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    kind: match[1] ?? "",
    text: match[2] ?? "",
    line: text.slice(0, match.index).split("\n").length,
  }));
}

const documents = ["*.md", "docs/**/*.md", "examples/**/*.md"]
  .flatMap((pattern) => [...new Glob(pattern).scanSync({ cwd: ROOT })])
  .sort()
  .map((file) => ({ file, blocks: blocksOf(readFileSync(join(ROOT, file), "utf8")) }));

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-docs-"));
  for (const file of FILES) {
    mkdirSync(join(folder, file, ".."), { recursive: true });
    writeFileSync(join(folder, file), "<!doctype html>\n");
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rows = [
  ...Object.values(BLOCKS).flatMap((block) => Object.values(block.rows)),
  ...Object.values(PROCESS),
];
const metrics = new Set(rows.map((row) => row.name));
const metricsIn = (text: string) =>
  [...text.matchAll(/\bweir_\w+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ""));

const problemsOf = (text: string) =>
  checkText(text, "weir.yaml", { env: ENV, cores: 2, folder }).problems.map(formatProblem);

test("there are examples to check", () => {
  const yaml = documents.flatMap(({ blocks }) => blocks).filter(({ kind }) => kind.startsWith("yaml"));
  expect(yaml.length).toBeGreaterThan(10);
});

for (const { file, blocks } of documents) {
  for (const [index, { kind, text, line }] of blocks.entries()) {
    if (kind === "yaml") {
      test(`${file}:${line} is right`, () => expect(problemsOf(text)).toEqual([]));
    }
    if (kind === "promql") {
      test(`${file}:${line} asks for metrics that exist`, () => {
        expect(metricsIn(text).filter((name) => !metrics.has(name))).toEqual([]);
      });
    }
    if (kind === "yaml wrong") {
      test(`${file}:${line} is wrong as the document says`, () => {
        const problems = problemsOf(text);
        expect(problems.length).toBeGreaterThan(0);
        for (const problem of problems) expect(blocks[index + 1]?.text ?? "").toContain(problem);
      });
    }
  }
}
