/**
 * Tunnels, byte by byte: what is sent behind the upgrade, half-closes, refusals, reload and drain.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import type { OriginConnection, OriginScript } from "../support/origin.ts";
import { response } from "../support/origin.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const UPGRADE = get("/chat", "Connection: Upgrade", "Upgrade: chat");
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
const HEAD_END = "\r\n\r\n";

/** Bytes that the origin has received behind the request head. */
const behindHead = (connection: OriginConnection | undefined) => {
  const text = connection?.received ?? "";
  const at = text.indexOf(HEAD_END);
  return at === -1 ? "" : text.slice(at + HEAD_END.length);
};
const bytesBehindHead = (connection: OriginConnection | undefined) => behindHead(connection).length;

/** Switches as soon as the head is there, and leaves the rest to the test. */
const switching = (first = ""): OriginScript => ({
  data(connection) {
    if (connection.requests === 0 && connection.received.includes(HEAD_END)) {
      connection.requests++;
      connection.write(SWITCH + first);
    }
  },
  end() {
    // the test decides when this side closes
  },
});

async function openTunnel(script: OriginScript = switching(), parts: Parameters<typeof proxyTo>[1] = {}) {
  const origin = await stage.origin(script);
  const weir = await stage.weir(proxyTo(origin.address, parts));
  const client = await stage.client(weir.port());
  await client.send(UPGRADE);
  const head = await client.response();
  expect(head.status).toBe(101);
  return { origin, weir, client, head, server: origin.connections[0] as OriginConnection };
}

test("a 101 names the protocol that was asked for, and Connection says upgrade (RFC 9110 §7.8)", async () => {
  const { head, origin } = await openTunnel();
  expect([head.field("upgrade"), head.field("connection")]).toEqual(["chat", "upgrade"]);
  expect(origin.received[0]).toMatch(/\r\nconnection: upgrade\r\n/i);
  expect(origin.received[0]).toMatch(/\r\nupgrade: chat\r\n/i);
});

test("bytes go both ways as they are, whatever they look like", async () => {
  const { client, server } = await openTunnel();
  const noise = String.fromCharCode(...Array.from({ length: 256 }, (_, at) => at)) + get("/", "X: y");
  await client.send(noise);
  await eventually(() => behindHead(server) === noise);
  server.write(`${noise}HTTP/1.1 500 No\r\n\r\n`);
  await client.until((text) => text.endsWith(`${noise}HTTP/1.1 500 No\r\n\r\n`));
});

for (const size of [5, 20_000, 200_000]) {
  test(`${size} bytes sent right behind the upgrade request arrive, and so does what follows`, async () => {
    const origin = await stage.origin(switching());
    const weir = await stage.weir(proxyTo(origin.address));
    const client = await stage.client(weir.port());
    const early = "e".repeat(size);
    await client.send(UPGRADE + early);
    expect((await client.response()).status).toBe(101);
    await eventually(() => bytesBehindHead(origin.connections[0]) === size, 3000, "the early bytes");
    await client.send("later");
    await eventually(() => behindHead(origin.connections[0]) === `${early}later`, 3000, "the later bytes");
  });

  test(`${size} bytes right behind the 101 arrive`, async () => {
    const late = "s".repeat(size);
    const { client } = await openTunnel(switching(late));
    await client.until((text) => text.endsWith(HEAD_END + late));
  });
}

test("the client closes its side first: the server's bytes still arrive, and end with FIN", async () => {
  const { client, server } = await openTunnel();
  await client.send("last words");
  client.end();
  await eventually(() => server.isEnded, 3000, "the FIN to come through");
  expect(behindHead(server)).toBe("last words");
  const rest = "r".repeat(1_000_000);
  server.write(rest);
  server.end();
  const text = await client.untilClose();
  expect(text.length).toBe(text.indexOf(HEAD_END) + 4 + rest.length);
  expect([client.isEnded, client.errorCode]).toEqual([true, undefined]);
});

test("the server closes its side first: the client's bytes still arrive, and end with FIN", async () => {
  const { client, server } = await openTunnel();
  server.write("bye");
  server.end();
  await client.until("bye");
  await eventually(() => client.isEnded, 3000, "the FIN to come through");
  const rest = "c".repeat(1_000_000);
  await client.send(rest);
  client.end();
  await eventually(() => server.isEnded, 5000, "the client's FIN to come through");
  expect(bytesBehindHead(server)).toBe(rest.length);
});

test("a slow client gets all that the server sent before it closed", async () => {
  const { client, server } = await openTunnel();
  client.pause();
  client.end();
  await eventually(() => server.isEnded);
  const rest = "z".repeat(12_000_000);
  server.write(rest);
  server.end();
  await Bun.sleep(2600); // longer than a closed connection is kept for reading and forgetting
  client.resume();
  await client.untilClose();
  expect(client.length - client.text.indexOf(HEAD_END) - 4).toBe(rest.length);
  expect(client.errorCode).toBeUndefined();
}, 15_000);

test("when one side resets, the other is told at once and never by a clean end", async () => {
  const first = await openTunnel();
  first.client.reset();
  await eventually(() => first.server.isClosed, 2000, "the server's side to close");
  const second = await openTunnel();
  second.server.reset();
  await eventually(() => second.client.isClosed, 2000, "the client's side to close");
  expect([second.client.isEnded, second.client.errorCode]).toEqual([false, "ECONNRESET"]);
});

test("a client that takes no byte for timeouts.body loses its tunnel, on both sides", async () => {
  const { client, server, weir } = await openTunnel(switching(), { listener: "timeouts: { body: 400ms }" });
  client.pause();
  server.write("q".repeat(30_000_000));
  await eventually(() => server.isClosed, 5000, "the server's side to close");
  const gone = async () => (await weir.status()).listeners[0]?.connectionsActive === 0;
  await eventually(gone, 5000, "the client's connection to be given up");
});

const REFUSALS: readonly [status: string, body: string][] = [
  ["200 OK", "no chat here"],
  ["400 Bad Request", ""],
  ["426 Upgrade Required", "upgrade"],
];
for (const [status, body] of REFUSALS) {
  test(`an upgrade refused with ${status} is a normal response, and both connections live on`, async () => {
    const origin = await stage.origin((connection) => {
      const heads = connection.received.split(HEAD_END).length - 1;
      while (connection.requests < heads) {
        connection.requests++;
        connection.write(response(body, ["Upgrade: chat", "Connection: upgrade"], status));
      }
    });
    const weir = await stage.weir(proxyTo(origin.address));
    const client = await stage.client(weir.port());
    for (let round = 0; round < 3; round++) {
      await client.send(UPGRADE);
      const answer = await client.response();
      expect([answer.status, answer.body]).toEqual([Number(status.slice(0, 3)), body]);
    }
    expect(origin.connections.length).toBe(1);
  });
}

const BAD_SWITCHES: readonly [what: string, request: string, answer: string][] = [
  ["for another protocol", UPGRADE, SWITCH.replace("Upgrade: chat", "Upgrade: other")],
  ["without an Upgrade field", UPGRADE, SWITCH.replace("Upgrade: chat\r\n", "")],
  ["that nobody asked for", get("/"), SWITCH],
  ["to a request for h2c", get("/", "Connection: Upgrade", "Upgrade: h2c"), SWITCH.replace("chat", "h2c")],
];
for (const [what, request, answer] of BAD_SWITCHES) {
  test(`a 101 ${what} is 502, and what follows it reaches nobody`, async () => {
    const origin = await stage.origin((connection) => connection.write(`${answer}secret`));
    const weir = await stage.weir(proxyTo(origin.address));
    const client = await stage.client(weir.port());
    await client.send(request);
    const got = await client.response();
    expect(got.status).toBe(502);
    await eventually(() => origin.connections[0]?.isClosed === true);
    expect(client.text).not.toContain("secret");
  });
}

test("Upgrade: h2c and its HTTP2-Settings are not passed on (RFC 9113 §3.1)", async () => {
  const origin = await stage.origin((connection) => connection.write(response("plain")));
  const weir = await stage.weir(proxyTo(origin.address));
  const client = await stage.client(weir.port());
  await client.send(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"));
  expect((await client.response()).body).toBe("plain");
  expect(origin.received[0]).not.toMatch(/upgrade|http2|AAMA/i);
});

test("a tunnel survives reloads, and its route leaving the configuration", async () => {
  const { client, server, weir, origin } = await openTunnel();
  const other = await stage.origin((connection) => connection.write(response("other")));
  expect(await weir.reload(proxyTo(origin.address, { route: "timeouts: { idle: 2s }" }))).toBe(true);
  expect(await weir.reload(proxyTo(other.address))).toBe(true);
  await client.send("still there?");
  await eventually(() => behindHead(server) === "still there?");
  server.write("yes");
  await client.until("yes");
});

test("a stopping Weir lets a tunnel go on, cuts it at drainTimeout, and exits with code 0", async () => {
  const { client, server, weir } = await openTunnel(switching(), {
    rest: "server: { workers: 1, drainTimeout: 1s }",
  });
  const begunAtMs = performance.now();
  weir.signal("SIGTERM");
  const isStopping = () => weir.stderr().includes("SIGTERM");
  await eventually(isStopping, 2000, "the signal to be noticed");
  await client.send("x");
  await eventually(() => behindHead(server) === "x", 800, "bytes while draining");
  expect(await weir.exited).toBe(0);
  const tookMs = performance.now() - begunAtMs;
  expect(tookMs).toBeGreaterThan(900);
  expect(tookMs).toBeLessThan(4000);
  await eventually(() => client.isClosed && server.isClosed, 2000, "both sides to be closed");
});
