import { expect, test } from "bun:test";
import { HttpClock, httpDate } from "./http-clock.ts";

const ROWS: [timeMs: number, text: string][] = [
  [784111777000, "Sun, 06 Nov 1994 08:49:37 GMT"],
  [0, "Thu, 01 Jan 1970 00:00:00 GMT"],
  [1709164799999, "Wed, 28 Feb 2024 23:59:59 GMT"],
  [1709164800000, "Thu, 29 Feb 2024 00:00:00 GMT"],
  [4102444799999, "Thu, 31 Dec 2099 23:59:59 GMT"],
];

for (const [timeMs, text] of ROWS) {
  test(`${timeMs} is ${text} (RFC 9110 §5.6.7)`, () => {
    expect(httpDate(timeMs)).toBe(text);
    expect(new HttpClock().date(timeMs)).toBe(text);
  });
}

test("the text changes with the second, forwards and backwards", () => {
  const clock = new HttpClock();
  const asked = [999, 1000, 1500, 1999, 2000, 500].map((ms) => clock.date(ms).slice(-6, -4));
  expect(asked).toEqual(["00", "01", "01", "01", "02", "00"]);
});
