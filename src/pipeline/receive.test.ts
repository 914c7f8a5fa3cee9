import { expect, test } from "bun:test";
import { type FakeRequest, fakeExchange, fakeSite, fakeTls } from "../../tests/support/fake-exchange.ts";
import { type FailureCode, fail } from "../core/failure.ts";
import { receive } from "./receive.ts";

interface Meaning {
  readonly path?: string;
  readonly query?: string;
  readonly host?: string;
  readonly authority?: string;
  readonly isPathAsSent?: boolean;
}

const UNDERSTOOD: readonly [what: string, request: FakeRequest, meaning: Meaning][] = [
  ["a plain path", { target: "/a/b" }, { path: "/a/b", query: "", host: "a.test", isPathAsSent: true }],
  ["a query, cut at the first mark", { target: "/a?b=?c" }, { path: "/a", query: "b=?c" }],
  ["an empty query", { target: "/a?" }, { path: "/a", query: "" }],
  ["dots within", { target: "/a/../b/./c" }, { path: "/b/c", isPathAsSent: false }],
  ["needless encoding", { target: "/%61%2e%2e" }, { isPathAsSent: false }],
  [
    "Host in upper case, with port",
    { lines: ["Host: A.Test:8080"] },
    { host: "a.test", authority: "A.Test:8080" },
  ],
  [
    "an absolute target without Host",
    { target: "http://b.test/x", lines: [] },
    { host: "b.test", path: "/x" },
  ],
  [
    "an absolute target that agrees with Host",
    { target: "http://a.test/x?y", lines: ["Host: a.test"] },
    { host: "a.test", path: "/x", query: "y", isPathAsSent: false },
  ],
  ["an empty Host (RFC 9112 §3.2)", { lines: ["Host: "] }, { host: "", authority: "" }],
  ["no Host in HTTP/1.0", { lines: [], isHttp10: true }, { host: "" }],
  ["OPTIONS of the server itself", { method: "OPTIONS", target: "*" }, { path: "*" }],
];
for (const [what, request, meaning] of UNDERSTOOD) {
  test(`${what} is understood`, () => {
    const { exchange } = fakeExchange(request);
    expect(receive(exchange)).toBe("match");
    expect(exchange).toMatchObject(meaning);
  });
}

const REFUSED: readonly [what: string, request: FakeRequest, code: FailureCode][] = [
  ["CONNECT", { method: "CONNECT", target: "a.test:443" }, "method_refused"],
  ["TRACE", { method: "TRACE" }, "method_refused"],
  ["* without OPTIONS", { target: "*" }, "h1_bad_target"],
  ["a target that is neither path nor URL", { target: "a/b" }, "h1_bad_target"],
  ["a path above the root", { target: "/../a" }, "bad_path"],
  ["an encoded slash", { target: "/a%2fb" }, "bad_path"],
  ["an encoded NUL", { target: "/a%00b" }, "bad_path"],
  ["a Host with a path", { lines: ["Host: a.test/x"] }, "bad_host"],
  ["a Host with a user", { lines: ["Host: me@a.test"] }, "bad_host"],
  ["a target against its Host", { target: "http://b.test/", lines: ["Host: a.test"] }, "h1_host_conflict"],
  ["an expectation nobody knows", { lines: ["Host: a", "Expect: 200-maybe"] }, "expectation_unknown"],
];
for (const [what, request, code] of REFUSED) {
  test(`${what} is refused with ${code}`, () => {
    const { exchange } = fakeExchange(request);
    expect([receive(exchange), exchange.failure?.code]).toEqual(["answer", code]);
  });
}

test("an encoded slash passes where the listener lets it", () => {
  const { exchange } = fakeExchange({ target: "/a%2Fb", site: fakeSite([], { encodedSlash: "pass" }) });
  expect([receive(exchange), exchange.path]).toEqual(["match", "/a%2Fb"]);
});

test("100-continue is expected only while a body is to come, and never from an HTTP/1.0 client (RFC 9110 §10.1.1)", () => {
  const lines = ["Host: a", "Expect: 100-Continue"];
  const rows = [
    [false, false, true],
    [true, false, false],
    [false, true, false],
  ] as const;
  for (const [isRequestComplete, isHttp10, expected] of rows) {
    const { exchange } = fakeExchange({ lines, isHttp10 });
    exchange.isRequestComplete = isRequestComplete;
    expect([receive(exchange), exchange.expectsContinue]).toEqual(["match", expected]);
  }
});

const TRUSTED = ["10.0.0.0/8", "fd00::/8"];
const CLIENTS: readonly [what: string, clientIp: string, forwarded: readonly string[], expected: string][] = [
  ["nobody else is believed", "203.0.113.9", ["1.1.1.1"], "203.0.113.9"],
  ["a trusted proxy names its client", "10.0.0.1", ["1.1.1.1"], "1.1.1.1"],
  ["what that client claims is not believed", "10.0.0.1", ["9.9.9.9, 1.1.1.1"], "1.1.1.1"],
  [
    "trusted proxies in a row are passed over",
    "10.0.0.1",
    ["9.9.9.9, 1.1.1.1, 10.0.0.3, 10.0.0.2"],
    "1.1.1.1",
  ],
  ["several fields are one list", "10.0.0.1", ["9.9.9.9, 1.1.1.1", "10.0.0.2"], "1.1.1.1"],
  ["only trusted hops: the farthest is the client", "10.0.0.1", ["10.0.0.9, 10.0.0.2"], "10.0.0.9"],
  ["ports and brackets are taken off", "10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"],
  ["a port of an IPv4 address too", "10.0.0.1", ["1.1.1.1:5000"], "1.1.1.1"],
  ["a hop that is no address ends the list", "10.0.0.1", ["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"],
  ["an empty list leaves the peer", "10.0.0.1", [""], "10.0.0.1"],
  ["no list leaves the peer", "10.0.0.1", [], "10.0.0.1"],
];
for (const [what, clientIp, forwarded, expected] of CLIENTS) {
  test(`the client's address: ${what}`, () => {
    const lines = ["Host: a", ...forwarded.map((hops) => `X-Forwarded-For: ${hops}`)];
    const { exchange } = fakeExchange({ clientIp, trusted: TRUSTED, lines });
    receive(exchange);
    expect(exchange.clientIp).toBe(expected);
  });
}

test("the request id of a trusted proxy is kept when it is plain, any other gets a new one", () => {
  const idOf = (clientIp: string, id: string) => {
    const { exchange } = fakeExchange({
      clientIp,
      trusted: TRUSTED,
      lines: ["Host: a", `X-Request-Id: ${id}`],
    });
    receive(exchange);
    return exchange.requestId;
  };
  expect(idOf("10.0.0.1", "abc-123")).toBe("abc-123");
  for (const id of [
    idOf("203.0.113.9", "abc-123"),
    idOf("10.0.0.1", 'a"b'),
    idOf("10.0.0.1", "x".repeat(129)),
  ]) {
    expect(id).toMatch(/^[0-9a-f]{32}$/);
  }
});

const OTHER_HOST = { lines: ["Host: b.test"], tls: fakeTls() };
const REACH: readonly [what: string, request: FakeRequest, code: FailureCode | undefined][] = [
  ["the host of the server name", { isHttp2: true, tls: fakeTls() }, undefined],
  [
    "that host in another spelling",
    { isHttp2: true, tls: fakeTls(), lines: ["Host: A.Test:443"] },
    undefined,
  ],
  ["another host over HTTP/2", { ...OTHER_HOST, isHttp2: true }, "misdirected"],
  ["another host over HTTP/1", OTHER_HOST, undefined],
  [
    "another host over HTTP/1 where names or clients are told apart",
    { ...OTHER_HOST, site: fakeSite([], { isStrictHost: true }) },
    "misdirected",
  ],
  ["another host without TLS", { isHttp2: true, lines: ["Host: b.test"] }, undefined],
  [
    "no host at all",
    { isHttp10: true, lines: [], tls: fakeTls(), site: fakeSite([], { isStrictHost: true }) },
    undefined,
  ],
];
for (const [what, request, code] of REACH) {
  test(`${what} is ${code ?? "served"} (RFC 9110 §7.4)`, () => {
    const { exchange } = fakeExchange(request);
    expect([receive(exchange), exchange.failure?.code]).toEqual([
      code === undefined ? "match" : "answer",
      code,
    ]);
  });
}

test("a host that was misdirected once is so again: the memo does not let it in", () => {
  const { exchange, downstream } = fakeExchange({ ...OTHER_HOST, isHttp2: true });
  receive(exchange);
  const second = fakeExchange({ ...OTHER_HOST, isHttp2: true });
  Object.assign(second.downstream.memo, downstream.memo);
  expect([receive(second.exchange), second.exchange.failure?.code]).toEqual(["answer", "misdirected"]);
});

for (const target of ["http://a.test/x", "a", "", "a.test:443", "?x"]) {
  test(`over HTTP/2 the path "${target}" is malformed (RFC 9113 §8.3.1)`, () => {
    const { exchange } = fakeExchange({ target, isHttp2: true });
    expect([receive(exchange), exchange.failure?.code]).toEqual(["answer", "h2_malformed"]);
  });
}

test("OPTIONS * is understood over HTTP/2, and CONNECT refused without an end of the connection", () => {
  const options = fakeExchange({ method: "OPTIONS", target: "*", isHttp2: true }).exchange;
  expect([receive(options), options.path]).toEqual(["match", "*"]);
  const connect = fakeExchange({ method: "CONNECT", target: "", isHttp2: true }).exchange;
  expect([receive(connect), connect.failure?.code, connect.isLastOfConnection]).toEqual([
    "answer",
    "method_refused",
    false,
  ]);
});

test("the memo of a connection gives the same meaning for the same Host, and another for another", () => {
  const { exchange, downstream } = fakeExchange({ lines: ["Host: A.test:80"] });
  receive(exchange);
  expect(downstream.memo).toMatchObject({ authority: "A.test:80", host: "a.test" });
  const second = fakeExchange({ lines: ["Host: b.test"] });
  Object.assign(second.downstream.memo, downstream.memo, { lines: "old" });
  receive(second.exchange);
  expect([second.exchange.host, second.downstream.memo.host, second.downstream.memo.lines]).toEqual([
    "b.test",
    "b.test",
    "",
  ]);
  const bad = fakeExchange({ lines: ["Host: b test"] });
  Object.assign(bad.downstream.memo, downstream.memo);
  receive(bad.exchange);
  expect([bad.exchange.failure?.code, bad.downstream.memo.host]).toEqual(["bad_host", "a.test"]);
});

test("a request that its session refused goes straight to the answer, with an id to quote", () => {
  const { exchange } = fakeExchange();
  exchange.failure = fail("head_too_large");
  expect([receive(exchange), exchange.plan.isRequestBroken]).toEqual(["answer", true]);
  expect(exchange.requestId).toMatch(/^[0-9a-f]{32}$/);
});

test("after CONNECT, with or without a body, no request follows on the connection (RFC 9110 §9.3.6)", () => {
  for (const method of ["CONNECT", "TRACE"]) {
    const { exchange } = fakeExchange({ method, target: "a.test:443" });
    expect(receive(exchange)).toBe("answer");
    expect([exchange.failure?.code, exchange.isLastOfConnection]).toEqual([
      "method_refused",
      method === "CONNECT",
    ]);
  }
});
