/**
 * Cache zone worker: stores, finds and removes in a zone as fast as it can, and leaves with code 3 at the first wrong byte.
 *
 * in  path of the zone, row, number of keys
 */
import { openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import { factsOf, keyOf, NOW, responseOf } from "../../src/cache/store.cases.ts";
import { CacheZone } from "../../src/zone/cache-zone.ts";

const [path = "", row = "0", keys = "1"] = process.argv.slice(2);
const store = openMemoryStore(CacheZone.open(path), { row: Number(row), nearBytes: 64 * 1024 });
const FACTS = factsOf({ lifetimeMs: 1e12 });

/** Says its key and version, and then repeats a byte that follows from both to the end, which follows from them too. */
function bodyOf(key: string, version: number): Buffer {
  const text = `${key}#${version}#`;
  const body = Buffer.alloc(200 + ((version * 7919) % 20_000), (version * 31) % 251);
  body.latin1Write(text, 0, text.length);
  return body;
}

function isRight(key: string, body: Buffer): boolean {
  const [, version = "-1"] = body.latin1Slice(0, 200).split("#");
  return body.equals(bodyOf(key, Number(version)));
}

let turn = Number(row) * 1_000_003;

function step(): void {
  turn++;
  const key = keyOf(`/${(Math.imul(turn, 0x9e3779b1) >>> 0) % Number(keys)}`);
  const seen = store.find(key, NOW);
  if (seen !== undefined && !("isCold" in seen) && !isRight(key, seen.body ?? Buffer.alloc(0))) {
    console.error(`wrong bytes for ${key}: ${seen.body?.latin1Slice(0, 100)}`);
    process.exit(3);
  }
  if (turn % 97 === 0) store.remove(key);
  else if (turn % 3 === 0 || seen === undefined) {
    store.put(responseOf(key, bodyOf(key, turn & 0xffff), { facts: FACTS }));
  }
}

for (;;) {
  for (let count = 0; count < 500; count++) step();
  await Bun.sleep(0);
}
