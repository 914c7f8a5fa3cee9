import { describe, expect, test } from "bun:test";
import { checkLogFormat, compileLogFormat, type LogEntry, type LogTls, logFields } from "./access-log.ts";

const ENTRY: LogEntry = {
  timeMs: Date.UTC(2026, 0, 31, 23, 59, 59, 7),
  requestId: "0af7651916cd43dd8448eb211c80319c",
  clientIp: "203.0.113.9",
  clientPort: 50123,
  method: "GET",
  scheme: "https",
  host: "app.example.com",
  path: "/v1/items",
  query: "page=2",
  protocol: "HTTP/1.1",
  status: 200,
  bytesReceived: 12,
  bytesSent: 65,
  listener: "https",
  route: "api",
  upstream: "app",
  endpoint: "10.0.0.1:8080",
  attempts: 1,
  headMs: 0.0314,
  queueMs: 0,
  connectMs: -1,
  firstByteMs: 1.2,
  totalMs: 1234.5678,
  cache: "",
  cacheRule: "",
  cause: "done",
  detail: "",
  userAgent: "curl/8.14.1",
  referer: "https://example.com/",
  tls: undefined,
};
/** Client-controlled texts of an entry. */
const TEXTS = [
  "method",
  "host",
  "path",
  "query",
  "userAgent",
  "referer",
  "requestId",
  "route",
  "clientIp",
] as const;
const HOSTILE = [
  `a"b`,
  "a\\b",
  `\\", "status":500, "x":"`,
  "a\nb",
  "a\r\nb",
  "a\tb c",
  "\u0000\u001b[31m",
  "\u007f\u0080\u00e9\u00ff",
  "€ 😀",
  "",
  "]} - -",
  "{status}",
];
const everyLatin1 = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");

describe("json", () => {
  const format = compileLogFormat("json");

  test("every value has its key, and times that were not reached are null", () => {
    expect(JSON.parse(format(ENTRY))).toEqual({
      time: "2026-01-31T23:59:59.007Z",
      requestId: ENTRY.requestId,
      clientIp: "203.0.113.9",
      clientPort: 50123,
      method: "GET",
      scheme: "https",
      host: "app.example.com",
      path: "/v1/items",
      query: "page=2",
      protocol: "HTTP/1.1",
      status: 200,
      bytesReceived: 12,
      bytesSent: 65,
      listener: "https",
      route: "api",
      upstream: "app",
      endpoint: "10.0.0.1:8080",
      attempts: 1,
      headMs: 0.031,
      queueMs: 0,
      connectMs: null,
      firstByteMs: 1.2,
      totalMs: 1234.568,
      cause: "done",
      userAgent: "curl/8.14.1",
      referer: "https://example.com/",
    });
  });

  test("the detail of a failure stands behind its cause", () => {
    const line = format({ ...ENTRY, cause: "tls_untrusted", detail: 'a "b"' });
    expect(line).toContain('"cause":"tls_untrusted","detail":"a \\"b\\"","userAgent"');
    expect(format(ENTRY)).not.toContain("detail");
  });

  test("what the cache did stands in lines of routes that cache", () => {
    const line = JSON.parse(format({ ...ENTRY, cache: "hit", cacheRule: "fresh" }));
    expect(line).toEqual({ ...JSON.parse(format(ENTRY)), cache: "hit", cacheRule: "fresh" });
    expect(compileLogFormat("{cache} {cacheRule}")({ ...ENTRY, cache: "miss", cacheRule: "" })).toBe(
      "miss -",
    );
  });

  test("any text in any place comes back as it was, on one line of ASCII", () => {
    for (const key of TEXTS) {
      for (const text of [...HOSTILE, everyLatin1]) {
        const line = format({ ...ENTRY, [key]: text });
        expect(line).toMatch(/^[\x20-\x7e]+$/);
        expect(JSON.parse(line)).toEqual({ ...JSON.parse(format(ENTRY)), [key]: text });
      }
    }
  });

  test("values that repeat and change are each the value of their own line", () => {
    const lines = ["a", "a", "b", "", "a"].map((route) => format({ ...ENTRY, route }));
    expect(lines.map((line) => (JSON.parse(line) as { route: string }).route)).toEqual([
      "a",
      "a",
      "b",
      "",
      "a",
    ]);
  });
});

const TLS: LogTls = {
  serverName: "app.example.com",
  version: "TLSv1.3",
  cipher: "TLS_AES_128_GCM_SHA256",
  client: { subject: 'CN=a"b\n,O=\u00e9', fingerprint: "ab" },
};

describe("a TLS connection", () => {
  const json = compileLogFormat("json");
  const membersOf = (tls: LogTls | undefined) => {
    const { length } = Object.keys(JSON.parse(json({ ...ENTRY, tls: undefined })));
    return Object.fromEntries(Object.entries(JSON.parse(json({ ...ENTRY, tls }))).slice(length));
  };
  test("json has its facts, only those that there are, whatever the line before said", () => {
    const known = { tlsVersion: "TLSv1.3", tlsCipher: "TLS_AES_128_GCM_SHA256" };
    const whole = {
      serverName: "app.example.com",
      ...known,
      clientCertSubject: 'CN=a"b\n,O=\u00e9',
      clientCertFingerprint: "ab",
    };
    expect(membersOf(TLS)).toEqual(whole);
    expect(membersOf({ ...TLS, serverName: "", client: undefined })).toEqual(known);
    expect(membersOf(undefined)).toEqual({});
    expect(membersOf(TLS)).toEqual(whole);
  });
  test("a template writes them, and - where there is nothing", () => {
    const format = compileLogFormat(
      "{serverName} {tlsVersion} {tlsCipher} {clientCertFingerprint} {clientCertSubject}",
    );
    expect(format({ ...ENTRY, tls: TLS })).toBe(
      "app.example.com TLSv1.3 TLS_AES_128_GCM_SHA256 ab CN=a\\x22b\\x0A,O=\\xE9",
    );
    expect(format(ENTRY)).toBe("- - - - -");
  });
});

describe("times", () => {
  const format = compileLogFormat("{time} {commonTime} {totalMs} {totalSec} {headMs}");
  const rows: [timeMs: number, totalMs: number, line: string][] = [
    [0, 0, "1970-01-01T00:00:00.000Z 01/Jan/1970:00:00:00 +0000 0.000 0.000 0.031"],
    [999.9, 0.0004, "1970-01-01T00:00:00.999Z 01/Jan/1970:00:00:00 +0000 0.000 0.000 0.031"],
    [1000, 0.9996, "1970-01-01T00:00:01.000Z 01/Jan/1970:00:00:01 +0000 1.000 0.001 0.031"],
    [951782399999, 61_005.25, "2000-02-28T23:59:59.999Z 28/Feb/2000:23:59:59 +0000 61005.250 61.005 0.031"],
    [
      951782400000,
      3_600_000,
      "2000-02-29T00:00:00.000Z 29/Feb/2000:00:00:00 +0000 3600000.000 3600.000 0.031",
    ],
    [1, -1, "1970-01-01T00:00:00.001Z 01/Jan/1970:00:00:00 +0000 - - 0.031"],
    [1, Number.NaN, "1970-01-01T00:00:00.001Z 01/Jan/1970:00:00:00 +0000 - - 0.031"],
  ];
  for (const [timeMs, totalMs, line] of rows) {
    test(`${timeMs} and ${totalMs} ms`, () => expect(format({ ...ENTRY, timeMs, totalMs })).toBe(line));
  }
});

describe("combined", () => {
  const format = compileLogFormat("combined");
  /** What a log reader takes a combined line to be. */
  const READER =
    /^(\S+) - - \[(\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(\S+) (\S+) (\S+)" (\d{3}) (\d+) "([^"]*)" "([^"]*)" (\S+)$/;

  test("is Apache's format with the seconds behind", () => {
    expect(format(ENTRY)).toBe(
      '203.0.113.9 - - [31/Jan/2026:23:59:59 +0000] "GET /v1/items?page=2 HTTP/1.1" 200 65 ' +
        '"https://example.com/" "curl/8.14.1" 1.235',
    );
  });

  test("no text in any place moves a field, ends the line or leaves ASCII", () => {
    for (const key of TEXTS) {
      for (const text of [...HOSTILE, everyLatin1]) {
        const line = format({ ...ENTRY, [key]: text });
        expect(line).toMatch(/^[\x20-\x7e]+$/);
        const fields = READER.exec(line);
        expect(fields?.[6]).toBe("200");
        expect(fields?.[7]).toBe("65");
        expect(fields?.[10]).toBe("1.235");
      }
    }
  });

  test("what is not there is a dash", () => {
    expect(format({ ...ENTRY, referer: "", userAgent: "", method: "", path: "", query: "" })).toContain(
      '"- - HTTP/1.1" 200 65 "-" "-" ',
    );
  });
});

describe("templates", () => {
  const rows: [format: string, change: Partial<LogEntry>, line: string][] = [
    ["{status}", {}, "200"],
    ["{{{status}}}", {}, "{200}"],
    ["s={status};", {}, "s=200;"],
    ["{clientIp}:{clientPort}", { clientIp: "2001:db8::1" }, "2001:db8::1:50123"],
    ["{path} {status}", { path: "/a b" }, "/a\\x20b 200"],
    ['"{path}" {status}', { path: '/a b" 500' }, '"/a b\\x22 500" 200'],
    ["{path}|{userAgent}|", { userAgent: "x|y z" }, "/v1/items|x\\x7Cy z|"],
    ["{path}\t{userAgent}", { path: "/a\tb" }, "/a\\x09b\tcurl/8.14.1"],
    ["{path}{query}]", { path: "/]", query: "a]" }, "/\\x5Da\\x5D]"],
    ["[{referer}]", { referer: "^]-\\" }, "[^\\x5D-\\x5C]"],
    ["{userAgent}^", { userAgent: "a^b" }, "a\\x5Eb^"],
    ["{userAgent}", { userAgent: "é €" }, "\\xE9 \\u20AC"],
    ["{target}", { query: "" }, "/v1/items"],
    ["{connectMs}/{headMs}", {}, "-/0.031"],
  ];
  for (const [format, change, line] of rows) {
    test(`${JSON.stringify(format)} gives ${line}`, () => {
      expect(checkLogFormat(format)).toBeUndefined();
      expect(compileLogFormat(format)({ ...ENTRY, ...change })).toBe(line);
    });
  }

  test("every field can stand in a template", () => {
    for (const name of logFields()) {
      expect(compileLogFormat(`<{${name}}>`)(ENTRY)).toMatch(/^<.+>$/);
    }
  });

  test("every value of an entry is a field", () => {
    for (const name of Object.keys(ENTRY)) {
      if (name !== "timeMs" && name !== "tls") expect(logFields()).toContain(name);
    }
  });
});

describe("a format that is none is refused with what to do", () => {
  const rows: [format: string, message: RegExp][] = [
    ["{stauts}", /unknown field \{stauts\}: the fields are time, .*status/],
    ["{}", /unknown field \{\}/],
    ["{constructor}", /unknown field/],
    ["jsn", /"jsn" is no log format: use json, combined, or a template/],
    ["", /no log format/],
    ["{{status}}", /no log format/],
    ["{status", /a lone "\{" at character 1/],
    ["{status} }", /a lone "\}" at character 10: write "\}\}"/],
    ["{status}\n{path}", /one line/],
  ];
  for (const [format, message] of rows) {
    test(JSON.stringify(format), () => {
      expect(checkLogFormat(format)).toMatch(message);
      expect(() => compileLogFormat(format)).toThrow(message);
    });
  }
  test("the named formats are accepted", () => {
    expect([checkLogFormat("json"), checkLogFormat("combined")]).toEqual([undefined, undefined]);
  });
});

/** The named format as a template. */
const COMBINED =
  '{clientIp} - - [{commonTime}] "{method} {target} {protocol}" {status} {bytesSent} "{referer}" "{userAgent}" {totalSec}';

test("combined writes what its template says, for plain values and for hostile ones", () => {
  const direct = compileLogFormat("combined");
  const byTemplate = compileLogFormat(COMBINED);
  for (const value of ["", "plain", 'a"b', "a b", "\x00\n\\", "\xff", "]"]) {
    const odd: LogEntry = {
      ...ENTRY,
      method: value,
      path: `/${value}`,
      query: value,
      referer: value,
      userAgent: value,
    };
    expect(direct(odd)).toBe(byTemplate(odd));
  }
});
