/** PROXY protocol headers, read and written. Section numbers are those of the specification. */
import { expect, test } from "bun:test";
import { readProxyHeader, writeProxyHeader } from "./proxy-line.ts";

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const bytes = (text: string) => Buffer.from(text, "latin1");
const read = (text: string) => readProxyHeader(bytes(text));

function v2(command: number, family: number, addresses: readonly number[], extra = 0): string {
  const length = addresses.length + extra;
  const tail = String.fromCharCode(0x20 | command, family, length >> 8, length & 255, ...addresses);
  return SIGNATURE + tail + "x".repeat(extra);
}

const PORTS = [0x1f, 0x90, 0x01, 0xbb];
const V4 = [192, 0, 2, 7, 198, 51, 100, 1, ...PORTS];
const ip6 = (...words: number[]) => words.flatMap((word) => [word >> 8, word & 255]);

/** A source of 16 bytes as it is reported. */
function sourceOf(...words: number[]): string | undefined {
  const header = read(v2(1, 0x21, [...ip6(...words), ...ip6(0, 0, 0, 0, 0, 0, 0, 1), ...PORTS]));
  return typeof header === "object" ? header.source?.ip : undefined;
}

for (const [words, text] of [
  [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], "2001:db8::7"],
  [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], "2001:db8::1:0:0:1"],
  [[0, 0, 1, 1, 0, 0, 1, 1], "::1:1:0:0:1:1"],
  [[0x2001, 0, 0, 1, 0, 0, 0, 1], "2001:0:0:1::1"],
  [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], "2001:db8:0:1:1:1:1:1"],
  [[0, 0, 0, 0, 0, 0, 0, 0], "::"],
  [[0, 0, 0, 0, 0, 0, 0, 1], "::1"],
  [[0xfe80, 0, 0, 0, 0, 0, 0, 0], "fe80::"],
  [[0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80], "10:20:30:40:50:60:70:80"],
  [[0, 0, 0, 0, 0, 0xffff, 0xc000, 0x207], "192.0.2.7"],
] as const) {
  test(`an IPv6 source is spelt ${text} (RFC 5952 §4)`, () => {
    expect(sourceOf(...words)).toBe(text);
  });
}

test("a v1 source is spelt like a v2 one", () => {
  const line = "PROXY TCP6 2001:DB8:0:0::0007 ::1 8080 443\r\n";
  expect(read(line)).toEqual({
    source: { ip: "2001:db8::7", port: 8080 },
    destinationPort: 443,
    bytes: line.length,
  });
});

const WHOLE: readonly (readonly [name: string, text: string, ip: string | undefined])[] = [
  ["v1 TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\r\n", "192.0.2.7"],
  ["v1 TCP6", "PROXY TCP6 2001:db8::7 ::1 8080 443\r\n", "2001:db8::7"],
  ["v1 UNKNOWN", "PROXY UNKNOWN\r\n", undefined],
  ["v1 of 107 bytes", `PROXY UNKNOWN ${"a".repeat(91)}\r\n`, undefined],
  ["v2 over IPv4", v2(1, 0x11, V4), "192.0.2.7"],
  ["v2 with extensions", v2(1, 0x11, V4, 300), "192.0.2.7"],
  ["v2 with the most extensions", v2(1, 0x11, V4, 2048 - 12), "192.0.2.7"],
  ["v2 LOCAL", v2(0, 0, []), undefined],
  ["v2 over UDP names no stream's client", v2(1, 0x12, V4), undefined],
];

for (const [name, text, ip] of WHOLE) {
  test(`${name}: every beginning asks for more, the whole tells its length, and what follows changes nothing`, () => {
    for (let end = 0; end < text.length; end++) expect(read(text.slice(0, end))).toBe("more");
    for (const rest of ["", "G", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n"]) {
      const header = read(text + rest);
      if (typeof header !== "object") throw new Error(`not read: ${header}`);
      expect([header.bytes, header.source?.ip]).toEqual([text.length, ip]);
    }
  });
}

for (const [name, text] of [
  ["another protocol", "GET / HTTP/1.1\r\n\r\n"],
  ["lower case", "proxy TCP4"],
  ["a bare LF", "PROXY TCP4 192.0.2.7 198.51.100.1 8080 443\n\r\n"],
  ["a space at the end", "PROXY TCP4 192.0.2.7 198.51.100.1 8080 443 \r\n"],
  ["two spaces", "PROXY TCP4  192.0.2.7 198.51.100.1 8080 443\r\n"],
  ["a port of six digits", "PROXY TCP4 192.0.2.7 198.51.100.1 108080 443\r\n"],
  ["a port past 65535", "PROXY TCP4 192.0.2.7 198.51.100.1 8080 65536\r\n"],
  ["no address", "PROXY TCP4 a b 8080 443\r\n"],
  ["IPv6 said to be IPv4", "PROXY TCP4 ::1 ::1 8080 443\r\n"],
  ["a mapped address said to be IPv4", "PROXY TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.4 8080 443\r\n"],
  ["IPv4 said to be IPv6", "PROXY TCP6 192.0.2.7 192.0.2.7 8080 443\r\n"],
  ["108 bytes (§2.1)", `PROXY UNKNOWN ${"a".repeat(92)}\r\n`],
  ["107 bytes without an end (§2.1)", `PROXY UNKNOWN ${"a".repeat(93)}`],
  ["an unknown word", "PROXY TCP5 192.0.2.7 192.0.2.7 8080 443\r\n"],
  ["version 1 in binary (§2.2)", `${SIGNATURE}\x11\x11\x00\x0c${"\0".repeat(12)}`],
  ["command 2 (§2.2)", v2(2, 0x11, V4)],
  ["addresses too short", v2(1, 0x11, V4.slice(0, 11))],
  ["IPv6 addresses too short", v2(1, 0x21, V4)],
  ["more extensions than are read", v2(1, 0x11, V4, 2049 - 12)],
] as const) {
  test(`refused: ${name}`, () => {
    expect(read(text)).toBeUndefined();
  });
}

test("what is written is read back, in both versions and families", () => {
  for (const version of ["v1", "v2"] as const) {
    for (const [sourceIp, destinationIp] of [
      ["192.0.2.7", "198.51.100.1"],
      ["2001:db8::7", "::1"],
    ] as const) {
      const written = writeProxyHeader(version, {
        sourceIp,
        sourcePort: 65535,
        destinationIp,
        destinationPort: 1,
      });
      expect(readProxyHeader(written)).toEqual({
        source: { ip: sourceIp, port: 65535 },
        destinationPort: 1,
        bytes: written.length,
      });
    }
  }
});

test("addresses that are unknown or of two kinds are not made up", () => {
  for (const [sourceIp, destinationIp] of [
    ["unix", "127.0.0.1"],
    ["::1", "127.0.0.1"],
    ["127.0.0.1", ""],
  ] as const) {
    const connection = { sourceIp, sourcePort: 1, destinationIp, destinationPort: 2 };
    expect(writeProxyHeader("v1", connection).toString("latin1")).toBe("PROXY UNKNOWN\r\n");
    expect(writeProxyHeader("v2", connection).toString("latin1")).toBe(v2(0, 0, []));
  }
});

test("a mapped address is written as the IPv4 address it is", () => {
  const connection = {
    sourceIp: "::ffff:192.0.2.7",
    sourcePort: 1,
    destinationIp: "127.0.0.1",
    destinationPort: 2,
  };
  expect(writeProxyHeader("v1", connection).toString("latin1")).toBe(
    "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n",
  );
});
