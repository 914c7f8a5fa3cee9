import { expect, test } from "bun:test";
import { didYouMean, editDistance, nearest } from "./suggest.ts";

const DISTANCES: readonly (readonly [from: string, to: string, edits: number])[] = [
  ["", "", 0],
  ["", "abc", 3],
  ["idle", "idle", 0],
  ["idel", "idle", 1],
  ["upstrem", "upstream", 1],
  ["kitten", "sitting", 3],
];

test.each(DISTANCES)("from %p to %p are %p edits, either way", (from, to, edits) => {
  expect(editDistance(from, to)).toBe(edits);
  expect(editDistance(to, from)).toBe(edits);
});

const WORDS = ["app", "http", "timeouts", "trustedProxies"];
const NEAREST: readonly (readonly [word: string, found: string | undefined])[] = [
  ["ap", "app"],
  ["htp", "http"],
  ["Timeout", "timeouts"],
  ["trusted_proxies", "trustedProxies"],
  ["zzz", undefined],
  ["x".repeat(1000), undefined],
];

test.each(NEAREST)("%p is taken for %p", (word, found) => {
  expect(nearest(word, WORDS)).toBe(found);
});

test("a word that resembles nothing gets the words there are, up to a bound", () => {
  expect(didYouMean("zzz", WORDS)).toBe("Known here: app, http, timeouts, trustedProxies.");
  const many = Array.from({ length: 100 }, (_, at) => `upstream-${at}`);
  expect(didYouMean("zzz", many).length).toBeLessThan(400);
});

test("an unlisted word may be meant, but is not offered", () => {
  expect(didYouMean("retrry", ["name"], ["retry"])).toBe("Did you mean `retry`?");
  expect(didYouMean("zzz", ["name"], ["retry"])).toBe("Known here: name.");
});
