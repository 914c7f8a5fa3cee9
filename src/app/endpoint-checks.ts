/**
 * Endpoint checks: active checks as control runs them, and what is counted of them.
 */
import { Asker } from "../checks/asker.ts";
import { CheckContexts, type PemFiles } from "../checks/contexts.ts";
import { type CheckCount, CheckKeeper } from "../checks/keeper.ts";
import type { EndpointBoard } from "../control/endpoint-board.ts";
import { PROCESS } from "../observe/metrics.table.ts";
import type { ExtraMetric } from "../observe/registry.ts";

export interface EndpointChecksNeeds {
  readonly board: EndpointBoard;
  /** Addresses of names, as far as they are known. */
  readonly addresses: () => Readonly<Record<string, readonly string[]>>;
  /** Texts of the PEM files of the configuration in force. */
  readonly files: () => PemFiles;
  /** Starts a timer and returns what stops it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
}

export function makeCheckKeeper({ board, addresses, files, after }: EndpointChecksNeeds): CheckKeeper {
  const contexts = new CheckContexts(files);
  const asker = new Asker({
    addressesOf: (host) => addresses()[host] ?? [],
    contextOf: (tls) => contexts.of(tls),
  });
  return new CheckKeeper({
    board,
    ask: (plan, signal) => asker.ask(plan, signal),
    nowMs: () => performance.now(),
    after,
    random: Math.random,
  });
}

/** Series of endpoints that are checked; of one that leaves the configuration they end. */
export function checkMetrics(counts: readonly CheckCount[]): ExtraMetric[] {
  if (counts.length === 0) return [];
  return [
    {
      row: PROCESS.checks,
      samples: counts.flatMap(({ upstream, endpoint, passed, failed }) => [
        { labels: [upstream, endpoint, "passed"], value: passed },
        { labels: [upstream, endpoint, "failed"], value: failed },
      ]),
    },
    {
      row: PROCESS.checkSeconds,
      samples: counts.map(({ upstream, endpoint, lastMs }) => {
        return { labels: [upstream, endpoint], value: Math.round(lastMs * 1000) / 1e6 };
      }),
    },
  ];
}
