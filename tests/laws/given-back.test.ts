/**
 * Given back: body bytes may be taken away by whoever they were handed to, as `Wire.writeOwn` does once they are out,
 * and nothing that the reader says afterwards rests on them.
 */
import { expect, test } from "bun:test";
import {
  EVENT_BODY,
  EVENT_END,
  EVENT_FAILED,
  EVENT_HEAD,
  EVENT_MORE,
  Reader,
  type ReaderEvent,
} from "../../src/protocol/h1/reader.ts";
import { type Chance, forAll, LAW_MS } from "./chance.ts";

const LIMITS = { headBytes: 8192, headers: 50 };

/** A message and what comes behind it on its connection, as one text. */
function makeMessages(chance: Chance): string {
  let text = "";
  for (let count = 1 + chance.below(3); count > 0; count--) {
    const body = chance.text(chance.below(400), "abc\r\n0;");
    const head = `POST /${count} HTTP/1.1\r\nHost: a${count}.test\r\nX-Mark: ${chance.text(9, "xyz")}\r\n`;
    text += chance.isTrue(0.5)
      ? `${head}Content-Length: ${body.length}\r\n\r\n${body}`
      : `${head}Transfer-Encoding: chunked\r\n\r\n${chunks(body, chance)}0\r\nX-Sum: ${count}\r\n\r\n`;
  }
  return text;
}

function chunks(body: string, chance: Chance): string {
  let text = "";
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + chance.below(200));
    text += `${size.toString(16)}\r\n${body.slice(at, at + size)}\r\n`;
    at += size;
  }
  return text;
}

/** Memory of its own, as each read of a socket has. */
function ownBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(text.length);
  bytes.latin1Write(text);
  return bytes;
}

let givenBack = 0;

/** The condition of `Wire.writeOwn`, at any size. */
function giveBack(bytes: Buffer): void {
  if (bytes.length === 0 || bytes.length !== bytes.buffer.byteLength) return;
  (bytes.buffer as ArrayBuffer).transfer(0);
  if (bytes.length !== 0) throw new Error("the bytes are still there");
  givenBack++;
}

/** What one event says; the fields of a head are looked at only when its message is over. */
function textOf(event: ReaderEvent, reader: Reader, isGivingBack: boolean): string {
  if (event === EVENT_HEAD) return `HEAD ${reader.requestLine.target} `;
  if (event === EVENT_END) return ` END ${reader.fields.linesWithout(0, 0)} ${reader.trailers}`;
  if (event !== EVENT_BODY) return ` FAILED ${reader.failure?.code}`;
  const bytes = reader.body;
  const text = bytes.toString("latin1");
  if (isGivingBack) giveBack(bytes);
  return text;
}

/** in  `waits`: after which pieces nothing is pulled, as while the other side is slow */
function tellOf(pieces: readonly string[], isGivingBack: boolean, waits: readonly boolean[]): string {
  const reader = new Reader("request", LIMITS);
  let story = "";
  for (const [index, piece] of pieces.entries()) {
    reader.feed(ownBytes(piece));
    if (waits[index] === true && index + 1 < pieces.length) continue;
    for (let event = reader.next(); event !== EVENT_MORE; event = reader.next()) {
      story += textOf(event, reader, isGivingBack);
      if (event === EVENT_FAILED) return story;
    }
  }
  return story;
}

test(
  "the story is the same when each piece of a body is given back as soon as it was handed on",
  () => {
    forAll((chance) => {
      const text = makeMessages(chance);
      const cuts = [...new Set([0, ...chance.cuts(text.length, chance.below(12)), text.length])];
      const pieces = cuts.slice(1).map((end, index) => text.slice(cuts[index], end));
      const waits = pieces.map(() => chance.isTrue(0.3));
      const story = tellOf(pieces, true, waits);
      expect(story).toBe(tellOf(pieces, false, waits));
      expect(story).not.toContain("FAILED");
    });
    expect(givenBack).toBeGreaterThan(50);
  },
  LAW_MS,
);
