/**
 * Golden: configuration text becomes this configuration, or exactly these problems.
 *
 * shape  one file a case: a comment that states the rule, the configuration, a line of `=====`, then what must
 *        come of it: `file:line:column: …` lines, or the parts of the Config that matter, as YAML
 * note   a new case is a new file; relative paths begin in `files/`
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { checkText } from "../../src/app/load-config.ts";
import { formatProblem } from "../../src/config/problem.ts";

const HERE = import.meta.dirname;
const SECRETS = ["golden-token-secret", "golden-file-secret", "golden-inline-secret"];
const OPTIONS = {
  env: { WEIR_ADMIN_TOKEN: SECRETS[0] as string, PORT: "8080", EMPTY: "" },
  cores: 4,
  folder: join(HERE, "files"),
};

interface Case {
  readonly rule: string;
  readonly text: string;
  readonly expected: string;
}

function readCase(file: string): Case {
  const whole = readFileSync(join(HERE, file), "utf8");
  const [text = "", expected] = whole.split(/^=====\n/m);
  const [, rule] = /^# (.+)\n/.exec(text) ?? [];
  if (expected === undefined || rule === undefined) throw new Error(`${file} is no case`);
  return { rule, text, expected: expected.trim() };
}

const files = readdirSync(HERE).filter((file) => file.endsWith(".yaml"));

describe("a configuration file", () => {
  for (const file of files) {
    const { rule, text, expected } = readCase(file);
    test(`${rule} (${file})`, () => {
      const { config, problems } = checkText(text, "weir.yaml", OPTIONS);
      const lines = problems.map(formatProblem).join("\n").replaceAll(`${HERE}/files`, "FOLDER");
      for (const secret of SECRETS) expect(lines).not.toContain(secret);
      if (/^weir\.yaml:/.test(expected)) {
        expect(lines).toBe(expected);
        expect(config === undefined).toBe(problems.some(({ severity }) => severity === "error"));
      } else {
        expect(lines).toBe("");
        expect(JSON.parse(JSON.stringify(config).replaceAll(`${HERE}/files`, "FOLDER"))).toMatchObject(parse(expected));
      }
    });
  }
});

test("there are at least sixty cases", () => {
  expect(files.length).toBeGreaterThanOrEqual(60);
});
