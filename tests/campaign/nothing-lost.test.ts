/**
 * Nothing lost, in short: the full campaign is `npm run campaign`.
 */
import { expect, test } from "bun:test";
import { runNothingLost } from "./nothing-lost.ts";

test.skipIf(process.platform !== "linux")(
  "reloads good and bad, lost and hanging workers, an upgrade and a stop under load fail no request",
  async () => {
    const lines: string[] = [];
    const report = await runNothingLost({
      ratePerSec: 800,
      lanes: 80,
      streams: 8,
      reloads: 20,
      pauseMs: 20,
      say: (line) => lines.push(line),
    });
    expect(report.lost).toEqual([]);
    const { load, streams, status } = report;
    // what a killed worker held, and not one more: every other request was answered, byte for byte
    expect(load.sent + streams.opened).toBe(load.answered + streams.completed + report.excused);
    expect(load.answered).toBeGreaterThan(5000);
    expect(streams.messages).toBeGreaterThan(100);
    expect(report.exitCode).toBe(0);
    const restarts = status.workers.reduce((sum, worker) => sum + worker.restarts, 0);
    expect(restarts).toBe(2);
    expect(report.stderr).not.toContain("because of a bug");
  },
  60_000,
);
