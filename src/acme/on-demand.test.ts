import { expect, test } from "bun:test";
import { isAllowed, NewNames } from "./on-demand.ts";

const ALLOWED = ["one.test", "*.shop.test"];

const NAMES: readonly [name: string, isAllowed: boolean][] = [
  ["one.test", true],
  ["a.shop.test", true],
  ["shop.test", false],
  ["a.b.shop.test", false],
  ["sub.one.test", false],
  [".shop.test", true], // no host name: refused before patterns are asked
  ["ashop.test", false],
  ["", false],
];
for (const [name, expected] of NAMES) {
  test(`"${name}" is ${expected ? "allowed" : "refused"} by ${ALLOWED.join(" and ")}`, () => {
    expect(isAllowed(ALLOWED, name)).toBe(expected);
  });
}

test("ten new names an hour", () => {
  const names = new NewNames();
  const taken = Array.from({ length: 12 }, (_, index) => names.take(index));
  expect(taken.filter(Boolean).length).toBe(10);
  expect(names.take(3600_000 + 20)).toBe(true);
});

test("a clock that was set back does not stop new names for good", () => {
  const names = new NewNames();
  for (let count = 0; count < 10; count++) names.take(1_000_000_000);
  expect(names.take(500_000_000)).toBe(true);
});

test("a refusal is said once an hour", () => {
  const names = new NewNames();
  expect([names.maySay(0), names.maySay(10), names.maySay(3600_000)]).toEqual([true, false, true]);
});
