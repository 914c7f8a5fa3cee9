import { expect, test } from "bun:test";
import { KeyHasher } from "./key-hash.ts";

function hashOf(key: string, first = 1, second = 2): string {
  const hasher = new KeyHasher(first, second);
  hasher.hash(key);
  return `${hasher.high},${hasher.low}`;
}

test("the same key and secret give the same hash, whatever was hashed before", () => {
  const hasher = new KeyHasher(1, 2);
  hasher.hash("other");
  hasher.hash("https://a.example/");
  expect(`${hasher.high},${hasher.low}`).toBe(hashOf("https://a.example/"));
});

test("any change of key or secret gives another hash, in both words", () => {
  const key = "site\nhttps://a.example/path?query";
  const words = (text: string) => text.split(",");
  const [high, low] = words(hashOf(key));
  const others = [
    ...Array.from(key, (_, at) => hashOf(`${key.slice(0, at)}\x01${key.slice(at + 1)}`)),
    ...Array.from(key, (_, at) => hashOf(key.slice(0, at))),
    hashOf(`${key}\0`),
    hashOf(`${key}\0\0\0\0`),
    hashOf(key, 3, 2),
    hashOf(key, 1, 3),
  ];
  for (const other of others) {
    expect(words(other)[0]).not.toBe(high);
    expect(words(other)[1]).not.toBe(low);
  }
});

test("similar keys are spread evenly over buckets, by each of the words", () => {
  const hasher = new KeyHasher(0x12345678, -7);
  const [buckets, keys] = [1000, 200_000];
  const counts = { high: new Uint32Array(buckets), low: new Uint32Array(buckets) };
  for (let number = 0; number < keys; number++) {
    hasher.hash(`https://a.example/${number}`);
    for (const word of ["high", "low"] as const) {
      const bucket = (hasher[word] >>> 0) % buckets;
      counts[word][bucket] = (counts[word][bucket] as number) + 1;
    }
  }
  // 200 in each on average; six times the deviation of chance
  for (const { high, low } of Array.from(counts.high, (high, at) => ({
    high,
    low: counts.low[at] as number,
  }))) {
    expect(Math.abs(high - 200)).toBeLessThan(85);
    expect(Math.abs(low - 200)).toBeLessThan(85);
  }
});
