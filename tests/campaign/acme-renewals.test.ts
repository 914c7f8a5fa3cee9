/**
 * ACME renewals, in short: the full campaign is `npm run campaign -- acme`.
 */
import { expect, test } from "bun:test";
import { needs } from "../support/tools.ts";
import { runAcmeRenewals } from "./acme-renewals.ts";

test.skipIf(!needs("pebble"))(
  "certificates that are renewed under load cost no request",
  async () => {
    const report = await runAcmeRenewals({ names: 12, ratePerSec: 200, lanes: 20, say: console.log });
    expect(report.lost).toEqual([]);
    expect(report.left).toEqual([]);
    expect(report.readable).toEqual([]);
    expect([report.issued, report.failed]).toEqual([12, 0]);
    expect(report.load.answered).toBe(report.load.sent);
    expect(report.load.answered).toBeGreaterThan(300);
    expect(report.stderr).not.toContain("PRIVATE KEY");
  },
  60_000,
);
