/** Routes at work: rewrites, edits, redirects, fixed answers, weights, and what a client reads when the proxy says no. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Origin } from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, fieldLines, get, startEcho } from "./ask.ts";

let weir: Weir;
let blue: Origin;
let green: Origin;

beforeAll(async () => {
  blue = await startEcho("blue");
  green = await startEcho("green");
  const dead = await freePort();
  weir = await startWeir(
    `
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { match: { path: /plain/* }, to: blue }
  - { match: { path: /strip/* }, to: blue, rewrite: { stripPrefix: /strip } }
  - { match: { path: /move/* }, to: blue, rewrite: { path: "/new/{rest}", host: inner.test } }
  - { match: { path: "~^/user/([0-9]+)$" }, to: blue, rewrite: { path: "/u/{1}" } }
  - match: { path: /edits }
    to: blue
    headers:
      request: { set: { X-Env: prod, X-Forwarded-Host: set.test }, add: { X-Add: [a, b] }, remove: [X-Debug, Via] }
      response: { set: { X-Frame-Options: DENY }, add: { X-More: c }, remove: [X-Endpoint] }
  - { match: { path: /old/* }, redirect: { to: "/new/{rest}", status: 301 } }
  - { match: { path: /away }, redirect: "https://b.test/x" }
  - { match: { path: /fixed }, respond: { status: 418, body: "{}", contentType: application/json, headers: { X-Tea: pot } } }
  - { match: { path: /none }, respond: { status: 204 } }
  - { match: { path: /split }, to: [ { upstream: blue, weight: 3 }, { upstream: green, weight: 1 } ] }
  - { match: { path: /dead }, to: dead }
  - { match: { path: /dead-paged }, to: dead, errorPages: { "5xx": sorry.html }, headers: { response: { set: { X-Edit: "1" } } } }
upstreams: { blue: [ "${blue.address}" ], green: [ "${green.address}" ], dead: [ "127.0.0.1:${dead}" ] }
`,
    { files: { "sorry.html": "<h1>sorry</h1>\n" } },
  );
});

afterAll(async () => {
  for (const thing of [weir, blue, green]) await thing?.stop();
});

async function seen(target: string, ...lines: string[]): Promise<{ line: string; fields: string[] }> {
  const { body } = await ask(weir.port(), get(target, ...lines));
  return { line: body.slice(0, body.indexOf(" HTTP/1.1")), fields: fieldLines(body) };
}

for (const [target, line] of [
  ["/plain", "GET /plain"],
  ["/plain/a?b=c", "GET /plain/a?b=c"],
  ["/plain/a//b/../c", "GET /plain/a/c"],
  ["/plain?", "GET /plain?"],
  ["/strip", "GET /"],
  ["/strip/a/b?c", "GET /a/b?c"],
  ["/strip//a", "GET /a"],
  ["/x/../strip/a", "GET /a"],
  ["/move", "GET /new/"],
  ["/move/a/b?c=d", "GET /new/a/b?c=d"],
  ["/user/42?x", "GET /u/42?x"],
  ["http://a.test/strip/a", "GET /a"],
] as const) {
  test(`${target} goes on as ${line}`, async () => {
    expect((await seen(target)).line).toBe(line);
  });
}

test("a rewritten host replaces Host, and the client's stays in X-Forwarded-Host", async () => {
  const { fields } = await seen("/move/a");
  expect(fields.filter((line) => /^host:/i.test(line))).toEqual(["Host: inner.test"]);
  expect(fields).toContain("X-Forwarded-Host: a.test");
});

test("edits of the request remove, set and add, over what we would say ourselves as well", async () => {
  const { fields } = await seen("/edits", "X-Debug: 1", "x-debug: 2", "X-Env: dev", "X-Add: z");
  const has = (name: string) => fields.filter((line) => line.toLowerCase().startsWith(`${name}:`));
  expect(has("x-debug")).toEqual([]);
  expect(has("via")).toEqual([]);
  expect(has("x-env")).toEqual(["X-Env: prod"]);
  expect(has("x-add")).toEqual(["X-Add: z", "X-Add: a", "X-Add: b"]);
  expect(has("x-forwarded-host")).toEqual(["X-Forwarded-Host: set.test"]);
});

test("edits of the response remove, set and add", async () => {
  const answer = await ask(weir.port(), get("/edits"));
  expect([answer.field("x-frame-options"), answer.field("x-more"), answer.field("x-endpoint")]).toEqual([
    "DENY",
    "c",
    undefined,
  ]);
});

for (const [target, status, location] of [
  ["/old/a/b?c=d", 301, "/new/a/b?c=d"],
  ["/old//evil.test", 301, "/new/evil.test"],
  ["/old/", 301, "/new/"],
  ["/away?c", 308, "https://b.test/x?c"],
] as const) {
  test(`${target} is redirected to ${location}`, async () => {
    const answer = await ask(weir.port(), get(target));
    expect([answer.status, answer.field("location"), answer.field("content-length")]).toEqual([
      status,
      location,
      "0",
    ]);
  });
}

test("a fixed answer has its status, type, fields and body", async () => {
  const answer = await ask(weir.port(), get("/fixed"));
  expect([answer.status, answer.body, answer.field("content-type"), answer.field("x-tea")]).toEqual([
    418,
    "{}",
    "application/json",
    "pot",
  ]);
  expect(answer.field("date")).toBeDefined();
});

test("a fixed 204 has neither body nor length (RFC 9110 §15.3.5)", async () => {
  const answer = await ask(weir.port(), get("/none"));
  expect([answer.status, answer.body, answer.field("content-length")]).toEqual([204, "", undefined]);
});

test("weights share requests out: 3 to 1 stays within what chance allows", async () => {
  let blues = 0;
  const total = 200;
  for (let count = 0; count < total; count++) {
    if ((await ask(weir.port(), get("/split"))).field("x-endpoint") === "blue") blues++;
  }
  // six standard deviations of a binomial with p = 3/4 are 37: once in 500 million runs
  expect(Math.abs(blues - total * 0.75)).toBeLessThanOrEqual(37);
});

for (const [accept, type, start] of [
  [undefined, "text/plain; charset=utf-8", "404 Not Found\n"],
  ["*/*", "text/plain; charset=utf-8", "404 Not Found\n"],
  ["application/json", "application/json", '{"status":404,'],
  ["text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8", "<!doctype html>"],
  ["text/html;q=0.1, application/json", "application/json", '{"status":404,'],
  ["image/png", "text/plain; charset=utf-8", "404 Not Found\n"],
] as const) {
  test(`an error to Accept ${accept} is ${type}`, async () => {
    const answer = await ask(
      weir.port(),
      get("/nowhere", ...(accept === undefined ? [] : [`Accept: ${accept}`])),
    );
    expect([answer.status, answer.field("content-type"), answer.field("cache-control")]).toEqual([
      404,
      type,
      "no-store",
    ]);
    expect(answer.body).toStartWith(start);
    const id = answer.field("x-request-id") ?? "";
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(answer.body).toContain(id);
  });
}

test("an error to HEAD tells the length of its body without it", async () => {
  const answer = await ask(weir.port(), "HEAD /nowhere HTTP/1.1\r\nHost: a.test\r\n\r\n", "HEAD");
  expect(answer.status).toBe(404);
  expect(Number(answer.field("content-length"))).toBeGreaterThan(0);
});

test("an error says nothing of the inside: no endpoint, no address, no reason", async () => {
  const answer = await ask(weir.port(), get("/dead"));
  expect(answer.status).toBe(502);
  expect(answer.raw).not.toMatch(/dead|127\.0\.0\.1|refused|endpoint|upstream|connect_/i);
});

test("an operator's page stands for errors of its class, with the route's edits", async () => {
  const answer = await ask(weir.port(), get("/dead-paged", "Accept: */*"));
  expect([answer.status, answer.body, answer.field("x-edit")]).toEqual([502, "<h1>sorry</h1>\n", "1"]);
  const json = await ask(weir.port(), get("/dead-paged", "Accept: application/json"));
  expect(json.field("content-type")).toBe("application/json");
});

test("405 names the methods and leaves the connection usable (RFC 9110 §15.5.6)", async () => {
  const answer = await ask(weir.port(), "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  expect([answer.status, answer.field("allow")?.includes("GET"), answer.field("connection")]).toEqual([
    405,
    true,
    undefined,
  ]);
});
