/**
 * WebSockets through Weir, with a client and a server that are not ours: `ws`, as the runtime provides it.
 */
import { afterEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { eventually, within } from "../support/eventually.ts";
import { proxyTo, Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const DEADLINE_MS = 5000;

interface Pair {
  readonly client: WebSocket;
  readonly server: WebSocket;
  readonly weir: Weir;
}

async function serve(): Promise<WebSocketServer> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await within(new Promise((resolve) => server.once("listening", resolve)), DEADLINE_MS, "the server");
  stage.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return server;
}

const addressOf = (server: WebSocketServer) => `127.0.0.1:${(server.address() as { port: number }).port}`;

/** A WebSocket whose both ends are in our hands. */
async function connect(): Promise<Pair> {
  const server = await serve();
  const weir = await stage.weir(proxyTo(addressOf(server)));
  const accepted = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
  const client = new WebSocket(`ws://127.0.0.1:${weir.port()}/socket`);
  stage.after(() => client.terminate());
  await within(new Promise((resolve) => client.once("open", resolve)), DEADLINE_MS, "the handshake");
  return { client, server: await within(accepted, DEADLINE_MS, "the server's side"), weir };
}

const message = (socket: WebSocket) =>
  within(new Promise<RawData>((resolve) => socket.once("message", resolve)), DEADLINE_MS, "a message");
const closing = (socket: WebSocket) =>
  within(
    new Promise<[code: number, reason: string]>((resolve) =>
      socket.once("close", (code, reason) => resolve([code, reason.toString()])),
    ),
    DEADLINE_MS,
    "the socket to close",
  );

test("text and binary messages go both ways", async () => {
  const { client, server } = await connect();
  const atServer = message(server);
  client.send("grüße");
  expect(String(await atServer)).toBe("grüße");
  const atClient = message(client);
  server.send(Buffer.from([0, 255, 13, 10]));
  expect(Buffer.from((await atClient) as Buffer)).toEqual(Buffer.from([0, 255, 13, 10]));
});

test("1 MiB messages come back as they went, ten of them at once", async () => {
  const { client, server } = await connect();
  server.on("message", (data, isBinary) => server.send(data, { binary: isBinary }));
  const sent = Array.from({ length: 10 }, () => randomBytes(1 << 20));
  const got: Buffer[] = [];
  client.on("message", (data: Buffer) => got.push(Buffer.from(data)));
  for (const data of sent) client.send(data);
  await eventually(() => got.length === sent.length, 10_000, "all messages");
  expect(got.every((data, index) => data.equals(sent[index] as Buffer))).toBe(true);
}, 20_000);

test("ping and pong pass with what they carry", async () => {
  const { client, server } = await connect();
  const pong = new Promise<Buffer>((resolve) => client.once("pong", resolve));
  client.ping("are you there");
  expect(String(await within(pong, DEADLINE_MS, "the pong"))).toBe("are you there");
  const pinged = new Promise<Buffer>((resolve) => client.once("ping", resolve));
  server.ping("and you");
  expect(String(await within(pinged, DEADLINE_MS, "the ping"))).toBe("and you");
});

test("the client's close code and reason reach the server", async () => {
  const { client, server } = await connect();
  const closed = [closing(server), closing(client)];
  client.close(4001, "enough");
  expect(await Promise.all(closed)).toEqual([
    [4001, "enough"],
    [4001, "enough"],
  ]);
});

test("a close that the server begins reaches the client", async () => {
  const { client, server } = await connect();
  const closed = [closing(client), closing(server)];
  server.close(1001, "going away");
  expect(await Promise.all(closed)).toEqual([
    [1001, "going away"],
    [1001, "going away"],
  ]);
});

test("a client that vanishes is seen by the server as an abnormal end", async () => {
  const { client, server, weir } = await connect();
  const closed = closing(server);
  client.terminate();
  expect((await closed)[0]).toBe(1006);
  await eventually(async () => (await weir.status()).listeners[0]?.connectionsActive === 0);
  await eventually(async () => (await weir.status()).upstreams[0]?.endpoints[0]?.active === 0);
});

test("a server that vanishes is seen by the client as an abnormal end", async () => {
  const { client, server, weir } = await connect();
  const closed = closing(client);
  server.terminate();
  expect((await closed)[0]).toBe(1006);
  await eventually(async () => (await weir.status()).upstreams[0]?.endpoints[0]?.active === 0);
});

test("a handshake that the server refuses is a normal answer for the client", async () => {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    verifyClient: (_request, decide) => decide(false, 403, "not you"),
  });
  stage.after(() => server.close());
  await within(new Promise((resolve) => server.once("listening", resolve)), DEADLINE_MS, "the server");
  const weir = await stage.weir(proxyTo(addressOf(server)));
  const client = new WebSocket(`ws://127.0.0.1:${weir.port()}/`);
  const failed = new Promise<Error>((resolve) => client.once("error", resolve));
  expect((await within(failed, DEADLINE_MS, "the refusal")).message).toContain("403");
});

test("50 WebSockets at once, through two workers, each hear their own echo", async () => {
  const server = await serve();
  server.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
  const weir = await stage.weir(proxyTo(addressOf(server), { rest: "server: { workers: 2 }" }));
  const echoes = Array.from({ length: 50 }, async (_, index) => {
    const client = new WebSocket(`ws://127.0.0.1:${weir.port()}/`);
    stage.after(() => client.terminate());
    await within(new Promise((resolve) => client.once("open", resolve)), DEADLINE_MS, "a handshake");
    const echo = message(client);
    client.send(`${index}`.repeat(1000));
    return String(await echo);
  });
  const texts = await Promise.all(echoes);
  expect(texts.every((text, index) => text === `${index}`.repeat(1000))).toBe(true);
}, 15_000);
