import { expect, test } from "bun:test";
import { type FakeRequest, fakeExchange, fakeSite, fixedRoute } from "../../tests/support/fake-exchange.ts";
import type { ToHttps } from "./plan.ts";
import { run } from "./run.ts";

const DEFAULT: ToHttps = { status: 308, port: 443 };

function asked(request: FakeRequest, rule: ToHttps = DEFAULT) {
  const fake = fakeExchange({ site: fakeSite([fixedRoute()], { toHttps: rule }), ...request });
  run(fake.exchange, "receive");
  return {
    ...fake,
    status: fake.exchange.sentStatus,
    location: fake.exchange.responseFields.find("location"),
  };
}

const SENT: readonly [what: string, request: FakeRequest, location: string][] = [
  ["path and query stay", { target: "/a/b?c=d&e" }, "https://a.test/a/b?c=d&e"],
  ["the port of the plain listener goes", { lines: ["Host: a.test:8080"] }, "https://a.test/"],
  ["the host has one form", { lines: ["Host: A.Test."] }, "https://a.test/"],
  ["any host is sent to itself", { lines: ["Host: other.example"] }, "https://other.example/"],
  ["an IPv6 host keeps its brackets", { lines: ["Host: [2001:db8::1]:80"] }, "https://[2001:db8::1]/"],
  ["a path cannot become a host", { target: "//evil.example/x" }, "https://a.test/evil.example/x"],
  ["dots are gone before", { target: "/a/../b" }, "https://a.test/b"],
  ["an absolute target names its host", { target: "http://b.test/x?y", lines: [] }, "https://b.test/x?y"],
  ["OPTIONS * has no path", { method: "OPTIONS", target: "*" }, "https://a.test/"],
  ["POST too: 308 keeps method and body", { method: "POST", target: "/form" }, "https://a.test/form"],
];
for (const [what, request, location] of SENT) {
  test(`${what}: ${location}`, () => {
    const answer = asked(request);
    expect([answer.status, answer.location]).toEqual([308, location]);
  });
}

test("status and port are those of the configuration", () => {
  const { status, location } = asked({ target: "/x" }, { status: 301, port: 8443 });
  expect([status, location]).toEqual([301, "https://a.test:8443/x"]);
});

test("a request without a host is refused: there is nowhere to send it", () => {
  for (const lines of [[], ["Host: "]]) {
    const { status, location, exchange } = asked({ lines, isHttp10: true });
    expect([status, location, exchange.failure?.code]).toEqual([400, undefined, "h1_host_missing"]);
  }
});

test("what a trusted proxy took by https goes to its route, what a client merely claims does not", () => {
  const lines = ["Host: a.test", "X-Forwarded-Proto: HTTPS"];
  expect(asked({ lines, trusted: ["203.0.113.9"] }).status).toBe(200);
  expect(asked({ lines }).status).toBe(308);
  expect(asked({ lines: ["Host: a.test"], trusted: ["203.0.113.9"] }).status).toBe(308);
});
