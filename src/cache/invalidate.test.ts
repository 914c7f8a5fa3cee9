import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { invalidationsOf, isUnsafe, type UnsafeExchange } from "./invalidate.ts";

function urlsOf(response: string, changes: Partial<UnsafeExchange> = {}): string[] {
  const scopes = invalidationsOf({
    method: "POST",
    status: 200,
    scheme: "https",
    authority: "example.com",
    path: "/a/b",
    query: "c=1",
    response: fieldsOfLines(response),
    groups: [],
    keyUrl: (path, query) =>
      path.includes("%2F") ? undefined : `example.com${path}${query === "" ? "" : `?${query}`}`,
    ...changes,
  });
  return scopes.map((scope) => (scope.kind === "url" ? scope.url : JSON.stringify(scope)));
}

const TARGET = "example.com/a/b?c=1";

const rows: [rule: string, response: string, urls: string[], changes?: Partial<UnsafeExchange>][] = [
  ["the target itself (RFC 9111 §4.4)", "", [TARGET]],
  ["a redirection is no error", "", [TARGET], { status: 303 }],
  ["an error of the client changes nothing", "", [], { status: 404 }],
  ["an error of the server changes nothing", "", [], { status: 500 }],
  ["a safe method changes nothing", "Location: /x\r\n", [], { method: "GET" }],
  ["Location", "Location: https://example.com/x\r\n", [TARGET, "example.com/x"]],
  ["Content-Location", "Content-Location: /y?z\r\n", [TARGET, "example.com/y?z"]],
  ["both", "Location: /x\r\nContent-Location: /y\r\n", [TARGET, "example.com/x", "example.com/y"]],
  ["each once", "Location: /a/b?c=1\r\nContent-Location: /a/b?c=1\r\n", [TARGET]],
  ["relative to the target (RFC 3986 §5)", "Location: ../x?y#z\r\n", [TARGET, "example.com/x?y"]],
  ["the query alone", "Location: ?d\r\n", [TARGET, "example.com/a/b?d"]],
  ["another host's is not ours to purge", "Location: https://example.org/x\r\n", [TARGET]],
  ["nor another port's", "Location: https://example.com:8443/x\r\n", [TARGET]],
  ["nor another scheme's", "Location: http://example.com/x\r\n", [TARGET]],
  [
    "the scheme's own port goes without saying",
    "Location: https://EXAMPLE.com:443/x\r\n",
    [TARGET, "example.com/x"],
  ],
  ["what is no reference", "Location: https://\r\n", [TARGET]],
  ["a path without normal form", "Location: /x%2Fy\r\n", [TARGET]],
  [
    "groups of the origin (RFC 9875 §3)",
    "",
    ['{"kind":"group","origin":"https://example.com","group":"g"}', TARGET],
    { groups: ["g"] },
  ],
  [
    "groups also with an error: they are named on purpose",
    "",
    ['{"kind":"group","origin":"https://example.com","group":"g"}'],
    { groups: ["g"], status: 500 },
  ],
  ["groups not with a safe method", "", [], { groups: ["g"], method: "HEAD" }],
];

describe("what an unsafe request takes out of the cache", () => {
  test.each(rows)("%s", (_rule, response, urls, changes = {}) => {
    expect(urlsOf(response, changes)).toEqual(urls);
  });

  test("unknown methods may change anything (RFC 9110 §9.2.1)", () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get", "FOO"])
      expect(isUnsafe(method)).toBe(true);
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
      expect(isUnsafe(method)).toBe(false);
  });
});
