/** The chunked coding (RFC 9112 §7.1), one decoder at a time. */
import { expect, test } from "bun:test";
import { ChunkedDecoder } from "./chunked.ts";

interface Decoded {
  readonly data: string;
  /** What was not read. */
  readonly rest: string;
  readonly state: "last" | "broken" | "open";
  readonly detail: string;
}

function decode(text: string): Decoded {
  const decoder = new ChunkedDecoder();
  const bytes = Buffer.from(`..${text}`, "latin1");
  decoder.decode(bytes, 2, bytes.length);
  const state = decoder.isLast ? "last" : decoder.isBroken ? "broken" : "open";
  return {
    data: bytes.toString("latin1", 2, decoder.dataEnd),
    rest: `..${text}`.slice(decoder.position),
    state,
    detail: decoder.detail,
  };
}

for (const [name, text, data, rest] of [
  ["nothing but the last chunk", "0\r\n\r\n", "", "\r\n"],
  ["one chunk", "5\r\nhello\r\n0\r\n", "hello", ""],
  ["several chunks in one piece", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET", "hello", "\r\nGET"],
  [
    "hexadecimal in both cases",
    `1a\r\n${"x".repeat(26)}\r\nB\r\n${"y".repeat(11)}\r\n0\r\n`,
    "x".repeat(26) + "y".repeat(11),
    "",
  ],
  ["13 digits", "0000000000005\r\nhello\r\n0000000000000\r\n", "hello", ""],
  ["CRLF and digits as data", "4\r\n\r\n0\r\r\n0\r\n", "\r\n0\r", ""],
  ["extensions", '5;a\r\nhello\r\n0;b=c;d="e;\\" \xe9"\r\n', "hello", ""],
  ["an extension of 256 bytes", `5;${"a".repeat(255)}\r\nhello\r\n0\r\n`, "hello", ""],
] as const) {
  test(`${name}: the data stands in one piece, what follows is untouched`, () => {
    expect(decode(text)).toEqual({ data, rest, state: "last", detail: "" });
  });
}

for (const [text, data, detail] of [
  ["\r\n", "", "chunk size is not hexadecimal"],
  ["g\r\n", "", "chunk size is not hexadecimal"],
  [" 5\r\n", "", "chunk size is not hexadecimal"],
  ["-5\r\n", "", "chunk size is not hexadecimal"],
  [";a\r\n", "", "chunk size is not hexadecimal"],
  ["5 \r\n", "", "unexpected byte after a chunk size"],
  ["5x\r\n", "", "unexpected byte after a chunk size"],
  ["5\n", "", "unexpected byte after a chunk size"],
  ["5\rX", "", "no LF after a chunk size"],
  ["5\r\r", "", "no LF after a chunk size"],
  ["00000000000005", "", "chunk size too long"],
  ["5;\r\n", "", "malformed chunk extension"],
  ["5;a=\r\n", "", "malformed chunk extension"],
  ["5;a =b\r\n", "", "malformed chunk extension"],
  ['5;a="b\r\n', "", "malformed chunk extension"],
  ['5;a="b"c\r\n', "", "malformed chunk extension"],
  ["5;a\x01\r\n", "", "malformed chunk extension"],
  ["5;a\n", "", "bare LF in a chunk extension"],
  [`5;${"a".repeat(256)}`, "", "chunk extension too long"],
  ["5\r\nhello!", "hello", "chunk data longer than its size"],
  ["5\r\nhello\n", "hello", "chunk data longer than its size"],
  ["5\r\nhello\rX", "hello", "no LF after chunk data"],
  ["5\r\nhello\r\n5\r\nworld0", "helloworld", "chunk data longer than its size"],
] as const) {
  test(`${JSON.stringify(text.slice(0, 30))} is broken: ${detail}; the data before it is kept`, () => {
    expect(decode(text)).toMatchObject({ data, state: "broken", detail });
  });
}

for (const text of [
  "",
  "5",
  "5;a",
  "5\r",
  "5\r\n",
  "5\r\nhel",
  "5\r\nhello",
  "5\r\nhello\r",
  "5\r\nhello\r\n",
  "0",
  "0\r",
]) {
  test(`${JSON.stringify(text)} asks for more`, () => {
    expect(decode(text)).toMatchObject({ rest: "", state: "open" });
  });
}

test("the largest size is taken and counted down exactly", () => {
  const decoder = new ChunkedDecoder();
  decoder.decode(Buffer.from("fffffffffffff\r\n"), 0, 15);
  expect([decoder.isBroken, decoder.isLast, decoder.dataEnd]).toEqual([false, false, 0]);
  decoder.decode(Buffer.from("abc"), 0, 3);
  expect([decoder.dataEnd, decoder.position]).toEqual([3, 3]);
});

test("after the last chunk and after a broken byte nothing more is read", () => {
  for (const text of ["0\r\n", "g"]) {
    const decoder = new ChunkedDecoder();
    decoder.decode(Buffer.from(text), 0, text.length);
    decoder.decode(Buffer.from("5\r\nhello"), 0, 8);
    expect([decoder.position, decoder.dataEnd]).toEqual([0, 0]);
  }
});
