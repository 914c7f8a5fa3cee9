/** Start lines: request lines (RFC 9112 §3) and status lines (§4). */
import { expect, test } from "bun:test";
import { RequestLine, StatusLine } from "./start-line.ts";

/** The line stands in the middle of other bytes, as in a buffer. */
function around(line: string): [Buffer, number, number] {
  const bytes = Buffer.from(`GET ${line}\r\nHost`, "latin1");
  return [bytes, 4, bytes.length - 6];
}

for (const [line, method, target, isHttp10] of [
  ["GET / HTTP/1.1", "GET", "/", false],
  ["GET / HTTP/1.0", "GET", "/", true],
  ["GET /a?b=c HTTP/1.1", "GET", "/a?b=c", false],
  ["HEAD /a HTTP/1.1", "HEAD", "/a", false],
  ["POST * HTTP/1.1", "POST", "*", false],
  ["PUT http://a.test/b HTTP/1.1", "PUT", "http://a.test/b", false],
  ["GOT / HTTP/1.1", "GOT", "/", false],
  ["PEST / HTTP/1.1", "PEST", "/", false],
  ["A / HTTP/1.1", "A", "/", false],
  ["M-SEARCH / HTTP/1.1", "M-SEARCH", "/", false],
  ["X_2 / HTTP/1.1", "X_2", "/", false],
  [`${"A".repeat(24)} / HTTP/1.1`, "A".repeat(24), "/", false],
  ["GET HTTP/1.1 HTTP/1.1", "GET", "HTTP/1.1", false],
  ["GET /{}|\\^`[] HTTP/1.1", "GET", "/{}|\\^`[]", false],
  ["OPTIONS a HTTP/1.0", "OPTIONS", "a", true],
  ["DELETE /a HTTP/1.1", "DELETE", "/a", false],
  ["PATCH /a HTTP/1.1", "PATCH", "/a", false],
] as const) {
  test(`request line ${JSON.stringify(line)} is read`, () => {
    const read = new RequestLine();
    expect(read.read(...around(line))).toBeUndefined();
    expect([read.method, read.target, read.isHttp10]).toEqual([method, target, isHttp10]);
  });
}

for (const [code, lines] of [
  [
    "h1_bad_request_line",
    [
      "",
      "GET",
      "GET ",
      "GET  ",
      "GET /",
      "GET HTTP/1.1",
      "GET  HTTP/1.1",
      " GET / HTTP/1.1",
      "/ HTTP/1.1",
      "get / HTTP/1.1",
      "GeT / HTTP/1.1",
      "1GET / HTTP/1.1",
      "-GET / HTTP/1.1",
      "G:T / HTTP/1.1",
      "G\tT / HTTP/1.1",
      "G\xc9T / HTTP/1.1",
      `${"A".repeat(25)} / HTTP/1.1`,
      "GET / HTTP/1.x",
      "GET / HTTP/1.",
      "GET / HTTP/1.11",
      "GET / http/1.1",
      "GET / HTTP/1.1 ",
      "GET / XTTP/1.1",
      "GET /\tHTTP/1.1",
      "GET / HTTP/1.:",
      "GET / HTTP/1./",
      "GET / HTTP/1.\xb9",
    ],
  ],
  [
    "h1_bad_version",
    [
      "GET / HTTP/0.9",
      "GET / HTTP/1.2",
      "GET / HTTP/1.9",
      "GET / HTTP/2.0",
      "GET / HTTP/2",
      "GET / HTTP/9",
      "PRI * HTTP/2.0",
    ],
  ],
  [
    "h1_bad_target",
    [
      "GET /  HTTP/1.1",
      "GET  / HTTP/1.1",
      "GET /a b HTTP/1.1",
      "GET /#a HTTP/1.1",
      'GET /" HTTP/1.1',
      "GET /< HTTP/1.1",
      "GET /> HTTP/1.1",
      "GET /\xe9 HTTP/1.1",
      "GET /\t HTTP/1.1",
    ],
  ],
] as const) {
  for (const line of lines) {
    test(`request line ${JSON.stringify(line)} is refused: ${code}`, () => {
      expect(new RequestLine().read(...around(line))).toBe(code);
    });
  }
}

test("what was read can be forgotten", () => {
  const read = new RequestLine();
  read.read(...around("HEAD /a HTTP/1.0"));
  read.forget();
  expect([read.method, read.target, read.isHttp10]).toEqual(["", "", false]);
});

for (const [line, status, reason, isHttp10] of [
  ["HTTP/1.1 200 OK", 200, "OK", false],
  ["HTTP/1.0 200 OK", 200, "OK", true],
  ["HTTP/1.1 200 ok", 200, "ok", false],
  ["HTTP/1.1 200 ", 200, "", false],
  ["HTTP/1.1 200", 200, "", false],
  ["HTTP/1.1 404 Not Found", 404, "Not Found", false],
  ["HTTP/1.1 404 Nothing  here\t!", 404, "Nothing  here\t!", false],
  ["HTTP/1.1 100 Continue", 100, "Continue", false],
  ["HTTP/1.1 999 \xe9", 999, "\xe9", false],
] as const) {
  test(`status line ${JSON.stringify(line)} is read`, () => {
    const read = new StatusLine();
    expect(read.read(...around(line))).toBe(true);
    expect([read.status, read.reason, read.isHttp10]).toEqual([status, reason, isHttp10]);
  });
}

for (const line of [
  "",
  "HTTP/1.1",
  "HTTP/1.1 20",
  "HTTP/1.1 20 OK",
  "HTTP/1.1 2000 OK",
  "HTTP/1.1 200OK",
  "HTTP/1.1  200 OK",
  "HTTP/1.1 099 OK",
  "HTTP/1.1 000 OK",
  "HTTP/1.1 2x0 OK",
  "HTTP/1.1 x00 OK",
  "HTTP/1.1 20x OK",
  "HTTP/1.1\t200 OK",
  "HTTP/1.1 200\tOK",
  "HTTP/1.2 200 OK",
  "HTTP/2.0 200 OK",
  "HTTP/2 200 OK",
  "http/1.1 200 OK",
  " HTTP/1.1 200 OK",
  "ICY 200 OK OK",
]) {
  test(`status line ${JSON.stringify(line)} is refused`, () => {
    expect(new StatusLine().read(...around(line))).toBe(false);
  });
}
