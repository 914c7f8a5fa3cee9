/** Law: what the writer writes, the reader reads; and a pedant, who shares no code with either, reads the same. */
import { expect, test } from "bun:test";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, type BodyKind } from "../../src/core/body.ts";
import { fieldsOfLines } from "../../src/core/fields.ts";
import { Out } from "../../src/core/out.ts";
import { chunkStart, lastChunk, writeRequestHead, writeResponseHead } from "../../src/protocol/h1/writer.ts";
import { reasonOf } from "../../src/protocol/reasons.table.ts";
import { parseResponse } from "../support/raw-client.ts";
import { strictRequests } from "../wire/strict-requests.ts";
import { type Chance, forAll, LAW_MS } from "./chance.ts";
import { Story } from "./story.ts";

const TOKEN = "abcXYZ019-_.!#$%&'*+^`|~";
const VALUE = 'abc XYZ\t019:;,"()<>@[]{}\\/?=\xe9\xff';
const TARGET = "abcXYZ019-._~!$&'()*+,;=:@%/?|{}[]\\^`";
/** Removed by the writer, which says these things itself. */
const OWN = [
  "Connection: close",
  "Keep-Alive: 5",
  "TE: trailers",
  "Trailer: X",
  "Transfer-Encoding: gzip",
  "Upgrade: h2c",
  "Content-Length: 99",
  "Proxy-Connection: x",
];

interface Message {
  readonly lines: readonly string[];
  readonly written: readonly string[];
  readonly kind: BodyKind;
  readonly body: string;
  readonly pieces: readonly string[];
  readonly trailers: readonly string[];
}

function randomLines(chance: Chance, count: number, prefix: string): string[] {
  return Array.from({ length: count }, () => {
    const value = chance.text(chance.below(20), VALUE).trim();
    return `${prefix}${chance.text(1 + chance.below(12), TOKEN)}: ${value}`;
  });
}

function randomMessage(chance: Chance, first: readonly string[]): Message {
  const lines = [...first, ...randomLines(chance, chance.below(8), "X-")];
  const written = [...lines];
  for (let count = chance.below(3); count > 0; count--) {
    written.splice(chance.below(written.length + 1), 0, chance.pick(OWN));
  }
  const kind = chance.pick<BodyKind>([BODY_NONE, BODY_LENGTH, BODY_STREAM]);
  const pieces =
    kind === BODY_NONE
      ? []
      : Array.from({ length: chance.below(5) }, () => chance.text(1 + chance.below(300)));
  const trailers = kind === BODY_STREAM ? randomLines(chance, chance.below(3), "X-") : [];
  return { lines, written, kind, body: pieces.join(""), pieces, trailers };
}

const asLines = (lines: readonly string[]) => lines.map((line) => `${line}\r\n`).join("");

function bodyText({ kind, body, pieces, trailers }: Message): string {
  if (kind !== BODY_STREAM) return body;
  const chunks = pieces.map((piece) => `${chunkStart(piece.length)}${piece}\r\n`).join("");
  return chunks + lastChunk(asLines(trailers));
}

/** Framing lines aside, the fields that a head holds. */
const withoutFraming = (lines: readonly string[]) =>
  lines.filter((line) => !/^(content-length|transfer-encoding|connection): /i.test(line));

function writeRequest(chance: Chance, message: Message): { text: string; method: string; target: string } {
  const method = chance.pick(["GET", "POST", "HEAD", "PUT", "DELETE", "M-SEARCH", "X_1"]);
  const target = `/${chance.text(chance.below(30), TARGET)}`;
  const out = new Out();
  writeRequestHead(out, {
    upstreamMethod: method,
    upstreamTarget: target,
    requestFields: fieldsOfLines(asLines(message.written)),
    upstreamDropLow: 0,
    upstreamDropHigh: 0,
    upstreamAdded: "",
    upstreamIdLines: "",
    requestBodyKind: message.kind,
    requestBodyLength: message.kind === BODY_LENGTH ? message.body.length : -1,
    upgrade: "",
  });
  return { text: out.bytes.toString("latin1", 0, out.length) + bodyText(message), method, target };
}

function expectTold(story: Story, message: Message, line: string): void {
  const [head = "", ...others] = story.events.filter((event) => !event.startsWith("body "));
  const [start, ...fields] = head.split("\n");
  const length = message.kind === BODY_LENGTH ? message.body.length : -1;
  expect(start?.startsWith(`head ${line} ${message.kind} ${length} `)).toBe(true);
  expect(
    withoutFraming(fields.map((field) => field.replace("\r", "")).filter((field) => field !== "")),
  ).toEqual([...message.lines]);
  expect(others).toEqual([`end ${asLines(message.trailers)}`]);
  expect(story.body).toBe(message.body);
}

test(
  "a random request is read as it was written, in any cuts, by us and by a pedant",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 20; count++) {
        const message = randomMessage(chance, ["Host: a.test"]);
        const { text, method, target } = writeRequest(chance, message);
        const story = new Story("request");
        const cuts = [0, ...chance.cuts(text.length, chance.below(5)), text.length];
        for (let at = 1; at < cuts.length; at++) {
          story.feed(Buffer.from(text.slice(cuts[at - 1], cuts[at]), "latin1"));
          story.pull();
        }
        expectTold(story, message, `${method} ${target} false`);
        const { requests, rest } = strictRequests(text);
        expect(rest).toBe("");
        expect(requests.map(({ line, body, trailers }) => ({ line, body, trailers }))).toEqual([
          { line: `${method} ${target}`, body: message.body, trailers: [...message.trailers] },
        ]);
        expect(withoutFraming(requests[0]?.fields ?? [])).toEqual([...message.lines]);
      }
    });
  },
  LAW_MS,
);

test(
  "a random response is read as it was written, by us and by a pedant",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 20; count++) {
        const message = randomMessage(chance, []);
        const status = chance.pick([200, 201, 206, 301, 404, 418, 500, 599]);
        const reason = chance.isTrue(0.5) ? reasonOf(status) : chance.text(chance.below(10), "abc OK");
        const out = new Out();
        const response = {
          sentStatus: status,
          reason,
          responseFields: fieldsOfLines(asLines(message.written)),
          sentAdded: "",
          sentBodyLength: message.kind === BODY_STREAM ? -1 : message.body.length,
        };
        writeResponseHead(out, response, message.kind, chance.pick(["", "keep-alive", "close"]));
        const text = out.bytes.toString("latin1", 0, out.length) + bodyText(message);
        const story = new Story("response");
        story.feed(Buffer.from(text, "latin1"));
        story.pull();
        const read: Message = message.kind === BODY_NONE ? { ...message, kind: BODY_LENGTH } : message;
        expectTold(story, read, `${status} ${reason} false`);
        const strict = parseResponse(text, "GET", false);
        expect([strict?.status, strict?.body, strict?.raw]).toEqual([status, message.body, text]);
      }
    });
  },
  LAW_MS,
);
