/** The reader: bytes in, events out, in both roles. Sections are those of RFC 9112. */
import { expect, test } from "bun:test";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, BODY_UNTIL_CLOSE } from "../../core/body.ts";
import { EVENT_BODY, EVENT_END, EVENT_FAILED, EVENT_HEAD, EVENT_MORE, Reader } from "./reader.ts";

const LIMITS = { headBytes: 1000, headers: 20 };
const HOST = "Host: a\r\n";
const GET = `GET / HTTP/1.1\r\n${HOST}\r\n`;
const OK = "HTTP/1.1 200 OK\r\n";

type Role = "request" | "response";

function readerOf(role: Role, text: string, method = "GET"): Reader {
  const reader = new Reader(role, LIMITS);
  reader.expect(method);
  if (text !== "") reader.feed(Buffer.from(text, "latin1"));
  return reader;
}

/** Events as words until nothing more comes. */
function eventsOf(reader: Reader): string[] {
  const words: string[] = [];
  for (;;) {
    const event = reader.next();
    if (event === EVENT_MORE) return words;
    if (event === EVENT_HEAD) words.push(`head ${reader.bodyKind} ${reader.bodyLength}`);
    else if (event === EVENT_BODY) words.push(`body ${reader.body.toString("latin1")}`);
    else if (event === EVENT_END) words.push(reader.trailers === "" ? "end" : `end ${reader.trailers}`);
    else {
      words.push(`failed ${reader.failure?.code}`);
      return words;
    }
  }
}

const CHUNKED = "Transfer-Encoding: chunked\r\n\r\n";

for (const [name, role, text, events] of [
  ["a request without body", "request", GET, [`head ${BODY_NONE} -1`, "end"]],
  [
    "a request of HTTP/1.0 without Host",
    "request",
    "GET / HTTP/1.0\r\n\r\n",
    [`head ${BODY_NONE} -1`, "end"],
  ],
  [
    "a sized request",
    "request",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    [`head ${BODY_LENGTH} 3`, "body abc", "end"],
  ],
  [
    "a request of no bytes",
    "request",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`,
    [`head ${BODY_LENGTH} 0`, "end"],
  ],
  [
    "a chunked request",
    "request",
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\n`,
    [`head ${BODY_STREAM} -1`, "body abc", "end"],
  ],
  [
    "a chunked request with trailers",
    "request",
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}0\r\nX-A: b\r\nHost: c\r\nX-D:e\r\n\r\n`,
    [`head ${BODY_STREAM} -1`, "end X-A: b\r\nX-D: e\r\n"],
  ],
  [
    "pipelined requests",
    "request",
    `${GET}POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\na${GET}`,
    [`head ${BODY_NONE} -1`, "end", `head ${BODY_LENGTH} 1`, "body a", "end", `head ${BODY_NONE} -1`, "end"],
  ],
  [
    "empty lines before requests (§2.2)",
    "request",
    `\r\n${GET}\r\n\r\n${GET}\r\n`,
    [`head ${BODY_NONE} -1`, "end", `head ${BODY_NONE} -1`, "end"],
  ],
  [
    "a sized response",
    "response",
    `${OK}Content-Length: 3\r\n\r\nabc`,
    [`head ${BODY_LENGTH} 3`, "body abc", "end"],
  ],
  [
    "a chunked response",
    "response",
    `${OK}${CHUNKED}3\r\nabc\r\n0\r\n\r\n`,
    [`head ${BODY_STREAM} -1`, "body abc", "end"],
  ],
  ["a response until the end", "response", `${OK}\r\nabc`, [`head ${BODY_UNTIL_CLOSE} -1`, "body abc"]],
  ["a 204", "response", "HTTP/1.1 204 No Content\r\n\r\n", [`head ${BODY_NONE} -1`, "end"]],
  [
    "a 204 with a length that it may not have",
    "response",
    "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
    [`head ${BODY_NONE} -1`, "end"],
  ],
  [
    "a 304 with a length to tell",
    "response",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
    [`head ${BODY_NONE} 3`, "end"],
  ],
  [
    "a 1xx and its response",
    "response",
    `HTTP/1.1 103 Early Hints\r\n\r\n${OK}Content-Length: 0\r\n\r\n`,
    [`head ${BODY_NONE} -1`, "end", `head ${BODY_LENGTH} 0`, "end"],
  ],
  [
    "a tunnel",
    "response",
    "HTTP/1.1 101 Switching Protocols\r\n\r\nany\nthing",
    [`head ${BODY_NONE} -1`, "body any\nthing"],
  ],
  ["nothing", "request", "", []],
] as const) {
  test(`${name}: these events`, () => {
    expect(eventsOf(readerOf(role, text))).toEqual([...events]);
  });
}

test("a response to HEAD has no body, and tells the length that GET would have", () => {
  expect(eventsOf(readerOf("response", `${OK}Content-Length: 3\r\n\r\n`, "HEAD"))).toEqual([
    `head ${BODY_NONE} 3`,
    "end",
  ]);
  expect(eventsOf(readerOf("response", `${OK}${CHUNKED}`, "HEAD"))).toEqual([`head ${BODY_NONE} -1`, "end"]);
});

for (const [code, role, text] of [
  ["h1_bad_request_line", "request", "GET\r\n\r\n"],
  ["h1_bad_request_line", "request", `\r\n\r\n\r\n${GET}`],
  ["h1_bad_line_end", "request", `\rX${GET}`],
  ["h1_bad_line_end", "request", `\n${GET}`],
  ["h1_bad_version", "request", "GET / HTTP/2.0\r\n\r\n"],
  ["h1_bad_target", "request", `GET /# HTTP/1.1\r\n${HOST}\r\n`],
  ["h1_bad_field", "request", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"],
  ["h1_host_missing", "request", "GET / HTTP/1.1\r\n\r\n"],
  ["h1_host_conflict", "request", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ["h1_length_conflict", "request", `GET / HTTP/1.1\r\n${HOST}Content-Length: 1, 2\r\n\r\n`],
  ["h1_length_and_chunked", "request", `GET / HTTP/1.1\r\n${HOST}Content-Length: 1\r\n${CHUNKED}`],
  ["h1_coding_unknown", "request", `GET / HTTP/1.1\r\n${HOST}Transfer-Encoding: x\r\n\r\n`],
  ["head_too_large", "request", `GET / HTTP/1.1\r\nA: ${"b".repeat(1000)}`],
  ["target_too_long", "request", `GET /${"a".repeat(1000)}`],
  ["h1_response_head", "response", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["h1_response_head", "response", "\r\nHTTP/1.1 200 OK\r\n\r\n"],
  ["h1_response_head", "response", "HTTP/1.1 200 OK\n\r\n"],
  ["h1_response_head_too_large", "response", `${OK}A: ${"b".repeat(1000)}`],
  ["h1_response_head_too_large", "response", `HTTP/1.1 200 ${"b".repeat(1000)}`],
  ["h1_response_head_too_large", "response", `${OK}${"A: b\r\n".repeat(21)}`],
  ["h1_response_framing", "response", `${OK}Content-Length: 1, 2\r\n\r\n`],
] as const) {
  test(`${JSON.stringify(text.slice(0, 50))} fails with ${code}, and nothing follows`, () => {
    const reader = readerOf(role, `${text}\r\n\r\n${GET}`);
    expect(eventsOf(reader)).toEqual([`failed ${code}`]);
    expect([reader.next(), reader.endOfInput()]).toEqual([EVENT_FAILED, EVENT_FAILED]);
  });
}

for (const [role, code] of [
  ["request", "h1_bad_chunk"],
  ["response", "h1_response_chunk"],
] as const) {
  const start = role === "request" ? `POST / HTTP/1.1\r\n${HOST}${CHUNKED}` : `${OK}${CHUNKED}`;
  for (const [what, body] of [
    ["a broken size", "3\r\nabc\r\nx"],
    ["a broken trailer", "3\r\nabc\r\n0\r\nX\r\n\r\n"],
    ["endless trailers", `3\r\nabc\r\n0\r\nX: ${"y".repeat(1000)}`],
  ] as const) {
    test(`${what} in a ${role} fails with ${code}, after the body bytes before it`, () => {
      expect(eventsOf(readerOf(role, start + body))).toEqual([
        `head ${BODY_STREAM} -1`,
        "body abc",
        `failed ${code}`,
      ]);
    });
  }
}

for (const [name, role, text, code] of [
  ["in a request head", "request", "GET / HT", "downstream_closed"],
  [
    "in a sized request",
    "request",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nab`,
    "downstream_closed",
  ],
  [
    "in a chunked request",
    "request",
    `POST / HTTP/1.1\r\n${HOST}${CHUNKED}3\r\nabc\r\n`,
    "downstream_closed",
  ],
  ["in a response head", "response", "HTTP/1.1 200", "upstream_reset"],
  ["in a sized response", "response", `${OK}Content-Length: 3\r\n\r\nab`, "upstream_cut"],
  ["in a chunked response", "response", `${OK}${CHUNKED}3\r\nabc\r\n`, "upstream_cut"],
  ["in trailers", "response", `${OK}${CHUNKED}0\r\nX: y\r\n`, "upstream_cut"],
] as const) {
  test(`the end of the connection ${name} is a failure: ${code} (§8)`, () => {
    const reader = readerOf(role, text);
    eventsOf(reader);
    expect([reader.endOfInput(), reader.failure?.code]).toEqual([EVENT_FAILED, code]);
  });
}

test("the end of the connection completes a response without length; a reset does not (§8)", () => {
  const ended = readerOf("response", `${OK}\r\nabc`);
  eventsOf(ended);
  expect(ended.endOfInput()).toBe(EVENT_END);
  const broken = readerOf("response", `${OK}\r\nabc`);
  eventsOf(broken);
  expect([broken.endOfInput(true), broken.failure?.code]).toEqual([EVENT_FAILED, "upstream_cut"]);
});

test("the end of the connection between messages and in a tunnel is no failure", () => {
  for (const reader of [
    readerOf("request", ""),
    readerOf("request", GET),
    readerOf("request", `${GET}\r\n`),
    readerOf("response", "HTTP/1.1 101 S\r\n\r\nabc"),
  ]) {
    eventsOf(reader);
    expect([reader.endOfInput(), reader.failure]).toEqual([EVENT_MORE, undefined]);
  }
});

test("a reader is idle only between messages, with no byte of the next one", () => {
  const reader = readerOf("request", "");
  expect(reader.isIdle).toBe(true);
  for (const [piece, isIdle] of [
    ["G", false],
    ["ET / HTTP/1.1\r\nHost: a\r\n", false],
    ["\r\n", true],
    ["\r", false],
    ["\n", true],
    [`${GET}${GET}`, true],
  ] as const) {
    reader.feed(Buffer.from(piece));
    eventsOf(reader);
    expect([piece, reader.isIdle]).toEqual([piece, isIdle]);
  }
});

test("bytes fed ahead wait unread, and are let go only when there are none", () => {
  const reader = readerOf("request", GET + GET);
  expect([reader.next(), reader.next(), reader.unread]).toEqual([EVENT_HEAD, EVENT_END, GET.length]);
  reader.release();
  expect(eventsOf(reader)).toEqual([`head ${BODY_NONE} -1`, "end"]);
  expect(reader.unread).toBe(0);
  reader.release();
  reader.feed(Buffer.from(GET));
  expect(eventsOf(reader)).toEqual([`head ${BODY_NONE} -1`, "end"]);
});

test("after a switch the bytes that came too early are handed over as they are", () => {
  const reader = readerOf("request", `${GET}\x81\x00`);
  expect([reader.next(), reader.next()]).toEqual([EVENT_HEAD, EVENT_END]);
  expect(reader.takeRest()).toEqual(Buffer.from([0x81, 0]));
  expect([reader.unread, reader.takeRest().length]).toEqual([0, 0]);
});

test("a response that declares a body where none may be makes its connection suspect", () => {
  for (const [text, isSuspect] of [
    ["HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", true],
    ["HTTP/1.1 204 No Content\r\n\r\n", false],
    [`${OK}Content-Length: 3\r\n\r\n`, false],
  ] as const) {
    const reader = readerOf("response", text);
    reader.next();
    expect([text, reader.isSuspect]).toEqual([text, isSuspect]);
  }
});

test("fields stay readable until the next message begins, whatever its body brings", () => {
  const reader = readerOf("request", `POST / HTTP/1.1\r\n${HOST}X-A: b\r\n${CHUNKED}1\r\na\r\n1\r\nb\r\n`);
  eventsOf(reader);
  for (const piece of ["5\r\nabcde\r\n", "3", "\r\nabc\r\n0\r\nX-T: u", "\r\n\r\n"]) {
    reader.feed(Buffer.from(piece));
    eventsOf(reader);
    expect(reader.fields.find("x-a")).toBe("b");
  }
});

test("a body in one piece is the very buffer that was fed, not a copy", () => {
  const reader = readerOf("request", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\n`);
  reader.next();
  const bytes = Buffer.from("abc");
  reader.feed(bytes);
  expect([reader.next(), reader.body === bytes]).toEqual([EVENT_BODY, true]);
});

test("a request whose line cannot be read has none of the request before", () => {
  for (const broken of ["GET / HTT\nP/1.1\r\n", "get / HTTP/1.1\r\n", `GET /${"a".repeat(1000)}`]) {
    const reader = readerOf("request", `HEAD /a HTTP/1.0\r\n\r\n${broken}`);
    eventsOf(reader);
    const { method, target, isHttp10 } = reader.requestLine;
    expect([reader.failure !== undefined, method, target, isHttp10]).toEqual([true, "", "", false]);
  }
});

test("a start line that is none is refused at its end, whatever may follow (§3, §4)", () => {
  for (const [role, line] of [
    ["request", "HELO example.com\r\n"],
    ["request", "GET / HTTP/3.0\r\n"],
    ["response", "220 smtp.example.com ready\r\n"],
  ] as const) {
    expect(eventsOf(readerOf(role, line))[0]).toStartWith("failed");
  }
});

test("an idle reader lets go of the bytes it read, and reads on", () => {
  const reader = readerOf("request", GET);
  eventsOf(reader);
  reader.release();
  reader.forgetFields();
  expect([reader.bodyBytes.length, reader.fields.bytes.length, reader.fields.count]).toEqual([0, 0, 0]);
  reader.feed(Buffer.from(GET));
  expect([reader.next(), reader.fields.find("host")]).toEqual([EVENT_HEAD, "a"]);
});

test("fields of a message begun are not forgotten", () => {
  const reader = readerOf("request", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\n`);
  reader.next();
  reader.forgetFields();
  expect(reader.fields.find("host")).toBe("a");
});
