import { describe, expect, test } from "bun:test";
import { fieldIdOf } from "../core/field-names.ts";
import { Fields } from "../core/fields.ts";
import { chooseRanges, MAX_RANGES, parseRanges } from "./range.ts";

const many = (count: number) => Array.from({ length: count }, (_, at) => `${at * 2}-${at * 2}`).join(",");

describe("a Range value against a size (RFC 9110 §14.1.2)", () => {
  const rows: [value: string, size: number, out: string][] = [
    ["bytes=0-0", 10, "0-0"],
    ["bytes=2-5", 10, "2-5"],
    ["bytes=5-", 10, "5-9"],
    ["bytes=-3", 10, "7-9"],
    ["bytes=-30", 10, "0-9"],
    ["bytes=8-20", 10, "8-9"],
    ["bytes=0-999999999999999", 10, "0-9"],
    ["BYTES=0-1", 10, "0-1"],
    ["bytes=0-1,4-5", 10, "0-1 4-5"],
    ["bytes=4-5, 0-1", 10, "4-5 0-1"],
    ["bytes= 0-1 ,\t4-5 ,", 10, "0-1 4-5"],
    ["bytes=0-1,2-3", 10, "0-1 2-3"],
    ["bytes=0-1,20-30", 10, "0-1"],
    ["bytes=10-", 10, "unsatisfiable"],
    ["bytes=10-20,30-", 10, "unsatisfiable"],
    ["bytes=-0", 10, "unsatisfiable"],
    ["bytes=0-", 0, "unsatisfiable"],
    ["bytes=-1", 0, "unsatisfiable"],
    ["bytes=0-4,4-5", 10, "whole"],
    ["bytes=5-,-1", 10, "whole"],
    ["bytes=5-4", 10, "whole"],
    ["bytes=", 10, "whole"],
    ["bytes=,", 10, "whole"],
    ["bytes=-", 10, "whole"],
    ["bytes=a-b", 10, "whole"],
    ["bytes=1", 10, "whole"],
    ["bytes=0-1,x", 10, "whole"],
    ["bytes=+1-2", 10, "whole"],
    ["bytes=0 - 1", 10, "whole"],
    ["bytes=0x0-1", 10, "whole"],
    ["bytes=1.5-2", 10, "whole"],
    ["bytes=0-1000000000000000", 10, "whole"],
    ["bytes 0-1", 10, "whole"],
    ["items=0-1", 10, "whole"],
    ["0-1", 10, "whole"],
    ["", 10, "whole"],
    [`bytes=${many(MAX_RANGES)}`, 100, many(MAX_RANGES).replaceAll(",", " ")],
    [`bytes=${many(MAX_RANGES + 1)}`, 100, "whole"],
    [`bytes=0-1${",".repeat(31)}`, 10, "0-1"],
    [`bytes=0-1${",".repeat(40)}4-5`, 10, "whole"],
    [`bytes=${many(1300)}`, 10_000, "whole"],
  ];
  test.each(rows)("%s of %d", (value, size, out) => {
    const ranges = parseRanges(value, size);
    expect(
      typeof ranges === "string" ? ranges : ranges.map(({ first, last }) => `${first}-${last}`).join(" "),
    ).toBe(out);
  });
});

interface Row {
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly etag?: string;
  /** Since the last modification. */
  readonly ageMs?: number;
  readonly isPart: boolean;
}

describe("If-Range (RFC 9110 §13.1.5)", () => {
  const modifiedAtMs = Date.UTC(2025, 5, 1, 12, 0, 0, 500);
  const range = ["range", "bytes=0-1"] as const;
  const date = ["if-range", "Sun, 01 Jun 2025 12:00:00 GMT"] as const;
  const rows: [rule: string, row: Row][] = [
    ["no Range", { lines: [], isPart: false }],
    ["no If-Range", { lines: [range], isPart: true }],
    ["the same tag", { lines: [range, ["if-range", '"a"']], isPart: true }],
    ["another tag", { lines: [range, ["if-range", '"b"']], isPart: false }],
    ["a weak tag never", { lines: [range, ["if-range", 'W/"a"']], etag: 'W/"a"', isPart: false }],
    ["the same date", { lines: [range, date], isPart: true }],
    ["the same date, but too fresh (§8.8.2.2)", { lines: [range, date], ageMs: 400, isPart: false }],
    ["a later date", { lines: [range, ["if-range", "Sun, 01 Jun 2025 12:00:01 GMT"]], isPart: false }],
    ["no date", { lines: [range, ["if-range", "today"]], isPart: false }],
    ["two Range fields", { lines: [range, range], isPart: false }],
  ];
  test.each(rows)("%s", (_rule, { lines, etag = '"a"', ageMs = 9000, isPart }) => {
    const fields = new Fields();
    let text = "";
    for (const [name, value] of lines) {
      const start = text.length;
      text += `${name}: ${value}\r\n`;
      fields.mark(start, start + name.length, start + name.length + 2, text.length - 2, fieldIdOf(name));
    }
    fields.bind(Buffer.from(text, "latin1"), 0, 0, text.length);
    const choice = chooseRanges(fields, 10, { etag, modifiedAtMs }, modifiedAtMs + ageMs);
    expect(choice).toEqual(isPart ? [{ first: 0, last: 1 }] : "whole");
  });
});
