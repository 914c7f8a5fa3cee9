import { beforeAll, expect, test } from "bun:test";
import { testAuthority } from "../../tests/support/certificates.ts";
import { PLAIN_UPSTREAM } from "../config/check/resilience.ts";
import type { EndpointConfig, UpstreamConfig, UpstreamTlsConfig } from "../config/config.ts";
import { EndpointSettings } from "./endpoint-settings.ts";

const PLAIN_TLS: UpstreamTlsConfig = {
  ca: undefined,
  serverName: undefined,
  cert: undefined,
  key: undefined,
  verify: true,
};

function upstream(parts: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return {
    name: "app",
    endpoints: [],
    ...PLAIN_UPSTREAM,
    balance: "round-robin",
    pool: { idle: 8, idleTimeoutMs: 1000, maxAgeMs: 0 },
    proxyProtocol: "off",
    protocol: "h1",
    tls: undefined,
    ...parts,
  };
}

const endpoint = (host: string): EndpointConfig => ({
  name: host,
  address: { kind: "tcp", host, port: 443 },
  priority: 0,
  zone: "",
  weight: 1,
  backup: false,
});

let caPem = "";
let otherPem = "";
beforeAll(async () => {
  caPem = (await testAuthority()).caPem;
  otherPem = (await testAuthority("Other")).caPem;
});

const NAMES: readonly [host: string, serverName: string | undefined, verified: string][] = [
  ["api.test", undefined, "api.test"],
  ["api.test", "other.test", "other.test"],
  ["192.0.2.1", undefined, ""],
  ["2001:db8::1", undefined, ""],
  ["192.0.2.1", "api.test", "api.test"],
];
for (const [host, serverName, verified] of NAMES) {
  test(`an endpoint at ${host}, serverName ${serverName ?? "left out"}: "${verified}" is asked for and verified`, () => {
    const app = upstream({ tls: { ...PLAIN_TLS, serverName } });
    const settings = new EndpointSettings().prepare([app], {}).of(app, endpoint(host));
    expect(settings.tls?.serverName).toBe(verified);
  });
}

test("an address that was found by a name is verified by that name, unless the upstream says another", () => {
  const found = { ...endpoint("192.0.2.1"), serverName: "found.test" };
  const nameFor = (serverName: string | undefined) => {
    const app = upstream({ tls: { ...PLAIN_TLS, serverName } });
    return new EndpointSettings().prepare([app], {}).of(app, found).tls?.serverName;
  };
  expect([nameFor(undefined), nameFor("other.test")]).toEqual(["found.test", "other.test"]);
});

test("the same texts are the same context, over versions and upstreams; other texts are another", () => {
  const settings = new EndpointSettings();
  const app = upstream({ tls: { ...PLAIN_TLS, ca: "/ca.pem" } });
  const twin = upstream({ name: "twin", tls: { ...PLAIN_TLS, ca: "/copy.pem" } });
  const first = settings.prepare([app, twin], { "/ca.pem": caPem, "/copy.pem": caPem });
  settings.commit(first);
  const second = settings.prepare([app], { "/ca.pem": caPem });
  const third = settings.prepare([app], { "/ca.pem": otherPem });
  const contextIn = (of: typeof first, one: UpstreamConfig) => of.of(one, endpoint("a.test")).tls?.context;
  expect(contextIn(first, app)).toBeDefined();
  expect(contextIn(first, twin)).toBe(contextIn(first, app));
  expect(contextIn(second, app)).toBe(contextIn(first, app));
  expect(contextIn(third, app)).not.toBe(contextIn(first, app));
  expect(contextIn(settings.current, app)).toBe(contextIn(first, app));
});

test("a file that was not read, or cannot be used, is told with the upstream and its path", () => {
  const settings = new EndpointSettings();
  const app = upstream({ tls: { ...PLAIN_TLS, ca: "/ca.pem" } });
  expect(() => settings.prepare([app], {})).toThrow("upstream app: /ca.pem has not been read");
  expect(() => settings.prepare([app], { "/ca.pem": "nothing" })).toThrow("upstream app: cannot use /ca.pem");
});

test("an upstream with TLS never gets settings without it", () => {
  const app = upstream({ tls: PLAIN_TLS });
  expect(() => new EndpointSettings().current.of(app, endpoint("a.test"))).toThrow("no TLS context");
});

test("connections that begin with a PROXY header are not kept", () => {
  const app = upstream({ proxyProtocol: "v2" });
  const settings = new EndpointSettings().prepare([app], {}).of(app, endpoint("a.test"));
  expect([settings.idle, typeof settings.proxyHeader]).toEqual([0, "function"]);
});
