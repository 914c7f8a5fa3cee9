import { describe, expect, test } from "bun:test";
import { parseHeader, purgeCache, showCached, topCached } from "./cache-answers.ts";
import type { CacheQuestion, PurgeWish } from "./cache-status.ts";
import type { AdminHooks } from "./status.ts";

function hooksThat(refusal?: { readonly status: 409; readonly error: string }) {
  const wishes: PurgeWish[] = [];
  const questions: CacheQuestion[] = [];
  const hooks = {
    purge: (wish: PurgeWish) => {
      wishes.push(wish);
      return Promise.resolve(refusal ?? { kind: wish.kind });
    },
    showCached: (question: CacheQuestion) => {
      questions.push(question);
      return Promise.resolve({ url: question.url });
    },
    topCached: (limit: number) => Promise.resolve({ looked: limit }),
  } as unknown as AdminHooks;
  return { hooks, wishes, questions };
}

describe("a purge that is not understood changes nothing", () => {
  const rows: readonly [what: string, body: unknown, message: string][] = [
    ["nothing to purge", {}, "say what to purge: one of url, prefix, tag, host, all"],
    ["two kinds", { url: "a.test/", all: true }, "say what to purge: one of url, prefix, tag, host, all"],
    ["a misspelt key", { tags: "a" }, 'unknown key "tags"; did you mean "tag"?'],
    ["no name", { host: [] }, "host has 1 to 1000 names"],
    ["too many names", { tag: Array(1001).fill("a") }, "tag has 1 to 1000 names"],
    ["no text", { url: 7 }, "url is a text of 1 to 8192 printable characters, or a list of such"],
    [
      "control characters",
      { tag: "a\nb" },
      "tag is a text of 1 to 8192 printable characters, or a list of such",
    ],
    ["a soft that is a word", { all: true, soft: "yes" }, "soft is true or false"],
    ["all but", { all: false }, "all is true, or left out"],
    [
      "a name that forges lines",
      { all: true, by: "eve\n" },
      "by is one line of text of at most 100 characters",
    ],
    ["no object", ["a"], "the body is not a JSON object"],
  ];
  for (const [what, body, error] of rows) {
    test(what, async () => {
      const { hooks, wishes } = hooksThat();
      expect(await purgeCache(hooks, JSON.stringify(body), "unix")).toEqual({ status: 400, error });
      expect(wishes).toEqual([]);
    });
  }

  test("no JSON", async () => {
    expect(await purgeCache(hooksThat().hooks, "{", "unix")).toMatchObject({ status: 400 });
  });
});

test("one name and a list of names are the same wish", async () => {
  const { hooks, wishes } = hooksThat();
  for (const tag of ["a", ["a"]]) await purgeCache(hooks, JSON.stringify({ tag, soft: true }), "unix");
  const wish = { kind: "tag", names: ["a"], isSoft: true, by: "" } as const;
  expect(wishes).toEqual([wish, wish]);
});

test("a refusal is handed on as it is", async () => {
  const refusal = { status: 409, error: "nothing is cached" } as const;
  expect(await purgeCache(hooksThat(refusal).hooks, '{"all":true}', "unix")).toEqual(refusal);
});

describe("what is stored is asked for with a URL and request fields", () => {
  test("both come as they were written", async () => {
    const { hooks, questions } = hooksThat();
    const query = new URLSearchParams([
      ["url", "https://a.test/x?y=1&z"],
      ["header", "Accept-Language: de"],
      ["header", "X-A:b"],
    ]);
    await showCached(hooks, `http://127.0.0.1/api/v1/cache/show?${query}`);
    const headers: CacheQuestion["headers"] = [
      ["Accept-Language", "de"],
      ["X-A", "b"],
    ];
    expect(questions).toEqual([{ url: "https://a.test/x?y=1&z", headers }]);
  });

  for (const wrong of ["", "?url=", "?url=a.test&header=no", "?url=a.test&header=A:%0Ab"]) {
    test(`"${wrong}" is refused`, async () => {
      const { hooks, questions } = hooksThat();
      expect(await showCached(hooks, `http://h/show${wrong}`)).toMatchObject({ status: 400 });
      expect(questions).toEqual([]);
    });
  }

  test("a header is a name and a value (RFC 9110 §5.1)", () => {
    expect(parseHeader("Accept:  a, b ")).toEqual(["Accept", "a, b"]);
    expect(parseHeader("A:")).toEqual(["A", ""]);
    for (const wrong of ["", "a b: c", ": c", "a: b\rc"]) expect(parseHeader(wrong)).toBeUndefined();
  });
});

test("what is used most has 1 to 1000 rows, 20 if nobody says", async () => {
  const { hooks } = hooksThat();
  const askFor = (query: string) => topCached(hooks, `http://h/top${query}`);
  expect([await askFor(""), await askFor("?limit=7")]).toMatchObject([{ looked: 20 }, { looked: 7 }]);
  for (const wrong of ["0", "1001", "x", "1.5"]) {
    expect(await askFor(`?limit=${wrong}`)).toMatchObject({ status: 400 });
  }
});
