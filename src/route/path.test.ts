import { describe, expect, test } from "bun:test";
import { type EncodedSlash, normalisePath, normaliseWrittenPath, splitTarget } from "./path.ts";

describe("what is normal stays as it is", () => {
  const rows = [
    "/",
    "/a",
    "/a/",
    "/a/b.c/d",
    "/a.b..c/...",
    "/.../x",
    "/~user/;v=1/a,b/(c)!$&'*+=:@",
    "/a|b/[1]",
    "/jsessionid;x=..",
    "/caf%C3%A9",
    "/a%20b%25%3F%23",
    "/%252e%252e/%252F",
    "/%E0%A4%B9",
    "/%E9t%E9",
    "/.well-known/acme-challenge/x",
  ];
  test.each(rows)("%s", (path) => {
    expect(normalisePath(path, "refuse")).toBe(path);
    expect(normalisePath(path, "pass")).toBe(path);
  });
});

describe("one form for each path", () => {
  const rows: [rule: string, raw: string, normal: string][] = [
    ["empty segments are merged", "//a///b//", "/a/b/"],
    ["a dot segment is left out (RFC 3986 §5.2.4)", "/a/./b/.", "/a/b/"],
    ["two dots take the segment before (RFC 3986 §5.2.4)", "/a/b/../c", "/a/c"],
    ["two dots at the end leave a folder", "/a/b/..", "/a/"],
    ["two dots may come back to the root", "/a/..", "/"],
    ["empty segments are no level to climb", "/a//../b", "/b"],
    ["encoded dots are dots (RFC 3986 §2.3)", "/a/%2e%2E/b/%2e/c", "/b/c"],
    ["half encoded dots are dots", "/a/.%2e/b", "/b"],
    ["encoded unreserved characters are decoded (RFC 3986 §2.3)", "/%61%7e%2D%5F%30", "/a~-_0"],
    ["hex digits become upper case (RFC 3986 §6.2.2.1)", "/%c3%a9%3a", "/%C3%A9%3A"],
    ["a decoded percent sign does not decode again", "/%2541", "/%2541"],
  ];
  test.each(rows)("%s: %s", (_rule, raw, normal) => {
    expect(normalisePath(raw, "refuse")).toBe(normal);
  });
});

describe("what could be read in two ways is refused", () => {
  const rows: [rule: string, raw: string][] = [
    ["no leading slash", "a/b"],
    ["empty", ""],
    ["above the root", "/.."],
    ["above the root, later", "/a/../../b"],
    ["above the root, encoded", "/%2e%2e/etc"],
    ["above the root by empty segments", "//.."],
    ["encoded slash", "/a%2fb"],
    ["encoded slash, upper case", "/a%2Fb"],
    ["encoded backslash", "/a%5cb"],
    ["backslash", "/a\\b"],
    ["backslash dots", "/a/..\\..\\b"],
    ["NUL", "/a%00.png"],
    ["encoded line feed", "/a%0Ab"],
    ["encoded DEL", "/a%7f"],
    ["percent without digits", "/a%"],
    ["percent with one digit", "/a%2"],
    ["percent with a letter beyond F", "/a%2g"],
    ["percent in the digits", "/%%2e"],
    ["path parameter on dots", "/a/..;/b"],
    ["path parameter with text on dots", "/a/..;x=1/b"],
    ["path parameter on one dot", "/a/.;/b"],
    ["path parameter on encoded dots", "/a/%2e%2e;/b"],
    ["encoded path parameter on dots", "/a/..%3b/b"],
    ["overlong dot", "/%c0%ae%c0%ae/"],
    ["overlong slash, three bytes", "/%e0%80%af"],
    ["overlong slash, four bytes", "/%f0%80%80%af"],
    ["space", "/a b"],
    ["quote", '/a"b'],
    ["angle bracket", "/<a>"],
    ["braces", "/{id}"],
    ["caret", "/a^b"],
    ["backquote", "/a`b"],
    ["question mark", "/a?b"],
    ["number sign", "/a#b"],
    ["control byte", "/a\u0001"],
    ["past ASCII", "/é"],
    ["past Latin-1, low byte a letter", "/\u0161"],
    ["asterisk form", "*"],
  ];
  test.each(rows)("%s: %s", (_rule, raw) => {
    expect(normalisePath(raw, "refuse")).toBeUndefined();
  });
});

describe("encoded slashes that are let through", () => {
  const rows: [raw: string, normal: string | undefined][] = [
    ["/a%2fb", "/a%2Fb"],
    ["/a%5Cb", "/a%5Cb"],
    ["/a/..%2fb", undefined],
    ["/a/b%2f..", undefined],
    ["/a%2f%2e%2e%5cb", undefined],
    ["/a%2f..%3bx%2fb", undefined],
    ["/a%00", undefined],
  ];
  test.each(rows)("%s", (raw, normal) => {
    expect(normalisePath(raw, "pass")).toBe(normal as string);
  });
});

/** xorshift: the same "random" paths at every run. */
function* randomPaths(count: number): Generator<string> {
  const pieces = [
    "/",
    "/",
    ".",
    "..",
    "%",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "%41",
    "%c0",
    "%ae",
    "%25",
    "%00",
    ";",
    "\\",
  ];
  pieces.push("Z", "é", "%3b", "%e0", "%80", "{", "%c3%a9", "//", ...Array<string>(24).fill("a"));
  let state = 0x9e3779b9;
  for (let made = 0; made < count; made++) {
    let path = "/";
    for (let length = 0; length < 8; length++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      path += pieces[(state >>> 0) % pieces.length];
    }
    yield path;
  }
}

/** What a careless endpoint may do to a path: decode until nothing changes. */
function decodeFully(path: string): string {
  let now = path;
  for (let round = 0; round < 10; round++) {
    const next = now.replace(/%([2-7][0-9a-f])/gi, (_, digits) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    if (next === now) break;
    now = next;
  }
  return now;
}

/** What is wrong with a path that was found normal. */
function flawOf(normal: string, encodedSlash: EncodedSlash): string | undefined {
  if (normalisePath(normal, encodedSlash) !== normal) return "not stable";
  if (!/^\/(?!.*\/\/)(?!.*(?:^|\/)\.\.?(?:[/;]|$))[\x21-\x7e]*$/.test(normal)) return "not sound";
  if (encodedSlash === "refuse" && /%2f|%5c|\\/i.test(normal)) return "a hidden slash";
  const climbs = !normal.includes("%25") && /(^|[/\\])\.\.([/\\;]|$)/.test(decodeFully(normal));
  return climbs ? "climbs when decoded" : undefined;
}

test.each(["refuse", "pass"] satisfies EncodedSlash[])(
  "for any path (%s): normal twice is normal once, and no segment climbs or is empty",
  (encodedSlash) => {
    const seen = { kept: 0, refused: 0, changed: 0 };
    for (const raw of randomPaths(100_000)) {
      const normal = normalisePath(raw, encodedSlash);
      if (normal === undefined) seen.refused++;
      else if (normal === raw) seen.kept++;
      else seen.changed++;
      const flaw = normal === undefined ? undefined : flawOf(normal, encodedSlash);
      if (flaw !== undefined) throw new Error(`${flaw}: ${raw} → ${normal}`);
    }
    expect(seen.kept).toBeGreaterThan(1000);
    expect(seen.refused).toBeGreaterThan(1000);
    expect(seen.changed).toBeGreaterThan(1000);
  },
);

test("a path in a configuration may be written with the letters people read", () => {
  expect(normaliseWrittenPath("/café/a b")).toBe("/caf%C3%A9/a%20b");
  expect(normaliseWrittenPath("/caf%c3%a9")).toBe("/caf%C3%A9");
  expect(normaliseWrittenPath("/a/../..")).toBe("/a/../..");
});

describe("a target in its parts (RFC 9112 §3.2)", () => {
  const origin = { form: "origin", authority: "", scheme: undefined } as const;
  const rows: [target: string, parts: object | undefined][] = [
    ["/a/b", { ...origin, path: "/a/b", query: "" }],
    ["/a?b=c&d", { ...origin, path: "/a", query: "b=c&d" }],
    ["/a?b?c", { ...origin, path: "/a", query: "b?c" }],
    ["/?", { ...origin, path: "/", query: "" }],
    ["//evil.example/x", { ...origin, path: "//evil.example/x", query: "" }],
    ["/a#b", undefined],
    ["/a?b#c", undefined],
    ["*", { form: "asterisk", path: "*", query: "", authority: "", scheme: undefined }],
    ["http://h", { form: "absolute", path: "/", query: "", authority: "h", scheme: "http" }],
    ["HTTPS://h:8/a?b", { form: "absolute", path: "/a", query: "b", authority: "h:8", scheme: "https" }],
    ["http://h?b", { form: "absolute", path: "/", query: "b", authority: "h", scheme: "http" }],
    ["http://u@h/", { form: "absolute", path: "/", query: "", authority: "u@h", scheme: "http" }],
    ["http:///a", undefined],
    ["ftp://h/a", undefined],
    ["h:443", undefined],
    ["", undefined],
    ["**", undefined],
  ];
  test.each(rows)("%s", (target, parts) => {
    expect(splitTarget(target)).toEqual(parts as never);
  });
});
