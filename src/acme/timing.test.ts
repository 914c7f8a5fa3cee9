import { expect, test } from "bun:test";
import { REAL_TIMING, retryAfterMs, wait } from "./timing.ts";
import { Trouble } from "./trouble.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const MAX_MS = 86_400_000;

const VALUES: readonly [value: string | null, ms: number][] = [
  [null, 0],
  ["120", 120_000],
  ["Thu, 01 Jan 2026 00:02:00 GMT", 120_000],
  ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
  ["99999999", MAX_MS],
  ["Fri, 01 Jan 2100 00:00:00 GMT", MAX_MS],
  ["-5", 0],
  ["soon", 0],
  ["", 0],
];
for (const [value, ms] of VALUES) {
  test(`Retry-After ${value} is ${ms} ms (RFC 9110 §10.2.3)`, () => {
    expect(retryAfterMs(value, NOW_MS, MAX_MS)).toBe(ms);
  });
}

test("a wait ends with its signal, as trouble", async () => {
  const stop = new AbortController();
  const waiting = wait(REAL_TIMING, 60_000, stop.signal);
  stop.abort(new Trouble("late", "leaving"));
  expect(waiting).rejects.toThrow("leaving");
  expect(wait(REAL_TIMING, 60_000, stop.signal)).rejects.toThrow("leaving");
});
