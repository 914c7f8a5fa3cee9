import { expect, test } from "bun:test";
import { keyOf, MemoryBodyFiles, NOW, responseOf } from "../store.cases.ts";
import { BufferArena } from "./arena.ts";
import { HEADER_FILES_KIB, HEADER_OBJECTS, privateMemory } from "./layout.ts";
import { type MemoryStore, openMemoryStore } from "./memory-store.ts";
import { statsOf } from "./sweep.ts";

const MIB = 1024 * 1024;
const KIB = 1024;

function open() {
  const memory = privateMemory({ memoryBytes: 16 * MIB, diskBytes: 0, workers: 1 }, [1, 2], (bytes) => {
    return new BufferArena(bytes);
  });
  const files = new MemoryBodyFiles();
  return { memory, files, store: openMemoryStore(memory, { row: 0, files }) };
}

async function putFile(store: MemoryStore, path: string, bytes: number): Promise<void> {
  const writer = store.write(bytes);
  writer?.write(Buffer.alloc(bytes));
  const file = await writer?.finish();
  store.put(responseOf(keyOf(path), "", { body: undefined, file }));
}

test("a file that is kept while others come and go for more than a round of the queue can still be let go", async () => {
  const { memory, files, store } = open();
  for (let number = 0; number < 8; number++) await putFile(store, `/kept/${number}`, 100 * KIB);
  for (let number = 0; number < memory.layout.fileQueue * 2.5; number++) await putFile(store, "/again", KIB);
  expect(files.kept.size).toBe(9);
  for (let number = 0; number < 9; number++) expect(store.parts.room.evict()).toBe(true);
  expect([files.kept.size, statsOf(store.parts).fileBytes, store.parts.room.evict()]).toEqual([0, 0, false]);
});

test("what a killed worker has left uncounted, or counted for nothing, is set right", async () => {
  const { memory, store } = open();
  for (let number = 0; number < 5; number++) await putFile(store, `/${number}`, 100 * KIB);
  const { header } = memory;
  for (const [kib, objects] of [
    [-400, 3],
    [4000, -2],
  ] as const) {
    Atomics.add(header, HEADER_FILES_KIB, kib);
    Atomics.add(header, HEADER_OBJECTS, objects);
    store.parts.room.recount();
    expect([header[HEADER_FILES_KIB], header[HEADER_OBJECTS]]).toEqual([500, 5]);
  }
  memory.fileQueue.fill(0);
  store.parts.room.recount();
  for (let number = 0; number < 5; number++) expect(store.parts.room.evict()).toBe(true);
  expect(store.find(keyOf("/0"), NOW)).toBeUndefined();
});
