/** Head reader: which blocks are messages, and what becomes of their fields. */
import { expect, test } from "bun:test";
import { GET, HEADS, OK, only, type Pair } from "../../../tests/hpack/heads.table.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { pairsOfLines } from "../../core/fields.ts";
import { Head, type HeadKind } from "./head.ts";
import { HeadReader, type HeadReaderLimits } from "./head-reader.ts";

const LIMITS: HeadReaderLimits = { listBytes: 8192, fields: 20 };
function length(bytes: number): number[] {
  if (bytes < 127) return [bytes];
  const rest = bytes - 127;
  return rest < 128 ? [127, rest] : [127, (rest & 127) | 128, rest >> 7];
}

/** Literals with names of their own, no Huffman code; `first` 0x40 = to be remembered. */
function block(pairs: readonly Pair[], first = 0): Buffer {
  return Buffer.concat(
    pairs.map(([name, value]) =>
      Buffer.concat([
        Buffer.from([first, ...length(name.length)]),
        Buffer.from(name, "latin1"),
        Buffer.from(length(value.length)),
        Buffer.from(value, "latin1"),
      ]),
    ),
  );
}

function readBlock(reader: HeadReader, kind: HeadKind, bytes: Buffer): Head {
  const head = new Head();
  expect(reader.read(kind, bytes, 0, bytes.length, head)).toBe("");
  return head;
}

/** Read as literals, as new entries, and as entries known from before: three times the same. */
function read(kind: HeadKind, pairs: readonly Pair[], limits = LIMITS): Head {
  const plain = readBlock(new HeadReader(limits), kind, block(pairs));
  const reader = new HeadReader(limits);
  const fresh = readBlock(reader, kind, block(pairs, 0x40));
  if (pairs.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0) <= 4096) {
    const known = Buffer.from(pairs.map((_, index) => 0x80 | (61 + pairs.length - index)));
    expect(told(readBlock(reader, kind, known))).toEqual(told(plain));
  }
  expect(told(fresh)).toEqual(told(plain));
  return plain;
}

/** What does not depend on which bytes the head stands in. */
function told(head: Head): unknown {
  const { method, scheme, authority, path, protocol, status, contentLength, malformed, isTooLarge } = head;
  const start = [method, scheme, authority, path, protocol, status, contentLength, malformed, isTooLarge];
  return [start, head.fields.linesWithout(0, 0), head.fields.low, head.fields.high];
}

const lines = (head: Head) => head.fields.linesWithout(0, 0);

test("a request's head: pseudo-header fields apart, host first, the others in their order (RFC 9113 §8.3.1)", () => {
  const head = read("request", [...GET, ["accept", "*/*"], ["x-y", ""], ["accept", "b"]]);
  expect([head.method, head.scheme, head.authority, head.path, head.malformed]).toEqual([
    "GET",
    "https",
    "a.test",
    "/",
    "",
  ]);
  expect(lines(head)).toBe("host: a.test\r\naccept: */*\r\nx-y: \r\naccept: b\r\n");
  expect([
    head.fields.find("host"),
    head.fields.find("x-y"),
    head.fields.joined(fieldIdOf("accept")),
  ]).toEqual(["a.test", "", "*/*, b"]);
});

test("a response's head", () => {
  const head = read("response", [...OK, ["content-type", "text/plain"], ["cookie", "a"], ["host", "b"]]);
  expect([head.status, lines(head)]).toEqual([200, "content-type: text/plain\r\ncookie: a\r\nhost: b\r\n"]);
});

test("trailers are fields only", () => {
  const head = read("trailers", [
    ["grpc-status", "0"],
    ["content-length", "5"],
    ["content-length", "6"],
  ]);
  expect([head.malformed, head.contentLength, lines(head)]).toEqual([
    "",
    -1,
    "grpc-status: 0\r\ncontent-length: 5\r\ncontent-length: 6\r\n",
  ]);
});

for (const [what, kind, pairs, reason] of HEADS) {
  test(`${what}: ${reason === "" ? "taken" : "malformed"}`, () => {
    expect(read(kind, pairs).malformed).toBe(reason);
  });
}

test("what is malformed does not get into the lines", () => {
  const head = read("request", [
    ...GET,
    ["a\r\nb", "c"],
    ["d", "e\r\nf: g"],
    ["connection", "close"],
    ["h", "i"],
  ]);
  expect(lines(head)).toBe("host: a.test\r\nh: i\r\n");
});

test("host stands in for a missing :authority, and once is enough", () => {
  const head = read("request", [
    ...only("method", "scheme", "path"),
    ["a", "b"],
    ["host", "c.test"],
    ["host", "C.test"],
  ]);
  expect([head.authority, lines(head), head.malformed]).toEqual(["c.test", "a: b\r\nhost: c.test\r\n", ""]);
});

test("equal lengths are one (RFC 9110 §8.6)", () => {
  const head = read("request", [...GET, ["content-length", "5"], ["a", "b"], ["content-length", "05"]]);
  expect([head.contentLength, lines(head)]).toEqual([5, "host: a.test\r\ncontent-length: 5\r\na: b\r\n"]);
});

test("crumbs of a cookie are one line, wherever they stand (§8.2.3)", () => {
  for (const [pairs, wanted] of [
    [[["cookie", "a=1"]], "cookie: a=1\r\n"],
    [
      [
        ["cookie", "a=1"],
        ["cookie", "b=2"],
        ["cookie", "c=3"],
      ],
      "cookie: a=1; b=2; c=3\r\n",
    ],
    [
      [
        ["cookie", "a=1"],
        ["cookie", "b=2"],
        ["x", "y"],
      ],
      "cookie: a=1; b=2\r\nx: y\r\n",
    ],
    [
      [
        ["cookie", "a=1"],
        ["x", "y"],
        ["cookie", "b=2"],
      ],
      "x: y\r\ncookie: a=1; b=2\r\n",
    ],
    [
      [
        ["x", "y"],
        ["cookie", "a=1"],
        ["cookie", "b=2"],
        ["z", ""],
        ["cookie", "c=3"],
        ["cookie", "d=4"],
      ],
      "x: y\r\nz: \r\ncookie: a=1; b=2; c=3; d=4\r\n",
    ],
  ] as [Pair[], string][]) {
    const head = read("request", [...GET, ...pairs]);
    expect(lines(head)).toBe(`host: a.test\r\n${wanted}`);
    expect(head.fields.find("cookie")).toBe(/cookie: (.*)/.exec(wanted)?.[1] as string);
    expect(head.fields.isRepeated(fieldIdOf("cookie"))).toBe(false);
  }
});

test("the list's size counts 32 for each field (§6.5.2); at the limit it is taken, one past it not", () => {
  const pairs: Pair[] = [...GET, ["a", "b".repeat(100)]];
  const size = pairs.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  expect(read("request", pairs, { listBytes: size, fields: 20 }).isTooLarge).toBe(false);
  const head = read("request", pairs, { listBytes: size - 1, fields: 20 });
  expect([head.isTooLarge, head.malformed, head.method, lines(head)]).toEqual([
    true,
    "",
    "GET",
    "host: a.test\r\n",
  ]);
});

test("the number of fields has its limit, host among them", () => {
  const pairs: Pair[] = [...GET, ["a", "1"], ["b", "2"]];
  expect(read("request", pairs, { listBytes: 8192, fields: 3 }).isTooLarge).toBe(false);
  const head = read("request", pairs, { listBytes: 8192, fields: 2 });
  expect([head.isTooLarge, lines(head)]).toEqual([true, "host: a.test\r\na: 1\r\n"]);
});

test("a list that is too large still teaches the table, and what follows is read right", () => {
  const reader = new HeadReader({ listBytes: 300, fields: 20 });
  const large = readBlock(reader, "request", block([...GET, ["a", "b".repeat(200)], ["c", "d"]], 0x40));
  expect(large.isTooLarge).toBe(true);
  const next = readBlock(reader, "request", Buffer.from([0xc3, 0xc2, 0xc1, 0xc0, 0xbe]));
  expect([next.isTooLarge, next.path, lines(next)]).toEqual([false, "/", "host: a.test\r\nc: d\r\n"]);
});

test("a bomb of references is counted, not copied", () => {
  const reader = new HeadReader({ listBytes: 32 * 1024, fields: 1000 });
  readBlock(reader, "request", block([...GET, ["a", "b".repeat(3800)]], 0x40));
  const bomb = Buffer.concat([Buffer.from([0x82, 0x87, 0x84]), Buffer.alloc(60_000, 0xbe)]);
  const head = readBlock(reader, "request", bomb);
  expect(head.isTooLarge).toBe(true);
  expect(head.fields.end).toBeLessThan(32 * 1024);
  expect(head.fields.bytes.length).toBeLessThanOrEqual(128 * 1024);
});

test("heads keep their fields while others are read, and a reused head forgets all", () => {
  const reader = new HeadReader(LIMITS);
  const heads = Array.from({ length: 300 }, (_, index) =>
    readBlock(
      reader,
      "request",
      block([...GET, ["x-number", String(index)], ["x-long", "v".repeat(index)]], index % 3 === 0 ? 0x40 : 0),
    ),
  );
  for (const [index, head] of heads.entries()) {
    expect(pairsOfLines(lines(head))).toEqual([
      ["host", "a.test"],
      ["x-number", String(index)],
      ["x-long", "v".repeat(index)],
    ]);
  }
  const head = heads[7] as Head;
  const bytes = block([...OK, ["a", "b"]]);
  expect(reader.read("response", bytes, 0, bytes.length, head)).toBe("");
  expect(told(head)).toEqual(told(read("response", [...OK, ["a", "b"]])));
});

test("a block that cannot be decoded says why", () => {
  const head = new Head();
  expect(new HeadReader(LIMITS).read("request", Buffer.from([0x82, 0xbe]), 0, 2, head)).toBe(
    "index past the end of the table",
  );
});
