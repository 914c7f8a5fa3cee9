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
      plainPerSec: 300,
      tlsPerSec: 250,
      h2PerSec: 350,
      lanes: 40,
      h2Connections: 8,
      streams: 8,
      reloads: 12,
      pauseMs: 20,
      farewells: 10,
      say: (line) => lines.push(line),
    });
    expect(report.lost).toEqual([]);
    const { plain, tls, h2, streams, status } = report;
    // what a killed worker held, and not one more: every other request was answered, byte for byte
    const sent = plain.sent + tls.sent + h2.sent + streams.opened;
    const answered = plain.answered + tls.answered + h2.answered;
    expect(sent).toBe(answered + streams.completed + report.excused);
    for (const load of [plain, tls, h2]) expect(load.answered).toBeGreaterThan(2000);
    expect(report.farewells).toBeGreaterThan(20);
    // each connection that a reload, the upgrade or the stop ended was told so before
    expect(h2.farewells).toBeGreaterThan(0);
    expect(streams.messages).toBeGreaterThan(100);
    expect(report.exitCode).toBe(0);
    const restarts = status.workers.reduce((sum, worker) => sum + worker.restarts, 0);
    expect(restarts).toBe(2);
    expect(report.stderr).not.toContain("because of a bug");
  },
  60_000,
);
