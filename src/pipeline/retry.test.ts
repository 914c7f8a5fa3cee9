import { expect, test } from "bun:test";
import { fakeExchange, fixedRoute, ROUTE_SLOT } from "../../tests/support/fake-exchange.ts";
import { PLAIN_RETRY } from "../config/check/resilience.ts";
import type { RetryConfig } from "../config/config.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, type BodyKind } from "../core/body.ts";
import { FAILURE_CODES, type FailureCode, fail } from "../core/failure.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { RetryBudget } from "../limit/budget.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import { BufferBudget } from "../transport/wire.ts";
import { Again } from "./again.ts";
import type { Planned, UpstreamGroup } from "./plan.ts";
import { RepeatBody } from "./repeat-body.ts";
import { mayGoBack, NO_TRY, tryAfterAnswer, tryAfterFailure } from "./retry.ts";
import { compileRetry } from "./retry-rules.ts";

const ENDPOINTS = ["a", "b", "c"].map((name) => ({ name, pool: undefined as never }));
const AT = ROUTE.at;
const DEEP: Partial<RetryConfig> = { on: ["connect", "reset", "timeout", 503], bufferBytes: 1024 };

interface Setting {
  readonly retry?: Partial<RetryConfig>;
  readonly endpoints?: typeof ENDPOINTS;
  readonly budget?: RetryBudget;
  readonly kept?: string;
}

/** An exchange whose first attempt went to the first endpoint. */
function attempted(parts: Partial<Planned> = {}, setting: Setting = {}): Planned {
  const { exchange, services } = fakeExchange();
  const endpoints = setting.endpoints ?? ENDPOINTS;
  const group: UpstreamGroup = {
    name: "app",
    endpoints,
    isHttp2: false,
    chooser: {
      choose: (_, excluded) => endpoints.findIndex((_one, at) => excluded?.[at] !== 1),
      hasRoom: () => true,
      stickyLine: () => "",
    },
  };
  const budget = setting.budget ?? new RetryBudget({ share: 1, floorPerSec: 10 });
  const { plan } = exchange;
  plan.route = fixedRoute({
    retry: compileRetry({ ...PLAIN_RETRY, ...setting.retry }, ["app"], () => budget),
  });
  Object.assign(exchange, parts);
  plan.upstream = group;
  plan.endpoint = endpoints[0];
  plan.endpointIndex = 0;
  plan.attempts = 1;
  if (setting.kept !== undefined) {
    plan.again = new Again();
    plan.again.body = new RepeatBody(services.budget, 1024);
    plan.again.body.take(Buffer.from(setting.kept));
  }
  return exchange;
}

const isTried = (exchange: Planned, code: FailureCode) => tryAfterFailure(exchange, fail(code)) !== NO_TRY;
const counted = ({ plan }: Planned, at: number) => plan.services.counters[ROUTE_SLOT + at];

const ELSEWHERE: readonly FailureCode[] = [
  "connect_refused",
  "connect_timeout",
  "name_unresolved",
  "tls_failed",
];
const SAME: readonly FailureCode[] = ["stale_connection", "stream_refused"];
const ASKED: readonly FailureCode[] = ["upstream_reset", "response_timeout"];

for (const code of FAILURE_CODES) {
  const where = ELSEWHERE.includes(code) ? "another endpoint" : SAME.includes(code) ? "the same" : "nowhere";
  test(`after ${code} a GET is tried again where nothing is said: ${where}`, () => {
    const exchange = attempted();
    expect(isTried(exchange, code)).toBe(where !== "nowhere");
    expect(exchange.plan.isFreshRetry).toBe(where === "the same");
    expect(exchange.plan.excluded?.[0] ?? 0).toBe(where === "another endpoint" ? 1 : 0);
  });

  test(`after ${code} a GET is tried again where all is asked for: ${ASKED.includes(code) ? "another endpoint" : where}`, () => {
    expect(isTried(attempted({}, { retry: DEEP }), code)).toBe(where !== "nowhere" || ASKED.includes(code));
  });
}

test("a stream that the endpoint has not begun is sent again whatever its method (RFC 9113 §8.7)", () => {
  const exchange = attempted({ method: "POST", requestBodyKind: BODY_LENGTH, requestBodyLength: 5 });
  expect([tryAfterFailure(exchange, fail("stream_refused")), exchange.plan.isFreshRetry]).toEqual([0, true]);
});

const STALE: readonly [method: string, kind: BodyKind, length: number, isRepeated: boolean][] = [
  ["GET", BODY_NONE, -1, true],
  ["HEAD", BODY_NONE, -1, true],
  ["OPTIONS", BODY_NONE, -1, true],
  ["PUT", BODY_LENGTH, 0, true],
  ["DELETE", BODY_NONE, -1, true],
  ["POST", BODY_NONE, -1, false],
  ["PATCH", BODY_LENGTH, 0, false],
  ["PUT", BODY_LENGTH, 5, false],
  ["GET", BODY_STREAM, -1, false],
  ["MKCOL", BODY_NONE, -1, false],
];
for (const [method, requestBodyKind, requestBodyLength, isRepeated] of STALE) {
  test(`a stale connection: ${method} with a body of ${requestBodyLength} is ${isRepeated ? "" : "not "}sent again (RFC 9110 §9.2.2)`, () => {
    const exchange = attempted({ method, requestBodyKind, requestBodyLength });
    expect(isTried(exchange, "stale_connection")).toBe(isRepeated);
  });
}

const BODIED = { requestBodyKind: BODY_LENGTH, requestBodyLength: 5 } as const;
const SENT: readonly [
  what: string,
  code: FailureCode,
  parts: Partial<Planned>,
  setting: Setting,
  isRepeated: boolean,
][] = [
  ["GET after a reset", "upstream_reset", {}, { retry: DEEP }, true],
  ["GET after a reset, with `on: timeout`", "upstream_reset", {}, { retry: { on: ["timeout"] } }, false],
  ["GET after a time-out, with `on: reset`", "response_timeout", {}, { retry: { on: ["reset"] } }, false],
  ["GET after a time-out", "response_timeout", {}, { retry: DEEP }, true],
  ["POST after a reset", "upstream_reset", { method: "POST" }, { retry: DEEP }, false],
  [
    "POST that the route names",
    "upstream_reset",
    { method: "POST" },
    { retry: { ...DEEP, methods: ["POST"] } },
    true,
  ],
  ["PUT whose body was not kept", "upstream_reset", { method: "PUT", ...BODIED }, { retry: DEEP }, false],
  [
    "PUT whose body was kept",
    "upstream_reset",
    { method: "PUT", ...BODIED },
    { retry: DEEP, kept: "12345" },
    true,
  ],
  [
    "PUT on a stale connection whose body was kept",
    "stale_connection",
    { method: "PUT", ...BODIED },
    { retry: DEEP, kept: "12345" },
    true,
  ],
  ["GET when connections are not tried again", "connect_refused", {}, { retry: { on: ["reset"] } }, false],
  ["GET with one attempt", "connect_refused", {}, { retry: { attempts: 1 } }, false],
  ["GET without a budget", "upstream_reset", {}, { retry: { ...DEEP, budget: 0 } }, false],
  ["GET whose time is over", "upstream_reset", { deadlineMs: 0 }, { retry: DEEP }, false],
  ["POST that was never sent", "connect_refused", { method: "POST", requestBodyKind: BODY_STREAM }, {}, true],
  ["GET that was never sent, without a budget", "connect_refused", {}, { retry: { budget: 0 } }, true],
];
for (const [what, code, parts, setting, isRepeated] of SENT) {
  test(`${isRepeated ? "sent again" : "not sent again"}: ${what}`, () => {
    expect(isTried(attempted(parts, setting), code)).toBe(isRepeated);
  });
}

test("a body of which a part is missing is not sent again", () => {
  const exchange = attempted({ method: "PUT", ...BODIED }, { retry: DEEP, kept: "12345" });
  exchange.plan.again?.body?.take(Buffer.alloc(1020));
  expect(isTried(exchange, "upstream_reset")).toBe(false);
  expect(counted(exchange, AT.unrepeatable)).toBe(1);
});

test("the attempts of the route are the most", () => {
  const exchange = attempted();
  exchange.plan.attempts = 3;
  expect(isTried(exchange, "connect_refused")).toBe(false);
  expect(isTried(attempted({}, { retry: { attempts: 5 } }), "connect_refused")).toBe(true);
});

const AFTER_ALL: readonly [code: FailureCode, isTried: boolean][] = [
  ["connect_refused", true],
  ["connect_timeout", false],
  ["name_unresolved", false],
  ["tls_failed", false],
];
for (const [code, isTriedAgain] of AFTER_ALL) {
  test(`no other endpoint is left after ${code}: ${isTriedAgain ? "the same is asked after a while" : "that was it"}`, () => {
    const exchange = attempted({}, { endpoints: ENDPOINTS.slice(0, 1), retry: { backoffMs: 100 } });
    Object.assign(exchange.plan.services, { chance: () => 0.5 });
    expect(tryAfterFailure(exchange, fail(code))).toBe(isTriedAgain ? 50 : NO_TRY);
    expect(mayGoBack(exchange.plan)).toBe(isTriedAgain);
  });
}

test("nothing is tried again once the client has seen a head, or its own message is broken", () => {
  expect(isTried(attempted({ isHeadSent: true }), "connect_refused")).toBe(false);
  const broken = attempted();
  broken.plan.isRequestBroken = true;
  expect(isTried(broken, "stale_connection")).toBe(false);
});

const WAITS: readonly [attempts: number, chance: number, ms: number][] = [
  [1, 0, 0],
  [1, 0.5, 50],
  [2, 0.5, 100],
  [3, 0.5, 200],
  [4, 0.5, 250],
];
for (const [attempts, chance, ms] of WAITS) {
  test(`after attempt ${attempts} a wait of ${ms} ms: by chance below a bound that doubles up to the most`, () => {
    const retry = { ...DEEP, attempts: 10, backoffMs: 100, maxBackoffMs: 500 };
    const exchange = attempted({}, { retry });
    exchange.plan.attempts = attempts;
    Object.assign(exchange.plan.services, { chance: () => chance });
    expect(tryAfterFailure(exchange, fail("upstream_reset"))).toBe(ms);
  });
}

test("the budget bounds repeats of what was sent, and not those of what was not", () => {
  const budget = new RetryBudget({ share: 0, floorPerSec: 0.1 });
  const retry = { ...DEEP, budget: 0.2 };
  const outcomes = (["upstream_reset", "upstream_reset", "connect_refused"] as const).map((code) => {
    const exchange = attempted({}, { retry, budget });
    return [isTried(exchange, code), counted(exchange, AT.budgetEmpty)];
  });
  expect(outcomes).toEqual([
    [true, 0],
    [false, 1],
    [true, 0],
  ]);
});

const ANSWERS: readonly [what: string, status: number, lines: string, delayMs: number][] = [
  ["a status that the route names", 503, "", 0],
  ["another status", 502, "", NO_TRY],
  ["Retry-After", 503, "Retry-After: 1\r\n", 1000],
  ["Retry-After beyond the longest wait", 503, "Retry-After: 2\r\n", NO_TRY],
  ["Retry-After that makes no sense", 503, "Retry-After: soon\r\n", 0],
];
for (const [what, status, lines, delayMs] of ANSWERS) {
  test(`after an answer with ${what}: ${delayMs === NO_TRY ? "it is passed on" : `again in ${delayMs} ms`} (RFC 9110 §10.2.3)`, () => {
    const exchange = attempted({ status, responseFields: fieldsOfLines(lines) }, { retry: DEEP });
    expect(tryAfterAnswer(exchange)).toBe(delayMs);
    expect(exchange.plan.excluded?.[0] ?? 0).toBe(delayMs === NO_TRY ? 0 : 1);
  });
}

test("Retry-After beyond the time that is left is passed on", () => {
  const parts = { status: 503, responseFields: fieldsOfLines("Retry-After: 1\r\n") };
  const exchange = attempted({ ...parts, deadlineMs: clock.nowMs + 500 }, { retry: DEEP });
  expect(tryAfterAnswer(exchange)).toBe(NO_TRY);
});

test("each reason is counted", () => {
  for (const [code, at] of [
    ["connect_refused", AT.retriesConnect],
    ["stale_connection", AT.retriesStale],
    ["upstream_reset", AT.retriesReset],
    ["response_timeout", AT.retriesTimeout],
  ] as const) {
    const exchange = attempted({}, { retry: DEEP });
    tryAfterFailure(exchange, fail(code));
    expect(counted(exchange, at)).toBe(1);
  }
});

test("bytes that are kept count, are copies, and are given back past the bound", () => {
  const budget = new BufferBudget(100);
  const body = new RepeatBody(budget, 10);
  const piece = Buffer.from("hello");
  body.take(piece);
  piece.fill(0);
  expect([body.copy().toString(), budget.usedBytes, body.isWhole]).toEqual(["hello", 5, true]);
  body.take(Buffer.alloc(6));
  expect([body.copy().length, budget.usedBytes, body.isWhole]).toEqual([0, 0, false]);
});

test("nothing is kept while memory is short", () => {
  const budget = new BufferBudget(0);
  budget.usedBytes = 1;
  const body = new RepeatBody(budget, 10);
  body.take(Buffer.from("x"));
  expect([body.isWhole, budget.usedBytes]).toEqual([false, 1]);
});
