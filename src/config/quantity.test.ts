import { describe, expect, test } from "bun:test";
import {
  formatDuration,
  formatPercent,
  formatSize,
  parseDuration,
  parsePercent,
  parseSize,
} from "./quantity.ts";

type Row = readonly [text: string, value: number | string];

function check(parse: typeof parseDuration, rows: readonly Row[]): void {
  for (const [text, expected] of rows) {
    test(`${JSON.stringify(text)} → ${expected}`, () => {
      const read = parse(text);
      if (typeof expected === "number") expect(read).toEqual({ value: expected });
      else expect("wrong" in read ? read.wrong : read.value).toBe(expected);
    });
  }
}

describe("a duration is a number with a unit, in ms", () => {
  check(parseDuration, [
    ["250ms", 250],
    ["5s", 5000],
    ["1.5s", 1500],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["0", 0],
    ["5 s", 5000],
    ["30", "has no unit"],
    ["0.5ms", "is not a whole number of milliseconds"],
    ["5S", 'has an unknown unit "S"'],
    ["5constructor", 'has an unknown unit "constructor"'],
    ["-5s", "is not a duration"],
    ["1h30m", "is not a duration"],
    ["", "is not a duration"],
  ]);
});

describe("a size is bytes, or a number with a binary or decimal unit", () => {
  check(parseSize, [
    ["4096", 4096],
    ["64KiB", 65_536],
    ["10MiB", 10_485_760],
    ["1.5GiB", 1_610_612_736],
    ["1KB", 1000],
    ["1MB", 1_000_000],
    ["2GB", 2_000_000_000],
    ["7B", 7],
    ["64K", 'has an unknown unit "K"'],
    ["0.3KiB", "is not a whole number of bytes"],
    ["999999999999999GiB", "is not a whole number of bytes"],
    ["big", "is not a size"],
  ]);
});

describe("a share is a number with a percent sign", () => {
  check(parsePercent, [
    ["50%", 0.5],
    ["125 %", 1.25],
    ["0.5%", 0.005],
    ["0", 0],
    ["7%", 0.07],
    ["50", "has no percent sign"],
    ["0.5", "has no percent sign"],
    ["1.5", "has no percent sign"],
    ["-5%", "is not a percentage"],
    ["half", "is not a percentage"],
    ["1234567%", "is not a percentage"],
  ]);
});

test("what is written as a factor is meant as one", () => {
  const hintFor = (text: string) => (parsePercent(text) as { hint?: string }).hint;
  expect(["0.5", "1", "1.25", "20", "12.5"].map(hintFor)).toEqual([
    "Write 50%.",
    "Write 100%.",
    "Write 125%.",
    "Write 20%.",
    "Write 12.5%.",
  ]);
});

test("a formatted quantity reads back as itself", () => {
  for (const ms of [1, 250, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000]) {
    expect(parseDuration(formatDuration(ms))).toEqual({ value: ms });
  }
  for (const bytes of [0, 1, 1023, 1024, 1500, 1024 ** 2, 1024 ** 3, 5 * 1024 ** 3]) {
    expect(parseSize(formatSize(bytes))).toEqual({ value: bytes });
  }
  for (const share of [0, 0.005, 0.07, 0.5, 1, 1.25, 100]) {
    expect(parsePercent(formatPercent(share))).toEqual({ value: share });
  }
});
