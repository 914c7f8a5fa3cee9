import { expect, test } from "bun:test";
import { ENDPOINT } from "../observe/metrics.table.ts";
import {
  BOARD,
  BOARD_WORDS,
  CHECK,
  OPERATOR,
  REASONS,
  reasonNumber,
  reasonOf,
  reasonText,
} from "./board.table.ts";

test("the words of an endpoint are apart, and fit where its series is", () => {
  const offsets = Object.values(BOARD);
  expect(new Set(offsets).size).toBe(offsets.length);
  expect(Math.max(...offsets)).toBeLessThan(BOARD_WORDS);
  expect(BOARD_WORDS).toBeLessThanOrEqual(ENDPOINT.slots);
});

test("zeroed memory means up, not checked, no reason", () => {
  expect([OPERATOR[0], CHECK[0], reasonOf(0)]).toEqual(["up", "unchecked", "none"]);
});

test("a reason's number leads back to it, and every reason but none has words", () => {
  for (const reason of REASONS) expect(reasonOf(reasonNumber(reason))).toBe(reason);
  expect(REASONS.filter((reason) => reasonText(reason) === "")).toEqual(["none"]);
});

test("a reason that a newer process wrote reads as none", () => {
  expect([reasonOf(REASONS.length), reasonOf(-1), reasonOf(Number.NaN)]).toEqual(["none", "none", "none"]);
});
