/**
 * What Weir says of the traffic: the access log line of each kind of end, and counters that add up.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { type Origin, perRequest, response } from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { counted, metric } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

type Value = string | number | null;
interface Line {
  readonly time?: Value;
  readonly requestId?: Value;
  readonly method?: Value;
  readonly host?: Value;
  readonly path?: Value;
  readonly status?: Value;
  readonly bytesReceived?: Value;
  readonly bytesSent?: Value;
  readonly route?: Value;
  readonly upstream?: Value;
  readonly endpoint?: Value;
  readonly attempts?: Value;
  readonly headMs?: Value;
  readonly connectMs?: Value;
  readonly firstByteMs?: Value;
  readonly totalMs?: Value;
  readonly cause?: Value;
  readonly userAgent?: Value;
}

const LOG = "access.log";
const logTo = (format: string) => `observe: { accessLog: { format: '${format}', to: ${LOG} } }`;

function textOf(weir: Weir, name = LOG): string {
  const path = join(weir.folder, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** The log's lines once there are `count` of them. */
async function lines(weir: Weir, count: number): Promise<string[]> {
  const whole = () => textOf(weir).split("\n").slice(0, -1);
  await eventually(() => whole().length >= count, 5000, `${count} lines in the access log`);
  return whole();
}

async function line(weir: Weir): Promise<Line> {
  const all = await lines(weir, 1);
  expect(all.length).toBe(1);
  return JSON.parse(all[0] as string) as Line;
}

async function start(
  script: Parameters<Stage["origin"]>[0],
  parts: { readonly listener?: string; readonly route?: string; readonly endpoints?: string } = {},
) {
  const origin = await stage.origin(script);
  const { endpoints = "", ...rest } = parts;
  const weir = await stage.weir(proxyTo(`${endpoints}${origin.address}`, { ...rest, rest: logTo("json") }));
  return { origin, weir, client: await stage.client(weir.port()) };
}

const echo = perRequest((request) => response(request.body));
const num = (value: Value | undefined) => (typeof value === "number" ? value : Number.NaN);

test("a line says who asked what, where it went, how it ended and how long each part took", async () => {
  const { client, weir, origin } = await start(
    perRequest((request, connection) => {
      setTimeout(() => connection.write(response(`got ${request.body}`)), 120);
      return undefined;
    }),
  );
  await client.send(
    'POST /a%20b?q=1&x=%22y HTTP/1.1\r\nHost: Shop.test:8080\r\nUser-Agent: probe "1"\r\nReferer: http://r/\r\n' +
      "Content-Length: 5\r\n\r\nhello",
  );
  await client.response();
  const entry = await line(weir);
  expect(entry).toMatchObject({
    clientIp: "127.0.0.1",
    clientPort: client.port,
    method: "POST",
    scheme: "http",
    host: "shop.test",
    query: "q=1&x=%22y",
    protocol: "HTTP/1.1",
    status: 200,
    bytesReceived: 5,
    bytesSent: 9,
    listener: "web",
    route: "app",
    upstream: "app",
    endpoint: origin.address,
    attempts: 1,
    cause: "done",
    userAgent: 'probe "1"',
    referer: "http://r/",
  });
  expect(origin.received[0]).toMatch(new RegExp(`x-request-id: ${entry.requestId}\r\n`, "i"));
  expect(Math.abs(Date.parse(String(entry.time)) - Date.now())).toBeLessThan(5000);
  expect(num(entry.firstByteMs)).toBeGreaterThan(115);
  expect(num(entry.totalMs)).toBeGreaterThanOrEqual(num(entry.firstByteMs));
  expect(num(entry.totalMs)).toBeLessThan(1000);
  expect(num(entry.connectMs)).toBeGreaterThanOrEqual(0);
  expect(num(entry.connectMs)).toBeLessThan(100);
});

test("the line of each of several requests sent together has that request's own fields", async () => {
  const { client, weir } = await start(echo);
  const agents = ["one", "two", "three"];
  await client.send(agents.map((agent) => get(`/${agent}`, `User-Agent: ${agent}`)).join(""));
  for (const _ of agents) await client.response();
  const entries = (await lines(weir, 3)).map((text) => JSON.parse(text) as Line);
  expect(entries.map(({ path, userAgent }) => [path, userAgent])).toEqual(
    agents.map((agent) => [`/${agent}`, agent]),
  );
});

test("connectMs is null on a kept connection, and headMs says how slowly the head came", async () => {
  const { client, weir } = await start(echo);
  await client.send(get("/1"));
  await client.response();
  const head = get("/2");
  await client.send(head.slice(0, 20));
  await Bun.sleep(150);
  await client.send(head.slice(20));
  await client.response();
  const [, second] = (await lines(weir, 2)).map((text) => JSON.parse(text) as Line);
  expect(second?.connectMs).toBeNull();
  expect(num(second?.headMs)).toBeGreaterThan(140);
  expect(num(second?.totalMs)).toBeLessThan(140);
});

test("a request that needed a second endpoint has two attempts and names the one that answered", async () => {
  const dead = `127.0.0.1:${await freePort()}`;
  const { client, weir, origin } = await start(echo, { endpoints: `${dead}", "` });
  for (let count = 0; count < 2; count++) {
    await client.send(get("/"));
    expect((await client.response()).status).toBe(200);
  }
  const entries = (await lines(weir, 2)).map((text) => JSON.parse(text) as Line);
  expect(entries.map(({ attempts }) => attempts).sort()).toEqual([1, 2]);
  expect(entries.every(({ endpoint }) => endpoint === origin.address)).toBe(true);
  const text = await weir.metrics();
  expect(metric(text, "weir_retries_total")).toBe(1);
  expect(metric(text, "weir_upstream_connect_errors_total", { endpoint: dead })).toBe(1);
});

interface End {
  readonly what: string;
  readonly script?: Parameters<Stage["origin"]>[0];
  readonly parts?: Parameters<typeof start>[1];
  readonly send: string;
  /** Done once the first bytes of the answer are there. */
  readonly act?: (client: Awaited<ReturnType<typeof start>>["client"], origin: Origin) => void;
  readonly expect: Line;
}

const half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
const ENDS: readonly End[] = [
  {
    what: "a request with a broken head",
    send: "GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\nBad Name: 1\r\n\r\n",
    expect: { status: 400, cause: "h1_bad_field", route: "", upstream: "", attempts: 0, bytesSent: 61 },
  },
  {
    what: "two lengths that disagree",
    send: "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    expect: { status: 400, cause: "h1_length_conflict", method: "POST", path: "/x" },
  },
  {
    what: "no route",
    send: get("/elsewhere", "Host: other.test").replace("Host: a.test\r\n", ""),
    parts: { route: "match: { host: a.test }" },
    expect: { status: 404, cause: "no_route", route: "", path: "/elsewhere", host: "other.test" },
  },
  {
    what: "a body that is too large",
    send: "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n",
    parts: { listener: "limits: { body: 1000B }" },
    expect: { status: 413, cause: "body_too_large", method: "POST", bytesReceived: 0 },
  },
  {
    what: "half a head, and then silence",
    send: "GET /slow HTTP/1.1\r\nHost:",
    parts: { listener: "timeouts: { head: 300ms }" },
    expect: { status: 408, cause: "head_timeout", method: "", path: "", attempts: 0 },
  },
  {
    what: "an endpoint that does not answer in time",
    script: () => undefined,
    send: get("/slow"),
    parts: { route: "timeouts: { response: 300ms }" },
    expect: { status: 504, cause: "response_timeout", attempts: 1, firstByteMs: null, upstream: "app" },
  },
  {
    what: "an endpoint that cuts its answer",
    script: (connection) => connection.write(half),
    send: get("/cut"),
    act: (_client, origin) => origin.connections[0]?.end(),
    expect: { status: 200, cause: "upstream_cut", bytesSent: 4 },
  },
  {
    what: "an endpoint that does not speak HTTP",
    script: (connection) => connection.write("SSH-2.0-OpenSSH\r\n\r\n"),
    send: get("/"),
    expect: { status: 502, cause: "h1_response_head" },
  },
  {
    what: "a client that leaves in the middle of the answer",
    script: (connection) => connection.write(half),
    send: get("/leave"),
    act: (client) => client.reset(),
    expect: { status: 200, cause: "downstream_closed", bytesSent: 4 },
  },
  {
    what: "a client that leaves before the answer",
    script: (connection) => connection.write("HTTP/1.1 103 Early Hints\r\n\r\n"),
    send: get("/leave"),
    act: (client) => client.reset(),
    expect: { status: 499, cause: "downstream_closed", bytesSent: 0 },
  },
];

for (const end of ENDS) {
  test(`the line of ${end.what}: ${end.expect.status}, ${end.expect.cause}`, async () => {
    const { client, weir, origin } = await start(end.script ?? echo, end.parts);
    await client.send(end.send);
    if (end.act !== undefined) {
      await client.until((text) => text.length > 0);
      await client.untilQuiet(50);
      end.act(client, origin);
    }
    expect(await line(weir)).toMatchObject(end.expect);
    await counted(weir, String(end.expect.cause), 1);
  });
}

test("what a request before it said is not in the line of one that was never understood", async () => {
  const { client, weir } = await start(echo);
  await client.send("HEAD /before HTTP/1.1\r\nHost: a\r\nUser-Agent: before\r\n\r\n");
  await client.response("HEAD");
  await client.send("GET after\x01 HTTP/1.1\r\n\r\n");
  const answer = await client.response();
  expect([answer.status, answer.body.startsWith("400 Bad Request")]).toEqual([400, true]);
  const [, second] = (await lines(weir, 2)).map((text) => JSON.parse(text) as Line);
  expect(second).toMatchObject({ status: 400, userAgent: "", host: "" });
  expect([second?.method, second?.path]).not.toContain("HEAD");
  expect(second?.path).not.toBe("/before");
});

test("a tunnel has one line, when it ends, with the bytes of both directions", async () => {
  const { client, weir, origin } = await start((connection) => {
    if (connection.requests++ === 0) {
      connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    }
  });
  await client.send(`${get("/t", "Connection: upgrade", "Upgrade: chat")}early`);
  await client.response();
  await client.send("12345");
  origin.connections[0]?.write("1234567");
  await client.until("1234567");
  await Bun.sleep(200);
  expect(textOf(weir)).toBe("");
  client.end();
  const entry = await line(weir);
  expect(entry).toMatchObject({ status: 101, cause: "done", bytesReceived: 10, bytesSent: 7 });
  expect(num(entry.totalMs)).toBeGreaterThan(195);
  const text = await weir.metrics();
  expect(metric(text, "weir_requests_total", { route: "app", status: "1xx" })).toBe(1);
  expect(metric(text, "weir_upstream_requests_active")).toBe(0);
});

test("combined is what log readers know: address, time, request, status, bytes, referer, agent", async () => {
  const origin = await stage.origin(echo);
  const weir = await stage.weir(proxyTo(origin.address, { rest: logTo("combined") }));
  const client = await stage.client(weir.port());
  await client.send(get("/c?d=e", "User-Agent: agent/1.0", "Referer: http://from/"));
  await client.response();
  const [first] = await lines(weir, 1);
  expect(first).toMatch(
    /^127\.0\.0\.1 - - \[\d{2}\/[A-Z][a-z]{2}\/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\] "GET \/c\?d=e HTTP\/1\.1" 200 0 "http:\/\/from\/" "agent\/1\.0" \d+\.\d{3}$/,
  );
});

test("a template says what it names, and nothing a client sends can forge a line", async () => {
  const origin = await stage.origin(echo);
  const format = `{status} {route} [{cause}] {bytesReceived}/{bytesSent} {method} {path} "{userAgent}"`;
  const weir = await stage.weir(proxyTo(origin.address, { rest: logTo(format) }));
  const client = await stage.client(weir.port());
  await client.send(
    'POST /p/%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nUser-Agent: a" 500 "b\r\n\r\nabc',
  );
  await client.response();
  const all = await lines(weir, 1);
  expect(all.length).toBe(1);
  expect(all[0]).toBe('200 app [done] 3/3 POST /p/%20 "a\\x22 500 \\x22b"');
});

test("SIGUSR1 opens the log anew: what was moved away is complete, what follows is in the new file", async () => {
  const { client, weir } = await start(echo);
  await client.send(get("/old"));
  await client.response();
  await lines(weir, 1);
  renameSync(join(weir.folder, LOG), join(weir.folder, "moved.log"));
  weir.signal("SIGUSR1");
  await eventually(() => existsSync(join(weir.folder, LOG)), 3000, "the new file");
  await client.send(get("/new"));
  await client.response();
  expect((await line(weir)).path).toBe("/new");
  expect(textOf(weir, "moved.log").split("\n").length).toBe(2);
});

const TWO_ROUTES = (address: string) => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { name: one, match: { path: /one }, to: app }
  - { name: two, match: { path: /two/* }, to: app }
  - { name: fixed, match: { path: /fixed }, respond: { status: 200, body: "fixed" } }
upstreams: { app: [ "${address}" ] }
server: { workers: 2 }
`;

test("counters add up with what was sent, over all workers, and survive the death of one", async () => {
  const origin = await stage.origin(
    perRequest((request) =>
      response("12345", [], request.requestLine.includes("fail") ? "500 No" : "200 OK"),
    ),
  );
  const weir = await stage.weir(TWO_ROUTES(origin.address));
  const plan = ["/one", "/two/a", "/two/fail", "/fixed", "/none"];
  for (let round = 0; round < 6; round++) {
    const client = await stage.client(weir.port());
    for (const path of plan) {
      await client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`);
      await client.response();
    }
  }
  const check = async () => {
    // an exchange is counted just after its last byte has left
    await eventually(async () => metric(await weir.metrics(), "weir_requests_total") >= 30);
    const text = await weir.metrics();
    const requests = (route: string, status: string) =>
      metric(text, "weir_requests_total", { route, status });
    expect([requests("one", "2xx"), requests("two", "2xx"), requests("two", "5xx")]).toEqual([6, 6, 6]);
    expect([requests("fixed", "2xx"), requests("-", "4xx")]).toEqual([6, 6]);
    expect(metric(text, "weir_requests_total")).toBe(30);
    expect(metric(text, "weir_request_body_bytes_total", { route: "two" })).toBe(36);
    expect(metric(text, "weir_response_body_bytes_total", { route: "two" })).toBe(60);
    expect(metric(text, "weir_upstream_requests_total", { endpoint: origin.address })).toBe(18);
    expect(metric(text, "weir_upstream_responses_5xx_total")).toBe(6);
    expect(metric(text, "weir_listener_requests_total", { listener: "web" })).toBe(30);
    expect(metric(text, "weir_listener_connections_total", { listener: "web" })).toBe(6);
    expect(metric(text, "weir_request_duration_seconds_count", { route: "two" })).toBe(12);
    return text;
  };
  const text = await check();
  expect(metric(text, "weir_listener_connections_active")).toBe(6);
  const { workers } = await weir.status();
  for (const { pid } of workers) process.kill(pid, "SIGKILL");
  const isReplaced = async () => {
    const now = (await weir.status()).workers;
    return (
      now.length === 2 &&
      now.every(({ pid, state }) => state === "running" && !workers.some((w) => w.pid === pid))
    );
  };
  await eventually(isReplaced, 10_000, "both workers to be replaced");
  const after = await check();
  expect(metric(after, "weir_listener_connections_active")).toBe(0);
  expect(metric(after, "weir_upstream_connections_open")).toBe(0);
  expect(metric(after, "weir_worker_restarts_total")).toBe(2);
  const client = await stage.client(weir.port());
  await client.send(get("/one"));
  await client.response();
  await eventually(async () => metric(await weir.metrics(), "weir_requests_total", { route: "one" }) === 7);
}, 20_000);

test("gauges go up while something is under way and back to nothing after it", async () => {
  let answer: (() => void) | undefined;
  const { client, weir } = await start(
    perRequest((_request, connection) => {
      answer = () => connection.write(response("done"));
      return undefined;
    }),
  );
  await client.send(get("/"));
  await eventually(() => answer !== undefined);
  const during = await weir.metrics();
  expect(metric(during, "weir_requests_active", { route: "app" })).toBe(1);
  expect(metric(during, "weir_upstream_requests_active")).toBe(1);
  expect(metric(during, "weir_upstream_connections_open")).toBe(1);
  expect(metric(during, "weir_upstream_connections_pooled")).toBe(0);
  answer?.();
  await client.response();
  await eventually(async () => metric(await weir.metrics(), "weir_requests_active") === 0);
  const after = await weir.metrics();
  expect(metric(after, "weir_upstream_requests_active")).toBe(0);
  expect(metric(after, "weir_upstream_connections_open")).toBe(1);
  expect(metric(after, "weir_upstream_connections_pooled")).toBe(1);
});

test("/readyz fails from the moment of SIGTERM, while /healthz and the answer under way do not", async () => {
  let answer: (() => void) | undefined;
  const { client, weir } = await start(
    perRequest((_request, connection) => {
      answer = () => connection.write(response("done"));
      return undefined;
    }),
  );
  await client.send(get("/"));
  await eventually(() => answer !== undefined);
  expect((await fetch(new URL("/readyz", weir.admin))).status).toBe(200);
  weir.signal("SIGTERM");
  const startedAtMs = performance.now();
  await eventually(
    async () => (await fetch(new URL("/readyz", weir.admin))).status === 503,
    1000,
    "not ready",
  );
  expect(performance.now() - startedAtMs).toBeLessThan(500);
  expect((await fetch(new URL("/healthz", weir.admin))).status).toBe(200);
  answer?.();
  expect((await client.response()).body).toBe("done");
});

test("lines of exchanges that a stop cuts off are in the log", async () => {
  const origin = await stage.origin(() => undefined);
  const weir = await stage.weir(
    proxyTo(origin.address, { rest: `${logTo("json")}\nserver: { workers: 1, drainTimeout: 300ms }` }),
  );
  const client = await stage.client(weir.port());
  await client.send(get("/cut-by-stop"));
  await eventually(() => origin.received[0] !== undefined && origin.received[0] !== "");
  weir.signal("SIGTERM");
  expect(await weir.exited).toBe(0);
  expect(await line(weir)).toMatchObject({ path: "/cut-by-stop" });
});
