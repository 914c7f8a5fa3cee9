import { expect, test } from "bun:test";
import { hashOf, mix } from "./key-hash.ts";

test("the same text has the same hash in every version: keys stay where they are over upgrades", () => {
  expect(["", "a", "192.0.2.1", "/v1/items/42", "schön"].map(hashOf)).toMatchInlineSnapshot(`
    [
      2872998923,
      444641715,
      1941296713,
      4075600119,
      4059490649,
    ]
  `);
});

test("it is a 32-bit number, never below 0", () => {
  for (let number = 0; number < 10_000; number++) {
    const hash = hashOf(`/items/${number}`);
    expect(hash >= 0 && hash < 2 ** 32 && Number.isInteger(hash)).toBe(true);
  }
});

const KINDS: Readonly<Record<string, (number: number) => string>> = {
  addresses: (number) => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`,
  paths: (number) => `/v1/items/${number}`,
  numbers: (number) => String(number),
  "one letter further each": (number) => "a".repeat(number % 100) + String.fromCharCode(48 + number / 100),
};
for (const [kind, textOf] of Object.entries(KINDS)) {
  test(`${kind} are spread evenly by the upper and by the lower bits`, () => {
    const count = kind.startsWith("one") ? 5000 : 100_000;
    const [upper, lower] = [new Float64Array(256), new Float64Array(256)];
    for (let number = 0; number < count; number++) {
      const hash = hashOf(textOf(number));
      upper[hash >>> 24] = (upper[hash >>> 24] as number) + 1;
      lower[hash & 255] = (lower[hash & 255] as number) + 1;
    }
    for (const bins of [upper, lower]) {
      const expected = count / 256;
      const chiSquare = bins.reduce((sum, bin) => sum + (bin - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: beyond 350 once in 30,000 hashes that are even
      expect(chiSquare).toBeLessThan(350);
    }
  });
}

test("a single bit of the input changes half of the output's", () => {
  for (let bit = 0; bit < 32; bit++) {
    let changed = 0;
    for (let number = 0; number < 1000; number++) {
      let difference = mix(number * 7919) ^ mix((number * 7919) ^ (1 << bit));
      for (; difference !== 0; difference &= difference - 1) changed++;
    }
    expect(Math.abs(changed / 1000 - 16)).toBeLessThan(1);
  }
});
