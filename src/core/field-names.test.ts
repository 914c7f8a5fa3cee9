/** Known field names: found by their bytes in any case, and nothing else is. */
import { expect, test } from "bun:test";
import {
  CERTIFICATE_NAMES,
  FAMILY_IDS,
  FIRST_SHARED_ID,
  FOLDED_NAMES,
  ID_UNKNOWN,
  KNOWN_NAMES,
} from "./field-names.table.ts";
import { fieldIdAt, fieldIdOf, fieldMask } from "./field-names.ts";

const idOf = (name: string) => {
  const bytes = Buffer.from(`..${name}..`, "latin1");
  return fieldIdAt(bytes, 2, 2 + Buffer.byteLength(name, "latin1"));
};

test("there is room for every row: ids stay under those that are shared", () => {
  expect(KNOWN_NAMES.length).toBeLessThanOrEqual(FIRST_SHARED_ID);
  expect(new Set(KNOWN_NAMES).size).toBe(KNOWN_NAMES.length);
  for (const name of KNOWN_NAMES) expect(name).toBe(name.toLowerCase() as typeof name);
});

test("every known name is found in any case, by bytes and by text", () => {
  for (const [id, name] of KNOWN_NAMES.entries()) {
    expect(fieldIdOf(name)).toBe(id);
    for (const spelt of [name, name.toUpperCase(), name.replace(/^./, (letter) => letter.toUpperCase())]) {
      expect([spelt, idOf(spelt)]).toEqual([spelt, id]);
    }
  }
});

test("a known name with one byte more, less or changed is unknown", () => {
  for (const name of KNOWN_NAMES) {
    for (let at = 0; at <= name.length; at++) {
      for (const other of [
        `${name.slice(0, at)}q${name.slice(at)}`,
        name.slice(0, at) + name.slice(at + 1),
      ]) {
        if (other !== name && fieldIdOf(other) === ID_UNKNOWN)
          expect([other, idOf(other)]).toEqual([other, ID_UNKNOWN]);
      }
      // the bit that tells upper from lower case also pairs other bytes: they are no letters
      const flipped = String.fromCharCode(name.charCodeAt(at) ^ 64);
      if (at < name.length) expect(idOf(name.slice(0, at) + flipped + name.slice(at + 1))).toBe(ID_UNKNOWN);
    }
  }
});

test("names too long, too short or empty are unknown", () => {
  for (const name of ["", "x", "xx", "xxx", "x".repeat(31), "x".repeat(32), "x".repeat(5000)])
    expect(idOf(name)).toBe(ID_UNKNOWN);
  expect(fieldIdOf("Host")).toBe(ID_UNKNOWN);
});

test("each of FOLDED_NAMES in every mix of hyphens and underscores is one family (RFC 3875 §4.1.18)", () => {
  for (const name of FOLDED_NAMES) {
    expect(idOf(name)).toBe(fieldIdOf(name));
    expect(fieldIdOf(name)).toBeLessThan(FAMILY_IDS.underscored);
    for (const spelt of mixesOf(name)) {
      expect([spelt, idOf(spelt.toUpperCase())]).toEqual([spelt, FAMILY_IDS.underscored]);
      expect([spelt, fieldIdOf(spelt)]).toEqual([spelt, FAMILY_IDS.underscored]);
    }
  }
});

/** Every spelling with at least one underscore for a hyphen. */
function mixesOf(name: string): string[] {
  const words = name.split("-");
  const count = 2 ** (words.length - 1);
  return Array.from({ length: count - 1 }, (_, bits) =>
    words.reduce((text, word, at) => `${text}${((bits + 1) >> (at - 1)) & 1 ? "_" : "-"}${word}`),
  );
}

test("names about the client's certificate are one family", () => {
  for (const name of CERTIFICATE_NAMES) {
    expect([name, idOf(name), fieldIdOf(name)]).toEqual([
      name,
      FAMILY_IDS["client certificate"],
      FAMILY_IDS["client certificate"],
    ]);
  }
  for (const name of [
    "client-certs",
    "x-client-cert",
    "x-client-cert-sans",
    "client-cert-",
    "client_certificate",
  ]) {
    expect([name, idOf(name), fieldIdOf(name)]).toEqual([name, ID_UNKNOWN, ID_UNKNOWN]);
  }
});

test("underscores make no other name known: content_length is not Content-Length", () => {
  for (const name of [
    "content_length",
    "transfer_encoding",
    "x_forwarded",
    "x_forwarded_fox",
    "x_real_up",
    "user_agent",
  ]) {
    expect(idOf(name)).toBe(ID_UNKNOWN);
  }
});

test("a mask has one bit a name, in the word of its id", () => {
  expect(fieldMask()).toEqual({ low: 0, high: 0 });
  for (const [id, name] of KNOWN_NAMES.entries()) {
    expect(fieldMask(name)).toEqual(id < 32 ? { low: 1 << id, high: 0 } : { low: 0, high: 1 << (id - 32) });
  }
  expect(fieldMask("client certificate", "underscored")).toEqual({ low: 0, high: (1 << 28) | (1 << 29) });
  expect(fieldMask("connection", "host").low).toBe((1 << fieldIdOf("connection")) | (1 << fieldIdOf("host")));
});
