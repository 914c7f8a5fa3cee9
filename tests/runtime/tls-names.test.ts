/**
 * The cipher suites and key exchange groups that a configuration may name are those that the runtime takes.
 */
import { describe, expect, test } from "bun:test";
import { createSecureContext } from "node:tls";
import { CIPHER_SUITES, CURVES, POLICIES } from "../../src/tls/policy.table.ts";

test.each(CIPHER_SUITES.map(({ name }) => name))("the runtime has the cipher suite %s", (ciphers) => {
  expect(() => createSecureContext({ ciphers })).not.toThrow();
});

test.each(CURVES.map(({ name }) => name))("the runtime has the key exchange group %s", (ecdhCurve) => {
  expect(() => createSecureContext({ ecdhCurve })).not.toThrow();
});

test("a name that it does not know is refused, so the tests above say something", () => {
  expect(() => createSecureContext({ ciphers: "DHE-RSA-AES128-GCM-SHA256" })).toThrow();
  expect(() => createSecureContext({ ecdhCurve: "x448" })).toThrow();
});

describe.each(Object.entries(POLICIES))("the policy %s", (_, { ciphers, curves }) => {
  test("is taken as a whole, and holds nothing weak", () => {
    expect(() =>
      createSecureContext({ ciphers: ciphers.join(":"), ecdhCurve: curves.join(":") }),
    ).not.toThrow();
    const weak = CIPHER_SUITES.filter(({ weakness }) => weakness !== "").map(({ name }) => name);
    expect(ciphers.filter((name) => weak.includes(name))).toEqual([]);
  });
});
