import { expect, test } from "bun:test";
import { SAMPLE_STATUS } from "../../tests/support/sample-status.ts";
import type { Status } from "../admin/status.ts";
import { statusText } from "./status.ts";
import { NO_COLOURS } from "./terminal.ts";

const startedAt = "2026-01-02T03:04:05.000Z";
const route = { requests: 0, active: 0, errors5xx: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0 };
const status: Status = {
  program: "0.1.0",
  pid: 42,
  startedAt,
  state: "running",
  configVersion: 3,
  configSource: "weir.yaml",
  lastReload: undefined,
  workers: [
    { worker: 0, pid: 43, state: "running", restarts: 1, heartbeatAgeMs: 120, memoryBytes: 40 * 1024 ** 2 },
  ],
  listeners: [
    { name: "web", addresses: ["[::]:8080"], connectionsActive: 2, connections: 10, requests: 100 },
  ],
  routes: [
    { name: "quiet", ...route },
    { ...route, name: "busy", requests: 90, errors5xx: 1, p50Ms: 0.42, p99Ms: 12.3 },
  ],
  upstreams: [
    {
      name: "app",
      waiting: 0,
      breakersOpen: 0,
      endpoints: [
        {
          name: "app.test:3000",
          addresses: ["192.0.2.1", "192.0.2.2"],
          state: "up",
          reason: "none",
          why: "",
          since: undefined,
          ejectedUntil: undefined,
          operator: "up",
          weight: 1,
          isWeightSet: false,
          warmth: 1,
          requests: 90,
          active: 1,
          errors: 0,
          errors5xx: 2,
          connectionsOpen: 3,
          connectionsPooled: 2,
          p50Ms: 0.42,
          p95Ms: 9,
          p99Ms: 12.3,
        },
      ],
    },
  ],
  certificates: [],
};
const nowMs = Date.parse(startedAt) + 3_723_000;

test("the state of everything, the busiest route first", () => {
  expect(statusText(status, nowMs, NO_COLOURS).split("\n")).toEqual([
    "weir 0.1.0  running for 1h 2m  pid 42",
    "configuration 3 from weir.yaml",
    "",
    "WORKER  PID  STATE    RESTARTS  MEMORY       SEEN",
    "     0   43  running         1  40 MiB  120ms ago",
    "",
    "LISTENER  ADDRESSES  OPEN  CONNECTIONS  REQUESTS",
    "web       [::]:8080     2           10       100",
    "",
    "ROUTE  REQUESTS  ACTIVE  5XX      P50  P95    P99",
    "busy         90       0    1  0.42 ms    -  12 ms",
    "quiet         0       0    0        -    -      -",
    "",
    "UPSTREAM  ENDPOINT       STATE  SINCE  WEIGHT  REQUESTS  ACTIVE  ERRORS  5XX      P50    P99  OPEN  POOLED  ADDRESSES",
    "app       app.test:3000  up         -       1        90       1       0    2  0.42 ms  12 ms     3       2  192.0.2.1 192.0.2.2",
  ]);
});

test("a refused reload says where, why, and that the one before goes on", () => {
  const problem = { file: "weir.yaml", line: 1, column: 1, path: "", message: "`bidn` is not known" };
  const lastReload = {
    applied: false,
    configVersion: 3,
    at: "2026-01-02T03:10:00.000Z",
    problems: Array.from({ length: 7 }, (_, at) => ({
      ...problem,
      line: at + 1,
      hint: "Did you mean `bind`?",
      severity: "error" as const,
    })),
  };
  const text = statusText({ ...status, lastReload }, nowMs, NO_COLOURS);
  const lines = text.split("\n").slice(2, 9);
  expect(lines).toEqual([
    "last reload refused 2026-01-02T03:10:00.000Z; the configuration before it goes on",
    ...[1, 2, 3, 4, 5].map((at) => `  weir.yaml:${at}:1: \`bidn\` is not known. Did you mean \`bind\`?`),
    "  … and 2 more: weir check",
  ]);
});

test("ten thousand routes do not fill the terminal", () => {
  const routes = Array.from({ length: 10_000 }, (_, at) => ({ ...route, name: `r${at}` }));
  const lines = statusText({ ...status, routes }, nowMs, NO_COLOURS).split("\n");
  expect(lines.length).toBeLessThan(80);
  expect(lines).toContain("… and 9960 more; --json has all");
});

test("certificates stand in the order in which they expire, with the errors of those that could not be replaced", () => {
  const { certificates } = SAMPLE_STATUS;
  const soon = {
    ...(certificates[0] as Status["certificates"][number]),
    names: ["b.test"],
    isDefault: false,
  };
  const rows = [...certificates, { ...soon, notAfter: "2026-01-12T00:00:00.000Z", source: "acme" as const }];
  const lines = statusText({ ...status, certificates: rows }, nowMs, NO_COLOURS).split("\n");
  expect(lines.slice(-7)).toEqual([
    "",
    "LISTENER  CERTIFICATE          SOURCE  KEY       ISSUER      EXPIRES     DAYS LEFT",
    "web       <new>.test           acme    -         -           -                   -",
    "web       b.test               acme    EC P-256  Example CA  2026-01-12          9",
    "web       a.test +1 (default)  file    EC P-256  Example CA  2026-04-01         88",
    "",
    "web <new>.test: the authority is down",
  ]);
});

test("an endpoint that is not up says since when and why, and an upstream that holds requests back says how many", () => {
  const [upstream] = status.upstreams;
  const [endpoint] = upstream?.endpoints ?? [];
  const ejected = {
    ...(endpoint as NonNullable<typeof endpoint>),
    state: "ejected" as const,
    why: "failed several requests in a row: \x1b[2Jreset",
    since: "2026-01-02T04:05:36.000Z",
    ejectedUntil: "2026-01-02T04:06:36.000Z",
    weight: 5,
    isWeightSet: true,
  };
  const upstreams = [{ name: "app", waiting: 7, breakersOpen: 1, endpoints: [ejected] }];
  const lines = statusText({ ...status, upstreams }, nowMs, NO_COLOURS).split("\n");
  expect(lines.slice(-5)).toEqual([
    expect.stringContaining("UPSTREAM"),
    expect.stringContaining("app       app.test:3000  ejected    32s      5!"),
    "",
    "app app.test:3000 is ejected, until 04:06:36 UTC: failed several requests in a row: \\x1b[2Jreset",
    "app: 7 wait for a place, breaker open in 1 of the workers",
  ]);
});

test("a source of endpoints that fails is told, with what is in use", () => {
  const source = { source: "DNS app.internal", changedAt: undefined, answeredAt: undefined };
  const discovery = [
    { ...source, upstream: "app", state: "failing" as const, endpoints: 3, lastError: "no such name" },
    { ...source, upstream: "api", state: "found" as const, endpoints: 2, lastError: undefined },
  ];
  const text = statusText({ ...status, discovery }, nowMs, NO_COLOURS);
  expect(text).toContain("app is found by DNS app.internal: no such name; in use: 3 found before");
  expect(text).not.toContain("api is found");
});

test("of too many endpoints those that are not up stand first", () => {
  const [upstream] = status.upstreams;
  const [endpoint] = upstream?.endpoints ?? [];
  const up = endpoint as NonNullable<typeof endpoint>;
  const endpoints = Array.from({ length: 100 }, (_, at) => ({
    ...up,
    name: `e${at}`,
    state: at === 99 ? ("down" as const) : up.state,
  }));
  const upstreams = [{ name: "app", waiting: 0, breakersOpen: 0, endpoints }];
  const lines = statusText({ ...status, upstreams }, nowMs, NO_COLOURS).split("\n");
  const title = lines.findIndex((line) => line.startsWith("UPSTREAM"));
  expect(lines[title + 1]).toMatch(/^app +e99 +down/);
});
