/**
 * Time-outs: how long each side may take, and what the other is told when it takes longer.
 *
 * note   the wheel looks every 125 ms: a deadline fires up to that late, never early
 */
import { afterEach, expect, test } from "bun:test";
import { openBlackhole } from "../support/blackhole.ts";
import { eventually } from "../support/eventually.ts";
import { perRequest, response } from "../support/origin.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";
import { counted, failureCount, metric } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

/** What a time-out of `ms` may take, on a busy machine too. */
function expectTook(startedAtMs: number, ms: number): void {
  const tookMs = performance.now() - startedAtMs;
  expect(tookMs).toBeGreaterThanOrEqual(ms - 5);
  expect(tookMs).toBeLessThan(ms + 900);
}

const ok = perRequest((request) => response(request.requestLine));
const silent = () => undefined;
const answering = (body: string) => perRequest(() => response(body));
const post = (framing: string, body = "") => `POST /up HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`;

async function start(script: Parameters<Stage["origin"]>[0], parts: Parameters<typeof proxyTo>[1] = {}) {
  const origin = await stage.origin(script);
  const weir = await stage.weir(proxyTo(origin.address, parts));
  const client = await stage.client(weir.port());
  return { origin, weir, client };
}

test("half a head is answered with 408 after timeouts.head, and the connection closed", async () => {
  const { client, origin, weir } = await start(ok, { listener: "timeouts: { head: 400ms }" });
  const startedAtMs = performance.now();
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  const answer = await client.response();
  expectTook(startedAtMs, 400);
  expect([answer.status, answer.field("connection")]).toEqual([408, "close"]);
  await client.untilClose();
  expect(origin.connections.length).toBe(0);
  await counted(weir, "head_timeout", 1);
});

test("timeouts.head is for the whole head: byte after byte does not move it", async () => {
  const { client } = await start(ok, { listener: "timeouts: { head: 600ms }" });
  const startedAtMs = performance.now();
  const head = get("/", `X-Slow: ${"s".repeat(2000)}`);
  for (let at = 0; at < head.length && client.length === 0; at++) {
    await client.send(head.slice(at, at + 1));
    await Bun.sleep(5);
  }
  expect((await client.response()).status).toBe(408);
  expectTook(startedAtMs, 600);
});

test("timeouts.head holds for a second head on a kept connection too", async () => {
  const { client } = await start(ok, { listener: "timeouts: { head: 400ms, idle: 30s }" });
  await client.send(get("/"));
  await client.response();
  const startedAtMs = performance.now();
  await client.send("GET /half");
  expect((await client.response()).status).toBe(408);
  expectTook(startedAtMs, 400);
});

test("a connection that says nothing at all is closed without an answer", async () => {
  const { client } = await start(ok, { listener: "timeouts: { head: 400ms }" });
  expect(await client.untilClose()).toBe("");
});

test("an idle kept connection is closed after timeouts.idle, without a word", async () => {
  const { client } = await start(ok, { listener: "timeouts: { idle: 400ms }" });
  await client.send(get("/"));
  await client.response();
  const startedAtMs = performance.now();
  const { length } = client;
  await client.untilClose();
  expectTook(startedAtMs, 395);
  expect(client.length).toBe(length);
});

test("a request body that stalls is 408, and the endpoint sees it cut", async () => {
  const { client, origin } = await start(ok, { listener: "timeouts: { body: 400ms }" });
  await client.send(post("Content-Length: 100", "half"));
  await eventually(() => (origin.received[0] ?? "").endsWith("half"));
  const startedAtMs = performance.now();
  const answer = await client.response();
  expectTook(startedAtMs, 380);
  expect([answer.status, answer.field("connection")]).toEqual([408, "close"]);
  await eventually(() => origin.connections[0]?.isClosed === true);
  expect(origin.requests).toBe(0);
});

test("a slow request body that keeps coming is not timed out", async () => {
  const { client } = await start(ok, { listener: "timeouts: { body: 400ms }" });
  await client.send(post("Content-Length: 10"));
  for (let count = 0; count < 10; count++) {
    await Bun.sleep(100);
    await client.send("x");
  }
  expect((await client.response()).status).toBe(200);
});

test("a body that stalls while the answer is on its way ends in a visible cut", async () => {
  const body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nearl\r\n";
  const { client } = await start(
    (connection) => {
      if (connection.requests++ === 0) connection.write(body);
    },
    { listener: "timeouts: { body: 400ms }" },
  );
  await client.send(post("Content-Length: 100", "half"));
  await client.until("earl");
  await client.untilClose();
  expect(client.text).not.toContain("\r\n0\r\n");
});

test("a body that stalls after the client's window had to drain is timed out too", async () => {
  const big = "b".repeat(12_000_000);
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${big.length + 1}\r\n\r\n`;
  const { client, origin } = await start(
    (connection) => {
      if (connection.requests++ === 0) connection.write(head + big);
    },
    { listener: "timeouts: { body: 600ms }", route: "timeouts: { idle: 20s }" },
  );
  client.pause();
  await client.send(post("Content-Length: 100", "half"));
  await eventually(() => (origin.connections[0]?.queuedBytes ?? 0) > 0);
  client.resume();
  await eventually(() => client.isEnded || client.isClosed, 4000, "the connection to end");
  expect(client.length).toBeGreaterThan(big.length);
  expect(client.length).toBeLessThan(big.length + 500);
}, 10_000);

test("a client that takes no response byte for timeouts.body is cut off, and so is its endpoint", async () => {
  const body = "r".repeat(30_000_000);
  const { client, origin, weir } = await start(answering(body), { listener: "timeouts: { body: 500ms }" });
  client.pause();
  await client.send(get("/"));
  await eventually(
    () => origin.connections[0]?.isClosed === true,
    5000,
    "the endpoint's connection to close",
  );
  await counted(weir, "send_timeout", 1);
  const isGone = async () => (await weir.status()).listeners[0]?.connectionsActive === 0;
  await eventually(isGone, 5000, "the client's connection to be gone");
  client.resume();
  await client.untilClose();
  expect(client.length).toBeLessThan(body.length);
}, 15_000);

test("a slow client that goes on reading is not cut off", async () => {
  const body = "r".repeat(8_000_000);
  const { client } = await start(answering(body), { listener: "timeouts: { body: 500ms }" });
  await client.send(get("/"));
  for (let count = 0; count < 15; count++) {
    client.pause();
    await Bun.sleep(100);
    client.resume();
    await Bun.sleep(2);
  }
  await eventually(() => client.length >= body.length, 10_000, "the whole body");
}, 15_000);

test("an endpoint that does not accept is 504 after timeouts.connect; with another one, nobody notices", async () => {
  const blackhole = await openBlackhole();
  stage.after(() => blackhole.close());
  const weir = await stage.weir(proxyTo(blackhole.address, { route: "timeouts: { connect: 400ms }" }));
  const client = await stage.client(weir.port());
  const startedAtMs = performance.now();
  await client.send(get("/"));
  expect((await client.response()).status).toBe(504);
  expectTook(startedAtMs, 400);
  const text = await weir.metrics();
  expect(failureCount(text, "connect_timeout")).toBe(1);
  expect(metric(text, "weir_upstream_connect_errors_total")).toBe(1);
  expect(metric(text, "weir_upstream_requests_active")).toBe(0);
  const origin = await stage.origin(ok);
  const both = proxyTo(`${blackhole.address}", "${origin.address}`, {
    route: "timeouts: { connect: 400ms }",
  });
  expect(await weir.reload(both)).toBe(true);
  for (const path of ["/a", "/b"]) {
    await client.send(get(path));
    expect((await client.response()).body).toBe(`GET ${path} HTTP/1.1`);
  }
});

test("no response head for timeouts.response is 504, counted from the end of the request", async () => {
  const { client, origin, weir } = await start(silent, { route: "timeouts: { response: 400ms }" });
  await client.send(post("Content-Length: 4", "ab"));
  await Bun.sleep(300);
  const startedAtMs = performance.now();
  await client.send("cd");
  const answer = await client.response();
  expectTook(startedAtMs, 400);
  expect([answer.status, answer.field("connection")]).toEqual([504, undefined]);
  await eventually(() => origin.connections[0]?.isClosed === true);
  await counted(weir, "response_timeout", 1);
});

test("a 1xx does not count as the answer (RFC 9110 §15.2)", async () => {
  const { client } = await start((connection) => connection.write("HTTP/1.1 103 Early Hints\r\n\r\n"), {
    route: "timeouts: { response: 400ms }",
  });
  await client.send(get("/"));
  expect((await client.response()).status).toBe(103);
  expect((await client.response()).status).toBe(504);
});

for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
  test(`an endpoint silent for timeouts.idle in the middle of a body (${framing}) is a visible cut`, async () => {
    const part = framing.startsWith("C") ? "some" : "4\r\nsome\r\n";
    const { client, origin } = await start(
      (connection) => connection.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${part}`),
      { route: "timeouts: { idle: 400ms }" },
    );
    const startedAtMs = performance.now();
    await client.send(get("/"));
    await client.until("some");
    await client.untilClose();
    expectTook(startedAtMs, 400);
    expect(client.text).not.toContain("\r\n0\r\n");
    await eventually(() => origin.connections[0]?.isClosed === true);
  });
}

test("an endpoint that does not read a request body is 504 after timeouts.idle", async () => {
  const { client } = await start(
    { open: (connection) => connection.pause() },
    { route: "timeouts: { idle: 400ms }" },
  );
  await client.send(post("Content-Length: 20000000", "u".repeat(20_000_000)));
  expect((await client.response("POST", 8000)).status).toBe(504);
}, 15_000);

test("timeouts.request is for the whole exchange: 504 before the head, a cut after it", async () => {
  const parts = { route: "timeouts: { request: 500ms }" };
  const first = await start(silent, parts);
  const startedAtMs = performance.now();
  await first.client.send(get("/"));
  expect((await first.client.response()).status).toBe(504);
  expectTook(startedAtMs, 500);
  await counted(first.weir, "request_timeout", 1);
  const dripping = await start((connection) => {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    const timer = setInterval(() => (connection.isClosed ? clearInterval(timer) : connection.write("x")), 50);
  }, parts);
  await dripping.client.send(get("/"));
  await dripping.client.until("xxx");
  await dripping.client.untilClose(2000);
  expect(dripping.client.text.split("\r\n\r\n")[1]?.length).toBeLessThan(40);
});

test("timeouts.request also ends an answer that a slow client holds up", async () => {
  const { client, origin } = await start(answering("r".repeat(30_000_000)), {
    route: "timeouts: { request: 700ms }",
  });
  client.pause();
  await client.send(get("/"));
  await eventually(
    () => origin.connections[0]?.isClosed === true,
    3000,
    "the endpoint's connection to close",
  );
});

test("a client that leaves while waiting takes its upstream connection with it at once", async () => {
  const { client, origin, weir } = await start(silent);
  await client.send(get("/"));
  await eventually(() => (origin.received[0] ?? "").endsWith("\r\n\r\n"));
  client.reset();
  await eventually(() => origin.connections[0]?.isClosed === true, 1000, "the upstream connection to close");
  await eventually(async () => failureCount(await weir.metrics(), "downstream_closed") === 1);
  const text = await weir.metrics();
  expect(metric(text, "weir_upstream_requests_active")).toBe(0);
  expect(metric(text, "weir_upstream_connections_open")).toBe(0);
});

test("a client that only closes its sending side after the request still gets the answer (RFC 9112 §9.6)", async () => {
  const { client } = await start(
    perRequest((_request, connection) => {
      setTimeout(() => connection.write(response("late")), 300);
      return undefined;
    }),
  );
  await client.send(get("/"));
  client.end();
  expect((await client.response()).body).toBe("late");
  await client.untilClose();
});

test("requests sent together before a FIN are all answered", async () => {
  const { client } = await start(
    perRequest((request, connection) => {
      setTimeout(() => connection.write(response(request.requestLine)), 100);
      return undefined;
    }),
  );
  await client.send(get("/1") + get("/2") + get("/3"));
  client.end();
  for (const path of ["/1", "/2", "/3"]) {
    expect((await client.response()).body).toBe(`GET ${path} HTTP/1.1`);
  }
  await client.untilClose();
});

test("a stopping Weir ends as soon as its last answer is out and its client had time to ask again", async () => {
  const { client, weir } = await start(
    perRequest((_request, connection) => {
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      setTimeout(() => connection.write("cd"), 600);
      return undefined;
    }),
    { rest: "server: { workers: 1, drainTimeout: 20s }" },
  );
  await client.send(get("/"));
  await client.until("ab");
  const startedAtMs = performance.now();
  weir.signal("SIGTERM");
  expect((await client.response()).body).toBe("abcd");
  expect(await weir.exited).toBe(0);
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
}, 15_000);

test("a request for a name without address is 503 at once, with a body too", async () => {
  const weir = await stage.weir(proxyTo("nowhere.invalid:80"));
  const client = await stage.client(weir.port());
  await client.send(post("Content-Length: 5"));
  await client.send("abcde");
  expect((await client.response()).status).toBe(503);
  await client.send(get("/"));
  expect((await client.response()).status).toBe(503);
});
