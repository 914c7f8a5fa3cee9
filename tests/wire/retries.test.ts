/**
 * Retries at the real program: one of two endpoints fails requests in some way, and no client notices, or exactly those
 * that must.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import {
  Origin,
  type OriginConnection,
  type OriginRequest,
  perRequest,
  response,
} from "../support/origin.ts";
import { RawClient, type RawResponse } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { ask, get } from "./ask.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

type Answer = (request: OriginRequest, connection: OriginConnection) => string | undefined;

async function origin(answer: Answer): Promise<Origin> {
  const started = await Origin.start(perRequest(answer));
  stops.push(() => started.stop());
  return started;
}

const echo: Answer = (request) => response(`good:${request.body}`);
const silent: Answer = () => undefined;
const resetting: Answer = (_request, connection) => {
  connection.reset();
  return undefined;
};

async function start(retry: string, endpoints: readonly Origin[], more = ""): Promise<Weir> {
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, retry: ${retry}${more} } ]
upstreams: { app: { endpoints: [ ${endpoints.map(({ address }) => `"${address}"`).join(", ")} ] } }
`);
  stops.push(() => weir.stop());
  return weir;
}

function send(method: string, body: string): string {
  return `${method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const CHUNKED =
  "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
const LARGE = "x".repeat(100_000);

/** Enough turns for each endpoint to be first; each is a request of its own. */
async function askTurns(weir: Weir, bytes: string, turns = 4): Promise<RawResponse[]> {
  const answers: RawResponse[] = [];
  for (let turn = 0; turn < turns; turn++) answers.push(await ask(weir.port(), bytes));
  return answers;
}

const statusesOf = (answers: readonly RawResponse[]) => answers.map(({ status }) => status).sort();

async function isQuiet(weir: Weir): Promise<void> {
  const quiet = async () => {
    const { routes, upstreams } = await weir.status();
    const endpoints = upstreams.flatMap((upstream) => upstream.endpoints);
    return (
      routes.every(({ active }) => active === 0) &&
      endpoints.every((one) => one.active === 0 && one.connectionsOpen === one.connectionsPooled)
    );
  };
  await eventually(quiet, 5000, "gauges to come back to 0");
  expect(metric(await weir.metrics(), "weir_worker_buffered_bytes")).toBe(0);
}

const cutShort: Answer = (_request, connection) => {
  connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${"y".repeat(50)}`);
  setTimeout(() => connection.end(), 5);
  return undefined;
};
const cutInHead: Answer = (_request, connection) => {
  connection.write("HTTP/1.1 200 OK\r\nContent-Le");
  setTimeout(() => connection.end(), 5);
  return undefined;
};
const busy: Answer = () => response("bad", [], "503 Service Unavailable");
const busyForLong: Answer = () => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\nbad";

const ALL = "{ on: [connect, reset, timeout, 503], perTry: 200ms, backoff: 5ms, budget: 100% }";

interface Row {
  readonly what: string;
  readonly bad: Answer;
  readonly retry?: string;
  readonly request: string;
  readonly body: string;
  /** What those see who meet the bad one; undefined = nobody notices. */
  readonly seen?: number;
  readonly reason?: string;
}

const ROWS: readonly Row[] = [
  { what: "a GET that is reset", bad: resetting, request: get("/"), body: "good:", reason: "reset" },
  { what: "a GET whose head is cut", bad: cutInHead, request: get("/"), body: "good:", reason: "reset" },
  { what: "a GET whose small body is cut", bad: cutShort, request: get("/"), body: "good:", reason: "reset" },
  { what: "a GET that is not answered", bad: silent, request: get("/"), body: "good:", reason: "timeout" },
  { what: "a GET answered with 503", bad: busy, request: get("/"), body: "good:", reason: "status" },
  {
    what: "a GET answered with a long 503",
    bad: busyForLong,
    request: get("/"),
    body: "good:",
    reason: "status",
  },
  {
    what: "a PUT that is reset",
    bad: resetting,
    request: send("PUT", "hello"),
    body: "good:hello",
    reason: "reset",
  },
  {
    what: "a chunked PUT answered with 503",
    bad: busy,
    request: CHUNKED,
    body: "good:hello world",
    reason: "status",
  },
  {
    what: "a PUT whose body is too long to be kept",
    bad: resetting,
    request: send("PUT", LARGE),
    body: `good:${LARGE}`,
    seen: 502,
  },
  {
    what: "a POST that is reset",
    bad: resetting,
    request: send("POST", "hello"),
    body: "good:hello",
    seen: 502,
  },
  {
    what: "a POST answered with 503",
    bad: busy,
    request: send("POST", "hello"),
    body: "good:hello",
    seen: 503,
  },
  {
    what: "a POST that the route names",
    bad: resetting,
    retry: "{ on: reset, methods: POST, budget: 100% }",
    request: send("POST", "hello"),
    body: "good:hello",
    reason: "reset",
  },
  {
    what: "a GET that is reset, on a route that says nothing of it",
    bad: resetting,
    retry: "{ on: connect }",
    request: get("/"),
    body: "good:",
    seen: 502,
  },
];

for (const { what, bad, retry, request, body, seen, reason } of ROWS) {
  test(`${what}: ${seen === undefined ? "nobody notices" : `the client sees ${seen}`}`, async () => {
    const weir = await start(retry ?? ALL, [await origin(bad), await origin(echo)]);
    const answers = await askTurns(weir, request);
    const whole = answers.filter(({ status }) => status === 200);
    for (const answer of whole) expect(answer.body).toBe(body);
    expect(statusesOf(answers)).toEqual(seen === undefined ? [200, 200, 200, 200] : [200, 200, seen, seen]);
    await isQuiet(weir);
    if (reason === undefined) return;
    const text = await weir.metrics();
    expect(metric(text, "weir_retries_by_reason_total", { reason })).toBeGreaterThan(0);
    expect(metric(text, "weir_retries_total")).toBe(metric(text, "weir_retries_by_reason_total"));
  }, 15_000);
}

test("a body that is still coming when the first endpoint fails goes whole to the second", async () => {
  const early = await Origin.start((connection) => {
    if (connection.received.includes("first")) connection.reset();
  });
  stops.push(() => early.stop());
  const good = await origin(echo);
  const weir = await start(ALL, [early, good]);
  for (let turn = 0; turn < 2; turn++) {
    const client = await RawClient.connect(weir.port());
    await client.send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nfirst ");
    // by then the first endpoint, if it was its turn, has failed: the second has what there is of the body
    await eventually(
      () => good.received.join("").split("first").length === turn + 2,
      3000,
      "half of the body",
    );
    await client.send("later");
    const { status, body } = await client.response();
    expect([status, body]).toEqual([200, "good:first later"]);
    client.close();
  }
  await isQuiet(weir);
});

test("one endpoint that resets now and then is asked again", async () => {
  let count = 0;
  const moody = await origin((request, connection) =>
    ++count % 2 === 1 ? resetting(request, connection) : response("good:"),
  );
  const weir = await start("{ on: reset, backoff: 5ms, budget: 100% }", [moody]);
  expect(statusesOf(await askTurns(weir, get("/")))).toEqual([200, 200, 200, 200]);
});

test("Retry-After is waited for up to backoff.max, and passed on beyond (RFC 9110 §10.2.3)", async () => {
  let asked = "1";
  let count = 0;
  const moody = await origin(() =>
    ++count % 2 === 1
      ? response("busy", [`Retry-After: ${asked}`], "503 Service Unavailable")
      : response("good:"),
  );
  const weir = await start("{ on: 503, backoff: { base: 5ms, max: 2s }, budget: 100% }", [moody]);
  const startedMs = performance.now();
  expect((await ask(weir.port(), get("/"))).status).toBe(200);
  expect(performance.now() - startedMs).toBeGreaterThan(990);
  asked = "3";
  const answer = await ask(weir.port(), get("/"));
  expect([answer.status, answer.field("retry-after"), answer.body]).toEqual([503, "3", "busy"]);
});

test("when everything fails the budget bounds what is sent twice", async () => {
  const endpoints = [await origin(resetting), await origin(resetting)];
  const weir = await start("{ on: reset, backoff: 0, attempts: 10, budget: 10% }", endpoints);
  await Promise.all(Array.from({ length: 100 }, () => ask(weir.port(), get("/"))));
  const text = await weir.metrics();
  const retries = metric(text, "weir_retries_total");
  expect(retries).toBeGreaterThan(0);
  expect(retries).toBeLessThanOrEqual(100 * 0.1 + 30); // and the floor: 3 a second over 10 s
  expect(metric(text, "weir_retries_refused_total", { reason: "budget" })).toBeGreaterThan(0);
});

test("a client that leaves during the wait before a retry leaves nothing behind", async () => {
  const bad = await origin(busy);
  const weir = await start("{ on: 503, backoff: { base: 30s, max: 1m }, budget: 100% }", [bad]);
  const client = await RawClient.connect(weir.port());
  await client.send(get("/"));
  await eventually(() => bad.requests === 1, 3000, "the first attempt");
  client.reset();
  await isQuiet(weir);
  expect(bad.requests).toBe(1);
});

test("a client that resets cancels its request at the endpoint", async () => {
  const slow = await origin(silent);
  const weir = await start("{ on: reset }", [slow]);
  const client = await RawClient.connect(weir.port());
  await client.send(get("/"));
  await eventually(() => slow.requests === 1, 3000, "the request");
  client.reset();
  await eventually(() => slow.connections[0]?.isClosed === true, 3000, "the connection to be closed");
  await isQuiet(weir);
});

// ── time that is left ──

const TOLD: readonly [what: string, more: string, lines: string[], atMost: number | undefined][] = [
  ["what its route gives it", ", timeouts: { request: 5s }", [], 5000],
  ["what its client gives it", "", ["X-Request-Timeout: 700"], 700],
  ["the shorter of both", ", timeouts: { request: 5s }", ["X-Request-Timeout: 700"], 700],
  ["the shorter of both", ", timeouts: { request: 5s }", ["X-Request-Timeout: 9000"], 5000],
  ["nothing without a deadline", "", [], undefined],
];
for (const [what, more, lines, atMost] of TOLD) {
  test(`an endpoint is told the time left: ${what}`, async () => {
    const weir = await start("{ on: reset }", [await origin((request) => response(request.head))], more);
    const { body } = await ask(weir.port(), get("/", ...lines));
    const told = [...body.matchAll(/^x-request-timeout: (\d+)/gim)].map(([, ms]) => Number(ms));
    if (atMost === undefined) expect(told).toEqual([]);
    else {
      expect(told).toHaveLength(1);
      expect(told[0] as number).toBeLessThanOrEqual(atMost);
      expect(told[0] as number).toBeGreaterThan(atMost - 500);
    }
  });
}

test("each attempt is told what is left by then", async () => {
  const seen: number[] = [];
  const noting =
    (answer: Answer): Answer =>
    (request, connection) => {
      seen.push(Number(request.field("x-request-timeout")));
      return answer(request, connection);
    };
  const weir = await start(
    ALL,
    [await origin(noting(silent)), await origin(noting(silent))],
    ", timeouts: { request: 5s }",
  );
  expect((await ask(weir.port(), get("/"))).status).toBe(504);
  expect(seen.length).toBe(3);
  expect((seen[0] as number) - (seen[1] as number)).toBeGreaterThanOrEqual(190);
  expect((seen[1] as number) - (seen[2] as number)).toBeGreaterThanOrEqual(190);
});

// ── hedges ──

const HEDGED = "{ on: connect, hedge: { after: 50ms }, budget: 100% }";

test("a slow endpoint: another is asked too, the first answer is taken, the other is called off", async () => {
  const slow = await origin(silent);
  const weir = await start(HEDGED, [slow, await origin(echo)]);
  const answers = await askTurns(weir, get("/"));
  expect(statusesOf(answers)).toEqual([200, 200, 200, 200]);
  await eventually(
    () => slow.connections.every(({ isClosed }) => isClosed),
    3000,
    "the slow ones to be closed",
  );
  await isQuiet(weir);
  const text = await weir.metrics();
  expect([metric(text, "weir_hedges_total"), metric(text, "weir_hedges_won_total")]).toEqual([2, 2]);
});

test("a hedge repeats a body that is here", async () => {
  const weir = await start(HEDGED, [await origin(silent), await origin(echo)]);
  const answers = await askTurns(weir, CHUNKED);
  expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 4 }, () => "good:hello world"));
  await isQuiet(weir);
});

const late =
  (ms: number, text: string): Answer =>
  (_request, connection) => {
    setTimeout(() => connection.write(text), ms);
    return undefined;
  };

const RACES: readonly [what: string, first: Answer, second: Answer, seen: [number, string]][] = [
  [
    "the first is late but before the second",
    late(120, response("first")),
    late(400, response("second")),
    [200, "first"],
  ],
  ["the second answers first", late(500, response("first")), late(20, response("second")), [200, "second"]],
  [
    "the second answers with an error while the first is under way",
    late(200, response("first")),
    () => response("no", [], "500 No"),
    [200, "first"],
  ],
  [
    "the second is reset while the first is under way",
    late(200, response("first")),
    resetting,
    [200, "first"],
  ],
  [
    "the first is reset while the second is under way",
    (_request, connection) => void setTimeout(() => connection.reset(), 100),
    late(150, response("second")),
    [200, "second"],
  ],
  [
    "both answer with an error",
    late(80, response("first", [], "500 No")),
    late(100, response("second", [], "500 No")),
    [500, "second"],
  ],
  [
    "both are reset",
    (_request, connection) => void setTimeout(() => connection.reset(), 80),
    resetting,
    [502, ""],
  ],
  ["a large answer of the second", silent, () => response(LARGE.repeat(20)), [200, LARGE.repeat(20)]],
];
for (const [what, first, second, [status, body]] of RACES) {
  test(`a hedge: ${what}: ${status} ${body.slice(0, 10)}`, async () => {
    const weir = await start(HEDGED, [await origin(first), await origin(second)]);
    const answer = await ask(weir.port(), get("/"));
    expect(answer.status).toBe(status);
    if (status !== 502) expect(answer.body === body).toBe(true);
    await isQuiet(weir);
  });
}

test("a POST is not hedged", async () => {
  const endpoints = [await origin(late(120, response("slow"))), await origin(late(120, response("slow")))];
  const weir = await start(HEDGED, endpoints);
  await askTurns(weir, send("POST", "hello"), 2);
  expect(metric(await weir.metrics(), "weir_hedges_total")).toBe(0);
});

test("hedges stay inside the budget", async () => {
  const slow = late(200, response("slow"));
  const weir = await start("{ hedge: { after: 20ms }, budget: 10% }", [
    await origin(slow),
    await origin(slow),
  ]);
  await Promise.all(Array.from({ length: 100 }, () => ask(weir.port(), get("/"))));
  const text = await weir.metrics();
  const hedges = metric(text, "weir_hedges_total");
  expect(hedges).toBeGreaterThan(0);
  expect(hedges).toBeLessThanOrEqual(100 * 0.1 + 30);
  expect(metric(text, "weir_retries_refused_total", { reason: "budget" })).toBe(100 - hedges);
});

test("a client that leaves calls off both", async () => {
  const endpoints = [await origin(silent), await origin(silent)];
  const weir = await start(HEDGED, endpoints);
  const client = await RawClient.connect(weir.port());
  await client.send(get("/"));
  await eventually(() => endpoints.every(({ requests }) => requests === 1), 3000, "both to be asked");
  client.reset();
  await eventually(
    () => endpoints.every(({ connections }) => connections.every(({ isClosed }) => isClosed)),
    3000,
    "both to be closed",
  );
  await isQuiet(weir);
});

const PLACES: readonly [limit: number, hedges: number][] = [
  [1, 0],
  [8, 2],
];
for (const [limit, hedges] of PLACES) {
  test(`a hedge takes a place of the upstream's ${limit}, if one is free, and gives it back`, async () => {
    const endpoints = [await origin(late(200, response("slow"))), await origin(echo)];
    const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, retry: ${HEDGED} } ]
upstreams:
  app: { limits: { connections: ${limit} }, endpoints: [ ${endpoints.map(({ address }) => `"${address}"`).join(", ")} ] }
`);
    stops.push(() => weir.stop());
    expect(statusesOf(await askTurns(weir, get("/")))).toEqual([200, 200, 200, 200]);
    await isQuiet(weir);
    const text = await weir.metrics();
    expect(metric(text, "weir_hedges_total")).toBe(hedges);
    expect(metric(text, "weir_upstream_places_used")).toBe(0);
  });
}

test("a client that reads slowly gets a large answer of the second endpoint, piece by piece", async () => {
  const large = "y".repeat(20_000_000);
  const weir = await start(HEDGED, [await origin(silent), await origin(() => response(large))]);
  const client = await RawClient.connect(weir.port());
  await client.send(get("/"));
  client.pause();
  await Bun.sleep(300);
  expect(metric(await weir.metrics(), "weir_worker_buffered_bytes")).toBeLessThan(5_000_000);
  client.resume();
  const { status, body } = await client.response("GET", 10_000);
  expect([status, body.length]).toEqual([200, large.length]);
  client.close();
  await isQuiet(weir);
});
