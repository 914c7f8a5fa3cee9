import { expect, test } from "bun:test";
import { MemoryKeeper, ownBytes, ownBytesOf } from "./memory.ts";

const MIB = 1024 * 1024;

/** Looks at these figures in turn, in MiB. out  the looks (from 0) at which it collected */
function collectionsOf(figures: readonly (number | undefined)[], leftMib = 50): number[] {
  const collections: number[] = [];
  let current: number | undefined;
  const keeper = new MemoryKeeper({
    read: () => (current === undefined ? undefined : current * MIB),
    collect: () => {
      current = leftMib;
    },
  });
  for (const [look, figure] of figures.entries()) {
    current = figure;
    keeper.look();
    if (current !== figure) collections.push(look);
  }
  return collections;
}

const ROWS: readonly [what: string, figures: readonly (number | undefined)[], collections: number[]][] = [
  ["memory that stays small is left alone", Array(30).fill(50), []],
  ["memory that grew a little is left alone", [50, 75, 75, 75, 75, 75], []],
  ["memory that grew and stands still is collected, once it stands still", [50, 150, 250, 250, 250], [4]],
  ["memory that still grows is not collected", [50, 100, 150, 200, 250, 300, 350], []],
  ["memory that cannot be read is no reason", [50, undefined, undefined, 60, undefined], []],
  ["a second collection waits", [50, 250, 250, 250, ...Array(14).fill(250)], [3, 14]],
];

for (const [what, figures, collections] of ROWS) {
  test(what, () => {
    expect(collectionsOf(figures)).toEqual(collections);
  });
}

test("memory that a collection does not give back is in use, and no reason for another", () => {
  expect(collectionsOf([50, 250, 250, 250, ...Array(40).fill(250)], 245)).toEqual([3]);
});

test("pages that are shared with other processes are not counted: those of the cache are no garbage", () => {
  const status = "Name:\tbun\nVmHWM:\t  900 kB\nVmRSS:\t  500 kB\nRssAnon:\t  200 kB\nRssShmem:\t  100 kB\n";
  expect(ownBytesOf(status)).toBe(400 * 1024);
  expect(ownBytesOf("Name:\tbun\n")).toBeUndefined();
});

test("what the kernel tells of this process is somewhere between a megabyte and all there is", () => {
  const bytes = ownBytes() as number;
  expect(bytes).toBeGreaterThan(MIB);
  expect(bytes).toBeLessThanOrEqual(process.memoryUsage.rss() * 1.5);
});
