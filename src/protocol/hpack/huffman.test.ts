/** Huffman: the code both ways, and what may not stand at its end. */
import { expect, test } from "bun:test";
import { decodedBound, decodeHuffman, encodeHuffman, huffmanLength } from "./huffman.ts";

function coded(text: string): string {
  const from = Buffer.from(text, "latin1");
  const to = Buffer.alloc(huffmanLength(from, 0, from.length));
  expect(encodeHuffman(from, 0, from.length, to, 0)).toBe(to.length);
  return to.toString("hex");
}

function decoded(hex: string): string | undefined {
  const from = Buffer.from(hex, "hex");
  const to = Buffer.alloc(decodedBound(from.length) + 2, 0x7e);
  const end = decodeHuffman(from, 0, from.length, to, 1);
  expect([to[0], to[to.length - 1]]).toEqual([0x7e, 0x7e]);
  return end === -1 ? undefined : to.latin1Slice(1, end);
}

for (const [text, hex] of [
  ["", ""],
  ["www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"],
  ["no-cache", "a8eb10649cbf"],
  ["custom-key", "25a849e95ba97d7f"],
  ["custom-value", "25a849e95bb8e8b4bf"],
  ["302", "6402"],
  ["private", "aec3771a4b"],
  ["Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"],
  ["https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"],
  ["307", "640eff"],
  ["gzip", "9bd9ab"],
  [
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
  ],
] as const) {
  test(`${JSON.stringify(text)} is coded as RFC 7541 Appendix C has it`, () => {
    expect([coded(text), decoded(hex)]).toEqual([hex, text]);
  });
}

test("every byte comes back, at every place in a text", () => {
  for (let byte = 0; byte < 256; byte++) {
    for (const before of ["", "a", "&", "XX", "\0", "\xff\n"]) {
      const text = before + String.fromCharCode(byte, byte, 97, byte);
      expect(decoded(coded(text))).toBe(text);
    }
  }
});

for (const [what, hex] of [
  ["EOS", "3fffffff"],
  ["EOS behind a text", "1fffffffff"],
  ["eight bits of padding", "f1e3c2e5f23a6ba0ab90f4ffff"],
  ["nothing but eight bits of padding", "ff"],
  ["padding of zeros", "18"],
  ["padding that is not all ones", "1e"],
  ["a long code that is cut", "fffffff0"],
] as const) {
  test(`${what} is refused (RFC 7541 §5.2)`, () => {
    expect(decoded(hex)).toBeUndefined();
  });
}

test("seven bits of padding are taken", () => {
  // "aa&" is 5 + 5 + 8 bits: six of padding; "0&&" would be 21; "a" twelve times and one more make 65
  expect(decoded(coded("a".repeat(13)))).toBe("a".repeat(13));
});
