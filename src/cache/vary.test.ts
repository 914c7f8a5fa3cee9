import { describe, expect, test } from "bun:test";
import { type Chance, forAll, LAW_MS } from "../../tests/laws/chance.ts";
import { fieldsOfLines } from "../core/fields.ts";
import type { CacheVaryPolicy } from "./policy.ts";
import {
  encodingToSend,
  indexLines,
  indexWith,
  languageVariantKey,
  readIndex,
  secondaryKey,
  tellsApart,
  type VaryIndex,
  variantKey,
  variantKeyOf,
  varyNames,
} from "./vary.ts";

const PLAIN: CacheVaryPolicy = { encoding: false, languages: [], ignore: [] };
const SETS: CacheVaryPolicy = { ...PLAIN, encoding: true };

const names: [rule: string, lines: string, names: readonly string[] | "*", policy?: CacheVaryPolicy][] = [
  ["no Vary", "", []],
  ["an empty one", "Vary: \r\n", []],
  ["one name", "Vary: Foo\r\n", ["foo"]],
  ["several, sorted, each once (§4.1)", "Vary: Foo,bar , FOO\r\n", ["bar", "foo"]],
  ["several lines", "Vary: Foo\r\nvary: Bar\r\n", ["bar", "foo"]],
  ["empty items (RFC 9110 §5.6.1.2)", "Vary: , Foo,,\r\n", ["foo"]],
  ["*", "Vary: *\r\n", "*"],
  ["* twice", "Vary: *, *\r\n", "*"],
  ["* on another line", "Vary: Foo\r\nVary: *\r\n", "*"],
  ["* among names", "Vary: Foo, *, Bar\r\n", "*"],
  ["* after nothing", "Vary: , *\r\n", "*"],
  ["what is no name selects nothing that is known", "Vary: Foo bar\r\n", "*"],
  ["a name that does not count", "Vary: Foo, User-Agent\r\n", ["foo"], { ...PLAIN, ignore: ["user-agent"] }],
  ["what only an endpoint is told of the client cannot be compared", "Vary: X-Forwarded-For\r\n", "*"],
  ["nor a certificate", "Vary: Foo, Client-Cert\r\n", "*"],
  [
    "unless the route says that it does not count",
    "Vary: X-Real-Ip\r\n",
    [],
    { ...PLAIN, ignore: ["x-real-ip"] },
  ],
  ["the scheme is in the key", "Vary: X-Forwarded-Proto, Foo\r\n", ["foo"]],
  ["the host that endpoints are told is the host", "Vary: X-Forwarded-Host\r\n", ["host"]],
  ["* cannot be left out by a name", "Vary: *\r\n", "*", { ...PLAIN, ignore: ["foo"] }],
  [
    "32 names",
    `Vary: ${Array.from({ length: 32 }, (_, at) => `a${at + 10}`).join()}\r\n`,
    Array.from({ length: 32 }, (_, at) => `a${at + 10}`),
  ],
  ["33 are too many", `Vary: ${Array.from({ length: 33 }, (_, at) => `a${at}`).join()}\r\n`, "*"],
];

describe("names in Vary", () => {
  test.each(names)("%s", (_rule, lines, expected, policy = PLAIN) => {
    expect(varyNames(fieldsOfLines(lines), policy)).toEqual(expected);
  });
});

const AE = "Accept-Encoding";
const AL = "Accept-Language";
const keys: [
  rule: string,
  name: string,
  one: string,
  two: string,
  same: boolean,
  policy?: CacheVaryPolicy,
][] = [
  ["the same", "foo", "Foo: 1\r\n", "Foo: 1\r\n", true],
  ["another value", "foo", "Foo: 1\r\n", "Foo: 2\r\n", false],
  ["case of a value counts", "foo", "Foo: a\r\n", "Foo: A\r\n", false],
  ["missing in both", "foo", "", "Bar: 1\r\n", true],
  ["missing in one", "foo", "", "Foo: 1\r\n", false],
  ["missing is not empty", "foo", "", "Foo: \r\n", false],
  ["other fields", "foo", "Foo: 1\r\nBar: 1\r\n", "Bar: 2\r\nFoo: 1\r\n", true],
  ["lines and lists", "foo", "Foo: 1\r\nFoo: 2\r\n", "Foo: 1, 2\r\n", true],
  ["blanks around commas", "foo", "Foo: 1,2\r\n", "Foo: 1 ,  2\r\n", true],
  ["blanks elsewhere", "foo", "Foo: 1 2\r\n", "Foo: 1  2\r\n", false],
  ["the order of a list", "foo", "Foo: 1,2\r\n", "Foo: 2,1\r\n", false],
  ["blanks in quotes", "foo", 'Foo: "1, 2"\r\n', 'Foo: "1,2"\r\n', false],
  ["a cookie is no list", "cookie", "Cookie: a=1, 2\r\n", "Cookie: a=1,2\r\n", false],
  ["nor is a User-Agent", "user-agent", "User-Agent: a, b\r\n", "User-Agent: a,b\r\n", false],
  ["languages: order among equals", "accept-language", `${AL}: en, de\r\n`, `${AL}: de, en\r\n`, true],
  ["languages: case", "accept-language", `${AL}: en, de\r\n`, `${AL}: eN, De\r\n`, true],
  ["languages: blanks", "accept-language", `${AL}: en, de\r\n`, `${AL}: en ,   de\r\n`, true],
  [
    "languages: order of qualities",
    "accept-language",
    `${AL}: en;q=0.5, de\r\n`,
    `${AL}: de, en;q=0.50\r\n`,
    true,
  ],
  ["languages: another quality", "accept-language", `${AL}: en;q=0.5, de\r\n`, `${AL}: en, de\r\n`, false],
  ["languages: q=1 goes without saying", "accept-language", `${AL}: en;q=1.0\r\n`, `${AL}: en\r\n`, true],
  ["languages: unwanted is not unsaid", "accept-language", `${AL}: en, de;q=0\r\n`, `${AL}: en\r\n`, false],
  [
    "languages: a broken list is itself",
    "accept-language",
    `${AL}: en, d e\r\n`,
    `${AL}: d e, en\r\n`,
    false,
  ],
  [
    "languages of the site",
    "accept-language",
    `${AL}: de-CH, fr\r\n`,
    `${AL}: de;q=0.1\r\n`,
    true,
    { ...PLAIN, languages: ["en", "de"] },
  ],
  ["types: parameters count", "accept", "Accept: a/b;v=1\r\n", "Accept: a/b;v=2\r\n", false],
  ["types: order", "accept", "Accept: a/b;q=0.8, text/*\r\n", "Accept: text/*,a/b; q=0.8\r\n", true],
  ["codings as written", "accept-encoding", `${AE}: gzip, deflate\r\n`, `${AE}: gzip\r\n`, false],
  ["codings: order", "accept-encoding", `${AE}: gzip, br\r\n`, `${AE}: br, gzip\r\n`, true],
  [
    "codings as a set",
    "accept-encoding",
    `${AE}: gzip, deflate, br\r\n`,
    `${AE}: br;q=0.3, x-gzip\r\n`,
    true,
    SETS,
  ],
  ["codings as a set: *", "accept-encoding", `${AE}: *\r\n`, `${AE}: zstd, br, gzip\r\n`, true, SETS],
  ["codings as a set: refused", "accept-encoding", `${AE}: br, gzip;q=0\r\n`, `${AE}: br\r\n`, true, SETS],
  ["codings as a set: none", "accept-encoding", `${AE}: deflate\r\n`, `${AE}: identity\r\n`, true, SETS],
  ["codings as a set: different ones", "accept-encoding", `${AE}: br\r\n`, `${AE}: gzip\r\n`, false, SETS],
  ["codings as a set: missing is another wish", "accept-encoding", "", `${AE}: identity\r\n`, false, SETS],
];

describe("what selects the same variant (RFC 9111 §4.1)", () => {
  for (const [rule, name, one, two, same, policy = PLAIN] of keys) {
    test(rule, () => {
      const [first, second] = [one, two].map((lines) => secondaryKey([name], fieldsOfLines(lines), policy));
      expect(first === second).toBe(same);
    });
  }

  test("several names all count, whatever is in which", () => {
    const key = (lines: string) => secondaryKey(["bar", "baz", "foo"], fieldsOfLines(lines), PLAIN);
    expect(key("Foo: 1\r\nBar: abc\r\nBaz: 789\r\n")).toBe(key("Baz: 789\r\nFoo: 1\r\nBar: abc\r\n"));
    expect(key("Foo: 1\r\nBaz: 789\r\n")).toBe("-bar\n-baz:789\n-foo:1");
    expect(key("Foo: 1\r\nBar: 2\r\n")).not.toBe(key("Foo: 2\r\nBar: 1\r\n"));
  });

  test("long values count whole, and take little room", () => {
    const key = (value: string) => secondaryKey(["foo"], fieldsOfLines(`Foo: ${value}\r\n`), PLAIN);
    expect(key("x".repeat(9999)).length).toBeLessThan(60);
    expect(key("x".repeat(9999))).not.toBe(key("x".repeat(9998)));
  });

  test(
    "different values never select one variant",
    () => {
      const text = (chance: Chance) => chance.text(chance.below(5), "a:;-\t =x");
      forAll((chance) => {
        const [one, two] = [text(chance), text(chance)].map((value) => value.trim());
        const [three, four] = [text(chance), text(chance)].map((value) => value.trim());
        const key = (a: string | undefined, b: string | undefined) =>
          secondaryKey(["a", "b"], fieldsOfLines(`a: ${a}\r\nb: ${b}\r\n`), PLAIN);
        expect(key(one, two) === key(three, four)).toBe(one === three && two === four);
      });
    },
    LAW_MS,
  );
});

test("what an origin is told of codings is what the key says of them", () => {
  const told = (lines: string, policy = SETS) => encodingToSend(fieldsOfLines(lines), policy);
  expect(told(`${AE}: gzip, deflate;q=0.5, br\r\n`)).toBe("br,gzip");
  expect(told(`${AE}: deflate\r\n`)).toBe("identity");
  expect(told("")).toBeUndefined();
  expect(told(`${AE}: gzip, deflate\r\n`, PLAIN)).toBeUndefined();
});

function stored(index: VaryIndex) {
  return fieldsOfLines(indexLines(index));
}

function withVariant(previous: VaryIndex | undefined, vary: string, request = "", response = ""): VaryIndex {
  const responseFields = fieldsOfLines(`Vary: ${vary}\r\n${response}`);
  const found = varyNames(responseFields, PLAIN);
  if (found === "*") throw new Error("*");
  return indexWith(previous, { names: found, request: fieldsOfLines(request), response: responseFields });
}

describe("the index of variants", () => {
  test("is read as it was stored", () => {
    const index = withVariant(
      undefined,
      "Foo, Accept-Language",
      `${AL}: en, de;q=0.5\r\n`,
      "Content-Language: de\r\n",
    );
    expect(readIndex(stored(index))).toEqual(index);
    expect([...index.languages]).toEqual([["de", "en,de;q=0.5"]]);
  });

  test("does not change when it says all already", () => {
    const index = withVariant(undefined, "Foo");
    expect(withVariant(index, "foo", "Foo: 2\r\n")).toBe(index);
  });

  test("keeps the names of earlier variants: what differs is never one", () => {
    const index = withVariant(withVariant(undefined, "Foo"), "Bar");
    expect(index.names).toEqual(["bar", "foo"]);
  });

  test("forgets them when they become too many", () => {
    let index: VaryIndex | undefined;
    for (let at = 0; at < 40; at++) index = withVariant(index, `a${at}`);
    expect(index?.names.length).toBeLessThanOrEqual(32);
    expect(index?.names).toContain("a39");
  });

  test("knows eight languages at most", () => {
    let index: VaryIndex | undefined;
    for (let at = 0; at < 20; at++) {
      index = withVariant(index, AL, `${AL}: l${at}\r\n`, `Content-Language: l${at}\r\n`);
    }
    expect([...(index?.languages.keys() ?? [])]).toEqual([
      "l12",
      "l13",
      "l14",
      "l15",
      "l16",
      "l17",
      "l18",
      "l19",
    ]);
  });

  test("a variant is found under the key that it was stored under", () => {
    const request = fieldsOfLines("Foo: 1\r\nBar: 2\r\n");
    const index = withVariant(undefined, "Foo, Bar");
    expect(variantKey("key", stored(index), request, PLAIN)).toBe("key\n-bar:2\n-foo:1");
    expect(variantKeyOf("key", index, request, PLAIN)).toBe("key\n-bar:2\n-foo:1");
  });
});

const LANGUAGES = withVariant(undefined, AL, `${AL}: en, de\r\n`, "Content-Language: de\r\n");

const languages: [rule: string, value: string, isFound: boolean, policy?: CacheVaryPolicy][] = [
  ["the favourite is there", "fr;q=0.5, de;q=1.0", true],
  ["in another case", "DE, fr;q=0.5", true],
  ["it is the only wish", "de", true],
  ["another is wanted as much: the origin may have it", "fr, de", false],
  ["it is wanted less than another", "fr, de;q=0.9", false],
  ["a kind of it is wanted", "de-CH", false],
  ["any is wanted", "*", false],
  ["it is not wanted", "de;q=0", false],
  ["the wish is the variant's own", "de, en", false],
  ["a broken wish", "de;;q=x", false],
  ["languages are a set of the route", "de", false, { ...PLAIN, languages: ["de", "en"] }],
];

describe("a variant found by its language (RFC 9110 §12.5.4)", () => {
  test.each(languages)("%s", (_rule, value, isFound, policy = PLAIN) => {
    const key = languageVariantKey("key", stored(LANGUAGES), fieldsOfLines(`${AL}: ${value}\r\n`), policy);
    expect(key).toBe(isFound ? "key\n-accept-language:de,en" : undefined);
  });

  test("without a wish there is none", () => {
    expect(languageVariantKey("key", stored(LANGUAGES), fieldsOfLines(""), PLAIN)).toBeUndefined();
  });

  test("what else Vary names has to be the same", () => {
    const index = withVariant(LANGUAGES, `Foo, ${AL}`);
    const request = fieldsOfLines(`${AL}: de\r\nFoo: 7\r\n`);
    expect(languageVariantKey("key", stored(index), request, PLAIN)).toBe(
      "key\n-accept-language:de,en\n-foo:7",
    );
  });

  test("an origin that says nothing of the language teaches nothing", () => {
    expect(withVariant(undefined, AL, `${AL}: de\r\n`).languages.size).toBe(0);
    expect(withVariant(undefined, AL, `${AL}: de\r\n`, "Content-Language: de, en\r\n").languages.size).toBe(
      0,
    );
    expect(withVariant(undefined, AL, "", "Content-Language: de\r\n").languages.size).toBe(0);
    expect(withVariant(undefined, "Foo", `${AL}: de\r\n`, "Content-Language: de\r\n").languages.size).toBe(0);
  });
});

test("a key tells apart the names that it has a line for, whatever their values", () => {
  const request = fieldsOfLines(`X-A: 1\r\nX-Long: ${"x".repeat(500)}\r\nX-Empty:\r\n`);
  const key = variantKeyOf(
    "r\nhttp://a/-x-z",
    { names: ["x-a", "x-empty", "x-long", "x-none"], languages: new Map() },
    request,
    PLAIN,
  );
  const has = (...names: string[]) => tellsApart(`${key}\n#3`, "r\nhttp://a/-x-z", names);
  expect([has(), has("x-a"), has("x-a", "x-empty", "x-long", "x-none")]).toEqual([true, true, true]);
  expect([has("x-"), has("x-z"), has("x-a", "x-b"), has("x-lon")]).toEqual([false, false, false, false]);
});
