/**
 * Limits: how much a client may ask for, and what it is told when it asks for more.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { perRequest, response } from "../support/origin.ts";
import { type RawClient, sendAndCollect } from "../support/raw-client.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";
import { counted, failureCount } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const echoPath = perRequest((request) => response(request.requestLine.split(" ")[1]));

async function start(limits: string, extra: Parameters<typeof proxyTo>[1] = {}) {
  const origin = await stage.origin(echoPath);
  const weir = await stage.weir(proxyTo(origin.address, { listener: `limits: { ${limits} }`, ...extra }));
  return { origin, weir, port: weir.port() };
}

/** Status of the only answer, and whether the connection was closed after it. */
function answerOf(text: string): [status: number, answers: number] {
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((found) => Number(found[1]));
  return [statuses[0] ?? 0, statuses.length];
}

const KIB = 1024;
const pad = (bytes: number) => "p".repeat(bytes);
const HEAD_ROWS: readonly [what: string, bytes: string, status: number][] = [
  ["a head of exactly limits.requestHead passes", withHeadOf(2 * KIB), 200],
  ["one byte more is 431 (RFC 6585 §5)", withHeadOf(2 * KIB + 1), 431],
  ["a head that never ends is 431 at the limit", `GET / HTTP/1.1\r\nHost: a\r\nX: ${pad(5 * KIB)}`, 431],
  ["a request line longer than the whole limit is 414 (RFC 9112 §3)", get(`/${pad(3 * KIB)}`), 414],
  ["as many header lines as limits.headers pass", get("/", ...lines(10)), 200],
  ["one line more is 431", get("/", ...lines(11)), 431],
];

/** Header lines that make `count` together with Host. */
function lines(count: number): string[] {
  return ["Connection: close", ...Array.from({ length: count - 2 }, (_, at) => `X-${at}: ${at}`)];
}

function withHeadOf(bytes: number): string {
  const empty = get("/", "X-Pad: ", "Connection: close");
  return get("/", `X-Pad: ${pad(bytes - empty.length)}`, "Connection: close");
}

for (const [what, bytes, status] of HEAD_ROWS) {
  test(what, async () => {
    const { port, origin } = await start("requestHead: 2KiB, headers: 10");
    const text = await sendAndCollect(port, bytes);
    expect(answerOf(text)).toEqual([status, 1]);
    if (status !== 200) expect([origin.requests, /connection: close/i.test(text)]).toEqual([0, true]);
  });
}

const post = (framing: string, body = "") => `POST /up HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`;
const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${pad(bytes)}\r\n`;

test("a body of exactly limits.body passes, declared and in chunks", async () => {
  const { port } = await start("body: 1000B");
  const client = await stage.client(port);
  await client.send(post("Content-Length: 1000", pad(1000)));
  expect((await client.response()).status).toBe(200);
  await client.send(post("Transfer-Encoding: chunked", `${chunk(600)}${chunk(400)}0\r\n\r\n`));
  expect((await client.response()).status).toBe(200);
});

test("a declared length over limits.body is 413 before a byte of it is read, and nothing goes upstream", async () => {
  const { port, origin } = await start("body: 1000B");
  const client = await stage.client(port);
  await client.send(post("Content-Length: 1001"));
  const answer = await client.response();
  expect([answer.status, answer.field("connection")]).toEqual([413, "close"]);
  expect(origin.connections.length).toBe(0);
});

test("a client that expects 100-continue is told 413 instead (RFC 9110 §10.1.1)", async () => {
  const { port } = await start("body: 1000B");
  const client = await stage.client(port);
  await client.send(post("Content-Length: 5000\r\nExpect: 100-continue"));
  expect((await client.response()).status).toBe(413);
});

test("a chunked body that crosses limits.body on its way is 413, and the endpoint sees it cut, never complete", async () => {
  const { port, origin } = await start("body: 1000B");
  const client = await stage.client(port);
  await client.send(post("Transfer-Encoding: chunked", chunk(900)));
  await eventually(() => (origin.received[0] ?? "").includes(pad(900)));
  await client.send(chunk(200));
  const answer = await client.response();
  expect([answer.status, answer.field("connection")]).toEqual([413, "close"]);
  await eventually(() => origin.connections[0]?.isClosed === true);
  expect(origin.received[0]).not.toContain("\r\n0\r\n");
  expect(origin.requests).toBe(0);
});

test("the answer 413 is not lost on a client that goes on sending (RFC 9112 §9.6)", async () => {
  const { port } = await start("body: 1000B");
  const client = await stage.client(port);
  await client.send(post("Content-Length: 600000", pad(600_000)));
  await client.until("HTTP/1.1 413 ");
  await client.untilClose();
  expect(client.errorCode).toBeUndefined();
});

test("limits.connections: the newest gets 503, Retry-After and close; the others go on; a place that is freed is given", async () => {
  const { port, weir } = await start("connections: 3");
  const open = await Promise.all([1, 2, 3].map(() => stage.client(port)));
  for (const client of open) {
    await client.send(get("/first"));
    expect((await client.response()).status).toBe(200);
  }
  const refused = await stage.client(port);
  const text = await refused.untilClose();
  expect(text).toStartWith("HTTP/1.1 503 ");
  expect(text).toMatch(/\r\nretry-after: \d+\r\n/i);
  expect(text).toMatch(/\r\nconnection: close\r\n/i);
  for (const client of open) {
    await client.send(get("/again"));
    expect((await client.response()).body).toBe("/again");
  }
  await counted(weir, "too_many_connections", 1);
  expect(await weir.metrics()).toContain('weir_listener_connections_refused_total{listener="web"} 1');
  open[0]?.close();
  const isFree = async () => (await weir.status()).listeners[0]?.connectionsActive === 2;
  await eventually(isFree, 3000, "the place to be free");
  const next = await stage.client(port);
  await next.send(get("/next"));
  expect((await next.response()).body).toBe("/next");
});

test("limits.connections holds over all workers together", async () => {
  const { port } = await start("connections: 4", { rest: "server: { workers: 2 }" });
  const clients: RawClient[] = [];
  for (let count = 0; count < 12; count++) {
    const client = await stage.client(port);
    await client.send(get("/"));
    await client.until("\r\n\r\n");
    clients.push(client);
  }
  const served = clients.filter((client) => client.text.startsWith("HTTP/1.1 200")).length;
  expect(served).toBe(4);
});

test("limits.requestsPerConnection: the last answer says close, and the connection ends", async () => {
  const { port } = await start("requestsPerConnection: 3");
  const client = await stage.client(port);
  const said: (string | undefined)[] = [];
  for (const path of ["/1", "/2", "/3"]) {
    await client.send(get(path));
    said.push((await client.response()).field("connection"));
  }
  expect(said).toEqual([undefined, undefined, "close"]);
  await client.untilClose();
});

test("requests behind the last one of a connection are not answered, and not forwarded", async () => {
  const { port, origin } = await start("requestsPerConnection: 2");
  const text = await sendAndCollect(port, get("/1") + get("/2") + get("/3"));
  expect(text.match(/HTTP\/1\.1 200/g)?.length).toBe(2);
  expect(origin.requests).toBe(2);
});

test("what a client pipelines ahead of a slow answer is held back in the kernel, not read without end", async () => {
  let answer: (() => void) | undefined;
  const origin = await stage.origin(
    perRequest((_request, connection) => {
      if (answer !== undefined) return response("next");
      answer = () => connection.write(response("first"));
      return undefined;
    }),
  );
  const weir = await stage.weir(proxyTo(origin.address));
  const client = await stage.client(weir.port());
  const one = get("/ahead", `X-Pad: ${pad(900)}`);
  const count = 30_000; // 30 MB: more than the kernel takes for one connection on loopback
  const before = (await weir.status()).workers[0]?.memoryBytes ?? 0;
  await client.send(one.repeat(count));
  await client.untilQuiet(600);
  expect(client.unsentBytes).toBeGreaterThan(1_000_000);
  const after = (await weir.status()).workers[0]?.memoryBytes ?? 0;
  expect(after - before).toBeLessThan(8 * KIB * KIB);
  expect(origin.received[0]?.match(/GET/g)?.length).toBe(1);
  answer?.();
  await client.until((text) => text.split("HTTP/1.1 200").length > 1000, 10_000);
}, 20_000);

test("when server.memory is used up by slow readers the newest is refused with 503, those under way go on", async () => {
  const body = "m".repeat(24 * KIB * KIB);
  const origin = await stage.origin(
    perRequest((request) => response(request.requestLine.includes("big") ? body : "small")),
  );
  const weir = await stage.weir(proxyTo(origin.address, { rest: "server: { workers: 1, memory: 16MiB }" }));
  const slow: RawClient[] = [];
  const ask = async () => {
    const client = await stage.client(weir.port());
    await client.send(get("/small", "Connection: close"));
    return await client.response();
  };
  const isFull = async () => {
    const client = await stage.client(weir.port());
    client.pause();
    await client.send(get("/big"));
    slow.push(client);
    return (await ask()).status === 503;
  };
  await eventually(isFull, 10_000, "the memory to be used up");
  const refused = await ask();
  expect([refused.status, refused.field("retry-after"), refused.field("connection")]).toEqual([
    503,
    "1",
    "close",
  ]);
  expect(failureCount(await weir.metrics(), "out_of_memory")).toBeGreaterThan(0);
  const [first] = slow;
  first?.resume();
  await eventually(() => (first?.length ?? 0) > body.length, 10_000, "the first one's whole answer");
  for (const client of slow) client.reset();
  await eventually(async () => (await ask()).status === 200, 5000, "room again");
}, 30_000);
