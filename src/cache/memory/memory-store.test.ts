import { describe, expect, spyOn, test } from "bun:test";
import type { ColdEntry, ColdIndex, ColdPlace, ColdRecords } from "../body-files.ts";
import {
  factsOf,
  found,
  keyOf,
  MemoryBodyFiles,
  NOW,
  responseOf,
  storeCases,
  textOf,
} from "../store.cases.ts";
import type { BodyRef } from "../stored.ts";
import { BufferArena } from "./arena.ts";
import { type CacheSizes, privateMemory, ROW_PENDING_KIB } from "./layout.ts";
import { type MemoryStore, openMemoryStore } from "./memory-store.ts";
import { keptFrom, statsOf, sweep } from "./sweep.ts";

const MIB = 1024 * 1024;
const SIZES: CacheSizes = { memoryBytes: 16 * MIB, diskBytes: 0, workers: 2 };

function memoryOf(sizes: Partial<CacheSizes> = {}) {
  return privateMemory({ ...SIZES, ...sizes }, [1, 2], (bytes) => new BufferArena(bytes));
}

function openTwo(sizes: Partial<CacheSizes> = {}) {
  const memory = memoryOf(sizes);
  const files = new MemoryBodyFiles();
  const open = (row: number) => openMemoryStore(memory, { row, files });
  return { memory, files, store: open(0), other: open(1), open };
}

/** A disk log that is an array. */
class ListedRecords implements ColdRecords {
  readonly records: { bytes: Buffer; what: Omit<ColdEntry, "place"> }[] = [];
  readonly removed: ColdPlace[] = [];
  isDropped = false;
  index: ColdIndex | undefined;

  attach(index: ColdIndex): void {
    this.index = index;
  }

  append(record: Buffer, what: Omit<ColdEntry, "place">): ColdPlace {
    this.records.push({ bytes: Buffer.from(record), what });
    return { segment: 1, offset: this.records.length, length: record.length };
  }

  read({ offset }: ColdPlace): Promise<Buffer | undefined> {
    return Promise.resolve(this.records[offset - 1]?.bytes);
  }

  remove(_: unknown, place: ColdPlace): void {
    this.removed.push(place);
  }

  isLive(): boolean {
    return !this.isDropped;
  }
}

storeCases("memory store", () => openTwo());

/** Fills the store with `count` others of some KiB. */
function fill(store: MemoryStore, count: number, name = "fill"): void {
  for (let number = 0; number < count; number++) {
    store.put(responseOf(keyOf(`/${name}/${number}`), Buffer.alloc(8000)));
  }
}

describe("budget", () => {
  test("records and files in memory stay within it, whatever is stored, and each gets at least a part", async () => {
    const { store } = openTwo();
    for (let number = 0; number < 200; number++) {
      fill(store, 20, `${number}`);
      const writer = store.write(900_000);
      if (writer === undefined) continue;
      writer.write(Buffer.alloc(900_000));
      const file = await writer.finish();
      store.put(responseOf(keyOf(`/big/${number}`), "", { body: undefined, file }));
      const { budgetBytes, segmentBytes, fileBytes } = statsOf(store.parts);
      expect(segmentBytes + fileBytes).toBeLessThanOrEqual(budgetBytes + store.parts.segments.segmentBytes);
    }
    const { budgetBytes, recordBytes, fileBytes } = statsOf(store.parts);
    expect(budgetBytes).toBeLessThanOrEqual(SIZES.memoryBytes);
    expect(recordBytes).toBeGreaterThan(budgetBytes * 0.3);
    expect(fileBytes).toBeGreaterThan(budgetBytes * 0.3);
  });

  test("files alone or records alone may take nearly all of it", async () => {
    const records = openTwo().store;
    fill(records, 4000);
    expect(statsOf(records.parts).recordBytes).toBeGreaterThan(SIZES.memoryBytes * 0.8);
    const files = openTwo().store;
    for (let number = 0; number < 40; number++) {
      const writer = files.write(MIB);
      writer?.write(Buffer.alloc(MIB));
      const file = await writer?.finish();
      files.put(responseOf(keyOf(`/${number}`), "", { body: undefined, file }));
    }
    expect(statsOf(files.parts).fileBytes).toBeGreaterThan(SIZES.memoryBytes * 0.7);
  });

  test("of files, what was used stays longer than what was not", async () => {
    const { store } = openTwo();
    const refs: BodyRef[] = [];
    for (let number = 0; number < 60; number++) {
      const writer = store.write(MIB);
      writer?.write(Buffer.alloc(MIB));
      const file = (await writer?.finish()) as BodyRef;
      refs.push(file);
      store.put(responseOf(keyOf(`/${number}`), "", { body: undefined, file }));
      for (let use = 0; use < 3; use++) store.find(keyOf("/0"), NOW);
    }
    expect(await store.open(refs[0] as BodyRef)).toBeDefined();
    expect(await store.open(refs[1] as BodyRef)).toBeUndefined();
  });

  test("a body that is given up gives its room back", () => {
    const { store, memory } = openTwo();
    const writer = store.write(-1);
    for (let number = 0; number < 3; number++) writer?.write(Buffer.alloc(700_000));
    expect(memory.rows[ROW_PENDING_KIB]).toBeGreaterThan(2000);
    writer?.abort();
    expect(memory.rows[ROW_PENDING_KIB]).toBe(0);
  });
});

describe("eviction", () => {
  test("what is used stays while ten times the memory goes through", () => {
    const { store } = openTwo();
    store.put(responseOf(keyOf("/hot"), "hot"));
    for (let round = 0; round < 200; round++) {
      fill(store, 100, `${round}`);
      for (let use = 0; use < 3; use++) store.find(keyOf("/hot"), NOW);
    }
    expect(statsOf(store.parts).evicted).toBeGreaterThan(10_000);
    expect(store.find(keyOf("/hot"), NOW)).toBeDefined();
    expect(store.find(keyOf("/fill/0"), NOW)).toBeUndefined();
  });

  test("what two workers store while both go round is found whole by both", () => {
    const { store, other } = openTwo({ memoryBytes: 4 * MIB });
    const bodyOf = (number: number) => Buffer.alloc(100 + ((number * 131) % 9000), `${number}|`);
    let hits = 0;
    for (let number = 0; number < 20_000; number++) {
      const [writer, reader] = number % 2 === 0 ? [store, other] : [other, store];
      writer.put(responseOf(keyOf(`/${number % 500}`), bodyOf(number % 500)));
      const wanted = (number * 17) % 500;
      const seen = reader.find(keyOf(`/${wanted}`), NOW);
      if (seen === undefined || "isCold" in seen) continue;
      hits++;
      if (!seen.body?.equals(bodyOf(wanted))) throw new Error(`wrong bytes for ${wanted}`);
    }
    expect(hits).toBeGreaterThan(5000);
  });

  test("memory that the machine does not give is done without", async () => {
    class FullArena extends BufferArena {
      override reserve(): boolean {
        return false;
      }
    }
    const memory = privateMemory(SIZES, [1, 2], (bytes) => new FullArena(bytes));
    const store = openMemoryStore(memory, { row: 0 });
    expect(store.put(responseOf(keyOf("/x"), "x"))).toBe(false);
    expect(await found(store, keyOf("/x"))).toBeUndefined();
  });
});

describe("a worker that died", () => {
  test("leaves locks that stop nobody for long, and none once it is forgotten", async () => {
    const { store, other, memory, open } = openTwo();
    const key = keyOf("/x");
    store.put(responseOf(key, "x", { facts: factsOf({ purgeSlots: store.board.slotsOf(slotsOfX) }) }));
    for (let bucket = 0; bucket < memory.locks.length; bucket++) memory.locks[bucket] = 2;
    expect(store.put(responseOf(key, "y"))).toBe(false);
    expect(textOf(await found(store, key))).toBe("x");
    open(1);
    expect(store.put(responseOf(key, "y"))).toBe(true);
    expect(textOf(await found(other, key))).toBe("y");
  });

  test("does not keep a response from being removed: its URL is purged instead", async () => {
    const { store, other, memory } = openTwo();
    const key = keyOf("/x");
    store.put(responseOf(key, "x", { facts: factsOf({ purgeSlots: store.board.slotsOf(slotsOfX) }) }));
    await found(other, key);
    memory.locks.fill(2);
    store.remove(key);
    expect([await found(store, key), await found(other, key)]).toEqual([undefined, undefined]);
  });

  test("gives back the segments it had open, and what stands in them is found", async () => {
    const { store, other, open } = openTwo();
    other.put(responseOf(keyOf("/x"), "x"));
    open(1);
    expect(textOf(await found(store, keyOf("/x")))).toBe("x");
    fill(store, 5000);
    expect(store.parts.segments.census().oldestSmall).not.toBe(-1);
  });

  test("and was taking or giving memory just then leaves no segment that is used without memory", () => {
    for (const step of ["before it took it", "after it gave it"]) {
      const backed = new Set<number>();
      class SparseArena extends BufferArena {
        isLast = false;
        override reserve(segment = -1): boolean {
          if (this.isLast) throw new Error("killed");
          backed.add(segment);
          return true;
        }
        override discard(segment = -1): void {
          backed.delete(segment);
          if (this.isLast) throw new Error("killed");
        }
        override copyIn(position: number, from: Buffer, length: number): void {
          if (!backed.has(Math.floor(position / segmentBytes))) throw new Error("no memory");
          super.copyIn(position, from, length);
        }
      }
      const memory = privateMemory(
        { ...SIZES, memoryBytes: 4 * MIB },
        [1, 2],
        (bytes) => new SparseArena(bytes),
      );
      const { segmentBytes } = memory.layout;
      const arena = memory.arena as SparseArena;
      const killed = openMemoryStore(memory, { row: 1 });
      fill(killed, step === "before it took it" ? 1 : 200);
      arena.isLast = true;
      if (step === "before it took it") expect(() => fill(killed, 200)).toThrow("killed");
      else expect(() => killed.parts.log.shrink()).toThrow("killed");
      arena.isLast = false;
      const store = openMemoryStore(memory, { row: 0 });
      openMemoryStore(memory, { row: 1 });
      fill(store, 3000);
    }
  });

  test("one that was taken for dead and is not writes to no segment that is another's by now", () => {
    const { store, open } = openTwo({ memoryBytes: 4 * MIB });
    store.put(responseOf(keyOf("/before"), "before"));
    const successor = open(0);
    for (let number = 0; number < 2000; number++) {
      successor.put(responseOf(keyOf(`/${number}`), Buffer.alloc(5000, `${number}~`)));
      store.put(responseOf(keyOf(`/old/${number}`), Buffer.alloc(5000, "old")));
      const seen = successor.find(keyOf(`/${number}`), NOW);
      if (seen === undefined || "isCold" in seen) continue;
      if (!seen.body?.equals(Buffer.alloc(5000, `${number}~`))) throw new Error(`wrong bytes for ${number}`);
    }
  });
});

const slotsOfX = { url: "a.example/x", host: "a.example", tags: [], origin: "https://a.example", groups: [] };

describe("with a disk log", () => {
  function openCold() {
    const memory = memoryOf({ memoryBytes: 4 * MIB, diskBytes: 100 * MIB });
    const cold = new ListedRecords();
    return { memory, cold, store: openMemoryStore(memory, { row: 0, cold }) };
  }

  test("what memory has no room for is cold, is read, checked, and at hand again", async () => {
    const { store } = openCold();
    store.put(responseOf(keyOf("/x"), "x"));
    fill(store, 1000);
    const seen = store.find(keyOf("/x"), NOW);
    expect(seen).toEqual({ isCold: true, key: keyOf("/x") });
    expect(store.peek(keyOf("/x"))).toEqual({ isCold: true, key: keyOf("/x") });
    expect(textOf(await found(store, keyOf("/x")))).toBe("x");
    expect("isCold" in (store.find(keyOf("/x"), NOW) ?? { isCold: true })).toBe(false);
  });

  test("what cannot be read, or is another's, is forgotten", async () => {
    for (const damage of [(bytes: Buffer) => bytes.fill(0), (bytes: Buffer) => bytes.writeUInt8(90, 160)]) {
      const { store, cold } = openCold();
      store.put(responseOf(keyOf("/x"), "x"));
      fill(store, 1000);
      damage(cold.records[0]?.bytes as Buffer);
      expect(await found(store, keyOf("/x"))).toBeUndefined();
    }
  });

  test("what cannot be read just now is not forgotten", async () => {
    const { store, cold } = openCold();
    store.put(responseOf(keyOf("/x"), "x"));
    fill(store, 1000);
    const read = spyOn(cold, "read").mockRejectedValue(new Error("no descriptor is free"));
    expect(await found(store, keyOf("/x"))).toBeUndefined();
    read.mockRestore();
    expect(textOf(await found(store, keyOf("/x")))).toBe("x");
  });

  test("a response removed while it is read is not brought back", async () => {
    const { store, cold } = openCold();
    store.put(responseOf(keyOf("/x"), "x"));
    fill(store, 1000);
    const reading = found(store, keyOf("/x"));
    store.remove(keyOf("/x"));
    await reading;
    expect(store.find(keyOf("/x"), NOW)).toBeUndefined();
    expect(cold.removed).toEqual([{ segment: 1, offset: 1, length: expect.any(Number) }]);
  });

  test("what a larger memory has left on the disk is read, and written over nothing in a small one", async () => {
    const sizes = { memoryBytes: 8 * MIB, diskBytes: 100 * MIB, workers: 32 };
    const cold = new ListedRecords();
    const large = openMemoryStore(memoryOf({ ...sizes, memoryBytes: 256 * MIB }), { row: 0, cold });
    large.put(responseOf(keyOf("/large"), Buffer.alloc(100_000, "L")));
    const small = openMemoryStore(memoryOf(sizes), { row: 0, cold });
    expect(small.parts.memory.layout.segmentBytes).toBeLessThan(100_000);
    for (const entry of large.coldIndex().entries(0, 1e9).entries) small.coldIndex().adopt(entry);
    fill(small, 2000);
    const { bytes } = small.parts.memory.arena as BufferArena;
    const before = Buffer.from(bytes);
    expect((await found(small, keyOf("/large")))?.bodyLength).toBe(100_000);
    expect(bytes.equals(before)).toBe(true);
  });

  test("what lay in a segment that was dropped is not found", () => {
    const { store, cold } = openCold();
    store.put(responseOf(keyOf("/x"), "x"));
    fill(store, 1000);
    cold.isDropped = true;
    expect(store.find(keyOf("/x"), NOW)).toBeUndefined();
  });

  test("the log learns what its records are worth, and tells where they went", async () => {
    const { store, cold } = openCold();
    store.put(responseOf(keyOf("/x"), "x"));
    store.find(keyOf("/x"), NOW);
    const hash = cold.records[0]?.what.hash ?? { high: 0, low: 0 };
    const [from, to] = [
      { segment: 1, offset: 1, length: 0 },
      { segment: 9, offset: 2 ** 31 + 5, length: 0 },
    ];
    expect([cold.index?.usesAt(hash, from), cold.index?.usesAt(hash, to)]).toEqual([1, -1]);
    expect([cold.index?.moved(hash, from, to), cold.index?.moved(hash, from, to)]).toEqual([true, false]);
    expect(cold.index?.usesAt(hash, to)).toBe(0);
    cold.index?.dropped(hash, to);
    expect(cold.index?.usesAt(hash, to)).toBe(-1);
    expect(textOf(await found(store, keyOf("/x")))).toBe("x");
  });

  test("what the log tells at the start is cold, in a new memory too", async () => {
    const { store, cold } = openCold();
    for (let number = 0; number < 100; number++) store.put(responseOf(keyOf(`/${number}`), `${number}`));
    const entries: ColdEntry[] = [];
    const walk = (from: number): unknown => {
      const page = cold.index?.entries(from, 7);
      entries.push(...(page?.entries ?? []));
      return page !== undefined && page.next < store.parts.index.buckets ? walk(page.next) : undefined;
    };
    walk(0);
    expect(entries).toHaveLength(100);
    const memory = memoryOf({ memoryBytes: 4 * MIB, diskBytes: 100 * MIB });
    const next = openMemoryStore(memory, { row: 0, cold });
    for (const entry of entries) expect(next.coldIndex().adopt(entry)).toBe(true);
    for (let number = 0; number < 100; number++) {
      expect(textOf(await found(next, keyOf(`/${number}`)))).toBe(`${number}`);
    }
  });
});

describe("reports", () => {
  test("figures and samples tell what there is", () => {
    const { store } = openTwo();
    fill(store, 50);
    store.find(keyOf("/fill/7"), NOW);
    const kept = keptFrom(store.parts, 0, Number.MAX_SAFE_INTEGER);
    expect(kept).toHaveLength(50);
    expect(kept.filter(({ uses }) => uses === 1).map(({ response }) => response?.key)).toEqual([
      keyOf("/fill/7"),
    ]);
    expect(statsOf(store.parts)).toMatchObject({ objects: 50, stored: 50, evicted: 0, fileBytes: 0 });
  });

  test("a sweep forgets what is past keeping, and the files of what was purged", async () => {
    const { store, files } = openTwo();
    fill(store, 50);
    const writer = store.write(1000);
    writer?.write(Buffer.alloc(1000));
    const file = await writer?.finish();
    const facts = factsOf({ lifetimeMs: 1e9 });
    store.put(responseOf(keyOf("/big"), "", { body: undefined, file, facts }));
    expect(sweep(store.parts, 0, Number.MAX_SAFE_INTEGER, NOW)).toBe(0);
    expect(statsOf(store.parts).objects).toBe(51);
    for (let from = sweep(store.parts, 0, 1000, NOW + 1e6); from !== 0; ) {
      from = sweep(store.parts, from, 1000, NOW + 1e6);
    }
    expect([statsOf(store.parts).objects, files.kept.size]).toEqual([1, 1]);
    store.board.purge({ kind: "all" }, false);
    sweep(store.parts, 0, Number.MAX_SAFE_INTEGER, NOW);
    expect([files.kept.size, statsOf(store.parts).fileBytes]).toEqual([0, 0]);
  });
});
