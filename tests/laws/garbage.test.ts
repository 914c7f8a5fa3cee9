/** Law: whatever bytes come, a reader gives events or a failure, never throws, and holds no more than its limits. */
import { expect, test } from "bun:test";
import { readProxyHeader } from "../../src/protocol/proxy-line.ts";
import { forAll, LAW_MS } from "./chance.ts";
import { CORPUS, mutate } from "./corpus.ts";
import { type Role, Story, tell } from "./story.ts";

const ROLES: readonly Role[] = ["request", "response"];
const ALPHABETS = [undefined, "\r\n", "GET /HTP1.0\r\n: ", "0123456789abcdef;\r\n", "ab: \t\r\n\0"];

test(
  "random bytes give events or a failure",
  () => {
    forAll((chance) => {
      for (const role of ROLES) {
        const text = chance.text(1 + chance.below(3000), chance.pick(ALPHABETS));
        tell(role, text, chance.cuts(text.length, chance.below(6)));
      }
    });
  },
  LAW_MS,
);

test(
  "random bytes after a good head give events or a failure",
  () => {
    const heads: readonly (readonly [Role, string])[] = [
      ["request", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"],
      ["request", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"],
      ["request", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"],
      ["response", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
      ["response", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
      ["response", "HTTP/1.1 200 OK\r\n\r\n"],
    ];
    forAll((chance) => {
      const [role, head] = chance.pick(heads);
      const text = head + chance.text(1 + chance.below(2000), chance.pick(ALPHABETS));
      tell(role, text, chance.cuts(text.length, chance.below(6)));
    });
  },
  LAW_MS,
);

test(
  "wounded samples give events or a failure",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 50; count++) {
        const sample = chance.pick(CORPUS);
        const text = mutate(sample.text, chance);
        tell(sample.role, text, [], { method: chance.pick(["GET", "HEAD"]) });
      }
    });
  },
  LAW_MS,
);

/** Feeds `unit` for ever; the story itself checks how many bytes went by in silence. */
function expectEndless(role: Role, start: string, unit: string): void {
  const story = new Story(role);
  story.feed(Buffer.from(start, "latin1"));
  story.pull();
  const piece = unit.repeat(Math.ceil(1000 / unit.length));
  for (let fed = 0; fed < 200_000; fed += piece.length) {
    story.feed(Buffer.from(piece, "latin1"));
    story.pull();
    if (story.events.at(-1)?.startsWith("failed ") === true) return;
  }
  throw new Error(`200 kB of ${JSON.stringify(unit)} after ${JSON.stringify(start)} were swallowed`);
}

const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

for (const [what, start, unit] of [
  ["method", "", "A"],
  ["target", "GET /", "a"],
  ["field name", "GET / HTTP/1.1\r\n", "a"],
  ["whitespace before a value", "GET / HTTP/1.1\r\na:", " "],
  ["field value", "GET / HTTP/1.1\r\na: ", "b"],
  ["list of fields", "GET / HTTP/1.1\r\n", "a:b\r\n"],
  ["list of empty lines", "", "\r\n"],
  ["chunk size", CHUNKED, "0"],
  ["chunk extension", `${CHUNKED}1`, ";a"],
  ["quoted chunk extension", `${CHUNKED}1;a="`, "b"],
  ["trailer name", `${CHUNKED}0\r\n`, "a"],
  ["list of trailers", `${CHUNKED}0\r\n`, "a:b\r\n"],
] as const) {
  test(`an endless ${what} is refused at its limit`, () => {
    expectEndless("request", start, unit);
  });
}

test("an endless status line and an endless response head are refused", () => {
  expectEndless("response", "", "H");
  expectEndless("response", "HTTP/1.1 200 ", "O");
  expectEndless("response", "HTTP/1.1 200 OK\r\n", "a:b\r\n");
});

test(
  "a PROXY header of random bytes is a header, none, or not yet there; never more than its bound",
  () => {
    const starts = [
      "",
      "PROXY ",
      "PROXY TCP4 ",
      "\r\n\r\n\0\r\nQUIT\n",
      "\r\n\r\n\0\r\nQUIT\n\x21\x11",
      "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00",
    ];
    forAll((chance) => {
      for (let count = 0; count < 100; count++) {
        const text =
          chance.pick(starts) +
          chance.text(chance.below(2200), chance.pick([undefined, "0123456789. :af\r\n"]));
        const bytes = Buffer.from(text, "latin1");
        const header = readProxyHeader(bytes);
        if (typeof header === "object") expect(header.bytes).toBeLessThanOrEqual(bytes.length);
        else if (header === "more") expect(bytes.length).toBeLessThan(16 + 2048);
      }
    });
  },
  LAW_MS,
);
