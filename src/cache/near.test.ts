import { expect, test } from "bun:test";
import { Near, type NearResponse } from "./near.ts";
import { decodeRecord, encodeRecord, recordBytesOf } from "./record.ts";
import { responseOf } from "./store.cases.ts";
import type { StoredResponse } from "./stored.ts";

function nearOf(key: string, recordBytes: number): NearResponse {
  const response = responseOf(key, "x");
  const bytes = Buffer.alloc(recordBytesOf(response));
  const decoded = decodeRecord(bytes, encodeRecord(bytes, response, 1, 1)) as StoredResponse;
  return { response: decoded, entry: 0, published: 1, recordBytes, keepUntilMs: 0, seenMade: 0 };
}

test("what is used stays while others come and go, what is not goes", () => {
  const near = new Near(100_000);
  near.set(nearOf("hot", 1000));
  near.set(nearOf("cold", 1000));
  for (let number = 0; number < 1000; number++) {
    near.set(nearOf(`${number}`, 1000));
    expect(near.get("hot")).toBeDefined();
  }
  expect(near.get("cold")).toBeUndefined();
});

test("it keeps no more bytes than it may", () => {
  const near = new Near(100_000);
  for (let number = 0; number < 1000; number++) near.set(nearOf(`${number}`, 3000));
  let kept = 0;
  for (let number = 0; number < 1000; number++) if (near.get(`${number}`) !== undefined) kept++;
  expect(kept).toBeGreaterThan(10);
  expect(kept).toBeLessThanOrEqual(100_000 / 3000);
});

test("one that is put again counts once, one that is deleted not at all", () => {
  const near = new Near(100_000);
  near.set(nearOf("other", 1000));
  for (let count = 0; count < 1000; count++) near.set(nearOf("same", 1000));
  for (let count = 0; count < 1000; count++) {
    near.set(nearOf("gone", 1000));
    near.delete("gone");
  }
  expect([near.get("gone"), near.get("other") === undefined, near.get("same") === undefined]).toEqual([
    undefined,
    false,
    false,
  ]);
});

test("what is larger than half of it is not kept", () => {
  const near = new Near(100_000);
  near.set(nearOf("large", 60_000));
  expect(near.get("large")).toBeUndefined();
});
