/**
 * WebSockets over HTTP/2: extended CONNECT towards the client, an upgrade of HTTP/1.1 towards the endpoint (RFC 8441).
 */
import { afterEach, expect, test } from "bun:test";
import { type WebSocket, WebSocketServer } from "ws";
import { eventually, within } from "../support/eventually.ts";
import {
  CODE,
  data,
  type FieldList,
  headers,
  rstStream,
  SETTING,
  windowUpdate,
} from "../support/h2-frames.ts";
import { H2Peer } from "../support/h2-peer.ts";
import { perRequest, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const CLOSE_NORMAL = 1000;

function extendedConnect(protocol = "websocket", ...more: FieldList): FieldList {
  return [
    [":method", "CONNECT"],
    [":protocol", protocol],
    [":scheme", "http"],
    [":path", "/socket"],
    [":authority", "a.test"],
    ["sec-websocket-version", "13"],
    ["origin", "http://a.test"],
    ...more,
  ];
}

/** A masked frame of a client (RFC 6455 §5.2). */
function clientFrame(opcode: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload as string);
  const mask = Buffer.from([1, 2, 3, 4]);
  const size =
    bytes.length < 126 ? [0x80 | bytes.length] : [0x80 | 126, bytes.length >> 8, bytes.length & 0xff];
  const masked = bytes.map((byte, at) => byte ^ (mask[at % 4] as number));
  return Buffer.concat([Buffer.from([0x80 | opcode, ...size]), mask, masked]);
}

interface Open {
  readonly peer: H2Peer;
  readonly server: WebSocketServer;
  readonly accepted: WebSocket[];
  readonly protocols: string[];
}

async function open(isEnabled = true): Promise<Open> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await within(new Promise((resolve) => server.once("listening", resolve)), 5000, "the server");
  const accepted: WebSocket[] = [];
  const protocols: string[] = [];
  server.on("connection", (socket, request) => {
    accepted.push(socket);
    protocols.push(String(request.headers["sec-websocket-protocol"] ?? ""));
    socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
  });
  stage.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { peer: await connectTo(`127.0.0.1:${port}`, isEnabled), server, accepted, protocols };
}

async function connectTo(address: string, isEnabled = true): Promise<H2Peer> {
  const weir = await stage.weir(`
listeners:
  web: { bind: "127.0.0.1:0", protocols: [h2], http2: { extendedConnect: ${isEnabled} } }
routes: [ { to: app } ]
upstreams: { app: [ "${address}" ] }
`);
  const peer = await H2Peer.connect({ port: weir.port() });
  stage.after(() => peer.close());
  return peer;
}

const echoed = (peer: H2Peer, stream: number, bytes: Buffer) =>
  peer.until(() => peer.body(stream).includes(bytes), `an echo on stream ${stream}`);

test("RFC 8441 §3: a server that is told to announces extended CONNECT, and no other does", async () => {
  expect((await open()).peer.settings.get(SETTING.enableConnectProtocol)).toBe(1);
  expect((await open(false)).peer.settings.get(SETTING.enableConnectProtocol) ?? 0).toBe(0);
});

test("RFC 8441 §5: a WebSocket is opened with 200, echoes both ways, and is closed by its own frames", async () => {
  const { peer, accepted, protocols } = await open();
  peer.send(headers(1, extendedConnect("websocket", ["sec-websocket-protocol", "chat"]), { end: false }));
  await peer.until(() => peer.status(1) !== 0, "the answer");
  expect(peer.status(1)).toBe(200);
  expect(protocols).toEqual(["chat"]);
  peer.send(data(1, clientFrame(1, "grüße")));
  await echoed(peer, 1, Buffer.from("grüße"));
  const large = Buffer.alloc(40_000, "large");
  peer.send(
    ...Array.from({ length: 3 }, (_, at) =>
      data(1, clientFrame(2, large).subarray(at * 16_000, (at + 1) * 16_000)),
    ),
  );
  await peer.until(() => peer.body(1).length > large.length, "the large echo");
  const closed = new Promise<number>((resolve) => accepted[0]?.once("close", resolve));
  peer.send(data(1, clientFrame(8, Uint8Array.of(CLOSE_NORMAL >> 8, CLOSE_NORMAL & 0xff))));
  await peer.until(() => peer.isEnded(1), "the stream to end");
  peer.send(data(1, "", { end: true }));
  expect(await within(closed, 5000, "the server to see the close")).toBe(CLOSE_NORMAL);
  expect(peer.goawayCode).toBeUndefined();
});

test("many sockets share a connection with requests", async () => {
  const { peer } = await open();
  const streams = Array.from({ length: 20 }, (_, index) => 2 * index + 1);
  for (const stream of streams) peer.send(headers(stream, extendedConnect(), { end: false }));
  for (const stream of streams) {
    await peer.until(() => peer.status(stream) === 200, `stream ${stream} to be open`);
    peer.send(data(stream, clientFrame(1, `on ${stream}`)));
  }
  for (const stream of streams) await echoed(peer, stream, Buffer.from(`on ${stream}`));
});

test("RFC 8441 §5.3: a stream that the client resets closes the endpoint's connection", async () => {
  const { peer, accepted } = await open();
  peer.send(headers(1, extendedConnect(), { end: false }));
  await peer.until(() => peer.status(1) === 200, "the socket to be open");
  await eventually(() => accepted.length === 1);
  const closed = new Promise((resolve) => accepted[0]?.once("close", resolve));
  peer.send(rstStream(1, CODE.cancel));
  await within(closed, 5000, "the endpoint's connection to close");
});

test("an endpoint that goes away ends the stream", async () => {
  const { peer, accepted } = await open();
  peer.send(headers(1, extendedConnect(), { end: false }));
  await peer.until(() => peer.status(1) === 200, "the socket to be open");
  await eventually(() => accepted.length === 1);
  accepted[0]?.terminate();
  await peer.until(() => peer.isEnded(1) || peer.resetCode(1) !== undefined, "the stream to end");
  expect(peer.goawayCode).toBeUndefined();
});

test("an endpoint that is no WebSocket server answers as it does", async () => {
  const origin = await stage.origin(perRequest(() => response("no sockets here", [], "403 Forbidden")));
  const peer = await connectTo(origin.address);
  peer.send(headers(1, extendedConnect(), { end: false }));
  await peer.until(() => peer.status(1) !== 0, "the answer");
  expect(peer.status(1)).toBe(403);
});

test("a client that takes nothing holds its endpoint back, and no one else", async () => {
  const { peer, accepted } = await open();
  peer.send(headers(1, extendedConnect(), { end: false }));
  await peer.until(() => peer.status(1) === 200, "the socket to be open");
  await eventually(() => accepted.length === 1);
  const block = Buffer.alloc(1 << 20, "b");
  for (let count = 0; count < 32; count++) accepted[0]?.send(block);
  // the stream's window is 65,535 bytes, and so is the connection's
  await peer.until(() => peer.body(1).length === 65_535, "the window to be used up");
  await eventually(() => (accepted[0]?.bufferedAmount ?? 0) > 0, 5000, "the endpoint to be held back");
  peer.send(windowUpdate(0, 1 << 20));
  peer.send(headers(3, extendedConnect(), { end: false }));
  await peer.until(() => peer.status(3) === 200, "another socket to be open");
  peer.send(data(3, clientFrame(1, "still here")));
  await echoed(peer, 3, Buffer.from("still here"));
  peer.send(windowUpdate(1, 100_000));
  await peer.until(() => peer.body(1).length === 165_535, "more to come");
});

for (const [what, fields, isEnabled] of [
  [
    "CONNECT without :protocol",
    [
      [":method", "CONNECT"],
      [":authority", "a.test:443"],
    ],
    true,
  ],
  ["extended CONNECT that was not announced", extendedConnect(), false],
  ["extended CONNECT for another protocol", extendedConnect("connect-udp"), true],
] as const) {
  test(`${what} is refused, and the connection goes on`, async () => {
    const { peer, accepted } = await open(isEnabled);
    peer.send(headers(1, fields as FieldList, { end: false }));
    await peer.until(() => peer.status(1) >= 400 || peer.resetCode(1) !== undefined, "the refusal");
    expect(peer.goawayCode).toBeUndefined();
    expect(accepted).toEqual([]);
  });
}
