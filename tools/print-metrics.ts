/**
 * Prints `docs/generated/metrics.md` from the metric table.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { metricsReference } from "../src/observe/reference.ts";

const file = join(import.meta.dirname, "../docs/generated/metrics.md");
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, metricsReference());
