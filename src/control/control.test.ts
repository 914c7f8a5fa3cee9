import { expect, test } from "bun:test";
import type { Config } from "../config/config.ts";
import { LISTENER, ROUTE } from "../observe/metrics.table.ts";
import { SeriesTable, seriesKey } from "../observe/series.ts";
import { fitConnections } from "./connection-limits.ts";
import { ForeignRows } from "./foreign-rows.ts";
import { RestartPolicy } from "./restart-policy.ts";
import { RowPool } from "./row-pool.ts";
import { zeroGauges } from "./series-keys.ts";

test("the first deaths are answered at once, a loop of them more and more slowly, up to 10 s", () => {
  const policy = new RestartPolicy();
  const delays = Array.from({ length: 12 }, () => policy.delayAfterDeath(5));
  expect(delays).toEqual([0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
});

test("one long life forgets the quick deaths before it", () => {
  const policy = new RestartPolicy();
  for (let death = 0; death < 6; death++) policy.delayAfterDeath(5);
  expect(policy.delayAfterDeath(60_000)).toBe(0);
});

test("rows are given lowest first, never twice, and counted once used", () => {
  const rows = new RowPool(3);
  expect([rows.take(), rows.take(), rows.take(), rows.take()]).toEqual([0, 1, 2, undefined]);
  rows.giveBack(1);
  expect(rows.take()).toBe(1);
  rows.giveBack(0);
  expect(rows.taken).toEqual([2, 1]);
  expect(rows.used).toBe(3);
});

test("rows of the generation before are not given out while they have a writer", () => {
  const heartbeats = new Float64Array(8).fill(0);
  heartbeats[0] = 100;
  heartbeats[1] = 100;
  const rows = new RowPool(8, 2, [0, 1]);
  const foreign = new ForeignRows(rows, heartbeats, [0, 1]);
  expect(rows.take()).toBe(2);
  expect(foreign.look()).toEqual([]);
  heartbeats[0] = 0; // ended in an orderly way
  heartbeats[1] = 200;
  expect(foreign.look()).toEqual([0]);
  expect(rows.take()).toBe(0);
  // the other was killed, and so was its control: only its silence tells
  const looks = Array.from({ length: 12 }, () => foreign.look());
  expect(looks.flat()).toEqual([1]);
  expect(foreign.isEmpty).toBe(true);
});

test("gauges of a dead worker go to 0, counters and histograms stay", () => {
  const table = new SeriesTable(4096);
  const slots = table.allocate([seriesKey("listener", "web"), seriesKey("route", "app")]);
  const row = new Float64Array(4096).fill(7);
  zeroGauges(row, slots);
  const [listener, route] = [slots[seriesKey("listener", "web")] ?? 0, slots[seriesKey("route", "app")] ?? 0];
  expect(row[listener + LISTENER.at.active]).toBe(0);
  expect(row[listener + LISTENER.at.connections]).toBe(7);
  expect(row[route + ROUTE.at.active]).toBe(0);
  expect(row[route + ROUTE.at.status2xx]).toBe(7);
  expect(row[route + ROUTE.at.duration]).toBe(7);
});

function configWith(workers: number, ...connections: number[]): Config {
  const listeners = connections.map((limit, index) => ({
    name: `l${index}`,
    limits: { connections: limit },
  }));
  return { server: { workers }, listeners } as unknown as Config;
}
const limitsOf = ({ listeners }: Config) => listeners.map((listener) => listener.limits.connections);

const FITS: readonly [
  what: string,
  config: Config,
  files: number | undefined,
  limits: number[],
  warns: boolean,
][] = [
  ["limits that fit stay", configWith(1, 20_000), 1_048_576, [20_000], false],
  ["an unknown limit changes nothing", configWith(1, 20_000), undefined, [20_000], false],
  ["limits that do not fit are lowered in proportion", configWith(1, 900, 300), 928, [450, 150], true],
  ["more workers have more files", configWith(2, 900, 300), 928, [900, 300], false],
  ["no listener is lowered to none", configWith(1, 10), 64, [1], true],
];
for (const [what, config, files, limits, warns] of FITS) {
  test(`connection limits: ${what}`, () => {
    const fitted = fitConnections(config, files);
    expect(limitsOf(fitted.config)).toEqual(limits);
    expect(fitted.warning !== undefined).toBe(warns);
  });
}
