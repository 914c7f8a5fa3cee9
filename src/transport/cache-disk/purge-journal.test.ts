import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BufferArena } from "../../cache/memory/arena.ts";
import { privateMemory } from "../../cache/memory/layout.ts";
import { SharedPurgeBoard } from "../../cache/purge-board.ts";
import { PurgeJournal } from "./purge-journal.ts";

const SIZES = { memoryBytes: 8 * 1024 * 1024, diskBytes: 0, workers: 1 };
const folder = mkdtempSync("/dev/shm/weir-test-purges-");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("what a write that failed has left of a purge hides no purge that was answered afterwards", async () => {
  const journal = new PurgeJournal(folder, () => true);
  journal.begin(new SharedPurgeBoard(privateMemory(SIZES, [1, 2], (bytes) => new BufferArena(bytes))));
  for (const tag of ["one", "two", "three"]) {
    expect(await journal.purge({ kind: "tag", tag }, false)).toBeUndefined();
    appendFileSync(join(folder, "purges.list"), '0badc0de {"scope":{"kind":"tag","tag":"hal');
  }
  const names = journal.read()?.purges.map(({ scope }) => (scope.kind === "tag" ? scope.tag : scope.kind));
  expect(names).toEqual(["one", "two", "three"]);
});
