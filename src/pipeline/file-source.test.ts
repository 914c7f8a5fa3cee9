import { expect, test } from "bun:test";
import type { BodyReader, CacheStore } from "../cache/store.ts";
import { openBody } from "./file-source.ts";

const FILE = { id: 1, length: 10 };

/** A store that has this to say of a body, and what it was told to forget. */
function storeOf(answer: Promise<BodyReader | undefined>) {
  const removed: string[] = [];
  const store = { open: () => answer, remove: (key: string) => removed.push(key) };
  return { store: store as unknown as CacheStore, removed };
}

test("a body that is gone is forgotten; one that cannot be had just now, as without a descriptor, is not", async () => {
  const gone = storeOf(Promise.resolve(undefined));
  expect([await openBody(gone.store, "key", FILE), gone.removed]).toEqual([undefined, ["key"]]);
  const busy = storeOf(Promise.reject(new Error("no descriptor is free")));
  expect([await openBody(busy.store, "key", FILE), busy.removed]).toEqual([undefined, []]);
  const reader = { length: 10 } as BodyReader;
  const there = storeOf(Promise.resolve(reader));
  expect([await openBody(there.store, "key", FILE), there.removed]).toEqual([reader, []]);
});
