import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import {
  effectOfHead,
  freshenLines,
  type HeadEffect,
  kindOfFreshening,
  linesWithoutNames,
} from "./freshen.ts";

const LM = "Last-Modified: Sun, 01 Jun 2025 12:00:00 GMT\r\n";
const LATER = "Last-Modified: Sun, 01 Jun 2025 12:00:01 GMT\r\n";

const kinds: [rule: string, stored: string, update: string, kind: ReturnType<typeof kindOfFreshening>][] = [
  ["the same strong tag", 'ETag: "a"\r\n', 'ETag: "a"\r\n', "update"],
  ["another strong tag", 'ETag: "a"\r\n', 'ETag: "b"\r\n', "confirm"],
  ["a strong tag, and the stored one is weak", 'ETag: W/"a"\r\n', 'ETag: "a"\r\n', "confirm"],
  ["a strong tag where none is stored", LM, `ETag: "a"\r\n${LM}`, "confirm"],
  ["the same weak tag", 'ETag: W/"a"\r\n', 'ETag: W/"a"\r\n', "update"],
  ["the same tag, weakened", 'ETag: "a"\r\n', 'ETag: W/"a"\r\n', "update"],
  ["another weak tag", 'ETag: W/"a"\r\n', 'ETag: W/"b"\r\n', "confirm"],
  ["a weak tag where none is stored", LM, `ETag: W/"a"\r\n${LM}`, "update"],
  ["the same date", LM, LM, "update"],
  ["another date", LM, LATER, "confirm"],
  ["the same tag goes before another date", `ETag: "a"\r\n${LM}`, `ETag: "a"\r\n${LATER}`, "update"],
  ["no validator: it is about the one we asked about", `ETag: "a"\r\n${LM}`, "Date: x\r\n", "update"],
  ["no validator anywhere", "", "", "update"],
];

describe("is a 304 about the stored response (RFC 9111 §4.3.4)", () => {
  test.each(kinds)("%s", (_rule, stored, update, kind) => {
    expect(kindOfFreshening(fieldsOfLines(stored), fieldsOfLines(update))).toBe(kind);
  });
});

const merged: [rule: string, stored: string, update: string, lines: string][] = [
  ["what it does not say stays", "A: 1\r\n", "B: 2\r\n", "A: 1\r\nB: 2\r\n"],
  ["what it says replaces", "A: 1\r\nB: 1\r\n", "a: 2\r\n", "B: 1\r\na: 2\r\n"],
  ["all lines of a name", "A: 1\r\nA: 2\r\n", "A: 3\r\nA: 4\r\n", "A: 3\r\nA: 4\r\n"],
  ["an empty value, too", "A: 1\r\n", "A: \r\n", "A: \r\n"],
  ["Content-Length stays (§3.2)", "Content-Length: 5\r\n", "Content-Length: 10\r\n", "Content-Length: 5\r\n"],
  [
    "so does Content-Encoding: the stored bytes have it",
    "Content-Encoding: gzip\r\n",
    "Content-Encoding: br\r\n",
    "Content-Encoding: gzip\r\n",
  ],
  [
    "and Content-Range",
    "Content-Range: bytes 0-1/2\r\n",
    "Content-Range: bytes 0-0/2\r\n",
    "Content-Range: bytes 0-1/2\r\n",
  ],
  ["and Content-MD5", "Content-MD5: a\r\n", "Content-MD5: b\r\n", "Content-MD5: a\r\n"],
  ["Content-Type does not", "Content-Type: a/b\r\n", "Content-Type: c/d\r\n", "Content-Type: c/d\r\n"],
  [
    "nor do other names that begin so",
    "Content-Foo: 1\r\n",
    "Content-Foo: 2\r\nContent-Location: /b\r\n",
    "Content-Foo: 2\r\nContent-Location: /b\r\n",
  ],
  ["none of them is added", "A: 1\r\n", "Content-Length: 0\r\nContent-Encoding: br\r\n", "A: 1\r\n"],
  [
    "what is for one connection is not stored (§3.1)",
    "A: 1\r\n",
    "Connection: close\r\nKeep-Alive: x\r\nUpgrade: h2c\r\nTE: x\r\nTransfer-Encoding: chunked\r\nProxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\nTrailer: x\r\n",
    "A: 1\r\n",
  ],
  ["Age is never the stored one's", "Age: 5\r\nA: 1\r\n", "B: 1\r\n", "A: 1\r\nB: 1\r\n"],
  ["Age is the new one's", "Age: 5\r\n", "Age: 1\r\n", "Age: 1\r\n"],
  [
    "Cache-Control and Expires",
    "Cache-Control: max-age=1\r\nExpires: x\r\n",
    "Cache-Control: max-age=9\r\nExpires: y\r\n",
    "Cache-Control: max-age=9\r\nExpires: y\r\n",
  ],
  ["a strong tag is not weakened", 'ETag: "a"\r\n', 'ETag: W/"a"\r\nA: 2\r\n', 'ETag: "a"\r\nA: 2\r\n'],
  ["a weak tag is added", LM, `${LM}ETag: W/"a"\r\n`, `${LM}ETag: W/"a"\r\n`],
  [
    "of another response only the instant is taken",
    'ETag: "a"\r\nA: 1\r\nDate: x\r\nAge: 7\r\nCache-Control: max-age=1\r\n',
    'ETag: "b"\r\nA: 2\r\nDate: y\r\nCache-Control: max-age=9\r\n',
    'ETag: "a"\r\nA: 1\r\nCache-Control: max-age=1\r\nDate: y\r\n',
  ],
];

describe("what is stored after a 304 (RFC 9111 §3.2)", () => {
  test.each(merged)("%s", (_rule, stored, update, lines) => {
    expect(freshenLines(fieldsOfLines(stored), fieldsOfLines(update))).toBe(lines);
  });

  test("fields that were taken out on the way do not come back", () => {
    const update = fieldsOfLines("Connection: a\r\nA: 2\r\nB: 2\r\n");
    update.drop("a");
    expect(freshenLines(fieldsOfLines("A: 1\r\n"), update)).toBe("A: 1\r\nB: 2\r\n");
  });
});

const heads: [rule: string, status: number, update: string, effect: HeadEffect][] = [
  ["the same in all it says", 200, `ETag: "a"\r\n${LM}Content-Length: 10\r\n`, "update"],
  ["it says nothing of it", 200, "A: 1\r\n", "update"],
  ["another tag", 200, 'ETag: "b"\r\n', "stale"],
  ["another date", 200, LATER, "stale"],
  ["another length", 200, "Content-Length: 11\r\n", "stale"],
  ["a length that is none", 200, "Content-Length: x\r\n", "stale"],
  ["another status", 404, 'ETag: "b"\r\n', "nothing"],
  ["a 304", 304, 'ETag: "b"\r\n', "nothing"],
];

describe("what HEAD says of a stored GET (RFC 9111 §4.3.5)", () => {
  test.each(heads)("%s", (_rule, status, update, effect) => {
    const stored = { fields: fieldsOfLines(`ETag: "a"\r\n${LM}`), bodyLength: 10 };
    expect(effectOfHead(status, fieldsOfLines(update), stored)).toBe(effect);
  });
});

test("lines without what is not to be kept", () => {
  const fields = fieldsOfLines("Set-Cookie: a=b\r\nA: 1\r\nset-cookie: c=d\r\nX-B: 2\r\n");
  expect(linesWithoutNames(fields, ["set-cookie", "x-b"])).toBe("A: 1\r\n");
});
