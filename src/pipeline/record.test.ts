import { expect, test } from "bun:test";
import {
  fakeExchange,
  fixedRoute,
  ROUTE_SLOT,
  UNROUTED_SLOT,
  WORKER_SLOT,
} from "../../tests/support/fake-exchange.ts";
import { FAILURE_INDEX, type FailureCode, fail } from "../core/failure.ts";
import { HISTOGRAM_BUCKETS, ROUTE, WORKER } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import { record } from "./record.ts";

const AT = ROUTE.at;

function routed() {
  const fake = fakeExchange({ target: "/p?q=1" });
  const { exchange, services } = fake;
  exchange.plan.route = fixedRoute();
  exchange.startedAtMs = clock.nowMs - 20;
  services.counters[ROUTE_SLOT + AT.active] = 1;
  return { ...fake, at: (offset: number) => services.counters[ROUTE_SLOT + offset] };
}

const STATUSES: readonly [sent: number, failure: FailureCode | undefined, slot: number, logged: number][] = [
  [101, undefined, AT.status1xx, 101],
  [200, undefined, AT.status2xx, 200],
  [308, undefined, AT.status3xx, 308],
  [404, "no_route", AT.status4xx, 404],
  [502, "upstream_reset", AT.status5xx, 502],
  [999, undefined, AT.status5xx, 999],
  [0, "downstream_closed", AT.status4xx, 499],
  [0, "internal", AT.status5xx, 500],
];
for (const [sent, code, slot, logged] of STATUSES) {
  test(`status ${sent}${code === undefined ? "" : ` with ${code}`} is counted in its class and logged as ${logged}`, () => {
    const { exchange, services, at } = routed();
    exchange.sentStatus = sent;
    exchange.failure = code === undefined ? undefined : fail(code);
    record(exchange);
    expect(at(slot)).toBe(1);
    expect(services.logged[0]).toMatchObject({ status: logged, cause: code ?? "done" });
  });
}

test("bytes, duration and the gauge of the route are brought up to date", () => {
  const { exchange, at } = routed();
  Object.assign(exchange, { sentStatus: 200, bytesReceived: 10, bytesSent: 200 });
  record(exchange);
  expect([at(AT.bytesReceived), at(AT.bytesSent), at(AT.active), at(AT.retries)]).toEqual([10, 200, 0, 0]);
  expect(at(AT.duration + HISTOGRAM_BUCKETS)).toBeCloseTo(0.02, 4);
});

test("attempts after the first are retries", () => {
  const { exchange, at } = routed();
  exchange.sentStatus = 200;
  exchange.plan.attempts = 3;
  record(exchange);
  expect(at(AT.retries)).toBe(2);
});

test("a failure is counted by its reason; one that cut a response short as aborted, one that was answered not", () => {
  const rows = [
    { isHeadSent: true, isSent: false, aborted: 1 },
    { isHeadSent: true, isSent: true, aborted: 0 },
    { isHeadSent: false, isSent: false, aborted: 0 },
  ];
  for (const { isHeadSent, isSent, aborted } of rows) {
    const { exchange, services, at } = routed();
    Object.assign(exchange, { sentStatus: 200, isHeadSent, failure: fail("upstream_cut") });
    exchange.plan.isSent = isSent;
    record(exchange);
    const reason = WORKER_SLOT + WORKER.at.failures + (FAILURE_INDEX.get("upstream_cut") as number);
    expect([services.counters[reason], at(AT.aborted)]).toEqual([1, aborted]);
  }
});

test("an exchange that no route took is counted apart, and leaves no gauge behind", () => {
  const { exchange, services } = fakeExchange();
  exchange.sentStatus = 404;
  exchange.failure = fail("no_route");
  record(exchange);
  expect(services.counters[UNROUTED_SLOT + AT.status4xx]).toBe(1);
  expect(services.counters[UNROUTED_SLOT + AT.active]).toBe(0);
});

test("times that were not reached are negative in the log entry", () => {
  const { exchange, services } = routed();
  Object.assign(exchange, { sentStatus: 200, connectStartedAtMs: 5, connectedAtMs: 8, sentAtMs: 8 });
  record(exchange);
  expect(services.logged[0]).toMatchObject({ connectMs: 3, firstByteMs: -1, queueMs: 0 });
});

test("the log entry of a request that was not understood has what there is of its target", () => {
  const { exchange, services } = fakeExchange({ target: "/raw?x" });
  exchange.failure = fail("h1_host_missing");
  exchange.sentStatus = 400;
  record(exchange);
  expect(services.logged[0]).toMatchObject({ path: "/raw", route: "", upstream: "", endpoint: "" });
});

test("without a log nothing is made for it", () => {
  const { exchange, services } = routed();
  services.logAccess = undefined;
  record(exchange);
  expect(services.logged).toEqual([]);
});
