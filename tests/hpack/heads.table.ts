/**
 * Heads that are malformed in HTTP/2, and some that only look so.
 *
 * shape  what, kind of head, its fields, and the reason that the head reader gives: "" = it is well formed
 * spec   RFC 9113 §8.2, §8.3, §8.5; RFC 8441 §4
 */
import type { HeadKind } from "../../src/protocol/h2/head.ts";

export type Pair = readonly [name: string, value: string];

export const GET: readonly Pair[] = [[":method", "GET"], [":scheme", "https"], [":authority", "a.test"], [":path", "/"]];
export const OK: readonly Pair[] = [[":status", "200"]];

/** Some of the pseudo-header fields of GET, by name. */
export const only = (...names: readonly string[]) => GET.filter(([name]) => names.includes(name.slice(1)));

const TWICE = "a pseudo-header field twice";
const AFTER = "a pseudo-header field after others";
const OTHER_KIND = "a pseudo-header field of another kind of message";
const BAD_PSEUDO = "a pseudo-header field with a value that is not allowed";
const MISSING = ":method, :scheme or :path is missing";
const BAD_NAME = "a field name that is not allowed";
const BAD_VALUE = "a field value that is not allowed";
const HTTP1 = "a field of HTTP/1 connections";

export const HEADS: readonly (readonly [what: string, kind: HeadKind, pairs: readonly Pair[], reason: string])[] = [
  ["no pseudo-header field at all (§8.3)", "request", [], MISSING],
  ["no :method (§8.3.1)", "request", only("scheme", "authority", "path"), MISSING],
  ["no :scheme", "request", only("method", "authority", "path"), MISSING],
  ["no :path", "request", only("method", "scheme", "authority"), MISSING],
  ["no :authority is fine", "request", only("method", "scheme", "path"), ""],
  [":method twice", "request", [...only("method"), ...GET], TWICE],
  [":path twice", "request", [...GET, [":path", "/b"]], TWICE],
  [":path after a field", "request", [...only("method", "scheme"), ["a", "b"], ...only("path")], AFTER],
  [":status in a request", "request", [...GET, [":status", "200"]], OTHER_KIND],
  ["an unknown pseudo-header field", "request", [...GET, [":origin", "x"]], BAD_NAME],
  ["a colon alone", "request", [...GET, [":", "x"]], BAD_NAME],
  [":Method", "request", [...GET, [":Method", "GET"]], BAD_NAME],
  [":method empty", "request", [[":method", ""], ...only("scheme", "path")], BAD_PSEUDO],
  [":method with a space", "request", [[":method", "GE T"], ...only("scheme", "path")], BAD_PSEUDO],
  [":path empty", "request", [[":path", ""], ...only("method", "scheme")], BAD_PSEUDO],
  [":path without a slash", "request", [[":path", "a"], ...only("method", "scheme")], BAD_PSEUDO],
  [":path with a space", "request", [[":path", "/a b"], ...only("method", "scheme")], BAD_PSEUDO],
  [":path with CR LF", "request", [[":path", "/a\r\nb: c"], ...only("method", "scheme")], BAD_PSEUDO],
  [":path with a fragment", "request", [[":path", "/a#b"], ...only("method", "scheme")], BAD_PSEUDO],
  [":path with bytes past ASCII", "request", [[":path", "/\xe4"], ...only("method", "scheme")], BAD_PSEUDO],
  [":path * with GET", "request", [[":path", "*"], ...only("method", "scheme")], ":path * without OPTIONS"],
  [":path * with OPTIONS is fine", "request", [[":path", "*"], [":method", "OPTIONS"], ...only("scheme")], ""],
  [":path **", "request", [[":path", "**"], [":method", "OPTIONS"], ...only("scheme")], BAD_PSEUDO],
  [":authority empty", "request", [...only("method", "scheme", "path"), [":authority", ""]], BAD_PSEUDO],
  [":authority with a user", "request", [...only("method", "scheme", "path"), [":authority", "u@a"]], BAD_PSEUDO],
  [":authority with a slash", "request", [...only("method", "scheme", "path"), [":authority", "a/b"]], BAD_PSEUDO],
  [":authority with LF", "request", [...only("method", "scheme", "path"), [":authority", "a\nb"]], BAD_PSEUDO],
  [":scheme with a colon", "request", [...only("method", "path"), [":scheme", "a:"]], BAD_PSEUDO],
  ["CONNECT with :path (§8.5)", "request", [[":method", "CONNECT"], ...only("authority", "path")], "CONNECT with :path or :scheme"],
  ["CONNECT with :scheme", "request", [[":method", "CONNECT"], ...only("authority", "scheme")], "CONNECT with :path or :scheme"],
  ["CONNECT without :authority", "request", [[":method", "CONNECT"]], "CONNECT without :authority"],
  ["CONNECT with :authority is well formed", "request", [[":method", "CONNECT"], ...only("authority")], ""],
  ["extended CONNECT is well formed (RFC 8441 §4)", "request", [[":method", "CONNECT"], [":protocol", "websocket"], ...only("scheme", "path", "authority")], ""],
  ["extended CONNECT without :path", "request", [[":method", "CONNECT"], [":protocol", "websocket"], ...only("scheme", "authority")], MISSING],
  ["extended CONNECT without :authority", "request", [[":method", "CONNECT"], [":protocol", "websocket"], ...only("scheme", "path")], "CONNECT without :authority"],
  [":protocol with GET", "request", [...GET, [":protocol", "websocket"]], ":protocol without CONNECT"],
  ["no :status (§8.3.2)", "response", [["a", "b"]], ":status is missing"],
  [":status twice", "response", [...OK, ...OK], TWICE],
  [":status of two digits", "response", [[":status", "20"]], BAD_PSEUDO],
  [":status of four digits", "response", [[":status", "2000"]], BAD_PSEUDO],
  [":status with a letter", "response", [[":status", "2x0"]], BAD_PSEUDO],
  [":status 099", "response", [[":status", "099"]], BAD_PSEUDO],
  [":path in a response", "response", [...OK, ...only("path")], OTHER_KIND],
  [":status in trailers (§8.1)", "trailers", OK, OTHER_KIND],
  [":path in trailers", "trailers", only("path"), OTHER_KIND],
  ["an upper-case name (§8.2.1)", "request", [...GET, ["Accept", "b"]], BAD_NAME],
  ["an empty name", "request", [...GET, ["", "b"]], BAD_NAME],
  ["a name with a space", "request", [...GET, ["a b", "c"]], BAD_NAME],
  ["a name with a colon", "request", [...GET, ["a:b", "c"]], BAD_NAME],
  ["a name with CR LF", "request", [...GET, ["a\r\nb", "c"]], BAD_NAME],
  ["a name past ASCII", "request", [...GET, ["\xe4", "c"]], BAD_NAME],
  ["a value with CR", "request", [...GET, ["a", "b\rc"]], BAD_VALUE],
  ["a value with LF", "request", [...GET, ["a", "b\nc"]], BAD_VALUE],
  ["a value with NUL", "request", [...GET, ["a", "b\0c"]], BAD_VALUE],
  ["a value with DEL", "request", [...GET, ["a", "b\x7fc"]], BAD_VALUE],
  ["a value with another control byte", "request", [...GET, ["a", "b\x01c"]], BAD_VALUE],
  ["a value that starts with a space", "request", [...GET, ["a", " b"]], BAD_VALUE],
  ["a value that ends with a space", "request", [...GET, ["a", "b "]], BAD_VALUE],
  ["a value that starts with a tab", "request", [...GET, ["a", "\tb"]], BAD_VALUE],
  ["a value that is a space", "request", [...GET, ["a", " "]], BAD_VALUE],
  ["a value with a tab and obs-text inside is fine", "request", [...GET, ["a", "b\tc\xff"]], ""],
  ["a cookie with LF", "request", [...GET, ["cookie", "a"], ["cookie", "b\nc"]], BAD_VALUE],
  ["a host with LF", "request", [...only("method", "scheme", "path"), ["host", "b\nc"]], BAD_VALUE],
  ["connection (§8.2.2)", "request", [...GET, ["connection", "close"]], HTTP1],
  ["connection in a response", "response", [...OK, ["connection", "close"]], HTTP1],
  ["connection in trailers", "trailers", [["connection", "close"]], HTTP1],
  ["keep-alive", "request", [...GET, ["keep-alive", "1"]], HTTP1],
  ["proxy-connection", "request", [...GET, ["proxy-connection", "close"]], HTTP1],
  ["transfer-encoding", "request", [...GET, ["transfer-encoding", "chunked"]], HTTP1],
  ["upgrade", "request", [...GET, ["upgrade", "h2c"]], HTTP1],
  ["te: trailers is fine", "request", [...GET, ["te", "trailers"]], ""],
  ["te: gzip", "request", [...GET, ["te", "gzip"]], BAD_VALUE],
  ["te: trailers, gzip", "request", [...GET, ["te", "trailers, gzip"]], BAD_VALUE],
  ["host equal to :authority, in any case (§8.3.1)", "request", [...GET, ["host", "A.TEST"]], ""],
  ["host other than :authority", "request", [...GET, ["host", "b.test"]], "host differs from :authority"],
  ["a longer host than :authority", "request", [...GET, ["host", "a.test.b"]], "host differs from :authority"],
  ["two different hosts", "request", [...only("method", "scheme", "path"), ["host", "a"], ["host", "b"]], "host differs from :authority"],
  ["content-length with a sign", "request", [...GET, ["content-length", "+5"]], BAD_VALUE],
  ["content-length empty", "request", [...GET, ["content-length", ""]], BAD_VALUE],
  ["content-length as a list", "request", [...GET, ["content-length", "5, 5"]], BAD_VALUE],
  ["content-length of 16 digits", "request", [...GET, ["content-length", "1234567890123456"]], BAD_VALUE],
  ["two different lengths", "request", [...GET, ["content-length", "5"], ["content-length", "6"]], "several different content-length values"],
  ["two different lengths in a response", "response", [...OK, ["content-length", "5"], ["content-length", "6"]], "several different content-length values"],
];
