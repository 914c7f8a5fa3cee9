import { describe, expect, test } from "bun:test";
import {
  type FakeRequest,
  fakeExchange,
  fakeSite,
  fakeTls,
  fixedRoute,
} from "../../tests/support/fake-exchange.ts";
import { CERTIFICATE_NAMES } from "../core/field-names.table.ts";
import { pairsOfLines } from "../core/fields.ts";
import { compileEdits } from "../route/edits.ts";
import type { ClientCertificate } from "../session/exchange.ts";
import { clock } from "../transport/clock.ts";
import { forward, upstreamLines } from "./forward.ts";
import { guard } from "./guard.ts";
import type { Planned, Route } from "./plan.ts";
import { receive } from "./receive.ts";

const ALICE: ClientCertificate = {
  subject: "CN=alice",
  issuer: "CN=clients",
  sans: ["DNS:alice.test"],
  serial: "01",
  fingerprint: "ab",
  der: "AAAA",
};

/** Fields as an endpoint gets them, names in lower case. */
function sent(request: FakeRequest, route: Route = fixedRoute()): [name: string, value: string][] {
  const { exchange } = fakeExchange(request);
  receive(exchange);
  return pairsOfLines(upstreamLines(exchange, route, "10.0.0.1:80")).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
}
const valuesOf = (fields: [string, string][], wanted: string) =>
  fields.filter(([name]) => name === wanted).map(([, value]) => value);

describe("what is said about the client's certificate", () => {
  const spoofed = CERTIFICATE_NAMES.flatMap((name) => [
    `${name}: forged`,
    `${name.replaceAll("-", "_").toUpperCase()}: forged`,
    `${name.replace("-", "_")}: forged`,
  ]);
  const lines = ["Host: a.test", ...spoofed];
  const forgedOf = (request: FakeRequest) =>
    sent({ lines, ...request })
      .filter(([, value]) => value === "forged")
      .map(([name]) => name);
  const forwards = fakeSite([], { forwardsCertificate: true });
  const tls = fakeTls({ client: ALICE });
  const trusted = ["203.0.113.9"];

  test("by a client is dropped, in every spelling, on every listener", () => {
    expect([
      forgedOf({}),
      forgedOf({ tls }),
      forgedOf({ tls, site: forwards }),
      forgedOf({ isHttp2: true }),
    ]).toEqual([[], [], [], []]);
  });
  test("by a trusted proxy passes, but for underscores, unless this listener verifies clients itself", () => {
    expect(forgedOf({ trusted })).toEqual([...CERTIFICATE_NAMES]);
    expect(forgedOf({ trusted, tls, site: forwards })).toEqual([]);
  });
  test("by us goes to the endpoint where the listener forwards it, and nowhere else", () => {
    const names = (request: FakeRequest) =>
      sent({ tls, ...request }).filter(([name]) => name.includes("client-cert"));
    expect(names({ site: forwards }).map(([name]) => name)).toEqual([
      "client-cert",
      ...["subject", "issuer", "san", "serial", "fingerprint", "verified"].map(
        (part) => `x-client-cert-${part}`,
      ),
    ]);
    expect(names({ site: forwards, trusted }).length).toBe(7);
    expect(names({})).toEqual([]);
    expect(names({ site: forwards, tls: fakeTls() })).toEqual([]);
  });
  test("a route may take one of the fields away", () => {
    const requestEdits = compileEdits({ set: [], add: [], remove: ["Client-Cert"] });
    const fields = sent({ tls, site: forwards }, fixedRoute({ requestEdits }));
    expect([valuesOf(fields, "client-cert"), valuesOf(fields, "x-client-cert-subject")]).toEqual([
      [],
      ["CN=alice"],
    ]);
  });
});

test("Via names the version that the client spoke (RFC 9110 §7.6.3)", () => {
  const rows: [request: FakeRequest, via: string][] = [
    [{}, "1.1 weir"],
    [{ isHttp10: true }, "1.0 weir"],
    [{ isHttp2: true }, "2.0 weir"],
    [{ isHttp2: true, trusted: ["203.0.113.9"], lines: ["Host: a", "Via: 1.1 edge"] }, "1.1 edge, 2.0 weir"],
  ];
  for (const [request, via] of rows) expect(valuesOf(sent(request), "via")).toEqual([via]);
});

function composed(request: FakeRequest, route: Partial<Route> = {}): Planned {
  const pool = { send: () => true };
  const action = { kind: "proxy", split: undefined as never, upstreams: [] } as const;
  const { exchange } = fakeExchange(request);
  exchange.plan.route = fixedRoute({ action, ...route });
  exchange.plan.endpoint = { name: "e", pool: pool as never };
  exchange.startedAtMs = clock.nowMs - 100;
  receive(exchange);
  guard(exchange);
  forward(exchange);
  return exchange;
}

test("trailers are taken when TE says so, and TE itself goes no further (RFC 9110 §10.1.4)", () => {
  const rows: [te: string[], takes: boolean][] = [
    [["TE: trailers"], true],
    [["TE: gzip;q=0.5, Trailers"], true],
    [["TE: gzip", "TE: trailers;q=1"], true],
    [["TE: gzip"], false],
    [["TE: xtrailers"], false],
    [["TE: "], false],
    [[], false],
  ];
  for (const [te, takes] of rows) {
    const lines = ["Host: a.test", ...te];
    expect([te, composed({ lines, isHttp2: true }).takesTrailers]).toEqual([te, takes]);
    expect(valuesOf(sent({ lines, isHttp2: true }), "te")).toEqual([]);
  }
});

describe("a gRPC deadline", () => {
  const call = (timeout: string) => ({
    lines: ["Host: a.test", "Content-Type: application/grpc", `grpc-timeout: ${timeout}`],
    isHttp2: true,
  });
  const leftOf = (exchange: Planned) => exchange.deadlineMs - exchange.startedAtMs;
  const passed = (exchange: Planned) =>
    /grpc-timeout: (\d+)m/.exec(exchange.upstreamAdded)?.[1] ??
    exchange.requestFields.linesWithout(exchange.upstreamDropLow, exchange.upstreamDropHigh);

  test("ends the exchange, and what is left of it goes to the endpoint", () => {
    const exchange = composed(call("2S"));
    expect(leftOf(exchange)).toBeCloseTo(2000, 3);
    expect(Number(passed(exchange))).toBeWithin(1000, 1901);
  });
  test("gives way to a shorter timeouts.request, and that goes to the endpoint", () => {
    const exchange = composed(call("1H"), { requestMs: 5000 });
    expect(leftOf(exchange)).toBeCloseTo(5000, 3);
    expect(Number(passed(exchange))).toBeWithin(4000, 4901);
  });
  test("is shorter than timeouts.request", () => {
    expect(leftOf(composed(call("1S"), { requestMs: 5000 }))).toBeCloseTo(1000, 3);
  });
  test("that is none changes nothing and passes as it came", () => {
    const exchange = composed(call("soon"));
    expect([exchange.deadlineMs, passed(exchange)]).toEqual([
      Number.POSITIVE_INFINITY,
      expect.stringContaining("grpc-timeout: soon\r\n"),
    ]);
  });
});
