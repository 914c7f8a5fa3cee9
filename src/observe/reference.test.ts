import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FAILURE_CODES } from "../core/failure.ts";
import { logFields } from "./access-log.ts";
import { BLOCKS, type MetricRow, PROCESS } from "./metrics.table.ts";
import { metricsReference } from "./reference.ts";

test("the printed reference is the one in docs/generated (tools/print-metrics.ts)", () => {
  const file = join(import.meta.dir, "../../docs/generated/metrics.md");
  expect(readFileSync(file, "utf8")).toBe(metricsReference());
});

test("every metric, reason and log field is in it, each metric once", () => {
  const text = metricsReference();
  const rows = Object.values(BLOCKS).flatMap((block) => Object.values(block.rows) as MetricRow[]);
  for (const { name } of [...rows, ...Object.values(PROCESS)]) {
    expect(text.split(`| \`${name}\` |`).length).toBe(2);
  }
  for (const word of [...FAILURE_CODES, ...logFields()]) expect(text).toContain(`\`${word}\``);
});
