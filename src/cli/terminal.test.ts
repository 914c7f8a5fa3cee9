import { expect, test } from "bun:test";
import { COLOURS, NO_COLOURS, paletteFor, printable } from "./terminal.ts";

test.each([
  ["a terminal", true, {}, COLOURS],
  ["a pipe", false, {}, NO_COLOURS],
  ["a terminal with NO_COLOR", true, { NO_COLOR: "1" }, NO_COLOURS],
  ["a terminal with an empty NO_COLOR, which counts as unset", true, { NO_COLOR: "" }, COLOURS],
  ["a terminal that knows no colours", true, { TERM: "dumb" }, NO_COLOURS],
])("colours for %s", (_name, isTerminal, env, palette) => {
  expect(paletteFor(isTerminal, env)).toBe(palette);
});

test("control characters from outside cannot act on the terminal", () => {
  expect(printable("a\x1b[31mb\r\n\x07\x9bc ü")).toBe("a\\x1b[31mb\\x0d\\x0a\\x07\\x9bc ü");
});
