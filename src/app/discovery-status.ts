/**
 * Discovery status: how it stands with the sources of endpoints, for the admin API and for metrics.
 */
import type { DiscoveryStatus } from "../admin/status.ts";
import type { DiscoveryStanding } from "../discovery/discoverer.ts";
import { PROCESS, type ProcessMetricRow } from "../observe/metrics.table.ts";
import type { ExtraMetric } from "../observe/registry.ts";

export function discoveryStatus(standing: DiscoveryStanding): DiscoveryStatus {
  const { upstream, source, state, endpoints, changedAtMs, answeredAtMs, lastError } = standing;
  const [changedAt, answeredAt] = [isoTime(changedAtMs), isoTime(answeredAtMs)];
  return { upstream, source, state, endpoints, changedAt, answeredAt, lastError };
}

const isoTime = (ms: number) => (ms === 0 ? undefined : new Date(ms).toISOString());

export function discoveryMetrics(standings: readonly DiscoveryStanding[]): ExtraMetric[] {
  if (standings.length === 0) return [];
  const each = (row: ProcessMetricRow, numberOf: (standing: DiscoveryStanding) => number): ExtraMetric => ({
    row,
    samples: standings.map((standing) => ({ labels: [standing.upstream], value: numberOf(standing) })),
  });
  return [
    each(PROCESS.discoveryUp, ({ state }) => (state === "found" ? 1 : 0)),
    each(PROCESS.discoveryEndpoints, ({ endpoints }) => endpoints),
    each(PROCESS.discoveryChanges, ({ changes }) => changes),
  ];
}
