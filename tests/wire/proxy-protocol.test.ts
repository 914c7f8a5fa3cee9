/**
 * PROXY protocol on the wire: believed from named peers only, in any cut, and written when asked.
 *
 * spec   https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Origin, type OriginConnection, perRequest, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, fieldLines, get, startEcho } from "./ask.ts";

let weir: Weir;
let echo: Origin;
let v1: Origin;
let v2: Origin;

/** Moves past the PROXY header, then answers requests as usual. */
function afterHeader(length: (text: string) => number): (connection: OriginConnection) => void {
  const serve = perRequest((request) => response(request.raw));
  return (connection) => {
    if (connection.consumed === 0) {
      const bytes = length(connection.received);
      if (bytes === 0) return;
      connection.consumed = bytes;
    }
    serve(connection);
  };
}

const v2Length = (text: string) =>
  text.length < 16 ? 0 : 16 + (text.charCodeAt(14) << 8) + text.charCodeAt(15);

beforeAll(async () => {
  echo = await startEcho();
  v1 = await Origin.start(afterHeader((text) => text.indexOf("\r\n") + 2));
  v2 = await Origin.start(afterHeader(v2Length));
  weir = await startWeir(`
listeners:
  named: { bind: "127.0.0.1:0", proxyProtocol: { from: [127.0.0.0/8] }, timeouts: { head: 1s, handshake: 1s } }
  unnamed: { bind: "127.0.0.1:0", proxyProtocol: { from: [10.0.0.0/8] } }
  local: { bind: "unix:in.sock" }
  chained: { bind: "127.0.0.1:0", proxyProtocol: { from: [127.0.0.1] }, trustedProxies: [192.0.2.0/24] }
routes:
  - { to: echo }
  - { match: { path: /v1 }, to: v1 }
  - { match: { path: /v2 }, to: v2 }
upstreams:
  echo: [ "${echo.address}" ]
  v1: { endpoints: [ "${v1.address}" ], proxyProtocol: v1, pool: { idle: 0 } }
  v2: { endpoints: [ "${v2.address}" ], proxyProtocol: v2, pool: { idle: 0 } }
`);
});

afterAll(async () => {
  for (const thing of [weir, echo, v1, v2]) await thing?.stop();
});

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const V1 = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V1_IPV6 = "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";

function v2Header(command: number, family: number, addresses: readonly number[], extra = ""): string {
  const length = addresses.length + extra.length;
  const head = String.fromCharCode(0x20 | command, family, length >> 8, length & 255);
  return SIGNATURE + head + String.fromCharCode(...addresses) + extra;
}

const PORTS = [0xdc, 0x04, 0x01, 0xbb];
const V4 = [192, 0, 2, 7, 198, 51, 100, 1, ...PORTS];
const V6_SOURCE = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const V6 = [...V6_SOURCE, ...V6_SOURCE.slice(0, 15), 1, ...PORTS];
const MAPPED = [...new Array<number>(10).fill(0), 255, 255, 192, 0, 2, 7];

/** The client's address and port as the endpoint is told. */
async function told(
  bytes: string,
  cuts: readonly number[] | "every" = [],
  listener = "named",
): Promise<(string | undefined)[]> {
  const client = await RawClient.connect(weir.port(listener));
  try {
    await client.send(bytes + get("/"), cuts);
    const lines = fieldLines((await client.response()).body);
    const value = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return [value("X-Forwarded-For"), value("X-Forwarded-Port")];
  } finally {
    client.close();
  }
}

const ACCEPTED: readonly (readonly [name: string, bytes: string, ip: string, port: string | undefined])[] = [
  ["v1 over IPv4", V1, "192.0.2.7", "443"],
  ["v1 over IPv6", V1_IPV6, "2001:db8::7", "443"],
  ["v1 UNKNOWN keeps the peer's address (§2.1)", "PROXY UNKNOWN\r\n", "127.0.0.1", undefined],
  ["v1 UNKNOWN with more words keeps it too", "PROXY UNKNOWN ffff:: ffff:: 1 2\r\n", "127.0.0.1", undefined],
  ["v2 over IPv4", v2Header(1, 0x11, V4), "192.0.2.7", "443"],
  ["v2 over IPv6", v2Header(1, 0x21, V6), "2001:db8::7", "443"],
  [
    "v2 with an IPv4 address in IPv6 clothes",
    v2Header(1, 0x21, [...MAPPED, ...MAPPED, ...PORTS]),
    "192.0.2.7",
    "443",
  ],
  ["v2 LOCAL keeps the peer's address (§2.2)", v2Header(0, 0, []), "127.0.0.1", undefined],
  ["v2 LOCAL with addresses ignores them", v2Header(0, 0x11, V4), "127.0.0.1", undefined],
  ["v2 of an unknown family keeps the peer's address", v2Header(1, 0x00, []), "127.0.0.1", undefined],
  [
    "v2 of a unix socket keeps the peer's address",
    v2Header(1, 0x31, new Array<number>(216).fill(0)),
    "127.0.0.1",
    undefined,
  ],
  ["v2 with extensions skips them", v2Header(1, 0x11, V4, "\x04\x00\x03abc"), "192.0.2.7", "443"],
];

for (const [name, bytes, ip, port] of ACCEPTED) {
  test(`${name} is read, whole or byte by byte`, async () => {
    const expected: [string, string] = [ip, port ?? String(weir.port("named"))];
    expect(await told(bytes)).toEqual(expected);
    const cuts = Array.from({ length: bytes.length + 1 }, (_, at) => at);
    expect(await told(bytes, bytes.length < 60 ? cuts : [1, 12, 13, 15, 16, 17, bytes.length])).toEqual(
      expected,
    );
  });
}

const REFUSED: readonly (readonly [name: string, bytes: string])[] = [
  ["no header at all", get("/")],
  ["v1 in lower case", `proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n${get("/")}`],
  ["v1 with a bare LF", `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n${get("/")}`],
  ["v1 with two spaces", `PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n${get("/")}`],
  ["v1 with a word too many", `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n${get("/")}`],
  ["v1 with a word too few", `PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n${get("/")}`],
  ["v1 with a port past 65535", `PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n${get("/")}`],
  ["v1 with an address that is none", `PROXY TCP4 192.0.2.777 198.51.100.1 56324 443\r\n${get("/")}`],
  ["v1 with IPv6 for IPv4", `PROXY TCP4 ::1 ::1 56324 443\r\n${get("/")}`],
  ["v1 with IPv4 for IPv6", `PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n${get("/")}`],
  ["v1 of an unknown family", `PROXY UDP4 192.0.2.7 198.51.100.1 56324 443\r\n${get("/")}`],
  ["v1 longer than 107 bytes (§2.1)", `PROXY UNKNOWN ${"a".repeat(100)}\r\n${get("/")}`],
  ["v2 of another version", `${v2Header(1, 0x11, V4).replace("!", "1")}${get("/")}`],
  ["v2 of an unknown command", `${v2Header(2, 0x11, V4)}${get("/")}`],
  ["v2 too short for its family", `${v2Header(1, 0x11, V4.slice(0, 8))}${get("/")}`],
  ["v2 with 60 KiB of extensions", `${v2Header(1, 0x11, V4, "a".repeat(60_000))}`],
  ["v2 with a broken signature", `${SIGNATURE.slice(0, 11)}X${get("/")}`],
];

for (const [name, bytes] of REFUSED) {
  test(`${name} from a named peer ends the connection without an answer`, async () => {
    const before = echo.requests;
    const client = await RawClient.connect(weir.port("named"));
    await client.send(bytes);
    expect(await client.untilClose()).toBe("");
    expect(echo.requests).toBe(before);
    client.close();
  });
}

test("a header that does not come in time ends the connection", async () => {
  const client = await RawClient.connect(weir.port("named"));
  await client.send("PROXY TCP4 192.0.2.7");
  expect(await client.untilClose(8000)).toBe("");
  client.close();
});

test("from a peer that is not named a header is a broken request, and a plain request passes", async () => {
  const refusal = await ask(weir.port("unnamed"), V1 + get("/"));
  expect([refusal.status, refusal.field("connection")]).toEqual([400, "close"]);
  expect(await told("", [], "unnamed")).toEqual(["127.0.0.1", String(weir.port("unnamed"))]);
});

test("a second header is a broken request", async () => {
  expect((await ask(weir.port("named"), V1 + V1 + get("/"))).status).toBe(400);
});

test("trust goes by the address in the header, not by the peer's", async () => {
  const forwarded = "X-Forwarded-For: 203.0.113.9";
  const trusted = await ask(weir.port("chained"), V1 + get("/", forwarded));
  expect(trusted.body).toContain("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n");
  const other = V1.replace("192.0.2.7", "203.0.113.5");
  const untrusted = await ask(weir.port("chained"), other + get("/", forwarded));
  expect(untrusted.body).toContain("X-Forwarded-For: 203.0.113.5\r\n");
});

test("v1 is written before the first request of a connection", async () => {
  const client = await RawClient.connect(weir.port("unnamed"));
  await client.send(get("/v1"));
  expect((await client.response()).body).toStartWith("GET /v1 ");
  expect(v1.received.at(-1)).toStartWith(`PROXY TCP4 127.0.0.1 127.0.0.1 ${client.port} `);
  client.close();
});

test("v1 names the client that a header named", async () => {
  await ask(weir.port("named"), V1 + get("/v1"));
  expect(v1.received.at(-1)).toMatch(/^PROXY TCP4 192\.0\.2\.7 \S+ 56324 \d+\r\nGET /);
  await ask(weir.port("named"), v2Header(1, 0x21, [...MAPPED, ...MAPPED, ...PORTS]) + get("/v1"));
  expect(v1.received.at(-1)).toMatch(/^PROXY TCP4 192\.0\.2\.7 \S+ 56324 \d+\r\nGET /);
});

test("v1 names an IPv6 client as TCP6 (§2.1)", async () => {
  await ask(weir.port("named"), V1_IPV6 + get("/v1"));
  expect(v1.received.at(-1)).toMatch(/^PROXY TCP6 2001:db8::7 \S+ 56324 443\r\nGET /);
});

test("v1 says UNKNOWN for a connection that no client made (§2.1)", async () => {
  await ask({ unix: `${weir.folder}/in.sock` }, get("/v1"));
  expect(v1.received.at(-1)).toMatch(/^PROXY UNKNOWN\r\nGET /);
});

test("v2 is written before the first request of a connection", async () => {
  await ask(weir.port("named"), V1 + get("/v2"));
  const bytes = v2.received.at(-1) ?? "";
  expect(bytes).toStartWith(`${SIGNATURE}\x21\x11\x00\x0c\xc0\x00\x02\x07`);
  expect(bytes.slice(20, 24)).toBe("\x7f\x00\x00\x01"); // where the client connected to
  expect(bytes.slice(24, 26)).toBe("\xdc\x04");
  expect(bytes.slice(28)).toStartWith("GET /v2 ");
});

test("v2 names an IPv6 client with 16 bytes (§2.2)", async () => {
  await ask(weir.port("named"), V1_IPV6 + get("/v2"));
  const bytes = v2.received.at(-1) ?? "";
  expect(bytes).toStartWith(`${SIGNATURE}\x21\x21\x00\x24${String.fromCharCode(...V6_SOURCE)}`);
  expect(bytes.slice(52)).toStartWith("GET /v2 ");
});

test("v2 says LOCAL for a connection that no client made (§2.2)", async () => {
  await ask({ unix: `${weir.folder}/in.sock` }, get("/v2"));
  expect(v2.received.at(-1)).toStartWith(`${SIGNATURE}\x20\x00\x00\x00GET `);
});
