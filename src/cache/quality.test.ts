import { describe, expect, test } from "bun:test";
import { forAll, LAW_MS } from "../../tests/laws/chance.ts";
import { bestLanguage, codingsOf, favouriteOf, normaliseWishes, parseWishes } from "./quality.ts";

const lists: [value: string, normal: string | undefined][] = [
  ["", ""],
  ["en", "en"],
  ["EN , de", "de,en"],
  ["en;q=0.5,de;q=0.8", "de;q=0.8,en;q=0.5"],
  ["en; Q=0.500", "en;q=0.5"],
  ["a/b;x=Y;q=0.1;z", "a/b;x=Y;z;q=0.1"],
  ["*;q=0", "*;q=0"],
  ["en,,en", "en"],
  ["en;q=1.001", undefined],
  ["en;q=0.1234", undefined],
  ["en;q=", undefined],
  ["e n", undefined],
  [";q=1", undefined],
  ['a;x="1,2"', undefined],
  ["a,".repeat(80), undefined],
];

describe("lists with qualities (RFC 9110 §12.4.2)", () => {
  test.each(lists)("%s", (value, normal) => {
    const wishes = parseWishes(value);
    expect(wishes === undefined ? undefined : normaliseWishes(wishes)).toBe(normal);
  });

  test(
    "the normal form is its own, and order does not matter",
    () => {
      forAll((chance) => {
        const items = Array.from(
          { length: 1 + chance.below(5) },
          () => `${chance.pick(["a", "b-c", "*"])};q=0.${chance.below(10)}`,
        );
        const normal = normaliseWishes(parseWishes(items.join(", ")) ?? []);
        expect(normaliseWishes(parseWishes(normal) ?? [])).toBe(normal);
        expect(normaliseWishes(parseWishes(items.toReversed().join(",")) ?? [])).toBe(normal);
      });
    },
    LAW_MS,
  );
});

test("a favourite is wanted before all others", () => {
  const favourite = (value: string) => favouriteOf(parseWishes(value) ?? []);
  expect(favourite("de, en;q=0.9")).toBe("de");
  expect(favourite("en;q=0.2, de;q=0.3")).toBe("de");
  expect(favourite("de, en")).toBeUndefined();
  expect(favourite("de, DE")).toBe("de");
  expect(favourite("*")).toBeUndefined();
  expect(favourite("de;q=0")).toBeUndefined();
  expect(favourite("")).toBeUndefined();
});

const SITE = ["en-US", "de", "pt-BR", "pt"];
const best: [value: string | undefined, language: string][] = [
  [undefined, "en-US"],
  ["de", "de"],
  ["DE", "de"],
  ["de-CH", "de"],
  ["de-Latn-CH", "de"],
  ["en", "en-US"],
  ["en-GB", "en-US"],
  ["pt", "pt"],
  ["pt-br", "pt-BR"],
  ["fr, de;q=0.1", "de"],
  ["de;q=0.5, pt;q=0.6", "pt"],
  ["de, pt", "de"],
  ["*", "en-US"],
  ["en-US;q=0, *", "de"],
  ["de;q=0", "en-US"],
  ["fr", "en-US"],
  ["d e", "en-US"],
];

describe("the best of a site's languages (RFC 4647 §3.4)", () => {
  test.each(best)("%s", (value, language) => {
    expect(bestLanguage(value, SITE)).toBe(language);
  });
});

const codings: [value: string, set: string][] = [
  ["gzip", "gzip"],
  ["gzip, deflate, br, zstd", "zstd,br,gzip"],
  ["x-gzip", "gzip"],
  ["br;q=0.001", "br"],
  ["*;q=0.1", "zstd,br,gzip"],
  ["*;q=0, gzip", "gzip"],
  ["gzip;q=0, *", "zstd,br"],
  ["identity", "identity"],
  ["", "identity"],
  ["gzip, b r", "identity"],
];

describe("codings as a set (RFC 9110 §12.5.3)", () => {
  test.each(codings)("%s", (value, set) => {
    expect(codingsOf(value)).toBe(set);
  });
});
