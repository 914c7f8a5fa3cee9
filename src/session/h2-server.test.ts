/** HTTP/2 server session: what concerns a client's connection: its output, its time-outs, its end. */
import { expect, test } from "bun:test";
import * as wire from "../../tests/support/h2-frames.ts";
import {
  answer,
  connected,
  fieldsOf,
  get,
  HEAD_MS,
  IDLE_MS,
  open,
  post,
  short,
  useOwnTime,
} from "../../tests/support/h2-served.ts";
import type { Exchange } from "./exchange.ts";

const { CODE, SETTING } = wire;
useOwnTime();

test("a head that is too large is an exchange that has failed: the client is answered, the others go on", () => {
  const { send, events, said } = open();
  send(wire.headers(1, [...fieldsOf("GET", "/"), ["x-long", "x".repeat(5000)]]), get(3));
  expect(events.exchanges.map(({ failure }) => failure?.code)).toEqual(["head_too_large", undefined]);
  answer(events.exchanges[0] as Exchange, 0, 431);
  expect(short(said())).toEqual(["headers 1 431 end"]);
});

test("the fields of a request are its own as long as it lasts, however many came before", () => {
  const { send, events, server } = open();
  let id = 1;
  for (const atOnce of [1, 2, 3, 5]) {
    send(...Array.from({ length: atOnce }, (_, index) => get(id + 2 * index)));
    id += 2 * atOnce;
    const exchanges = events.exchanges.slice(-atOnce);
    expect(new Set(exchanges.map(({ requestFields }) => requestFields)).size).toBe(atOnce);
    for (const exchange of exchanges) {
      answer(exchange);
      expect(exchange.requestFields.find("host")).toBe("a.test"); // the log reads them at the end
    }
    server.flush();
    server.flush();
  }
});

test("the answers of one turn leave in one write", async () => {
  const { send, events, socket } = open();
  send(get(1), get(3), get(5));
  const before = socket.writes;
  for (const exchange of events.exchanges) answer(exchange, 1000);
  expect(socket.writes).toBe(before);
  await new Promise((resolve) => setImmediate(resolve));
  expect(socket.writes).toBe(before + 1);
});

test("much output does not wait for the end of the turn", () => {
  const { send, events, socket } = open({ settings: [[SETTING.initialWindowSize, 1 << 20]] });
  send(get(1), wire.windowUpdate(0, 1 << 20));
  const before = socket.writes;
  answer(events.last, 100_000);
  expect(socket.writes).toBeGreaterThan(before);
});

test("a connection that closes ends each of its exchanges once, and leaves nothing counted", () => {
  const { send, events, server, services } = open({ settings: [[SETTING.initialWindowSize, 10]] });
  send(post(1), get(3), get(5));
  const [held, waiting, silent] = events.exchanges as [Exchange, Exchange, Exchange];
  held.downstream.pauseRequest(held);
  send(wire.data(1, Buffer.alloc(1000)));
  answer(waiting, 5000);
  expect(services.budget.usedBytes).toBeGreaterThan(5000);
  server.onClose();
  for (const exchange of [held, waiting, silent]) exchange.downstream.abort(exchange);
  server.flush();
  expect(events.told.filter((line) => line === "downstream_closed")).toHaveLength(3);
  expect([services.budget.usedBytes, server.heldBytes, services.wheel.size]).toEqual([0, 0, 0]);
});

test("a full socket makes answers wait, and they go on when it drains", () => {
  const { server, socket, send, events, said, services } = open();
  socket.room = 0;
  send(get(1));
  answer(events.last, 0);
  send(get(3));
  server.flush();
  const [, second] = events.exchanges as [Exchange, Exchange];
  answer(second, 1000);
  server.flush();
  expect(services.budget.usedBytes).toBeGreaterThan(1000);
  socket.room = Number.POSITIVE_INFINITY;
  server.onDrain();
  expect(short(said())).toEqual(["headers 1 200 end", "headers 3 200", "data 3 1000 end"]);
  expect(services.budget.usedBytes).toBe(0);
});

test("a connection that leaves says so twice: what is on its way is still served (§6.8)", () => {
  const { server, send, events, said, pass, socket } = open();
  send(get(1));
  server.leave();
  expect(short(said())).toEqual([`goaway ${wire.MAX_WINDOW} 0`]);
  send(get(3, "/on-its-way"));
  pass(1200);
  expect(short(said())).toEqual(["goaway 3 0"]);
  send(get(5, "/too-late"));
  expect(short(said())).toEqual([`reset 5 ${CODE.refusedStream}`]);
  expect(events.told).toEqual(["request /", "request /on-its-way"]);
  for (const exchange of events.exchanges) answer(exchange);
  expect(short(said())).toEqual(["headers 1 200 end", "headers 3 200 end"]);
  expect(socket.calls).toEqual(["shutdown"]);
});

test("the last word of leaving comes in its time, whatever the client says in between", () => {
  const { server, send, said, pass } = open();
  server.leave();
  said();
  pass(500);
  send(wire.ping(), wire.windowUpdate(0, 1));
  said();
  pass(700);
  expect(short(said())).toEqual(["goaway 0 0"]);
});

test("limits.requestsPerConnection: the last request is served, then the connection ends", () => {
  const { send, events, said, pass, socket } = open({ limits: { requestsPerConnection: 2 } });
  send(get(1), get(3));
  expect(short(said())).toEqual([`goaway ${wire.MAX_WINDOW} 0`]);
  for (const exchange of events.exchanges) answer(exchange);
  said();
  pass(1200);
  expect(short(said())).toEqual(["goaway 3 0"]);
  expect(socket.calls).toEqual(["shutdown"]);
});

test("in a worker that drains, a connection leaves after its last answer", () => {
  const { send, events, said, services } = open();
  send(get(1), get(3));
  services.isDraining = true;
  answer(events.exchanges[0] as Exchange);
  expect(short(said())).toEqual(["headers 1 200 end"]);
  answer(events.exchanges[1] as Exchange);
  expect(short(said())).toEqual(["headers 3 200 end", `goaway ${wire.MAX_WINDOW} 0`]);
});

test("a connection that asks nothing ends after timeouts.idle, one that asks does not", () => {
  const { send, events, said, pass, socket } = open();
  send(get(1));
  pass(2 * IDLE_MS);
  expect(socket.calls).toEqual([]);
  answer(events.last);
  said();
  pass(IDLE_MS + 200);
  expect(short(said())).toEqual(["goaway 1 0"]);
  expect(socket.calls).toEqual(["shutdown"]);
});

test("preface, settings and heads have timeouts.head, however they are cut", () => {
  const drips: readonly (readonly Uint8Array[])[] = [
    Array.from(wire.PREFACE, (byte) => Buffer.from([byte])),
    [Buffer.concat([wire.PREFACE, wire.settings().subarray(0, 4)]), Buffer.from([0])],
    [
      Buffer.concat([wire.PREFACE, wire.settings(), get(1).subarray(0, 20)]),
      ...Array.from(get(1).subarray(20, 30), (byte) => Buffer.from([byte])),
    ],
    [Buffer.concat([wire.PREFACE, wire.settings(), wire.headers(1, [], { endHeaders: false })])],
  ];
  for (const pieces of drips) {
    const { send, pass, socket } = connected();
    for (const piece of pieces) {
      send(piece);
      pass(HEAD_MS / pieces.length);
    }
    pass(200);
    expect(socket.calls).toEqual(["shutdown"]);
  }
});

test("a client that breaks the protocol is told, counted, and loses all its requests once", () => {
  const { send, events, said, socket, count } = open();
  send(get(1), get(3));
  send(wire.data(5, "on no stream"));
  expect(short(said())).toEqual([`goaway 3 ${CODE.protocol}`]);
  expect(events.told.filter((line) => line === "downstream_closed")).toHaveLength(2);
  expect([count("h2_protocol"), count("h2_abuse")]).toEqual([1, 0]);
  expect(socket.calls).toEqual(["shutdown"]);
});

test("a malformed request is refused without an exchange, and counted (§8.1.1)", () => {
  const { send, events, said, count } = open();
  send(wire.headers(1, [[":method", "GET"]]));
  expect(short(said())).toEqual([`reset 1 ${CODE.protocol}`]);
  expect([events.told.length, count("h2_malformed")]).toEqual([0, 1]);
});

test("after the last word what comes is read and forgotten, for a while and up to a bound", () => {
  const [patient, flooding] = [open(), open()];
  for (const { pass, send, events, socket } of [patient, flooding]) {
    pass(IDLE_MS + 200);
    send(get(1));
    expect([events.told, socket.calls]).toEqual([[], ["shutdown"]]);
  }
  flooding.send(Buffer.alloc(1 << 20));
  expect(flooding.socket.calls).toEqual(["shutdown", "close"]);
  patient.pass(1200);
  expect(patient.socket.calls).toEqual(["shutdown", "close"]);
});

test("a client that closes its side asks no more: what it asked is given up", () => {
  const { server, send, events, socket } = open();
  send(get(1));
  server.onEnd();
  expect([events.told, socket.calls]).toEqual([["request /", "downstream_closed"], ["close"]]);
});
