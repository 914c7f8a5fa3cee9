import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { groupsOf, invalidatedGroupsOf, MAX_NAME_LENGTH, MAX_NAMES, tagsOf } from "./tags.ts";

const fieldsOf = (...lines: string[]) => fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));

const tags: [rule: string, lines: string[], names: string[]][] = [
  ["none", [], []],
  ["Surrogate-Key is separated by spaces", ["Surrogate-Key: a b  c\td"], ["a", "b", "c", "d"]],
  ["Cache-Tag by commas; a tag may have spaces in it", ["Cache-Tag: a, b c ,d"], ["a", "b c", "d"]],
  [
    "several lines",
    ["Cache-Tag: a", "Cache-Tag: b", "Surrogate-Key: c", "Surrogate-Key: d"],
    ["c", "d", "a", "b"],
  ],
  ["twice the same", ["Cache-Tag: a, a", "Surrogate-Key: a"], ["a"]],
  ["case counts", ["Cache-Tag: a, A"], ["a", "A"]],
  ["empty ones do not", ["Cache-Tag: ,, a,", "Surrogate-Key: "], ["a"]],
];

describe("tags of a response", () => {
  test.each(tags)("%s", (_rule, lines, names) => {
    expect(tagsOf(fieldsOf(...lines))).toEqual({ names, areAll: true });
  });

  test("as many as there are names for; that there were more is told", () => {
    const list = (count: number) => Array.from({ length: count }, (_, at) => `t${at}`).join(",");
    expect(tagsOf(fieldsOf(`Cache-Tag: ${list(MAX_NAMES)}`)).areAll).toBe(true);
    const more = tagsOf(fieldsOf(`Cache-Tag: ${list(MAX_NAMES + 1)}`));
    expect([more.names.length, more.areAll]).toEqual([MAX_NAMES, false]);
  });

  test("that one was too long is told", () => {
    const long = "x".repeat(MAX_NAME_LENGTH);
    expect(tagsOf(fieldsOf(`Cache-Tag: a, ${long}`)).areAll).toBe(true);
    expect(tagsOf(fieldsOf(`Cache-Tag: a, ${long}x`))).toEqual({ names: ["a"], areAll: false });
  });
});

const groups: [rule: string, lines: string[], names: string[]][] = [
  ["none", [], []],
  ["a list of strings", ['Cache-Groups: "scripts", "a, b"'], ["scripts", "a, b"]],
  ["parameters do not count", ['Cache-Groups: "a";x=1'], ["a"]],
  ["several lines are one list", ['Cache-Groups: "a"', 'Cache-Groups: "b"'], ["a", "b"]],
  ["case counts", ['Cache-Groups: "a", "A"'], ["a", "A"]],
  ["a member that is no string: the field is not heeded", ['Cache-Groups: "a", b'], []],
  ["no structured field: it is not heeded", ['Cache-Groups: "a", "b'], []],
  ["128 groups of 32 characters (§2)", [`Cache-Groups: ${many()}`], manyNames()],
];

function manyNames(): string[] {
  return Array.from({ length: 128 }, (_, at) => String(at).padStart(32, "g"));
}

function many(): string {
  return manyNames()
    .map((name) => `"${name}"`)
    .join(", ");
}

describe("groups of a response (RFC 9875 §2)", () => {
  test.each(groups)("%s", (_rule, lines, names) => {
    expect(groupsOf(fieldsOf(...lines))).toEqual({ names, areAll: true });
  });
});

test("groups that a response makes stale are read likewise (RFC 9875 §3)", () => {
  const fields = fieldsOf('Cache-Group-Invalidation: "a", "b"', 'Cache-Groups: "c"');
  expect(invalidatedGroupsOf(fields).names).toEqual(["a", "b"]);
  expect(groupsOf(fields).names).toEqual(["c"]);
});
