/** Encoder: what is worth a place in the table, what may never have one, and what it says of the table's size. */
import { expect, test } from "bun:test";
import { fieldsOfLines } from "../../core/fields.ts";
import { Out } from "../../core/out.ts";
import { DECODED_END, DECODED_FAILED, HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import { CODE_AUTHORITY, CODE_METHOD, CODE_PATH, CODE_SCHEME, CODE_STATUS } from "./known-names.ts";
import { STATIC_COUNT } from "./static-table.ts";

/** The block of these lines, in hex. */
function encode(encoder: HpackEncoder, ...lines: readonly string[]): string {
  const out = new Out();
  const fields = fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));
  encoder.start(out);
  for (let index = 0; index < fields.count; index++) encoder.field(out, fields, index);
  return out.bytes.toString("hex", 0, out.length);
}

function decode(decoder: HpackDecoder, hex: string): string[] {
  const block = Buffer.from(hex, "hex");
  const fields: string[] = [];
  expect(decoder.start(block, 0, block.length)).toBe("");
  for (let decoded = decoder.next(); decoded !== DECODED_END; decoded = decoder.next()) {
    if (decoded === DECODED_FAILED) throw new Error(decoder.failure);
    const { bytes, lineStart, nameLength, valueLength } = decoder;
    fields.push(bytes.latin1Slice(lineStart, lineStart + nameLength + 2 + valueLength));
  }
  return fields;
}

const newDecoder = () => new HpackDecoder(new Int32Array(STATIC_COUNT + 1));

for (const [line, isKept] of [
  ["Server: nginx", true],
  ["X-Powered-By: something", true],
  ["Accept-Ranges: bytes", true],
  ["Date: Mon, 21 Oct 2013 20:13:21 GMT", true],
  ["Cookie: session=0123456789abcdef", true],
  ['ETag: "0123456789"', false],
  ["Location: /elsewhere", false],
  ["Authorization: Basic dTpw", false],
  ["Cookie: a=b", false],
  ["Set-Cookie: session=0123456789abcdef", false],
  ["X-Api-Key: 0123456789abcdef", false],
] as const) {
  test(`${line}: said a second time it ${isKept ? "is one byte" : "is said again"}`, () => {
    const encoder = new HpackEncoder();
    const first = encode(encoder, line);
    const second = encode(encoder, line);
    if (isKept) expect(second).toBe("be");
    else expect(second).toBe(first);
    const decoder = newDecoder();
    const lower = line.replace(/^[^:]*/, (name) => name.toLowerCase());
    expect([decode(decoder, first), decode(decoder, second)]).toEqual([[lower], [lower]]);
  });
}

for (const line of [
  "authorization: Basic dTpw",
  "proxy-authorization: Basic dTpw",
  "set-cookie: a=b",
  "cookie: a=b",
  "X-Auth-Token: 1234",
]) {
  test(`${line} is a literal that is never indexed (RFC 7541 §7.1.3)`, () => {
    expect(encode(new HpackEncoder(), line)[0]).toBe("1");
  });
}

test("a name whose values change every time gives them no more places, but for a trial now and then", () => {
  const encoder = new HpackEncoder();
  const kept: number[] = [];
  for (let value = 0; value < 200; value++) {
    const first = Number.parseInt(encode(encoder, `Content-Length: ${value}`).slice(0, 2), 16);
    if ((first & 0xc0) === 0x40) kept.push(value);
  }
  expect(kept).toEqual([0, 1, 2, 65, 128, 191]);
});

test("a value that comes again makes its name worth remembering again", () => {
  const encoder = new HpackEncoder();
  const decoder = newDecoder();
  for (let round = 0; round < 50; round++) {
    const lines = [`x-round: ${round}`, "x-same: always"];
    expect(decode(decoder, encode(encoder, ...lines))).toEqual(lines);
  }
  expect(encode(encoder, "x-same: always").length).toBe(2);
});

test("a name of changing values is sent as text once only", () => {
  const encoder = new HpackEncoder();
  expect(encode(encoder, "X-Request-Id: 1")).toContain("40");
  expect(encode(encoder, "X-Request-Id: 2")).toBe("0f2f0132");
});

test("spellings of a name are one name; different names of one length are not", () => {
  const encoder = new HpackEncoder();
  encode(encoder, "x-one: 1");
  expect([encode(encoder, "X-ONE: 1"), encode(encoder, "X-oNe: 1")]).toEqual(["be", "be"]);
  const decoder = newDecoder();
  const both = new HpackEncoder();
  const lines = ["x-forwarded_for: a", "x_forwarded_for: a", "x-forwarded-for: a", "x_forwarded-for: a"];
  expect(decode(decoder, encode(both, ...lines, ...lines))).toEqual([...lines, ...lines]);
});

test("a large entry is not worth the ones that it would push out", () => {
  const encoder = new HpackEncoder();
  encode(encoder, "x-small: 1");
  const large = `x-large: ${"a".repeat(3000)}`;
  expect(encode(encoder, large)).toBe(encode(encoder, large));
  expect(encode(encoder, "x-small: 1")).toBe("be");
});

test("pseudo-header fields of the static table are one byte (RFC 7541 Appendix A)", () => {
  const encoder = new HpackEncoder();
  const out = new Out();
  for (const [code, value] of [
    [CODE_METHOD, "GET"],
    [CODE_METHOD, "POST"],
    [CODE_PATH, "/"],
    [CODE_SCHEME, "https"],
    [CODE_STATUS, "200"],
    [CODE_STATUS, "500"],
  ] as const) {
    encoder.text(out, code, value);
  }
  expect(out.bytes.toString("hex", 0, out.length)).toBe("82838487888e");
  out.reset();
  encoder.text(out, CODE_AUTHORITY, "www.example.com");
  expect(out.bytes.toString("hex", 0, out.length)).toBe("418cf1e3c2e5f23a6ba0ab90f4ff");
});

test("whole numbers are written in digits", () => {
  const encoder = new HpackEncoder();
  const decoder = newDecoder();
  for (const number of [0, 9, 10, 99, 100, 4096, 2 ** 31, 2 ** 32 + 1, 2 ** 40, 999999999999999]) {
    const out = new Out();
    encoder.number(out, 7, number);
    expect(decode(decoder, out.bytes.toString("hex", 0, out.length))).toEqual([`content-length: ${number}`]);
  }
});

for (const [what, sizes, update] of [
  ["what both begin with is not said", [4096], ""],
  ["a larger table than ours is not said", [65536], ""],
  ["a smaller one is said at the next block", [1000], "3fc907"],
  ["no table at all is said", [0], "20"],
  ["lower and back is said with the lowest (§4.2)", [0, 4096], "203fe11f"],
  ["of several the lowest and the last are said", [2000, 100, 500], "3f453fd503"],
] as const) {
  test(`table size: ${what}`, () => {
    const encoder = new HpackEncoder();
    const decoder = newDecoder();
    decode(decoder, encode(encoder, "x-a: 1", "x-b: 2"));
    for (const size of sizes) encoder.setTableBytes(size);
    const first = encode(encoder, "x-b: 2");
    expect(first.startsWith(update)).toBe(true);
    if (update === "") expect(first).toBe("be");
    const second = encode(encoder, "x-b: 2");
    expect([decode(decoder, first), decode(decoder, second)]).toEqual([["x-b: 2"], ["x-b: 2"]]);
  });
}
