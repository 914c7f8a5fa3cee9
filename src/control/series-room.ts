/**
 * Series room: counters of endpoints that are long gone are given to others.
 *
 * why    discovery may bring thousands of different addresses in a month: each keeps a block in every row, a line in each
 *        metric, and one day the row would be full
 * rule   the newest KEPT_GONE stay: a scrape that comes late finds their last numbers, and one that comes back goes on
 *        counting. A block goes only when nothing is open or in flight in any worker, and begins again at 0
 */
import type { Config } from "../config/config.ts";
import { BLOCKS, type MetricRow } from "../observe/metrics.table.ts";
import type { SeriesTable } from "../observe/series.ts";
import { seriesKeysOf } from "./series-keys.ts";

/** Beyond this many endpoints that are gone, the oldest go until so many are left. */
const MAX_GONE = 1000;
export const KEPT_GONE = 500;

const { rows: METRICS, at: OFFSETS, slots: SIZE } = BLOCKS.endpoint;
/** Slots of a block that tell whether somebody still counts in it. */
const GAUGES = (Object.entries(METRICS) as [keyof typeof OFFSETS, MetricRow][])
  .filter(([, { kind }]) => kind === "gauge")
  .map(([name]) => OFFSETS[name]);

/** in  all rows of workers, and the configurations that they may run now or next. out  how many were given back */
export function makeRoom(
  series: SeriesTable,
  rows: readonly Float64Array[],
  configs: readonly Config[],
): number {
  const gone = series.gone("endpoint");
  if (gone.length <= MAX_GONE) return 0;
  const used = new Set(configs.flatMap(seriesKeysOf));
  let released = 0;
  for (const key of gone) {
    if (gone.length - released <= KEPT_GONE) break;
    const slot = series.slotOf(key);
    if (slot === undefined || used.has(key) || !isIdle(rows, slot)) continue;
    for (const row of rows) row.fill(0, slot, slot + SIZE);
    series.release(key);
    released++;
  }
  return released;
}

function isIdle(rows: readonly Float64Array[], slot: number): boolean {
  return rows.every((row) => GAUGES.every((offset) => (row[slot + offset] ?? 0) === 0));
}
