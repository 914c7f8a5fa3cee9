import { expect, test } from "bun:test";
import { testUpstream } from "../../tests/support/test-upstream.ts";
import type { Config } from "../config/config.ts";
import { ENDPOINT } from "../observe/metrics.table.ts";
import { SeriesTable, seriesKey } from "../observe/series.ts";
import { seriesKeysOf } from "./series-keys.ts";
import { KEPT_GONE, makeRoom } from "./series-room.ts";

const SLOTS = 4000 * ENDPOINT.slots;
const keyOf = (index: number) => seriesKey("endpoint", "app", `e${index}`);

function configOf(from: number, to: number): Config {
  const endpoints = Array.from({ length: to - from }, (_, index) => ({ name: `e${from + index}` }));
  return { listeners: [], routes: [], upstreams: [testUpstream(endpoints)] } as unknown as Config;
}

/** One endpoint after another, as containers come and go. */
function churn(series: SeriesTable, rows: readonly Float64Array[], count: number): void {
  for (let index = 0; index < count; index++) {
    const configs = [configOf(index, index + 1), configOf(index + 1, index + 2)];
    makeRoom(series, rows, configs);
    series.allocate(seriesKeysOf(configs[1] as Config));
  }
}

test("however many endpoints come and go, the row does not fill up, and the newest keep their counters", () => {
  const series = new SeriesTable(SLOTS);
  const rows = [new Float64Array(SLOTS), new Float64Array(SLOTS)];
  churn(series, rows, 5000);
  expect(series.used).toBeLessThan(1100 * ENDPOINT.slots);
  expect(Object.keys(series.slots()).some((key) => key.endsWith("other"))).toBe(false);
  for (let index = 5000; index > 5000 - KEPT_GONE; index--) {
    expect(series.slotOf(keyOf(index))).toBeDefined();
  }
});

test("a block in which a worker still counts is kept, and one that is given back is 0 for who gets it", () => {
  const series = new SeriesTable(SLOTS);
  const row = new Float64Array(SLOTS);
  const slots = series.allocate(seriesKeysOf(configOf(0, 1500)));
  const busy = slots[keyOf(3)] as number;
  row[busy + ENDPOINT.at.active] = 1;
  for (let index = 0; index < 1500; index++) row[(slots[keyOf(index)] as number) + ENDPOINT.at.requests] = 7;
  series.allocate(seriesKeysOf(configOf(1500, 1501)));
  expect(makeRoom(series, [row], [configOf(1500, 1501)])).toBe(1000);
  expect(series.slotOf(keyOf(3))).toBe(busy);
  expect(series.slotOf(keyOf(0))).toBeUndefined();
  const next = series.allocate(seriesKeysOf(configOf(2000, 2001)))[keyOf(2000)] as number;
  expect(next).toBeLessThan(series.used - ENDPOINT.slots); // one of those given back
  expect([...row.subarray(next, next + ENDPOINT.slots)].every((value) => value === 0)).toBe(true);
});

test("an endpoint that a worker may still run keeps its counters", () => {
  const series = new SeriesTable(SLOTS);
  series.allocate(seriesKeysOf(configOf(0, 1500)));
  series.allocate(seriesKeysOf(configOf(1500, 1501))); // a version that came into force nowhere
  makeRoom(series, [], [configOf(0, 1500), configOf(1500, 1501)]);
  expect(series.slotOf(keyOf(0))).toBeDefined();
});

test("a process that takes over knows the blocks that were given back", () => {
  const series = new SeriesTable(SLOTS);
  series.allocate(seriesKeysOf(configOf(0, 1500)));
  series.allocate(seriesKeysOf(configOf(1500, 1501)));
  makeRoom(series, [], [configOf(1500, 1501)]);
  const restored = SeriesTable.restore(JSON.parse(JSON.stringify(series.save())));
  const used = restored.used;
  restored.allocate(seriesKeysOf(configOf(3000, 3900)));
  expect(restored.used).toBe(used);
});
