/**
 * Control main: a control process for tests. in  a JSON file with a TestPlan; it is read anew on each reload
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runControl } from "../../src/app/control.ts";
import { PLAIN_RETRY } from "../../src/config/check/resilience.ts";
import type { Config, ListenerTlsConfig } from "../../src/config/config.ts";
import type { TestPlan } from "./processes.ts";

const file = process.argv[2] as string;

function load(): Config {
  const plan = JSON.parse(readFileSync(file, "utf8")) as TestPlan;
  const limits = {
    connections: 1000,
    requestHeadBytes: 32768,
    headers: 100,
    bodyBytes: 0,
    requestsPerConnection: 100,
  };
  const timeouts = { handshakeMs: 10_000, headMs: 10_000, bodyMs: 10_000, idleMs: 10_000 };
  return {
    server: {
      workers: plan.workers ?? 2,
      drainTimeoutMs: plan.drainTimeoutMs ?? 5000,
      user: plan.user,
      memoryBytes: 2 ** 29,
      zone: "",
    },
    listeners: plan.listeners.map(({ name, bind, certificates }) => ({
      name,
      bind,
      protocols: ["h1"],
      tls: certificates === undefined ? undefined : tlsOf(certificates),
      http2: {
        maxStreams: 128,
        streamWindowBytes: 2 ** 18,
        connectionWindowBytes: 2 ** 20,
        extendedConnect: false,
      },
      redirectToHttps: undefined,
      proxyProtocolFrom: [],
      trustedProxies: [],
      encodedSlash: "refuse",
      limits,
      timeouts,
    })),
    routes: [
      {
        name: plan.text ?? "first",
        listeners: [],
        priority: 0,
        match: {} as Config["routes"][number]["match"],
        action: { kind: "respond", status: 200, body: "", contentType: "text/plain" },
        rewrite: {} as Config["routes"][number]["rewrite"],
        requestHeaders: {} as Config["routes"][number]["requestHeaders"],
        responseHeaders: {} as Config["routes"][number]["responseHeaders"],
        timeouts: { requestMs: 0, connectMs: 5000, responseMs: 60_000, idleMs: 60_000 },
        retry: PLAIN_RETRY,
        shed: "normal",
        cache: undefined,
        compress: undefined,
        errorPages: {},
      },
    ],
    upstreams: [],
    admin: { address: { kind: "tcp", host: "127.0.0.1", port: 0 }, isExplicit: true, token: undefined },
    observe: { accessLog: undefined, metrics: true },
    cache: undefined,
  };
}

function tlsOf(certificates: readonly { cert: string; key: string }[]): ListenerTlsConfig {
  return {
    certificates,
    acme: undefined,
    unknownNames: "default",
    minVersion: "1.2",
    ciphers: "",
    curves: "",
    clientAuth: { mode: "off", ca: undefined, crl: undefined, forward: false },
    hsts: "",
  };
}

const code = await runControl({
  load: () => {
    try {
      return Promise.resolve({ config: load(), problems: [], file });
    } catch (error) {
      const problem = { file, line: 1, column: 1, path: "", message: String(error), hint: undefined };
      return Promise.resolve({ problems: [{ ...problem, severity: "error" as const }], file });
    }
  },
  workerFile: join(import.meta.dir, "echo-worker.ts"),
  // the status only, so that these tests need nothing but processes
  startAdmin: ({ address, hooks, reusePort }) => {
    const server = Bun.serve({
      hostname: address.kind === "tcp" ? address.host : "127.0.0.1",
      port: address.kind === "tcp" ? address.port : 0,
      reusePort,
      routes: {
        "/readyz": () => new Response(null, { status: hooks.isReady() ? 200 : 503 }),
        "/status": () => Response.json(hooks.status()),
        "/metrics": () => new Response(hooks.metrics()),
        "/reload": async () => Response.json(await hooks.reload()),
      },
    });
    return Promise.resolve({ port: server.port, stop: () => server.stop(true) });
  },
});
process.exit(code);
