/**
 * What does it cost to find and to store? The figures of docs/decisions/0030-shared-cache.md.
 *
 * method   the real store in shared memory, one process; responses with a body of 600 bytes; each figure is the best of three,
 *          in ns a call, the making of the key included (`key` tells what of it that is)
 * run      node_modules/.bin/bun bench/micro/cache/store.ts
 */
import { openMemoryStore } from "../../../src/cache/memory/memory-store.ts";
import { factsOf, NOW, responseOf } from "../../../src/cache/store.cases.ts";
import { CacheZone } from "../../../src/zone/cache-zone.ts";

const MIB = 1024 * 1024;
const OBJECTS = 40_000;
const HOT = 1000;
const ROUNDS = 1_000_000;

const zone = CacheZone.create({ memoryBytes: 128 * MIB, diskBytes: 0, workers: 2 });
process.on("exit", () => zone.remove());
const store = openMemoryStore(zone, { row: 0 });
const { board } = store;
const body = Buffer.alloc(600);
const keyOf = (number: number) => `site\nhttps://a.example/some/path/to/page-${number}.html`;
const slots = board.slotsOf({ url: "u", host: "h", tags: ["a", "b"], origin: "o", groups: [] });
const facts = factsOf({ purgeSlots: slots });

function measure(name: string, count: number, run: (turn: number) => unknown): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const began = performance.now();
    for (let turn = 0; turn < count; turn++) run(turn);
    best = Math.min(best, ((performance.now() - began) / count) * 1e6);
  }
  console.log(`${name.padEnd(24)} ${best.toFixed(0).padStart(6)} ns`);
}

let sum = 0;
measure("key", ROUNDS, (turn) => {
  sum += keyOf(turn % HOT).charCodeAt(30);
});
measure("put", OBJECTS, (turn) => store.put(responseOf(keyOf(turn), body, { facts })));
measure("find, near", ROUNDS, (turn) => store.find(keyOf(turn % HOT), NOW));
board.purge({ kind: "tag", tag: "other" }, false);
measure("find, after a purge", ROUNDS, (turn) => store.find(keyOf(turn % HOT), NOW));
const far = openMemoryStore(zone, { row: 1, nearBytes: 0 });
measure("find, far", OBJECTS, (turn) => far.find(keyOf(turn), NOW));
measure("find, not there", OBJECTS, (turn) => store.find(keyOf(-turn - 1), NOW));
const response = store.find(keyOf(1), NOW);
if (response !== undefined && !("isCold" in response)) {
  measure("state, purged elsewhere", ROUNDS, () => board.stateOf(response.facts, "a.example/"));
}
measure("purge of a tag", 100_000, () => board.purge({ kind: "tag", tag: "other" }, false));
if (sum === 0) console.log(sum);
