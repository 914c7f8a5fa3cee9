/**
 * Malformed responses: what an endpoint may send wrong, and what the client gets.
 *
 * shape  a row is a name with its source, the bytes (latin1), what the endpoint does next, and the outcome:
 *        failed   the client gets this status from the proxy, and its connection goes on
 *        cut      the client gets a head, and sees that the body is not whole
 *        passed   the client gets exactly this response, and its connection goes on
 * rule   whatever the outcome, the next request gets its own answer; `retires`: the endpoint's connection is not
 *        used again. `retires` is true unless a row says otherwise.
 */

/** After its bytes the endpoint keeps the connection, ends it (FIN) or resets it (RST). */
export type Next = "keep" | "end" | "reset";

export type ResponseOutcome =
  | { readonly kind: "failed"; readonly status: number }
  | { readonly kind: "cut" }
  | {
      readonly kind: "passed";
      readonly status: number;
      readonly body: string;
      /** `name: value` in lower-case names; must be there. */
      readonly has?: readonly string[];
      /** Names in lower case; must not be there. */
      readonly lacks?: readonly string[];
      /** Statuses of 1xx responses before it. */
      readonly interims?: readonly number[];
    };

export interface ResponseRow {
  readonly name: string;
  readonly bytes: string;
  readonly next: Next;
  readonly outcome: ResponseOutcome;
  readonly retires: boolean;
  readonly method?: string;
  /** More lines of the request. */
  readonly ask?: string;
  /** Sent by the endpoint after the client has its response. */
  readonly late?: string;
}

type More = Partial<Pick<ResponseRow, "next" | "retires" | "method" | "ask" | "late">>;
type Passed = Omit<Extract<ResponseOutcome, { kind: "passed" }>, "kind">;

/** Response heads larger than this are refused, and so are those with more fields. */
const HEAD_BYTES = 64 * 1024;
const HEADERS = 200;

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const HELLO = "Content-Length: 5\r\n\r\nhello";
const POISON = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
const ASK_UPGRADE = "Connection: upgrade\r\nUpgrade: websocket\r\n";

const failed = (name: string, bytes: string, more: More = {}): ResponseRow => ({ name, bytes, next: "keep", retires: true, ...more, outcome: { kind: "failed", status: 502 } });
const cut = (name: string, bytes: string, more: More = {}): ResponseRow => ({ name, bytes, next: "keep", retires: true, ...more, outcome: { kind: "cut" } });
const passed = (name: string, bytes: string, outcome: Passed, more: More = {}): ResponseRow => ({ name, bytes, next: "keep", retires: true, ...more, outcome: { kind: "passed", ...outcome } });

const GOOD: Passed = { status: 200, body: "hello" };
const STAYS: More = { retires: false };

const statusLine = (what: string, line: string) => failed(`status line: ${what} (RFC 9112 §4)`, `${line}\r\n${HELLO}${POISON}`);

const STATUS_LINES: readonly ResponseRow[] = [
  statusLine("two digits", "HTTP/1.1 20 OK"),
  statusLine("four digits", "HTTP/1.1 2000 OK"),
  statusLine("letters for digits", "HTTP/1.1 2OO OK"),
  statusLine("a status under 100", "HTTP/1.1 099 OK"),
  statusLine("a negative status", "HTTP/1.1 -20 OK"),
  statusLine("two spaces before the status", "HTTP/1.1  200 OK"),
  statusLine("a tab before the status", "HTTP/1.1\t200 OK"),
  statusLine("a tab before the reason", "HTTP/1.1 200\tOK"),
  statusLine("no space before the reason", "HTTP/1.1 200OK"),
  statusLine("HTTP/2.0", "HTTP/2.0 200 OK"),
  statusLine("HTTP/1.2", "HTTP/1.2 200 OK"),
  statusLine("HTTP/0.9", "HTTP/0.9 200 OK"),
  statusLine("http in lower case", "http/1.1 200 OK"),
  statusLine("ICY", "ICY 200 OK"),
  statusLine("no version", "200 OK"),
  statusLine("no status", "HTTP/1.1"),
  statusLine("a request line", "GET / HTTP/1.1"),
  statusLine("a space before it", " HTTP/1.1 200 OK"),
  statusLine("an empty line before it", "\r\nHTTP/1.1 200 OK"),
  statusLine("NUL in the reason", "HTTP/1.1 200 O\0K"),
  statusLine("DEL in the reason", "HTTP/1.1 200 O\x7fK"),
  statusLine("a bare CR in the reason", "HTTP/1.1 200 O\rK"),
  failed("a TLS alert where plain text is spoken", "\x15\x03\x01\x00\x02\x02\x46", { next: "end" }),
  failed("a page without a head (HTTP/0.9)", "<html>hello</html>", { next: "end" }),
  passed("a status line without reason and space", `HTTP/1.1 200\r\n${HELLO}`, GOOD, STAYS),
  passed("a status line with an empty reason (RFC 9112 §4)", `HTTP/1.1 200 \r\n${HELLO}`, GOOD, STAYS),
  passed("an unknown status with a reason of its own (RFC 9110 §15)", `HTTP/1.1 599 Odd \xe9\r\n${HELLO}`, { status: 599, body: "hello" }, STAYS),
];

const field = (what: string, lines: string) => failed(`field line: ${what} (RFC 9112 §5)`, `${OK}${lines}\r\n${HELLO}${POISON}`);

const FIELDS: readonly ResponseRow[] = [
  failed("bare LF after the status line (RFC 9112 §2.2)", `HTTP/1.1 200 OK\n${HELLO}`),
  failed("bare LF at the end of the head", `${OK}Content-Length: 5\r\n\nhello`),
  failed("bare LF everywhere", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
  field("a bare LF at its end", "X-A: b\nX-C: d"),
  field("a bare CR at its end", "X-A: b\rX-C: d"),
  field("a folded line (RFC 9112 §5.2)", "X-A: b\r\n c"),
  field("a space before the colon", "X-A : b"),
  field("a space before the name", " X-A: b"),
  field("no colon", "X-A"),
  field("an empty name", ": b"),
  field("a byte outside of tokens in its name", "X(A: b"),
  field("NUL in its name", "X\0A: b"),
  field("NUL in its value", "X-A: b\0c"),
  field("a vertical tab in its value", "X-A: b\x0bc"),
  field("DEL in its value", "X-A: b\x7f"),
  field("a second status line", "HTTP/1.1 200 OK"),
  failed("one field larger than a head may be", `${OK}X-A: ${"b".repeat(HEAD_BYTES)}\r\n${HELLO}`),
  failed("more fields than a head may have", `${OK}${"X-A: b\r\n".repeat(HEADERS)}${HELLO}`),
  failed("a head without end, then FIN", `${OK}X-A: b\r\n`, { next: "end" }),
  failed("a head without end, then RST", `${OK}X-A: b\r\n`, { next: "reset" }),
  failed("a status line cut short, then FIN", "HTTP/1.1 2", { next: "end" }),
  failed("FIN before any byte", "", { next: "end" }),
  failed("RST before any byte", "", { next: "reset" }),
];

const framing = (what: string, lines: string, body = "hello") => failed(`framing: ${what} (RFC 9112 §6.3)`, `${OK}${lines}\r\n\r\n${body}${POISON}`);

const FRAMINGS: readonly ResponseRow[] = [
  framing("Content-Length before Transfer-Encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
  framing("Transfer-Encoding before Content-Length", "Transfer-Encoding: chunked\r\nContent-Length: 5", "5\r\nhello\r\n0\r\n\r\n"),
  framing("two different Content-Lengths", "Content-Length: 5\r\nContent-Length: 6"),
  framing("a list of different Content-Lengths", "Content-Length: 5, 6"),
  framing("Content-Length with a sign", "Content-Length: +5"),
  framing("a negative Content-Length", "Content-Length: -1"),
  framing("an empty Content-Length", "Content-Length:"),
  framing("two numbers in Content-Length", "Content-Length: 5 5"),
  framing("hexadecimal Content-Length", "Content-Length: 0x5"),
  framing("Content-Length of 2^64 + 5", "Content-Length: 18446744073709551621"),
  framing("Transfer-Encoding: identity", "Transfer-Encoding: identity"),
  framing("Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip, chunked", "5\r\nhello\r\n0\r\n\r\n"),
  framing("Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked, chunked", "5\r\nhello\r\n0\r\n\r\n"),
  framing("Transfer-Encoding: xchunked", "Transfer-Encoding: xchunked", "5\r\nhello\r\n0\r\n\r\n"),
  framing("an empty Transfer-Encoding", "Transfer-Encoding:"),
  framing("Transfer-Encoding in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "5\r\nhello\r\n0\r\n\r\n"),
  framing("a space before the colon of Transfer-Encoding", "Transfer-Encoding : chunked", "5\r\nhello\r\n0\r\n\r\n"),
  framing("Transfer-Encoding in a folded line", "Transfer-Encoding:\r\n chunked", "5\r\nhello\r\n0\r\n\r\n"),
  failed("framing: Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)", `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n`, { next: "end" }),
  passed("the same Content-Length twice becomes one", `${OK}Content-Length: 5\r\n${HELLO}`, { ...GOOD, has: ["content-length: 5"] }, STAYS),
  passed("leading zeros in Content-Length do not go further", `${OK}Content-Length: 0005\r\n\r\nhello`, { ...GOOD, has: ["content-length: 5"] }, STAYS),
];

const size = (what: string, line: string) => cut(`chunk size line with ${what}: ${JSON.stringify(line)} (RFC 9112 §7.1)`, `${OK}${CHUNKED}\r\n${line}hello\r\n0\r\n\r\n${POISON}`);

const BODIES: readonly ResponseRow[] = [
  cut("a body shorter than its Content-Length, then FIN (RFC 9112 §8)", `${OK}Content-Length: 10\r\n\r\nhello`, { next: "end" }),
  cut("a body shorter than its Content-Length, then RST", `${OK}Content-Length: 10\r\n\r\nhello`, { next: "reset" }),
  cut("no body byte of a Content-Length, then FIN", `${OK}Content-Length: 10\r\n\r\n`, { next: "end" }),
  cut("a chunked body without its last chunk, then FIN (RFC 9112 §8)", `${OK}${CHUNKED}\r\n5\r\nhello\r\n`, { next: "end" }),
  cut("a chunked body without its last chunk, then RST", `${OK}${CHUNKED}\r\n5\r\nhello\r\n`, { next: "reset" }),
  cut("a chunk cut short, then FIN", `${OK}${CHUNKED}\r\n5\r\nhel`, { next: "end" }),
  cut("a last chunk without its empty line, then FIN", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\n`, { next: "end" }),
  cut("trailers cut short, then FIN", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\nX-A: b\r\n`, { next: "end" }),
  cut("a body that ends with the connection, reset in its middle (RFC 9112 §8)", `${OK}\r\nhello`, { next: "reset" }),
  size("a hexadecimal prefix", "0x5\r\n"), size("a sign", "-5\r\n"), size("a space after it", "5 \r\n"), size("a space before it", " 5\r\n"), size("no digit", "\r\n"),
  size("a letter past f", "g\r\n"), size("2^64 + 5", "10000000000000005\r\n"), size("a bare LF", "5\n"), size("a bare CR", "5\rX"), size("a malformed extension", "5;=\r\n"),
  size("an endless extension", `5;a=${"b".repeat(300)}\r\n`),
  cut("chunk data longer than its size", `${OK}${CHUNKED}\r\n4\r\nhello\r\n0\r\n\r\n${POISON}`),
  cut("chunk data that ends in a bare LF", `${OK}${CHUNKED}\r\n5\r\nhello\n0\r\n\r\n${POISON}`),
  cut("a trailer without a colon", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\nX-A\r\n\r\n${POISON}`),
  cut("a trailer in a folded line", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n${POISON}`),
  cut("a status line among the trailers", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\n${POISON}`),
  cut("trailers larger than a head may be", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\nX-A: ${"b".repeat(HEAD_BYTES)}\r\n\r\n`),
  passed("a second response right behind the first is thrown away", `${OK}${HELLO}${POISON}`, GOOD),
  passed("a body longer than its Content-Length is cut there", `${OK}${HELLO}lo, world`, GOOD),
  passed("bytes behind a chunked body are thrown away", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n${POISON}`, GOOD),
  passed("bytes behind an empty body are thrown away", `${OK}Content-Length: 0\r\n\r\n${POISON}`, { status: 200, body: "" }),
  passed("a response that nobody asked for ends the idle connection (RFC 9112 §9.2)", `${OK}${HELLO}`, GOOD, { late: POISON }),
  passed("a byte that nobody asked for ends the idle connection", `${OK}${HELLO}`, GOOD, { late: "\r\n" }),
  passed("an unasked 408 on an idle connection is thrown away", `${OK}${HELLO}`, GOOD, { late: "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }),
  passed("a body without length ends with the connection (RFC 9112 §6.3 rule 8)", `${OK}\r\nhello`, { ...GOOD, has: ["transfer-encoding: chunked"] }, { next: "end" }),
  passed("trailers that decide nothing pass, others do not (RFC 9110 §6.5.1)", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nX-Sum: 7\r\n\r\n`, GOOD, STAYS),
];

const NONE = { status: 204, body: "", lacks: ["content-length", "transfer-encoding"] };

const BODILESS: readonly ResponseRow[] = [
  passed("204 with Content-Length and body (RFC 9110 §15.3.5)", `HTTP/1.1 204 No Content\r\n${HELLO}`, NONE),
  passed("204 with Content-Length and no body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", NONE),
  passed("204 with Content-Length: 0 (RFC 9110 §8.6: not to be sent)", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", NONE, STAYS),
  passed("204 with a chunked body", `HTTP/1.1 204 No Content\r\n${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n`, NONE),
  passed("204 with a body of no stated length", `HTTP/1.1 204 No Content\r\n\r\n${POISON}`, NONE),
  passed("204 that is plain", "HTTP/1.1 204 No Content\r\n\r\n", NONE, STAYS),
  passed("304 states a length and has no body (RFC 9110 §15.4.5)", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", { status: 304, body: "", has: ["content-length: 5"] }, STAYS),
  passed("304 with a body", `HTTP/1.1 304 Not Modified\r\n${HELLO}`, { status: 304, body: "" }),
  passed("304 with chunked states nothing", `HTTP/1.1 304 Not Modified\r\n${CHUNKED}\r\n`, { status: 304, body: "", lacks: ["transfer-encoding", "content-length"] }, STAYS),
  passed("HEAD with the length that GET would have (RFC 9110 §9.3.2)", `${OK}Content-Length: 5\r\n\r\n`, { status: 200, body: "", has: ["content-length: 5"] }, { method: "HEAD", retires: false }),
  passed("HEAD answered with a body", `${OK}${HELLO}`, { status: 200, body: "", has: ["content-length: 5"] }, { method: "HEAD" }),
  passed("HEAD answered with a chunked body", `${OK}${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n`, { status: 200, body: "" }, { method: "HEAD" }),
  passed("HEAD answered with another response behind it", `${OK}Content-Length: 5\r\n\r\n${POISON}`, { status: 200, body: "" }, { method: "HEAD" }),
  failed("HEAD answered with conflicting lengths", `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`, { method: "HEAD" }),
];

const INTERIMS: readonly ResponseRow[] = [
  passed("100 that the client did not ask for goes no further (RFC 9110 §15.2)", `HTTP/1.1 100 Continue\r\n\r\n${OK}${HELLO}`, GOOD, STAYS),
  passed("103 goes on before the response (RFC 8297)", `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}${HELLO}`, { ...GOOD, interims: [103] }, STAYS),
  passed("an unknown 1xx goes on (RFC 9110 §15.2)", `HTTP/1.1 199 Odd\r\n\r\n${OK}${HELLO}`, { ...GOOD, interims: [199] }, STAYS),
  passed("a length in a 1xx does not go further (RFC 9110 §8.6)", `HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n${OK}${HELLO}`, { ...GOOD, interims: [103] }, STAYS),
  passed("hop-by-hop fields of a 1xx go no further (RFC 9110 §7.6.1)", `HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nX-Hop: a\r\nKeep-Alive: 5\r\n\r\n${OK}${HELLO}`, { ...GOOD, interims: [103] }, STAYS),
  failed("100 without end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(40)),
  failed("100, then FIN", "HTTP/1.1 100 Continue\r\n\r\n", { next: "end" }),
  failed("100 with a body where the next head must stand", `HTTP/1.1 100 Continue\r\n${HELLO}${OK}${HELLO}`),
  failed("100 with conflicting lengths", `HTTP/1.1 100 Continue\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n${OK}${HELLO}`),
  failed("100, then a broken head", `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\n${HELLO}`),
  failed("101 that nobody asked for (RFC 9110 §7.8)", `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n${POISON}`),
  failed("101 to another protocol than was asked for", `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n${POISON}`, { ask: ASK_UPGRADE }),
  failed("101 that names no protocol", `HTTP/1.1 101 Switching Protocols\r\n\r\n${POISON}`, { ask: ASK_UPGRADE }),
  failed("101 that names two protocols", `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n${POISON}`, { ask: ASK_UPGRADE }),
  passed("200 to a request for an upgrade (RFC 9110 §7.8)", `${OK}${HELLO}`, GOOD, { ask: ASK_UPGRADE, retires: false }),
];

const VERSIONS: readonly ResponseRow[] = [
  passed("HTTP/1.0 without length", "HTTP/1.0 200 OK\r\n\r\nhello", { ...GOOD, has: ["transfer-encoding: chunked"] }, { next: "end" }),
  passed("HTTP/1.0 with length closes", `HTTP/1.0 200 OK\r\n${HELLO}`, { ...GOOD, has: ["content-length: 5"] }),
  passed("HTTP/1.0 with keep-alive stays", `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${HELLO}`, { ...GOOD, lacks: ["connection"] }, STAYS),
  cut("HTTP/1.0 shorter than its length", "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello", { next: "end" }),
  passed("Connection: close of an endpoint is for us (RFC 9110 §7.6.1)", `${OK}Connection: close\r\n${HELLO}`, { ...GOOD, lacks: ["connection"] }),
  passed("hop-by-hop fields of an endpoint go no further", `${OK}Connection: X-Hop\r\nX-Hop: a\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n${HELLO}`, { ...GOOD, lacks: ["x-hop", "keep-alive", "upgrade", "proxy-authenticate", "connection"] }, STAYS),
  passed("Connection cannot take Content-Length or Set-Cookie away", `${OK}Connection: content-length, set-cookie\r\nSet-Cookie: a=b\r\n${HELLO}`, { ...GOOD, has: ["content-length: 5", "set-cookie: a=b"] }, STAYS),
];

export const MALFORMED_RESPONSES: readonly ResponseRow[] = [
  ...STATUS_LINES, ...FIELDS, ...FRAMINGS, ...BODIES, ...BODILESS, ...INTERIMS, ...VERSIONS,
];
