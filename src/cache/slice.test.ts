import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { originOfKey, urlOfKey } from "./key.ts";
import { firstSlice, identityOf, lengthBySlice, sliceKey } from "./slice.ts";

const SIZE = 1000;
const NOW = Date.UTC(2026, 0, 1);
const DATE = "Mon, 01 Jan 2024 00:00:00 GMT";

describe("the slice that a request begins with (RFC 9110 §14.1.2)", () => {
  // biome-ignore format: a table is read by columns
  const ROWS: readonly (readonly [range: string | undefined, slice: number | undefined])[] = [
    [undefined,             0],
    ["bytes=0-",            0],
    ["bytes=999-1000",      0],
    ["bytes=1000-1000",     1],
    ["BYTES=2500-",         2],
    ["bytes=-5",            0],
    ["bytes=x-5",           0],
    ["lines=5000-",         0],
    ["bytes=0-1,5-6",       undefined],
    ["bytes=999999999999999-", 999999999999],
  ];
  for (const [range, slice] of ROWS) {
    test(`${range ?? "no Range"} is slice ${slice ?? "none"}`, () => {
      expect(firstSlice(range, SIZE)).toBe(slice);
    });
  }
});

describe("an answer is the slice that was asked for", () => {
  // biome-ignore format: a table is read by columns
  const ROWS: readonly (readonly [firstByte: number, length: number, completeLength: number, number: number, expected: number | undefined])[] = [
    [0,    1000, 5000, 0, 5000],
    [4000, 1000, 5000, 4, 5000],
    [4000,  500, 4500, 4, 4500],
    [0,     300,  300, 0,  300],
    [0,     999, 5000, 0, undefined], // shorter
    [0,    1001, 5000, 0, undefined], // longer
    [1000, 1000, 5000, 0, undefined], // another one
    [1000, 1000,   -1, 1, undefined], // of what length?
    [4000,  600, 4500, 4, undefined], // beyond the end
  ];
  for (const [firstByte, length, completeLength, number, expected] of ROWS) {
    const text = `${length} bytes from ${firstByte} of ${completeLength} as slice ${number}`;
    test(`${text}: ${expected === undefined ? "no" : "yes"}`, () => {
      const part = { firstByte, length, completeLength };
      expect(lengthBySlice(part, { number, sliceBytes: SIZE })).toBe(expected);
    });
  }
});

describe("slices are of one representation by (RFC 9110 §8.8.1)", () => {
  const of = (lines: string, length = 5000) => identityOf(fieldsOfLines(lines), length, NOW);
  const tagged = of('ETag: "a"\r\n');

  test("a strong tag and the length", () => {
    expect(tagged).not.toBe("");
    expect(of(`ETag: "a"\r\nLast-Modified: ${DATE}\r\n`)).toBe(tagged);
    for (const other of [of('ETag: "b"\r\n'), of('ETag: "a"\r\n', 5001)]) expect(other).not.toBe(tagged);
  });

  test("Last-Modified and the length, where the tag is weak or not there", () => {
    const dated = of(`Last-Modified: ${DATE}\r\n`);
    expect(dated).not.toBe("");
    expect(of(`ETag: W/"a"\r\nLast-Modified: ${DATE}\r\n`)).toBe(dated);
    expect(of(`Last-Modified: ${DATE}\r\n`, 5001)).not.toBe(dated);
    expect(of("Last-Modified: Tue, 02 Jan 2024 00:00:00 GMT\r\n")).not.toBe(dated);
  });

  test("nothing else", () => {
    for (const lines of ["", 'ETag: W/"a"\r\n', "Last-Modified: yesterday\r\n", 'ETag: "a"\r\nETag: "b"\r\n'])
      expect(of(lines)).toBe("");
  });
});

test("a slice belongs to the URL of the whole, so that a purge takes it too", () => {
  const key = "route\nhttp://a.test/film?x=1";
  for (const base of [key, `${key}\n-accept:text/html`]) {
    expect(urlOfKey(sliceKey(base, 12))).toBe("a.test/film?x=1");
    expect(originOfKey(sliceKey(base, 12))).toBe("http://a.test");
    expect(sliceKey(base, 1)).not.toBe(sliceKey(base, 11));
  }
});
