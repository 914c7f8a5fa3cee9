/** Law: body bytes in are body bytes out, however they are chunked and cut, and not one byte behind them is taken. */
import { expect, test } from "bun:test";
import { ChunkedDecoder } from "../../src/protocol/h1/chunked.ts";
import { type Chance, forAll, LAW_MS } from "./chance.ts";
import { Story } from "./story.ts";

const EXTENSIONS = ["", "", "", ";a", ";a=b", ';a="b;\\"\r"'.replace("\r", " "), ";a=b;c=d"];

/** The data in random chunks, up to and with the last chunk's size line. */
function inChunks(data: string, chance: Chance): string {
  let text = "";
  for (let at = 0; at < data.length; ) {
    const size = 1 + chance.below(Math.min(1500, data.length - at));
    const digits = chance.isTrue(0.5) ? size.toString(16) : size.toString(16).toUpperCase().padStart(6, "0");
    text += `${digits}${chance.pick(EXTENSIONS)}\r\n${data.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${text}0${chance.pick(EXTENSIONS)}\r\n`;
}

test(
  "the chunked decoder gives back exactly the data, and stops right behind the last chunk",
  () => {
    forAll((chance) => {
      const data = chance.text(chance.below(5000));
      const coded = inChunks(data, chance);
      const text = coded + chance.text(chance.below(50));
      const decoder = new ChunkedDecoder();
      let out = "";
      let taken = 0;
      const cuts = [0, ...chance.cuts(text.length, chance.below(20)), text.length];
      for (let at = 1; at < cuts.length && !decoder.isLast; at++) {
        const before = chance.text(chance.below(5));
        const piece = Buffer.from(before + text.slice(cuts[at - 1], cuts[at]), "latin1");
        decoder.decode(piece, before.length, piece.length);
        expect(decoder.isBroken).toBe(false);
        expect(piece.toString("latin1", 0, before.length)).toBe(before);
        out += piece.toString("latin1", before.length, decoder.dataEnd);
        taken += decoder.position - before.length;
      }
      expect([decoder.isLast, taken]).toEqual([true, coded.length]);
      expect(out).toBe(data);
    });
  },
  LAW_MS,
);

test(
  "the reader gives back exactly the body, and what follows is the next message",
  () => {
    forAll((chance) => {
      const data = chance.text(chance.below(3000));
      const head = "POST / HTTP/1.1\r\nHost: a\r\n";
      const message = chance.isTrue(0.5)
        ? `${head}Content-Length: ${data.length}\r\n\r\n${data}`
        : `${head}Transfer-Encoding: chunked\r\n\r\n${inChunks(data, chance)}\r\n`;
      const text = `${message}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`;
      const story = new Story("request");
      const cuts = [0, ...chance.cuts(text.length, chance.below(20)), text.length];
      for (let at = 1; at < cuts.length; at++) {
        story.feed(Buffer.from(text.slice(cuts[at - 1], cuts[at]), "latin1"));
        if (chance.isTrue(0.7)) story.pull();
      }
      story.pull();
      expect(story.body).toBe(data);
      expect(story.events.at(-2)).toStartWith("head GET /next ");
      expect(story.reader.isIdle).toBe(true);
    });
  },
  LAW_MS,
);
