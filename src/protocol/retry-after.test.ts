import { expect, test } from "bun:test";
import { parseRetryAfter } from "./retry-after.ts";

const NOW_MS = Date.UTC(2026, 0, 1, 12, 0, 0);

const ROWS: readonly [value: string, ms: number][] = [
  ["0", 0],
  ["120", 120_000],
  ["Thu, 01 Jan 2026 12:00:05 GMT", 5000],
  ["Thu, 01 Jan 2026 11:00:00 GMT", 0],
  ["-1", 0],
  ["1.5", 0],
  ["soon", 0],
  ["", 0],
  ["99999999999", 0],
];
for (const [value, ms] of ROWS) {
  test(`Retry-After "${value}" is ${ms} ms (RFC 9110 §10.2.3)`, () => {
    expect(parseRetryAfter(value, NOW_MS)).toBe(ms);
  });
}
