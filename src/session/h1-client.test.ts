import { expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { FakeSocket } from "../../tests/support/fake-socket.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import type { Exchange, UpstreamEvents } from "./exchange.ts";
import { type ClientOwner, H1Client } from "./h1-client.ts";

/** Notes what the session tells; a client that is slow pauses the response at each piece. */
class Notes implements UpstreamEvents {
  readonly told: string[] = [];
  isSlow = false;
  upstreamReady = () => undefined;
  interim = () => undefined;
  response(exchange: Exchange, isEnd: boolean): void {
    const { first, firstStart, firstEnd } = exchange;
    this.told.push(`${exchange.status} ${first?.latin1Slice(firstStart, firstEnd) ?? ""}${isEnd ? "." : ""}`);
    exchange.first = undefined;
    if (this.isSlow) exchange.upstream?.pauseResponse();
  }
  responseBody(exchange: Exchange, bytes: Buffer): void {
    this.told.push(bytes.toString("latin1"));
    if (this.isSlow) exchange.upstream?.pauseResponse();
  }
  responseEnd = (_exchange: Exchange, trailers: string) => void this.told.push(`end ${trailers}`);
  upstreamDrained = () => undefined;
  upstreamFailed = (_exchange: Exchange, failure: { readonly code: string }) =>
    void this.told.push(failure.code);
}

function request(): Exchange {
  const { exchange } = fakeExchange();
  exchange.requestFields = fieldsOfLines("Host: a\r\n");
  exchange.upstreamMethod = "GET";
  exchange.upstreamTarget = "/";
  exchange.upstreamAdded = "X-Test: 1\r\n";
  return exchange;
}

function open() {
  const events = new Notes();
  const socket = new FakeSocket();
  const services = {
    wheel: new Wheel(),
    budget: new BufferBudget(1e6),
    sockets: new SocketBudget(undefined),
    events,
    counters: new Float64Array(1),
  };
  let isKept = false;
  const nothing = () => undefined;
  const owner: ClientOwner = {
    services,
    addressCount: 1,
    dial: nothing,
    connected: nothing,
    responded: nothing,
    finished: nothing,
    failed: (exchange, failure) => events.upstreamFailed(exchange, failure),
    dialled: nothing,
    socketGone: nothing,
    keep: () => {
      isKept = true;
      return true;
    },
    closed: nothing,
    forget: () => {
      isKept = false;
    },
  };
  const client = new H1Client(owner, request());
  client.onOpen(socket);
  const receive = (text: string) => client.onData(Buffer.from(text, "latin1"));
  return { client, socket, events, receive, isKept: () => isKept };
}

test("a body that was whole when the endpoint reset the connection is whole, however slow the client", () => {
  const { client, events, receive, isKept } = open();
  events.isSlow = true;
  receive("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
  receive("other"); // what was on its way when the socket was paused
  client.onClose(true);
  expect(events.told).toEqual(["200 first", "other", "end "]);
  expect(isKept()).toBe(false);
});

test("a body that was not whole when the endpoint closed is cut, after all of it that came", () => {
  const { client, events, receive } = open();
  events.isSlow = true;
  receive("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst");
  receive("other");
  client.onClose(true);
  expect(events.told).toEqual(["200 first", "other", "upstream_cut"]);
});

test("a connection that a slow client paused with the response's last piece is kept reading", () => {
  const { client, socket, events, receive, isKept } = open();
  events.isSlow = true;
  receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n");
  expect([isKept(), socket.isPaused]).toEqual([true, false]);
  client.send(request());
  receive("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
  expect(events.told).toEqual(["200 a", "end X-Sum: 1\r\n", "200 b."]);
});

test("an idle connection is out of the pool the moment the endpoint says FIN", () => {
  const { client, receive, isKept } = open();
  receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect(client.mayTake).toBe(true);
  client.onEnd();
  expect([client.mayTake, isKept()]).toEqual([false, false]);
});
