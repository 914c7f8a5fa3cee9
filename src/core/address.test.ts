/** Addresses and blocks: what is one, what is none, and which addresses a block covers. */
import { expect, test } from "bun:test";
import { CidrSet, formatAddress, parseAddress, parseCidr, parseIp } from "./address.ts";

for (const [text, formatted] of [
  ["127.0.0.1:80", "127.0.0.1:80"],
  ["a.test:65535", "a.test:65535"],
  [":8080", "0.0.0.0:8080"],
  ["[::1]:80", "[::1]:80"],
  ["[fe80::1%2]:0", "[fe80::1%2]:0"],
  ["unix:/run/a.sock", "unix:/run/a.sock"],
  ["unix:a b", "unix:a b"],
] as const) {
  test(`${text} is an address, written ${formatted}`, () => {
    const address = parseAddress(text, "0.0.0.0");
    expect(address === undefined ? undefined : formatAddress(address)).toBe(formatted);
  });
}

for (const text of [
  "",
  "80",
  "a",
  "a:",
  "a:65536",
  "a:123456",
  "a:-1",
  "a:http",
  "::1:80",
  "[::1]",
  "[::1]80",
  "a/b:80",
  "a b:80",
  "unix:",
  "http://a:80",
  "[a]:80x",
]) {
  test(`${JSON.stringify(text)} is no address`, () => {
    expect(parseAddress(text, "0.0.0.0")).toBeUndefined();
  });
}

for (const [text, bytes] of [
  ["0.0.0.0", [0, 0, 0, 0]],
  ["255.255.255.255", [255, 255, 255, 255]],
  ["192.0.2.7", [192, 0, 2, 7]],
  ["::", new Array(16).fill(0)],
  ["::1", [...new Array(15).fill(0), 1]],
  ["1::", [0, 1, ...new Array(14).fill(0)]],
  ["2001:db8::7", [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 7]],
  ["1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
  ["64:ff9b::192.0.2.7", [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7]],
  ["::ffff:192.0.2.7", [192, 0, 2, 7]],
  ["::FFFF:c000:207", [192, 0, 2, 7]],
  ["fe80::1%eth0", [0xfe, 0x80, ...new Array(13).fill(0), 1]],
] as const) {
  test(`${text} is an address of ${bytes.length} bytes`, () => {
    expect([...(parseIp(text) ?? [])]).toEqual([...bytes]);
  });
}

for (const text of [
  "",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "1.2.3.-4",
  "1.2.3.4 ",
  "a.b.c.d",
  ":",
  ":::",
  "1:2",
  "1:2:3:4:5:6:7:8:9",
  "1::2::3",
  "12345::",
  "g::",
  "1.2.3.4::",
  "::1.2.3",
  "[::1]",
  "::1/64",
  "1:2:3:4:5:6:7:8::9",
]) {
  test(`${JSON.stringify(text)} is no IP address`, () => {
    expect(parseIp(text)).toBeUndefined();
  });
}

for (const [block, inside, outside] of [
  ["10.0.0.0/8", "10.255.255.255", "11.0.0.0"],
  ["192.0.2.0/25", "192.0.2.127", "192.0.2.128"],
  ["192.0.2.128/25", "192.0.2.128", "192.0.2.127"],
  ["192.0.2.7", "192.0.2.7", "192.0.2.8"],
  ["192.0.2.7/32", "192.0.2.7", "192.0.2.6"],
  ["0.0.0.0/0", "203.0.113.1", "::1"],
  ["::/0", "2001:db8::1", "203.0.113.1"],
  ["2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"],
  ["::1", "::1", "::2"],
  ["10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"],
] as const) {
  test(`${block} covers ${inside} and not ${outside}`, () => {
    const set = new CidrSet([block]);
    expect([set.has(inside), set.has(outside)]).toEqual([true, false]);
  });
}

for (const text of [
  "",
  "10.0.0.0/33",
  "::/129",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/8x",
  "10.0.0/8",
  "a/8",
  "10.0.0.0/8/8",
]) {
  test(`${JSON.stringify(text)} is no block`, () => {
    expect(parseCidr(text)).toBeUndefined();
  });
}

test("a set covers what any of its blocks covers; an empty one, nothing", () => {
  const set = new CidrSet(["10.0.0.0/8", "::1", "192.0.2.0/24"]);
  expect(["10.1.1.1", "::1", "192.0.2.1", "192.0.3.1", "unix", ""].map((ip) => set.has(ip))).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  expect([set.isEmpty, new CidrSet([]).isEmpty, new CidrSet([]).has("10.0.0.1")]).toEqual([
    false,
    true,
    false,
  ]);
});
