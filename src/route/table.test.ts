import { describe, expect, test } from "bun:test";
import { NO_MATCH } from "../../tests/support/no-match.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { Fields } from "../core/fields.ts";
import type { RouteRequest } from "./conditions.ts";
import type { ClientCertTest, NamedTest, PathTest, RouteMatch, ValueTest } from "./match.ts";
import { compileTable, type RouteRule } from "./table.ts";

function fieldsOf(lines: readonly string[]): Fields {
  const fields = new Fields();
  let text = "";
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const start = text.length;
    const valueStart = start + colon + 2;
    fields.mark(start, start + colon, valueStart, start + line.length, fieldIdOf(name.toLowerCase()));
    text += `${line}\r\n`;
  }
  fields.bind(Buffer.from(text, "latin1"), 0, 0, text.length);
  return fields;
}

function request(
  url: string,
  more: Partial<RouteRequest> & { readonly lines?: readonly string[] } = {},
): RouteRequest {
  const { lines = [], ...rest } = more;
  const [, host = "", path = "", query = ""] = /^([^/]*)([^?]*)\??(.*)$/.exec(url) ?? [];
  return {
    host,
    path,
    query,
    method: "GET",
    requestFields: fieldsOf(lines),
    clientIp: "192.0.2.1",
    downstream: { tls: undefined },
    ...rest,
  };
}

const ALICE = {
  subject: "CN=alice,O=Example",
  sans: ["DNS:alice.example.com", "URI:spiffe://example/alice"],
  fingerprint: "ab".repeat(32),
};
const ofAlice = request("a/", { downstream: { tls: { client: ALICE } } });
const certless = request("a/", { downstream: { tls: { client: undefined } } });

function cert(test: Partial<ClientCertTest>): Partial<RouteMatch> {
  return { clientCert: { subject: undefined, san: undefined, fingerprints: [], ...test } };
}

/** `/x`, `/x/*` and `~source`, as in a configuration. */
function pathOf(text: string): PathTest {
  if (text.startsWith("~")) return { kind: "pattern", source: text.slice(1) };
  return text.endsWith("/*") ? { kind: "prefix", path: text.slice(0, -2) } : { kind: "exact", path: text };
}

/** `host/path` as in a configuration; either may be missing. */
function rule(
  where: string,
  more: Partial<RouteMatch> & { readonly priority?: number } = {},
): RouteRule<string> {
  const { priority = 0, ...match } = more;
  const [, host = "", path = ""] = /^([^/~]*)(.*)$/.exec(where) ?? [];
  const hosts = host === "" ? [] : host.split(",");
  const pathTest = path === "" ? {} : { path: pathOf(path) };
  return { name: where, priority, value: where, match: { ...NO_MATCH, hosts, ...pathTest, ...match } };
}

const equal = (name: string, value: string): NamedTest => ({ name, test: { kind: "equal", value } });
const present = (name: string): NamedTest => ({ name, test: { kind: "present" } });
const pattern = (name: string, source: string): NamedTest => ({ name, test: { kind: "pattern", source } });

describe("the most specific route wins, in whatever order they are written", () => {
  const rows: [rule: string, url: string, wanted: string | undefined, ...routes: string[]][] = [
    ["nothing matches", "a/x", undefined, "a/y", "b"],
    ["exact host before wildcard", "w.a.b/x", "w.a.b", "", "*.a.b", "*.b", "w.a.b"],
    ["longer wildcard before shorter", "w.a.b/x", "*.a.b", "", "*.b", "*.a.b"],
    ["wildcard before any host", "w.a.b/x", "*.b", "", "*.b"],
    ["a wildcard stands for several labels", "1.2.3.b/x", "*.b", "*.b"],
    ["a wildcard stands for one label at least", "a.b/x", undefined, "*.a.b"],
    ["a wildcard needs the whole label", "xa.b/x", undefined, "*.a.b"],
    ["a wildcard does not match an empty label", ".a.b/x", undefined, "*.a.b"],
    ["host before path", "a/x/y", "a/*", "/x/y", "a/*"],
    ["wildcard host before exact path", "w.a/x", "*.a", "/x", "*.a"],
    ["exact path before prefix", "a/x", "/x", "/x/*", "/x", "~^/x$", "/*"],
    ["longest prefix", "a/x/y/z", "/x/y/*", "/x/*", "/x/y/*", "/*"],
    ["prefix before pattern", "a/x/y", "/x/*", "~^/x", "/x/*"],
    ["pattern before any path", "a/x/y", "~^/x", "/*", "~^/x", ""],
    ["patterns in the order written", "a/x/y", "~/y$", "~/y$", "~^/x"],
    ["a prefix matches its own path", "a/x", "/x/*", "/x/*"],
    ["a prefix matches its own path with a slash", "a/x/", "/x/*", "/x/*"],
    ["a prefix ends at a segment", "a/xy", undefined, "/x/*"],
    ["an exact path has no slash added", "a/x/", undefined, "/x"],
    ["/* and no path are the same: the first written", "a/q", "a", "a", "a/*"],
    ["fall back to a wildcard's routes", "w.a/q", "*.a/q", "w.a/x", "*.a/q", "/q"],
    ["fall back to any host's routes", "w.a/q", "/q", "w.a/x", "*.a/y", "/q"],
    ["several hosts in one route", "b/x", "a,b", "", "a,b"],
    ["a longer prefix that does not match is no hindrance", "a/x/y", "/x/*", "/x/y/z/*", "/x/*"],
    ["no host in the request", "/x", "", "a", "", "*.a"],
    ["a written path may hold letters past ASCII", "a/caf%C3%A9/1", "/café/*", "/café/*"],
  ];
  test.each(rows)("%s: %s", (_rule, url, wanted, ...routes) => {
    expect(compileTable(routes.map((text) => rule(text))).find(request(url))).toBe(wanted as string);
    // order decides only between equals; then the first of the reversed list is another
    const isTie = _rule.includes("written") && !_rule.includes("past ASCII");
    if (!isTie)
      expect(compileTable(routes.map((text) => rule(text)).reverse()).find(request(url))).toBe(
        wanted as string,
      );
  });
});

describe("conditions", () => {
  const rows: [rule: string, match: Partial<RouteMatch>, request: RouteRequest, holds: boolean][] = [
    ["a method of the list", { methods: ["GET", "POST"] }, request("a/", { method: "POST" }), true],
    ["HEAD is not GET", { methods: ["GET"] }, request("a/", { method: "HEAD" }), false],
    [
      "methods are case-sensitive (RFC 9110 §9.1)",
      { methods: ["GET"] },
      request("a/", { method: "get" }),
      false,
    ],
    ["a field equal", { headers: [equal("x-beta", "1")] }, request("a/", { lines: ["X-Beta: 1"] }), true],
    [
      "a field different",
      { headers: [equal("x-beta", "1")] },
      request("a/", { lines: ["X-Beta: 2"] }),
      false,
    ],
    ["a field absent", { headers: [present("x-beta")] }, request("a/", { lines: ["X-Bet: 1"] }), false],
    ["a field present", { headers: [present("x-beta")] }, request("a/", { lines: ["x-beta: "] }), true],
    [
      "a known field",
      { headers: [pattern("accept", "json")] },
      request("a/", { lines: ["Accept: a/json"] }),
      true,
    ],
    [
      "several lines are one list (RFC 9110 §5.3)",
      { headers: [equal("x-beta", "1, 2")] },
      request("a/", { lines: ["X-Beta: 1", "Y: 3", "X-BETA: 2"] }),
      true,
    ],
    [
      "a second line does not hide behind the first",
      { headers: [equal("x-beta", "1")] },
      request("a/", { lines: ["X-Beta: 1", "X-Beta: 2"] }),
      false,
    ],
    [
      "several lines of a known field are one list",
      { headers: [equal("accept", "a, b")] },
      request("a/", { lines: ["Accept: a", "Accept: b"] }),
      true,
    ],
    [
      "all headers must hold",
      { headers: [present("a"), present("b")] },
      request("a/", { lines: ["A: 1"] }),
      false,
    ],
    ["a query value", { query: [equal("debug", "1")] }, request("a/?x=2&debug=1"), true],
    ["one of several query values", { query: [equal("d", "1")] }, request("a/?d=0&d=1"), true],
    ["a query name is not a beginning", { query: [present("deb")] }, request("a/?debug=1"), false],
    ["a query name without value is present", { query: [present("debug")] }, request("a/?debug"), true],
    ["a query name without value is empty", { query: [equal("debug", "")] }, request("a/?x&debug"), true],
    ["no query", { query: [present("")] }, request("a/"), false],
    ["a query is compared decoded", { query: [equal("ü b", "1+ 2")] }, request("a/?%C3%BC+b=1%2b%202"), true],
    ["a query that does not decode", { query: [equal("a", "%zz")] }, request("a/?a=%zz"), true],
    ["a value may hold =", { query: [equal("a", "b=c")] }, request("a/?a=b=c"), true],
    [
      "a cookie",
      { cookies: [equal("group", "beta")] },
      request("a/", { lines: ["Cookie: a=b; group=beta"] }),
      true,
    ],
    [
      "a cookie in a second field",
      { cookies: [present("b")] },
      request("a/", { lines: ["Cookie: a=1", "Cookie: b=2"] }),
      true,
    ],
    ["no such cookie", { cookies: [present("b")] }, request("a/", { lines: ["Cookie: a=b"] }), false],
    ["no cookie at all", { cookies: [present("b")] }, request("a/"), false],
    ["a client in a block", { clientIp: ["10.0.0.0/8", "192.0.2.0/24"] }, request("a/"), true],
    ["a client outside", { clientIp: ["10.0.0.0/8"] }, request("a/"), false],
    [
      "a client on a unix socket is in no block",
      { clientIp: ["0.0.0.0/0"] },
      request("a/", { clientIp: "unix" }),
      false,
    ],
  ];
  test.each(rows)("%s", (_rule, match, asked, holds) => {
    expect(compileTable([rule("", match)]).find(asked)).toBe((holds ? "" : undefined) as string);
  });
});

describe("the client's certificate", () => {
  const is = (value: string): ValueTest => ({ kind: "equal", value });
  const like = (source: string): ValueTest => ({ kind: "pattern", source });
  const rows: [rule: string, test: Partial<ClientCertTest>, holds: boolean][] = [
    ["any", {}, true],
    ["any subject", { subject: { kind: "present" } }, true],
    ["the subject as a whole", { subject: is("CN=alice,O=Example") }, true],
    ["a part of the subject is not the subject", { subject: is("CN=alice") }, false],
    ["a pattern of the subject", { subject: like("(^|,)O=Example(,|$)") }, true],
    ["one of the names", { san: is("URI:spiffe://example/alice") }, true],
    ["none of the names", { san: is("DNS:bob.example.com") }, false],
    ["a pattern of a name", { san: like("^DNS:.*[.]example[.]com$") }, true],
    ["one of the fingerprints", { fingerprints: ["00".repeat(32), ALICE.fingerprint] }, true],
    ["none of the fingerprints", { fingerprints: ["00".repeat(32)] }, false],
    ["all that are asked for", { subject: is("CN=alice,O=Example"), san: is("DNS:bob") }, false],
  ];
  for (const [what, test_, holds] of rows) {
    test(`${what}: ${holds ? "holds" : "does not hold"}`, () => {
      expect(compileTable([rule("a/", cert(test_))]).find(ofAlice)).toBe(holds ? "a/" : undefined);
    });
  }
  for (const [what, test_] of rows) {
    test(`${what}: never holds without a certificate, nor without TLS`, () => {
      const table = compileTable([rule("a/", cert(test_))]);
      expect([table.find(certless), table.find(request("a/"))]).toEqual([undefined, undefined]);
    });
  }
  test("an explanation says which part did not hold", () => {
    const table = compileTable([rule("a/", cert({ subject: is("CN=bob") })), rule("*.a/", {})]);
    expect(table.explain(ofAlice)[0]).toMatchObject({
      verdict: "condition",
      subject: "client certificate subject",
    });
  });
  test("each test ranks as a header test: two precede one header, one is in order with it", () => {
    const one = { ...rule("", cert({})), value: "one" };
    const two = { ...rule("", cert({ subject: like("."), san: like(".") })), value: "two" };
    const header = { ...rule("", { headers: [present("a")] }), value: "header" };
    const asked = { ...ofAlice, requestFields: fieldsOf(["A: 1"]) };
    expect(compileTable([header, two]).find(asked)).toBe("two");
    expect(compileTable([header, one]).find(asked)).toBe("header");
    expect(compileTable([one, header]).find(asked)).toBe("one");
  });
});

describe("between routes with the same host and path", () => {
  const asked = request("a/?q=1", { lines: ["A: 1", "B: 1", "Cookie: c=1"] });
  const ladder: [name: string, match: Partial<RouteMatch>][] = [
    ["method", { methods: ["GET"] }],
    ["two headers", { headers: [present("a"), present("b")] }],
    ["one header", { headers: [present("a")] }],
    ["a query test", { query: [present("q")] }],
    ["a cookie test", { cookies: [present("c")] }],
    ["a client block", { clientIp: ["0.0.0.0/0"] }],
    ["nothing", {}],
  ];
  const named = ladder.map(([name, match]) => ({ ...rule("", match), value: name }));
  for (const [place, [name]] of ladder.entries()) {
    test(`${name} precedes what comes after it in the ladder`, () => {
      expect(compileTable(named.slice(place)).find(asked)).toBe(name);
      expect(compileTable(named.slice(place).reverse()).find(asked)).toBe(name);
    });
  }
  test("one client block or ten are one test: order decides", () => {
    const ten = { ...rule("", { clientIp: ["0.0.0.0/0", "::/0"] }), value: "ten" };
    const one = { ...rule("", { clientIp: ["0.0.0.0/0"] }), value: "one" };
    expect(compileTable([one, ten]).find(asked)).toBe("one");
  });
});

describe("priority comes before everything", () => {
  test("a higher priority on any host wins over an exact host", () => {
    expect(compileTable([rule("a/x"), rule("/*", { priority: 1 })]).find(request("a/x"))).toBe("/*");
  });
  test("a lower priority loses to any path of any host", () => {
    expect(compileTable([rule("a/x", { priority: -1 }), rule("")]).find(request("a/x"))).toBe("");
  });
  test("a higher priority that does not match is no hindrance", () => {
    expect(compileTable([rule("a/x"), rule("b", { priority: 9 })]).find(request("a/x"))).toBe("a/x");
  });
});

test("a single route that asks nothing takes everything", () => {
  expect(compileTable([rule("/*")]).find(request("a/x"))).toBe("/*");
});

test("an empty table takes nothing", () => {
  const table = compileTable<string>([]);
  expect(table.find(request("a/x"))).toBeUndefined();
  expect(table.explain(request("a/x"))).toEqual([]);
});

test("an explanation names each route once, in order of precedence, with what it lacked", () => {
  const rules = [
    rule("", { clientIp: ["10.0.0.0/8"] }),
    rule("/*"),
    rule("b,*.c"),
    rule("a,*.a/x/*", { headers: [present("x-beta")] }),
    rule("a/y"),
    rule("a/*", { methods: ["POST"] }),
    rule("*.a,a/x"),
  ];
  const told = compileTable(rules).explain(request("a/x"));
  expect(told.map(({ rule: { name }, verdict, subject }) => [name, verdict, subject])).toEqual([
    ["a/y", "path", ""],
    ["*.a,a/x", "chosen", ""],
    ["a,*.a/x/*", "condition", "header x-beta"],
    ["a/*", "condition", "method"],
    ["b,*.c", "host", ""],
    ["", "condition", "client address"],
    ["/*", "outranked", ""],
  ]);
});

test("find and explain agree on any table and any request", () => {
  let state = 0x2545f491;
  const draw = (count: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
  const hosts = ["", "a.b", "c.a.b", "*.b", "*.a.b", "a.b,*.a.b"];
  const paths = ["", "/*", "/x", "/x/*", "/x/y/*", "/x/y", "~^/x/.$", "~y$", "/"];
  const asks = ["a.b", "c.a.b", "d.c.a.b", "z", ""].flatMap((host) =>
    ["/", "/x", "/x/", "/x/y", "/x/y/z", "/xy"].map((path) => request(host + path)),
  );
  let hits = 0;
  for (let round = 0; round < 400; round++) {
    const rules = Array.from({ length: 1 + draw(12) }, () =>
      rule(`${hosts[draw(hosts.length)]}${paths[draw(paths.length)]}`, {
        priority: draw(4) === 0 ? draw(3) - 1 : 0,
        methods: draw(5) === 0 ? ["POST"] : [],
        clientIp: draw(5) === 0 ? ["192.0.2.1"] : [],
      }),
    ).map((made, index) => ({ ...made, value: `${index} ${made.name}` }));
    const table = compileTable(rules);
    for (const asked of asks) {
      const chosen = table.explain(asked).find(({ verdict }) => verdict === "chosen")?.rule.value;
      if (chosen !== undefined) hits++;
      if (table.find(asked) !== chosen) {
        throw new Error(
          `${asked.host}${asked.path}: ${table.find(asked)} ≠ ${chosen} in ${rules.map((made) => made.value)}`,
        );
      }
    }
  }
  expect(hits).toBeGreaterThan(5000);
});
