import { describe, expect, test } from "bun:test";
import { type Member, parseDictionary, parseItem, parseList, parseStrings } from "./structured-fields.ts";

/** An item or list written so that rows can name it. */
function show(member: Member | undefined): string {
  if (member === undefined) return "nothing";
  const parameters = [...member.parameters]
    .map(([key, value]) => `;${key}=${value.kind}:${value.value}`)
    .join("");
  if ("items" in member) return `(${member.items.map(show).join(" ")})${parameters}`;
  const { kind, value } = member.item;
  return `${kind}:${value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value}${parameters}`;
}

const items: [text: string, shown: string][] = [
  // integers and decimals (RFC 9651 §4.2.4)
  ["0", "integer:0"],
  ["-42", "integer:-42"],
  ["007", "integer:7"],
  ["999999999999999", "integer:999999999999999"],
  ["1000000000000000", "nothing"],
  ["1.5", "decimal:1.5"],
  ["-0.25", "decimal:-0.25"],
  ["123456789012.123", "decimal:123456789012.123"],
  ["1234567890123.1", "nothing"],
  ["1.1234", "nothing"],
  ["1.", "nothing"],
  [".5", "nothing"],
  ["1.2.3", "nothing"],
  ["-", "nothing"],
  ["--1", "nothing"],
  ["+1", "nothing"],
  ["1e3", "nothing"],
  // strings (§4.2.5)
  ['""', "string:"],
  ['"a b"', "string:a b"],
  ['"a\\"b\\\\c"', 'string:a"b\\c'],
  ['"a\\b"', "nothing"],
  ['"open', "nothing"],
  ['"é"', "nothing"],
  ['"a\tb"', "nothing"],
  ["'a'", "nothing"],
  // tokens (§4.2.6)
  ["foo", "token:foo"],
  ["*/a:b.c-d", "token:*/a:b.c-d"],
  ["A1!#$%&'*+.^_`|~", "token:A1!#$%&'*+.^_`|~"],
  ["{", "nothing"],
  ["a{", "nothing"],
  // bytes (§4.2.7)
  [":aGVsbG8=:", "bytes:hello"],
  [":aGVsbG8:", "bytes:hello"],
  ["::", "bytes:"],
  [":aGVs", "nothing"],
  [":aG-s:", "nothing"],
  // booleans (§4.2.8), dates (§4.2.9), display strings (§4.2.10)
  ["?1", "boolean:true"],
  ["?0", "boolean:false"],
  ["?2", "nothing"],
  ["?", "nothing"],
  ["@1659578233", "date:1659578233"],
  ["@-1", "date:-1"],
  ["@1.5", "nothing"],
  ["@", "nothing"],
  ['%"f%c3%bc"', "display:fü"],
  ['%"100%25"', "display:100%"],
  ['%"f%C3%BC"', "nothing"],
  ['%"%c3"', "nothing"],
  ['%"%c"', "nothing"],
  ['%"open', "nothing"],
  ["%a", "nothing"],
  // parameters (§4.2.3.2)
  ["a;b", "token:a;b=boolean:true"],
  ["a;b=1; c=?0", "token:a;b=integer:1;c=boolean:false"],
  ["a;b=1;b=2", "token:a;b=integer:2"],
  ["a ;b", "nothing"],
  ["a;B", "nothing"],
  ["a;b=", "nothing"],
  ["a;", "nothing"],
  ["a;b=(1)", "nothing"],
  // what surrounds one (§4.2)
  ["  1  ", "integer:1"],
  ["1 2", "nothing"],
  ["1,2", "nothing"],
  ["", "nothing"],
  ["(1 2)", "nothing"],
];

describe("an item (RFC 9651 §4.2.3)", () => {
  test.each(items)("%p", (text, shown) => {
    expect(show(parseItem(text))).toBe(shown);
  });
});

const lists: [text: string, shown: string[] | undefined][] = [
  ["", []],
  ["   ", []],
  ["a, b", ["token:a", "token:b"]],
  ["a,b", ["token:a", "token:b"]],
  ["a \t,\t b", ["token:a", "token:b"]],
  ["a, (b c);d, e", ["token:a", "(token:b token:c);d=boolean:true", "token:e"]],
  ["(  1   2  )", ["(integer:1 integer:2)"]],
  ["()", ["()"]],
  ["(a;x=1 b)", ["(token:a;x=integer:1 token:b)"]],
  ['"a, b", c', ["string:a, b", "token:c"]],
  ["a,", undefined],
  [",a", undefined],
  ["a,,b", undefined],
  ["a b", undefined],
  ["\ta", undefined],
  ["(a", undefined],
  ["(a,b)", undefined],
  ["(a(b))", undefined],
  ['("a""b")', undefined],
  ["a, &", undefined],
];

describe("a list (RFC 9651 §4.2.1)", () => {
  test.each(lists)("%p", (text, shown) => {
    expect(parseList(text)?.map(show)).toEqual(shown as string[]);
  });
});

const dictionaries: [text: string, shown: [string, string][] | undefined][] = [
  ["", []],
  [
    "a=1, b",
    [
      ["a", "integer:1"],
      ["b", "boolean:true"],
    ],
  ],
  ["a;x=1", [["a", "boolean:true;x=integer:1"]]],
  ["a=(1 2);x", [["a", "(integer:1 integer:2);x=boolean:true"]]],
  [
    "a=1, b=2, a=3",
    [
      ["a", "integer:3"],
      ["b", "integer:2"],
    ],
  ],
  ["*a_-.*=?0", [["*a_-.*", "boolean:false"]]],
  [
    "max-age=60,  no-store",
    [
      ["max-age", "integer:60"],
      ["no-store", "boolean:true"],
    ],
  ],
  ["A=1", undefined],
  ["a =1", undefined],
  ["a= 1", undefined],
  ["a=", undefined],
  ["1=a", undefined],
  ["a=1,", undefined],
  ["a=1 b=2", undefined],
  ["max-age=1, &&&&&", undefined],
];

describe("a dictionary (RFC 9651 §4.2.2)", () => {
  test.each(dictionaries)("%p", (text, shown) => {
    const found = parseDictionary(text);
    const pairs = found && [...found].map(([key, member]) => [key, show(member)]);
    expect(pairs).toEqual(shown as string[][]);
  });
});

test("a list of strings is one only if all its members are strings", () => {
  expect(parseStrings('"a", "b c";x=1')).toEqual(["a", "b c"]);
  expect(parseStrings("")).toEqual([]);
  expect(parseStrings('"a", b')).toBeUndefined();
  expect(parseStrings('"a", ("b")')).toBeUndefined();
  expect(parseStrings('"a", "b')).toBeUndefined();
});

test("text that means nothing is read in one pass, however long it is", () => {
  const started = performance.now();
  for (const part of ['"a\\"', "a;b=", "(a ", "a=(", ":aa", '%"%c3', '"a", ', ",\t", "-1.", " "]) {
    const text = part.repeat(50_000);
    parseList(text);
    parseDictionary(text);
    parseItem(text);
  }
  expect(performance.now() - started).toBeLessThan(2000);
});
