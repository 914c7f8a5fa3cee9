/**
 * Campaigns: which there are, at which size, and what counts as failed.
 */
import { runNoLeak } from "../../tests/campaign/no-leak.ts";
import { runNothingLost } from "../../tests/campaign/nothing-lost.ts";

type Say = (line: string) => void;

export interface Campaign {
  readonly name: string;
  /** out  what is wrong; empty when all held */
  readonly run: (say: Say) => Promise<readonly string[]>;
}

async function nothingLost(say: Say): Promise<readonly string[]> {
  const report = await runNothingLost({
    ratePerSec: 5000,
    lanes: 400,
    streams: 40,
    reloads: 100,
    pauseMs: 300,
    say,
  });
  const { load, streams, lost, excused, exitCode } = report;
  say(
    `${load.sent} requests on ${load.connections} connections, ${load.answered} answered; ${streams.opened} ` +
      `WebSockets, ${streams.messages} messages; excused ${excused}; p50 ${load.p50Ms.toFixed(1)} ms, ` +
      `p99 ${load.p99Ms.toFixed(1)} ms, longest ${load.maxMs.toFixed(0)} ms`,
  );
  const unaccounted = load.sent + streams.opened - load.answered - streams.completed - excused - lost.length;
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

export const CAMPAIGNS: readonly Campaign[] = [
  { name: "nothing-lost", run: nothingLost },
  { name: "no-leak", run: noLeak },
];
