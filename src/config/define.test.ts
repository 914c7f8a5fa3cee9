import { expect, test } from "bun:test";
import type { CheckFacts } from "./check/facts.ts";
import { checkConfig } from "./check.ts";
import { type ConfigInput, defineConfig } from "./define.ts";
import { NOWHERE } from "./problem.ts";

const FACTS: CheckFacts = {
  env: { TOKEN: "t" },
  cores: 1,
  folder: "/",
  kindOf: (path) => (path === "/run/engine" ? "other" : /\.\w+$/.test(path) ? "file" : "folder"),
  readText: () => ({ error: "none" }),
};

function check(input: unknown): ReturnType<typeof checkConfig> {
  return checkConfig(
    { file: "typed.ts", value: input, locate: () => NOWHERE, written: () => undefined },
    FACTS,
  );
}

const EVERYTHING = defineConfig({
  server: { workers: 2, drainTimeout: "30s", user: "nobody", memory: "512MiB", zone: "a" },
  listeners: {
    web: {
      bind: [":8080", "unix:/tmp/web.sock"],
      mode: "http",
      protocols: ["h1"],
      proxyProtocol: { from: ["10.0.0.0/8"] },
      trustedProxies: "10.0.0.0/8",
      encodedSlash: "pass",
      limits: { connections: 10, requestHead: "8KiB", headers: 50, body: 0, requestsPerConnection: 5 },
      timeouts: { handshake: "1s", head: "1s", body: "1s", idle: "1s" },
    },
    plain: { bind: ":80", redirectToHttps: { status: 301, port: 8443 } },
    secure: {
      bind: ":8443",
      protocols: ["h1", "h2"],
      tls: {
        certificates: [{ cert: "app.crt", key: "app.key" }],
        acme: {
          names: ["a.example.com", "*.b.example.com"],
          onDemand: "*.c.example.com",
          email: "ops@example.com",
          directory: [
            "letsencrypt-staging",
            "https://acme.internal:14000/dir",
            { url: "https://other.internal/dir", name: "other", eab: { keyId: "k", hmacKey: "c2VjcmV0" } },
          ],
          challenge: "dns-01",
          dns: { hook: ["set-txt", "--zone", "example.com"] },
          storage: "acme",
          storageKey: "0123456789abcdef",
          keyType: "ec384",
          directoryCa: "ca.pem",
        },
        unknownNames: "refuse",
        minVersion: "1.2",
        policy: { ciphers: ["ECDHE-RSA-AES128-GCM-SHA256"], curves: ["X25519"] },
        clientAuth: { mode: "optional", ca: "ca.pem", crl: "crl.pem", forward: true },
        hsts: { maxAge: "8760h", includeSubDomains: true, preload: true },
      },
      http2: { maxStreams: 10, streamWindow: "64KiB", connectionWindow: "1MiB", extendedConnect: true },
    },
  },
  routes: [
    {
      name: "api",
      listener: ["web", "secure"],
      priority: 1,
      match: {
        host: "a.test",
        path: "/v1/*",
        method: ["GET"],
        headers: { "x-beta": 1 },
        query: { debug: true },
        cookies: { group: "beta" },
        clientIp: "::1",
        clientCert: { subject: "CN=alice", san: "~^DNS:", fingerprint: "ab".repeat(32) },
      },
      to: [{ upstream: "app", weight: 9 }, { upstream: "127.0.0.1:3002" }],
      rewrite: { stripPrefix: "/v1", host: "internal.test" },
      headers: { request: { set: { "X-A": "a" }, add: { "X-B": ["b", "c"] }, remove: "X-C" } },
      timeouts: { request: 0, connect: "1s", response: "1s", idle: "1s" },
      retry: {
        attempts: 2,
        on: ["connect", "reset", "timeout", 503],
        methods: ["GET", "POST"],
        perTry: "500ms",
        budget: "10%",
        backoff: { base: "10ms", max: "1s" },
        buffer: "1MiB",
        hedge: { after: "100ms" },
      },
      shed: "high",
      cache: {
        enabled: true,
        ttl: { "200": "60s", "4xx": "5s", default: 0 },
        override: true,
        minTtl: "1s",
        maxTtl: "1h",
        heuristic: false,
        staleWhileRevalidate: "30s",
        staleIfError: "24h",
        staleOn: ["error", "timeout", 503],
        keep: "2h",
        jitter: "10%",
        key: {
          query: { except: ["utm_*"] },
          sort: true,
          headers: "x-tenant",
          cookies: ["theme"],
          device: true,
          languages: ["en", "de-CH"],
          host: "a.test",
        },
        vary: { encoding: true, languages: "en", ignore: "x-trace" },
        bypass: [{ cookie: "session" }, { header: "x-preview", value: 1 }, { query: "nocache" }],
        minUses: 2,
        minSize: "1KiB",
        maxSize: "10MiB",
        ignore: [],
        clientDirectives: "ignore",
        coalesce: "1s",
        slice: "1MiB",
        status: false,
        dryRun: true,
      },
      compress: { codings: ["br", "gzip"], types: "text/*", minSize: 0, maxSize: "1MiB", level: 5 },
      errorPages: {},
      policies: "safe",
    },
    { match: { path: "/old/*" }, redirect: { to: "/new/{rest}", status: 301 } },
    {
      match: { path: "/ping" },
      respond: { status: 200, body: "pong\n", contentType: "text/plain", headers: { "X-D": 1 } },
    },
    { match: { path: "/files/*" }, files: { root: ".", index: ["index.html"] }, compress: true },
    {
      match: { path: "/news/*" },
      to: "short",
      cache: { ttl: "5s", key: { query: ["page"] }, coalesce: "off" },
    },
    { match: { path: "/docs/*" }, to: "short", cache: true, compress: { level: "auto" } },
  ],
  upstreams: {
    app: {
      endpoints: [
        "127.0.0.1:3000",
        { address: "127.0.0.1:3001", weight: 2, backup: true },
        { address: "127.0.0.1:3002", weight: 0, priority: 1, zone: "a" },
      ],
      protocol: "h1",
      balance: "hash",
      hash: { on: "header:x-user", load: "150%" },
      sticky: { cookie: "app", ttl: "1h", secret: "0123456789abcdef" },
      health: {
        active: {
          type: "https",
          path: "/healthz?full=1",
          method: "POST",
          headers: { "X-Check": 1 },
          host: "app.internal",
          port: 3100,
          expect: { status: [204, "200-201"], body: "~^ok" },
          interval: "1s",
          fastInterval: "500ms",
          jitter: "5%",
          timeout: "1s",
          rise: 1,
          fall: 1,
          initial: "down",
        },
        passive: {
          failures: 3,
          window: "10s",
          eject: "10s",
          maxEject: "1m",
          maxEjected: "30%",
          errorRate: "20%",
          latency: "300%",
          panic: 0,
        },
        slowStart: "10s",
      },
      limits: { connections: 100, perEndpoint: 50, queue: 10, queueTimeout: "1s", adaptive: true },
      breaker: { errorRate: "50%", latency: "1s", window: "10s", minRequests: 20, open: "5s" },
      pool: { idle: 1, idleTimeout: "1s", maxAge: "1m" },
      proxyProtocol: "v2",
    },
    secure: {
      endpoints: "https://10.0.0.1",
      protocol: "auto",
      tls: { ca: "ca.pem", serverName: "app.internal", cert: "app.crt", key: "app.key", verify: true },
    },
    line: {
      endpoints: ["127.0.0.1:6379", "127.0.0.1:6380"],
      balance: "ewma",
      sticky: true,
      health: { active: { type: "tcp", send: "PING\r\n", expect: { body: "+PONG" } }, passive: "off" },
      breaker: true,
    },
    grpc: {
      endpoints: "127.0.0.1:50051",
      protocol: "h2c",
      health: { active: { type: "grpc", service: "a.B" } },
    },
    script: {
      endpoints: "127.0.0.1:3010",
      health: { active: { type: "command", command: ["check", "--fast"] } },
    },
    agent: { endpoints: "127.0.0.1:3011", health: { active: { type: "agent", port: 3012, send: "app\n" } } },
    names: { discovery: { dns: "app.internal:8080", interval: "5s" }, balance: "least-request" },
    records: { discovery: { srv: "_http._tcp.app.internal" }, balance: "hash", hash: "clientIp" },
    watched: { discovery: { file: "endpoints.yaml" }, endpoints: "127.0.0.1:3013" },
    containers: { discovery: { docker: { socket: "/run/engine", label: "app=web", network: "front" } } },
    polled: { discovery: { http: "http://registry.internal/app" } },
    short: "127.0.0.1:3003",
    list: ["127.0.0.1:3004", { address: "127.0.0.1:3005" }],
  },
  policies: { safe: { headers: { response: { set: { "X-E": "e" } } } } },
  cache: {
    memory: "64MiB",
    disk: { path: "cache", size: "1GiB" },
    purge: { from: ["10.0.0.0/8"], audit: "purges.log" },
  },
  admin: { bind: "127.0.0.1:9901", token: { env: "TOKEN" } },
  observe: { accessLog: { format: "json", to: "stdout" }, metrics: true },
});

test("whatever the types allow, in every key, the check takes", () => {
  const { problems } = check(EVERYTHING);
  expect(problems).toEqual([]);
});

test("what the types refuse, the check refuses", () => {
  const wrong: readonly ConfigInput[] = [
    // @ts-expect-error an unknown key
    { listeners: {}, routes: [], upstrems: {} },
    // @ts-expect-error a duration without a unit
    { listeners: { web: { bind: ":1", timeouts: { idle: "5" } } }, routes: [{ respond: {} }] },
    // @ts-expect-error a key of a later release
    { listeners: { web: { bind: ":1", mode: "tcp" } }, routes: [{ respond: {} }] },
    // @ts-expect-error a share without a percent sign
    { listeners: {}, routes: [], upstreams: { a: { endpoints: "a:1", breaker: { errorRate: 0.5 } } } },
    // @ts-expect-error no part of a request
    { listeners: {}, routes: [], upstreams: { a: { endpoints: "a:1", balance: "hash", hash: "ip" } } },
    // @ts-expect-error nothing that a response says
    { listeners: { web: { bind: ":1" } }, routes: [{ to: "a:1", cache: { ignore: "public" } }] },
    // @ts-expect-error a status that is no redirect
    { listeners: { web: { bind: ":1" } }, routes: [{ redirect: { to: "/", status: 300 } }] },
  ];
  for (const input of wrong) {
    const { config } = check(input);
    expect(config).toBeUndefined();
  }
});
