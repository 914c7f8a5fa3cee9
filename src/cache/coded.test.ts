import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { codedKey, codedLines, codedRecord, codedResponse, isCodedOf } from "./coded.ts";
import { decodeRecord, encodeRecord, recordBytesOf } from "./record.ts";
import { CODED, DENSE, SHAREABLE, type StoredFacts, type StoredResponse } from "./stored.ts";

const FACTS: StoredFacts = {
  status: 200,
  requestedAtMs: 1000,
  respondedAtMs: 1010.5,
  initialAgeMs: 0,
  lifetimeMs: 60_000,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  keepMs: 1000,
  flags: SHAREABLE,
  mark: 7,
  purgeSlots: Uint32Array.of(3, 9),
  firstByte: 0,
  completeLength: -1,
};
const BODY = Buffer.from("so it goes on and on and on");
const ID = 2 ** 53 - 1;

function stored(facts: Partial<StoredFacts> = {}, lines = 'ETag: "v1"\r\n'): StoredResponse {
  const fields = fieldsOfLines(lines);
  const key = "site\nhttp://a.test/x";
  const all = { ...FACTS, ...facts };
  return { key, facts: all, reason: "Fine", fields, body: BODY, file: undefined, bodyLength: BODY.length };
}

/** A form as it comes back from a store. */
function form(of: StoredResponse, isDense = false): StoredResponse {
  const response = codedRecord(of, "br", ID, { body: Buffer.from("coded"), file: undefined, isDense });
  const bytes = Buffer.alloc(recordBytesOf(response));
  return decodeRecord(bytes, encodeRecord(bytes, response, 1, 2)) as StoredResponse;
}

describe("a coded form", () => {
  test("is found to be of its response, when it comes back", () => {
    expect(isCodedOf(form(stored()), stored(), ID)).toBe(true);
    expect(form(stored()).key).toBe(codedKey(stored().key, "br"));
  });

  const OTHERS: readonly (readonly [what: string, facts: Partial<StoredFacts>])[] = [
    ["that came at another instant", { respondedAtMs: 1010.25 }],
    ["that was asked for at another instant", { requestedAtMs: 999 }],
    ["whose fetch began after a purge", { mark: 8 }],
    ["with another status", { status: 404 }],
  ];
  for (const [what, facts] of OTHERS) {
    test(`is not of a response ${what}`, () => {
      expect(isCodedOf(form(stored()), stored(facts), ID)).toBe(false);
    });
  }

  test("is not of another body, nor of one of another length", () => {
    expect(isCodedOf(form(stored()), stored(), ID - 1)).toBe(false);
    expect(isCodedOf(form(stored()), { ...stored(), bodyLength: BODY.length + 1 }, ID)).toBe(false);
  });

  test("is not what stands under its key and is no form", () => {
    const facts = { ...FACTS, firstByte: ID, completeLength: BODY.length };
    expect(isCodedOf({ ...form(stored()), facts }, stored(), ID)).toBe(false);
  });

  test("is purged, and lives, as its response does", () => {
    const { facts } = form(stored(), true);
    const { purgeSlots, mark, lifetimeMs, keepMs } = FACTS;
    expect(facts).toMatchObject({ purgeSlots, mark, lifetimeMs, keepMs, flags: SHAREABLE | CODED | DENSE });
  });

  test("answers with the facts, the reason and the head of its response", () => {
    const of = stored();
    const response = codedResponse(of, form(of), "br");
    expect(response.facts).toBe(of.facts);
    expect([response.reason, response.body?.toString(), response.bodyLength]).toEqual(["Fine", "coded", 5]);
    expect(response.fields.linesWithout(0, 0)).toBe(codedLines(of.fields, "br"));
  });
});

const HEADS: readonly (readonly [what: string, lines: string, head: string])[] = [
  ["a strong tag becomes weak", 'ETag: "a"', 'ETag: W/"a"|Content-Encoding: br|Vary: Accept-Encoding'],
  ["a weak one stays", 'ETag: W/"a"', 'ETag: W/"a"|Content-Encoding: br|Vary: Accept-Encoding'],
  ["Vary is added to", "Vary: Cookie", "Vary: Cookie|Content-Encoding: br|Vary: Accept-Encoding"],
  [
    "what Vary says already is not said again",
    "Vary: a, accept-encoding",
    "Vary: a, accept-encoding|Content-Encoding: br",
  ],
  ["Vary: * says all", "Vary: *", "Vary: *|Content-Encoding: br"],
  [
    "what is true of other bytes is left out",
    "Content-MD5: a|Digest: b|Content-Digest: c|Repr-Digest: d|Accept-Ranges: bytes|X: 1",
    "X: 1|Content-Encoding: br|Vary: Accept-Encoding",
  ],
];
for (const [what, lines, head] of HEADS) {
  test(`in the head of a coded form ${what} (RFC 9110 §8.8.1, §12.5.5)`, () => {
    const fields = fieldsOfLines(`${lines.replaceAll("|", "\r\n")}\r\n`);
    expect(codedLines(fields, "br")).toBe(`${head.replaceAll("|", "\r\n")}\r\n`);
  });
}
