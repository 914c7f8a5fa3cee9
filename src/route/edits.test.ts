import { describe, expect, test } from "bun:test";
import { fieldIdOf } from "../core/field-names.ts";
import { Fields } from "../core/fields.ts";
import { applyEdits, compileEdits } from "./edits.ts";
import type { HeaderEdits } from "./match.ts";

const MESSAGE = ["Host: a", "X-Debug: 1", "Server: s", "x-debug: 2"];

function edited(edits: Partial<HeaderEdits>): string[] {
  const fields = new Fields();
  let text = "";
  for (const line of MESSAGE) {
    const colon = line.indexOf(":");
    const [start, id] = [text.length, fieldIdOf(line.slice(0, colon).toLowerCase())];
    fields.mark(start, start + colon, start + colon + 2, start + line.length, id);
    text += `${line}\r\n`;
  }
  fields.bind(Buffer.from(text, "latin1"), 0, 0, text.length);
  const compiled = compileEdits({ set: [], add: [], remove: [], ...edits });
  if (compiled !== undefined) applyEdits(fields, compiled);
  return fields.linesWithout(0, 0).split("\r\n").slice(0, -1);
}

test("nothing to edit is nothing to do", () => {
  expect(compileEdits({ set: [], add: [], remove: [] })).toBeUndefined();
});

describe("remove, then set, then add", () => {
  const rows: [rule: string, edits: Partial<HeaderEdits>, lines: string[]][] = [
    ["remove takes every line of the name", { remove: ["x-debug"] }, ["Host: a", "Server: s"]],
    ["remove of an absent name", { remove: ["x-none", "via"] }, MESSAGE],
    [
      "set replaces every line of the name",
      { set: [["X-Debug", "3"]] },
      ["Host: a", "Server: s", "X-Debug: 3"],
    ],
    ["set of an absent name", { set: [["X-Env", "prod"]] }, [...MESSAGE, "X-Env: prod"]],
    ["add keeps what is there", { add: [["X-Debug", "3"]] }, [...MESSAGE, "X-Debug: 3"]],
    [
      "removed and set is set",
      { remove: ["server"], set: [["Server", "t"]] },
      ["Host: a", "X-Debug: 1", "x-debug: 2", "Server: t"],
    ],
    [
      "removed and added is added",
      { remove: ["server"], add: [["Server", "t"]] },
      ["Host: a", "X-Debug: 1", "x-debug: 2", "Server: t"],
    ],
    [
      "set, then added, are two lines",
      { set: [["A", "1"]], add: [["A", "2"]] },
      [...MESSAGE, "A: 1", "A: 2"],
    ],
    [
      "set twice in two spellings is the last",
      {
        set: [
          ["A", "1"],
          ["B", "2"],
          ["a", "3"],
        ],
      },
      [...MESSAGE, "B: 2", "a: 3"],
    ],
  ];
  test.each(rows)("%s", (_rule, edits, lines) => {
    expect(edited(edits)).toEqual(lines);
  });
});

test("every name touched is known in lower case", () => {
  const compiled = compileEdits({ set: [["X-A", "1"]], add: [["X-B", "2"]], remove: ["x-c"] });
  expect([...(compiled?.names ?? [])].sort()).toEqual(["x-a", "x-b", "x-c"]);
});

describe("what cannot stand in a head does not compile", () => {
  test.each([
    ["A\r\nB", "1"],
    ["", "1"],
    ["A:", "1"],
    ["A", "1\r\nB: 2"],
    ["A", "\u0000"],
    ["A", "€"],
  ])("%o: %o", (name, value) => {
    expect(() => compileEdits({ set: [[name, value]], add: [], remove: [] })).toThrow();
    expect(() => compileEdits({ set: [], add: [[name, value]], remove: [] })).toThrow();
  });
});
