import { describe, expect, test } from "bun:test";
import type { PathTest, RewriteConfig } from "./match.ts";
import { normalisePath } from "./path.ts";
import { compileRewrite, compileTarget } from "./rewrite.ts";
import { parseTemplate, templateProblem } from "./template.ts";

const prefix = (path: string): PathTest => ({ kind: "prefix", path });
const exact = (path: string): PathTest => ({ kind: "exact", path });
const pattern = (source: string): PathTest => ({ kind: "pattern", source });
const rewriteTo = (path: string): RewriteConfig => ({ stripPrefix: undefined, path, host: undefined });
const strip = (stripPrefix: string): RewriteConfig => ({ stripPrefix, path: undefined, host: undefined });

test("nothing to rewrite is nothing to do", () => {
  const nothing = { stripPrefix: undefined, path: undefined, host: "internal.example.com" };
  expect(compileRewrite(nothing, prefix("/x"))).toBeUndefined();
  expect(compileRewrite(strip("/"), prefix(""))).toBeUndefined();
});

describe("stripPrefix takes whole segments", () => {
  const rows: [stripped: string, path: string, result: string][] = [
    ["/v1", "/v1/x", "/x"],
    ["/v1", "/v1", "/"],
    ["/v1", "/v1/", "/"],
    ["/v1/", "/v1/x", "/x"],
    ["/v1", "/v10/x", "/v10/x"],
    ["/v1", "/x", "/x"],
    ["/a/b", "/a/b/c/", "/c/"],
    ["/café", "/caf%C3%A9/x", "/x"],
  ];
  test.each(rows)("%s from %s", (stripped, path, result) => {
    expect(compileRewrite(strip(stripped), undefined)?.(path)).toBe(result);
  });
});

describe("a path template", () => {
  const rows: [template: string, test: PathTest | undefined, path: string, result: string][] = [
    ["/new/{rest}", prefix("/old"), "/old/a/b", "/new/a/b"],
    ["/new/{rest}", prefix("/old"), "/old", "/new/"],
    ["/new/{rest}", prefix("/old"), "/old/", "/new/"],
    ["/new/{rest}", prefix(""), "/a", "/new/a"],
    ["/new/{rest}", undefined, "/a", "/new/a"],
    ["/new{path}", prefix("/old"), "/old/a", "/new/old/a"],
    ["{rest}", prefix("/old"), "/old/a", "/a"],
    ["/fixed", exact("/x"), "/x", "/fixed"],
    ["/{2}/{1}", pattern("^/(\\w+)/(\\w+)$"), "/a/b", "/b/a"],
    ["/{1}/x", pattern("^/(a)?"), "/b", "/x"],
    ["/with space/{rest}", prefix("/o"), "/o/a", "/with%20space/a"],
    ["/é/{rest}", prefix("/o"), "/o/%C3%A9", "/%C3%A9/%C3%A9"],
    ["/new/{1}", pattern("^/x(.*)$"), "/x..", "/new/"],
    ["/new/{1}", pattern("^/x(.*)$"), "/x../y", "/new/y"],
    ["/new/{1}/end", pattern("^/x(.*)$"), "/x..", "/new/end"],
    ["/new/{1}", pattern("^/x(.*)$"), "/x..;y", "/new/"],
    ["/new/{1}", pattern("^/x(.*)$"), "/x/y", "/new/y"],
    ["/{1}", pattern("^/x(.)"), "/x%20", "/%25"],
  ];
  test.each(rows)("%s with %o: %s", (template, pathTest, path, result) => {
    expect(compileRewrite(rewriteTo(template), pathTest)?.(path)).toBe(result);
  });

  test("whatever a group cuts out of a path, the result is normal and stays below the template", () => {
    const templates = ["/new/{1}", "/new/{1}{2}", "/new/{2}{1}/e", "/new/{1}2e{2}/f", "/new/a{2}"];
    let tried = 0;
    for (const [path, cut] of pathsAndCuts()) {
      for (const template of templates) {
        const result = compileRewrite(rewriteTo(template), pattern(`^(.{${cut}})(.*)$`))?.(path) ?? "";
        tried++;
        if (normalisePath(result, "pass") !== result || !result.startsWith("/new/")) {
          throw new Error(`${template} of ${path} at ${cut}: ${result}`);
        }
      }
    }
    expect(tried).toBeGreaterThan(5000);
  });
});

function* pathsAndCuts(): Generator<[path: string, cut: number]> {
  const pieces = ["/", "x", ".", "..", "%2F", "%25", "%20", ";", "%C3%A9", "2e", "2F"];
  const triples = pieces.flatMap((one) => pieces.flatMap((two) => pieces.map((three) => one + two + three)));
  for (const triple of triples) {
    const path = normalisePath(`/x${triple}`, "pass") ?? "";
    for (let cut = 1; cut < path.length; cut++) yield [path, cut];
  }
}

describe("the target of a redirect", () => {
  const rows: [template: string, test: PathTest | undefined, url: string, result: string][] = [
    ["/new/{rest}", prefix("/old"), "/old/a?b=c", "/new/a?b=c"],
    ["/new/{rest}", prefix("/old"), "/old/a", "/new/a"],
    ["/new?x=1", undefined, "/old?b=c", "/new?x=1"],
    ["/new?{query}", undefined, "/old?b=c", "/new?b=c"],
    ["/new/{rest}#part", prefix("/old"), "/old/a?b", "/new/a?b#part"],
    ["https://{host}{path}", undefined, "/a?b", "https://h.example/a?b"],
    ["https://other.example", undefined, "/a?b", "https://other.example?b"],
    ["/{1}/x", pattern("^/(..)"), "/en/y", "/en/x"],
    ["{path}/", undefined, "/a", "/a/"],
    ["/{1}", pattern("^/old(.*)$"), "/old/evil.example", "/evil.example"],
    ["{1}", pattern("^/old/(.*)$"), "/old/evil.example/x", "/evil.example/x"],
    ["/{query}", undefined, "/a?/evil.example", "/evil.example"],
    ["/{query}", undefined, "/a?\\evil.example", "/evil.example"],
    ["//cdn.example{path}", undefined, "/a", "//cdn.example/a"],
    ["/a b/é", undefined, "/x", "/a%20b/%C3%A9"],
    ["/a\r\nSet-Cookie: x", undefined, "/x", "/a%0D%0ASet-Cookie:%20x"],
    ["/", undefined, "/x", "/"],
  ];
  test.each(rows)("%s with %o: %s", (template, pathTest, url, result) => {
    const [path = "", query = ""] = url.split("?");
    expect(compileTarget(template, pathTest)({ path, query, host: "h.example" })).toBe(result);
  });
});

describe("a wrong template is named", () => {
  const rows: [template: string, test: PathTest | undefined, problem: RegExp | undefined][] = [
    ["/new/{rest}", prefix("/x"), undefined],
    ["/new/{rest}", undefined, undefined],
    ["/new/{1}", pattern("(a)"), undefined],
    ["/new/{2}", pattern("(a)|(b)"), undefined],
    ["/new/{2}", pattern("(a)"), /has no group: the pattern has 1/],
    ["/new/{1}", prefix("/x"), /needs a path pattern/],
    ["/new/{rest}", exact("/x"), /an exact path leaves no rest/],
    ["/new/{rest}", pattern("x"), /a pattern leaves no rest/],
    ["/new/{nix}", prefix("/x"), /\{nix\} is not a placeholder here; known are \{rest\} \{path\}/],
    ["/new/{host}", prefix("/x"), /\{host\} is not a placeholder/],
    ["/new/{0}", pattern("(a)"), /\{0\} is not a placeholder/],
    ["/new/{", prefix("/x"), /without its other half/],
    ["/new/}", prefix("/x"), /without its other half/],
    ["/a\nb", prefix("/x"), /line break/],
    ["/{1}", pattern("("), /the pattern has 0/],
  ];
  test.each(rows)("%s with %o", (template, pathTest, problem) => {
    const told = templateProblem(template, pathTest, ["rest", "path"]);
    if (problem === undefined) expect(told).toBeUndefined();
    else expect(told).toMatch(problem);
  });

  test("one that was not checked is a defect", () => {
    expect(() => parseTemplate("/{nix}")).toThrow("{nix} is not a placeholder");
  });
});
