import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { SHAREABLE, type StoredResponse } from "./stored.ts";
import { hasValidator, isNotModified, notModifiedLines, rangeOf, validationLines } from "./validate.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const LONG_AGO = "Sun, 01 Jun 2025 12:00:00 GMT";
const BEFORE = "Sun, 01 Jun 2025 11:59:59 GMT";
const AFTER = "Sun, 01 Jun 2025 12:00:01 GMT";
const LATE = "Wed, 31 Dec 2025 12:00:00 GMT";

function storedOf(lines: string, status = 200, bodyLength = 10): StoredResponse {
  return {
    key: "app\nhttps://example.com/",
    facts: {
      status,
      requestedAtMs: Date.parse(LATE),
      respondedAtMs: Date.parse(LATE),
      initialAgeMs: 0,
      lifetimeMs: 1000,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 0,
      keepMs: 0,
      flags: SHAREABLE,
      mark: 0,
      purgeSlots: new Uint32Array(0),
      firstByte: 0,
      completeLength: -1,
    },
    reason: "OK",
    fields: fieldsOfLines(lines),
    body: Buffer.alloc(bodyLength),
    file: undefined,
    bodyLength,
  };
}

const questions: [rule: string, stored: string, lines: string][] = [
  ["nothing to ask with", "Date: x\r\n", ""],
  ["a strong tag (RFC 9111 §4.3.1)", 'ETag: "a"\r\n', 'If-None-Match: "a"\r\n'],
  ["a weak tag as it is", 'ETag: W/"a"\r\n', 'If-None-Match: W/"a"\r\n'],
  ["a tag without quotes is its origin's affair", "ETag: a\r\n", "If-None-Match: a\r\n"],
  ["two tags are none", 'ETag: "a"\r\nETag: "b"\r\n', ""],
  ["a date", `Last-Modified: ${LONG_AGO}\r\n`, `If-Modified-Since: ${LONG_AGO}\r\n`],
  [
    "a date in the form it has",
    "Last-Modified: Sunday, 01-Jun-25 12:00:00 GMT\r\n",
    "If-Modified-Since: Sunday, 01-Jun-25 12:00:00 GMT\r\n",
  ],
  ["what is no date", "Last-Modified: yesterday\r\n", ""],
  [
    "both",
    `ETag: "a"\r\nLast-Modified: ${LONG_AGO}\r\n`,
    `If-None-Match: "a"\r\nIf-Modified-Since: ${LONG_AGO}\r\n`,
  ],
];

describe("what an endpoint is asked", () => {
  test.each(questions)("%s", (_rule, stored, lines) => {
    expect(validationLines(fieldsOfLines(stored), NOW_MS)).toBe(lines);
    expect(hasValidator(fieldsOfLines(stored), NOW_MS)).toBe(lines !== "");
  });
});

const TAGGED = `ETag: "a"\r\nLast-Modified: ${LONG_AGO}\r\nDate: ${LATE}\r\n`;
const DATED = `Last-Modified: ${LONG_AGO}\r\nDate: ${LATE}\r\n`;
const BARE = `Date: ${LONG_AGO}\r\n`;

const conditions: [rule: string, stored: string, request: string, is304: boolean, status?: number][] = [
  ["no condition", TAGGED, "Accept: a\r\n", false],
  ["the tag (RFC 9111 §4.3.2)", TAGGED, 'If-None-Match: "a"\r\n', true],
  ["the tag, weakly (RFC 9110 §8.8.3.2)", TAGGED, 'If-None-Match: W/"a"\r\n', true],
  ["a weak tag that is stored", 'ETag: W/"a"\r\n', 'If-None-Match: "a"\r\n', true],
  ["one of several, first", TAGGED, 'If-None-Match: "a", "b", "c"\r\n', true],
  ["one of several, last", TAGGED, 'If-None-Match: "c", "b", "a"\r\n', true],
  ["one of several lines", TAGGED, 'If-None-Match: "c"\r\nIf-None-Match: "a"\r\n', true],
  ["another tag", TAGGED, 'If-None-Match: "b"\r\n', false],
  ["a tag beyond ASCII", 'ETag: "\xfc"\r\n', 'If-None-Match: "\xfc"\r\n', true],
  ["*", BARE, "If-None-Match: *\r\n", true],
  ["a tag where none is stored", DATED, 'If-None-Match: "a"\r\n', false],
  [
    "the tag goes before the date (RFC 9110 §13.2.2)",
    TAGGED,
    `If-None-Match: "a"\r\nIf-Modified-Since: ${BEFORE}\r\n`,
    true,
  ],
  ["also when it says changed", TAGGED, `If-None-Match: "b"\r\nIf-Modified-Since: ${AFTER}\r\n`, false],
  ["the date", DATED, `If-Modified-Since: ${LONG_AGO}\r\n`, true],
  ["a later date", DATED, `If-Modified-Since: ${AFTER}\r\n`, true],
  ["an earlier date", DATED, `If-Modified-Since: ${BEFORE}\r\n`, false],
  ["the date in another form", DATED, "If-Modified-Since: Sunday, 01-Jun-25 12:00:00 GMT\r\n", true],
  ["what is no date", DATED, "If-Modified-Since: yesterday\r\n", false],
  ["Date stands in for Last-Modified", BARE, `If-Modified-Since: ${LONG_AGO}\r\n`, true],
  ["and says nothing of what was before it", BARE, `If-Modified-Since: ${BEFORE}\r\n`, false],
  ["a broken Last-Modified is none", `Last-Modified: x\r\n${BARE}`, `If-Modified-Since: ${AFTER}\r\n`, true],
  ["without any date it is when it came: before", "X: y\r\n", `If-Modified-Since: ${AFTER}\r\n`, false],
  ["without any date it is when it came: then", "X: y\r\n", `If-Modified-Since: ${LATE}\r\n`, true],
  ["what is no success has no conditions (§13.2.1)", TAGGED, 'If-None-Match: "a"\r\n', false, 404],
  ["nor has a redirection", TAGGED, 'If-None-Match: "a"\r\n', false, 301],
  ["a part has", TAGGED, 'If-None-Match: "a"\r\n', true, 206],
  ["If-Match is for the origin (RFC 9111 §4.3.2)", TAGGED, 'If-Match: "b"\r\nIf-None-Match: "a"\r\n', false],
  [
    "If-Unmodified-Since is for the origin",
    TAGGED,
    `If-Unmodified-Since: ${BEFORE}\r\nIf-None-Match: "a"\r\n`,
    false,
  ],
];

describe("a client's conditions", () => {
  for (const [rule, stored, request, is304, status = 200] of conditions) {
    test(rule, () => {
      expect(isNotModified(storedOf(stored, status), fieldsOfLines(request), NOW_MS)).toBe(is304);
    });
  }
});

const ranges: [rule: string, request: string, range: ReturnType<typeof rangeOf>, stored?: string][] = [
  ["none", "", "whole"],
  ["first and last", "Range: bytes=0-1\r\n", { first: 0, last: 1 }],
  ["to the end", "Range: bytes=7-\r\n", { first: 7, last: 9 }],
  ["the last bytes", "Range: bytes=-2\r\n", { first: 8, last: 9 }],
  ["beyond the end", "Range: bytes=5-99\r\n", { first: 5, last: 9 }],
  ["outside", "Range: bytes=10-\r\n", "unsatisfiable"],
  ["several", "Range: bytes=0-1,3-4\r\n", "whole"],
  ["another unit", "Range: lines=0-1\r\n", "whole"],
  [
    "If-Range with the tag (RFC 9110 §13.1.5)",
    'Range: bytes=0-1\r\nIf-Range: "a"\r\n',
    { first: 0, last: 1 },
    TAGGED,
  ],
  ["If-Range with another tag", 'Range: bytes=0-1\r\nIf-Range: "b"\r\n', "whole", TAGGED],
  ["If-Range with a weak tag", 'Range: bytes=0-1\r\nIf-Range: W/"a"\r\n', "whole", 'ETag: W/"a"\r\n'],
  ["If-Range with the date", `Range: bytes=0-1\r\nIf-Range: ${LONG_AGO}\r\n`, { first: 0, last: 1 }, DATED],
  ["If-Range with a later date", `Range: bytes=0-1\r\nIf-Range: ${AFTER}\r\n`, "whole", DATED],
];

describe("a client's range of a complete response (RFC 9110 §14.2)", () => {
  test.each(ranges)("%s", (_rule, request, range, stored = "") => {
    expect(rangeOf(storedOf(stored), fieldsOfLines(request), NOW_MS)).toEqual(range);
  });

  test("is of a 200 only", () => {
    expect(rangeOf(storedOf("", 404), fieldsOfLines("Range: bytes=0-1\r\n"), NOW_MS)).toBe("whole");
  });
});

test("a 304 has what a cache in front needs, and nothing about the body (RFC 9110 §15.4.5)", () => {
  const about = [
    "Content-Type: text/html",
    "Content-Length: 5",
    "Content-Encoding: gzip",
    "Content-Language: de",
    "Accept-Ranges: bytes",
    "Content-Range: bytes 0-4/5",
    "Repr-Digest: x",
  ];
  const kept = [
    "Cache-Control: max-age=60",
    "Content-Location: /a",
    `Date: ${LATE}`,
    'ETag: "a"',
    `Expires: ${LATE}`,
    "Vary: Foo",
    "Content-Security-Policy: default-src 'self'",
    "Access-Control-Allow-Origin: *",
  ];
  const lines = (list: readonly string[]) => list.map((line) => `${line}\r\n`).join("");
  expect(notModifiedLines(fieldsOfLines(lines([...about, ...kept, `Last-Modified: ${LONG_AGO}`])))).toBe(
    lines(kept),
  );
  expect(notModifiedLines(fieldsOfLines(`Last-Modified: ${LONG_AGO}\r\n`))).toBe(
    `Last-Modified: ${LONG_AGO}\r\n`,
  );
});
