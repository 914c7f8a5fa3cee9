import { describe, expect, test } from "bun:test";
import { forAll, LAW_MS } from "../../tests/laws/chance.ts";
import { fieldsOfLines } from "../core/fields.ts";
import {
  answerFromPart,
  type Completion,
  completionOf,
  contentRangeLine,
  joinParts,
  type Part,
  type PartAnswer,
  partOf,
  storedPartOf,
  unsatisfiedRangeLine,
} from "./partial.ts";
import { PARTIAL, type StoredFacts, type StoredResponse } from "./stored.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const DATE = "Date: Wed, 31 Dec 2025 12:00:00 GMT\r\n";
const OLD = "Sun, 01 Jun 2025 12:00:00 GMT";

function storedOf(part: Part | "complete", lines = ""): StoredResponse {
  const isPart = part !== "complete";
  const facts: StoredFacts = {
    status: isPart ? 206 : 200,
    requestedAtMs: NOW_MS,
    respondedAtMs: NOW_MS,
    initialAgeMs: 0,
    lifetimeMs: 1000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    keepMs: 0,
    flags: isPart ? PARTIAL : 0,
    mark: 0,
    purgeSlots: new Uint32Array(0),
    firstByte: isPart ? part.firstByte : 0,
    completeLength: isPart ? part.completeLength : -1,
  };
  const bodyLength = isPart ? part.length : 10;
  const fields = fieldsOfLines(lines);
  return { key: "k", facts, reason: "", fields, body: undefined, file: undefined, bodyLength };
}

const part = (firstByte: number, length: number, completeLength: number): Part => ({
  firstByte,
  length,
  completeLength,
});

const placed: [rule: string, contentRange: string, bodyLength: number, part: Part | undefined][] = [
  ["a part (RFC 9110 §14.4)", "bytes 4-8/10", 5, part(4, 5, 10)],
  ["of unknown length", "bytes 4-8/*", 5, part(4, 5, -1)],
  ["case of the unit", "Bytes 0-0/1", 1, part(0, 1, 1)],
  ["another unit", "lines 4-8/10", 5, undefined],
  ["a range that ends before it begins", "bytes 8-4/10", 5, undefined],
  ["a range beyond the whole", "bytes 4-10/10", 7, undefined],
  ["no range at all", "bytes */10", 5, undefined],
  ["more digits than a number has", "bytes 0-9999999999999999/*", 5, undefined],
  ["an empty body", "bytes 4-8/10", 0, undefined],
  ["more bytes than it says", "bytes 4-8/10", 6, undefined],
  ["fewer bytes than it says, to the end: the bytes count", "bytes 4-9/10", 5, part(4, 5, 9)],
  ["fewer bytes than it says: the whole is not known", "bytes 4-8/10", 4, part(4, 4, -1)],
];

describe("where a part belongs", () => {
  test.each(placed)("%s", (_rule, contentRange, bodyLength, expected) => {
    expect(partOf(contentRange, bodyLength)).toEqual(expected);
  });

  test("a complete response is all of it", () => {
    expect(storedPartOf(storedOf("complete"))).toEqual(part(0, 10, 10));
    expect(storedPartOf(storedOf(part(4, 5, -1)))).toEqual(part(4, 5, -1));
  });

  test("is told again", () => {
    expect(contentRangeLine({ first: 4, last: 8 }, 10)).toBe("Content-Range: bytes 4-8/10\r\n");
    expect(contentRangeLine({ first: 4, last: 8 }, -1)).toBe("Content-Range: bytes 4-8/*\r\n");
    expect(unsatisfiedRangeLine(10)).toBe("Content-Range: bytes */10\r\n");
  });
});

const MIDDLE = part(4, 4, 10);
const TAIL = part(4, 5, 9);
const OPEN = part(4, 5, -1);

const answers: [rule: string, part: Part, request: string, answer: PartAnswer, lines?: string][] = [
  ["no range: it lacks the rest", MIDDLE, "", "lacking"],
  ["no range: it is all there", part(0, 10, 10), "", "whole"],
  ["a range in it", MIDDLE, "Range: bytes=5-6\r\n", { first: 5, last: 6 }],
  ["all of it", MIDDLE, "Range: bytes=4-7\r\n", { first: 4, last: 7 }],
  ["one byte before", MIDDLE, "Range: bytes=3-7\r\n", "lacking"],
  ["one byte after", MIDDLE, "Range: bytes=4-8\r\n", "lacking"],
  ["to the end, which it lacks", MIDDLE, "Range: bytes=5-\r\n", "lacking"],
  ["to the end, which it has", TAIL, "Range: bytes=6-\r\n", { first: 6, last: 8 }],
  ["beyond the end", TAIL, "Range: bytes=6-20\r\n", { first: 6, last: 8 }],
  ["the last bytes", TAIL, "Range: bytes=-1\r\n", { first: 8, last: 8 }],
  ["all its last bytes", TAIL, "Range: bytes=-5\r\n", { first: 4, last: 8 }],
  ["more last bytes than it has", TAIL, "Range: bytes=-6\r\n", "lacking"],
  ["outside of the whole (RFC 9110 §15.5.17)", MIDDLE, "Range: bytes=10-\r\n", "unsatisfiable"],
  ["several ranges", MIDDLE, "Range: bytes=4-4,6-6\r\n", "lacking"],
  ["several ranges of the whole", part(0, 10, 10), "Range: bytes=4-4,6-6\r\n", "lacking"],
  ["what is no range", MIDDLE, "Range: bytes=x\r\n", "lacking"],
  ["of unknown length: a range in it", OPEN, "Range: bytes=5-6\r\n", { first: 5, last: 6 }],
  ["of unknown length: to the end", OPEN, "Range: bytes=5-\r\n", "lacking"],
  ["of unknown length: the last bytes", OPEN, "Range: bytes=-1\r\n", "lacking"],
  ["of unknown length: a range beyond it", OPEN, "Range: bytes=5-9\r\n", "lacking"],
  ["of unknown length: If-Range", OPEN, 'Range: bytes=5-6\r\nIf-Range: "a"\r\n', "lacking", 'ETag: "a"\r\n'],
  ["of unknown length: twice", OPEN, "Range: bytes=5-6\r\nRange: bytes=5-6\r\n", "lacking"],
  ["of unknown length: backwards", OPEN, "Range: bytes=6-5\r\n", "lacking"],
  [
    "If-Range that holds",
    MIDDLE,
    'Range: bytes=5-6\r\nIf-Range: "a"\r\n',
    { first: 5, last: 6 },
    'ETag: "a"\r\n',
  ],
  [
    "If-Range that does not: the whole is wanted",
    MIDDLE,
    'Range: bytes=5-6\r\nIf-Range: "b"\r\n',
    "lacking",
    'ETag: "a"\r\n',
  ],
];

describe("what a stored part answers (RFC 9111 §3.3)", () => {
  for (const [rule, stored, request, answer, lines = ""] of answers) {
    test(rule, () => {
      expect(answerFromPart(storedOf(stored, lines), fieldsOfLines(request), NOW_MS)).toEqual(answer);
    });
  }
});

const FRONT = part(0, 5, 10);
const completions: [rule: string, part: Part, lines: string, completion: Completion | undefined][] = [
  [
    "the rest, if the tag still holds",
    FRONT,
    'ETag: "a"\r\n',
    { lines: 'Range: bytes=5-\r\nIf-Range: "a"\r\n', first: 5, last: -1, isCombinable: true },
  ],
  [
    "the rest, of unknown length",
    part(0, 5, -1),
    'ETag: "a"\r\n',
    { lines: 'Range: bytes=5-\r\nIf-Range: "a"\r\n', first: 5, last: -1, isCombinable: true },
  ],
  [
    "the beginning",
    part(4, 6, 10),
    'ETag: "a"\r\n',
    { lines: 'Range: bytes=0-3\r\nIf-Range: "a"\r\n', first: 0, last: 3, isCombinable: true },
  ],
  ["two holes are not worth it", MIDDLE, 'ETag: "a"\r\n', undefined],
  ["nothing is missing", part(0, 10, 10), 'ETag: "a"\r\n', undefined],
  ["a weak tag proves nothing (RFC 9110 §13.1.5)", FRONT, 'ETag: W/"a"\r\n', undefined],
  ["what is no tag proves nothing", FRONT, "ETag: a\r\n", undefined],
  [
    "a date long before the response is strong (§8.8.2.2)",
    FRONT,
    `Last-Modified: ${OLD}\r\n${DATE}`,
    { lines: `Range: bytes=5-\r\nIf-Range: ${OLD}\r\n`, first: 5, last: -1, isCombinable: true },
  ],
  ["a date of the same second is weak", FRONT, `Last-Modified: ${OLD}\r\nDate: ${OLD}\r\n`, undefined],
  ["a date without Date is weak", FRONT, `Last-Modified: ${OLD}\r\n`, undefined],
  [
    "no validator: asked for, but not to be put together",
    FRONT,
    "",
    { lines: "Range: bytes=5-\r\n", first: 5, last: -1, isCombinable: false },
  ],
];

describe("what completes a part (RFC 9111 §3.4)", () => {
  test.each(completions)("%s", (_rule, stored, lines, completion) => {
    expect(completionOf(storedOf(stored, lines), NOW_MS)).toEqual(completion);
  });
});

const TAG = 'ETag: "a"\r\n';
const unjoined: [rule: string, one: Part, two: Part, first: string, second: string][] = [
  ["another tag", FRONT, part(5, 5, 10), TAG, 'ETag: "b"\r\n'],
  ["weak tags", FRONT, part(5, 5, 10), 'ETag: W/"a"\r\n', 'ETag: W/"a"\r\n'],
  ["no validator", FRONT, part(5, 5, 10), "", ""],
  ["a tag and a date", FRONT, part(5, 5, 10), TAG, `Last-Modified: ${OLD}\r\n${DATE}`],
  ["a hole", FRONT, part(6, 4, 10), TAG, TAG],
  ["a hole before", part(6, 4, 10), FRONT, TAG, TAG],
  ["wholes of different length", FRONT, part(5, 5, 11), TAG, TAG],
  ["more than the whole", part(0, 5, 8), part(5, 5, -1), TAG, TAG],
];

describe("two parts", () => {
  for (const [rule, one, two, first, second] of unjoined) {
    test(`stay two: ${rule}`, () => {
      const stored = { part: one, fields: fieldsOfLines(first) };
      const got = { part: two, fields: fieldsOfLines(second) };
      expect(joinParts(stored, got, NOW_MS)).toBeUndefined();
    });
  }

  test("with one date become one", () => {
    const fields = fieldsOfLines(`Last-Modified: ${OLD}\r\n${DATE}`);
    const joint = joinParts({ part: FRONT, fields }, { part: part(5, 5, -1), fields }, NOW_MS);
    expect(joint?.part).toEqual(part(0, 10, 10));
  });

  test(
    "put together are the bytes of the whole, whatever they overlap (RFC 9110 §15.3.7.3)",
    () => {
      const fields = fieldsOfLines(TAG);
      const whole = "0123456789";
      let joined = 0;
      forAll((chance) => {
        const [one, two] = [0, 1].map(() => {
          const firstByte = chance.below(10);
          return part(firstByte, 1 + chance.below(10 - firstByte), chance.isTrue(0.5) ? 10 : -1);
        }) as [Part, Part];
        const bodies = { stored: bytesOf(whole, one), got: bytesOf(whole, two) };
        const joint = joinParts({ part: one, fields }, { part: two, fields }, NOW_MS);
        const doTouch =
          one.firstByte <= two.firstByte + two.length && two.firstByte <= one.firstByte + one.length;
        expect(joint !== undefined).toBe(doTouch);
        if (joint === undefined) return;
        joined++;
        const text = joint.pieces.map(({ from, start, end }) => bodies[from].slice(start, end)).join("");
        expect(text).toBe(bytesOf(whole, joint.part));
      });
      expect(joined).toBeGreaterThan(0);
    },
    LAW_MS,
  );
});

const bytesOf = (whole: string, { firstByte, length }: Part) => whole.slice(firstByte, firstByte + length);
