/** Out: what was appended, in its order, however much it is. */
import { expect, test } from "bun:test";
import { Out } from "./out.ts";

const textOf = (out: Out) => out.bytes.toString("latin1", 0, out.length);

test("text, bytes and copies stand one behind the other, as Latin-1", () => {
  const out = new Out();
  out.text("a\xe9");
  out.byte(32);
  out.copy(Buffer.from("xbcx"), 1, 3);
  out.text("");
  expect(textOf(out)).toBe("a\xe9 bc");
});

test("a reset begins anew", () => {
  const out = new Out();
  out.text("abc");
  out.reset();
  out.text("d");
  expect(textOf(out)).toBe("d");
});

test("it grows by any of the three and keeps what it holds", () => {
  for (const grow of [
    (out: Out) => out.text("z".repeat(100_000)),
    (out: Out) => out.copy(Buffer.alloc(100_000, "z"), 0, 100_000),
    (out: Out) => {
      for (let count = 0; count < 100_000; count++) out.byte(122);
    },
  ]) {
    const out = new Out();
    out.text("abc");
    grow(out);
    out.text("def");
    expect(textOf(out) === `abc${"z".repeat(100_000)}def`).toBe(true);
  }
});

test("room that was reserved can be written by hand, and what stood before is kept", () => {
  const out = new Out();
  out.text("abc");
  out.reserve(200_000);
  expect(out.bytes.length).toBeGreaterThanOrEqual(200_003);
  out.bytes.fill("z", out.length, out.length + 200_000);
  out.length += 200_000;
  expect(textOf(out)).toBe(`abc${"z".repeat(200_000)}`);
});
