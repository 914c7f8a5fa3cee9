import { expect, test } from "bun:test";
import { BufferArena } from "../cache/memory/arena.ts";
import { ENTRY_WORDS, privateMemory, type SharedMemory } from "../cache/memory/layout.ts";
import { openMemoryStore } from "../cache/memory/memory-store.ts";
import { filesFrom, forgetRow, keptFrom, statsOf, sweep } from "../cache/memory/sweep.ts";
import { keyOf, MemoryBodyFiles, NOW, responseOf } from "../cache/store.cases.ts";
import { CONTROL_ROW } from "../zone/zone.ts";
import { objectOf, topRowOf } from "./cache-rows.ts";

const SIZES = { memoryBytes: 8 * 1024 * 1024, diskBytes: 0, workers: 1 };
const ODD = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 64, 65_535, 1 << 16, 12_345_678];
const ALL = Number.MAX_SAFE_INTEGER;
/** Head of a record: numbers that tell where its parts are, and facts. */
const HEAD_WORDS = 36;

/** The same chance each time (a linear congruential generator). */
function chanceOf(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % most;
  };
}

function writeNonsense(memory: SharedMemory, seed: number): void {
  const chance = chanceOf(seed);
  const odd = () => (chance(2) === 0 ? (ODD[chance(ODD.length)] as number) : chance(2 ** 32) | 0);
  const { entries, segments, fileQueue, rows, tags } = memory;
  for (let at = 0; at < entries.length; at++) if (entries[at] !== 0 && chance(20) === 0) entries[at] = odd();
  for (let count = 0; count < 200; count++)
    entries[chance(entries.length / ENTRY_WORDS) * ENTRY_WORDS] = odd();
  if (seed % 5 === 0) {
    for (const words of [segments, fileQueue, rows, tags]) words[chance(words.length)] = odd();
  }
  const { bytes } = memory.arena as BufferArena;
  for (let record = 0; record < 60; record++) {
    for (let count = 0; count < 2; count++) bytes.writeInt32LE(odd(), record * 256 + chance(HEAD_WORDS) * 4);
  }
}

test("whatever a worker that was taken over writes to shared memory, control reads on", () => {
  const told = { route: "r", isSelected: true, state: "alive", ageMs: 1, tier: "memory" } as const;
  const verdict = { use: "fresh", rule: "fresh", ttlSec: 1 } as never;
  let looked = 0;
  for (let seed = 0; seed < 60; seed++) {
    const memory = privateMemory(SIZES, [1, 2], (bytes) => new BufferArena(bytes));
    const files = new MemoryBodyFiles();
    const worker = openMemoryStore(memory, { row: 0, files });
    const { parts } = openMemoryStore(memory, { row: CONTROL_ROW, files });
    for (let number = 0; number < 60; number++) worker.put(responseOf(keyOf(`/${number}`), `${number}`));
    writeNonsense(memory, seed);
    for (const kept of keptFrom(parts, 0, ALL)) {
      looked++;
      topRowOf(kept, NOW);
      if (kept.response !== undefined) objectOf(kept.response, { ...told, verdict });
    }
    filesFrom(parts, 0, ALL);
    expect(sweep(parts, 0, ALL, NOW)).toBe(0);
    parts.room.recount();
    forgetRow(parts);
    statsOf(parts);
  }
  expect(looked).toBeGreaterThan(1000);
});
