/** Character classes of HTTP, held against the grammar written as patterns. */
import { expect, test } from "bun:test";
import { HEX_VALUE, IS_DIGIT, IS_TARGET, IS_TOKEN, IS_VALUE, isFieldValue, isToken, LOWER } from "./bytes.ts";

const CLASSES: readonly (readonly [name: string, table: Uint8Array, pattern: RegExp])[] = [
  ["tchar (RFC 9110 §5.6.2)", IS_TOKEN, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/],
  ["field value bytes (RFC 9110 §5.5)", IS_VALUE, /^[\t -~\x80-\xff]$/],
  ["target bytes (RFC 3986, and what browsers send)", IS_TARGET, /^[!$-;=?-~]$/],
  ["digits", IS_DIGIT, /^[0-9]$/],
];

for (const [name, table, pattern] of CLASSES) {
  test(`${name}: all 256 bytes are in or out as the grammar says`, () => {
    for (let byte = 0; byte < 256; byte++) {
      expect([byte, table[byte]]).toEqual([byte, pattern.test(String.fromCharCode(byte)) ? 1 : 0]);
    }
  });
}

test("hex digits have their value in both cases, every other byte has none", () => {
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte);
    expect([byte, HEX_VALUE[byte]]).toEqual([
      byte,
      /^[0-9a-fA-F]$/.test(char) ? Number.parseInt(char, 16) : -1,
    ]);
  }
});

test("lower case changes ASCII letters only", () => {
  for (let byte = 0; byte < 256; byte++) {
    expect(LOWER[byte]).toBe(byte >= 65 && byte <= 90 ? byte + 32 : byte);
  }
});

test("a token has at least one character, and no other than token characters", () => {
  expect(["a", "X-1", "!#$%&'*+-.^_`|~"].every(isToken)).toBe(true);
  expect(["", " ", "a b", "a:", "a\0", "é", "a\u0100", "(", "\u{1f600}"].some(isToken)).toBe(false);
});

test("a field value holds no control byte and nothing past Latin-1", () => {
  expect(["", "a b\tc", "\xe9\xff"].every(isFieldValue)).toBe(true);
  expect(["a\r\nb", "\n", "\0", "\x7f", "\x0b", "\u0100", "\u{1f600}"].some(isFieldValue)).toBe(false);
});
