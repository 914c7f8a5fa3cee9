/**
 * Laws of header blocks: what one end writes the other reads, whatever came before; any bytes at all give a head or a
 * failure; and an HPACK that shares no code with ours reads and writes the same.
 */
import { expect, test } from "bun:test";
import { fieldMask } from "../../src/core/field-names.ts";
import { type Fields, fieldsOfLines, pairsOfLines } from "../../src/core/fields.ts";
import { Out } from "../../src/core/out.ts";
import { Head, type HeadKind } from "../../src/protocol/h2/head.ts";
import { HeadReader } from "../../src/protocol/h2/head-reader.ts";
import { HeadWriter } from "../../src/protocol/h2/head-writer.ts";
import { DECODED_FIELD, HpackDecoder } from "../../src/protocol/hpack/decoder.ts";
import { STATIC_COUNT } from "../../src/protocol/hpack/static-table.ts";
import { type Chance, forAll, LAW_MS } from "./chance.ts";

const LIMITS = { listBytes: 1 << 20, fields: 1000 };
const TABLE_SIZES = [0, 31, 64, 100, 333, 1024, 4095, 4096, 65536];
const NAMES = [
  ...[
    "accept",
    "User-Agent",
    "X-Forwarded-For",
    "x_forwarded_for",
    "x-forwarded_for",
    "Set-Cookie",
    "authorization",
  ],
  ...[
    "X-Api-Key",
    "ETag",
    "Date",
    "Cache-Control",
    "Accept-Language",
    "Link",
    "X-Request-Id",
    "Server",
    "Vary",
    "a",
  ],
];
const NAME_BYTES = "abcXYZ019-_.!~";
const DROPPED = fieldMask("date", "accept");
const VISIBLE = ' !aAbBzZ09~\t;=,"\xe4\xff';

function randomLine(chance: Chance): [name: string, value: string] {
  const name = chance.isTrue(0.7) ? chance.pick(NAMES) : `x${chance.text(chance.below(12), NAME_BYTES)}`;
  const length = chance.isTrue(0.02) ? chance.below(6000) : chance.below(chance.pick([2, 8, 40]));
  const value = chance.isTrue(0.4)
    ? chance.pick(["", "1", "gzip", "no-cache"])
    : chance.text(length, VISIBLE);
  return [name, value.trim()];
}

function randomLines(chance: Chance, before: readonly [string, string][]): [string, string][] {
  return Array.from({ length: chance.below(12) }, () =>
    before.length > 0 && chance.isTrue(0.6) ? chance.pick(before) : randomLine(chance),
  );
}

const textOf = (lines: readonly [string, string][]) =>
  lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
const lowered = (lines: readonly [string, string][]) =>
  lines.map(([name, value]): [string, string] => [name.toLowerCase(), value]);
const pairsOf = (fields: Fields) => {
  // not `pairsOfLines`: a name may hold any token byte, and a value ends where its mark says
  return Array.from({ length: fields.count }, (_, index): [string, string] => [
    fields.nameAt(index),
    fields.valueAt(index),
  ]);
};

test(
  "responses are read as they were written, over many blocks and tables of every size",
  () => {
    forAll((chance) => {
      const writer = new HeadWriter();
      const reader = new HeadReader(LIMITS);
      const out = new Out();
      let known: [string, string][] = [];
      for (let count = 0; count < 40; count++) {
        for (let changes = chance.isTrue(0.2) ? 1 + chance.below(3) : 0; changes > 0; changes--) {
          const size = chance.pick(TABLE_SIZES);
          writer.setTableBytes(size);
          reader.setTableBytes(size);
        }
        const lines = randomLines(chance, known);
        const added = randomLines(chance, known);
        known = [...known, ...lines].slice(-60);
        const status = 200 + chance.below(300);
        out.reset();
        writer.response(out, {
          sentStatus: status,
          reason: "",
          responseFields: fieldsOfLines(textOf(lines)),
          sentAdded: textOf(added),
          sentBodyLength: -1,
        });
        const head = new Head();
        expect(reader.read("response", out.bytes, 0, out.length, head)).toBe("");
        expect([head.malformed, head.status]).toEqual(["", status]);
        expect(pairsOf(head.fields)).toEqual(lowered([...lines, ...added]));
      }
    });
  },
  LAW_MS,
);

test(
  "requests are read as they were written, with what is dropped left out",
  () => {
    forAll((chance) => {
      const writer = new HeadWriter();
      const reader = new HeadReader(LIMITS);
      const out = new Out();
      let known: [string, string][] = [];
      for (let count = 0; count < 40; count++) {
        const [lines, added] = [randomLines(chance, known), randomLines(chance, known)];
        known = [...known, ...lines].slice(-60);
        const target = `/${chance.text(chance.below(60), "abc/?=&%20~{}")}`;
        const authority = chance.pick(["a.test", "b.test:8443", "[::1]:80"]);
        out.reset();
        writer.request(out, {
          upstreamMethod: chance.pick(["GET", "POST", "PROPFIND"]),
          upstreamTarget: target,
          requestFields: fieldsOfLines(`Host: not.test\r\n${textOf(lines)}`),
          upstreamDropLow: DROPPED.low,
          upstreamDropHigh: DROPPED.high,
          upstreamAdded: textOf(added),
          upstreamIdLines: `X-Id: ${count}\r\n`,
          requestBodyKind: 0,
          requestBodyLength: -1,
          upgrade: "",
          scheme: chance.pick(["http", "https"]),
          authority,
          protocol: "",
          takesTrailers: false,
        });
        const head = new Head();
        expect(reader.read("request", out.bytes, 0, out.length, head)).toBe("");
        expect([head.malformed, head.path, head.authority]).toEqual(["", target, authority]);
        const kept = lines.filter(([name]) => name !== "Date" && name !== "accept");
        expect(pairsOf(head.fields)).toEqual([
          ["host", authority],
          ...lowered([...kept, ...added]),
          ["x-id", String(count)],
        ]);
      }
    });
  },
  LAW_MS,
);

/** Bytes that look like a block. */
function randomBlock(chance: Chance): Buffer {
  const parts: Buffer[] = [];
  for (let count = chance.below(20); count > 0; count--) {
    const text = chance.text(chance.below(20), chance.pick([undefined, VISIBLE, NAME_BYTES]));
    parts.push(
      chance.pick([
        Buffer.from([0x80 | chance.below(128)]),
        Buffer.from([0x20 | chance.below(32)]),
        Buffer.from([
          chance.pick([0x40, 0x00, 0x10]) | chance.below(16),
          text.length,
          ...Buffer.from(text, "latin1"),
        ]),
        Buffer.from([
          chance.pick([0x40, 0x00]),
          1,
          97 + chance.below(3),
          text.length,
          ...Buffer.from(text, "latin1"),
        ]),
        Buffer.from([0x40 | chance.below(64), 0x80 | chance.below(6), chance.below(256), chance.below(256)]),
        Buffer.from(chance.text(chance.below(6)), "latin1"),
      ]),
    );
  }
  return Buffer.concat(parts);
}

test(
  "whatever bytes come, a block gives a head within its limits or a failure",
  () => {
    const kinds: readonly HeadKind[] = ["request", "response", "trailers"];
    forAll((chance) => {
      const limits = { listBytes: chance.pick([100, 1000, 65536]), fields: chance.pick([1, 5, 100]) };
      const reader = new HeadReader(limits);
      reader.setTableBytes(chance.pick([64, 4096]));
      for (let count = 0; count < 50; count++) {
        const block = randomBlock(chance);
        const head = new Head();
        const broken = reader.read(chance.pick(kinds), block, 0, block.length, head);
        if (broken !== "") return;
        expect(head.fields.count).toBeLessThanOrEqual(limits.fields + 1);
        expect(head.fields.end).toBeLessThanOrEqual(limits.listBytes * 2);
        // a line that could be read as two, or that carries a byte of control, never gets through
        const text = head.fields.linesWithout(0, 0);
        expect(text).toMatch(
          /^(?:[!#-'*+.^_`|~0-9a-z-]+: (?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\r\n)*$/,
        );
      }
    });
  },
  LAW_MS,
);

test(
  "a block that is cut or has a wrong bit is a failure or another head, never more",
  () => {
    forAll((chance) => {
      const writer = new HeadWriter();
      const out = new Out();
      const fields = fieldsOfLines(textOf(randomLines(chance, [])));
      writer.response(out, {
        sentStatus: 200,
        reason: "",
        responseFields: fields,
        sentAdded: "",
        sentBodyLength: 5,
      });
      for (let count = 0; count < 30; count++) {
        const block = Buffer.from(out.bytes.subarray(0, chance.below(out.length) + 1));
        const at = chance.below(block.length);
        block[at] = (block[at] as number) ^ (1 << chance.below(8));
        const decoder = new HpackDecoder(new Int32Array(STATIC_COUNT + 1));
        if (decoder.start(block, 0, block.length) !== "") continue;
        let fields = 0;
        while (decoder.next() === DECODED_FIELD) fields++;
        expect(fields).toBeLessThanOrEqual(block.length);
      }
    });
  },
  LAW_MS,
);

test("lines of a response are told apart as people read them", () => {
  const writer = new HeadWriter();
  const out = new Out();
  const lines = "Server: x\r\nX-A: b: c\r\n";
  writer.response(out, {
    sentStatus: 200,
    reason: "",
    responseFields: fieldsOfLines(lines),
    sentAdded: "",
    sentBodyLength: -1,
  });
  const head = new Head();
  expect(new HeadReader(LIMITS).read("response", out.bytes, 0, out.length, head)).toBe("");
  expect(pairsOfLines(head.fields.linesWithout(0, 0))).toEqual([
    ["server", "x"],
    ["x-a", "b: c"],
  ]);
});
