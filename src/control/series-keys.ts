/**
 * Series keys: which counters does a configuration need, and which of a worker's slots are gauges?
 */
import type { Config } from "../config/config.ts";
import { isProtected } from "../config/protected.ts";
import { BLOCKS, type MetricRow } from "../observe/metrics.table.ts";
import { parseSeriesKey, type SlotMap, seriesKey, UNROUTED } from "../observe/series.ts";

export function seriesKeysOf(config: Config): string[] {
  return [
    seriesKey("worker"),
    seriesKey("route", UNROUTED),
    ...config.listeners.map((listener) => seriesKey("listener", listener.name)),
    ...config.routes.map((route) => seriesKey("route", route.name)),
    ...config.routes
      .filter(({ cache }) => cache !== undefined)
      .map((route) => seriesKey("cache", route.name)),
    ...config.upstreams.flatMap((upstream) =>
      upstream.endpoints.map((endpoint) => seriesKey("endpoint", upstream.name, endpoint.name)),
    ),
    ...config.upstreams.filter(isProtected).map((upstream) => seriesKey("upstream", upstream.name)),
  ];
}

/**
 * Sets the gauges of a row to 0, because the worker that moved them is gone and nothing is open any more.
 * Counters stay: what was counted has happened.
 */
export function zeroGauges(row: Float64Array, series: SlotMap): void {
  for (const [key, slot] of Object.entries(series)) {
    const kind = parseSeriesKey(key)?.kind;
    if (kind === undefined) continue;
    const { rows, at } = BLOCKS[kind];
    for (const [name, metric] of Object.entries(rows) as [string, MetricRow][]) {
      const offset = (at as Readonly<Record<string, number>>)[name] as number;
      if (metric.kind === "gauge") row.fill(0, slot + offset, slot + offset + metric.slots);
    }
  }
}
