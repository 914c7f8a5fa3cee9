/** Lines memo: the same text gives the same fields, and nothing grows without end. */
import { expect, test } from "bun:test";
import { LinesMemo } from "./lines-memo.ts";

const textOf = (number: number) => `X-Number: ${number}\r\nDate: ${"d".repeat(number % 40)}\r\n`;

test("texts in any order give their own fields", () => {
  const memo = new LinesMemo();
  for (let step = 0; step < 5000; step++) {
    const text = textOf((step * step) % 700);
    const fields = step % 5 === 0 ? memo.readOnce(text) : memo.fieldsOf(text);
    expect(fields.linesWithout(0, 0)).toBe(text);
  }
});

test("a text that came twice is not read again", () => {
  const memo = new LinesMemo();
  memo.fieldsOf(textOf(1));
  const fields = memo.fieldsOf(textOf(1));
  memo.fieldsOf(textOf(2));
  expect(memo.fieldsOf(textOf(1))).toBe(fields);
});

test("a text longer than any before it is read whole", () => {
  const text = `X-Long: ${"v".repeat(100_000)}\r\n`;
  const memo = new LinesMemo();
  for (let time = 0; time < 3; time++) expect(memo.fieldsOf(text).linesWithout(0, 0)).toBe(text);
});
