import { afterEach, expect, test } from "bun:test";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { openBlackhole } from "../../tests/support/blackhole.ts";
import { testAuthority } from "../../tests/support/certificates.ts";
import { eventually } from "../../tests/support/eventually.ts";
import {
  answering,
  type Endpoint,
  ok,
  poolFor,
  request,
  SETTINGS,
  start,
  told,
} from "../../tests/support/h2-endpoint.ts";
import * as wire from "../../tests/support/h2-frames.ts";
import { freePort } from "../../tests/support/ports.ts";
import { clock, readClock } from "../transport/clock.ts";
import { makeTlsContext } from "../transport/dial-tls.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const { FRAME, CODE, SETTING } = wire;

test("exchanges that come while the first connection is being made share it, and so do those after", async () => {
  const { pool, events, endpoints, count } = await start(answering);
  const exchanges = Array.from({ length: 20 }, () => request());
  for (const exchange of exchanges) expect(pool.send(exchange, true)).toBe(false);
  await eventually(() => events.done === 20);
  expect(pool.send(request(), true)).toBe(true);
  await eventually(() => events.done === 21);
  expect(endpoints.length).toBe(1);
  expect(exchanges.map((exchange) => events.of(exchange).told)).toEqual(
    exchanges.map((_exchange, index) => [`200 ${index * 2 + 1}.`]),
  );
  expect(["connects", "requests", "open", "pooled", "active"].map((name) => count(name as "open"))).toEqual([
    1, 21, 1, 1, 0,
  ]);
});

test("GOAWAY: streams that the endpoint has begun finish, the others are refused, new ones go elsewhere (§6.8)", async () => {
  const { pool, events, endpoints, count } = await start({
    said: (endpoint, read) => {
      const isFirst = endpoint.connection.index === 0;
      const asked = read.filter(({ type }) => type === FRAME.headers).map(({ stream }) => stream);
      if (!isFirst) endpoint.send(...asked.flatMap((stream) => ok(stream, "second")));
      else if (endpoint.asked.length === 100) {
        endpoint.send(wire.goaway(99, CODE.none));
        endpoint.send(
          ...endpoint.asked.filter((stream) => stream <= 99).flatMap((stream) => ok(stream, "first")),
        );
      }
    },
  });
  const exchanges = Array.from({ length: 100 }, () => request());
  for (const exchange of exchanges) pool.send(exchange, true);
  await eventually(() => events.done + events.failures.length === 100);
  expect([events.done, new Set(events.failures)]).toEqual([50, new Set(["stream_refused"])]);
  for (const exchange of exchanges.slice(50)) pool.send(exchange, false);
  await eventually(() => events.done === 100);
  expect(endpoints.map(({ asked }) => asked.length)).toEqual([100, 50]);
  await eventually(() => endpoints[0]?.connection.isClosed === true && count("open") === 1);
  expect([count("active"), count("pooled")]).toEqual([0, 1]);
});

test("an endpoint that takes one stream at a time gets as many connections as it needs, and no more at once", async () => {
  const { pool, events, endpoints, count } = await start(
    { settings: [[SETTING.maxConcurrentStreams, 1]], ...answering },
    { idle: 2 },
  );
  pool.send(request(), true);
  await eventually(() => events.done === 1);
  for (let more = 0; more < 9; more++) pool.send(request(), true);
  await eventually(() => events.done === 10);
  expect([events.failures, count("active")]).toEqual([[], 0]);
  await eventually(() => count("open") === 2 && count("pooled") === 2);
  expect(endpoints.length).toBeLessThanOrEqual(10);
});

test("exchanges beyond what is allowed wait for a stream to end", async () => {
  const { pool, events, endpoints } = await start({ settings: [[SETTING.maxConcurrentStreams, 2]] });
  const first = request();
  pool.send(first, true);
  await eventually(() => endpoints[0]?.of(FRAME.settings).some(({ flags }) => flags === wire.FLAG.ack));
  const exchanges = [request(), request()];
  for (const exchange of exchanges) pool.send(exchange, true);
  await eventually(() => endpoints.length === 2);
  await eventually(() => endpoints[1]?.asked.length === 1);
  const [one, two] = endpoints as [Endpoint, Endpoint];
  expect([one.asked, two.asked]).toEqual([[1, 3], [1]]);
  one.send(...ok(1, "a"), ...ok(3, "b"));
  two.send(...ok(1, "c"));
  await eventually(() => events.done === 3);
});

test("an idle connection is closed after its time, and one that grew too old takes no more", async () => {
  const { pool, events, services, endpoints, count } = await start(answering, { idleTimeoutMs: 1000 });
  pool.send(request(), true);
  await eventually(() => events.done === 1 && count("pooled") === 1);
  services.wheel.advance(clock.nowMs + 900);
  expect(pool.idleCount).toBe(1);
  services.wheel.advance(clock.nowMs + 1300);
  await eventually(() => endpoints[0]?.connection.isClosed === true && count("open") === 0);
  expect([pool.idleCount, count("pooled")]).toEqual([0, 0]);
  const old = await start(answering, { maxAgeMs: 0.001 });
  for (let exchange = 1; exchange <= 2; exchange++) {
    old.pool.send(request(), true);
    await eventually(() => old.events.done === exchange);
  }
  expect(old.endpoints.length).toBe(2);
});

test("an exchange that asks for a fresh connection gets one though another has room", async () => {
  const { pool, events, endpoints } = await start(answering);
  pool.send(request(), true);
  await eventually(() => events.done === 1);
  expect(pool.send(request(), false)).toBe(false);
  await eventually(() => events.done === 2);
  expect(endpoints.length).toBe(2);
});

test("a retired pool closes idle connections at once, and busy ones after their exchanges", async () => {
  const { pool, events, endpoints, count } = await start();
  pool.send(request(), true);
  await eventually(() => endpoints[0]?.asked.length === 1);
  pool.retire();
  endpoints[0]?.send(...ok(1, "late"));
  await eventually(() => events.done === 1 && endpoints[0]?.connection.isClosed);
  expect([count("pooled"), count("active")]).toEqual([0, 0]);
});

test("an endpoint that was silent all the while an exchange waited is asked nothing more", async () => {
  const { pool, services, endpoints, events } = await start();
  const waiting = request();
  pool.send(waiting, true);
  await eventually(() => endpoints[0]?.of(FRAME.settings).length === 2);
  const later = request();
  const readAtMs = clock.nowMs;
  await eventually(() => readClock() > readAtMs);
  pool.send(later, true);
  services.wheel.advance(clock.nowMs + 5300);
  await eventually(() => events.failures.length === 2);
  pool.send(request(), true);
  await eventually(() => endpoints.length === 2);
});

test("a connection that opens with a PROXY header carries one exchange", async () => {
  const { pool, events, origin, count } = await start(
    {},
    { idle: 0, proxyHeader: () => Buffer.from("PROXY UNKNOWN\r\n") },
  );
  for (let exchange = 0; exchange < 2; exchange++) pool.send(request(), true);
  await eventually(() => origin.received.filter((text) => text.includes("SM\r\n\r\n")).length === 2);
  expect(origin.received.map((text) => text.slice(0, 18))).toEqual([
    "PROXY UNKNOWN\r\nPRI",
    "PROXY UNKNOWN\r\nPRI",
  ]);
  for (const connection of origin.connections) connection.write(Buffer.concat(ok(1, "fine")));
  await eventually(() => events.done === 2 && count("open") === 0);
});

test("10,000 exchanges, many at a time, are all answered, each by its own stream", async () => {
  const { pool, events, endpoints, count } = await start(answering);
  let sent = 0;
  while (sent < 10_000) {
    for (let burst = 0; burst < 200; burst++, sent++) pool.send(request(), true);
    await eventually(() => events.done === sent, 5000, `${sent} answers`);
  }
  expect([events.failures, count("active"), count("requests")]).toEqual([[], 0, 10_000]);
  expect(endpoints.length).toBeLessThanOrEqual(2);
}, 20_000);

test("exchanges that wait for a connection are each called off by their time-out, and a late one gets a try of its own", async () => {
  const blackhole = await openBlackhole();
  ends.push(() => blackhole.close());
  const [ip = "", port] = blackhole.address.split(":");
  const { pool, events, services, count } = poolFor({ ip, port: Number(port) });
  const [first, second] = [request(), request()];
  pool.send(first, true);
  pool.send(second, true);
  expect(services.sockets.openCount).toBe(1);
  second.upstream?.cancel();
  services.wheel.advance(clock.nowMs + 5300);
  expect([told(events, first), told(events, second)]).toEqual([["connect_timeout"], []]);
  expect([count("active"), count("connectErrors")]).toEqual([0, 1]);
  pool.send(request(), true);
  expect(services.sockets.openCount).toBe(2);
});

test("a refused connection fails all that wait for it, each once", async () => {
  const { pool, events, count } = poolFor({ ip: "127.0.0.1", port: await freePort() });
  for (let exchange = 0; exchange < 5; exchange++) pool.send(request(), true);
  await eventually(() => events.failures.length === 5);
  expect([new Set(events.failures), count("connectErrors"), count("active")]).toEqual([
    new Set(["connect_refused"]),
    5,
    0,
  ]);
});

/** Another implementation at the other end; ALPN chooses between what it speaks. */
async function secureServer(speaks: "h2" | "http/1.1" | "both" = "both") {
  const ca = await testAuthority();
  const pair = await ca.issue({ names: ["a.test"] });
  const seen: string[] = [];
  const serve = (asked: { httpVersion: string }, answer: { end(text: string): unknown }) => {
    seen.push(asked.httpVersion);
    answer.end(asked.httpVersion);
  };
  const server =
    speaks === "http/1.1"
      ? createHttpsServer(pair, serve)
      : createSecureServer({ ...pair, allowHTTP1: speaks === "both" }, serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => server.close());
  const bound = server.address();
  const context = makeTlsContext({ ca: ca.caPem, cert: undefined, key: undefined });
  const tls = { context, serverName: "a.test", verify: true };
  return {
    address: { ip: "127.0.0.1", port: typeof bound === "object" ? (bound?.port ?? 0) : 0 },
    tls,
    seen,
  };
}

const CHOICES: readonly [
  protocol: "h1" | "h2" | "auto",
  speaks: "h2" | "http/1.1" | "both",
  outcome: string,
][] = [
  ["auto", "both", "2.0"],
  ["auto", "h2", "2.0"],
  ["auto", "http/1.1", "1.1"],
  ["h2", "both", "2.0"],
  ["h2", "http/1.1", "tls_no_h2"],
  ["h1", "both", "1.1"],
];
for (const [protocol, speaks, outcome] of CHOICES) {
  test(`protocol ${protocol}, and an endpoint that speaks ${speaks}: ${outcome}`, async () => {
    const { address, tls, seen } = await secureServer(speaks);
    const { pool, events, count } = poolFor(address, { protocol, tls, idle: 8 });
    for (let exchange = 0; exchange < 5; exchange++) pool.send(request(), true);
    await eventually(() => events.done + events.failures.length === 5);
    const outcomes = events.failures.length > 0 ? events.failures : seen;
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => outcome));
    for (let exchange = 0; exchange < 5 && events.failures.length === 0; exchange++) {
      expect(pool.send(request(), true)).toBe(true); // what was made is used again
      await eventually(() => events.done === 6 + exchange);
    }
    expect(count("active")).toBe(0);
    if (outcome === "2.0") expect(count("connects")).toBe(1);
    pool.retire();
    await eventually(() => count("open") === 0 && count("pooled") === 0);
  });
}

test("protocol auto: a WebSocket goes to an endpoint by HTTP/1.1 though it speaks HTTP/2 too", async () => {
  const { address, tls, seen } = await secureServer();
  const { pool, events } = poolFor(address, { protocol: "auto", tls });
  pool.send(request(), true);
  await eventually(() => events.done === 1);
  pool.send(request({ upgrade: "websocket" }), true);
  await eventually(() => seen.length === 2);
  expect(seen).toEqual(["2.0", "1.1"]);
});

test("protocol auto without TLS is HTTP/1.1, as nobody can be asked", async () => {
  const { origin, pool } = await start({}, { protocol: "auto" });
  pool.send(request(), true);
  await eventually(() => origin.received[0]?.startsWith("GET / HTTP/1.1\r\n"));
});

test("other certificates: connections made before take no more exchanges", async () => {
  const { address, tls } = await secureServer("h2");
  const settings = { ...SETTINGS, protocol: "h2" as const, tls };
  const { pool, events, count } = poolFor(address, settings);
  pool.send(request(), true);
  await eventually(() => events.done === 1 && count("pooled") === 1);
  pool.configure({ ...settings, tls: { ...tls } });
  expect(pool.idleCount).toBe(1);
  pool.configure({ ...settings, tls: { ...tls, serverName: "b.test" } });
  expect(pool.idleCount).toBe(0);
  pool.send(request(), true);
  await eventually(() => events.failures.length === 1);
  expect([events.failures, count("connectErrors")]).toEqual([["tls_untrusted"], 1]);
});
