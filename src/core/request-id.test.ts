import { expect, test } from "bun:test";
import { RequestIds } from "./request-id.ts";

test("ids are 32 and spans 16 lower-case hex digits, and none comes twice", () => {
  const ids = new RequestIds((bytes) => crypto.getRandomValues(bytes));
  const seen = new Set<string>();
  for (let turn = 0; turn < 5000; turn++) {
    const id = ids.nextId();
    const span = ids.nextSpan();
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(span).toMatch(/^[0-9a-f]{16}$/);
    seen.add(id).add(span);
  }
  expect(seen.size).toBe(10_000);
});

test("every digit comes from the source, in order, and the source is asked once a pool", () => {
  let calls = 0;
  let next = 0;
  const ids = new RequestIds((bytes) => {
    calls++;
    for (let at = 0; at < bytes.length; at++) bytes[at] = next++ & 255;
  });
  expect(ids.nextId()).toBe("000102030405060708090a0b0c0d0e0f");
  expect(ids.nextSpan()).toBe("1011121314151617");
  expect(ids.nextId()).toBe("18191a1b1c1d1e1f2021222324252627");
  for (let turn = 0; turn < 1000; turn++) ids.nextId();
  expect(calls).toBe(4);
});

test("an id keeps its value when the pool behind it is filled anew", () => {
  const ids = new RequestIds((bytes) => bytes.fill(calls++));
  let calls = 1;
  const first = ids.nextId();
  for (let turn = 0; turn < 300; turn++) ids.nextId();
  expect(first).toBe("01".repeat(16));
});
