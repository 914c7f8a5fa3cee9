import { describe, expect, test } from "bun:test";
import { FAILURE_CODES, FAILURE_INDEX } from "../core/failure.ts";
import { observe, quantileMs } from "./histogram.ts";
import { BLOCKS, ENDPOINT, LISTENER, type MetricRow, PROCESS, ROUTE, WORKER } from "./metrics.table.ts";
import { type ExtraMetric, endpointMetrics, exposition, processMetrics } from "./registry.ts";
import { SeriesTable } from "./series.ts";

const CAPACITY = 5000;

interface Family {
  type: string;
  help: string;
  samples: { name: string; labels: Map<string, string>; value: number }[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y;
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.+)\\})? (NaN|[+-]?Inf|[+-]?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)$`);
const UNESCAPED: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

const META = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`);

/** Reads text format 0.0.4 by its grammar and refuses everything else. */
function parse(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line must end in a line feed");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const meta = META.exec(line);
    if (meta === null) readSample(line, current, families.get(current) as Family, seen);
    else current = readMeta(meta as unknown as Match, current, families);
  }
  return families;
}

type Match = readonly [line: string, what: string, name: string, rest: string];

function readMeta([line, what, name, rest]: Match, current: string, families: Map<string, Family>): string {
  const family = families.get(name);
  if (what === "HELP") {
    if (family !== undefined) throw new Error(`two HELP for ${name}`);
    families.set(name, { type: "", help: rest, samples: [] });
    return name;
  }
  if (family === undefined || name !== current || family.type !== "") throw new Error(`stray TYPE: ${line}`);
  if (!["counter", "gauge", "histogram"].includes(rest)) throw new Error(`bad type: ${line}`);
  family.type = rest;
  return name;
}

function readSample(line: string, current: string, family: Family, seen: Set<string>): void {
  const match = SAMPLE.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const [, name, labelsText = "", value] = match as unknown as [string, string, string | undefined, string];
  const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  if (!suffixes.some((suffix) => name === current + suffix)) throw new Error(`${name} under ${current}`);
  const labels = parseLabels(labelsText);
  const identity = `${name}{${[...labels].map(([key, text]) => `${key}=${JSON.stringify(text)}`).sort()}}`;
  if (seen.has(identity)) throw new Error(`twice: ${line}`);
  seen.add(identity);
  family.samples.push({ name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) });
}

function parseLabels(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null) throw new Error(`bad labels: ${text}`);
    labels.set(
      match[1] as string,
      (match[2] as string).replace(/\\[\\"n]/g, (pair) => UNESCAPED[pair] as string),
    );
  }
  return labels;
}

function sampleOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string>,
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""));
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      sample.labels.size === Object.keys(labels).length &&
      Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value),
  )?.value;
}

function setUp(...keys: string[]) {
  const table = new SeriesTable(CAPACITY);
  const slots = table.allocate(["worker", ...keys]);
  const rows = [new Float64Array(CAPACITY), new Float64Array(CAPACITY)];
  const at = (key: string) => slots[key] as number;
  const add = (worker: number, slot: number, value: number) => {
    const row = rows[worker] as Float64Array;
    row[slot] = (row[slot] as number) + value;
  };
  return { table, slots, rows, at, add, read: () => parse(exposition(slots, rows, [0, 1])) };
}

test("every metric of the table is there, with its type and meaning, even when nothing was counted", () => {
  const { read } = setUp(
    "listener:http",
    "route:api",
    "endpoint:app|127.0.0.1:3000",
    "upstream:app",
    "cache:api",
  );
  const families = read();
  const rows = Object.values(BLOCKS).flatMap((block) => Object.values(block.rows) as MetricRow[]);
  for (const row of rows) {
    const family = families.get(row.name);
    expect(family?.type).toBe(row.kind);
    expect(family?.help).toBe(row.help);
    expect(family?.samples.length).toBeGreaterThan(0);
  }
  expect(families.size).toBe(new Set(rows.map((row) => row.name)).size);
});

test("counters and gauges are summed over the workers' rows", () => {
  const { at, add, read } = setUp("listener:http", "route:api", "endpoint:app|127.0.0.1:3000");
  add(0, at("route:api") + ROUTE.at.status2xx, 3);
  add(1, at("route:api") + ROUTE.at.status2xx, 4);
  add(1, at("route:api") + ROUTE.at.status5xx, 1);
  add(0, at("listener:http") + LISTENER.at.active, 20);
  add(1, at("listener:http") + LISTENER.at.active, 2);
  add(1, at("endpoint:app|127.0.0.1:3000") + ENDPOINT.at.connectErrors, 9);
  const families = read();
  expect(sampleOf(families, "weir_requests_total", { route: "api", status: "2xx" })).toBe(7);
  expect(sampleOf(families, "weir_requests_total", { route: "api", status: "5xx" })).toBe(1);
  expect(sampleOf(families, "weir_requests_total", { route: "api", status: "4xx" })).toBe(0);
  expect(sampleOf(families, "weir_listener_connections_active", { listener: "http" })).toBe(22);
  const endpoint = { upstream: "app", endpoint: "127.0.0.1:3000" };
  expect(sampleOf(families, "weir_upstream_connect_errors_total", endpoint)).toBe(9);
});

test("the worker block carries the worker, only of those that run; failures are summed by reason", () => {
  const { slots, rows, at, add } = setUp();
  add(0, at("worker") + WORKER.at.memoryBytes, 100);
  add(1, at("worker") + WORKER.at.memoryBytes, 200);
  const reason = at("worker") + WORKER.at.failures + (FAILURE_INDEX.get("upstream_cut") as number);
  add(0, reason, 2);
  add(1, reason, 3);
  const families = parse(exposition(slots, rows, [1]));
  expect(sampleOf(families, "weir_worker_memory_bytes", { worker: "1" })).toBe(200);
  expect(sampleOf(families, "weir_worker_memory_bytes", { worker: "0" })).toBeUndefined();
  expect(sampleOf(families, "weir_failures_total", { reason: "upstream_cut" })).toBe(5);
  expect(families.get("weir_failures_total")?.samples.map((sample) => sample.labels.get("reason"))).toEqual([
    ...FAILURE_CODES,
  ]);
});

describe("histograms", () => {
  const name = "weir_request_duration_seconds";
  const buckets = (families: Map<string, Family>) =>
    (families.get(name) as Family).samples
      .filter((sample) => sample.name === `${name}_bucket`)
      .map((sample) => [sample.labels.get("le") as string, sample.value] as const);

  test("buckets are cumulative, count and sum are exact", () => {
    const { rows, at, read } = setUp("route:api");
    const slot = at("route:api") + ROUTE.at.duration;
    const observed = [0.01, 0.5, 0.7, 12, 12.5, 250, 70_000];
    for (const [index, ms] of observed.entries()) observe(rows[index % 2] as Float64Array, slot, ms);
    const families = read();
    const values = buckets(families).map(([, value]) => value);
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(values.at(-1)).toBe(observed.length);
    expect(sampleOf(families, `${name}_count`, { route: "api" })).toBe(observed.length);
    expect(sampleOf(families, `${name}_sum`, { route: "api" })).toBeCloseTo(70_275.71 / 1000, 9);
    for (const [le, value] of buckets(families)) {
      const bound = le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
      expect(value).toBe(observed.filter((ms) => ms / 1000 < bound).length);
    }
  });

  test("bounds are two an octave from 64 µs to 67 s, in clean seconds", () => {
    const bounds = buckets(setUp("route:api").read()).map(([le]) => le);
    expect(bounds.slice(0, 5)).toEqual(["0.000064", "0.000096", "0.000128", "0.000192", "0.000256"]);
    expect(bounds.slice(-3)).toEqual(["50.331648", "67.108864", "+Inf"]);
    expect(bounds.length).toBe(42);
  });

  test("one without observations still says count and sum", () => {
    const families = setUp("route:api").read();
    expect(sampleOf(families, `${name}_count`, { route: "api" })).toBe(0);
    expect(sampleOf(families, `${name}_sum`, { route: "api" })).toBe(0);
  });

  test("a p99 read from the counted buckets is within 10 %", () => {
    const slots = new Float64Array(100);
    for (let ms = 1; ms <= 1000; ms++) observe(slots, 0, ms / 10);
    expect(Math.abs(quantileMs(slots, 0, 0.99) - 99) / 99).toBeLessThan(0.1);
    expect(Math.abs(quantileMs(slots, 0, 0.5) - 50) / 50).toBeLessThan(0.1);
  });
});

test("label values are escaped, whatever a configuration names its routes", () => {
  const names = ['a"b', "a\\b", "a\nb", "a\\nb", 'x",route="y', "ünïcode", "} 5\n# HELP x y", "__proto__"];
  const { read } = setUp(...names.map((name) => `route:${name}`));
  const seen = read()
    .get("weir_requests_active")
    ?.samples.map((sample) => sample.labels.get("route") as string);
  expect(seen).toEqual(names);
});

test("names that share a series for want of room appear once, as `other`", () => {
  const reserved = Object.values(BLOCKS).reduce((sum, { slots }) => sum + slots, 0);
  const table = new SeriesTable(reserved + ROUTE.slots);
  const slots = table.allocate(["worker", "route:a", "route:b", "route:c"]);
  const row = new Float64Array(reserved + ROUTE.slots);
  row[(slots["route:b"] as number) + ROUTE.at.retries] = 5;
  const families = parse(exposition(slots, [row], [0]));
  expect(families.get("weir_retries_total")?.samples.map((sample) => [...sample.labels.values()])).toEqual([
    ["other"],
    ["a"],
  ]);
  expect(sampleOf(families, "weir_retries_total", { route: "other" })).toBe(5);
});

test("two scrapes of the same numbers are the same text, and keys that are none are left out", () => {
  const { slots, rows } = setUp("route:b", "route:a");
  const shuffled = Object.fromEntries(Object.entries(slots).reverse());
  expect(exposition({ ...shuffled, "nonsense:x": 3 }, rows, [0])).toBe(exposition(slots, rows, [0]));
});

test("the control process's own metrics stand in front, under the same grammar", () => {
  const { slots, rows } = setUp("listener:http");
  const extra = processMetrics({
    program: "0.1.0",
    runtime: 'bun "1.4"',
    startedAtMs: 1_700_000_000_500,
    isReady: true,
    workersConfigured: 2,
    workersUp: 1,
    restarts: [0, 3],
    configVersion: 7,
    reloadsApplied: 6,
    reloadsFailed: 2,
    certificates: [
      { listener: "web", name: "a.test", source: "file", notBeforeMs: 1000, notAfterMs: 9000 },
      { listener: "web", name: "a.test", source: "file", notBeforeMs: 2000, notAfterMs: 4000 },
    ],
    certificateErrors: 1,
    acme: { issued: 3, failed: 1, nextRenewalAtMs: 5000 },
  });
  const families = parse(exposition(slots, rows, [0], extra));
  expect(sampleOf(families, "weir_build_info", { version: "0.1.0", runtime: 'bun "1.4"' })).toBe(1);
  expect(sampleOf(families, "weir_start_time_seconds", {})).toBe(1_700_000_000.5);
  expect(sampleOf(families, "weir_worker_restarts_total", { worker: "1" })).toBe(3);
  expect(sampleOf(families, "weir_config_reloads_total", { result: "failed" })).toBe(2);
  const labels = { listener: "web", name: "a.test", source: "file" };
  expect(sampleOf(families, "weir_certificate_not_after_seconds", labels)).toBe(4);
  expect(sampleOf(families, "weir_certificate_not_before_seconds", labels)).toBe(2);
  expect(sampleOf(families, "weir_certificate_reload_errors_total", {})).toBe(1);
  expect(sampleOf(families, "weir_acme_next_renewal_seconds", {})).toBe(5);
  // those of endpoints, of their sources and of the cache come from who looks after them
  expect(extra.map((metric: ExtraMetric) => metric.row.name)).toEqual(
    Object.values(PROCESS)
      .map((row) => row.name)
      .filter((name) => !/^weir_(?:upstream|discovery|cache)_/.test(name)),
  );
});

test("an endpoint is in one state at a time, and every other state is there with 0", () => {
  const endpoint = { upstream: "app", endpoint: "10.0.0.1:80", state: "down", weight: 2.5, transitions: 7 };
  const families = parse(exposition({}, [], [], endpointMetrics([endpoint], ["up", "down", "ejected"])));
  const labels = { upstream: "app", endpoint: "10.0.0.1:80" };
  const states = ["up", "down", "ejected"].map((state) =>
    sampleOf(families, "weir_upstream_endpoint_state", { ...labels, state }),
  );
  expect(states).toEqual([0, 1, 0]);
  expect(sampleOf(families, "weir_upstream_endpoint_weight", labels)).toBe(2.5);
  expect(sampleOf(families, "weir_upstream_endpoint_transitions_total", labels)).toBe(7);
});

test("numbers that are no finite decimals are written as the format wants them", () => {
  const row = PROCESS.startTime;
  const write = (value: number) =>
    exposition({}, [], [], [{ row, samples: [{ labels: [], value }] }]).split("\n")[2];
  expect(write(Number.POSITIVE_INFINITY)).toBe("weir_start_time_seconds +Inf");
  expect(write(Number.NEGATIVE_INFINITY)).toBe("weir_start_time_seconds -Inf");
  expect(write(Number.NaN)).toBe("weir_start_time_seconds NaN");
  expect(write(1e21)).toBe("weir_start_time_seconds 1e+21");
});

test("the reader used here refuses what the format refuses", () => {
  const head = "# HELP a b\n# TYPE a counter\n";
  for (const bad of [
    "a 1",
    "a{x=1} 1\n",
    "a 1\na 2\n",
    "b 1\n",
    'a{x="\\q"} 1\n',
    "a one\n",
    "# HELP a b\n",
  ]) {
    expect(() => parse(head + bad)).toThrow();
  }
  expect(parse(`${head}a{x="1"} 1\n`).get("a")?.samples.length).toBe(1);
});
