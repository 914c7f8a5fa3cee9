/**
 * Certificates replaced under load, in short: the full campaign is `npm run campaign -- certificates`.
 */
import { expect, test } from "bun:test";
import { runCertificates } from "./certificates.ts";

test("all certificates of a listener are replaced under load, and no request is lost", async () => {
  const report = await runCertificates({
    certificates: 100,
    swaps: 2,
    ratePerSec: 400,
    lanes: 40,
    say: () => undefined,
  });
  expect(report.lost).toEqual([]);
  expect(report.stale).toEqual([]);
  for (const load of [report.load, report.h2]) {
    expect(load.answered).toBe(load.sent);
    expect(load.sent).toBeGreaterThan(200);
  }
}, 60_000);
