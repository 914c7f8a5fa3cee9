import { expect, test } from "bun:test";
import { NOWHERE } from "./cache-index.ts";
import { type CacheSizes, HEADER_WORDS, layoutOf, offsetsOf, sizesIn, writeHeader } from "./layout.ts";
import { offsetOf, placeOf, segmentOf } from "./segments.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

test("who opens a zone finds the layout that its maker had, whatever odd sizes were asked for", () => {
  for (let memoryBytes = 8 * MIB; memoryBytes < 40 * MIB; memoryBytes += 100_003) {
    const sizes: CacheSizes = { memoryBytes, diskBytes: memoryBytes * 3 + 1, workers: 2 };
    const header = new Int32Array(HEADER_WORDS);
    writeHeader(header, sizes, [1, 2]);
    expect(layoutOf(sizesIn(header) as CacheSizes)).toEqual(layoutOf(sizes));
  }
});

test("every place in the largest memory has a name of its own, and none is that of no place", () => {
  const { segments, segmentBytes } = layoutOf({ memoryBytes: 1024 * GIB, diskBytes: 0, workers: 64 });
  const last = placeOf(segments - 1, segmentBytes - 64);
  expect([segmentOf(last), offsetOf(last)]).toEqual([segments - 1, segmentBytes - 64]);
  expect(last).not.toBe(NOWHERE);
});

// a change of what is expected here needs another LAYOUT_VERSION: an upgrade adopts the zone of the version before
test("the layout is that of its version", () => {
  const sizes = { memoryBytes: 64 * MIB, diskBytes: GIB, workers: 2 };
  expect(offsetsOf(layoutOf(sizes), 4096)).toMatchInlineSnapshot(`
    {
      "arena": 12648448,
      "board": 20480,
      "entries": 3469312,
      "fileQueue": 12382208,
      "ghosts": 11857920,
      "header": 0,
      "locks": 2912256,
      "rows": 4096,
      "segments": 12644352,
      "tags": 2945024,
      "total": 69271552,
    }
  `);
});
