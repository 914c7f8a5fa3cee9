import { expect, test } from "bun:test";
import { PeakEwma } from "./latency.ts";

test("nothing seen is 0, the first answer counts whole", () => {
  const latency = new PeakEwma(1000);
  expect(latency.at(5)).toBe(0);
  latency.add(40, 5);
  expect(latency.at(5)).toBe(40);
});

test("a slower answer counts at once, faster ones only by and by: by half in a half-life", () => {
  const latency = new PeakEwma(1000);
  latency.add(10, 0);
  latency.add(110, 1);
  expect(latency.at(1)).toBe(110);
  latency.add(10, 1001);
  expect(latency.at(1001)).toBeCloseTo(60, 6);
  latency.add(10, 1001);
  expect(latency.at(1001)).toBeCloseTo(60, 6);
});

test("steady answers give their own latency, however often they come", () => {
  for (const gapMs of [0.1, 10, 5000]) {
    const latency = new PeakEwma(1000);
    for (let count = 0; count < 1000; count++) latency.add(25, count * gapMs);
    expect(latency.at(999 * gapMs)).toBeCloseTo(25, 6);
  }
});

test("without answers it halves in every half-life, and after twenty it says nothing", () => {
  const latency = new PeakEwma(1000);
  latency.add(80, 0);
  expect([0, 1000, 3000].map((at) => Math.round(latency.at(at)))).toEqual([80, 40, 10]);
  expect([latency.at(19_900) > 0, latency.at(20_100)]).toEqual([true, 0]);
});

test("a clock that stands still or steps back changes nothing", () => {
  const latency = new PeakEwma(1000);
  latency.add(80, 500);
  expect(latency.at(400)).toBe(80);
  latency.add(20, 400);
  expect(latency.at(400)).toBe(80);
});

test("what was forgotten is not seen", () => {
  const latency = new PeakEwma(1000);
  latency.add(80, 0);
  latency.forget();
  expect(latency.at(0)).toBe(0);
});
