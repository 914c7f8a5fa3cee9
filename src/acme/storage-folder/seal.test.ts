import { expect, test } from "bun:test";
import { isSealed, Seal } from "./seal.ts";

const SECRET = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n";
const sealed = new Seal("right").close("a.test", SECRET);

test("what was sealed opens with the same key, also in another process", () => {
  expect(isSealed(sealed)).toBe(true);
  expect(sealed).not.toContain("abc");
  expect(new Seal("right").open("a.test", sealed)).toBe(SECRET);
});

test("two seals of one secret differ", () => {
  const seal = new Seal("right");
  expect(seal.close("a.test", SECRET)).not.toBe(seal.close("a.test", SECRET));
});

const body = sealed.split("\n").slice(1, -2).join("");
const REFUSED: readonly [what: string, text: string, passphrase: string, name: string][] = [
  ["another key", sealed, "wrong", "a.test"],
  ["a key under another name", sealed, "right", "b.test"],
  [
    "a bit that was turned",
    sealed.replace(body.slice(70, 72), body[70] === "A" ? "BB" : "AA"),
    "right",
    "a.test",
  ],
  ["half of it", `${sealed.slice(0, 90)}\n-----END WEIR SEALED KEY-----`, "right", "a.test"],
  ["nothing in it", "-----BEGIN WEIR SEALED KEY-----\n\n-----END WEIR SEALED KEY-----", "right", "a.test"],
  ["a newer format", sealed.replace(body.slice(0, 2), "Ag"), "right", "a.test"],
];
for (const [what, text, passphrase, name] of REFUSED) {
  test(`${what} does not open`, () => {
    expect(() => new Seal(passphrase).open(name, text)).toThrow(/does not open|cut short|newer Weir/);
  });
}
