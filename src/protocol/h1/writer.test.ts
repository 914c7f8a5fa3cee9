/** The writer: heads and chunks, byte for byte. */
import { expect, test } from "bun:test";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, BODY_UNTIL_CLOSE, type BodyKind } from "../../core/body.ts";
import { fieldMask } from "../../core/field-names.ts";
import { fieldsOfLines } from "../../core/fields.ts";
import { Out } from "../../core/out.ts";
import {
  type ConnectionOption,
  chunkStart,
  interimHead,
  LAST_CHUNK,
  lastChunk,
  type RequestToWrite,
  writeRequestHead,
  writeResponseHead,
} from "./writer.ts";

const REQUEST: RequestToWrite = {
  upstreamMethod: "GET",
  upstreamTarget: "/a?b",
  requestFields: fieldsOfLines("Host: a\r\nX-A: b\r\n"),
  upstreamDropLow: 0,
  upstreamDropHigh: 0,
  upstreamAdded: "",
  upstreamIdLines: "",
  requestBodyKind: BODY_NONE,
  requestBodyLength: -1,
  upgrade: "",
};

function request(parts: Partial<RequestToWrite>): string {
  const out = new Out();
  writeRequestHead(out, { ...REQUEST, ...parts });
  return out.bytes.toString("latin1", 0, out.length);
}

const HOST = fieldMask("host");
const SERVER = fieldMask("server");

for (const [name, parts, text] of [
  ["plain", {}, "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n"],
  [
    "without a body, whatever length stands there",
    { requestBodyLength: 5 },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n",
  ],
  [
    "with a length",
    { requestBodyKind: BODY_LENGTH, requestBodyLength: 5 },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
  ],
  [
    "with a length of zero",
    { requestBodyKind: BODY_LENGTH, requestBodyLength: 0 },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 0\r\n\r\n",
  ],
  [
    "with a long length",
    { requestBodyKind: BODY_LENGTH, requestBodyLength: 5_000_000_000 },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 5000000000\r\n\r\n",
  ],
  [
    "with a stream",
    { requestBodyKind: BODY_STREAM },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n",
  ],
  [
    "with lines added",
    { upstreamAdded: "Via: c\r\n", upstreamIdLines: "X-Id: d\r\n" },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nVia: c\r\nX-Id: d\r\n\r\n",
  ],
  [
    "with Host left out",
    { upstreamDropLow: HOST.low, upstreamAdded: "Host: c\r\n" },
    "GET /a?b HTTP/1.1\r\nX-A: b\r\nHost: c\r\n\r\n",
  ],
  [
    "with a high name left out",
    { requestFields: fieldsOfLines("Server: s\r\nHost: a\r\n"), upstreamDropHigh: SERVER.high },
    "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
  ],
  [
    "with an upgrade",
    { upgrade: "websocket" },
    "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  ],
  [
    "never with the framing and connection fields of the other side",
    {
      requestFields: fieldsOfLines(
        "Content-Length: 9\r\nTransfer-Encoding: x\r\nConnection: y\r\nHost: a\r\nUpgrade: z\r\nTE: t\r\nTrailer: u\r\nKeep-Alive: v\r\nProxy-Connection: w\r\nProxy-Authorization: p\r\nProxy-Authenticate: q\r\nHTTP2-Settings: s\r\n",
      ),
    },
    "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
  ],
] as const satisfies readonly (readonly [string, Partial<RequestToWrite>, string])[]) {
  test(`a request ${name}`, () => {
    expect(request(parts)).toBe(text);
  });
}

interface Response {
  readonly status: number;
  readonly reason: string;
  readonly lines?: string;
  readonly added?: string;
  readonly kind: BodyKind;
  readonly length: number;
  readonly connection: ConnectionOption;
}

function response({
  status,
  reason,
  lines = "X-A: b\r\n",
  added = "",
  kind,
  length,
  connection,
}: Response): string {
  const out = new Out();
  const head = {
    sentStatus: status,
    reason,
    responseFields: fieldsOfLines(lines),
    sentAdded: added,
    sentBodyLength: length,
  };
  writeResponseHead(out, head, kind, connection);
  return out.bytes.toString("latin1", 0, out.length);
}

const OK = { status: 200, reason: "OK", kind: BODY_LENGTH, length: 5, connection: "" } as const;

for (const [name, parts, text] of [
  ["with a length", OK, "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n"],
  [
    "with a stream",
    { ...OK, kind: BODY_STREAM },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n",
  ],
  [
    "that lasts until the end",
    { ...OK, kind: BODY_UNTIL_CLOSE, length: -1, connection: "close" },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: close\r\n\r\n",
  ],
  [
    "to HEAD with the length of GET",
    { ...OK, kind: BODY_NONE },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
  ],
  [
    "without body and length",
    { ...OK, status: 204, reason: "No Content", kind: BODY_NONE, length: -1 },
    "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
  ],
  [
    "with keep-alive said",
    { ...OK, connection: "keep-alive" },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
  ],
  [
    "with an upgrade",
    {
      ...OK,
      status: 101,
      reason: "Switching Protocols",
      kind: BODY_NONE,
      length: -1,
      added: "Upgrade: x\r\n",
      connection: "upgrade",
    },
    "HTTP/1.1 101 Switching Protocols\r\nX-A: b\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
  ],
  [
    "with a reason of its own",
    { ...OK, reason: "Fine \xe9" },
    "HTTP/1.1 200 Fine \xe9\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
  ],
  ["with an empty reason", { ...OK, reason: "" }, "HTTP/1.1 200 \r\nX-A: b\r\nContent-Length: 5\r\n\r\n"],
  [
    "of an unknown status",
    { ...OK, status: 599, reason: "Odd" },
    "HTTP/1.1 599 Odd\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
  ],
  [
    "with lines added",
    { ...OK, added: "Date: d\r\n" },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nDate: d\r\nContent-Length: 5\r\n\r\n",
  ],
  [
    "never with the framing of the other side",
    { ...OK, lines: "Content-Length: 9\r\nTransfer-Encoding: x\r\nConnection: y\r\nX-A: b\r\n" },
    "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n",
  ],
] as const satisfies readonly (readonly [string, Response, string])[]) {
  test(`a response ${name}`, () => {
    expect(response(parts)).toBe(text);
    expect(response(parts)).toBe(text);
  });
}

test("a 1xx head has no framing", () => {
  expect([interimHead(100, ""), interimHead(103, "Link: a\r\n")]).toEqual([
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
  ]);
});

test("chunks begin with their size in hexadecimal and end with trailers or none", () => {
  expect([chunkStart(1), chunkStart(26), chunkStart(65536)]).toEqual(["1\r\n", "1a\r\n", "10000\r\n"]);
  expect([lastChunk(""), LAST_CHUNK, lastChunk("X-A: b\r\n")]).toEqual([
    "0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nX-A: b\r\n\r\n",
  ]);
});
