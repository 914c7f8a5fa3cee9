/** The head scanner: which lines make a head (RFC 9112 §2.2, §5), where it stops, and what it marks. */
import { expect, test } from "bun:test";
import { pairsOfLines } from "../../core/fields.ts";
import {
  HeadScanner,
  SCAN_DONE,
  SCAN_FAILED,
  SCAN_LINE,
  SCAN_MORE,
  type ScanResult,
} from "./head-scanner.ts";

const LIMITS = { headBytes: 200, headers: 5 };
const START = "GET / HTTP/1.1\r\n";

interface Scanned {
  readonly result: number;
  readonly code: string | undefined;
  readonly position: number;
  readonly scanner: HeadScanner;
}

/** Scans on past the start line, which nobody judges here. */
function scanFields(scanner: HeadScanner, bytes: Uint8Array, end: number): ScanResult {
  const result = scanner.scan(bytes, end);
  return result === SCAN_LINE ? scanner.scan(bytes, end) : result;
}

/** Scans `text`, which stands behind `before` bytes that are not its own, in one piece or byte by byte. */
function scan(
  text: string,
  options: { before?: number; isBytewise?: boolean; isTrailers?: boolean } = {},
): Scanned {
  const { before = 0, isBytewise = false, isTrailers = false } = options;
  const bytes = Buffer.from("#".repeat(before) + text, "latin1");
  const scanner = new HeadScanner(LIMITS);
  if (isTrailers) scanner.startTrailers(before);
  else scanner.startHead(before);
  let result: number = SCAN_MORE;
  for (let end = isBytewise ? before + 1 : bytes.length; result === SCAN_MORE && end <= bytes.length; end++) {
    result = scanFields(scanner, bytes, end);
  }
  if (result === SCAN_DONE) {
    const from = isTrailers ? 0 : scanner.startLineEnd + 2;
    scanner.fields.bind(bytes, before, from, scanner.position - before - 2);
  }
  return { result, code: scanner.failure?.code, position: scanner.position - before, scanner };
}

const HEADS: readonly (readonly [
  name: string,
  lines: string,
  fields: readonly (readonly [string, string])[],
])[] = [
  ["no field", "", []],
  ["one field", "A: b\r\n", [["A", "b"]]],
  ["no space after the colon", "A:b\r\n", [["A", "b"]]],
  ["whitespace around the value (§5.1)", "A: \t b c \t\r\n", [["A", "b c"]]],
  [
    "an empty value",
    "A:\r\nB: \r\nC:\t\r\n",
    [
      ["A", ""],
      ["B", ""],
      ["C", ""],
    ],
  ],
  ["colons in the value", "A: b:c\r\n", [["A", "b:c"]]],
  ["obs-text in the value", "A: \x80\xff\r\n", [["A", "\x80\xff"]]],
  ["every token character in the name", "!#$%&'*+-.^_`|~09azAZ: b\r\n", [["!#$%&'*+-.^_`|~09azAZ", "b"]]],
  [
    "as many fields as allowed",
    "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n",
    [
      ["A", "1"],
      ["B", "2"],
      ["C", "3"],
      ["D", "4"],
      ["E", "5"],
    ],
  ],
];

for (const [name, lines, fields] of HEADS) {
  for (const [how, options] of [
    ["whole", {}],
    ["byte by byte", { isBytewise: true }],
    ["inside of a buffer", { before: 7 }],
    ["inside, byte by byte", { before: 7, isBytewise: true }],
  ] as const) {
    test(`a head with ${name} is read ${how}`, () => {
      const { result, position, scanner } = scan(`${START}${lines}\r\n`, options);
      expect([result, position, scanner.startLineEnd]).toEqual([
        SCAN_DONE,
        START.length + lines.length + 2,
        START.length - 2,
      ]);
      const read = Array.from({ length: scanner.fields.count }, (_, index) => [
        scanner.fields.nameAt(index),
        scanner.fields.valueAt(index),
      ]);
      expect(read).toEqual(fields.map((field) => [...field]));
    });
  }
  test(`trailers with ${name} are read`, () => {
    const { result, position, scanner } = scan(`${lines}\r\n`, { isTrailers: true, before: 3 });
    expect([result, position, scanner.fields.count]).toEqual([SCAN_DONE, lines.length + 2, fields.length]);
  });
}

test("what stands behind the head is not read", () => {
  expect(scan(`${START}A: b\r\n\r\nGET /`).position).toBe(START.length + 8);
});

const FAILURES: readonly (readonly [code: string, ...texts: string[]])[] = [
  [
    "h1_bad_line_end",
    "GET /\n",
    "GET /\rX",
    `${START}A: b\n`,
    `${START}A: b\rX`,
    `${START}A: b\r\r`,
    `${START}\n`,
    `${START}\rX`,
    `${START}A: b\r\n\n`,
    `${START}A:\n`,
    `${START}A: b\r\n\r\r`,
  ],
  ["h1_bad_request_line", "GET \0", "GET \x7f", "\x16\x03\x01", "GET \x0b"],
  [
    "h1_bad_field",
    `${START} A: b`,
    `${START}\tA: b`,
    `${START}A: b\r\n c`,
    `${START}A: b\r\n\tc`,
    `${START}: b`,
    `${START}A : b`,
    `${START}A\t: b`,
    `${START}A\r\n`,
    `${START}A b: c`,
    `${START}A(: b`,
    `${START}\xe9: b`,
    `${START}A: \0`,
    `${START}A: b\x01c`,
    `${START}A: b\x7f`,
    `${START}A:\x0bb`,
    `${START}A\0: b`,
    `${START}A\n: b`,
    `${START}A: b\r\nB\r\n`,
  ],
  [
    "head_too_large",
    `${START}A: ${"b".repeat(200)}`,
    `${START}${"A".repeat(200)}`,
    `${START}A:${" ".repeat(200)}`,
    `${START}${"A: b\r\n".repeat(6)}`,
  ],
  ["target_too_long", "G".repeat(200), `GET /${"a".repeat(300)}`],
];

for (const [code, ...texts] of FAILURES) {
  for (const text of texts) {
    test(`${JSON.stringify(text.slice(0, 40))} fails with ${code}, whole or byte by byte`, () => {
      for (const options of [{}, { isBytewise: true }, { before: 5 }]) {
        const scanned = scan(text, options);
        expect([scanned.result, scanned.code]).toEqual([SCAN_FAILED, code]);
      }
    });
  }
}

test("every beginning of a head asks for more", () => {
  const text = `${START}Host: a\r\nB:  c\r\n\r\n`;
  for (let end = 0; end < text.length; end++) expect(scan(text.slice(0, end)).result).toBe(SCAN_MORE);
});

test("a head of exactly the limit is refused or read whether it ends there", () => {
  const fill = (length: number) => `${START}A: ${"b".repeat(length - START.length - 7)}\r\n\r\n`;
  expect([scan(fill(200)).result, scan(fill(201)).code]).toEqual([SCAN_DONE, "head_too_large"]);
  expect([scan(fill(200), { before: 9 }).result, scan(fill(201), { before: 9 }).code]).toEqual([
    SCAN_DONE,
    "head_too_large",
  ]);
});

test("a head that was begun goes on after its bytes were moved to the front", () => {
  const text = `${START}Host: a\r\nB: c\r\n\r\n`;
  for (let cut = 1; cut < text.length; cut++) {
    const scanner = new HeadScanner(LIMITS);
    scanner.startHead(10);
    scanFields(scanner, Buffer.from(`${"#".repeat(10)}${text.slice(0, cut)}`), 10 + cut);
    scanner.rebase();
    const bytes = Buffer.from(text);
    expect(scanFields(scanner, bytes, bytes.length)).toBe(SCAN_DONE);
    scanner.fields.bind(bytes, 0, scanner.startLineEnd + 2, scanner.position - 2);
    expect(pairsOfLines(scanner.fields.linesWithout(0, 0))).toEqual([
      ["Host", "a"],
      ["B", "c"],
    ]);
  }
});

test("fields of the head before stay readable until the next one's first byte", () => {
  const bytes = Buffer.from(`${START}A: b\r\n\r\n${START}C: d\r\n\r\n`);
  const scanner = new HeadScanner(LIMITS);
  scanner.startHead(0);
  const end = START.length + 8;
  scanFields(scanner, bytes, end);
  scanner.fields.bind(bytes, 0, START.length, end - 2);
  scanner.startHead(end);
  expect([scanFields(scanner, bytes, end), scanner.isAtStart, scanner.fields.find("a")]).toEqual([
    SCAN_MORE,
    true,
    "b",
  ]);
  scanFields(scanner, bytes, end + 1);
  expect([scanner.isAtStart, scanner.isInStartLine, scanner.fields.count]).toEqual([false, true, 0]);
});

test("the start line is told as soon as it is there, once, and before a field is looked at", () => {
  const bytes = Buffer.from(`${START}A : b\r\n\r\n`);
  const scanner = new HeadScanner(LIMITS);
  scanner.startHead(0);
  expect(scanner.scan(bytes, START.length - 1)).toBe(SCAN_MORE);
  expect([scanner.scan(bytes, START.length), scanner.startLineEnd]).toEqual([SCAN_LINE, START.length - 2]);
  expect(scanner.scan(bytes, bytes.length)).toBe(SCAN_FAILED);
});
