/**
 * Prints `docs/generated/config-reference.md` from the option rows.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { configReference } from "../src/config/reference.ts";

const file = join(import.meta.dirname, "../docs/generated/config-reference.md");
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, configReference());
