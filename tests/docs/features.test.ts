/**
 * The feature table says of Weir only what a test shows.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..", "..");
const MARKS = { weir: ["yes", "built", "later", "no"], others: ["yes", "part", "no", "?"] };
const OTHERS = 6;

const rows = readFileSync(join(ROOT, "docs", "features.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| ---") && !line.startsWith("| feature "))
  .map((line) =>
    line
      .slice(1, line.lastIndexOf("|"))
      .split("|")
      .map((cell) => cell.trim()),
  );

test("there are rows", () => {
  expect(rows.length).toBeGreaterThan(60);
});

for (const [feature = "", weir = "", ...rest] of rows) {
  test(`${feature}: ${weir}`, () => {
    const others = rest.slice(0, OTHERS);
    expect(rest).toHaveLength(OTHERS + 1);
    expect(MARKS.weir).toContain(weir);
    for (const mark of others) expect(MARKS.others).toContain(mark);
    const file = /^`(.+)`$/.exec(rest[OTHERS] ?? "")?.[1];
    if (weir === "yes") expect(file !== undefined && existsSync(join(ROOT, file))).toBe(true);
    else expect(file).toBeUndefined();
  });
}
