import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { jsonSchema } from "./json-schema.ts";
import { LATER_KEYS } from "./options/later.table.ts";
import { configReference } from "./reference.ts";

const ROOT_FOLDER = join(import.meta.dirname, "../..");
const GOLDEN = join(ROOT_FOLDER, "tests/golden");
const validator = z.fromJSONSchema(jsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);

interface Case {
  readonly file: string;
  readonly value: unknown;
  readonly expected: string;
}

const cases: readonly Case[] = readdirSync(GOLDEN)
  .filter((file) => file.endsWith(".yaml"))
  .flatMap((file) => {
    const [text = "", expected = ""] = readFileSync(join(GOLDEN, file), "utf8").split(/^=====\n/m);
    const sound = !expected.startsWith("weir.yaml:");
    const isJudged =
      sound ||
      /unknown key|(?:`|"h3") is not supported yet|` is missing|is not a whole number/.test(expected);
    return isJudged ? [{ file, value: parse(text, { merge: true }) as unknown, expected }] : [];
  });

type Keywords = Readonly<Record<string, unknown>>;

/** Every key that the schema names, with its path. */
function* propertiesIn(node: unknown, path: string): Generator<readonly [path: string, Keywords]> {
  if (typeof node !== "object" || node === null) return;
  for (const [keyword, value] of Object.entries(node)) {
    if (keyword === "default") continue;
    if (keyword !== "properties") yield* propertiesIn(value, path);
    else {
      for (const [name, property] of Object.entries(value as Record<string, Keywords>)) {
        yield [`${path}.${name}`, property];
        yield* propertiesIn(property, `${path}.${name}`);
      }
    }
  }
}

describe("the JSON Schema", () => {
  test.each(cases)("agrees with the check on $file", ({ value, expected }) => {
    expect(validator.safeParse(value).success).toBe(!expected.startsWith("weir.yaml:"));
  });

  test("is draft 2020-12, and says what each key means, at any depth", () => {
    const schema = jsonSchema() as { $schema: string };
    expect(schema.$schema).toBe("https://json-schema.org/draft/2020-12/schema");
    const keys = [...propertiesIn(schema, "")];
    expect(keys.length).toBeGreaterThan(100);
    expect(keys.filter(([, property]) => typeof property["description"] !== "string")).toEqual([]);
  });

  test("describes every key of a later release as not supported yet", () => {
    const found = JSON.stringify(jsonSchema()).match(/"Not supported yet\. [^"]+"/g) ?? [];
    for (const help of Object.values(LATER_KEYS)) expect(found).toContain(`"Not supported yet. ${help}."`);
  });

  test("is data of its own each time", () => {
    Object.assign((jsonSchema() as { properties: object }).properties, { x: 1 });
    expect(jsonSchema()).not.toHaveProperty("properties.x");
  });
});

test("the printed reference is the one in docs/generated (tools/print-reference.ts)", () => {
  const printed = readFileSync(join(ROOT_FOLDER, "docs/generated/config-reference.md"), "utf8");
  expect(printed).toBe(configReference());
});
