import { describe, expect, test } from "bun:test";
import { checkConfig } from "../config/check.ts";
import type { Config } from "../config/config.ts";
import { NOWHERE } from "../config/problem.ts";
import { endpointText, retryText, upstreamFacts } from "./explain-upstream.ts";

function configOf(upstream: object, retry: object = {}): Config {
  const value = {
    listeners: { web: { bind: ":8080" } },
    routes: [{ to: "app", retry }],
    upstreams: { app: upstream },
  };
  const { config, problems } = checkConfig(
    { file: "weir.yaml", value, locate: () => NOWHERE, written: () => undefined },
    { env: {}, cores: 1, folder: "/", kindOf: () => "other", readText: () => ({ error: "none" }) },
  );
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return config;
}

const factsOf = (upstream: object, zone = "") => upstreamFacts(configOf(upstream).upstreams[0], zone);
const PAIR = ["10.0.0.1:80", "10.0.0.2:80"];

test("shares are those of the first tier that takes anything; the others say what they wait for", () => {
  const { endpoints } = factsOf({
    endpoints: [
      { address: "10.0.0.1:80", weight: 3, zone: "a" },
      "10.0.0.2:80",
      { address: "10.0.0.3:80", weight: 0 },
      { address: "10.0.0.4:80", priority: 1, weight: 5, zone: "b" },
      { address: "10.0.0.5:80", backup: true },
    ],
  });
  expect(endpoints.map(endpointText)).toEqual([
    "75 %  in a",
    "25 %",
    "only what sticks to it",
    "priority 1: when those before are too few  in b",
    "backup: only when no other is usable",
  ]);
});

test("from a machine in a zone, its endpoints take all, and the others of the tier wait for it", () => {
  const near = (zone: string) =>
    factsOf(
      {
        endpoints: [
          { address: "10.0.0.1:80", weight: 3, zone: "a" },
          { address: "10.0.0.2:80", zone: "a" },
          { address: "10.0.0.3:80", zone: "b" },
          { address: "10.0.0.4:80", priority: 1, zone: "c" },
        ],
      },
      zone,
    ).endpoints.map(endpointText);
  const behind = "priority 1: when those before are too few  in c";
  const farOf = (zone: string) => `when those in zone ${zone} are too few`;
  expect(near("a")).toEqual(["75 %  in a", "25 %  in a", `${farOf("a")}  in b`, behind]);
  expect(near("b")).toEqual([`${farOf("b")}  in a`, `${farOf("b")}  in a`, "100 %  in b", behind]);
  const all = ["60 %  in a", "20 %  in a", "20 %  in b", behind];
  expect(near("")).toEqual(all);
  expect(near("c")).toEqual(all);
});

test("a hash is explained with what it looks at, and one endpoint needs no rule", () => {
  const hashed = (hash: string) => factsOf({ endpoints: PAIR, balance: "hash", hash }).choice;
  expect(hashed("header:X-User")).toContain("for the same header x-user");
  expect(hashed("clientIp")).toContain("for the same client address");
  expect(hashed("path")).toContain("for the same path");
  expect(factsOf({ endpoints: "10.0.0.1:80" }).choice).toBe("one endpoint");
  expect(factsOf({ discovery: { dns: "app.internal:80" } }).choice).toStartWith("round-robin");
});

describe("a rule is shown when it is on, and no other", () => {
  const sources = {
    dns: "app.internal:80",
    srv: "_http._tcp.app.internal",
    docker: { label: "app=web" },
    http: "http://registry.internal/app",
  };
  const ROWS: readonly (readonly [upstream: object, rules: Readonly<Record<string, string>>])[] = [
    [{ endpoints: "10.0.0.1:80" }, {}],
    [
      { endpoints: PAIR },
      { ejected: "after 5 failures in a row in 30s, for 30s and longer; 50% of them at most" },
    ],
    [{ endpoints: PAIR, health: { passive: "off" } }, {}],
    [{ endpoints: PAIR, health: { passive: { failures: 0 } } }, {}],
    [
      { endpoints: PAIR, health: { passive: { failures: 0, errorRate: "30%", latency: "300%" } } },
      {
        ejected:
          "after 30% errors or 300% of the others' latency in 30s, for 30s and longer; 50% of them at most",
      },
    ],
    [
      {
        endpoints: "10.0.0.1:80",
        sticky: { cookie: "cart", ttl: "90m", secret: "0123456789abcdef" },
        health: { active: { path: "/healthz", port: 81, interval: "1500ms" }, slowStart: "30s" },
        limits: { connections: 10, perEndpoint: 5, adaptive: true },
        breaker: true,
      },
      {
        sticky: "by cookie cart, for 90m",
        checked: "by http GET /healthz on port 81 each 1500ms: out after 3 failures, back after 2 successes",
        "slow start": "30s to its full share",
        limits: "10 in flight, 5 at an endpoint, what latency allows; 1024 wait up to 5s; in each worker",
        breaker: "open for 10s after 50% errors in 10s, of 20 requests or more",
      },
    ],
    [
      {
        endpoints: "10.0.0.1:80",
        sticky: true,
        health: { active: { type: "command", command: ["/bin/check", "x"], interval: "5s" } },
        limits: { connections: 10, queue: 0 },
      },
      {
        sticky: "by cookie weir, until the browser is closed",
        checked: "by /bin/check each 5s: out after 3 failures, back after 2 successes",
        limits: "10 in flight; none waits; in each worker",
      },
    ],
    ...Object.entries({
      dns: "by DNS: the addresses of app.internal, port 80",
      srv: "by DNS: the SRV records of _http._tcp.app.internal",
      docker: "by Docker: containers with app=web",
      http: "at http://registry.internal/app, asked each 10s",
    }).map(([kind, found]): readonly [object, Readonly<Record<string, string>>] => [
      { discovery: { [kind]: sources[kind as keyof typeof sources] }, health: { passive: "off" } },
      { found },
    ]),
  ];
  test.each(ROWS)("%j", (upstream, rules) => {
    expect(Object.fromEntries(factsOf(upstream).rules)).toEqual(rules);
    expect(JSON.stringify(factsOf(upstream))).not.toContain("0123456789abcdef");
  });
});

test("retries are told as tries, reasons and budget", () => {
  const told = (retry: object) => {
    const [route] = configOf({ endpoints: PAIR }, retry).routes;
    return route === undefined ? "" : retryText(route.retry);
  };
  expect(told({})).toBe("up to 3 tries on connect");
  expect(told({ attempts: 1 })).toBe("one try");
  expect(told({ attempts: 2, on: ["timeout", 503], perTry: "1500ms", budget: "10%" })).toBe(
    "up to 2 tries on timeout, 503, 1500ms each; 10% of live requests at most",
  );
  expect(told({ attempts: 1, hedge: { after: "100ms" } })).toBe(
    "one try, a second endpoint after 100ms; 20% of live requests at most",
  );
});
