/**
 * `weir explain` tells what the cache would do: the same rules that traffic meets, and which of them decided.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Explanation } from "../../src/cli/explain-plan.ts";
import { main } from "../../src/cli/main.ts";
import { keptTerminal } from "./kept-terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-explain-cache-"));
const file = join(folder, "weir.yaml");
writeFileSync(
  file,
  `
listeners:
  web: { bind: ":8080", trustedProxies: [ 10.0.0.1 ] }
  two: { bind: [ ":8081", ":8082" ], trustedProxies: [ 10.0.0.1 ] }
routes:
  - { name: plain, to: app }
  - { name: site, match: { host: site.test }, to: app, cache: true, compress: true }
  - name: shop
    listener: web
    match: { host: shop.test }
    to: app
    cache:
      ttl: { 200: 5m, 404: 10s }
      staleWhileRevalidate: 30s
      staleIfError: 1h
      key: { query: { except: [ utm_* ] }, sort: true, headers: [ x-tenant ], cookies: [ theme ], device: true, languages: [ en, de ] }
      bypass: [ { cookie: session }, { header: x-secret, value: hush-hush } ]
      clientDirectives: ignore
  - { name: dry, match: { host: dry.test }, to: app, cache: { dryRun: true, ignore: authorization } }
  - { name: ping, match: { path: /ping }, respond: { body: pong }, compress: { codings: gzip, types: text/*, maxSize: 1MiB, level: 3 } }
  - { name: ports, listener: two, match: { path: /ports }, to: app, cache: true }
upstreams: { app: "127.0.0.1:3000" }
`,
);
afterAll(() => rmSync(folder, { recursive: true }));

async function say(...words: string[]): Promise<string> {
  const terminal = keptTerminal({});
  const code = await main(["explain", "-c", file, ...words], terminal);
  expect(terminal.lines.err.filter((line) => !line.includes(": warning: "))).toEqual([]);
  expect(code).toBe(0);
  return terminal.lines.out.join("\n");
}

async function explained(...words: string[]): Promise<Explanation> {
  return JSON.parse(await say(...words, "--json")) as Explanation;
}

async function cacheOf(...words: string[]): Promise<NonNullable<Explanation["cache"]>> {
  const { cache } = await explained(...words);
  if (cache === undefined) throw new Error("the route does not cache");
  return cache;
}

test("a route without cache and compress has nothing to tell of them", async () => {
  const explanation = await explained("GET", "http://other.test/");
  expect(explanation.route).toBe("plain");
  expect(explanation).not.toContainAnyKeys(["cache", "compress"]);
});

describe("the key", () => {
  test("is the URL as the policy normalises it, and what else counts, with its values", async () => {
    const { key } = await cacheOf(
      ...["GET", "http://shop.test/a/../x?utm_source=mail&b=2&a=1"],
      ...["-H", "Cookie: theme=dark; other=1", "-H", "Accept-Language: de-CH, en;q=0.5"],
      ...["-H", "User-Agent: x (iPhone) Mobile", "-H", `X-Tenant: ${"t".repeat(200)}`],
    );
    expect(key.url).toBe("http://shop.test/x?a=1&b=2");
    expect(key.more).toEqual([
      "field x-tenant: (long)",
      "cookie theme: dark",
      "device mobile",
      "language de",
    ]);
  });

  test("names what is missing, and what a trusted proxy said of the URL", async () => {
    const forwarded = ["-H", "X-Forwarded-Host: b.test", "-H", "X-Forwarded-Proto: https"];
    const { key } = await cacheOf("GET", "http://shop.test/", ...forwarded, "--from", "10.0.0.1");
    expect(key.more).toContain("cookie theme: (none)");
    expect(key.more).toContain("forwarded host=b.test, proto=https");
    const other = await cacheOf("GET", "http://shop.test/", ...forwarded);
    expect(other.key.more.join()).not.toContain("b.test");
  });
});

test("where a client may come in on several ports, which endpoints are told, each port has its own", async () => {
  const forwarded = ["-H", "X-Forwarded-Host: b.test", "--from", "10.0.0.1"];
  const { key } = await cacheOf("GET", "http://a.test:8082/ports", ...forwarded);
  expect(key.more).toEqual(["port 8082", "forwarded host=b.test"]);
  const long = ["-H", `X-Forwarded-Host: ${"b".repeat(200)}`, "--from", "10.0.0.1"];
  expect((await cacheOf("GET", "http://a.test:8081/ports", ...long)).key.more).toEqual(["forwarded (long)"]);
});

describe("the cache is not asked", () => {
  test.each([
    [["POST", "http://site.test/"], "bypass_method", ""],
    [["GET", "http://site.test/", "-H", "Content-Length: 3"], "bypass_body", ""],
    [["GET", "http://site.test/", "-H", "X-HTTP-Method-Override: DELETE"], "bypass_steering", ""],
    [["GET", "http://site.test/", "-H", 'If-Match: "a"'], "bypass_precondition", ""],
    [["GET", "http://shop.test/", "-H", "Cookie: session=1"], "bypass_rule", "cookie session"],
    [["GET", "http://shop.test/", "-H", "X-Secret: hush-hush"], "bypass_rule", "header x-secret"],
  ] as const)("%p: %s", async (words, code, by) => {
    const { bypass, reuse, answers } = await cacheOf(...words);
    expect(bypass).toMatchObject({ code, by });
    expect([...reuse, ...answers]).toEqual([]);
  });

  test("when a test does not hold, it is; and a value that may be a secret is told to nobody", async () => {
    const words = ["GET", "http://shop.test/", "-H", "X-Secret: other"];
    expect((await cacheOf(...words)).bypass).toBeUndefined();
    expect(await say(...words, "--json")).not.toContain("hush-hush");
  });
});

describe("what is stored", () => {
  test.each([
    [["http://site.test/"], ["fresh", "validate"], ["fresh", "stale"], false],
    [["http://shop.test/"], ["fresh", "stale_refresh"], ["fresh", "stale_while_revalidate"], true],
    [
      ["http://site.test/", "-H", "Cache-Control: no-cache"],
      ["validate", "validate"],
      ["request_no_cache", "request_no_cache"],
      false,
    ],
    [
      ["http://shop.test/", "-H", "Cache-Control: no-cache"],
      ["fresh", "stale_refresh"],
      ["fresh", "stale_while_revalidate"],
      true,
    ],
    [
      ["http://site.test/", "-H", "Authorization: Basic YTpi"],
      ["miss", "miss"],
      ["request_authorization", "request_authorization"],
      false,
    ],
    [
      ["http://dry.test/", "-H", "Authorization: Basic YTpi"],
      ["fresh", "validate"],
      ["fresh", "stale"],
      false,
    ],
  ] as const)("%p: %p by %p", async (words, uses, rules, mayServeOnError) => {
    const { reuse } = await cacheOf("GET", ...words);
    expect(reuse.map(({ use }) => use)).toEqual([...uses]);
    expect(reuse.map(({ rule }) => rule.code)).toEqual([...rules]);
    expect(reuse[1]?.mayServeOnError).toBe(mayServeOnError);
  });
});

describe("what an endpoint may answer", () => {
  const of = async (...words: string[]) => {
    const { answers } = await cacheOf("GET", ...words);
    return Object.fromEntries(
      answers.map(({ status, says, isStored, freshMs, rule }) => [
        `${status} ${says}`,
        isStored ? `${rule.code} ${freshMs}` : rule.code,
      ]),
    );
  };

  test("without a ttl the endpoint alone says", async () => {
    expect(await of("http://site.test/")).toEqual({
      "200 saying nothing": "no_lifetime",
      "200 Last-Modified a day ago": "heuristic 8640000",
      "200 max-age=60": "max_age 60000",
      "200 max-age=60, public": "max_age 60000",
      "200 max-age=60 and Set-Cookie": "set_cookie",
      "404 saying nothing": "no_lifetime",
      "500 saying nothing": "no_lifetime",
    });
  });

  test("with a ttl the route says by status where the endpoint does not", async () => {
    expect(await of("http://shop.test/")).toMatchObject({
      "200 saying nothing": "route_ttl 300000",
      "200 max-age=60": "max_age 60000",
      "404 saying nothing": "route_ttl 10000",
      "500 saying nothing": "no_lifetime",
    });
  });

  test("of a user who is known, only what is called public is for others", async () => {
    const answers = await of("http://site.test/", "-H", "Authorization: Basic YTpi");
    expect(answers["200 max-age=60"]).toBe("authorization");
    expect(answers["200 max-age=60, public"]).toBe("max_age 60000");
  });

  test("a guess is made for nobody who carries a cookie", async () => {
    const answers = await of("http://site.test/", "-H", "Cookie: a=b");
    expect(answers["200 Last-Modified a day ago"]).toBe("cookie_guess");
  });

  test("a page under the name of a style sheet is not stored", async () => {
    expect((await of("http://site.test/account/x.css"))["200 max-age=60, as HTML"]).toBe("type_mismatch");
  });
});

describe("the page for people", () => {
  test("tells key, uses and answers, each with the rule and where it is written", async () => {
    const page = await say("GET", "http://shop.test/x?utm_a=1&b=2");
    expect(page).toMatch(/^ {2}key +http:\/\/shop\.test\/x\?b=2$/m);
    expect(page).toMatch(
      /^ {2}if stale +it answers, and is fetched anew meanwhile, and answers if the endpoint fails /m,
    );
    expect(page).toMatch(/^ {2}404 saying nothing +stored, fresh for 10s {2}route_ttl: .+ \(cache\.ttl\)$/m);
    expect(page).toMatch(
      /^ {2}200 max-age=60 and Set-Cookie +not stored {2}set_cookie: .+ \(RFC 9111 §7\.3\)$/m,
    );
  });

  test("says so when the cache is not asked, and when it only counts", async () => {
    const page = await say("GET", "http://shop.test/", "-H", "Cookie: session=1");
    expect(page).toContain("  not asked  by cookie session  bypass_rule: ");
    expect(page).not.toContain("if fresh");
    expect(await say("GET", "http://dry.test/")).toContain("cache  dry run: nothing is answered from it\n");
  });
});

describe("compression", () => {
  test.each([
    ["http://site.test/", "gzip, br;q=0.5", "gzip"],
    ["http://site.test/", "gzip, br, zstd", "zstd"],
    ["http://x.test/ping", "gzip, br", "gzip"],
    ["http://x.test/ping", "br", undefined],
  ])("%s with %s: %p", async (url, accept, coding) => {
    const { compress } = await explained("GET", url, "-H", `Accept-Encoding: ${accept}`);
    expect(compress?.coding as string | undefined).toBe(coding);
  });

  test("is told with its bounds, or why there is none", async () => {
    const page = await say("GET", "http://x.test/ping", "-H", "Accept-Encoding: gzip");
    expect(page).toContain("compress  gzip  text/*; from 1 KiB to 1 MiB; level 3");
    expect(await say("GET", "http://x.test/ping")).toContain("compress  not for this client");
  });
});
