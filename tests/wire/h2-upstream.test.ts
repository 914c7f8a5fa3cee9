/**
 * Endpoints that speak HTTP/2 and TLS, at the real program; node:http2 is the other end.
 */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { hashOf, MIB, sendBody, exchange as startExchange } from "../support/bulk.ts";
import { testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { hasProc, ownMemoryBytes } from "../support/proc.ts";
import { Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const BYTES = 50 * MIB;
const DEADLINE_MS = 20_000;

type Serve = (asked: Http2ServerRequest, answer: Http2ServerResponse) => unknown;

interface Endpoint {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  readonly sockets: Socket[];
}

async function listening(server: Http2Server): Promise<Endpoint> {
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("stream", (stream) => stream.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const bound = server.address();
  return { port: bound !== null && typeof bound === "object" ? bound.port : 0, sessions, sockets };
}

const h2c = (serve: Serve) => listening(createServer({}, serve));

const config = (port: number, upstream = "protocol: h2c", route = "") => `
listeners: { web: { bind: "127.0.0.1:0", limits: { body: 0 } } }
routes: [ { name: app, to: app${route} } ]
upstreams: { app: { endpoints: [ "127.0.0.1:${port}" ], ${upstream} } }
`;

/** Hashes what comes. */
function reader() {
  const hash = createHash("sha256");
  const read = { bytes: 0, digest: () => hash.digest("hex") };
  return {
    read,
    take: (piece: Buffer) => {
      read.bytes += piece.length;
      hash.update(piece);
    },
  };
}

test("a request over HTTP/1.1 is whole at an HTTP/2 endpoint, and so is its answer, trailers and all", async () => {
  const { port } = await h2c((asked, answer) => {
    let body = "";
    asked.on("data", (piece) => {
      body += piece;
    });
    asked.on("end", () => {
      const { method, url, authority, headers, trailers } = asked;
      answer.writeHead(201, { "x-a": "1" });
      answer.addTrailers({ "x-sum": `${body.length}` });
      const { host, connection, "x-test": sent } = headers;
      answer.end(JSON.stringify({ method, url, authority, host, connection, sent, trailers, body }));
    });
  });
  const weir = await stage.weir(config(port));
  const client = await stage.client(weir.port());
  await client.send(
    "POST /a?b=c HTTP/1.1\r\nHost: a.test\r\nX-Test: yes\r\nConnection: keep-alive\r\nTE: trailers\r\n" +
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Mine: 2\r\n\r\n",
  );
  const answer = await client.response("POST");
  expect([answer.status, answer.field("x-a"), answer.trailers]).toEqual([201, "1", [["x-sum", "5"]]]);
  expect(JSON.parse(answer.body)).toEqual({
    method: "POST",
    url: "/a?b=c",
    authority: "a.test",
    sent: "yes",
    trailers: { "x-mine": "2" },
    body: "hello",
  });
});

test("a download of 50 MiB arrives byte for byte, also at a slow client, and waits at the endpoint", async () => {
  let sent = 0;
  const { port } = await h2c(async (_asked, answer) => {
    const counted = answer.stream as unknown as Socket;
    const write = counted.write.bind(counted);
    counted.write = ((piece: Buffer) => {
      sent += piece.length;
      return write(piece);
    }) as Socket["write"];
    await sendBody(counted, BYTES, "close");
  });
  const weir = await stage.weir(config(port));
  const pid = (await weir.status()).workers[0]?.pid as number;
  const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
  const first = startExchange(weir.port(), get);
  await within(first.done, DEADLINE_MS, "a download");
  expect([first.answer.bytes, first.answer.sha256]).toEqual([BYTES, hashOf(BYTES)]);
  const before = hasProc ? ownMemoryBytes(pid) : 0;
  sent = 0;
  const slow = startExchange(weir.port(), get);
  slow.socket.pause();
  let highest = 0;
  for (let look = 0; look < 20; look++) {
    await Bun.sleep(50);
    if (hasProc) highest = Math.max(highest, ownMemoryBytes(pid) - before);
  }
  expect(highest).toBeLessThan(8 * MIB);
  expect(sent).toBeLessThan(16 * MIB); // what kernels and windows hold
  slow.socket.resume();
  await within(slow.done, DEADLINE_MS, "the rest");
  expect(slow.answer.sha256).toBe(hashOf(BYTES));
});

test("an upload of 50 MiB arrives byte for byte at a slow endpoint, and waits at the client", async () => {
  const got = reader();
  let start = () => {};
  const { port } = await h2c((asked, answer) => {
    asked.pause();
    start = () => asked.resume();
    asked.on("data", got.take);
    asked.on("end", () => answer.end("done"));
  });
  const weir = await stage.weir(config(port));
  const pid = (await weir.status()).workers[0]?.pid as number;
  const before = hasProc ? ownMemoryBytes(pid) : 0;
  const head = `PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${BYTES}\r\n\r\n`;
  const { answer, done } = startExchange(weir.port(), head, {
    body: (out) => sendBody(out, BYTES, "length"),
  });
  let highest = 0;
  for (let look = 0; look < 20; look++) {
    await Bun.sleep(50);
    if (hasProc) highest = Math.max(highest, ownMemoryBytes(pid) - before);
  }
  expect(highest).toBeLessThan(8 * MIB);
  start();
  await within(done, DEADLINE_MS, "the answer");
  expect([got.read.bytes, got.read.digest(), answer.bytes]).toEqual([BYTES, hashOf(BYTES), 4]);
});

test("an endpoint that leaves with GOAWAY again and again loses no request", async () => {
  let asked = 0;
  const { port, sessions } = await h2c((_asked, answer) => {
    if (++asked % 100 === 0) sessions.at(-1)?.close(); // GOAWAY; streams that are open finish
    answer.end("fine");
  });
  const weir = await stage.weir(config(port));
  const clients = await Promise.all(Array.from({ length: 20 }, () => stage.client(weir.port())));
  const statuses = new Map<number, number>();
  const work = clients.map(async (client) => {
    for (let request = 0; request < 100; request++) {
      await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
      const { status } = await client.response();
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  });
  await within(Promise.all(work), DEADLINE_MS, "the requests");
  expect([...statuses]).toEqual([[200, 2000]]);
  expect(sessions.length).toBeGreaterThan(5);
});

test("an endpoint that is killed while it is used: what may be asked twice is asked again", async () => {
  let isDown = false;
  const { port, sessions, sockets } = await h2c((_asked, answer) => {
    if (!isDown) answer.end("fine");
  });
  const weir = await stage.weir(config(port));
  const clients = await Promise.all(Array.from({ length: 20 }, () => stage.client(weir.port())));
  const askAll = () =>
    Promise.all(clients.map((client) => client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")));
  const statuses = () => Promise.all(clients.map(async (client) => (await client.response()).status));
  const fine = clients.map(() => 200);
  await askAll();
  expect(await statuses()).toEqual(fine);
  isDown = true;
  await askAll();
  await Bun.sleep(100);
  isDown = false;
  sockets[0]?.resetAndDestroy();
  expect(await statuses()).toEqual(fine);
  expect(sessions.length).toBe(2);
});

test("TLS: a verified endpoint is served from, another one is a 502 and a line that says why", async () => {
  const [ca, stranger] = [await testAuthority(), await testAuthority("Somebody Else")];
  const pair = await ca.issue({ names: ["app.test"] });
  const { port } = await listening(
    createSecureServer({ ...pair }, (asked, answer) => void answer.end(asked.httpVersion)) as Http2Server,
  );
  const files = { "ca.pem": ca.caPem, "stranger.pem": stranger.caPem };
  const tls = (rest: string) => config(port, `protocol: h2, tls: { ${rest} }`);
  const weir = await stage.weir(tls("ca: ca.pem, serverName: app.test"), { files });
  const get = async () => {
    const client = await stage.client(weir.port());
    await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    return await client.response();
  };
  expect(await get()).toMatchObject({ status: 200, body: "2.0" });
  for (const [rest, reason] of [
    ["ca: stranger.pem, serverName: app.test", "UNABLE_TO_"],
    ["ca: ca.pem, serverName: other.test", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["ca: ca.pem", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["serverName: app.test", "UNABLE_TO_"],
  ] as const) {
    expect(await weir.reload(tls(rest))).toBe(true);
    const before = weir.stderr().length + weir.stdout().length;
    const { status, body } = await get();
    expect([status, body.includes(reason)]).toEqual([502, false]);
    await eventually(() => (weir.stdout() + weir.stderr()).length > before);
    await eventually(() => (weir.stdout() + weir.stderr()).includes(reason), 3000, `${reason} in the log`);
  }
  expect(await weir.reload(tls("verify: false"))).toBe(true);
  expect((await get()).status).toBe(200);
});

test("a certificate authority that is no certificate is refused at load, and the version before stays", async () => {
  const ca = await testAuthority();
  const pair = await ca.issue({ names: ["app.test"] });
  const { port } = await listening(
    createSecureServer({ ...pair }, (_asked, answer) => void answer.end("fine")) as Http2Server,
  );
  const tls = (rest: string) => config(port, `protocol: h2, tls: { ${rest}, serverName: app.test }`);
  const files = { "ca.pem": ca.caPem, "bad.pem": "no certificate" };
  const weir = await stage.weir(tls("ca: ca.pem"), { files });
  expect(await weir.reload(tls("ca: bad.pem"))).toBe(false);
  const client = await stage.client(weir.port());
  await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  expect((await client.response()).status).toBe(200);
});

test("a WebSocket goes through two of us, by extended CONNECT in between, and is refused where that is off (RFC 8441)", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await within(new Promise((resolve) => server.once("listening", resolve)), DEADLINE_MS, "the server");
  stage.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on("connection", (socket) => socket.on("message", (text) => socket.send(`echo ${text}`)));
  const { port: serverPort } = server.address() as { port: number };
  const inner = await stage.weir(`
listeners:
  taking: { bind: "127.0.0.1:0", protocols: [h2], http2: { extendedConnect: true } }
  plain: { bind: "127.0.0.1:0", protocols: [h2] }
routes: [ { name: app, to: "127.0.0.1:${serverPort}" } ]
`);
  const outer = await stage.weir(config(inner.port("taking")));
  const client = new WebSocket(`ws://127.0.0.1:${outer.port()}/socket`);
  stage.after(() => client.terminate());
  await within(new Promise((resolve) => client.once("open", resolve)), DEADLINE_MS, "the handshake");
  const said = new Promise((resolve) => client.once("message", (text) => resolve(String(text))));
  client.send("hello");
  expect(await within(said, DEADLINE_MS, "the echo")).toBe("echo hello");
  const closed = new Promise((resolve) => client.once("close", resolve));
  client.close(1000);
  expect(await within(closed, DEADLINE_MS, "the end")).toBe(1000);

  const refusing = await stage.weir(config(inner.port("plain")));
  const asker = await stage.client(refusing.port());
  await asker.send(
    "GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  expect((await asker.response()).status).toBe(502);
});
