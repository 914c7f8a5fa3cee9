/**
 * `weir explain`: the same answers that traffic would get, with their reasons.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Explanation } from "../../src/cli/explain-plan.ts";
import { main } from "../../src/cli/main.ts";
import { keptTerminal } from "./kept-terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-explain-"));
mkdirSync(join(folder, "public/sub"), { recursive: true });
writeFileSync(join(folder, "public/a b.txt"), "ab");
writeFileSync(join(folder, "public/.hidden"), "");
const file = join(folder, "weir.yaml");
writeFileSync(
  file,
  `
listeners:
  web: { bind: [":80", "unix:/run/web.sock"] }
  inside: { bind: "127.0.0.1:8081", encodedSlash: pass, trustedProxies: [10.0.0.0/8] }
routes:
  - { name: everything, to: app }
  - name: api
    match: { host: api.test, path: /v1/*, method: [GET, POST], headers: { x-beta: "1" }, query: { page: "*" } }
    to: [ { upstream: app, weight: 95 }, { upstream: spare, weight: 5 } ]
    rewrite: { stripPrefix: /v1, host: inner.test }
    headers:
      request: { set: { X-Env: prod }, remove: [X-Debug] }
      response: { set: { X-Frame-Options: DENY }, add: { X-More: "1" }, remove: [Server] }
    timeouts: { request: 60s, connect: 2s }
  - { name: hidden, listener: inside, match: { path: /hidden }, respond: { status: 204 } }
  - { name: old, match: { path: /old/* }, redirect: { to: "/new/{rest}", status: 301 } }
  - { name: ping, match: { path: /ping }, respond: { status: 200, body: "pong\\n" } }
  - { name: assets, match: { host: files.test }, files: { root: ./public } }
  - { name: office, match: { path: /office, clientIp: [203.0.113.0/24] }, respond: { status: 200, body: hello } }
upstreams:
  app: { endpoints: [ { address: "127.0.0.1:3000", weight: 3 }, "127.0.0.1:3001", { address: "127.0.0.1:3002", backup: true } ] }
  spare: { endpoints: [ "unix:/run/spare.sock" ], balance: random }
`,
);
afterAll(() => rmSync(folder, { recursive: true }));

async function say(...words: string[]) {
  const terminal = keptTerminal({ WEIR_X: "" });
  const code = await main(["explain", "-c", file, ...words], terminal);
  return { code, out: terminal.lines.out.join("\n"), err: terminal.lines.err.join("\n") };
}

async function explained(...words: string[]): Promise<Explanation> {
  const { code, out, err } = await say(...words, "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out) as Explanation;
}

const fieldsOf = (explanation: Explanation) => {
  if (explanation.outcome?.kind !== "proxy") throw new Error("not proxied");
  return Object.fromEntries(
    explanation.outcome.requestFields.map(([name, value]) => [name.toLowerCase(), value]),
  );
};

describe("the route and its rivals", () => {
  test("the chosen one, those that match less well, and those that do not, with what failed", async () => {
    const { route, routes } = await explained("GET", "http://api.test/v1/users?page=2", "-H", "X-Beta: 1");
    expect(route).toBe("api");
    expect(routes[0]).toMatchObject({ name: "api", verdict: "chosen" });
    expect(routes.find(({ name }) => name === "everything")?.reason).toContain("less specifically");
    expect(routes.find(({ name }) => name === "old")?.reason).toBe("another path");
    expect(routes.find(({ name }) => name === "assets")?.reason).toBe("another host");
    expect(routes.find(({ name }) => name === "hidden")?.reason).toBe("only on listener inside");
    expect(routes).toHaveLength(7);
  });

  test.each([
    [["DELETE", "http://api.test/v1/x?page=1", "-H", "X-Beta: 1"], "method"],
    [["GET", "http://api.test/v1/x?page=1"], "header x-beta"],
    [["GET", "http://api.test/v1/x", "-H", "X-Beta: 1"], "query page"],
  ])("%p fails the test of %s", async (words, subject) => {
    const { route, routes } = await explained(...words);
    expect(route).toBe("everything");
    expect(routes.find(({ name }) => name === "api")?.reason).toContain(subject);
  });

  test("the client's address counts", async () => {
    expect((await explained("GET", "/office", "--from", "203.0.113.9")).route).toBe("office");
    expect((await explained("GET", "/office", "--from", "198.51.100.1")).route).toBe("everything");
  });
});

describe("the listener", () => {
  test.each([
    [["http://a.test/"], "web", "listens on port 80"],
    [["http://a.test:8081/"], "inside", "listens on port 8081"],
    [["/hidden", "--listener", "inside"], "inside", "named by --listener"],
    [["http://a.test:9/"], "web", "the first one"],
  ])("for %p is %s: %s", async ([url = "", ...rest], name, reason) => {
    expect((await explained("GET", url, ...rest)).listener).toMatchObject({ name, reason });
  });

  test("a port that nobody has, and https, are noted", async () => {
    expect((await explained("GET", "http://a.test:9/")).notes.join()).toContain("no listener has port 9");
    expect((await explained("get", "/")).notes).toEqual(["methods are written in upper case: GET"]);
    expect((await explained("GET", "https://a.test/")).notes.join()).toContain("no TLS");
  });
});

describe("what becomes of the request", () => {
  test("sent on: rewritten path and host, shares of upstreams and endpoints, time-outs, response edits", async () => {
    const words = ["GET", "http://api.test/v1/users?page=2", "-H", "X-Beta: 1", "-H", "X-Debug: 1"];
    const explanation = await explained(...words);
    expect(explanation.outcome).toMatchObject({
      kind: "proxy",
      path: { from: "/v1/users", to: "/users" },
      requestLine: "GET /users?page=2 HTTP/1.1",
      timeouts: { requestMs: 60_000, connectMs: 2000 },
      targets: [
        {
          upstream: "app",
          share: 95,
          balance: "round-robin",
          endpoints: [
            { name: "127.0.0.1:3000", share: 75, isBackup: false },
            { name: "127.0.0.1:3001", share: 25, isBackup: false },
            { name: "127.0.0.1:3002", share: 0, isBackup: true },
          ],
        },
        { upstream: "spare", share: 5, balance: "random", choice: "one endpoint" },
      ],
    });
    expect(explanation.responseEdits).toEqual({
      set: [["X-Frame-Options", "DENY"]],
      add: [["X-More", "1"]],
      remove: ["server"],
    });
  });

  test("the fields are those that the endpoint gets: edits, forwarding fields, no hop-by-hop ones", async () => {
    const lines = [
      "X-Beta: 1",
      "X-Debug: 1",
      "Connection: close, X-Hop",
      "X-Hop: 1",
      "X-Forwarded-For: 192.0.2.1",
    ];
    const fields = fieldsOf(
      await explained(
        "GET",
        "http://api.test/v1/users?page=2",
        "--from",
        "203.0.113.9",
        ...lines.flatMap((line) => ["-H", line]),
      ),
    );
    expect(fields).toMatchObject({
      host: "inner.test",
      "x-beta": "1",
      "x-env": "prod",
      "x-forwarded-for": "203.0.113.9",
      "x-forwarded-host": "api.test",
      "x-forwarded-proto": "http",
      "x-forwarded-port": "80",
    });
    expect(fields).toHaveProperty("via", expect.stringContaining("1.1"));
    expect(fields["x-request-id"]).toBeDefined();
    for (const gone of ["x-debug", "x-hop"]) expect(fields).not.toHaveProperty(gone);
  });

  test("a trusted proxy is believed about the client", async () => {
    const words = ["GET", "/office", "--listener", "inside", "--from", "10.1.2.3"];
    const explanation = await explained(...words, "-H", "X-Forwarded-For: 203.0.113.7");
    expect(explanation.request.clientIp).toBe("203.0.113.7");
    expect(explanation.route).toBe("office");
  });

  test("a redirect", async () => {
    expect((await explained("GET", "/old/a/b?c=1")).outcome).toEqual({
      kind: "redirect",
      status: 301,
      location: "/new/a/b?c=1",
    });
  });

  test("an answer of its own", async () => {
    expect((await explained("GET", "/ping")).outcome).toMatchObject({
      kind: "respond",
      status: 200,
      body: "pong\n",
    });
  });

  test.each([
    ["GET", "/a%20b.txt", 200],
    ["GET", "/sub", 308],
    ["GET", "/none", 404],
    ["GET", "/.hidden", 404],
    ["POST", "/a%20b.txt", 405],
  ])("a file: %s %s is answered with %d", async (method, path, status) => {
    const { outcome } = await explained(method, path, "-H", "Host: files.test");
    expect(outcome).toMatchObject({ kind: "files", root: join(folder, "public"), path, status });
  });

  test("a file's conditions and ranges count", async () => {
    const { outcome } = await explained(
      "GET",
      "/a%20b.txt",
      "-H",
      "Host: files.test",
      "-H",
      "Range: bytes=0-0",
    );
    expect(outcome).toMatchObject({
      status: 206,
      fields: expect.arrayContaining([["Content-Range", "bytes 0-0/2"]]),
    });
  });

  test("an upgrade is asked for anew", async () => {
    const lines = [
      "-H",
      "Connection: Upgrade",
      "-H",
      "Upgrade: websocket",
      "-H",
      "Sec-WebSocket-Version: 13",
    ];
    const fields = fieldsOf(await explained("GET", "/chat", ...lines));
    expect(fields).toMatchObject({ connection: "upgrade", upgrade: "websocket" });
  });

  test("an upgrade that traffic would not be given is not shown", async () => {
    const lines = ["-H", "Connection: Upgrade", "-H", "Upgrade: h2c"];
    const fields = fieldsOf(await explained("GET", "/chat", ...lines));
    expect([fields["connection"], fields["upgrade"]]).toEqual([undefined, undefined]);
  });
});

describe("what is refused before any route", () => {
  test.each([
    [["GET", "/a/../../b"], "bad_path", 400],
    [["GET", "/a%2fb"], "bad_path", 400],
    [["GET", "http://a.test/", "-H", "Host: b/c"], "bad_host", 400],
    [["GET", "/", "-H", "Host: a.test", "-H", "Host: b.test"], "h1_host_conflict", 400],
    [
      ["GET", "/", "-H", "Content-Length: 1", "-H", "Transfer-Encoding: chunked"],
      "h1_length_and_chunked",
      400,
    ],
    [["GET", "/", "-H", "Bad Name: 1"], "h1_bad_field", 400],
    [["get", "/"], "h1_bad_request_line", 400],
    [["CONNECT", "/"], "method_refused", 405],
    [["POST", "/", "-H", "Content-Length: 999999999999"], "body_too_large", 413],
    [["GET", "/", "-H", "Expect: tea"], "expectation_unknown", 417],
  ])("%p: %s, %d", async (words, code, status) => {
    const { refused, routes, outcome } = await explained(...words);
    expect(refused).toMatchObject({ code, status });
    expect(routes).toEqual([]);
    expect(outcome).toBeUndefined();
  });

  test("by the rules of the listener: an encoded slash may pass there", async () => {
    const { refused, request } = await explained("GET", "/a%2fb", "--listener", "inside");
    expect(refused).toBeUndefined();
    expect(request.path).toBe("/a%2Fb");
  });
});

describe("a wrong question ends with 2", () => {
  test.each([
    [["GET", "ftp://a/"], "is not a URL"],
    [["GET", "a.test"], "is not a URL"],
    [["GET", "/", "-H", "no colon"], 'is not of the form "Name: value"'],
    [["GET", "/", "-H", "A: 1\r\nB: 2"], 'is not of the form "Name: value"'],
    [["GET", "/", "--from", "here"], "is not an IP address"],
    [["GET", "/", "--listener", "insde"], 'did you mean "inside"?'],
  ])("%p", async (words, meaning) => {
    const { code, out, err } = await say(...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(meaning);
  });
});

test("secrets of the configuration are not shown, and still decide", async () => {
  const secret = join(folder, "secret.yaml");
  writeFileSync(
    secret,
    `
listeners: { web: { bind: ":80" } }
routes:
  - { name: keyed, match: { headers: { x-api-key: "k3y" } }, to: app, headers: { request: { set: { Authorization: "Bearer t0ken" } } } }
upstreams: { app: [ "127.0.0.1:3000" ] }
`,
  );
  const ask = async (...words: string[]) => {
    const terminal = keptTerminal();
    await main(["explain", "-c", secret, "GET", "/", ...words], terminal);
    return terminal.lines.out.join("\n");
  };
  for (const format of [[], ["--json"]]) {
    const missed = await ask(...format);
    expect(missed).toContain("no_route");
    expect(missed).not.toContain("k3y");
    const taken = await ask("-H", "X-Api-Key: k3y", ...format);
    expect(taken).not.toContain("no_route");
    expect(taken).not.toContain("t0ken");
    expect(taken).toContain("[hidden]");
  }
});

test("the page for people says the same", async () => {
  const { out } = await say("GET", "http://api.test/v1/users?page=2", "-H", "X-Beta: 1");
  for (const part of [
    "→ api",
    "rewrite  /v1/users → /users",
    "GET /users?page=2 HTTP/1.1",
    "upstream  app  95 % of requests",
    "127.0.0.1:3002  backup",
    "connect 2s",
    "remove  server",
  ]) {
    expect(out).toContain(part);
  }
});
