import { expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, type BodyKind } from "../core/body.ts";
import { FAILURE_CODES, type FailureCode, fail } from "../core/failure.ts";
import type { Planned, UpstreamGroup } from "./plan.ts";
import { prepareRetry } from "./retry.ts";

const ENDPOINTS = ["a", "b", "c"].map((name) => ({ name, pool: undefined as never }));

function attempted(parts: Partial<Planned> = {}, endpoints = ENDPOINTS): Planned {
  const { exchange } = fakeExchange();
  const group: UpstreamGroup = {
    name: "app",
    endpoints,
    isHttp2: false,
    chooser: { choose: () => 0, stickyLine: () => "" },
  };
  Object.assign(exchange, parts);
  exchange.plan.upstream = group;
  exchange.plan.endpoint = endpoints[0];
  exchange.plan.attempts = 1;
  return exchange;
}

const ELSEWHERE: readonly FailureCode[] = [
  "connect_refused",
  "connect_timeout",
  "name_unresolved",
  "tls_failed",
];
const SAME: readonly FailureCode[] = ["stale_connection", "stream_refused"];

for (const code of FAILURE_CODES) {
  const where = ELSEWHERE.includes(code) ? "another endpoint" : SAME.includes(code) ? "the same" : "nowhere";
  test(`after ${code} a GET is tried again: ${where}`, () => {
    const exchange = attempted();
    expect(prepareRetry(exchange, fail(code))).toBe(where !== "nowhere");
    expect(exchange.plan.isFreshRetry).toBe(where === "the same");
    expect(exchange.plan.excluded?.[0] ?? 0).toBe(where === "another endpoint" ? 1 : 0);
  });
}

test("a stream that the endpoint has not begun is sent again whatever its method (RFC 9113 §8.7)", () => {
  const exchange = attempted({ method: "POST", requestBodyKind: BODY_LENGTH, requestBodyLength: 5 });
  expect([prepareRetry(exchange, fail("stream_refused")), exchange.plan.isFreshRetry]).toEqual([true, true]);
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
    expect(prepareRetry(exchange, fail("stale_connection"))).toBe(isRepeated);
  });
}

test("a request that never left may go to another endpoint whatever its method", () => {
  expect(
    prepareRetry(attempted({ method: "POST", requestBodyKind: BODY_STREAM }), fail("connect_refused")),
  ).toBe(true);
});

test("three attempts are the most", () => {
  const exchange = attempted();
  exchange.plan.attempts = 3;
  expect(prepareRetry(exchange, fail("connect_refused"))).toBe(false);
});

test("each endpoint is tried once: when all have failed there is no other", () => {
  const exchange = attempted({}, ENDPOINTS.slice(0, 2));
  expect(prepareRetry(exchange, fail("connect_refused"))).toBe(true);
  exchange.plan.endpoint = ENDPOINTS[1];
  expect(prepareRetry(exchange, fail("connect_refused"))).toBe(false);
  expect([...(exchange.plan.excluded ?? [])]).toEqual([1, 1]);
});

test("nothing is tried again once the client has seen a head, or its own message is broken", () => {
  expect(prepareRetry(attempted({ isHeadSent: true }), fail("connect_refused"))).toBe(false);
  const broken = attempted();
  broken.plan.isRequestBroken = true;
  expect(prepareRetry(broken, fail("stale_connection"))).toBe(false);
});
