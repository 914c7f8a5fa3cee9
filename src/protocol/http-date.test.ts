import { describe, expect, test } from "bun:test";
import { httpDate } from "../core/http-clock.ts";
import { parseHttpDate } from "./http-date.ts";

const NOW = Date.UTC(2026, 0, 1);
const NOV_1994 = Date.UTC(1994, 10, 6, 8, 49, 37);

test("dates are sent as IMF-fixdate, parts of a second cut off (RFC 9110 §5.6.7)", () => {
  expect(httpDate(NOV_1994 + 999)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
  expect(httpDate(0)).toBe("Thu, 01 Jan 1970 00:00:00 GMT");
});

describe("all three forms are read (RFC 9110 §5.6.7)", () => {
  const rows: [text: string, atMs: number | undefined][] = [
    ["Sun, 06 Nov 1994 08:49:37 GMT", NOV_1994],
    ["Sunday, 06-Nov-94 08:49:37 GMT", NOV_1994],
    ["Sun Nov  6 08:49:37 1994", NOV_1994],
    ["Sun Nov 16 08:49:37 1994", Date.UTC(1994, 10, 16, 8, 49, 37)],
    ["Friday, 31-Dec-76 00:00:00 GMT", Date.UTC(2076, 11, 31)],
    ["Saturday, 01-Jan-77 00:00:00 GMT", Date.UTC(1977, 0, 1)],
    ["Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29)],
    ["Wed, 29 Feb 2023 00:00:00 GMT", undefined],
    ["Fri, 31 Dec 2016 23:59:60 GMT", Date.UTC(2017, 0, 1)],
    ["Fri, 01 Jan 0099 00:00:00 GMT", Date.parse("0099-01-01T00:00:00Z")],
    ["Sun, 00 Nov 1994 08:49:37 GMT", undefined],
    ["Sun, 32 Oct 1994 08:49:37 GMT", undefined],
    ["Sun, 06 Nov 1994 24:00:00 GMT", undefined],
    ["Sun, 06 Nov 1994 08:60:00 GMT", undefined],
    ["Sun, 06 Nov 1994 08:49:61 GMT", undefined],
    ["Sun, 6 Nov 1994 08:49:37 GMT", undefined],
    ["sun, 06 nov 1994 08:49:37 gmt", undefined],
    ["Sun, 06 Nov 1994 08:49:37 UTC", undefined],
    ["Sun, 06 Nov 1994 08:49:37 GMT ", undefined],
    ["1994-11-06T08:49:37Z", undefined],
    ["784111777", undefined],
    ["", undefined],
  ];
  test.each(rows)("%s", (text, atMs) => {
    expect(parseHttpDate(text, NOW)).toBe(atMs as number);
  });
});
