import { describe, expect, test } from "bun:test";
import { type Arguments, type OptionRow, parseArguments } from "./arguments.ts";

const ROWS: readonly OptionRow[] = [
  { name: "config", short: "c", value: "FILE", help: "" },
  { name: "header", short: "H", value: "LINE", isList: true, help: "" },
  { name: "json", short: "j", help: "" },
  { name: "watch", short: "w", help: "" },
];
const TWO = { names: ["METHOD", "URL"], min: 0, max: 2 };

const read = (words: readonly string[], rule = TWO) => parseArguments(words, ROWS, rule);
const facts = (found: ReturnType<typeof read>) => {
  if (found.kind === "usage_error") return found.message;
  const { operands } = found;
  return {
    config: found.text("config"),
    header: found.list("header"),
    json: found.has("json"),
    watch: found.has("watch"),
    operands,
  };
};
const none = {
  config: undefined,
  header: [] as string[],
  json: false,
  watch: false,
  operands: [] as string[],
};

describe("options and operands are read in every usual spelling", () => {
  const cases: readonly [string, readonly string[], Partial<typeof none> | Record<string, unknown>][] = [
    ["a value after its long name", ["--config", "a"], { config: "a" }],
    ["a value after =", ["--config=a=b"], { config: "a=b" }],
    ["a value after its letter", ["-c", "a"], { config: "a" }],
    ["a value joined to its letter", ["-ca"], { config: "a" }],
    ["a value after the letter and =", ["-c=a"], { config: "a" }],
    ["switches joined", ["-jw"], { json: true, watch: true }],
    ["switches joined to a letter with a value", ["-jc", "a"], { json: true, config: "a" }],
    ["a list", ["-H", "A: 1", "--header=B: 2"], { header: ["A: 1", "B: 2"] }],
    ["operands between options", ["GET", "--json", "/x"], { json: true, operands: ["GET", "/x"] }],
    ["everything after -- as operands", ["--", "--json", "-c"], { operands: ["--json", "-c"] }],
    ["a lone - as an operand", ["-"], { operands: ["-"] }],
    ["a value that looks like an option", ["-c", "--json"], { config: "--json" }],
  ];
  for (const [name, words, wanted] of cases) {
    test(name, () => {
      expect(facts(read(words))).toEqual({ ...none, ...wanted });
    });
  }
});

describe("what is wrong is said, with what was probably meant", () => {
  const cases: readonly [readonly string[], string][] = [
    [["--confg", "a"], "unknown option --confg; did you mean --config?"],
    [["--conf=a"], "unknown option --conf; did you mean --config?"],
    [["--zzzzzz"], "unknown option --zzzzzz"],
    [["-x"], "unknown option -x"],
    [["-jx"], "unknown option -x"],
    [["--json=yes"], "--json takes no value"],
    [["--config"], "--config needs a value: FILE"],
    [["-c"], "-c needs a value: FILE"],
    [["--config="], "--config needs a value: FILE"],
    [["-c", "a", "-c", "b"], "-c was given twice"],
    [["a", "b", "c"], 'unexpected argument "c"'],
    [["a", "b", "weir.yaml"], 'unexpected argument "weir.yaml"; did you mean -c weir.yaml?'],
  ];
  for (const [words, message] of cases) {
    test(words.join(" "), () => {
      expect(facts(read(words))).toBe(message);
    });
  }

  test("a missing operand is named", () => {
    expect(facts(read(["GET"], { names: ["METHOD", "URL"], min: 2, max: 2 }))).toBe(
      'URL is missing after "GET": expected METHOD URL',
    );
    expect(facts(read([], { names: ["METHOD", "URL"], min: 2, max: 2 }))).toBe("METHOD is missing");
  });
});

test("a switch may be repeated", () => {
  expect((read(["-j", "-j"]) as Arguments).has("json")).toBe(true);
});
