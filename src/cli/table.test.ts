import { describe, expect, test } from "bun:test";
import { durationText, latencyText, sizeText, tableLines } from "./table.ts";

test("words stand at the left, numbers at the right, under their titles", () => {
  const lines = tableLines(
    [{ title: "NAME" }, { title: "REQUESTS", isNumber: true }, { title: "STATE" }],
    [
      ["a", "5", "up"],
      ["longer name", "1200", ""],
    ],
  );
  expect(lines).toEqual([
    "NAME         REQUESTS  STATE",
    "a                   5  up",
    "longer name      1200",
  ]);
});

test("no rows, no titles", () => {
  expect(tableLines([{ title: "NAME" }], [])).toEqual([]);
});

describe("quantities are short enough to read at a glance", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [30 * 1024 ** 2, "30 MiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  test.each([
    [0, "0ms"],
    [999, "999ms"],
    [1000, "1s"],
    [61_000, "1m 1s"],
    [3_600_000, "1h"],
    [90_061_000, "1d 1h"],
  ])("%d ms are %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test.each([
    [0, "-"],
    [0.421, "0.42 ms"],
    [13.4, "13 ms"],
    [1200, "1.2 s"],
  ])("a request of %d ms took %s", (ms, text) => {
    expect(latencyText(ms)).toBe(text);
  });
});
