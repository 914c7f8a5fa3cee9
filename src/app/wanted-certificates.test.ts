import { expect, test } from "bun:test";
import { WantedCertificates } from "./wanted-certificates.ts";

function make() {
  const asked: string[] = [];
  return { asked, wanted: new WantedCertificates((listener, name) => asked.push(`${listener} ${name}`)) };
}

test("a name is asked for once a minute, for each listener", () => {
  const { asked, wanted } = make();
  for (const nowMs of [0, 59_999, 60_000, 60_001]) wanted.ask("web", "a.test", nowMs);
  wanted.ask("other", "a.test", 60_002);
  expect(asked).toEqual(["web a.test", "web a.test", "other a.test"]);
});

test("a flood of names asks for a hundred a minute and keeps no more", () => {
  const { asked, wanted } = make();
  for (let at = 0; at < 5000; at++) wanted.ask("web", `n${at}.test`, at);
  expect(asked).toHaveLength(100);
  wanted.ask("web", "later.test", 65_000);
  expect(asked).toHaveLength(101);
});

for (const name of [
  "localhost",
  "127.0.0.1.",
  "a..test",
  "-a.test",
  "a_b.test",
  "a.test/../x",
  `${"a".repeat(64)}.test`,
  "*.a.test",
]) {
  test(`what is no host name of two labels is never asked for: ${name.slice(0, 20)}`, () => {
    const { asked, wanted } = make();
    wanted.ask("web", name, 0);
    expect(asked).toEqual([]);
  });
}
