/** HTTP/2 server streams: requests in and answers out, one exchange each. */
import { expect, test } from "bun:test";
import * as wire from "../../tests/support/h2-frames.ts";
import {
  agree,
  answer,
  BODY_MS,
  fieldsOf,
  get,
  keyOf,
  open,
  post,
  short,
  useOwnTime,
  webSocket,
} from "../../tests/support/h2-served.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../core/body.ts";
import type { Exchange } from "./exchange.ts";

/** Longer than a client may take to end a request that is answered. */
const LATE_MS = 700;

const { CODE, FRAME, SETTING } = wire;
useOwnTime();

test("a request is told as head, body and end, with its trailers", () => {
  const { send, events } = open();
  send(post(1), wire.data(1, "hello"), wire.headers(1, [["x-sum", "1"]]));
  expect(events.told).toEqual(["request /", "body 5", "end x-sum: 1"]);
});

const BODIES: readonly [what: string, head: Buffer, kind: number, length: number][] = [
  ["GET without a body", get(1), BODY_NONE, -1],
  ["POST that ends with its head (RFC 9110 §8.6)", wire.headers(1, fieldsOf("POST", "/")), BODY_LENGTH, 0],
  ["POST with a length", post(1, [["content-length", "7"]]), BODY_LENGTH, 7],
  ["POST without a length", post(1), BODY_STREAM, -1],
];
for (const [what, head, kind, length] of BODIES) {
  test(`the body of a ${what} is known by its head`, () => {
    const { send, events } = open();
    send(head);
    expect([events.last.requestBodyKind, events.last.requestBodyLength]).toEqual([kind as 0, length]);
  });
}

test("a body whose declared length is too large is refused with its head", () => {
  const { send, events } = open({ limits: { bodyBytes: 10 } });
  send(post(1, [["content-length", "11"]]));
  expect(events.last.failure?.code).toBe("body_too_large");
});

test("a body that becomes too large is refused once, and its rest forgotten while the answer waits", () => {
  const { send, events, said, pass } = open({
    limits: { bodyBytes: 10 },
    settings: [[SETTING.initialWindowSize, 0]],
  });
  events.onFailure = (exchange) => answer(exchange, 100, 413);
  send(post(1), wire.data(1, "0123456789"), wire.data(1, "x"));
  send(wire.data(1, "more"));
  expect(events.told).toEqual(["request /", "body_too_large"]);
  send(wire.windowUpdate(1, 1000));
  expect(short(said())).toEqual(["headers 1 413", "data 1 100 end"]);
  pass(LATE_MS);
  expect(short(said())).toEqual([`reset 1 ${CODE.none}`]);
});

test("a paused request gets no credit, and gets it when the endpoint takes its bytes (§5.2)", () => {
  const { send, events, said, services, server } = open();
  send(post(1));
  events.last.downstream.pauseRequest(events.last);
  send(
    ...Array.from({ length: 4 }, () => wire.data(1, Buffer.alloc(16_000))),
    wire.data(1, "", { end: true }),
  );
  expect(said().filter(({ type }) => type === FRAME.windowUpdate)).toEqual([]);
  expect(services.budget.usedBytes).toBeGreaterThanOrEqual(64_000);
  expect(events.told).toEqual(["request /"]);
  events.last.downstream.resumeRequest(events.last);
  expect(events.told).toEqual(["request /", "body 64000", "end"]);
  answer(events.last);
  server.flush();
  expect([server.heldBytes, services.budget.usedBytes]).toEqual([0, 0]);
});

test("a request that goes on gets its credit back as its bytes are taken (§6.9)", () => {
  const { send, events, said } = open();
  send(post(1), ...Array.from({ length: 3 }, () => wire.data(1, Buffer.alloc(16_000))));
  expect(short(said())).toEqual(["window 1"]);
  events.last.downstream.pauseRequest(events.last);
  send(
    wire.data(1, Buffer.alloc(16_000)),
    wire.data(1, Buffer.alloc(16_000)),
    wire.data(1, Buffer.alloc(1000)),
  );
  expect(said()).toEqual([]);
  events.last.downstream.resumeRequest(events.last);
  expect(short(said())).toEqual(["window 1"]);
});

test("an endpoint that takes a piece and is full then gets no more until it has taken that", () => {
  const { send, events, said } = open();
  events.onBody = (exchange) => exchange.downstream.pauseRequest(exchange);
  send(post(1), ...Array.from({ length: 3 }, () => wire.data(1, Buffer.alloc(16_000))));
  expect([events.told, said()]).toEqual([["request /", "body 48000"], []]);
  events.last.downstream.resumeRequest(events.last);
  expect(short(said())).toEqual(["window 1"]);
});

test("crumbs of several bodies are put together while they wait", () => {
  const { send, events } = open();
  send(post(1), post(3));
  for (const exchange of events.exchanges) exchange.downstream.pauseRequest(exchange);
  send(...Array.from({ length: 200 }, (_, index) => wire.data(index % 2 === 0 ? 1 : 3, "x")));
  for (const exchange of events.exchanges) exchange.downstream.resumeRequest(exchange);
  expect(events.told).toEqual(["request /", "request /", "body 100", "body 100"]);
});

test("a request body must not be long in coming, also after the endpoint was slow", () => {
  const { send, events, pass } = open();
  send(post(1), wire.data(1, "a"));
  events.last.downstream.pauseRequest(events.last);
  pass(2 * BODY_MS);
  expect(events.told).toEqual(["request /", "body 1"]);
  events.last.downstream.resumeRequest(events.last);
  pass(2 * BODY_MS);
  expect(events.told).toEqual(["request /", "body 1", "body_timeout"]);
});

test("an answer is head, body and trailers of its stream", () => {
  const { send, events, said } = open();
  send(get(1));
  const exchange = events.last;
  exchange.sentStatus = 200;
  exchange.sentBodyKind = BODY_STREAM;
  exchange.downstream.sendInterim(exchange, 103, "Link: </a>\r\n");
  exchange.downstream.sendHead(exchange, false);
  exchange.downstream.sendBody(exchange, Buffer.from("hello"));
  exchange.downstream.sendEnd(exchange, "Grpc-Status: 0\r\n");
  const frames = said();
  expect(short(frames).map((line) => line.replace(/ NaN/, ""))).toEqual([
    "headers 1 103",
    "headers 1 200",
    "data 1 5",
    "headers 1 end",
  ]);
  expect(events.told).toEqual(["request /", "sent"]);
});

test("a client that ends its request soon after the answer is not reset", () => {
  const { send, events, said, pass, server } = open();
  send(post(1), wire.data(1, "a"));
  answer(events.last);
  send(wire.data(1, "b", { end: true }));
  pass(LATE_MS);
  expect(short(said())).toEqual(["headers 1 200 end"]);
  expect(server.connection.activeStreams).toBe(0);
});

test("an answer that comes before the end of its request ends the stream without an error (§8.1)", () => {
  const { send, events, said, pass } = open();
  send(post(1), wire.data(1, "a"));
  answer(events.last);
  expect(short(said())).toEqual(["headers 1 200 end"]);
  pass(LATE_MS);
  expect(short(said())).toEqual([`reset 1 ${CODE.none}`]);
  send(wire.data(1, "late"));
  expect(events.told).toEqual(["request /", "body 1", "sent"]);
  expect(said()).toEqual([]);
});

test("an answer that is cut is a stream that is reset", () => {
  const { send, events, said } = open();
  send(get(1));
  events.last.downstream.abort(events.last);
  expect(short(said())).toEqual([`reset 1 ${CODE.internal}`]);
});

test("a request that its client resets is told once, and nothing is sent for it any more", () => {
  const { send, events, said } = open();
  send(post(1), wire.data(1, "a"), wire.rstStream(1, CODE.cancel), wire.rstStream(1, CODE.cancel));
  events.last.downstream.abort(events.last);
  expect(events.told).toEqual(["request /", "body 1", "downstream_closed"]);
  expect(said()).toEqual([]);
});

/** An answer of which the client's window lets 10 bytes through. */
function stalled() {
  const peers = open({ settings: [[SETTING.initialWindowSize, 10]] });
  peers.send(get(1));
  answer(peers.events.last, 1000);
  return peers;
}

test("a client that takes no byte of an answer has its time, and no more", () => {
  const { pass, events } = stalled();
  pass(BODY_MS - 500);
  expect(events.told).toEqual(["request /"]);
  pass(1000);
  expect(events.told).toEqual(["request /", "send_timeout"]);
});

test("a client that takes an answer byte by byte may go on, and drains it in the end", () => {
  const { pass, events, send, said } = stalled();
  for (let round = 0; round < 5; round++) {
    send(wire.windowUpdate(1, 1));
    said();
    pass(2 * BODY_MS);
  }
  expect(events.told).toEqual(["request /"]);
  send(wire.windowUpdate(1, 1000));
  said();
  expect(events.told).toEqual(["request /", "sent"]);
});

test("a client that reads a more urgent answer first is not slow (RFC 9218 §10)", () => {
  const { send, events, pass, said } = open();
  send(wire.headers(1, [...fieldsOf("GET", "/1"), ["priority", "u=0"]]));
  send(wire.headers(3, [...fieldsOf("GET", "/3"), ["priority", "u=7"]]), wire.windowUpdate(1, 1 << 20));
  const [urgent, other] = events.exchanges as [Exchange, Exchange];
  answer(urgent, 200_000);
  answer(other, 1000);
  expect(events.told).toEqual(["request /1", "request /3"]);
  for (let round = 0; round < 3; round++) {
    send(wire.windowUpdate(0, 1000));
    said();
    pass(2 * BODY_MS);
  }
  expect(events.told).toEqual(["request /1", "request /3"]);
  pass(2 * BODY_MS);
  expect(events.told.slice(2).sort()).toEqual(["send_timeout", "send_timeout"]);
});

test("a client that lets all pass but one answer is slow to that one", () => {
  const { send, events, pass, said } = stalled();
  said();
  send(get(3), wire.windowUpdate(3, 1 << 20));
  answer(events.last, 5000);
  said();
  pass(BODY_MS + 200);
  expect(events.told).toEqual(["request /", "request /", "sent", "send_timeout"]);
});

test("extended CONNECT is asked as a GET with a key of ours, and 101 is told as 200 with the fields added to it", () => {
  const { send, events, said } = open();
  send(webSocket(1));
  const { method, upgrade } = events.last;
  expect([method, upgrade, keyOf(events.last).length]).toEqual(["GET", "websocket", 24]);
  agree(events.last);
  const [head] = said();
  expect(short(head === undefined ? [] : [head])).toEqual(["headers 1 200"]);
  expect(head?.payload.includes("now")).toBe(true);
});

test("an endpoint that agrees with a wrong key has not agreed (RFC 6455 §4.1)", () => {
  const { send, events, said, pass } = open();
  events.onFailure = (exchange) => answer(exchange, 0, 502);
  send(webSocket(1));
  agree(events.last, "not the answer to the key");
  expect(events.told).toEqual(["request /chat", "upgrade_unasked", "sent"]);
  pass(LATE_MS);
  expect(short(said())).toEqual(["headers 1 502 end", `reset 1 ${CODE.none}`]);
});

test("an endpoint that answers a WebSocket with 200 has not agreed: to the client that is 502", () => {
  const { send, events, said, pass } = open();
  send(webSocket(1));
  answer(events.last);
  pass(LATE_MS);
  expect(short(said())).toEqual(["headers 1 502 end", `reset 1 ${CODE.none}`]);
});

test("another protocol than websocket, or any where the listener allows none, is refused", () => {
  const other = wire.headers(1, [[":protocol", "connect-udp"], ...fieldsOf("CONNECT", "/")], { end: false });
  for (const [head, extendedConnect] of [
    [other, true],
    [webSocket(1), false],
  ] as const) {
    const { send, events } = open({ http2: { extendedConnect } });
    send(head);
    expect(events.last.failure?.code).toBe("method_refused");
  }
});

test("what a client says before the endpoint agrees waits, its end too", () => {
  const { send, events } = open();
  send(webSocket(1), wire.data(1, "early"), wire.data(1, "", { end: true }), webSocket(3, true));
  expect(events.told).toEqual(["request /chat", "request /chat"]);
  const [first, second] = events.exchanges as [Exchange, Exchange];
  agree(first);
  agree(second);
  expect(events.told.slice(2)).toEqual(["body 5", "end", "end"]);
});

test("a tunnel ends each way on its own, and is over when both have", () => {
  const clientFirst = open();
  clientFirst.send(webSocket(1));
  agree(clientFirst.events.last);
  clientFirst.said();
  clientFirst.send(wire.data(1, "bye", { end: true }));
  expect(clientFirst.events.told).toEqual(["request /chat", "body 3", "end"]);
  const { downstream } = clientFirst.events.last;
  downstream.sendBody(clientFirst.events.last, Buffer.from("later"));
  downstream.sendEnd(clientFirst.events.last, "");
  expect(short(clientFirst.said())).toEqual(["data 1 5", "data 1 0 end"]);
  expect(clientFirst.events.told.at(-1)).toBe("sent");

  const endpointFirst = open();
  endpointFirst.send(webSocket(1));
  agree(endpointFirst.events.last);
  endpointFirst.events.last.downstream.sendEnd(endpointFirst.events.last, "");
  expect(endpointFirst.events.told).not.toContain("sent");
  endpointFirst.send(wire.data(1, "bye", { end: true }));
  expect(endpointFirst.events.told).toEqual(["request /chat", "body 3", "end", "sent"]);
});

test("a tunnel is over when its last byte is out, not while it waits for the client", () => {
  const { send, events, said, pass } = open({ settings: [[SETTING.initialWindowSize, 2]] });
  send(webSocket(1));
  agree(events.last);
  send(wire.data(1, "", { end: true }));
  events.last.downstream.sendBody(events.last, Buffer.from("hello"));
  events.last.downstream.sendEnd(events.last, "");
  said();
  expect(events.told).toEqual(["request /chat", "end"]);
  pass(BODY_MS + 500);
  expect(events.told).toEqual(["request /chat", "end", "send_timeout"]);
});
