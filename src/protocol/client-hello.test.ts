import { expect, test } from "bun:test";
import { protocolsIn, readClientHello } from "./client-hello.ts";

const u8 = (value: number) => Buffer.from([value]);
const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u24 = (value: number) => Buffer.from([value >> 16, (value >> 8) & 255, value & 255]);
const behind8 = (bytes: Buffer) => Buffer.concat([u8(bytes.length), bytes]);
const behind16 = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes]);
const extension = (type: number, value: Buffer) => Buffer.concat([u16(type), behind16(value)]);

const serverName = (name: string, type = 0) =>
  extension(0, behind16(Buffer.concat([u8(type), behind16(Buffer.from(name, "latin1"))])));
const protocols = (...names: string[]) =>
  extension(16, behind16(Buffer.concat(names.map((name) => behind8(Buffer.from(name))))));

function hello(extensions: Buffer | undefined, type = 1): Buffer {
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    behind8(Buffer.alloc(32, 8)),
    behind16(Buffer.from([0x13, 0x01, 0x13, 0x02])),
    behind8(u8(0)),
    ...(extensions === undefined ? [] : [behind16(extensions)]),
  ]);
  return Buffer.concat([u8(type), u24(body.length), body]);
}

/** Cuts a message into handshake records of at most `size` bytes. */
function records(message: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    parts.push(Buffer.from([22, 3, 1]), behind16(message.subarray(at, at + size)));
  }
  return Buffer.concat(parts);
}

const USUAL = records(
  hello(
    Buffer.concat([extension(43, behind8(u16(0x0304))), serverName("A.Test."), protocols("h2", "http/1.1")]),
  ),
);
const FOUND = { serverName: "a.test", protocols: ["h2", "http/1.1"] };

test("server name, in lower case and without a last dot, and protocols are found (RFC 6066 §3, RFC 7301 §3.1)", () => {
  expect(readClientHello(USUAL)).toEqual(FOUND);
});

test("every beginning of a hello wants more, and the whole with more behind it is the same", () => {
  for (let end = 0; end < USUAL.length; end++) {
    expect({ end, read: readClientHello(USUAL.subarray(0, end)) }).toEqual({ end, read: "more" });
  }
  expect(readClientHello(Buffer.concat([USUAL, Buffer.from("early data")]))).toEqual(FOUND);
});

test("a hello may be cut into any number of records (RFC 8446 §5.1)", () => {
  const message = hello(Buffer.concat([serverName("a.test"), protocols("h2", "http/1.1")]));
  for (const size of [1, 3, 4, 5, 64, message.length - 1]) {
    const bytes = records(message, size);
    if (bytes.length <= 400 * 6) expect(readClientHello(bytes)).toEqual(FOUND);
  }
});

const EMPTY = { serverName: "", protocols: [] };
const ROWS: readonly [why: string, bytes: Buffer, read: unknown][] = [
  ["without extensions it names nothing", records(hello(undefined)), EMPTY],
  ["with none in the list as well", records(hello(Buffer.alloc(0))), EMPTY],
  ["a name of another type is none", records(hello(serverName("a.test", 1))), EMPTY],
  ["another handshake message is no hello", records(hello(undefined, 2)), undefined],
  ["HTTP is not", Buffer.from("GET / HTTP/1.1\r\n\r\n"), undefined],
  ["an alert is not", Buffer.from([21, 3, 3, 0, 2, 2, 40]), undefined],
  ["SSL 2 is not", Buffer.from([0x80, 0x2e, 1, 3, 1]), undefined],
  ["an empty record is not", Buffer.from([22, 3, 1, 0, 0]), undefined],
  ["one that says it is larger than 16 KiB is refused", records(Buffer.from([1, 1, 0, 0])), undefined],
  ["extensions cut short are refused", records(hello(serverName("a.test").subarray(0, 12))), undefined],
];
for (const [why, bytes, read] of ROWS) test(why, () => expect(readClientHello(bytes)).toEqual(read as never));

test("what never becomes a hello is refused at a bound, not kept", () => {
  const endless = records(Buffer.concat([Buffer.from([1, 0, 0x3f, 0xff]), Buffer.alloc(20_000)]), 1);
  let end = 0;
  while (readClientHello(endless.subarray(0, end)) === "more") end += 100;
  expect(end).toBeLessThan(17_000);
});

test("no bytes make it throw, however a hello is damaged", () => {
  let seed = 1;
  const chance = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 5000; round++) {
    const bytes = Buffer.from(USUAL);
    for (let count = chance(6); count >= 0; count--) bytes[chance(bytes.length)] = chance(256);
    readClientHello(bytes.subarray(0, chance(bytes.length + 1)));
  }
});

test("a list of protocols that is cut short names none", () => {
  expect(protocolsIn(Buffer.from("\x02h2\x08http/1.1", "latin1"))).toEqual(["h2", "http/1.1"]);
  expect(protocolsIn(Buffer.from("\x02h2\x08http", "latin1"))).toEqual([]);
});

test("a hello that a TLS library sends is read", async () => {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_, bytes) => resolve(bytes) },
  });
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    tls: { serverName: "real.test", ALPNProtocols: "\x02h2" },
    socket: { data() {} },
  });
  expect(readClientHello(await promise)).toMatchObject({ serverName: "real.test" });
  client.terminate();
  listener.stop(true);
});
