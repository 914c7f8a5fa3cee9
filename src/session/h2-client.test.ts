import { expect, test } from "bun:test";
import { eventually } from "../../tests/support/eventually.ts";
import {
  answering,
  type Endpoint,
  head,
  type Note,
  ok,
  request,
  type Script,
  STREAMED,
  start,
  told,
} from "../../tests/support/h2-endpoint.ts";
import * as wire from "../../tests/support/h2-frames.ts";
import type { OriginConnection } from "../../tests/support/origin.ts";
import { BODY_LENGTH } from "../core/body.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { Head } from "../protocol/h2/head.ts";
import { HeadReader } from "../protocol/h2/head-reader.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { Exchange } from "./exchange.ts";

const { FRAME, CODE, SETTING } = wire;

/** Asks for one thing; the endpoint answers with these frames, in one piece or, with `isCut`, byte by byte. */
async function answered(frames: (stream: number) => readonly Buffer[], parts: Partial<Exchange> = {}) {
  const script: Script = {
    said: (endpoint, read) => {
      for (const { type, stream } of read) if (type === FRAME.headers) endpoint.send(...frames(stream));
    },
  };
  const started = await start(script);
  const exchange = request(parts);
  started.pool.send(exchange, true);
  await eventually(() => events(exchange).isDone || events(exchange).failure !== undefined);
  return { ...started, exchange, note: events(exchange) };
  function events(of: Exchange): Note {
    return started.events.of(of);
  }
}

const ANSWERS: readonly [what: string, frames: (stream: number) => Buffer[], told: readonly string[]][] = [
  ["a head alone", (id) => [head(id, [[":status", "200"]], true)], ["200 ."]],
  [
    "head and body in one read",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "hi", { end: true })],
    ["200 hi."],
  ],
  [
    "an end without bytes",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "", { end: true })],
    ["200 ."],
  ],
  [
    "a body in several frames",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "one"), wire.data(id, "two", { end: true })],
    ["200 onetwo."],
  ],
  [
    "trailers",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "hi"), head(id, [["grpc-status", "0"]], true)],
    ["200 hi", "end grpc-status: 0"],
  ],
  [
    "trailers alone",
    (id) => [head(id, [[":status", "200"]]), head(id, [["grpc-status", "0"]], true)],
    ["200 ", "end grpc-status: 0"],
  ],
  [
    "1xx before the head",
    (id) => [
      head(id, [
        [":status", "103"],
        ["link", "</a>"],
      ]),
      ...ok(id, "hi"),
    ],
    ["103 link: </a>", "200 hi."],
  ],
  [
    "padding",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "hi", { end: true, pad: 9 })],
    ["200 hi."],
  ],
];
for (const [what, frames, wanted] of ANSWERS) {
  test(`an answer with ${what} is told in full, and its connection is kept`, async () => {
    const { note, count, pool } = await answered(frames);
    expect([note.told, count("errors"), count("active"), pool.idleCount]).toEqual([[...wanted], 0, 0, 1]);
  });
}

const LENGTHS: readonly [
  what: string,
  method: string,
  fields: wire.FieldList,
  kind: number,
  length: number,
][] = [
  ["a length", "GET", [["content-length", "2"]], 1, 2],
  ["no length", "GET", [], 2, -1],
  ["a length, to HEAD", "HEAD", [["content-length", "2"]], 0, 2],
  ["no length, to HEAD", "HEAD", [], 0, -1],
];
for (const [what, upstreamMethod, fields, kind, length] of LENGTHS) {
  test(`an answer with ${what} says so in words that every protocol shares`, async () => {
    const isHead = upstreamMethod === "HEAD";
    const { exchange } = await answered(
      (id) => [
        head(id, [[":status", "200"], ...fields], isHead),
        ...(isHead ? [] : [wire.data(id, "hi", { end: true })]),
      ],
      { upstreamMethod },
    );
    expect([exchange.responseBodyKind, exchange.responseBodyLength]).toEqual([kind as 0, length]);
  });
}

const BROKEN: readonly [what: string, frames: (stream: number) => Buffer[], told: readonly string[]][] = [
  [
    "fewer bytes than its length (§8.1.1)",
    (id) => [
      head(id, [
        [":status", "200"],
        ["content-length", "5"],
      ]),
      wire.data(id, "hi", { end: true }),
    ],
    ["h2_response"],
  ],
  [
    "more bytes than its length (§8.1.1)",
    (id) => [
      head(id, [
        [":status", "200"],
        ["content-length", "1"],
      ]),
      wire.data(id, "hi"),
    ],
    ["h2_response"],
  ],
  ["no status (§8.3.2)", (id) => [head(id, [["x-a", "1"]], true)], ["h2_response"]],
  [
    "a field of HTTP/1 connections (§8.2.2)",
    (id) => [
      head(
        id,
        [
          [":status", "200"],
          ["connection", "close"],
        ],
        true,
      ),
    ],
    ["h2_response"],
  ],
  ["a reset before it", (id) => [wire.rstStream(id, CODE.internal)], ["upstream_reset"]],
  ["a refusal before it (§8.7)", (id) => [wire.rstStream(id, CODE.refusedStream)], ["stream_refused"]],
  [
    "a reset in its body",
    (id) => [head(id, [[":status", "200"]]), wire.data(id, "part"), wire.rstStream(id, CODE.cancel)],
    ["200 part", "upstream_cut"],
  ],
  [
    "a frame that no endpoint may send",
    () => [wire.frame({ type: FRAME.pushPromise, stream: 1 }, "abcd")],
    ["h2_response"],
  ],
  ["HTTP/1", () => [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")], ["h2_response"]],
];
for (const [what, frames, wanted] of BROKEN) {
  test(`an answer with ${what} fails its exchange, after all that was sound`, async () => {
    const { note, count } = await answered(frames);
    expect([note.told, count("errors"), count("active")]).toEqual([[...wanted], 1, 0]);
  });
}

const BODILESS: readonly [what: string, method: string, status: string][] = [
  ["HEAD", "HEAD", "200"],
  ["204", "GET", "204"],
  ["304", "GET", "304"],
];
for (const [what, upstreamMethod, status] of BODILESS) {
  test(`a body with ${what}, where none may be, does not get through (§8.1)`, async () => {
    const { note, endpoints } = await answered(
      (id) => [head(id, [[":status", status]]), wire.data(id, "HTTP/1.1 200 OK", { end: true })],
      { upstreamMethod },
    );
    expect(note.told).toEqual(["h2_response"]);
    await eventually(() => endpoints[0]?.of(FRAME.rstStream).length === 1);
  });
}

test("a mistake in one stream leaves the others alone", async () => {
  const { pool, events, endpoints } = await start({
    said: (endpoint, read) => {
      for (const { type, stream } of read) {
        if (type !== FRAME.headers) continue;
        endpoint.send(...(stream === 3 ? [head(stream, [["x-a", "1"]], true)] : ok(stream, "fine")));
      }
    },
  });
  const exchanges = [request(), request(), request()];
  for (const exchange of exchanges) pool.send(exchange, true);
  await eventually(() => events.done === 2 && events.failures.length === 1);
  expect(exchanges.map((exchange) => told(events, exchange))).toEqual([
    ["200 fine."],
    ["h2_response"],
    ["200 fine."],
  ]);
  expect(endpoints.length).toBe(1);
});

const KEPT = 65_535;
const REFUSED: readonly [what: string, pieces: readonly Buffer[], again: number | undefined][] = [
  ["nothing of its body", [], undefined],
  ["part of its body", [Buffer.from("part"), Buffer.from("s")], 5],
  ["as much as is kept", [Buffer.alloc(KEPT - 1, "x"), Buffer.from("x")], KEPT],
];
for (const [what, pieces, again] of REFUSED) {
  test(`a stream that is refused when the endpoint has ${what} can be asked for again, whole (§8.7)`, async () => {
    const { exchange, note, services } = await refusedAfter(pieces, wire.rstStream(1, CODE.refusedStream));
    expect(note.told).toEqual(["stream_refused"]);
    expect(exchange.bodyAgain?.length).toBe(again ?? 0);
    expect(exchange.bodyAgain?.toString()).toBe(pieces.map(String).join(""));
    expect(services.budget.usedBytes).toBe(0);
  });
}

test("a stream of which more was given than is kept cannot be asked for again", async () => {
  const pieces = [Buffer.alloc(KEPT, "x"), Buffer.from("y")];
  const { exchange, note, services } = await refusedAfter(pieces, wire.goaway(0, CODE.none));
  expect([note.told, exchange.bodyAgain, services.budget.usedBytes]).toEqual([
    ["upstream_reset"],
    undefined,
    0,
  ]);
});

/** A request of which an endpoint with room for it all gets these pieces, and then says this. */
async function refusedAfter(pieces: readonly Buffer[], word: Buffer) {
  const { pool, events, endpoints, services } = await start({
    settings: [[SETTING.initialWindowSize, KEPT * 2]],
    said: (endpoint) => void endpoint.connection.write(wire.windowUpdate(0, KEPT * 2)),
  });
  const exchange = request(STREAMED);
  pool.send(exchange, true);
  const note = events.of(exchange);
  await eventually(() => note.isReady);
  for (const piece of pieces) exchange.upstream?.sendBody(piece);
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const [endpoint] = endpoints as [Endpoint];
  const got = () => endpoint.of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0);
  await eventually(() => endpoint.asked.length === 1 && got() >= Math.min(total, KEPT));
  expect(services.budget.usedBytes).toBeLessThanOrEqual(total);
  endpoint.send(word);
  await eventually(() => note.failure);
  return { exchange, note, services };
}

test("what is kept of a request body is let go when the endpoint answers", async () => {
  const { pool, events, endpoints, services } = await start();
  const exchange = request(STREAMED);
  pool.send(exchange, true);
  await eventually(() => events.of(exchange).isReady);
  exchange.upstream?.sendBody(Buffer.alloc(1000));
  await eventually(() => endpoints[0]?.of(FRAME.data).length === 1);
  expect(services.budget.usedBytes).toBe(1000);
  endpoints[0]?.send(head(1, [[":status", "200"]]));
  await eventually(() => told(events, exchange).length === 1);
  await eventually(() => services.budget.usedBytes === 0);
});

test("a slow client holds the endpoint back by its window, and loses nothing", async () => {
  const piece = Buffer.alloc(16_000, "x");
  const { pool, events, services, endpoints } = await start();
  const [slow, quick] = [request(), request()];
  pool.send(slow, true);
  pool.send(quick, true);
  await eventually(() => endpoints[0]?.asked.length === 2);
  const [endpoint] = endpoints as [Endpoint];
  endpoint.send(head(1, [[":status", "200"]]));
  await eventually(() => told(events, slow).length === 1);
  slow.upstream?.pauseResponse();
  for (let sent = 0; sent < 256_000; sent += piece.length) endpoint.send(wire.data(1, piece));
  endpoint.send(...ok(3, "quick"));
  await eventually(() => events.of(quick).isDone);
  const credit = () => endpoint.of(FRAME.windowUpdate).filter(({ stream }) => stream === 1).length;
  expect([events.of(slow).bodyBytes, credit(), services.budget.usedBytes]).toEqual([0, 0, 256_000]);
  slow.upstream?.resumeResponse();
  expect([events.of(slow).bodyBytes, services.budget.usedBytes]).toEqual([256_000, 0]);
  await eventually(() => credit() > 0);
  endpoint.send(wire.data(1, "end", { end: true }));
  await eventually(() => events.of(slow).isDone);
});

test("what a slow client has not taken yet is complete, though the connection is lost behind it", async () => {
  const { pool, events, endpoints } = await start();
  const exchange = request();
  pool.send(exchange, true);
  await eventually(() => endpoints[0]?.asked.length === 1);
  endpoints[0]?.send(head(1, [[":status", "200"]]));
  await eventually(() => told(events, exchange).length === 1);
  exchange.upstream?.pauseResponse();
  endpoints[0]?.send(wire.data(1, "one"), wire.data(1, "two", { end: true }));
  endpoints[0]?.connection.end();
  await eventually(() => endpoints[0]?.connection.isClosed);
  exchange.upstream?.resumeResponse();
  expect(told(events, exchange)).toEqual(["200 ", "onetwo", "end"]);
});

test("a request body waits for the endpoint's window, and is told when it may go on", async () => {
  const { pool, events, endpoints } = await start({ settings: [[SETTING.initialWindowSize, 10]] });
  const exchange = request(STREAMED);
  pool.send(exchange, true);
  await eventually(() => endpoints[0]?.of(FRAME.settings).length === 2);
  expect(exchange.upstream?.sendBody(Buffer.from("0123456789abcdef"))).toBe(false);
  const [endpoint] = endpoints as [Endpoint];
  const received = () => Buffer.concat(endpoint.of(FRAME.data).map(({ payload }) => payload)).toString();
  await eventually(() => received() === "0123456789");
  expect(events.of(exchange).isWritable).toBe(false);
  endpoint.send(wire.windowUpdate(1, 100));
  await eventually(() => received() === "0123456789abcdef" && events.of(exchange).isWritable);
  exchange.upstream?.sendEnd("x-sum: 1\r\n");
  await eventually(() => endpoint.of(FRAME.headers).length === 2);
  expect(endpoint.of(FRAME.headers)[1]?.flags).toBe(wire.FLAG.endHeaders | wire.FLAG.endStream);
  endpoint.send(...ok(1, "done"));
  await eventually(() => events.of(exchange).isDone);
});

test("a body of known length is framed by its length, an empty one by the head's end", async () => {
  const { pool, endpoints } = await start();
  pool.send(request({ upstreamMethod: "PUT", requestBodyKind: BODY_LENGTH, requestBodyLength: 0 }), true);
  const exchange = request({ ...STREAMED, requestBodyKind: BODY_LENGTH, requestBodyLength: 3 });
  pool.send(exchange, true);
  await eventually(() => endpoints[0]?.asked.length === 2);
  const flags = endpoints[0]?.of(FRAME.headers).map((frame) => frame.flags & wire.FLAG.endStream);
  expect(flags).toEqual([1, 0]);
});

test("an answer before the end of its request ends both (§8.1)", async () => {
  const { pool, events, endpoints, count } = await start(answering);
  const exchange = request(STREAMED);
  pool.send(exchange, true);
  await eventually(() => events.of(exchange).isDone);
  expect(exchange.upstream).toBe(undefined);
  await eventually(() => endpoints[0]?.of(FRAME.rstStream).length === 1);
  expect([
    endpoints[0]?.of(FRAME.rstStream)[0]?.payload.readUInt32BE(0),
    count("active"),
    count("errors"),
  ]).toEqual([CODE.none, 0, 0]);
});

test("an exchange that is called off resets its stream, and the connection goes on", async () => {
  const { pool, events, endpoints, count } = await start();
  const [gone, other] = [request(), request()];
  pool.send(gone, true);
  pool.send(other, true);
  await eventually(() => endpoints[0]?.asked.length === 2);
  gone.upstream?.cancel();
  await eventually(() => endpoints[0]?.of(FRAME.rstStream).length === 1);
  endpoints[0]?.send(...ok(1, "late"), ...ok(3, "fine"));
  await eventually(() => events.of(other).isDone);
  expect([told(events, gone), endpoints[0]?.of(FRAME.rstStream)[0]?.payload.readUInt32BE(0)]).toEqual([
    [],
    CODE.cancel,
  ]);
  expect([count("active"), count("pooled")]).toEqual([0, 1]);
});

const LOST: readonly [what: string, lose: (connection: OriginConnection) => void][] = [
  ["FIN", (connection) => connection.end()],
  ["RST", (connection) => connection.reset()],
];
for (const [what, lose] of LOST) {
  test(`a lost connection (${what}) fails what is under way: as stale once it has carried an answer`, async () => {
    const { pool, events, endpoints, count } = await start();
    const first = request();
    pool.send(first, true);
    await eventually(() => endpoints[0]?.asked.length === 1);
    lose(endpoints[0]?.connection as OriginConnection);
    await eventually(() => events.of(first).failure);
    const [second, third] = [request(), request()];
    pool.send(second, true);
    await eventually(() => endpoints[1]?.asked.length === 1);
    endpoints[1]?.send(...ok(1, "fine"));
    await eventually(() => events.of(second).isDone);
    pool.send(third, true);
    await eventually(() => endpoints[1]?.asked.length === 2);
    lose(endpoints[1]?.connection as OriginConnection);
    await eventually(() => events.of(third).failure);
    expect(events.failures).toEqual(["upstream_reset", "stale_connection"]);
    await eventually(() => count("open") === 0);
    expect([count("active"), count("pooled"), count("errors")]).toEqual([0, 0, 2]);
  });
}

test("each part has its time: the connection, the answer, the body, the whole", async () => {
  const silent = await start({ said: () => undefined });
  const waiting = request({ timeouts: { connectMs: 5000, responseMs: 2000, idleMs: 5000 } });
  silent.pool.send(waiting, true);
  await eventually(() => silent.endpoints[0]?.asked.length === 1);
  silent.services.wheel.advance(clock.nowMs + 2300);
  expect(told(silent.events, waiting)).toEqual(["response_timeout"]);
  await eventually(() => silent.endpoints[0]?.of(FRAME.rstStream).length === 1);
  const begun = await start({
    said: (endpoint, read) => {
      for (const { type, stream } of read) {
        if (type === FRAME.headers) endpoint.send(head(stream, [[":status", "200"]]));
      }
    },
  });
  const stuck = request();
  begun.pool.send(stuck, true);
  await eventually(() => told(begun.events, stuck).length === 1);
  begun.services.wheel.advance(clock.nowMs + 5300);
  const whole = request({ deadlineMs: clock.nowMs + 100 });
  begun.pool.send(whole, true);
  await eventually(() => told(begun.events, whole).length === 1 && readClock() >= whole.deadlineMs);
  begun.services.wheel.advance(clock.nowMs + 6000); // the wheel is ahead of the clock by now
  expect(begun.events.failures).toEqual(["upstream_idle", "request_timeout"]);
});

test("a WebSocket is asked for by extended CONNECT where the endpoint takes it, and refused where not (RFC 8441)", async () => {
  const upgrade = {
    upgrade: "websocket",
    requestFields: fieldsOfLines("Host: a.test\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
  };
  const plain = await start(answering);
  const refused = request(upgrade);
  plain.pool.send(refused, true);
  await eventually(() => plain.events.of(refused).failure);
  expect(told(plain.events, refused)).toEqual(["upgrade_unsupported"]);

  const taking = await start({ settings: [[SETTING.enableConnectProtocol, 1]] });
  const exchange = request(upgrade);
  taking.pool.send(exchange, true);
  await eventually(() => taking.endpoints[0]?.asked.length === 1);
  const [endpoint] = taking.endpoints as [Endpoint];
  const block = endpoint.of(FRAME.headers)[0]?.payload as Buffer;
  const asked = new Head();
  new HeadReader({ listBytes: 10_000, fields: 10 }).read("request", block, 0, block.length, asked);
  expect([asked.method, asked.protocol, asked.scheme, asked.authority, asked.path]).toEqual([
    "CONNECT",
    "websocket",
    "http",
    "a.test",
    "/",
  ]);
  endpoint.send(head(1, [[":status", "200"]]));
  await eventually(() => told(taking.events, exchange).length === 1);
  expect([exchange.status, exchange.responseFields.linesWithout(0, 0)]).toEqual([
    101,
    "Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
  ]);
  exchange.isTunnel = true;
  exchange.upstream?.sendBody(Buffer.from("ping"));
  await eventually(() => endpoint.of(FRAME.data)[0]?.payload.toString() === "ping");
  endpoint.send(wire.data(1, "pong", { end: true }));
  await eventually(() => taking.events.of(exchange).isDone);
  exchange.upstream?.sendEnd("");
  await eventually(() => taking.count("active") === 0);
  expect(told(taking.events, exchange)).toEqual(["101 ", "pong", "end"]);
});

test("an endpoint that answers every piece of a body with credit and a PING is not taken for a flood", async () => {
  const { pool, events, endpoints } = await start({
    said: (endpoint, read) => {
      const pieces = read.filter(({ type }) => type === FRAME.data);
      endpoint.send(
        ...pieces.flatMap(({ payload }) =>
          payload.length === 0
            ? []
            : [wire.windowUpdate(0, payload.length), wire.windowUpdate(1, payload.length), wire.ping()],
        ),
      );
      if (read.some(({ type, flags }) => type === FRAME.data && flags === wire.FLAG.endStream)) {
        endpoint.send(...ok(1, "done"));
      }
    },
  });
  const exchange = request(STREAMED);
  pool.send(exchange, true);
  await eventually(() => events.of(exchange).isReady);
  const piece = Buffer.alloc(100);
  for (let sent = 0; sent < 30_000; sent++) {
    if (exchange.upstream?.sendBody(Buffer.from(piece)) !== false) continue;
    events.of(exchange).isWritable = false;
    await eventually(() => events.of(exchange).isWritable);
  }
  exchange.upstream?.sendEnd("");
  await eventually(() => events.of(exchange).isDone);
  expect(endpoints[0]?.of(FRAME.data).length).toBeGreaterThan(30_000);
}, 20_000);
