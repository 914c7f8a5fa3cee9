import { expect, test } from "bun:test";
import { idInLines, RequestIds } from "./request-id.ts";

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

test("lines carry one id as request id and as trace id, with a span of their own", () => {
  const ids = new RequestIds((bytes) => crypto.getRandomValues(bytes));
  const seen = new Set<string>();
  for (let turn = 0; turn < 200; turn++) {
    const lines = ids.nextLines();
    const parts =
      /^X-Request-Id: ([0-9a-f]{32})\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01\r\n$/.exec(lines);
    expect(parts?.[1]).toBe(idInLines(lines));
    expect(parts?.[2]).toBe(idInLines(lines));
    seen.add(idInLines(lines)).add(parts?.[3] ?? "");
  }
  expect(seen.size).toBe(400);
});

test("an id keeps its value when the pool behind it is filled anew", () => {
  const ids = new RequestIds((bytes) => bytes.fill(calls++));
  let calls = 1;
  const first = ids.nextId();
  for (let turn = 0; turn < 300; turn++) ids.nextId();
  expect(first).toBe("01".repeat(16));
});
