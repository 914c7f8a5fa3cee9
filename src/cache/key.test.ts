import { describe, expect, test } from "bun:test";
import { type Chance, forAll, LAW_MS } from "../../tests/laws/chance.ts";
import { fieldsOfLines } from "../core/fields.ts";
import {
  cacheKey,
  deviceOf,
  forwardedKey,
  hostOfUrl,
  type KeyParts,
  originOfKey,
  routeOfKey,
  urlOfKey,
} from "./key.ts";
import type { CacheKeyPolicy } from "./policy.ts";

const PLAIN: CacheKeyPolicy = {
  query: { mode: "except", names: [] },
  sortQuery: false,
  headers: [],
  cookies: [],
  device: false,
  languages: [],
  host: undefined,
};

function partsOf(changes: Partial<KeyParts> & { lines?: string } = {}): KeyParts {
  const { lines = "", ...parts } = changes;
  return {
    route: "app",
    scheme: "https",
    authority: "example.com",
    path: "/a",
    query: "",
    requestFields: fieldsOfLines(lines),
    extra: "",
    ...parts,
  };
}

const keyOf = (policy: Partial<CacheKeyPolicy>, changes: Parameters<typeof partsOf>[0] = {}) =>
  cacheKey({ ...PLAIN, ...policy }, partsOf(changes));

describe("the primary key", () => {
  test("is route and URL (RFC 9111 §2)", () => {
    expect(keyOf({}, { query: "b=1&a" })).toBe("app\nhttps://example.com/a?b=1&a");
    expect(keyOf({})).toBe("app\nhttps://example.com/a");
  });

  test("tells scheme, host, port, path, query and route apart", () => {
    const keys = [
      keyOf({}),
      keyOf({}, { scheme: "http" }),
      keyOf({}, { authority: "example.com:8443" }),
      keyOf({}, { authority: "example.org" }),
      keyOf({}, { path: "/A" }),
      keyOf({}, { path: "/a/" }),
      keyOf({}, { query: "a" }),
      keyOf({}, { query: "a=" }),
      keyOf({}, { route: "other" }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("can be the same for all hosts of a route", () => {
    const one = keyOf({ host: "example.com" }, { authority: "a.example.com" });
    expect(one).toBe(keyOf({ host: "example.com" }, { authority: "b.example.com:81" }));
  });

  test("is read back", () => {
    for (const extra of ["", "\tproto=https"]) {
      const key = keyOf({}, { authority: "[::1]:8443", query: "x=http://y/", extra });
      expect(routeOfKey(key)).toBe("app");
      expect(urlOfKey(key)).toBe("[::1]:8443/a?x=http://y/");
      expect(originOfKey(key)).toBe("https://[::1]:8443");
    }
    expect(hostOfUrl("[::1]:8443/a?b=/c:1")).toBe("[::1]");
    expect(hostOfUrl("example.com/a:80")).toBe("example.com");
  });
});

const only = (...names: string[]) => ({ query: { mode: "only", names } }) as const;
const except = (...names: string[]) => ({ query: { mode: "except", names } }) as const;

const queries: [rule: string, policy: Partial<CacheKeyPolicy>, query: string, kept: string][] = [
  ["as it is by default", {}, "b=2&a=1&&b=1", "b=2&a=1&&b=1"],
  ["sorted by name", { sortQuery: true }, "b=2&a=1", "a=1&b=2"],
  ["equal names keep their order", { sortQuery: true }, "b=2&a=1&b=1", "a=1&b=2&b=1"],
  ["so do names that decode to the same", { sortQuery: true }, "b=1&%61=2&a=1", "%61=2&a=1&b=1"],
  ["and names that PHP takes for the same", { sortQuery: true }, "a.b=2&a_b=1&a+b=0", "a.b=2&a_b=1&a+b=0"],
  ["a parameter without value", { sortQuery: true }, "b&a", "a&b"],
  ["all but some", except("utm_source"), "utm_source=x&id=1", "id=1"],
  ["all but what begins with", except("utm_*"), "utm_source=x&utm_id=3&id=1", "id=1"],
  ["left out however it is encoded", except("utm_id"), "utm%5Fid=x&id=1", "id=1"],
  ["case counts when leaving out", except("utm_id"), "UTM_ID=x", "UTM_ID=x"],
  ["a broken escape is kept", except("a*"), "a%zz=1", "a%zz=1"],
  [
    "PHP's other spellings are kept when leaving out",
    except("utm_id"),
    "utm.id=1&utm_id[]=2",
    "utm.id=1&utm_id[]=2",
  ],
  ["a semicolon may separate: nothing is left out", except("utm_id"), "utm_id=1;page=2", "utm_id=1;page=2"],
  ["some only", only("page"), "page=2&x=1", "page=2"],
  ["some only, several times, in order", only("page"), "page=2&x=1&page=1", "page=2&page=1"],
  ["none", only(), "page=2", ""],
  ["none but these, which are not there", only("page"), "x=1", ""],
  ["an encoded name is the name", only("page"), "p%61ge=2", "p%61ge=2"],
  ["a name in capitals may be the name", only("page"), "PAGE=2", "PAGE=2"],
  ["an array may be the name (PHP, Rails)", only("page"), "page[]=2&page%5Ba%5D=1", "page[]=2&page%5Ba%5D=1"],
  ["blanks before it do not count (PHP)", only("page"), "%20page=2&+page=1", "%20page=2&+page=1"],
  ["dots are underscores (PHP)", only("my_page"), "my.page=2", "my.page=2"],
  ["a NUL ends a name (PHP)", only("page"), "page%00x=2", "page%00x=2"],
  ["a semicolon may separate: all is kept", only("page"), "x=1;page=2&y=3", "x=1;page=2&y=3"],
  ["a beginning", only("p*"), "page=2&per=1&q=1", "page=2&per=1"],
  ["sorted and chosen", { ...only("a", "b"), sortQuery: true }, "b=1&c=1&a=1", "a=1&b=1"],
];

describe("the query in a key", () => {
  test.each(queries)("%s", (_rule, policy, query, kept) => {
    expect(urlOfKey(keyOf(policy, { query }))).toBe(`example.com/a${kept === "" ? "" : `?${kept}`}`);
  });

  test(
    "some only: what a reader of queries finds under the name is in the key",
    () => {
      forAll((chance) => {
        const query = randomQuery(chance);
        const kept = urlOfKey(keyOf(only("page"), { query })).split("?")[1] ?? "";
        for (const read of READERS) expect(read(kept)).toEqual(read(query));
      });
    },
    LAW_MS,
  );

  test(
    "sorted: each name has its values in the order they came",
    () => {
      forAll((chance) => {
        const query = randomQuery(chance);
        const kept = urlOfKey(keyOf({ sortQuery: true }, { query })).split("?")[1] ?? "";
        for (const read of READERS) expect(read(kept)).toEqual(read(query));
      });
    },
    LAW_MS,
  );
});

/** Values of `page` as some readers find them. */
const READERS: readonly ((query: string) => string[])[] = [
  (query) => new URLSearchParams(query).getAll("page"),
  (query) => new URLSearchParams(query.replaceAll(";", "&")).getAll("page"),
  (query) =>
    [...new URLSearchParams(query)]
      .filter(([name]) => name.toLowerCase() === "page")
      .map(([, value]) => value),
  (query) =>
    [...new URLSearchParams(query)]
      .filter(([name]) => name.trimStart().split("[")[0] === "page")
      .map(([, value]) => value),
];

function randomQuery(chance: Chance): string {
  const names = ["page", "p%61ge", "PAGE", "page[]", "+page", "a", "b", "%62", "pag", ""];
  const count = 1 + chance.below(5);
  let query = "";
  for (let at = 0; at < count; at++) {
    const separator = at === 0 ? "" : chance.isTrue(0.1) ? ";" : "&";
    query += `${separator}${chance.pick(names)}${chance.isTrue(0.8) ? `=${chance.below(4)}` : ""}`;
  }
  return query;
}

describe("further parts of a key", () => {
  const rows: [rule: string, policy: Partial<CacheKeyPolicy>, one: string, two: string, same: boolean][] = [
    ["a field's value", { headers: ["x-a"] }, "X-A: 1\r\n", "X-A: 2\r\n", false],
    ["no other field", { headers: ["x-a"] }, "X-A: 1\r\nX-B: 1\r\n", "X-A: 1\r\n", true],
    ["missing is not empty", { headers: ["x-a"] }, "X-A: \r\n", "", false],
    [
      "several lines are one list (RFC 9110 §5.3)",
      { headers: ["x-a"] },
      "X-A: 1\r\nX-A: 2\r\n",
      "x-a: 1, 2\r\n",
      true,
    ],
    ["which name has the value", { headers: ["x-a", "x-b"] }, "X-A: 1\r\n", "X-B: 1\r\n", false],
    [
      "a value cannot pass for a line",
      { headers: ["x-a", "x-b"] },
      "X-A: 1 +h x-b:2\r\n",
      "X-A: 1\r\nX-B: 2\r\n",
      false,
    ],
    ["a cookie", { cookies: ["id"] }, "Cookie: a=1; id=2\r\n", "Cookie: a=1; id=3\r\n", false],
    ["no other cookie", { cookies: ["id"] }, "Cookie: a=1; id=2\r\n", "Cookie: id=2; b=3\r\n", true],
    [
      "a cookie in another line",
      { cookies: ["id"] },
      "Cookie: a=1\r\nCookie: id=2\r\n",
      "Cookie: id=2\r\n",
      true,
    ],
    ["the comma in a cookie", { cookies: ["id"] }, "Cookie: id=2,x\r\n", "Cookie: id=2\r\n", false],
    ["all cookies of the name", { cookies: ["id"] }, "Cookie: id=2; id=3\r\n", "Cookie: id=2\r\n", false],
    ["a missing cookie is not empty", { cookies: ["id"] }, "Cookie: id=\r\n", "Cookie: a=1\r\n", false],
    [
      "the language",
      { languages: ["en", "de"] },
      "Accept-Language: de\r\n",
      "Accept-Language: en\r\n",
      false,
    ],
    [
      "the best language",
      { languages: ["en", "de"] },
      "Accept-Language: de-AT, fr\r\n",
      "Accept-Language: fr;q=0.3, de\r\n",
      true,
    ],
    ["no language is the first", { languages: ["en", "de"] }, "Accept-Language: fr\r\n", "", true],
    ["the device", { device: true }, "User-Agent: iPhone Mobile\r\n", "User-Agent: X11\r\n", false],
  ];

  for (const [rule, policy, one, two, same] of rows) {
    test(rule, () => {
      expect(keyOf(policy, { lines: one }) === keyOf(policy, { lines: two })).toBe(same);
    });
  }

  test("long values count whole, and take little room", () => {
    const key = (value: string) => keyOf({ headers: ["x-a"] }, { lines: `X-A: ${value}\r\n` });
    const long = "x".repeat(5000);
    expect(key(long).length).toBeLessThan(120);
    expect(key(long)).not.toBe(key(`${long}y`));
    expect(key(long)).toBe(key(long));
  });

  test(
    "two different requests never have one key, whatever is in them",
    () => {
      const policy = { headers: ["a", "b"], cookies: ["c"] };
      forAll((chance) => {
        const one = randomRequest(chance);
        const name = chance.pick(Object.keys(one) as (keyof RandomRequest)[]);
        const two = chance.isTrue(0.5)
          ? { ...one, [name]: randomRequest(chance)[name] }
          : randomRequest(chance);
        const isSame = JSON.stringify(Object.values(one)) === JSON.stringify(Object.values(two));
        expect(keyOfRequest(policy, one) === keyOfRequest(policy, two)).toBe(isSame);
      });
    },
    LAW_MS,
  );
});

interface RandomRequest {
  readonly authority: string;
  readonly path: string;
  readonly a: string;
  readonly b: string;
  readonly c: string;
  readonly extra: string;
}

/** What field values may hold, and what separates in keys. */
const text = (chance: Chance) => chance.text(chance.below(6), "a:;+-~ h\tx=.");

function randomRequest(chance: Chance): RandomRequest {
  const [authority, path] = [
    chance.text(1 + chance.below(3), "a.:1"),
    chance.text(chance.below(5), "a+:;~-"),
  ];
  const c = chance.text(chance.below(4), "a:=.");
  return { authority, path, a: text(chance), b: text(chance), c, extra: text(chance) };
}

function keyOfRequest(policy: Partial<CacheKeyPolicy>, request: RandomRequest): string {
  const { authority, path, a, b, c, extra } = request;
  const lines = `a: ${a}\r\nb: ${b}\r\nCookie: c=${c}\r\n`;
  return keyOf(policy, { authority, path: `/${path}`, extra, lines });
}

describe("classes", () => {
  const agents: [agent: string, device: ReturnType<typeof deviceOf>][] = [
    ["Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "desktop"],
    ["Mozilla/5.0 (Windows NT 6.1; Tablet PC 2.0) like Gecko", "desktop"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1", "mobile"],
    ["Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120.0 Mobile Safari/537.36", "mobile"],
    ["Mozilla/5.0 (Linux; Android 14; SM-X900) Chrome/120.0 Safari/537.36", "tablet"],
    ["Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Mobile/15E148", "tablet"],
    ["Mozilla/5.0 (Android 13; Tablet; rv:120.0) Gecko", "tablet"],
    ["Opera/9.80 (J2ME/MIDP; Opera Mini/7.1) Presto", "mobile"],
    ["curl/8.5.0", "desktop"],
    ["", "desktop"],
  ];
  test.each(agents)("%s", (agent, device) => {
    expect(deviceOf(agent)).toBe(device);
  });
});

describe("what a trusted proxy said", () => {
  const rows: [rule: string, lines: string, text: string][] = [
    ["nothing", "X-Forwarded-For: 1.2.3.4\r\n", ""],
    ["host and scheme", "X-Forwarded-Host: a\r\nX-Forwarded-Proto: https\r\n", "\thost=a\tproto=https"],
    ["port and prefix", "X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /p\r\n", "\tport=1\tprefix=/p"],
    [
      "Forwarded without the client (RFC 7239 §5)",
      'Forwarded: for=1.2.3.4;host="a:1";proto=https\r\n',
      '\thost:"a:1"\tproto:https',
    ],
    ["several hops", "Forwarded: Host=a, for=_x;host=b\r\n", "\thost:a\thost:b"],
  ];
  test.each(rows)("%s", (_rule, lines, text) => {
    expect(forwardedKey(fieldsOfLines(lines))).toBe(text);
  });
});
