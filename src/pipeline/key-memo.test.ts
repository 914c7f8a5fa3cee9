import { expect, test } from "bun:test";
import { keepKey, knownKey } from "./key-memo.ts";
import type { CacheRules } from "./plan.ts";

const RULES = { route: "a" } as CacheRules;
const OTHERS = { route: "b" } as CacheRules;
const ENTRY = {
  rules: RULES,
  scheme: "https",
  authority: "a.test",
  target: "/x?y=1",
  key: "a\nhttps://a.test/x?y=1",
};

test("a key is known for the same rules, scheme, authority and target, and for no other", () => {
  expect(keepKey(ENTRY)).toBe(ENTRY.key);
  expect(knownKey(RULES, "https", "a.test", "/x?y=1")).toBe(ENTRY.key);
  expect(knownKey(OTHERS, "https", "a.test", "/x?y=1")).toBeUndefined();
  expect(knownKey(RULES, "http", "a.test", "/x?y=1")).toBeUndefined();
  expect(knownKey(RULES, "https", "b.test", "/x?y=1")).toBeUndefined();
  expect(knownKey(RULES, "https", "a.test", "/x?y=2")).toBeUndefined();
});

test("targets that share a place push each other out, and never answer for each other", () => {
  for (let number = 0; number < 20_000; number++) {
    const target = `/item/${number}`;
    keepKey({ ...ENTRY, target, key: target });
  }
  for (let number = 0; number < 20_000; number++) {
    const target = `/item/${number}`;
    const known = knownKey(RULES, "https", "a.test", target);
    expect(known === undefined || known === target).toBe(true);
  }
});

test("a long target is not kept", () => {
  const target = `/${"x".repeat(300)}`;
  expect(keepKey({ ...ENTRY, target, key: "k" })).toBe("k");
  expect(knownKey(RULES, "https", "a.test", target)).toBeUndefined();
});

test("an empty target has a place as well", () => {
  expect(knownKey(RULES, "https", "a.test", "")).toBeUndefined();
});
