import { expect, test } from "bun:test";
import { FakeSocket } from "../../tests/support/fake-socket.ts";
import { data, headers, PREFACE, settings, takeFrames, windowUpdate } from "../../tests/support/h2-frames.ts";
import { CidrSet } from "../core/address.ts";
import { BODY_LENGTH, BODY_NONE } from "../core/body.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { LISTENER } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import type { DownstreamEvents, Exchange } from "./exchange.ts";
import { H2Server } from "./h2-server.ts";
import type { Listener } from "./listener.ts";

const BODY_MS = 5000;
const LISTENER_OF_TEST: Listener = {
  name: "web",
  limits: { connections: 10, requestHeadBytes: 32_768, headers: 50, bodyBytes: 0, requestsPerConnection: 0 },
  timeouts: { handshakeMs: 1000, headMs: 1000, bodyMs: BODY_MS, idleMs: 1000 },
  trustedProxies: new CidrSet([]),
  proxyProtocolFrom: new CidrSet([]),
  protocols: ["h2"],
  http2: {
    maxStreams: 100,
    streamWindowBytes: 65_535,
    connectionWindowBytes: 1 << 20,
    extendedConnect: false,
  },
  tls: undefined,
  slot: 0,
  site: undefined,
  isLeaving: false,
};

class Asked implements DownstreamEvents {
  readonly exchanges: Exchange[] = [];
  onRequest: (exchange: Exchange) => void = () => undefined;
  request(exchange: Exchange): void {
    this.exchanges.push(exchange);
    this.onRequest(exchange);
  }
  requestBody = () => undefined;
  requestEnd = () => undefined;
  downstreamDrained = () => undefined;
  responseSent = () => undefined;
  downstreamFailed = (exchange: Exchange) => exchange.downstream.abort(exchange);
}

function open() {
  const socket = new FakeSocket();
  const events = new Asked();
  const budget = new BufferBudget(1e9);
  const server = new H2Server(
    socket,
    LISTENER_OF_TEST,
    { ip: "127.0.0.1", port: 1, localPort: 2, localIp: "127.0.0.1", tls: undefined },
    {
      wheel: new Wheel(),
      budget,
      sockets: new SocketBudget(undefined),
      events,
      counters: new Float64Array(LISTENER.slots),
      workerSlot: 0,
      isDraining: false,
    },
  );
  server.onData(Buffer.concat([PREFACE, settings()]));
  return { socket, events, budget, server };
}

const get = (stream: number, method = "GET") =>
  headers(stream, [
    [":method", method],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "a.test"],
  ]);

function answer(exchange: Exchange, body: Buffer, lines = ""): void {
  exchange.sentStatus = 200;
  exchange.responseFields = fieldsOfLines(lines);
  exchange.sentBodyKind = body.length === 0 ? BODY_NONE : BODY_LENGTH;
  exchange.first = body;
  exchange.firstEnd = body.length;
  exchange.downstream.sendHead(exchange, true);
}

/** The time that the wheel would wait has come. */
function expire(server: H2Server): void {
  expect(Number.isFinite(server.deadlineMs)).toBe(true);
  clock.nowMs = Math.max(clock.nowMs, server.deadlineMs);
  server.expire();
}

test("an answer that is complete and not yet taken outlasts the last word to a slow client that goes on reading", () => {
  const { socket, server, events } = open();
  server.flush();
  socket.room = 1000;
  server.onData(get(1));
  answer(events.exchanges[0] as Exchange, Buffer.alloc(30_000, "x"));
  server.flush();
  server.leave();
  expire(server); // the last GOAWAY, and the end
  expect(server.wire.isBlocked).toBe(true);
  const lastWordMs = clock.nowMs;
  expect(server.deadlineMs - lastWordMs).toBeCloseTo(BODY_MS);
  server.onDrain(); // a thousand bytes
  expire(server);
  expect(socket.calls).not.toContain("close");
  expire(server); // not one byte since
  expect(socket.calls).toContain("close");
  socket.room = Number.POSITIVE_INFINITY;
});

test("what the client has taken in full is followed by FIN", () => {
  const { socket, server, events } = open();
  server.flush();
  socket.room = 1000;
  server.onData(get(1));
  answer(events.exchanges[0] as Exchange, Buffer.alloc(30_000, "x"));
  server.flush();
  server.leave();
  expire(server);
  socket.room = Number.POSITIVE_INFINITY;
  server.onDrain();
  expect(socket.calls).toContain("shutdown");
  const { frames } = takeFrames(Buffer.from(socket.written, "latin1"));
  const body = frames.filter(({ type }) => type === 0).reduce((sum, { payload }) => sum + payload.length, 0);
  expect(body).toBe(30_000);
});

test("a client that asks for heads and takes none is sent away once it asks for more than it may have open", () => {
  const { socket, server, events } = open();
  server.flush();
  socket.room = 0;
  events.onRequest = (exchange) => answer(exchange, Buffer.alloc(0), `x: ${"y".repeat(20_000)}\r\n`);
  const heads = (first: number, count: number) =>
    Buffer.concat(Array.from({ length: count }, (_, at) => get((first + at) * 2 + 1, "HEAD")));
  server.onData(heads(0, 100));
  expect(server.wire.queuedBytes).toBeGreaterThan(1024 * 1024);
  expect(server.connection.isBroken).toBe(false);
  for (let first = 100; first < 1100; first += 50) server.onData(heads(first, 50));
  expect(server.connection.failure?.detail).toContain("does not read");
  expect(server.wire.queuedBytes).toBeLessThan(5 * 1024 * 1024);
});

test("a client that is slow with a large answer may ask on", () => {
  const { socket, server, events } = open();
  server.onData(Buffer.concat([settings([4, 4_000_000]), windowUpdate(0, 4_000_000)]));
  server.flush();
  socket.room = 1000;
  server.onData(get(1));
  answer(events.exchanges[0] as Exchange, Buffer.alloc(3_000_000));
  events.onRequest = (exchange) => answer(exchange, Buffer.alloc(0));
  server.onData(Buffer.concat(Array.from({ length: 99 }, (_, at) => get(at * 2 + 3, "HEAD"))));
  expect(server.wire.queuedBytes).toBeGreaterThan(2_900_000);
  expect(server.connection.isBroken).toBe(false);
});

test("heads of requests under way are counted against server.memory, and given back", () => {
  const { budget, server, events } = open();
  server.flush();
  const before = budget.usedBytes;
  const large = (stream: number) =>
    headers(
      stream,
      [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "a.test"],
        ["x", "y".repeat(9000)],
      ],
      { end: false },
    );
  server.onData(Buffer.concat([large(1), large(3)]));
  expect(budget.usedBytes - before).toBeGreaterThan(18_000);
  answer(events.exchanges[0] as Exchange, Buffer.alloc(0));
  server.onData(data(3, "", { end: true }));
  answer(events.exchanges[1] as Exchange, Buffer.alloc(0));
  server.flush();
  expect(budget.usedBytes).toBe(before);
});
