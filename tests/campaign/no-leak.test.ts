/**
 * No leak, in short: the full campaign is `npm run campaign`.
 */
import { expect, test } from "bun:test";
import { runNoLeak } from "./no-leak.ts";

const MIB = 1024 * 1024;

test.skipIf(process.platform !== "linux")(
  "after thousands of exchanges, aborts and resets a worker keeps no memory, no descriptor, no count",
  async () => {
    const report = await runNoLeak({ warm: 20_000, exchanges: 40_000, say: () => undefined });
    expect(report.gauges).toEqual([]);
    expect(report.surplusFiles).toBeLessThanOrEqual(2);
    // the heap is still finding its size: the full campaign holds it to 10 %
    expect(report.afterBytes).toBeLessThan(report.warmBytes * 1.1 + 24 * MIB);
    expect(report.slowReaderBytes).toBeLessThan(4 * MIB);
    expect(report.slowReaderGot).toBe(100 * MIB);
  },
  60_000,
);
