import { expect, test } from "bun:test";
import {
  decodeRecord,
  encodeRecord,
  keepUntilMs,
  recordBytesOf,
  recordHashHigh,
  recordHashLow,
} from "./record.ts";
import { factsOf, keyOf, NOW, responseOf } from "./store.cases.ts";

const RESPONSE = responseOf(keyOf("/ä?x"), "body", {
  facts: factsOf({ purgeSlots: Uint32Array.of(1, 2 ** 32 - 1), mark: 2 ** 31 - 1 }),
  reason: "Tout va bien é",
});

function encoded() {
  const bytes = Buffer.alloc(recordBytesOf(RESPONSE) + 10, 0xff);
  return { bytes, length: encodeRecord(bytes, RESPONSE, -5, 2 ** 31 - 1) };
}

test("a record is as long as was told, writes nothing past its end, and names its hash", () => {
  const { bytes, length } = encoded();
  expect(length).toBe(recordBytesOf(RESPONSE));
  expect(bytes.subarray(length).every((byte) => byte === 0xff)).toBe(true);
  expect([recordHashHigh(bytes), recordHashLow(bytes)]).toEqual([-5, 2 ** 31 - 1]);
});

test("a response comes back as it was, from a record that has something behind it too", () => {
  const { bytes, length } = encoded();
  const response = decodeRecord(bytes, length);
  expect([response?.key, response?.reason, response?.facts]).toEqual([
    RESPONSE.key,
    RESPONSE.reason,
    RESPONSE.facts,
  ]);
  expect(response?.fields.find("etag")).toBe('"1"');
  expect(response?.body?.toString()).toBe("body");
});

test("a record with a file has no body, but its reference", () => {
  const file = { id: 2 ** 53 - 1, length: 2 ** 41 };
  const response = { ...RESPONSE, body: undefined, file };
  const bytes = Buffer.alloc(recordBytesOf(response));
  const decoded = decodeRecord(bytes, encodeRecord(bytes, response, 1, 1));
  expect([decoded?.file, decoded?.body, decoded?.bodyLength]).toEqual([file, undefined, 2 ** 41]);
});

test("bytes that are no whole record are told, whatever is wrong with them", () => {
  const { bytes, length } = encoded();
  expect(decodeRecord(bytes, length - 1)).toBeUndefined();
  expect(decodeRecord(bytes, length + 1)).toBeUndefined();
  expect(decodeRecord(bytes.subarray(0, length - 1), length)).toBeUndefined();
  expect(decodeRecord(Buffer.alloc(500), 500)).toBeUndefined();
  expect(decodeRecord(Buffer.alloc(0), 0)).toBeUndefined();
  for (const lengthAt of [4, 16, 20, 24, 28, 32]) {
    for (const wrong of [0, 1, 1000, 2 ** 32 - 1]) {
      const damaged = Buffer.from(bytes);
      if (damaged.readUInt32LE(lengthAt) === wrong) continue;
      damaged.writeUInt32LE(wrong, lengthAt);
      expect(decodeRecord(damaged, length)).toBeUndefined();
    }
  }
});

test("it is worth keeping through its lifetime and the longest of what may come after", () => {
  const facts = factsOf({
    lifetimeMs: 1000,
    initialAgeMs: 100,
    keepMs: 5,
    staleIfErrorMs: 50,
    staleWhileRevalidateMs: 7,
  });
  expect(keepUntilMs(facts)).toBe(NOW + 1000 - 100 + 50);
});
