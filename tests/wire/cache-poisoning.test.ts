/**
 * Poisoning: nothing that a client sends and the key does not hold may change what the next client gets.
 *
 * why    the endpoint of these tests shows the whole request in its answer, as careless applications do in links and
 *        redirects: whatever of the first request gets through to it would be in the second client's page
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, expectHit, FRESH, mirror, targetOf } from "./cached.ts";

let origin: CountingOrigin;
let weir: Weir;
let count = 0;
/** A path of its own for each test: nothing is stored under it yet. */
const freshPath = () => `/p${++count}`;

beforeAll(async () => {
  origin = await CountingOrigin.start((request, connection) => {
    const varies = /\/vary\/([\w-]+)/.exec(targetOf(request))?.[1];
    if (varies === undefined) return mirror(request, connection);
    return response(request.raw, [FRESH, "Content-Type: text/plain", `Vary: ${varies}`]);
  });
  weir = await startWeir(`
listeners:
  web: { bind: "127.0.0.1:0" }
  plain: { bind: "127.0.0.1:0" }
  behind: { bind: "127.0.0.1:0", trustedProxies: [ "127.0.0.0/8" ] }
routes:
  - { name: kept, listener: web, to: app, cache: { enabled: true } }
  - { name: behind, listener: behind, to: app, cache: { enabled: true } }
  - { name: plain, listener: plain, to: app }
upstreams: { app: [ "${origin.address}" ] }
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

test("a plain page is kept: what follows is about a cache that works", async () => {
  const { first, second } = await expectHit(origin, weir.port("web"), freshPath());
  expect(second.body).toBe(first.body);
});

for (const line of [
  "X-Forwarded-Host: evil.test",
  "X-Forwarded-Proto: evil",
  "X-Forwarded-Scheme: evil",
  "X-Forwarded-Port: 6666evil",
  "X-Forwarded-Prefix: /evil",
  "X-Forwarded-Server: evil.test",
  "X-Forwarded-Path: /evil",
  "X-Forwarded-Uri: /evil",
  "X-Forwarded-For: evil",
  "X_Forwarded_Host: evil.test",
  "Forwarded: host=evil.test;proto=http",
  "X-Host: evil.test",
  "X-Original-Host: evil.test",
  "X-Original-URL: /evil",
  "X-Rewrite-URL: /evil",
  "X-Forwarded-Ssl: evil",
  "X-Forwarded-Protocol: evil",
  "X-Scheme: evil",
  "X-Url-Scheme: evil",
  "Front-End-Https: evil",
  "X-HTTP-Host-Override: evil.test",
  "X-Backend-Host: evil.test",
  "X-Original-URI: /evil",
  "X-Original-Method: EVIL",
  "X-Invoke-Path: /evil",
  "X-Matched-Path: /evil",
  "X-Now-Route-Matches: evil",
  "X-Middleware-Subrequest: evil",
  "X-HTTP-Method-Override: EVIL",
  "X-HTTP-Method: EVIL",
  "X-Method-Override: EVIL",
  "X_Original_URL: /evil",
  "Via: 1.1 evil",
  "X-Request-Id: evil",
  'Surrogate-Capability: evil="ESI/1.0"',
  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: evil=1",
]) {
  test(`what an untrusted client says in ${line.split(":")[0]} is in nobody else's page`, async () => {
    const path = freshPath();
    await ask(weir.port("web"), get(path, line));
    const victim = await ask(weir.port("web"), get(path));
    expect(victim.status).toBe(200);
    expect(victim.body.toLowerCase()).not.toContain("evil");
    await expectHit(origin, weir.port("web"), path);
  });
}

for (const [line, honest] of [
  ["X-Forwarded-Host: evil.test", "X-Forwarded-Host: good.test"],
  ["X-Forwarded-Proto: evil", "X-Forwarded-Proto: https"],
  ["X-Forwarded-Port: 6666", "X-Forwarded-Port: 443"],
  ["X-Forwarded-Prefix: /evil", "X-Forwarded-Prefix: /shop"],
  ["X-Forwarded-Ssl: evil", "X-Forwarded-Ssl: on"],
  ["X-Forwarded-Scheme: evil", "X-Forwarded-Scheme: https"],
  ["X-Scheme: evil", "X-Scheme: https"],
  ["Front-End-Https: evil", "Front-End-Https: on"],
  ["Forwarded: host=evil.test", "Forwarded: host=good.test"],
  ["X-Original-URL: /evil", "X-Forwarded-Proto: https"],
  ["X-HTTP-Method-Override: EVIL", "X-Forwarded-Proto: https"],
] as const) {
  test(`${line} through a trusted proxy gets a page of its own`, async () => {
    const path = freshPath();
    const port = weir.port("behind");
    await ask(port, get(path, line));
    for (const lines of [[], [honest]]) {
      const victim = await ask(port, get(path, ...lines));
      expect(victim.status).toBe(200);
      expect(victim.body).not.toContain(line.split(": ")[1] as string);
    }
    const { second } = await expectHit(origin, port, path, honest);
    expect(second.body).toContain(honest);
  });
}

for (const [title, bytes] of [
  ["a GET with a body", "GET PATH HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nevil"],
  [
    "a GET with a chunked body",
    "GET PATH HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
  ],
  ["a HEAD with a body", "HEAD PATH HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nevil"],
  ["a POST", "POST PATH HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nevil"],
  ["a PUT", "PUT PATH HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nevil"],
  ["an OPTIONS", "OPTIONS PATH HTTP/1.1\r\nHost: a.test\r\nX-A: evil\r\n\r\n"],
  ["a method of one's own", "EVIL PATH HTTP/1.1\r\nHost: a.test\r\n\r\n"],
] as const) {
  test(`${title} stores nothing for others`, async () => {
    const path = freshPath();
    await ask(weir.port("web"), bytes.replace("PATH", path), bytes.slice(0, bytes.indexOf(" ")));
    const victim = await ask(weir.port("web"), get(path));
    expect(victim.body.toLowerCase()).not.toContain("evil");
    expect(victim.body).toStartWith(`GET ${path} `);
  });
}

// the second target of each pair must be answered as if the first had never been asked for
for (const [first, second] of [
  ["/P/q?a=1&b=2", "/P/q?b=2&a=1"],
  ["/P/q?a=1", "/P/q?a=1&a=2"],
  ["/P/q?a=2&a=1", "/P/q?a=1&a=2"],
  ["/P/q?a=1", "/P/q?a=1;b=2"],
  ["/P/q?x=%26y=1", "/P/q?x=&y=1"],
  ["/P/q?a=1", "/P/q?A=1"],
  ["/P/q?a", "/P/q"],
  ["/P/q?", "/P/q"],
  ["/P/q;a=1", "/P/q"],
  ["/P/q/..;/r", "/P/r"],
  ["/P/q/%2e%2e/r", "/P/q/r"],
  ["/P/q//r", "/P/q/r"],
  ["/P/q%3Fa=1", "/P/q?a=1"],
  ["/P/q%23a", "/P/q"],
  ["/P/Q", "/P/q"],
  ["/P/q/", "/P/q"],
  ["/P/q%20", "/P/q"],
  ["/P/q%2Fr", "/P/q/r"],
  ["/P/q%5Cr", "/P/q/r"],
  ["/P/q%0Ar", "/P/q"],
  ["/P/q%00", "/P/q"],
  ["/P/%71", "/P/q"],
] as const) {
  test(`after ${first}, ${second} is answered as by the endpoint`, async () => {
    const prefix = freshPath();
    await ask(weir.port("web"), get(first.replace("/P", prefix)));
    const target = second.replace("/P", prefix);
    const lineOf = async (listener: string) => {
      const { body } = await ask(weir.port(listener), get(target));
      return body.slice(0, body.indexOf("\r\n"));
    };
    const asked = await lineOf("plain");
    expect(asked).toStartWith("GET /p");
    // either its own answer, or one that was made for the very same request
    expect(await lineOf("web")).toBe(asked);
  });
}

for (const [first, second, isShared] of [
  ["A.TEST", "a.test", true],
  ["a.test:80", "a.test", true],
  ["a.test:6666", "a.test", false],
  ["b.test", "a.test", false],
  ["a.test", "a.test:6666", false],
] as const) {
  test(`a page for Host ${first} ${isShared ? "answers" : "does not answer"} Host ${second}`, async () => {
    const path = freshPath();
    const from = (host: string) => ask(weir.port("web"), `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await from(first);
    const answer = await from(second);
    expect(origin.count(path)).toBe(isShared ? 1 : 2);
    if (!isShared) expect(answer.body).toContain(`Host: ${second}\r\n`);
  });
}

for (const host of ["a.test.", "A.Test", "a.test:80", "a.test:"]) {
  test(`Host ${host} shares the page of a.test, and how it is written is not in that`, async () => {
    const path = freshPath();
    await ask(weir.port("web"), `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const { body } = await ask(weir.port("web"), get(path));
    expect(body).not.toContain(host === "a.test:" ? "a.test:\r\n" : host);
    expect(body).toContain("Host: a.test\r\n");
    expect(body).toContain("X-Forwarded-Host: a.test\r\n");
    expect(origin.count(path)).toBe(1);
  });
}

// what selects a variant, or is in the key, has to reach the endpoint as it was compared
for (const line of ["Accept-Language: de", "Cookie: theme=dark", "Accept-Encoding: gzip", "X-Tenant: one"]) {
  test(`${line} that Connection takes away does not select a page (RFC 9110 §7.6.1)`, async () => {
    const path = `${freshPath()}/vary/${line.split(":")[0]}`;
    await ask(weir.port("web"), get(path, line, `Connection: close, ${line.split(":")[0]}`));
    const { body } = await ask(weir.port("web"), get(path, line));
    expect(body).toContain(line);
  });
}

test("the host of an absolute target counts, not the Host beside it (RFC 9112 §3.2.2)", async () => {
  const path = freshPath();
  const absolute = `GET http://evil.test${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`;
  await ask(weir.port("web"), absolute);
  const { body } = await ask(weir.port("web"), get(path));
  expect(body).not.toContain("evil");
});

test("a field that Connection names is not part of what is stored for others (RFC 9110 §7.6.1)", async () => {
  const path = freshPath();
  await ask(weir.port("web"), get(path, "Connection: close, X-Evil", "X-Evil: evil"));
  const { body } = await ask(weir.port("web"), get(path));
  expect(body.toLowerCase()).not.toContain("evil");
});
