import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:tls";
import { openBlackhole } from "../../tests/support/blackhole.ts";
import { testAuthority } from "../../tests/support/certificates.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { Origin, type OriginScript, perRequest, response } from "../../tests/support/origin.ts";
import { freePort } from "../../tests/support/ports.ts";
import type { Failure } from "../core/failure.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { ENDPOINT } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import type { DialAddress } from "../transport/dial.ts";
import { makeTlsContext } from "../transport/dial-tls.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import type { Exchange, UpstreamEvents } from "./exchange.ts";
import { EndpointPool, type PoolSettings } from "./upstream-pool.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** What became of each exchange, in place of the pipeline. */
class Notes implements UpstreamEvents {
  readonly answered: Exchange[] = [];
  readonly failures: Failure[] = [];
  ready = 0;
  upstreamReady = () => void this.ready++;
  interim = () => undefined;
  response(exchange: Exchange, isEnd: boolean): void {
    if (isEnd) this.answered.push(exchange);
  }
  responseBody = () => undefined;
  responseEnd = (exchange: Exchange) => void this.answered.push(exchange);
  upstreamDrained = () => undefined;
  upstreamFailed = (_exchange: Exchange, failure: Failure) => void this.failures.push(failure);
}

const SETTINGS: PoolSettings = {
  idle: 2,
  idleTimeoutMs: 1000,
  maxAgeMs: 0,
  proxyHeader: undefined,
  protocol: "h1",
  tls: undefined,
};

function poolFor(addresses: readonly DialAddress[], settings: Partial<PoolSettings> = {}) {
  const events = new Notes();
  const services = {
    wheel: new Wheel(),
    budget: new BufferBudget(1e9),
    sockets: new SocketBudget(undefined),
    events,
    counters: new Float64Array(ENDPOINT.slots),
  };
  const pool = new EndpointPool(services, 0, { ...SETTINGS, ...settings });
  pool.setAddresses(addresses);
  ends.push(() => pool.retire());
  const count = (name: keyof typeof ENDPOINT.at) => services.counters[ENDPOINT.at[name]];
  return { pool, events, services, count };
}

function request(): Exchange {
  const { exchange } = fakeExchange();
  exchange.requestFields = fieldsOfLines("Host: a\r\n");
  exchange.upstreamMethod = "GET";
  exchange.upstreamTarget = "/";
  exchange.upstreamAdded = "X-Test: 1\r\n";
  exchange.timeouts = { connectMs: 5000, responseMs: 5000, idleMs: 5000 };
  return exchange;
}

async function origin(script: OriginScript | OriginScript["data"] = perRequest(() => response("ok"))) {
  const started = await Origin.start(script);
  ends.push(() => started.stop());
  return { origin: started, address: { ip: "127.0.0.1", port: started.port } };
}

const all = (count: number, of: { readonly answered: readonly unknown[] }) =>
  eventually(() => of.answered.length === count, 3000, `${count} answers`);

test("the first exchange makes a connection, the next ones use it", async () => {
  const { origin: server, address } = await origin();
  const { pool, events, count } = poolFor([address]);
  for (const [index, isReady] of [false, true, true].entries()) {
    expect(pool.send(request(), true)).toBe(isReady);
    await all(index + 1, events);
  }
  expect(server.connections.length).toBe(1);
  expect([count("connects"), count("requests"), count("open"), count("pooled"), count("active")]).toEqual([
    1, 3, 1, 1, 0,
  ]);
  expect(events.ready).toBe(1);
});

test("an exchange that asks for a fresh connection gets one though another is idle", async () => {
  const { origin: server, address } = await origin();
  const { pool, events } = poolFor([address]);
  pool.send(request(), true);
  await all(1, events);
  expect(pool.send(request(), false)).toBe(false);
  await all(2, events);
  expect([server.connections.length, pool.idleCount]).toEqual([2, 2]);
});

test("pool.idle connections stay, those beyond only for a moment", async () => {
  const { origin: server, address } = await origin();
  const { pool, events, services, count } = poolFor([address], { idleTimeoutMs: 60_000 });
  for (let exchange = 0; exchange < 5; exchange++) pool.send(request(), true);
  await all(5, events);
  expect([pool.idleCount, count("pooled")]).toEqual([5, 5]);
  services.wheel.advance(clock.nowMs + 1300);
  await eventually(() => server.connections.filter(({ isClosed }) => isClosed).length === 3);
  expect([pool.idleCount, count("pooled")]).toEqual([2, 2]);
  await eventually(() => count("open") === 2);
});

test("an idle connection is closed after its time, and one that grew too old is not kept", async () => {
  const { origin: server, address } = await origin();
  const { pool, events, services, count } = poolFor([address], { maxAgeMs: 60_000 });
  pool.send(request(), true);
  await all(1, events);
  services.wheel.advance(clock.nowMs + 900);
  expect(pool.idleCount).toBe(1);
  services.wheel.advance(clock.nowMs + 1300);
  await eventually(() => server.connections[0]?.isClosed === true);
  expect([pool.idleCount, count("pooled")]).toEqual([0, 0]);
  const old = poolFor([address], { maxAgeMs: 0.001 });
  old.pool.send(request(), true);
  await all(1, old.events);
  expect(old.pool.idleCount).toBe(0);
});

test("an endpoint that closes an idle connection takes it out of the pool", async () => {
  const { origin: server, address } = await origin();
  const { pool, events, count } = poolFor([address]);
  pool.send(request(), true);
  await all(1, events);
  server.connections[0]?.end();
  await eventually(() => pool.idleCount === 0);
  expect([count("pooled"), count("open")]).toEqual([0, 0]);
});

const NOT_KEPT: readonly [what: string, answer: string][] = [
  ["an answer that says close", response("ok", ["Connection: close"])],
  ["an HTTP/1.0 answer", response("ok").replace("1.1", "1.0")],
  ["bytes behind the answer", `${response("ok")}HTTP/1.1 200 OK\r\n`],
  ["a 204 that declares a body", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"],
];
for (const [what, answer] of NOT_KEPT) {
  test(`${what}: the connection is not used again`, async () => {
    const { origin: server, address } = await origin(perRequest(() => answer));
    const { pool, events } = poolFor([address]);
    pool.send(request(), true);
    await all(1, events);
    await eventually(() => server.connections[0]?.isClosed === true);
    expect(pool.idleCount).toBe(0);
  });
}

test("bytes that nobody asked for close an idle connection", async () => {
  const { origin: server, address } = await origin();
  const { pool, events } = poolFor([address]);
  pool.send(request(), true);
  await all(1, events);
  server.connections[0]?.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  await eventually(() => pool.idleCount === 0);
  pool.send(request(), true);
  await all(2, events);
  expect(server.connections.length).toBe(2);
});

test("a refused connection is tried at the endpoint's next address, and counted once all have refused", async () => {
  const dead = { ip: "127.0.0.1", port: await freePort() };
  const { address } = await origin();
  const { pool, events, count } = poolFor([address, dead]);
  for (let exchange = 0; exchange < 4; exchange++) pool.send(request(), false);
  await all(4, events);
  expect([events.failures, count("connectErrors")]).toEqual([[], 0]);
  const none = poolFor([dead]);
  none.pool.send(request(), true);
  await eventually(() => none.events.failures.length === 1);
  expect([none.events.failures[0]?.code, none.count("connectErrors"), none.count("active")]).toEqual([
    "connect_refused",
    1,
    0,
  ]);
});

test("without an address the failure is told at once", () => {
  const { pool, events, count } = poolFor([]);
  expect([pool.send(request(), true), events.failures[0]?.code, count("active")]).toEqual([
    false,
    "name_unresolved",
    0,
  ]);
});

test("a retired pool closes idle connections, and busy ones after their exchange", async () => {
  let answer: (() => void) | undefined;
  const { origin: server, address } = await origin(
    perRequest((_request, connection) => {
      answer = () => connection.write(response("late"));
      return undefined;
    }),
  );
  const { pool, events } = poolFor([address]);
  pool.send(request(), true);
  await eventually(() => answer);
  pool.retire();
  expect(server.connections[0]?.isClosed).toBe(false);
  answer?.();
  await all(1, events);
  await eventually(() => server.connections[0]?.isClosed === true);
});

test("an exchange that is called off while connecting leaves nothing behind when the connection comes", async () => {
  const { origin: server, address } = await origin();
  const { pool, services, count } = poolFor([address]);
  const exchange = request();
  pool.send(exchange, true);
  exchange.upstream?.cancel();
  expect(count("active")).toBe(0);
  await eventually(() => server.connections[0]?.isClosed === true);
  await eventually(() => services.sockets.openCount === 0);
  expect([server.received[0], count("open")]).toEqual(["", 0]);
});

test("connections being made are bounded, given up or not, so that a blackhole cannot eat the descriptors", async () => {
  const blackhole = await openBlackhole();
  const [ip = "", port] = blackhole.address.split(":");
  const { pool, events, services } = poolFor([{ ip, port: Number(port) }]);
  for (let count = 0; count < 1100; count++) {
    const exchange = request();
    pool.send(exchange, true);
    exchange.upstream?.cancel();
  }
  expect(services.sockets.openCount).toBe(1024);
  expect(events.failures.map(({ code }) => code)).toEqual(
    Array.from({ length: 76 }, () => "connect_refused"),
  );
  blackhole.close(); // what knocks again is refused now
  await eventually(() => services.sockets.openCount === 0, 8000, "the kernel to give up");
}, 15_000);

test("connections are kept over a reload that changes nothing about TLS, and end when it does", async () => {
  const ca = await testAuthority();
  const pair = await ca.issue({ names: ["a.test"] });
  let answered = 0;
  const server = createServer(pair, (socket) => {
    socket.on("data", () => socket.write(response(`${++answered}`)));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => server.close());
  const bound = server.address();
  const address = { ip: "127.0.0.1", port: typeof bound === "object" ? (bound?.port ?? 0) : 0 };
  const context = makeTlsContext({ ca: ca.caPem, cert: undefined, key: undefined });
  const tls = { context, serverName: "a.test", verify: true };
  const { pool, events, count } = poolFor([address], { tls });
  pool.send(request(), true);
  await all(1, events);
  pool.configure({ ...SETTINGS, tls: { ...tls } });
  expect(pool.send(request(), true)).toBe(true);
  await all(2, events);
  pool.configure({ ...SETTINGS, tls: { ...tls, serverName: "b.test" } });
  expect([pool.idleCount, count("pooled")]).toEqual([0, 0]);
  pool.send(request(), true);
  await eventually(() => events.failures.length === 1);
  expect([events.failures[0]?.code, count("connectErrors"), count("active"), answered]).toEqual([
    "tls_untrusted",
    1,
    0,
    2,
  ]);
});

test("a TLS handshake that does not end is cut by the connect time-out", async () => {
  const { origin: server, address } = await origin({});
  const context = makeTlsContext({ ca: undefined, cert: undefined, key: undefined });
  const { pool, events, services } = poolFor([address], { tls: { context, serverName: "", verify: true } });
  pool.send(request(), true);
  await eventually(() => (server.connections[0]?.received.length ?? 0) > 0);
  services.wheel.advance(clock.nowMs + 6000);
  expect(events.failures[0]?.code).toBe("connect_timeout");
  await eventually(() => server.connections[0]?.isClosed === true && services.sockets.openCount === 0);
});
