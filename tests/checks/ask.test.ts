/**
 * Checks against real servers: what each type asks, what it takes for fit, and what it says when it is not.
 */
import { afterEach, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { Server as GrpcServer, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { Asker } from "../../src/checks/asker.ts";
import { converse, type Talk } from "../../src/checks/conversation.ts";
import type { CheckOutcome } from "../../src/checks/outcome.ts";
import type { ActiveHealthConfig, UpstreamConfig } from "../../src/config/config.ts";
import { openBlackhole } from "../support/blackhole.ts";
import { type Issued, type TestAuthority, testAuthority } from "../support/certificates.ts";
import { checkedUpstream } from "../support/check-plan.ts";
import { eventually } from "../support/eventually.ts";
import { Origin, perRequest, response } from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { Stage } from "../support/stage.ts";
import { needs } from "../support/tools.ts";

const stage = new Stage();
afterEach(() => stage.clear());

let ca: TestAuthority;
let pair: Issued;
beforeAll(async () => {
  ca = await testAuthority();
  pair = await ca.issue({ names: ["good.test", "127.0.0.1"] });
});

const TLS = { ca: "ca.pem", cert: undefined, key: undefined, serverName: "good.test", verify: true };

interface Wish extends Partial<ActiveHealthConfig> {
  readonly upstream?: Partial<UpstreamConfig>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  readonly signal?: AbortSignal;
}

async function ask(address: string, { upstream = {}, addresses = {}, signal, ...active }: Wish = {}) {
  const asked = checkedUpstream([address], active, upstream);
  const asker = new Asker({
    addressesOf: (host) => addresses[host] ?? [],
    contextOf: (tls) => createSecureContext(tls === undefined ? {} : { ca: ca.caPem }),
  });
  const [endpoint] = asked.endpoints;
  const { active: checked } = asked.health;
  if (endpoint === undefined || checked === undefined) throw new Error("nothing to ask");
  return await asker.ask(
    { upstream: asked, endpoint, active: checked },
    signal ?? new AbortController().signal,
  );
}

const told = ({ isSuccess, reason, text }: CheckOutcome): unknown[] => [isSuccess, reason, text];

async function answering(text: string): Promise<Origin> {
  return await stage.origin(perRequest(() => text));
}

// http

test("http: what is sent is a whole request that asks for the end of the connection", async () => {
  const origin = await answering(response());
  const headers = [
    ["X-Check", "1"],
    ["user-agent", "probe/2"],
  ] as const;
  await ask(origin.address, { path: "/healthz?deep=1", method: "POST", headers });
  expect(origin.received).toEqual([
    `POST /healthz?deep=1 HTTP/1.1\r\nHost: ${origin.address}\r\nAccept: */*\r\nContent-Length: 0\r\nX-Check: 1\r\nuser-agent: probe/2\r\nConnection: close\r\n\r\n`,
  ]);
});

test("http: `host` names another host, and the port that is meant anyway is left out", async () => {
  const origin = await answering(response());
  await ask(origin.address, { host: "app.example.com" });
  expect(origin.received[0]).toContain("\r\nHost: app.example.com\r\n");
});

const LONG = "x".repeat(200_000);
const ANSWERS: readonly (readonly [name: string, answer: string, wish: Wish, told: unknown[]])[] = [
  ["a status in the range", response(), {}, [true, "check_passed", "HTTP 200"]],
  [
    "a redirect, which is not followed",
    response("", ["Location: /x"], "302 Found"),
    {},
    [true, "check_passed", "HTTP 302"],
  ],
  [
    "a status outside of it",
    response("", [], "503 Service Unavailable"),
    {
      statuses: [
        [200, 299],
        [404, 404],
      ],
    },
    [false, "check_status", "HTTP 503, not 200-299, 404"],
  ],
  [
    "a 1xx, and then the answer",
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${response()}`,
    {},
    [true, "check_passed", "HTTP 200"],
  ],
  [
    "a body that holds the text",
    response('{"state":"ok"}'),
    { body: '"state":"ok"' },
    [true, "check_passed", "HTTP 200"],
  ],
  [
    "a body that does not",
    response('{"state":"bad"}'),
    { body: "ok" },
    [false, "check_answer", 'HTTP 200, but "{\\"state\\":\\"bad\\"}" does not hold ok'],
  ],
  [
    "a chunked body",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n3\r\nfit\r\n0\r\n\r\n",
    { body: "^allfit$" },
    [true, "check_passed", "HTTP 200"],
  ],
  [
    "a body of which only the first 64 KiB are read",
    response(`${LONG}ok`),
    { body: "ok" },
    [false, "check_answer", `HTTP 200, but "${"x".repeat(60)}"… does not hold ok`],
  ],
  [
    "something that is not HTTP",
    "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    {},
    [false, "check_answer", 'not an HTTP answer: "SSH-2.0-OpenSSH_9.6"'],
  ],
];
for (const [name, answer, wish, expected] of ANSWERS) {
  test(`http: ${name}`, async () => {
    const origin = await answering(answer);
    expect(told(await ask(origin.address, wish))).toEqual(expected);
  });
}

test("http: a status decides without waiting for a body that never comes", async () => {
  const origin = await answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  expect((await ask(origin.address, { timeoutMs: 5000 })).isSuccess).toBe(true);
  const outcome = await ask(origin.address, { timeoutMs: 100, body: "x" });
  expect(told(outcome)).toEqual([false, "check_timeout", "no answer in 100 ms"]);
});

test("http: a body that the end of the connection ends counts; one that breaks off does not", async () => {
  const head = "HTTP/1.0 200 OK\r\n\r\n";
  const ending = await stage.origin((connection) => {
    connection.write(`${head}all fit`);
    connection.end();
  });
  expect((await ask(ending.address, { body: "fit$" })).isSuccess).toBe(true);
  const breaking = await stage.origin((connection) => connection.reset());
  expect(told(await ask(breaking.address))).toEqual([false, "check_answer", "closed without an answer"]);
  const cutting = await stage.origin((connection) => {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfit");
    connection.end();
  });
  expect(told(await ask(cutting.address, { body: "fit" }))).toEqual([
    false,
    "check_answer",
    "closed in the middle of the answer",
  ]);
});

test("http: an endpoint that refuses, one that says nothing and a network that is dead have words of their own", async () => {
  const port = await freePort();
  expect(told(await ask(`127.0.0.1:${port}`))).toEqual([false, "check_connect", "connection refused"]);
  const silent = await stage.origin({});
  expect(told(await ask(silent.address, { timeoutMs: 100 }))).toEqual([
    false,
    "check_timeout",
    "no answer in 100 ms",
  ]);
  const hole = await openBlackhole();
  stage.after(() => hole.close());
  const files = () => readdirSync("/proc/self/fd").length;
  const before = files();
  const outcomes = await Promise.all([0, 1, 2, 3].map(() => ask(hole.address, { timeoutMs: 100 })));
  expect(told(outcomes[0] as CheckOutcome)).toEqual([false, "check_timeout", "no connection in 100 ms"]);
  await eventually(() => files() === before, 2000, "the connections that were not made to be gone");
});

test("http: an endpoint behind a socket is asked there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-checks-"));
  stage.after(() => rmSync(folder, { recursive: true }));
  const unix = join(folder, "app.sock");
  const origin = await Origin.start(
    perRequest(() => response()),
    { unix },
  );
  stage.after(() => origin.stop());
  expect((await ask(`unix:${unix}`)).isSuccess).toBe(true);
  expect(origin.received[0]).toContain("\r\nHost: localhost\r\n");
  expect(told(await ask(`unix:${folder}/none.sock`))).toEqual([
    false,
    "check_connect",
    "there is no such socket",
  ]);
});

test("http: `port` asks another service than the one that takes the traffic", async () => {
  const origin = await answering(response());
  expect((await ask("127.0.0.1:1", { port: origin.port })).isSuccess).toBe(true);
});

for (const [version, header] of [
  ["v1", "PROXY UNKNOWN\r\n"],
  ["v2", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"],
] as const) {
  test(`http: where PROXY headers are sent (${version}), a check says that it speaks for itself`, async () => {
    const origin = await stage.origin((connection) => {
      if (connection.received.endsWith("\r\n\r\n")) connection.write(response());
    });
    await ask(origin.address, { upstream: { proxyProtocol: version } });
    expect(origin.received[0]?.startsWith(`${header}GET / HTTP/1.1\r\n`)).toBe(true);
    await ask("127.0.0.1:1", { port: origin.port, upstream: { proxyProtocol: version } });
    expect(origin.received[1]?.startsWith("GET / HTTP/1.1\r\n")).toBe(true);
  });
}

test("a name with several addresses is fit while one of them is, and asked there first the next time", async () => {
  const origin = await answering(response());
  const upstream = checkedUpstream([`app.test:${origin.port}`], {});
  const asker = new Asker({
    addressesOf: () => ["127.0.0.2", "127.0.0.3", "127.0.0.1"],
    contextOf: () => createSecureContext(),
  });
  const [endpoint] = upstream.endpoints;
  const { active } = upstream.health;
  if (endpoint === undefined || active === undefined) throw new Error("nothing to ask");
  const plan = { upstream, endpoint, active };
  for (const asked of [1, 2]) {
    expect((await asker.ask(plan, new AbortController().signal)).isSuccess).toBe(true);
    expect(origin.connections.length).toBe(asked);
  }
});

test("a name without an address is not fit", async () => {
  expect(told(await ask("app.test:80"))).toEqual([false, "check_connect", "app.test has no address yet"]);
});

test("a check that nobody waits for any more is called off", async () => {
  const silent = await stage.origin({});
  const controller = new AbortController();
  const asked = ask(silent.address, { timeoutMs: 60_000, signal: controller.signal });
  await eventually(() => silent.connections.length === 1);
  controller.abort();
  expect((await asked).text).toBe("called off");
  await eventually(() => silent.connections[0]?.isClosed === true);
});

for (const when of ["begin", "hear", "end"] as const) {
  test(`a defect of ours in ${when} is a check that fails, and nothing else`, async () => {
    const { port } = await stage.origin((connection) => {
      connection.write("x");
      connection.end();
    });
    const boom = (): never => {
      throw new Error("boom");
    };
    const talk: Talk = {
      begin: (say) => (when === "begin" ? boom() : void say(Buffer.from("x"))),
      hear: () => (when === "hear" ? boom() : undefined),
      end: boom,
    };
    const link = { address: { ip: "127.0.0.1", port }, tls: undefined, protocols: [], preface: undefined };
    const { signal } = new AbortController();
    const outcome = await converse(link, talk, { timeoutMs: 5000, signal });
    expect(told(outcome)).toEqual([false, "check_failed", "a defect of Weir: Error: boom"]);
  });
}

// tls

async function httpsServer(options: object = {}): Promise<string> {
  const { cert, key } = pair;
  const server = createHttpsServer({ cert, key, ...options }, (_request, answer) => void answer.end("fit"));
  return await listening(server);
}

interface Listening {
  listen(port: number, host: string, done: () => void): unknown;
  address(): AddressInfo | string | null;
  close(): unknown;
}

async function listening(server: Listening): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const type of ["https", "tls"] as const) {
  test(`${type}: secured and verified as the upstream's connections are`, async () => {
    const address = await httpsServer();
    expect((await ask(address, { type, upstream: { tls: TLS } })).isSuccess).toBe(true);
    const wrong = await ask(address, { type, upstream: { tls: { ...TLS, serverName: "other.test" } } });
    expect([wrong.reason, wrong.text]).toEqual([
      "check_tls",
      expect.stringContaining("ERR_TLS_CERT_ALTNAME_INVALID"),
    ]);
    const lax = { ...TLS, serverName: "other.test", verify: false };
    expect((await ask(address, { type, upstream: { tls: lax } })).isSuccess).toBe(true);
    const strange = await ask(address, { type });
    expect([strange.isSuccess, strange.reason]).toEqual([false, "check_tls"]);
  });

  test(`${type}: an endpoint without TLS, and one that shakes no hand`, async () => {
    const plain = await listening(createHttpServer((_request, answer) => void answer.end("hello")));
    expect(told(await ask(plain, { type, upstream: { tls: TLS } }))).toEqual([
      false,
      "check_tls",
      "WRONG_VERSION_NUMBER: does the endpoint speak TLS?",
    ]);
    const silent = await stage.origin({});
    expect(told(await ask(silent.address, { type, timeoutMs: 100, upstream: { tls: TLS } }))).toEqual([
      false,
      "check_timeout",
      "no TLS handshake in 100 ms",
    ]);
  });
}

test("https: behind a PROXY header the handshake begins after it", async () => {
  const seen: string[] = [];
  const front = await stage.origin((connection) => void seen.push(connection.received.slice(0, 16)));
  const upstream = { tls: TLS, proxyProtocol: "v1" } as const;
  await ask(front.address, { type: "https", timeoutMs: 200, upstream });
  expect(seen[0]?.startsWith("PROXY UNKNOWN\r\n")).toBe(true);
});

// tcp, agent

test("tcp: a connection is enough, unless something is expected", async () => {
  const silent = await stage.origin({});
  expect((await ask(silent.address, { type: "tcp" })).isSuccess).toBe(true);
  const greeting = await stage.origin({ open: (connection) => connection.write("220 ready\r\n") });
  expect((await ask(greeting.address, { type: "tcp", body: "^220 " })).isSuccess).toBe(true);
  const other = await stage.origin({
    open(connection) {
      connection.write("554 no\r\n");
      connection.end();
    },
  });
  expect(told(await ask(other.address, { type: "tcp", body: "^220 " }))).toEqual([
    false,
    "check_answer",
    '"554 no\\r\\n" does not hold ^220 ',
  ]);
});

test.skipIf(!needs("redis-server"))("tcp: Redis answers PING with +PONG", async () => {
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
  const redis: ChildProcess = spawn("redis-server", args, { stdio: "ignore", cwd: tmpdir() });
  stage.after(() => redis.kill("SIGKILL"));
  const wish = { type: "tcp", send: "PING\r\n", body: "^\\+PONG" } as const;
  const isFit = async () => (await ask(`127.0.0.1:${port}`, wish)).isSuccess;
  await eventually(isFit, 5000, "redis to be fit");
  const wrong = await ask(`127.0.0.1:${port}`, { ...wish, timeoutMs: 200, body: "^\\+PUNG" });
  expect(wrong.isSuccess).toBe(false);
});

test("agent: asked on its own port, with what is to be said first", async () => {
  const agent = await stage.origin((connection) => {
    if (connection.received === "app\n") connection.write("drain 25% # deploy\n");
  });
  const outcome = await ask("127.0.0.1:1", { type: "agent", port: agent.port, send: "app\n" });
  expect([outcome.isSuccess, outcome.agent]).toEqual([true, { isUp: true, wish: "drain", share: 0.25 }]);
});

// grpc

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE = {
  Check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const satisfies ServiceDefinition;
type Handler = (call: { request: Buffer }, done: (error: unknown, answer?: Buffer) => void) => void;

async function grpcServer(check: Handler | undefined, credentials = ServerCredentials.createInsecure()) {
  const server = new GrpcServer();
  if (check !== undefined) server.addService(SERVICE, { Check: check as never });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  stage.after(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

const statusOf = (services: Readonly<Record<string, number>>): Handler => {
  return ({ request }, done) => {
    const name = request.length === 0 ? "" : request.subarray(2).toString();
    const status = services[name];
    if (status === undefined) done({ code: 5, details: "unknown service" });
    else done(null, status === 0 ? Buffer.alloc(0) : Buffer.from([0x08, status]));
  };
};

test("grpc: SERVING is fit, for the server or for one service, and nothing else is", async () => {
  const address = await grpcServer(statusOf({ "": SERVING, "a.B": NOT_SERVING, "c.D": SERVING, "e.F": 0 }));
  const askFor = async (service: string) => told(await ask(address, { type: "grpc", service }));
  expect(await askFor("")).toEqual([true, "check_passed", "SERVING"]);
  expect(await askFor("c.D")).toEqual([true, "check_passed", "SERVING"]);
  expect(await askFor("a.B")).toEqual([false, "check_answer", "NOT_SERVING"]);
  expect(await askFor("e.F")).toEqual([false, "check_answer", "UNKNOWN"]);
  expect(await askFor("none")).toEqual([false, "check_answer", 'gRPC status 5: "unknown service"']);
});

test("grpc: a server without the health service is not fit", async () => {
  const address = await grpcServer(undefined);
  expect((await ask(address, { type: "grpc" })).text).toBe(
    "the endpoint has no health service (gRPC status 12)",
  );
});

test("grpc: over TLS where the upstream has it, and HTTP/2 must be offered", async () => {
  const { cert, key } = pair;
  const credentials = ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) },
  ]);
  const address = await grpcServer(statusOf({ "": SERVING }), credentials);
  const wish = { type: "grpc", upstream: { tls: TLS, protocol: "h2" } } as const;
  expect((await ask(address, wish)).isSuccess).toBe(true);
  const other = await ask(await httpsServer(), wish);
  expect([other.isSuccess, other.reason]).toEqual([false, "check_tls"]);
});

test("grpc: an endpoint of HTTP/1.1 and one that never answers are not fit", async () => {
  const web = createHttpServer((_request, answer) => void answer.end("hello"));
  const wrong = await ask(await listening(web), { type: "grpc", timeoutMs: 500 });
  expect(wrong.isSuccess).toBe(false);
  const slow = await grpcServer(() => undefined);
  const late = await ask(slow, { type: "grpc", timeoutMs: 200 });
  expect([late.isSuccess, ["check_timeout", "check_answer"].includes(late.reason)]).toEqual([false, true]);
});

// command

const shell = (script: string): Wish => ({ type: "command", command: ["/bin/sh", "-c", script] });

test("command: 0 is fit, everything else is not, and its first words are told", async () => {
  expect((await ask("127.0.0.1:81", shell("exit 0"))).isSuccess).toBe(true);
  expect(told(await ask("127.0.0.1:81", shell("echo disk full >&2; echo more; exit 3")))).toEqual([
    false,
    "check_command",
    '/bin/sh ended with 3: "disk full"',
  ]);
  expect((await ask("127.0.0.1:81", shell("kill -TERM $$"))).text).toBe("/bin/sh ended with SIGTERM");
  const missing = await ask("127.0.0.1:81", { type: "command", command: ["/no/such/program"] });
  expect([missing.reason, missing.text]).toEqual([
    "check_command",
    expect.stringContaining("/no/such/program cannot be started"),
  ]);
});

test("command: it is told which endpoint is meant", async () => {
  const script = (test: string) => shell(`test "${test}"`);
  const tcp = "$WEIR_UPSTREAM $WEIR_ENDPOINT $WEIR_ENDPOINT_HOST $WEIR_ENDPOINT_PORT";
  expect((await ask("[::1]:81", script(`${tcp}" = "app [::1]:81 ::1 81`))).isSuccess).toBe(true);
  const unix = script(`$WEIR_ENDPOINT_SOCKET" = "/run/app.sock`);
  expect((await ask("unix:/run/app.sock", unix)).isSuccess).toBe(true);
});

test("command: one that takes too long is killed, with all that it started", async () => {
  const mark = `3${process.pid}${Math.floor(performance.now())}`;
  const alive = () => Bun.spawnSync(["pgrep", "-f", `sleep ${mark}`]).exitCode === 0;
  const asked = ask("127.0.0.1:81", { ...shell(`sleep ${mark} & sleep ${mark}`), timeoutMs: 1000 });
  await eventually(alive, 900, "the program to start");
  expect(told(await asked)).toEqual([false, "check_timeout", "/bin/sh did not end in 1 s"]);
  await eventually(() => !alive(), 2000, "all of it to be gone");
});

test("command: what it leaves running does not hold the check up, and endless words are cut", async () => {
  const outcome = await ask("127.0.0.1:81", shell("sleep 2 & exit 0"));
  expect(outcome.isSuccess).toBe(true);
  const loud = await ask("127.0.0.1:81", shell("head -c 5000000 /dev/zero | tr '\\0' x; exit 1"));
  expect([loud.isSuccess, loud.text.length < 200]).toEqual([false, true]);
});
