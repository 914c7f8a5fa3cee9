/**
 * Clients and endpoints that use HTTP/2 against its purpose, at the real program: what they hold is bounded, what they
 * begin ends, and nobody is handed bytes that were meant for somebody else.
 */
import { afterEach, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { acceptOf } from "../../src/protocol/websocket-key.ts";
import { eventually } from "../support/eventually.ts";
import {
  continuation,
  data,
  type FieldList,
  FRAME,
  fieldBlock,
  headers,
  literal,
  PREFACE,
  SETTING,
  settings,
  settingsAck,
  takeFrames,
} from "../support/h2-frames.ts";
import { H2Peer } from "../support/h2-peer.ts";
import type { Origin, OriginConnection } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { counted, metric } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const MIB = 1024 * 1024;

const ask = (method: string, path = "/", ...more: FieldList): FieldList => [
  [":method", method],
  [":scheme", "http"],
  [":path", path],
  [":authority", "a.test"],
  ...more,
];

const gauge = async (weir: Weir, name: string) => metric(await weir.metrics(), name);

/** An h2c endpoint that says these frames to each request. */
async function h2cOrigin(answer: (connection: OriginConnection, stream: number) => void): Promise<Origin> {
  const pending = new Map<OriginConnection, Buffer>();
  return await stage.origin({
    open: (connection) => connection.write(settings()),
    data(connection, text) {
      const held = pending.get(connection);
      const bytes = Buffer.from(text, "latin1");
      if (held === undefined) connection.write(settingsAck());
      const all = held === undefined ? bytes.subarray(PREFACE.length) : Buffer.concat([held, bytes]);
      const { frames, rest } = takeFrames(all);
      pending.set(connection, Buffer.from(rest));
      for (const { type, stream } of frames) if (type === FRAME.headers) answer(connection, stream);
    },
  });
}

test("a client that asks for heads and reads none is sent away before they are many", async () => {
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2], limits: { requestsPerConnection: 1000000 } } }
routes: [ { match: { path: /* }, redirect: { to: "/{rest}" } } ]
`);
  const peer = await H2Peer.connect({ port: weir.port() });
  peer.pause();
  const path = `/${"x".repeat(2000)}`;
  const count = 20_000; // 40 MB of answers
  for (let first = 0; first < count; first += 500) {
    peer.send(...Array.from({ length: 500 }, (_, at) => headers((first + at) * 2 + 1, ask("HEAD", path))));
    await Bun.sleep(5);
  }
  await counted(weir, "h2_abuse", 1);
  expect(await gauge(weir, "weir_listener_requests_total")).toBeLessThan(count);
  expect(await gauge(weir, "weir_worker_buffered_bytes")).toBeLessThan(3 * MIB);
  await eventually(
    async () => (await gauge(weir, "weir_worker_buffered_bytes")) === 0,
    5000,
    "nothing to wait",
  );
}, 30_000);

test("heads that are large for a byte each are bounded by server.memory, also while they wait for their bodies", async () => {
  const origin = await stage.origin({ data: () => undefined });
  const memory = 16 * MIB;
  const weir = await stage.weir(`
server: { workers: 1, memory: ${memory / MIB}MiB }
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2] } }
routes: [ { to: "${origin.address}" } ]
`);
  const peers: H2Peer[] = [];
  const fields = fieldBlock(ask("POST", "/", ["content-length", "10"]));
  const remembered = Buffer.concat([fields, literal("x-a", "v".repeat(3900), 0x40)]);
  const pointedAt = Buffer.concat([fields, Buffer.alloc(7, 0x80 | 62)]); // 27 KiB in 7 bytes
  const connections = 10;
  const isRefused = (peer: H2Peer) => peer.isClosed || peer.has(({ type }) => type === FRAME.headers);
  for (let at = 0; at < connections; at++) {
    const peer = await H2Peer.open({ port: weir.port() });
    peers.push(peer);
    const heads = Array.from({ length: 99 }, (_, k) => headers(k * 2 + 3, pointedAt, { end: false }));
    peer.send(PREFACE, settings(), headers(1, remembered, { end: false }), ...heads);
    await peer.until(() => isRefused(peer), "a refusal", 200).catch(() => undefined);
  }
  expect(peers.filter(isRefused).length).toBeGreaterThan(2);
  expect(await gauge(weir, "weir_worker_buffered_bytes")).toBeLessThan(memory * 1.1);
  for (const peer of peers) peer.close();
  await eventually(
    async () => (await gauge(weir, "weir_worker_buffered_bytes")) === 0,
    5000,
    "nothing to be held",
  );
}, 30_000);

for (const [what, bytes] of [
  ["a head", Buffer.concat([PREFACE, settings(), headers(1, ask("GET"))])],
  ["the preface", PREFACE],
] as const) {
  test(`timeouts.head is for the whole of ${what}: byte after byte does not move it`, async () => {
    const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2], timeouts: { head: 500ms, idle: 10s } } }
routes: [ { match: { path: /* }, respond: { body: "x" } } ]
`);
    const peer = await H2Peer.open({ port: weir.port() });
    const whole = bytes.length - 20;
    if (what === "a head") peer.send(bytes.subarray(0, whole));
    for (let at = what === "a head" ? whole : 0; at < bytes.length && !peer.isClosed; at++) {
      peer.send(bytes.subarray(at, at + 1));
      await Bun.sleep(150);
    }
    expect(peer.isClosed).toBe(true);
    expect(peer.status(1)).toBe(0);
  });
}

test("an extended CONNECT that ends with its head ends its tunnel: the endpoint is told, and nothing stays", async () => {
  let isEndSeen = false;
  const origin = await stage.origin({
    data(connection, text) {
      const key = /sec-websocket-key: (\S+)/gi.exec(text)?.[1];
      if (key === undefined) return;
      const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
      connection.write(`${[...head, `Sec-WebSocket-Accept: ${acceptOf(key)}`].join("\r\n")}\r\n\r\nhello`);
    },
    end(connection) {
      isEndSeen = true;
      connection.end();
    },
  });
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2], http2: { extendedConnect: true } } }
routes: [ { to: "${origin.address}" } ]
`);
  const peer = await H2Peer.connect({ port: weir.port() });
  const [, ...rest] = ask("CONNECT");
  peer.send(
    headers(1, [
      [":method", "CONNECT"],
      [":protocol", "websocket"],
      ...rest,
      ["sec-websocket-version", "13"],
    ]),
  );
  await peer.until(() => peer.isEnded(1), "the end of the tunnel");
  expect(peer.body(1).toString()).toBe("hello");
  expect(isEndSeen).toBe(true);
  await eventually(
    async () => (await gauge(weir, "weir_requests_active")) === 0,
    5000,
    "no request to be active",
  );
});

test("an answer to a gRPC-Web HEAD has no body, whatever the endpoint says behind its head (RFC 9110 §9.3.2)", async () => {
  const origin = await h2cOrigin((connection, stream) => {
    connection.write(
      headers(
        stream,
        [
          [":status", "200"],
          ["content-type", "application/grpc"],
        ],
        { end: false },
      ),
    );
    connection.write(headers(stream, [["grpc-status", "0"]]));
  });
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { match: { path: /local }, respond: { body: "mine" } }, { to: app } ]
upstreams: { app: { endpoints: [ "${origin.address}" ], protocol: h2c } }
`);
  const client = await stage.client(weir.port());
  await client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web\r\n\r\n");
  expect((await client.response("HEAD")).status).toBe(200);
  await client.send("GET /local HTTP/1.1\r\nHost: a.test\r\n\r\n");
  const next = await client.response();
  expect(next.raw).toStartWith("HTTP/1.1 200 ");
  expect(next.body).toBe("mine");
});

test("answers of an HTTP/2 endpoint that no client takes are bounded by server.memory", async () => {
  let answered = 0;
  const origin = await h2cOrigin((connection, stream) => {
    answered++;
    // later, in one go: all are asked for before the first byte waits
    setTimeout(() => {
      const pieces = Array.from({ length: 15 }, () => data(stream, Buffer.alloc(16_384)));
      connection.write(Buffer.concat([headers(stream, [[":status", "200"]], { end: false }), ...pieces]));
    }, 700);
  });
  const memory = 16 * MIB;
  const weir = await stage.weir(`
server: { workers: 1, memory: ${memory / MIB}MiB }
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2] } }
routes: [ { to: app } ]
upstreams: { app: { endpoints: [ "${origin.address}" ], protocol: h2c } }
`);
  const count = 90; // 21 MiB on each connection
  const connect = () => H2Peer.connect({ port: weir.port() }, [SETTING.initialWindowSize, 0]);
  const peers = [await connect(), await connect()];
  for (const peer of peers)
    peer.send(...Array.from({ length: count }, (_, at) => headers(at * 2 + 1, ask("GET"))));
  await eventually(() => answered === count * peers.length, 5000, "all to be asked for");
  const isOver = async () => (await gauge(weir, "weir_failures_total")) > 0;
  await eventually(isOver, 5000, "a stream to be given up");
  await Bun.sleep(300); // what is still on its way to us
  expect(await gauge(weir, "weir_worker_buffered_bytes")).toBeLessThan(memory + 2 * MIB);
  for (const peer of peers) peer.close();
  await eventually(
    async () => (await gauge(weir, "weir_worker_buffered_bytes")) === 0,
    5000,
    "nothing to wait",
  );
});

test("a stream that depends on itself is reset or answered, not both, in however many fragments its head comes", async () => {
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2] } }
routes: [ { match: { path: /* }, respond: { body: "x" } } ]
`);
  const peer = await H2Peer.connect({ port: weir.port() });
  const block = fieldBlock(ask("GET"));
  const options = { endHeaders: false, priority: { dependsOn: 1 } };
  peer.send(headers(1, block.subarray(0, 9), options), continuation(1, block.subarray(9)));
  peer.send(headers(3, ask("GET")));
  await peer.until(() => peer.isEnded(3), "the other answer");
  expect(peer.status(1) === 200).toBe(peer.resetCode(1) === undefined);
});

test("a tunnel that both sides have ended is over in time, also when the endpoint takes no more bytes", async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (bytes) => {
      const key = /sec-websocket-key: (\S+)/i.exec(bytes.toString("latin1"))?.[1] ?? "";
      socket.pause();
      const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
      socket.end(`${[...head, `Sec-WebSocket-Accept: ${acceptOf(key)}`].join("\r\n")}\r\n\r\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h2], http2: { extendedConnect: true, streamWindow: 16MiB, connectionWindow: 16MiB }, timeouts: { body: 1s } } }
routes: [ { to: "127.0.0.1:${port}" } ]
`);
  const peer = await H2Peer.connect({ port: weir.port() });
  const [, ...rest] = ask("CONNECT");
  peer.send(headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], ...rest], { end: false }));
  await peer.until(() => peer.status(1) === 200, "the tunnel");
  for (let sent = 0; sent < 15; sent++)
    peer.send(...Array.from({ length: 64 }, () => data(1, Buffer.alloc(16_384))));
  peer.send(data(1, "", { end: true }));
  await eventually(
    async () => (await gauge(weir, "weir_worker_buffered_bytes")) > MIB,
    5000,
    "bytes to wait",
  );
  peer.close();
  await eventually(
    async () => (await gauge(weir, "weir_requests_active")) === 0,
    5000,
    "the tunnel to be over",
  );
  await eventually(
    async () => (await gauge(weir, "weir_worker_buffered_bytes")) === 0,
    5000,
    "nothing to wait",
  );
}, 20_000);
