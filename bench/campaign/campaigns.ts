/**
 * Campaigns: which there are, at which size, and what counts as failed.
 */
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

export const CAMPAIGNS: readonly Campaign[] = [{ name: "nothing-lost", run: nothingLost }];
