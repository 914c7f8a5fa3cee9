import { expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { fail } from "../core/failure.ts";
import { clock } from "../transport/clock.ts";
import type { Endpoint } from "./plan.ts";
import { tellTrouble } from "./trouble.ts";

const endpointNamed = (name: string): Endpoint => ({ name, pool: undefined as never });

function failing(endpoint: Endpoint) {
  const { exchange, services } = fakeExchange();
  exchange.plan.endpoint = endpoint;
  exchange.plan.upstream = { name: "app" } as never;
  return { exchange, reported: services.reported };
}

test("a certificate that does not verify is told with its endpoint and reason", () => {
  const { exchange, reported } = failing(endpointNamed("10.0.0.1:443"));
  tellTrouble(exchange, fail("tls_untrusted", "certificate has expired"));
  expect(reported).toEqual([
    "upstream app, endpoint 10.0.0.1:443: tls_untrusted: the endpoint's certificate could not be verified: certificate has expired",
  ]);
});

test("it is told once a minute for each endpoint, however many requests meet it", () => {
  const first = failing(endpointNamed("a"));
  const second = failing(endpointNamed("b"));
  const startMs = Math.ceil(clock.nowMs); // sums of fractions are not exact
  try {
    for (const [afterMs, told] of [
      [0, 1],
      [59_999, 1],
      [60_000, 2],
      [60_001, 2],
    ] as const) {
      clock.nowMs = startMs + afterMs;
      for (const { exchange, reported } of [first, second]) {
        tellTrouble(exchange, fail("tls_failed"));
        expect(reported.length).toBe(told);
      }
    }
  } finally {
    clock.nowMs = startMs;
  }
});

test("what mends itself is for counters and the access log", () => {
  const { exchange, reported } = failing(endpointNamed("a"));
  for (const code of ["connect_refused", "upstream_reset", "stream_refused"] as const) {
    tellTrouble(exchange, fail(code));
  }
  expect(reported).toEqual([]);
});
