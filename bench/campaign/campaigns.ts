/**
 * Campaigns: which there are, at which size, and what counts as failed.
 */

import { runAcmeRenewals } from "../../tests/campaign/acme-renewals.ts";
import { runCertificates } from "../../tests/campaign/certificates.ts";
import { runGrpc, type Security } from "../../tests/campaign/grpc.ts";
import { judge, runAbuse } from "../../tests/campaign/h2-abuse.ts";
import { ATTACKS } from "../../tests/campaign/h2-attacks.table.ts";
import type { LoadReport } from "../../tests/campaign/load.ts";
import { runNoLeak } from "../../tests/campaign/no-leak.ts";
import { runNothingLost } from "../../tests/campaign/nothing-lost.ts";
import { runTestssl } from "../../tests/conformance/testssl.ts";

type Say = (line: string) => void;

export interface Campaign {
  readonly name: string;
  /** out  what is wrong; empty when all held */
  readonly run: (say: Say) => Promise<readonly string[]>;
}

function tellLoads(loads: Readonly<Record<string, LoadReport>>, say: Say): void {
  for (const [name, load] of Object.entries(loads)) {
    const times = `p50 ${load.p50Ms.toFixed(1)} ms, p99 ${load.p99Ms.toFixed(1)} ms, longest ${load.maxMs.toFixed(0)} ms`;
    say(
      `${name}: ${load.sent} requests on ${load.connections} connections, ${load.answered} answered; ${times}`,
    );
  }
}

async function nothingLost(say: Say): Promise<readonly string[]> {
  const report = await runNothingLost({
    plainPerSec: 1500,
    tlsPerSec: 800,
    h2PerSec: 1200,
    lanes: 150,
    h2Connections: 16,
    streams: 40,
    reloads: 100,
    pauseMs: 300,
    farewells: 100,
    say,
  });
  const { plain, tls, h2, streams, lost, excused, exitCode } = report;
  tellLoads({ plain, tls, h2 }, say);
  say(
    `${streams.opened} WebSockets, ${streams.messages} messages; excused ${excused}; GOAWAY ${h2.farewells} times from ` +
      `Weir, ${report.farewells} times from endpoints; ${h2.askedAgain} requests that were not begun, asked again`,
  );
  const sent = plain.sent + tls.sent + h2.sent + streams.opened;
  const done = plain.answered + tls.answered + h2.answered + streams.completed;
  const unaccounted = sent - done - excused - lost.length;
  return [
    ...lost.slice(0, 20),
    ...(lost.length > 20 ? [`and ${lost.length - 20} more`] : []),
    ...(unaccounted === 0 ? [] : [`${unaccounted} requests are not accounted for`]),
    ...(exitCode === 0 ? [] : ["SIGTERM did not end in an orderly way"]),
  ];
}

const MIB = 1024 * 1024;

async function noLeak(say: Say): Promise<readonly string[]> {
  const report = await runNoLeak({ warm: 200_000, exchanges: 1_000_000, say });
  const growth = report.afterBytes / report.warmBytes;
  say(`private memory after against warm: ${growth.toFixed(3)}; ${report.surplusFiles} descriptors more`);
  return [
    ...report.gauges.map((line) => `a gauge that is not back at 0: ${line}`),
    ...(growth <= 1.1 ? [] : [`memory grew by ${((growth - 1) * 100).toFixed(0)} %`]),
    ...(report.surplusFiles <= 2 ? [] : [`${report.surplusFiles} descriptors were left open`]),
    ...(report.slowReaderBytes < 4 * MIB ? [] : [`a slow reader cost ${report.slowReaderBytes} bytes`]),
    ...(report.slowReaderGot === 100 * MIB ? [] : [`a slow reader got ${report.slowReaderGot} bytes`]),
  ];
}

const ATTACK_SEC = 30;
const DECENT_PER_SEC = 200;

async function abuse(say: Say): Promise<readonly string[]> {
  const options = { attacks: ATTACKS, seconds: ATTACK_SEC, ratePerSec: DECENT_PER_SEC, say };
  const results = await runAbuse(options);
  return results.flatMap((result, index) => {
    const what = ATTACKS[index];
    return what === undefined ? [] : judge(what, result, true);
  });
}

async function grpc(say: Say): Promise<readonly string[]> {
  const problems: string[] = [];
  const ways: readonly Security[] = ["h2c", "tls"];
  for (const front of ways) {
    for (const upstream of ways) {
      const report = await runGrpc({ front, upstream, unary: 10_000, streams: 1000, lanes: 50, say });
      const where = `${front} to ${upstream}`;
      problems.push(...report.wrong.slice(0, 10).map((text) => `${where}: ${text}`));
      if (report.leftAtServer > 0)
        problems.push(`${where}: ${report.leftAtServer} calls are still at the server`);
    }
  }
  return problems;
}

const RENEWALS = 100;

async function acme(say: Say): Promise<readonly string[]> {
  const report = await runAcmeRenewals({ names: RENEWALS, ratePerSec: 300, lanes: 100, say });
  const { load, lost, left, issued, failed, readable, tookMs } = report;
  say(
    `${issued} renewed in ${(tookMs / 1000).toFixed(0)} s; ${load.sent} requests on ${load.connections} TLS connections, ` +
      `${load.answered} answered; p50 ${load.p50Ms.toFixed(1)} ms, p99 ${load.p99Ms.toFixed(1)} ms`,
  );
  return [
    ...lost.slice(0, 20),
    ...(load.sent === load.answered + lost.length ? [] : ["requests are not accounted for"]),
    ...left.map((name) => `${name} was not renewed`),
    ...(failed === 0 ? [] : [`${failed} orders failed`]),
    ...readable.map((path) => `others have rights to ${path}`),
  ];
}

async function certificates(say: Say): Promise<readonly string[]> {
  const report = await runCertificates({ certificates: 1000, swaps: 5, ratePerSec: 2000, lanes: 200, say });
  tellLoads({ tls: report.load, h2: report.h2 }, say);
  return [
    ...report.lost.slice(0, 20),
    ...report.stale.map((name) => `${name} is still shown its old certificate`),
  ];
}

async function testssl(say: Say): Promise<readonly string[]> {
  return [...(await runTestssl("intermediate", say)), ...(await runTestssl("modern", say))];
}

export const CAMPAIGNS: readonly Campaign[] = [
  { name: "nothing-lost", run: nothingLost },
  { name: "no-leak", run: noLeak },
  { name: "abuse", run: abuse },
  { name: "grpc", run: grpc },
  { name: "certificates", run: certificates },
  { name: "testssl", run: testssl },
  { name: "acme", run: acme },
];
