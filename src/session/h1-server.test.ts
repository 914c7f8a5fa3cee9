import { expect, test } from "bun:test";
import { FakeSocket } from "../../tests/support/fake-socket.ts";
import { CidrSet } from "../core/address.ts";
import { BODY_UNTIL_CLOSE } from "../core/body.ts";
import { LISTENER } from "../observe/metrics.table.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import type { DownstreamEvents, Exchange } from "./exchange.ts";
import { H1Server } from "./h1-server.ts";
import type { Listener } from "./listener.ts";

/** Notes what the session tells, and does what the test says at each request. */
class Notes implements DownstreamEvents {
  readonly told: string[] = [];
  readonly exchanges: Exchange[] = [];
  onRequest: (exchange: Exchange) => void = () => undefined;
  onFailure: (exchange: Exchange) => void = () => undefined;
  request(exchange: Exchange): void {
    this.told.push(`request ${exchange.rawTarget}`);
    this.exchanges.push(exchange);
    this.onRequest(exchange);
  }
  requestBody = (_exchange: Exchange, bytes: Buffer) => void this.told.push(`body ${bytes.length}`);
  requestEnd = () => void this.told.push("end");
  downstreamDrained = () => void this.told.push("drained");
  responseSent = () => void this.told.push("sent");
  downstreamFailed(exchange: Exchange, failure: { readonly code: string }): void {
    this.told.push(failure.code);
    this.onFailure(exchange);
  }
}

function open(limits: Partial<Listener["limits"]> = {}) {
  const events = new Notes();
  const socket = new FakeSocket();
  const listener: Listener = {
    name: "web",
    limits: {
      connections: 10,
      requestHeadBytes: 4096,
      headers: 50,
      bodyBytes: 0,
      requestsPerConnection: 0,
      ...limits,
    },
    timeouts: { handshakeMs: 1000, headMs: 1000, bodyMs: 1000, idleMs: 1000 },
    trustedProxies: new CidrSet([]),
    proxyProtocolFrom: new CidrSet([]),
    protocols: ["h1"],
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
  const server = new H1Server(
    socket,
    listener,
    { ip: "127.0.0.1", port: 1, localPort: 2, localIp: "127.0.0.1", tls: undefined },
    {
      wheel: new Wheel(),
      budget: new BufferBudget(1e6),
      sockets: new SocketBudget(undefined),
      events,
      counters: new Float64Array(LISTENER.slots),
      workerSlot: 0,
      isDraining: false,
    },
  );
  return {
    server,
    socket,
    listener,
    events,
    send: (text: string) => server.onData(Buffer.from(text, "latin1")),
  };
}

const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`;

/** Answers at once with an empty 200. */
function answer(exchange: Exchange): void {
  exchange.sentStatus = 200;
  exchange.sentBodyLength = 0;
  exchange.downstream.sendHead(exchange, true);
}

test("after an abort no request that was sent ahead is looked at: nobody could be told what became of it", () => {
  const { socket, events, send } = open();
  events.onRequest = (exchange) => exchange.downstream.abort(exchange);
  send(get("/1") + get("/2"));
  send(get("/3"));
  expect(events.told).toEqual(["request /1"]);
  expect(socket.calls).toContain("terminate");
});

test("an answer that is cut in the middle of the request's body ends the reading of that body", () => {
  const { events, send } = open({ bodyBytes: 2 });
  events.onRequest = (exchange) => {
    exchange.isHeadSent = true;
    exchange.sentBodyKind = BODY_UNTIL_CLOSE;
  };
  events.onFailure = (exchange) => exchange.downstream.abort(exchange);
  send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  expect(events.told).toEqual(["request /", "body_too_large"]);
});

test("a client that closed its sending side before the 101 has closed its half of the tunnel", () => {
  const { server, events, send } = open();
  send("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nearly");
  server.onEnd();
  const [exchange] = events.exchanges as [Exchange];
  exchange.sentStatus = 101;
  server.sendSwitch(exchange);
  expect(events.told).toEqual(["request /chat", "body 5", "end"]);
});

test("limits.requestsPerConnection holds on connections that are past it when a reload lowers it", () => {
  const { socket, listener, events, send } = open({ requestsPerConnection: 10 });
  events.onRequest = answer;
  for (const target of ["/1", "/2", "/3"]) send(get(target));
  listener.limits = { ...listener.limits, requestsPerConnection: 2 };
  send(get("/4"));
  expect(socket.written.match(/^connection: close/gim)).toHaveLength(1);
  expect(socket.calls).toContain("shutdown");
});

test("nothing behind the last request of a connection is looked at, also while its answer waits to be read", () => {
  const { server, socket, events, send } = open();
  socket.room = 0;
  events.onRequest = (exchange) => {
    exchange.isLastOfConnection = true;
    answer(exchange);
  };
  send(get("/1") + get("/2"));
  socket.room = Number.POSITIVE_INFINITY;
  server.onDrain();
  expect(events.told).toEqual(["request /1", "sent"]);
  expect(socket.written).toContain("\r\nConnection: close\r\n");
});

test("a request that is refused before its head began has nothing of the request before it", () => {
  for (const end of ["\rX", "\r"]) {
    const { server, events, send } = open();
    events.onRequest = answer;
    send(`GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: before\r\n\r\n${end}`);
    if (end === "\r") server.expire();
    expect(events.exchanges.map(({ failure }) => failure?.code)).toEqual([
      undefined,
      end === "\r" ? "head_timeout" : "h1_bad_line_end",
    ]);
    expect(events.exchanges[1]?.requestFields.find("x-request-id")).toBeUndefined();
  }
});
