import { describe, expect, test } from "bun:test";
import { normaliseHost } from "./host.ts";

const LABEL = "a".repeat(63);
const LONGEST = `${LABEL}.${LABEL}.${LABEL}.${LABEL}`;

describe("the host of a Host field (RFC 9110 §7.2, RFC 3986 §3.2.2)", () => {
  const rows: [value: string, host: string | undefined][] = [
    ["example.com", "example.com"],
    ["Example.COM", "example.com"],
    ["example.com:8080", "example.com"],
    ["EXAMPLE.com.:8080", "example.com"],
    ["example.com.", "example.com"],
    ["example.com:", "example.com"],
    ["localhost", "localhost"],
    ["a_b-c.x1", "a_b-c.x1"],
    ["127.0.0.1:80", "127.0.0.1"],
    ["[::1]", "[::1]"],
    ["[2001:DB8::1]:443", "[2001:db8::1]"],
    ["[::ffff:192.0.2.1]:", "[::ffff:192.0.2.1]"],
    [LONGEST, LONGEST],
    [`${LONGEST}.`, LONGEST],
    [`${LONGEST}a`, undefined],
    [`${LONGEST}A`, undefined],
    ["", undefined],
    [".", undefined],
    [".a", undefined],
    ["a..b", undefined],
    ["a..", undefined],
    ["A..", undefined],
    [":80", undefined],
    ["a:0", undefined],
    ["a:65535", "a"],
    ["a:65536", undefined],
    ["a:000080", undefined],
    ["a:8o", undefined],
    ["a:80:80", undefined],
    ["a:-1", undefined],
    ["a: 80", undefined],
    ["user@a", undefined],
    ["user:pass@a", undefined],
    ["a/b", undefined],
    ["a\\b", undefined],
    ["a?b", undefined],
    ["a,b", undefined],
    ["a b", undefined],
    ["A b", undefined],
    ["a%2eb", undefined],
    ["*.a", undefined],
    ["ä.example", undefined],
    ["A\u0161", undefined],
    ["[::1", undefined],
    ["[::1]x", undefined],
    ["[::1]:", "[::1]"],
    ["[::1]:x", undefined],
    ["[::1]:0", undefined],
    ["[127.0.0.1]", undefined],
    ["[fe80::1%25eth0]", undefined],
    ["[fe80::1%eth0]", undefined],
    ["[]", undefined],
    ["::1", undefined],
  ];
  test.each(rows)("%s", (value, host) => {
    expect(normaliseHost(value)).toBe(host as string);
  });

  test("what comes out is its own normal form", () => {
    for (const [, host] of rows) if (host !== undefined) expect(normaliseHost(host)).toBe(host);
  });
});
