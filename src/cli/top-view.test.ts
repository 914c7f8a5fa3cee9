import { describe, expect, test } from "bun:test";
import { SAMPLE_STATUS } from "../../tests/support/sample-status.ts";
import { COLOURS, NO_COLOURS } from "./terminal.ts";
import type { EndpointFrame, Frame, RouteFrame } from "./top-frame.ts";
import { topLines } from "./top-view.ts";

const RATES = { requests: 120, errors: 0, p50Ms: 0.42, p95Ms: 3.1, p99Ms: 12 };
const route = (name: string, more: Partial<RouteFrame> = {}): RouteFrame => ({
  name,
  active: 1,
  ...RATES,
  ...more,
});
const endpoint = (name: string, more: Partial<EndpointFrame> = {}): EndpointFrame => ({
  upstream: "app",
  name,
  active: 0,
  state: "up",
  why: "",
  since: undefined,
  ...RATES,
  ...more,
});
const SINCE = "2026-02-01T00:00:00.000Z";
const nowMs = Date.parse(SINCE) + 90_000;
const frame: Frame = {
  status: SAMPLE_STATUS,
  seconds: 1,
  total: route("", { requests: 12_345, errors: 12 }),
  routes: [route("quiet", { requests: 0.4 }), route("api", { requests: 3450 })],
  endpoints: [
    endpoint("10.0.0.1:80"),
    endpoint("10.0.0.2:80", { state: "ejected", why: "failed several requests in a row", since: SINCE }),
  ],
  held: [],
};
const lines = (given: Frame, columns: number, rows: number, paint = NO_COLOURS) =>
  topLines(given, { size: { columns, rows }, paint, nowMs }, "q leaves");

const many: Frame = {
  ...frame,
  routes: Array.from({ length: 300 }, (_, at) => route(`route-with-a-rather-long-name-${at}`)),
  endpoints: Array.from({ length: 300 }, (_, at) =>
    endpoint(`endpoint-${at}.of-some-service.internal.example.com:8080`, {
      ...(at === 250 ? { state: "down" as const, why: "checks time out" } : {}),
    }),
  ),
  held: [{ name: "app", waiting: 12, breakersOpen: 1 }],
};

describe("in 80 columns and 24 rows", () => {
  test("everything is there: totals, the busiest route first, trouble with its reason first", () => {
    expect(lines(frame, 80, 24)).toEqual([
      expect.stringMatching(/^weir 0\.1\.0 {2}running for 1m 31s {2}configuration 3 {2}workers 1\/2/),
      "12.3k req/s  0.1% 5xx  1 in flight  p50 0.42 ms  p95 3.10 ms  p99 12 ms",
      "",
      "ROUTE      REQ/S  ERR/S ACTIVE      P50      P95      P99",
      "api         3450      0      1  0.42 ms  3.10 ms    12 ms",
      "quiet        0.4      0      1  0.42 ms  3.10 ms    12 ms",
      "",
      "UPSTREAM ENDPOINT STATE         SINCE   REQ/S  ERR/S ACTIVE      P99",
      "app 10.0.0.2:80   ejected          1m     120      0      0    12 ms",
      "  failed several requests in a row",
      "app 10.0.0.1:80   up                -     120      0      0    12 ms",
      "q leaves",
    ]);
  });
});

describe("whatever there is to show", () => {
  const sizes: [columns: number, rows: number][] = [
    [80, 24],
    [200, 60],
    [100, 30],
    [60, 16],
    [80, 8],
    [80, 5],
    [80, 1],
  ];
  test.each(sizes)("%p columns and %p rows are never exceeded", (columns, rows) => {
    for (const given of [frame, many, { ...frame, routes: [], endpoints: [] }]) {
      const shown = lines(given, columns, rows);
      expect(shown.length).toBeLessThanOrEqual(rows);
      expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
  });

  test("what is left out is counted, and an endpoint in trouble is not left out", () => {
    const shown = lines(many, 80, 24);
    expect(shown.some((line) => /^app .*:8080 +down/.test(line))).toBe(true);
    expect(shown).toContain("  checks time out");
    expect(shown.some((line) => /^… and \d+ more routes$/.test(line))).toBe(true);
    expect(shown).toContain("app: 12 wait for a place, breaker open in 1 of the workers");
  });

  test("a long name keeps its begin and its end", () => {
    const shown = lines(many, 80, 24).find((line) => line.includes(" down"));
    expect(shown).toMatch(/^app endp\S*….*:8080 /);
  });

  test("a wide terminal shows all quantiles of endpoints", () => {
    const shown = lines(frame, 120, 24);
    expect(shown.find((line) => line.startsWith("UPSTREAM"))).toMatch(/P50 +P95 +P99$/);
  });

  test("control characters of names and reasons do not reach the terminal", () => {
    const evil = {
      ...frame,
      routes: [route("\x1b[2J")],
      endpoints: [endpoint("\x07", { state: "down", why: "\x1b]0;x\x07" })],
    };
    expect(lines(evil, 80, 24).join("")).not.toMatch(/\p{Cc}/u);
  });

  test("colours change nothing but the colour", () => {
    const coloured = lines(many, 80, 24, COLOURS).map((line) => Bun.stripANSI(line));
    expect(coloured).toEqual(lines(many, 80, 24));
  });
});
