/**
 * Malformed requests: bytes that two parsers could read in two ways, and what becomes of each.
 *
 * shape  a row is a name with its source, the bytes (latin1), and the outcome at the real proxy:
 *        refused   answered with this status, the connection closed, nothing of it at the endpoint; `begun` where
 *                  the fault lies in the body: the endpoint may see a beginning, never a whole request
 *        answered  the request is understood and turned down: nothing at the endpoint, the connection goes on
 *        passed    the endpoint gets exactly these requests, each with one framing
 * rule   many rows carry a second request, GET /smuggled, where a careless parser would find it
 */

/** One request as the endpoint must see it. */
export interface Passed {
  /** Request line without version. */
  readonly line: string;
  readonly body?: string;
  /** Field lines that must be there, exactly. */
  readonly has?: readonly string[];
  /** Names that must not be there, in lower case. */
  readonly lacks?: readonly string[];
}

export type Outcome =
  | { readonly kind: "refused"; readonly status: number; readonly isBegun: boolean }
  | { readonly kind: "answered"; readonly status: number }
  | { readonly kind: "passed"; readonly requests: readonly Passed[] };

export interface RequestRow {
  readonly name: string;
  readonly bytes: string;
  readonly outcome: Outcome;
}

/** Limits that the rows are made for. */
export const HEAD_BYTES = 8192;
export const HEADERS = 50;

const HOST = "Host: a.test\r\n";
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
const CHUNKED = "Transfer-Encoding: chunked";
const HELLO_CHUNKS = "5\r\nhello\r\n0\r\n\r\n";

const get = (target: string, lines = "") => `GET ${target} HTTP/1.1\r\n${HOST}${lines === "" ? "" : `${lines}\r\n`}\r\n`;
const post = (lines: string, body: string) => `POST / HTTP/1.1\r\n${HOST}${lines}\r\n\r\n${body}`;
const chunked = (body: string) => post(CHUNKED, body);
const withHost = (line: string) => `GET / HTTP/1.1\r\n${line}\r\n\r\n`;

const refused = (status: number, name: string, bytes: string): RequestRow => ({ name, bytes, outcome: { kind: "refused", status, isBegun: false } });
const begun = (status: number, name: string, bytes: string): RequestRow => ({ name, bytes, outcome: { kind: "refused", status, isBegun: true } });
const answered = (status: number, name: string, bytes: string): RequestRow => ({ name, bytes, outcome: { kind: "answered", status } });
const passed = (name: string, bytes: string, ...requests: Passed[]): RequestRow => ({ name, bytes, outcome: { kind: "passed", requests } });

const SIZED: Passed = { line: "POST /", body: "hello", has: ["Content-Length: 5"], lacks: ["transfer-encoding"] };
const STREAMED: Passed = { line: "POST /", body: "hello", has: ["Transfer-Encoding: chunked"], lacks: ["content-length"] };
const PLAIN: Passed = { line: "GET /", lacks: ["content-length", "transfer-encoding"] };

/** Two statements about one body (RFC 9112 §6.1, §6.3 rule 3). */
const CONFLICTS: readonly RequestRow[] = [
  refused(400, "CL.TE: Content-Length before Transfer-Encoding (RFC 9112 §6.3 rule 3)", post(`Content-Length: 6\r\n${CHUNKED}`, `0\r\n\r\nG${SMUGGLED}`)),
  refused(400, "TE.CL: Transfer-Encoding before Content-Length (RFC 9112 §6.3 rule 3)", post(`${CHUNKED}\r\nContent-Length: 4`, `2b\r\n${SMUGGLED}\r\n0\r\n\r\n`)),
  refused(400, "Content-Length: 0 with Transfer-Encoding (RFC 9112 §6.3 rule 3)", post(`Content-Length: 0\r\n${CHUNKED}`, HELLO_CHUNKS + SMUGGLED)),
  refused(400, "a fitting Content-Length with Transfer-Encoding (RFC 9112 §6.3 rule 3)", post(`Content-Length: 15\r\n${CHUNKED}`, HELLO_CHUNKS)),
  refused(400, "Content-Length with Transfer-Encoding: identity", post("Content-Length: 5\r\nTransfer-Encoding: identity", `hello${SMUGGLED}`)),
  refused(400, "Content-Length with an unknown coding", post("Content-Length: 5\r\nTransfer-Encoding: xchunked", `hello${SMUGGLED}`)),
  refused(400, "Content-Length with an empty Transfer-Encoding", post("Content-Length: 5\r\nTransfer-Encoding:", `hello${SMUGGLED}`)),
  refused(400, "two Content-Lengths and Transfer-Encoding", post(`Content-Length: 5\r\nContent-Length: 5\r\n${CHUNKED}`, HELLO_CHUNKS)),
  refused(400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)", `POST / HTTP/1.0\r\n${HOST}${CHUNKED}\r\n\r\n${HELLO_CHUNKS}${SMUGGLED}`),
  refused(400, "Transfer-Encoding in HTTP/1.0 with keep-alive (RFC 9112 §6.1)", `POST / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n${CHUNKED}\r\n\r\n${HELLO_CHUNKS}${SMUGGLED}`),
  refused(400, "Transfer-Encoding and Content-Length in HTTP/1.0", `POST / HTTP/1.0\r\n${HOST}${CHUNKED}\r\nContent-Length: 5\r\n\r\n${HELLO_CHUNKS}`),
];

/** Transfer-Encoding spelt so that one side overlooks it (RFC 9112 §6.1, §7). */
const CODINGS: readonly RequestRow[] = [
  passed("Transfer-Encoding: chunked in capitals (RFC 9112 §7)", post("TRANSFER-ENCODING: CHUNKED", HELLO_CHUNKS), STREAMED),
  passed("Transfer-Encoding: chunked in mixed case", post("tRANSFER-eNCODING: cHuNkEd", HELLO_CHUNKS), STREAMED),
  passed("Transfer-Encoding with no space after the colon (RFC 9112 §5.1)", post("Transfer-Encoding:chunked", HELLO_CHUNKS), STREAMED),
  passed("Transfer-Encoding with a tab for its whitespace (RFC 9110 §5.6.3)", post("Transfer-Encoding:\tchunked", HELLO_CHUNKS), STREAMED),
  passed("Transfer-Encoding with whitespace at its end", post("Transfer-Encoding: chunked \t ", HELLO_CHUNKS), STREAMED),
  refused(400, "space before the colon of Transfer-Encoding (RFC 9112 §5.1)", post("Transfer-Encoding : chunked", HELLO_CHUNKS + SMUGGLED)),
  refused(400, "space before the colon of Transfer-Encoding beside Content-Length", post("Content-Length: 5\r\nTransfer-Encoding : chunked", HELLO_CHUNKS)),
  refused(400, "tab before the colon of Transfer-Encoding", post("Transfer-Encoding\t: chunked", HELLO_CHUNKS)),
  refused(400, "vertical tab before the coding", post("Transfer-Encoding:\x0bchunked", HELLO_CHUNKS)),
  refused(400, "vertical tab after the coding", post("Transfer-Encoding: chunked\x0b", HELLO_CHUNKS)),
  refused(400, "form feed before the coding", post("Transfer-Encoding: \x0cchunked", HELLO_CHUNKS)),
  refused(400, "NUL before the coding", post("Transfer-Encoding: \0chunked", HELLO_CHUNKS)),
  refused(400, "NUL inside of the coding", post("Transfer-Encoding: chun\0ked", HELLO_CHUNKS)),
  refused(400, "CR inside of the coding", post("Transfer-Encoding: chun\rked", HELLO_CHUNKS)),
  refused(501, "no-break space before the coding", post("Transfer-Encoding: \xa0chunked", HELLO_CHUNKS + SMUGGLED)),
  refused(501, "a coding that ends in chunked", post("Transfer-Encoding: xchunked", HELLO_CHUNKS + SMUGGLED)),
  refused(501, "a coding that begins with chunked", post("Transfer-Encoding: chunkedx", HELLO_CHUNKS)),
  refused(501, "a coding cut short", post("Transfer-Encoding: chunke", HELLO_CHUNKS)),
  refused(501, "identity (RFC 9112 §7 has no such coding)", post("Transfer-Encoding: identity", HELLO_CHUNKS)),
  refused(501, "chunked, identity: chunked is not last (RFC 9112 §6.3 rule 4)", post("Transfer-Encoding: chunked, identity", HELLO_CHUNKS + SMUGGLED)),
  refused(501, "identity, chunked", post("Transfer-Encoding: identity, chunked", HELLO_CHUNKS)),
  refused(501, "gzip, chunked: a coding that we do not read", post("Transfer-Encoding: gzip, chunked", HELLO_CHUNKS)),
  refused(501, "chunked twice in one field (RFC 9112 §7.1)", post("Transfer-Encoding: chunked, chunked", HELLO_CHUNKS)),
  refused(501, "chunked in two fields", post(`${CHUNKED}\r\n${CHUNKED}`, HELLO_CHUNKS)),
  refused(501, "chunked, then identity in a second field", post(`${CHUNKED}\r\nTransfer-Encoding: identity`, HELLO_CHUNKS)),
  refused(501, "an unknown coding, then chunked in a second field", post(`Transfer-Encoding: x\r\n${CHUNKED}`, HELLO_CHUNKS)),
  refused(501, "an empty Transfer-Encoding", post("Transfer-Encoding:", HELLO_CHUNKS)),
  refused(501, "an empty member after chunked", post("Transfer-Encoding: chunked,", HELLO_CHUNKS)),
  refused(501, "an empty member before chunked", post("Transfer-Encoding: ,chunked", HELLO_CHUNKS)),
  refused(501, "chunked in double quotes", post('Transfer-Encoding: "chunked"', HELLO_CHUNKS)),
  refused(501, "chunked in single quotes", post("Transfer-Encoding: 'chunked'", HELLO_CHUNKS)),
  refused(501, "chunked with an empty parameter", post("Transfer-Encoding: chunked;", HELLO_CHUNKS)),
  refused(501, "chunked with a parameter (RFC 9112 §7.1)", post("Transfer-Encoding: chunked;q=1", HELLO_CHUNKS)),
  refused(400, "Transfer-Encoding in a folded line (RFC 9112 §5.2)", post("Transfer-Encoding:\r\n chunked", HELLO_CHUNKS)),
  refused(400, "a coding added in a folded line", post(`${CHUNKED}\r\n\t, identity`, HELLO_CHUNKS)),
  refused(400, "Transfer-Encoding behind a bare LF", post("X-A: b\nTransfer-Encoding: chunked", HELLO_CHUNKS)),
  refused(400, "Transfer-Encoding behind a bare CR", post("X-A: b\rTransfer-Encoding: chunked", HELLO_CHUNKS)),
  refused(400, "Transfer-Encoding with a space before its name", post(" Transfer-Encoding: chunked", HELLO_CHUNKS)),
  refused(400, "NUL inside of the name Transfer-Encoding", post("Transfer\0-Encoding: chunked", HELLO_CHUNKS)),
  passed("Transfer_Encoding with an underscore decides nothing", post("Transfer_Encoding: chunked\r\nContent-Length: 5", "hello"), SIZED),
  passed("X-Transfer-Encoding decides nothing", post("X-Transfer-Encoding: chunked\r\nContent-Length: 5", "hello"), SIZED),
  passed("TE: chunked decides nothing and goes no further (RFC 9110 §10.1.4)", post("TE: chunked\r\nContent-Length: 5", "hello"), { ...SIZED, lacks: ["te", "transfer-encoding"] }),
];

/** Content-Length that is not plainly one number (RFC 9110 §8.6, RFC 9112 §6.3 rule 5). */
const LENGTHS: readonly RequestRow[] = [
  ...[
    ["+5", "a plus sign"], ["-5", "a minus sign"], ["5 5", "two numbers"], ["0x5", "hexadecimal"], ["5;", "a semicolon"],
    ['"5"', "quotes"], ["5.0", "a decimal point"], ["5e0", "an exponent"], ["", "nothing"], ["five", "a word"],
    ["Infinity", "Infinity"], ["NaN", "NaN"], ["1_0", "a digit separator"], ["\xb2", "a superscript digit"],
    ["99999999999999999999", "20 digits"], ["18446744073709551621", "2^64 + 5"], ["4294967301\x00", "NUL at its end"],
    ["9007199254740993", "2^53 + 1"], ["0000000000000000005", "19 digits with leading zeros"], ["\x0b5", "a vertical tab"],
    ["5,6", "a list of different numbers"], ["5, 6", "a list of different numbers and a space"], ["5,", "an empty last member"],
    [",5", "an empty first member"], ["5, +5", "a list with a sign"], ["5,5,6", "three members, one different"],
    ["5, 05", "a list of the same number spelt differently"],
  ].map(([value, what]) => refused(400, `Content-Length with ${what}: ${JSON.stringify(value)} (RFC 9110 §8.6)`, post(`Content-Length: ${value}`, `hello${SMUGGLED}`))),
  refused(400, "two different Content-Length fields (RFC 9112 §6.3 rule 5)", post("Content-Length: 5\r\nContent-Length: 6", `hello${SMUGGLED}`)),
  refused(400, "a Content-Length and a list of it", post("Content-Length: 5\r\nContent-Length: 5, 6", "hello")),
  refused(400, "a Content-Length and an empty one", post("Content-Length: 5\r\nContent-Length:", "hello")),
  refused(400, "space before the colon of Content-Length (RFC 9112 §5.1)", post("Content-Length : 5", `hello${SMUGGLED}`)),
  refused(400, "Content-Length in a folded line", post("Content-Length:\r\n 5", `hello${SMUGGLED}`)),
  refused(400, "a folded line after Content-Length", post("Content-Length: 5\r\n 0", `hello${SMUGGLED}`)),
  refused(400, "Content-Length with a space before its name", post(" Content-Length: 5", `hello${SMUGGLED}`)),
  refused(400, "Content-Length behind a bare LF", post("X-A: b\nContent-Length: 5", `hello${SMUGGLED}`)),
  passed("the same Content-Length twice becomes one (RFC 9112 §6.3 rule 5)", post("Content-Length: 5\r\nContent-Length: 5", "hello"), SIZED),
  passed("a list of the same Content-Length becomes one", post("Content-Length: 5, 5 ,5", "hello"), SIZED),
  passed("leading zeros in Content-Length do not go further", post("Content-Length: 00005", "hello"), SIZED),
  passed("whitespace around Content-Length does not go further", post("Content-Length:  \t5\t ", "hello"), SIZED),
  passed("Content-Length in capitals", post("CONTENT-LENGTH: 5", "hello"), SIZED),
  passed("Content_Length with an underscore decides nothing", get("/", "Content_Length: 5"), PLAIN),
  passed("a GET with a body keeps it apart from what follows (RFC 9110 §9.3.1)", get("/", `Content-Length: ${SMUGGLED.length}`) + SMUGGLED, { line: "GET /", body: SMUGGLED, has: [`Content-Length: ${SMUGGLED.length}`] }),
  passed("Content-Length: 0 on a GET says nothing more", get("/", "Content-Length: 0") + get("/next"), { line: "GET /" }, { line: "GET /next" }),
  passed("a request hidden in a sized body stays a body", post(`Content-Length: ${SMUGGLED.length}`, SMUGGLED) + get("/next"), { line: "POST /", body: SMUGGLED }, { line: "GET /next" }),
  passed("a request hidden in a chunk stays a body", chunked(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`) + get("/next"), { line: "POST /", body: SMUGGLED }, { line: "GET /next" }),
];

/** Line ends that are not CRLF (RFC 9112 §2.2). */
const LINE_ENDS: readonly RequestRow[] = [
  refused(400, "bare LF after the request line (RFC 9112 §2.2)", `GET / HTTP/1.1\n${HOST}\r\n`),
  refused(400, "bare LF after a field", "GET / HTTP/1.1\r\nHost: a.test\n\r\n"),
  refused(400, "bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a.test\r\n\n"),
  refused(400, "bare LF everywhere", "GET / HTTP/1.1\nHost: a.test\n\n"),
  refused(400, "bare CR after the request line", `GET / HTTP/1.1\r${HOST}\r\n`),
  refused(400, "bare CR after a field", "GET / HTTP/1.1\r\nHost: a.test\rX-A: b\r\n\r\n"),
  refused(400, "bare CR at the end of the head", `GET / HTTP/1.1\r\n${HOST}\rX`),
  refused(400, "CR CR LF after the request line", `GET / HTTP/1.1\r\r\n${HOST}\r\n`),
  refused(400, "CR CR LF after a field", "GET / HTTP/1.1\r\nHost: a.test\r\r\n\r\n"),
  refused(400, "LF CR after a field", "GET / HTTP/1.1\r\nHost: a.test\n\r\n\r"),
  refused(400, "LF CR LF at the end of the head", "GET / HTTP/1.1\r\nHost: a.test\r\n\n\r\n"),
  refused(400, "bare CR in the target", `GET /a\rb HTTP/1.1\r\n${HOST}\r\n`),
  refused(400, "bare LF in the target", `GET /a\nb HTTP/1.1\r\n${HOST}\r\n`),
  refused(400, "bare CR in a field name", `GET / HTTP/1.1\r\n${HOST}X\rA: b\r\n\r\n`),
  refused(400, "bare LF in a field name", `GET / HTTP/1.1\r\n${HOST}X\nA: b\r\n\r\n`),
  refused(400, "bare LF hiding a second head (RFC 9112 §11.1)", get("/", "X-A: b\n\nGET /smuggled HTTP/1.1")),
  refused(400, "a bare LF before the request", `\n${get("/")}`),
  refused(400, "a bare CR before the request", `\r${get("/")}`),
  refused(400, "three empty lines before the request", `\r\n\r\n\r\n${get("/")}`),
  refused(400, "a space before the request line", ` ${get("/")}`),
  refused(400, "an empty line and a space before the request line", `\r\n ${get("/")}`),
  refused(400, "a field line before the request line", `${HOST}${get("/")}`),
  passed("one empty line before the request is skipped (RFC 9112 §2.2)", `\r\n${get("/")}`, PLAIN),
  passed("two empty lines before the request are skipped", `\r\n\r\n${get("/")}`, PLAIN),
  passed("an empty line between two requests is skipped", `${get("/")}\r\n${get("/next")}`, PLAIN, { line: "GET /next" }),
  passed("an empty line after a body is skipped (RFC 9112 §2.2)", `${post("Content-Length: 5", "hello")}\r\n${get("/next")}`, SIZED, { line: "GET /next" }),
];

const hex = (code: number) => `0x${code.toString(16).padStart(2, "0")}`;

/** Control bytes in every place (RFC 9110 §5.5, RFC 9112 §2.2). */
const CONTROLS: readonly RequestRow[] = [0x00, 0x01, 0x08, 0x0b, 0x1b, 0x7f].flatMap((code) => {
  const byte = String.fromCharCode(code);
  return [
    refused(400, `${hex(code)} in the method`, `G${byte}ET / HTTP/1.1\r\n${HOST}\r\n`),
    refused(400, `${hex(code)} in the target`, get(`/a${byte}b`)),
    refused(400, `${hex(code)} in the version`, `GET / HTTP/1.1${byte}\r\n${HOST}\r\n`),
    refused(400, `${hex(code)} in a field name (RFC 9110 §5.1)`, get("/", `X${byte}A: b`)),
    refused(400, `${hex(code)} in a field value (RFC 9110 §5.5)`, get("/", `X-A: b${byte}c`)),
    refused(400, `${hex(code)} at the start of a field value`, get("/", `X-A:${byte}c`)),
    refused(400, `${hex(code)} in Host`, withHost(`Host: a${byte}.test`)),
  ];
});

/** Field lines outside of the grammar (RFC 9112 §5). */
const FIELDS: readonly RequestRow[] = [
  refused(400, "a folded line with a space (RFC 9112 §5.2)", get("/", "X-A: b\r\n c")),
  refused(400, "a folded line with a tab", get("/", "X-A: b\r\n\tc")),
  refused(400, "a folded line that looks like a field", get("/", "X-A: b\r\n X-C: d")),
  refused(400, "whitespace before the first field (RFC 9112 §2.2)", withHost(" Host: a.test")),
  refused(400, "a line of one space", get("/", " ")),
  refused(400, "space before the colon (RFC 9112 §5.1)", get("/", "X-A : b")),
  refused(400, "space before the colon of Host", withHost("Host : a.test")),
  refused(400, "tab before the colon", get("/", "X-A\t: b")),
  refused(400, "an empty name", get("/", ": b")),
  refused(400, "a colon alone", get("/", ":")),
  refused(400, "a line without a colon", get("/", "X-A")),
  refused(400, "a line without a colon, with spaces", get("/", "X-A b c")),
  refused(400, "a request line among the fields", get("/", "GET /smuggled HTTP/1.1")),
  ...[..."()/;<=>?@[\\]{}\","].map((char) => refused(400, `${char} in a field name (RFC 9110 §5.6.2)`, get("/", `X${char}A: b`))),
  refused(400, "a Latin-1 letter in a field name", get("/", "X-\xe9: b")),
  refused(400, "UTF-8 in a field name", get("/", "X-\xc3\xa9: b")),
  refused(400, "a byte order mark before a field name", get("/", "\xef\xbb\xbfX-A: b")),
  passed("a value may be empty (RFC 9110 §5.5)", get("/", "X-A:"), { line: "GET /", has: ["X-A:"] }),
  passed("a value may hold obs-text, colons and quotes (RFC 9110 §5.5)", get("/", 'X-A: \xe9 "b:c" {d}'), { line: "GET /", has: ['X-A: \xe9 "b:c" {d}'] }),
  passed("every token character may stand in a name (RFC 9110 §5.6.2)", get("/", "!#$%&'*+-.^_`|~09az: b"), { line: "GET /", has: ["!#$%&'*+-.^_`|~09az: b"] }),
];

/** Request lines (RFC 9112 §3, §2.3). */
const LINES: readonly RequestRow[] = [
  ...([
    [400, "two spaces before the target (RFC 9112 §3)", "GET  / HTTP/1.1"],
    [400, "two spaces before the version", "GET /  HTTP/1.1"],
    [400, "a space at the end", "GET / HTTP/1.1 "],
    [400, "tabs between the parts", "GET\t/\tHTTP/1.1"],
    [400, "a tab before the version", "GET /\tHTTP/1.1"],
    [400, "a space in the target", "GET /a b HTTP/1.1"],
    [400, "two targets", "GET /a /b HTTP/1.1"],
    [400, "no target", "GET HTTP/1.1"],
    [400, "no target, two spaces", "GET  HTTP/1.1"],
    [400, "no version: HTTP/0.9", "GET /"],
    [400, "no version, a space", "GET / "],
    [400, "a method alone", "GET"],
    [400, "no method", "/ HTTP/1.1"],
    [400, "a version alone", "HTTP/1.1"],
    [400, "a status line", "HTTP/1.1 200 OK"],
    [400, "a lower-case method (RFC 9110 §9.1: case matters)", "get / HTTP/1.1"],
    [400, "a method in mixed case", "Get / HTTP/1.1"],
    [400, "@ in the method", "G@T / HTTP/1.1"],
    [400, "a quoted method", '"GET" / HTTP/1.1'],
    [400, "a colon in the method", "GET: / HTTP/1.1"],
    [400, "a method that begins with a digit", "1GET / HTTP/1.1"],
    [400, "a method of 25 letters", `${"A".repeat(25)} / HTTP/1.1`],
    [400, "a Latin-1 letter in the method", "G\xc9T / HTTP/1.1"],
    [505, "HTTP/0.9 (RFC 9110 §15.6.6)", "GET / HTTP/0.9"],
    [505, "HTTP/1.2 (RFC 9110 §15.6.6)", "GET / HTTP/1.2"],
    [505, "HTTP/1.9", "GET / HTTP/1.9"],
    [505, "HTTP/2.0", "GET / HTTP/2.0"],
    [505, "HTTP/3.0", "GET / HTTP/3.0"],
    [505, "HTTP/1 without minor version", "GET / HTTP/1"],
    [505, "HTTP/2 without minor version", "GET / HTTP/2"],
    [400, "HTTP/1. with nothing after the dot", "GET / HTTP/1."],
    [400, "HTTP/1.10 (RFC 9112 §2.3: one digit each)", "GET / HTTP/1.10"],
    [400, "HTTP/01.1", "GET / HTTP/01.1"],
    [400, "HTTP/+1.1", "GET / HTTP/+1.1"],
    [400, "HTTP/1.1x", "GET / HTTP/1.1x"],
    [400, "HTTP/1.x", "GET / HTTP/1.x"],
    [400, "HTTP/1,1", "GET / HTTP/1,1"],
    [400, "HTTP/11", "GET / HTTP/11"],
    [400, "http/1.1 in lower case (RFC 9112 §2.3: case matters)", "GET / http/1.1"],
    [400, "Http/1.1", "GET / Http/1.1"],
    [400, "HTTPS/1.1", "GET / HTTPS/1.1"],
    [400, "HTTP / 1.1", "GET / HTTP / 1.1"],
    [400, "ICY/1.1", "GET / ICY/1.1"],
  ] as const).map(([status, what, line]) => refused(status, `request line: ${what}`, `${line}\r\n${HOST}\r\n${SMUGGLED}`)),
  refused(505, "the HTTP/2 preface where HTTP/1 is spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  refused(400, "a TLS ClientHello where plain text is spoken", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
  refused(400, "an SSH greeting", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
  refused(400, "a PROXY protocol line that nobody agreed on", `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get("/")}`),
  passed("a registered method with a hyphen goes through (RFC 9110 §16.1.1)", `VERSION-CONTROL / HTTP/1.1\r\n${HOST}\r\n`, { line: "VERSION-CONTROL /" }),
];

/** Host (RFC 9112 §3.2, RFC 9110 §7.2). */
const HOSTS: readonly RequestRow[] = [
  refused(400, "HTTP/1.1 without Host (RFC 9112 §3.2)", "GET / HTTP/1.1\r\n\r\n"),
  refused(400, "HTTP/1.1 without Host, absolute target", "GET http://a.test/ HTTP/1.1\r\n\r\n"),
  refused(400, "two different Hosts (RFC 9112 §3.2)", withHost("Host: a.test\r\nHost: b.test")),
  refused(400, "the same Host twice", withHost("Host: a.test\r\nHost: a.test")),
  refused(400, "Host and HOST", withHost("Host: a.test\r\nX-A: b\r\nHOST: b.test")),
  refused(400, "Host and an empty Host", withHost("Host: a.test\r\nHost:")),
  refused(400, "Host in a folded line", withHost("Host:\r\n a.test")),
  refused(400, "two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
  ...([
    ["user@a.test", "user information (RFC 9110 §4.2.4)"], ["user:pass@a.test", "user and password"], ["a.test b.test", "a space"],
    ["a.test\tb.test", "a tab"], ["a.test, b.test", "a list"], ["a.test,b.test", "a list without space"], ["a.test:99999", "a port past 65535"],
    ["a.test:0", "port 0"], ["a.test:http", "a named port"], ["a.test:-80", "a negative port"], ["a.test:80:80", "two ports"],
    ["http://a.test", "a scheme"], ["a.test/b", "a path"], ["a.test?b", "a query"], ["a.test#b", "a fragment"], ["a.test\\b", "a backslash"],
    ["[::1", "an open bracket"], ["::1", "IPv6 without brackets"], ["[::1]x", "bytes after the bracket"], ["[::1%25eth0]", "a zone"],
    ["[localhost]", "a name in brackets"], ["a..test", "an empty label"], [".a.test", "a leading dot"], ["a%2etest", "percent encoding"],
    ["\xe9.test", "a Latin-1 letter"], ['a".test', "a quote"], ["*.test", "an asterisk"], ["<a.test>", "angle brackets"], [";a.test", "a semicolon"],
    ["a".repeat(300), "300 letters"],
  ] as const).map(([value, what]) => answered(400, `Host with ${what} (RFC 9110 §7.2)`, withHost(`Host: ${value}`))),
  passed("Host in capitals goes on as it is", withHost("Host: A.TEST"), { line: "GET /", has: ["Host: A.TEST"] }),
  passed("Host with port and final dot goes on as it is", withHost("Host: a.test.:8080"), { line: "GET /", has: ["Host: a.test.:8080"] }),
  passed("Host as an IPv6 literal with port", withHost("Host: [::1]:8080"), { line: "GET /", has: ["Host: [::1]:8080"] }),
  passed("Host with an underscore", withHost("Host: a_b.test"), { line: "GET /", has: ["Host: a_b.test"] }),
  passed("HTTP/1.0 without Host gets one", "GET / HTTP/1.0\r\n\r\n", { line: "GET /" }),
  passed("an empty Host is replaced by the endpoint's name (RFC 9112 §3.2)", withHost("Host:"), { line: "GET /" }),
];

const BAD_PATHS: readonly (readonly [path: string, what: string])[] = [
  ["/..", "the parent of the root"], ["/../a", "climbing out"], ["/a/../../b", "climbing out by detour"], ["/%2e%2e/a", "climbing out, encoded"],
  ["/.%2e/a", "climbing out, half encoded"], ["/%2E%2E%2fa", "climbing out, all encoded"], ["/a%2fb", "an encoded slash"], ["/a%2Fb", "an encoded slash in capitals"],
  ["/a%5cb", "an encoded backslash"], ["/a%5c..%5cb", "encoded backslashes around dots"], ["/a\\b", "a backslash"], ["/\\a", "a backslash at the start"],
  ["/a%00", "an encoded NUL"], ["/a%0d%0ab", "an encoded CRLF"], ["/a%7f", "an encoded DEL"], ["/a%", "a percent sign at the end"],
  ["/a%2", "half of an encoding"], ["/a%zz", "an encoding that is not hexadecimal"], ["/%u002e", "a %u encoding"], ["/a/..;/b", "a parameter after dots (servlet trick)"],
  ["/a/..;x=1/b", "a named parameter after dots"], ["/.;/a", "a parameter after a dot"], ["/..%3b/a", "an encoded parameter after dots"],
  ["/%c0%ae%c0%ae/a", "overlong UTF-8 dots (RFC 3629 §3)"], ["/a%c0%afb", "an overlong UTF-8 slash"], ["/a%e0%80%afb", "an overlong slash in three bytes"],
  ["/{a}", "braces"], ["/a^b", "a caret"], ["/`a`", "backquotes"],
];

/** Targets (RFC 9112 §3.2, RFC 3986 §3.3). */
const TARGETS: readonly RequestRow[] = [
  ...BAD_PATHS.map(([path, what]) => answered(400, `path with ${what}: ${path}`, get(path))),
  ...([["#b", "a fragment (RFC 9112 §3.2.1)"], ['"b"', "quotes"], ["<b>", "angle brackets"], ["\xe9", "a Latin-1 letter"], ["\xc3\xa9", "raw UTF-8"]] as const)
    .map(([end, what]) => refused(400, `target with ${what}`, get(`/a${end}`))),
  answered(400, "absolute target against Host (RFC 9112 §3.2.2)", get("http://b.test/")),
  answered(400, "absolute target with a port that Host has not", get("http://a.test:8080/")),
  answered(400, "absolute target with user information (RFC 9110 §4.2.4)", get("http://user@a.test/")),
  answered(400, "absolute target whose Host is before the @", get("http://a.test@b.test/")),
  answered(400, "absolute target without a host", get("http:///a")),
  answered(400, "absolute target with one slash", get("http:/a")),
  answered(400, "absolute target with a backslash for its slash", get("http:\\\\a.test/")),
  answered(400, "absolute target of another scheme", get("ftp://a.test/")),
  answered(400, "absolute target that climbs out", get("http://a.test/../b")),
  answered(400, "file: target", get("file:///etc/passwd")),
  answered(400, "a target without a slash", get("a/b")),
  answered(400, "a query alone", get("?a=b")),
  answered(400, "authority form without CONNECT (RFC 9112 §3.2.3)", get("a.test:80")),
  answered(400, "asterisk form without OPTIONS (RFC 9112 §3.2.4)", get("*")),
  answered(400, "two asterisks", `OPTIONS ** HTTP/1.1\r\n${HOST}\r\n`),
  refused(405, "CONNECT, whose tunnel bytes must not be read as requests (RFC 9110 §9.3.6)", `CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n${SMUGGLED}`),
  refused(405, "CONNECT with a path", `CONNECT /a HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`),
  answered(405, "TRACE would show an endpoint's view of the request (RFC 9110 §9.3.8)", `TRACE / HTTP/1.1\r\n${HOST}\r\n`),
  passed("absolute target equal to Host becomes a path (RFC 9112 §3.2.2)", get("http://a.test/b?c=d"), { line: "GET /b?c=d", has: ["Host: a.test"] }),
  passed("absolute target in other case than Host", get("HTTP://A.test/b"), { line: "GET /b", has: ["Host: A.test"] }),
  passed("absolute target without a path", get("http://a.test?c=d"), { line: "GET /?c=d", has: ["Host: a.test"] }),
  passed("absolute target in HTTP/1.0 without Host", "GET http://a.test/b HTTP/1.0\r\n\r\n", { line: "GET /b", has: ["Host: a.test"] }),
  passed("OPTIONS * goes on as it is (RFC 9112 §3.2.4)", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, { line: "OPTIONS *" }),
  passed("two slashes at the start name no host", get("//b.test/c"), { line: "GET /b.test/c", has: ["Host: a.test"] }),
  passed("empty segments are left out", get("/a//b///c"), { line: "GET /a/b/c" }),
  passed("dot segments are left out (RFC 3986 §5.2.4)", get("/a/./b/../c"), { line: "GET /a/c" }),
  passed("encoded dot segments are dot segments (RFC 3986 §6.2.2)", get("/a/%2e%2E/b/%2e/c"), { line: "GET /b/c" }),
  passed("unreserved letters are decoded (RFC 3986 §6.2.2.2)", get("/%41%7e"), { line: "GET /A~" }),
  passed("a percent sign that was encoded stays encoded", get("/%252e%252e/a"), { line: "GET /%252e%252e/a" }),
  passed("a query goes on untouched", get("/a?b=../c&d=%2f%00\\|{}"), { line: "GET /a?b=../c&d=%2f%00\\|{}" }),
];

const sizeLine = (what: string, line: string) => begun(400, `chunk size line with ${what}: ${JSON.stringify(line)} (RFC 9112 §7.1)`, chunked(`${line}hello\r\n0\r\n\r\n${SMUGGLED}`));
const trailer = (what: string, lines: string) => begun(400, `trailer with ${what} (RFC 9112 §7.1.2)`, chunked(`5\r\nhello\r\n0\r\n${lines}\r\n\r\n${SMUGGLED}`));
const stream = (what: string, body: string) => passed(what, chunked(body), STREAMED);

/** Chunked bodies (RFC 9112 §7.1). */
const CHUNKS: readonly RequestRow[] = [
  sizeLine("a hexadecimal prefix", "0x5\r\n"), sizeLine("a plus sign", "+5\r\n"), sizeLine("a minus sign", "-5\r\n"), sizeLine("a space before it", " 5\r\n"),
  sizeLine("a space after it", "5 \r\n"), sizeLine("a tab after it", "5\t\r\n"), sizeLine("a space inside", "0 5\r\n"), sizeLine("no digit", "\r\n"),
  sizeLine("no digit but an extension", ";a=b\r\n"), sizeLine("a letter past f", "g\r\n"), sizeLine("an underscore", "0_5\r\n"), sizeLine("a decimal point", "5.0\r\n"),
  sizeLine("a comma", "5,\r\n"), sizeLine("quotes", '"5"\r\n'), sizeLine("NUL", "5\0\r\n"), sizeLine("a vertical tab", "5\x0b\r\n"),
  sizeLine("2^64 + 5", "10000000000000005\r\n"), sizeLine("2^64 - 1", "ffffffffffffffff\r\n"), sizeLine("14 digits", "00000000000005\r\n"), sizeLine("more digits than a line", `${"0".repeat(100)}5\r\n`),
  sizeLine("a bare LF", "5\n"), sizeLine("a bare CR", "5\rX"), sizeLine("CR CR LF", "5\r\r\n"), sizeLine("LF CR", "5\n\r"),
  sizeLine("an empty extension", "5;\r\n"), sizeLine("an extension without a name", "5;=b\r\n"), sizeLine("an extension without its value", "5;a=\r\n"),
  sizeLine("space before an extension", "5 ;a=b\r\n"), sizeLine("space in an extension", "5;a = b\r\n"), sizeLine("an open quote", '5;a="b\r\n'),
  sizeLine("NUL in an extension", "5;a=b\0\r\n"), sizeLine("a bare LF in an extension", "5;a=b\n"), sizeLine("a bare CR in an extension", "5;a\rb\r\n"),
  sizeLine("a bare LF in a quoted extension", '5;a="\n"\r\n'), sizeLine("an endless extension", `5;a=${"b".repeat(300)}\r\n`),
  begun(400, "chunk data longer than its size", chunked(`5\r\nhello!\r\n0\r\n\r\n${SMUGGLED}`)),
  begun(400, "chunk data without its CRLF", chunked(`5\r\nhello0\r\n\r\n${SMUGGLED}`)),
  begun(400, "chunk data that ends in a bare LF", chunked(`5\r\nhello\n0\r\n\r\n${SMUGGLED}`)),
  begun(400, "chunk data that ends in a bare CR", chunked(`5\r\nhello\r0\r\n\r\n${SMUGGLED}`)),
  begun(400, "an empty line before the first chunk", chunked(`\r\n${HELLO_CHUNKS}`)),
  begun(400, "a bare LF after the last chunk", chunked(`5\r\nhello\r\n0\n\n${SMUGGLED}`)),
  begun(400, "a bare LF at the end of the body", chunked(`5\r\nhello\r\n0\r\n\n${SMUGGLED}`)),
  begun(400, "a bare CR at the end of the body", chunked(`5\r\nhello\r\n0\r\n\rX${SMUGGLED}`)),
  begun(400, "a request right after the last chunk's line", chunked(`5\r\nhello\r\n0\r\n${SMUGGLED}`)),
  trailer("a folded line", "X-A: b\r\n c"), trailer("a space before the colon", "X-A : b"), trailer("no colon", "X-A"), trailer("an empty name", ": b"),
  trailer("NUL", "X-A: b\0"), trailer("a bare LF", "X-A: b\nX-C: d"), trailer("a bare CR", "X-A: b\rc"), trailer("a byte outside of tokens", "X(A: b"),
  begun(400, "trailers larger than a head may be", chunked(`5\r\nhello\r\n0\r\nX-A: ${"b".repeat(HEAD_BYTES)}\r\n\r\n`)),
  begun(400, "more trailers than a head may have", chunked(`5\r\nhello\r\n0\r\n${"X-A: b\r\n".repeat(HEADERS + 1)}\r\n`)),
  stream("an extension goes no further (RFC 9112 §7.1.1)", "5;a=b;c\r\nhello\r\n0;d\r\n\r\n"),
  stream("a quoted extension may hold a semicolon and an escaped quote", '5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n'),
  stream("a size with leading zeros and capitals", "0000000000005\r\nhello\r\n000\r\n\r\n"),
  passed("a size in capitals", chunked("A\r\nhellohello\r\n0\r\n\r\n"), { ...STREAMED, body: "hellohello" }),
  stream("many small chunks", `${[..."hello"].map((letter) => `1\r\n${letter}\r\n`).join("")}0\r\n\r\n`),
  passed("an empty chunked body", chunked("0\r\n\r\n") + get("/next"), { line: "POST /", body: "" }, { line: "GET /next" }),
  passed("framing and routing fields in trailers are dropped (RFC 9110 §6.5.1)", chunked(`5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: b.test\r\nX-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nAuthorization: x\r\nCookie: a=b\r\nX-Sum: 7\r\n\r\n${get("/next")}`),
    { ...STREAMED, has: ["Transfer-Encoding: chunked", "Host: a.test"] }, { line: "GET /next" }),
];

/** Expect, Upgrade, Connection (RFC 9110 §10.1.1, §7.8, §7.6.1). */
const CONTROLS_OF_HOP: readonly RequestRow[] = [
  answered(417, "an unknown expectation (RFC 9110 §10.1.1)", get("/", "Expect: 200-ok")),
  answered(417, "100-continue and another expectation", get("/", "Expect: 100-continue, x")),
  answered(417, "two expectations in two fields", get("/", "Expect: 100-continue\r\nExpect: x")),
  answered(417, "an empty expectation", get("/", "Expect:")),
  answered(417, "an unknown expectation before a body", post("Expect: x\r\nContent-Length: 5", "hello")),
  passed("100-continue in other case", post("Expect: 100-CONTINUE\r\nContent-Length: 5", "hello"), SIZED),
  passed("Upgrade to h2c goes no further (RFC 9113 §3.1)", get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), { line: "GET /", lacks: ["upgrade", "http2-settings", "connection"] }),
  passed("HTTP2-Settings alone goes no further", get("/", "HTTP2-Settings: AAM"), { line: "GET /", lacks: ["http2-settings"] }),
  passed("Upgrade to h2c beside websocket goes no further", get("/", "Connection: Upgrade\r\nUpgrade: websocket, h2c"), { line: "GET /", lacks: ["upgrade", "connection"] }),
  passed("Upgrade that Connection does not name goes no further (RFC 9110 §7.8)", get("/", "Upgrade: websocket"), { line: "GET /", lacks: ["upgrade", "connection"] }),
  passed("Upgrade on a POST goes no further", post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", "hello"), { ...SIZED, lacks: ["upgrade", "connection"] }),
  passed("Upgrade in HTTP/1.0 goes no further (RFC 9110 §7.8)", `GET / HTTP/1.0\r\n${HOST}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`, { line: "GET /", lacks: ["upgrade", "connection"] }),
  passed("Connection cannot take Host away", get("/", "Connection: host"), { line: "GET /", has: ["Host: a.test"], lacks: ["connection"] }),
  passed("Connection cannot take Content-Length away", post("Connection: content-length\r\nContent-Length: 5", "hello"), SIZED),
  passed("Connection cannot take Transfer-Encoding away", post(`Connection: transfer-encoding\r\n${CHUNKED}`, HELLO_CHUNKS), STREAMED),
  passed("Connection cannot take forwarding fields away", get("/", "Connection: x-forwarded-for, x-forwarded-proto, via, x-request-id"), { line: "GET /", has: ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "Via: 1.1 weir"] }),
  passed("Connection cannot take credentials away", get("/", "Authorization: x\r\nCookie: a=b\r\nConnection: authorization, cookie"), { line: "GET /", has: ["Authorization: x", "Cookie: a=b"] }),
  passed("a field named by Connection goes no further (RFC 9110 §7.6.1)", get("/", "X-Hop: a\r\nConnection: keep-alive, X-Hop , ,(\r\nX-HOP: b"), { line: "GET /", lacks: ["x-hop", "connection"] }),
  passed("hop-by-hop fields go no further (RFC 9110 §7.6.1)", get("/", "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-Sum\r\nProxy-Authorization: x"), { line: "GET /", lacks: ["keep-alive", "proxy-connection", "te", "trailer", "proxy-authorization"] }),
  passed("Connection: close ends after its answer", get("/", "Connection: close"), { line: "GET /", lacks: ["connection"] }),
];

/** What a client says about itself (RFC 7239 §8). */
const SPOOFED: readonly RequestRow[] = [
  passed("forwarding fields of an untrusted client are replaced", get("/", "X-Forwarded-For: 1.1.1.1\r\nX-FORWARDED-FOR: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\nX-Forwarded-Port: 1"),
    { line: "GET /", has: ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a.test"] }),
  passed("Forwarded, X-Real-IP, X-Forwarded-Server and -Prefix of an untrusted client are dropped", get("/", "Forwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nX-Forwarded-Server: b\r\nX-Forwarded-Prefix: /b"),
    { line: "GET /", lacks: ["forwarded", "x-real-ip", "x-forwarded-server", "x-forwarded-prefix"] }),
  passed("the same names with underscores are dropped (RFC 3875 §4.1.18)", get("/", "X_Forwarded_For: 1.1.1.1\r\nX_FORWARDED_PROTO: https\r\nx_forwarded_host: b\r\nX_Forwarded_Port: 1\r\nX_Real_IP: 1.1.1.1\r\nX_Request_Id: b"),
    { line: "GET /", lacks: ["x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "x_forwarded_port", "x_real_ip", "x_request_id"] }),
  passed("names with one underscore among hyphens are dropped as well", get("/", "X_Forwarded-For: 1.1.1.1\r\nX-Forwarded_For: 1.1.1.1\r\nX-Forwarded_Proto: https\r\nX-Real_IP: 1.1.1.1"),
    { line: "GET /", lacks: ["x_forwarded-for", "x-forwarded_for", "x-forwarded_proto", "x-real_ip"] }),
  refused(400, "a forwarding field with a space before its colon", get("/", "X-Forwarded-For : 1.1.1.1")),
];

/** Heads past their limits (RFC 6585 §5, RFC 9110 §15.5.15). */
const SIZES: readonly RequestRow[] = [
  refused(414, "a request line larger than a head may be (RFC 9110 §15.5.15)", get(`/${"a".repeat(HEAD_BYTES)}`)),
  refused(431, "one field larger than a head may be (RFC 6585 §5)", get("/", `X-A: ${"b".repeat(HEAD_BYTES)}`)),
  refused(431, "a name larger than a head may be", get("/", `${"X".repeat(HEAD_BYTES)}: b`)),
  refused(431, "whitespace larger than a head may be", get("/", `X-A:${" ".repeat(HEAD_BYTES)}b`)),
  refused(431, "one field more than allowed", get("/", Array.from({ length: HEADERS }, (_, at) => `X-${at}: b`).join("\r\n"))),
  passed("as many fields as allowed", get("/", Array.from({ length: HEADERS - 1 }, (_, at) => `X-${at}: b`).join("\r\n")), { line: "GET /", has: [`X-${HEADERS - 2}: b`] }),
];

/** What follows a refusal on the same connection is never read. */
const AFTERWARDS: readonly RequestRow[] = [
  refused(400, "requests after a broken one are not read", `${withHost("Host : a.test")}${SMUGGLED}${SMUGGLED}`),
  { name: "a good request before a broken one is answered", bytes: `${get("/good")}GET / HTTP/1.1\r\nHost : a.test\r\n\r\n${SMUGGLED}`, outcome: { kind: "passed", requests: [{ line: "GET /good" }] } },
];

export const MALFORMED_REQUESTS: readonly RequestRow[] = [
  ...CONFLICTS, ...CODINGS, ...LENGTHS, ...LINE_ENDS, ...CONTROLS, ...FIELDS, ...LINES, ...HOSTS, ...TARGETS, ...CHUNKS,
  ...CONTROLS_OF_HOP, ...SPOOFED, ...SIZES, ...AFTERWARDS,
];
