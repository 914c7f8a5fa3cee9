/** Head writer: what leaves as a header block, read back by the head reader. */
import { expect, test } from "bun:test";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../../core/body.ts";
import { fieldMask } from "../../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../../core/fields.ts";
import { Out } from "../../core/out.ts";
import { Head, type HeadKind } from "./head.ts";
import { HeadReader } from "./head-reader.ts";
import { authorityOf, type H2RequestToWrite, HeadWriter } from "./head-writer.ts";

const REQUEST: H2RequestToWrite = {
  upstreamMethod: "GET",
  upstreamTarget: "/a?b=c",
  requestFields: fieldsOfLines("Accept: */*\r\n"),
  upstreamDropLow: 0,
  upstreamDropHigh: 0,
  upstreamAdded: "",
  upstreamIdLines: "",
  requestBodyKind: BODY_NONE,
  requestBodyLength: -1,
  upgrade: "",
  scheme: "http",
  authority: "a.test:81",
  protocol: "",
  takesTrailers: false,
};
const RESPONSE = {
  sentStatus: 200,
  reason: "OK",
  responseFields: fieldsOfLines("Server: x\r\n"),
  sentAdded: "",
  sentBodyLength: -1,
};

/** What the peer reads, four times over: as literals first, from its table later. */
function readBack(kind: HeadKind, write: (writer: HeadWriter, out: Out) => void): Head {
  const writer = new HeadWriter();
  const reader = new HeadReader({ listBytes: 65536, fields: 100 });
  const out = new Out();
  let first: Head | undefined;
  for (let time = 0; time < 4; time++) {
    out.reset();
    out.text("before");
    write(writer, out);
    const head = new Head();
    expect(reader.read(kind, out.bytes, 6, out.length, head)).toBe("");
    expect(head.malformed).toBe("");
    first ??= head;
    expect(lines(head)).toBe(lines(first));
  }
  return first as Head;
}

const lines = (head: Head) => head.fields.linesWithout(0, 0);
const request = (changes: Partial<H2RequestToWrite>) =>
  readBack("request", (writer, out) => writer.request(out, { ...REQUEST, ...changes }));
const response = (changes: Partial<typeof RESPONSE>) =>
  readBack("response", (writer, out) => writer.response(out, { ...RESPONSE, ...changes }));

const HOP_BY_HOP =
  "Connection: x-gone\r\nKeep-Alive: 1\r\nProxy-Connection: close\r\nTE: gzip\r\nTrailer: a\r\nUpgrade: h2c\r\n" +
  "Transfer-Encoding: chunked\r\nContent-Length: 7\r\nHTTP2-Settings: a\r\n";

test("a request: pseudo-header fields first, names in lower case, host as :authority (RFC 9113 §8.2, §8.3.1)", () => {
  const head = request({
    requestFields: fieldsOfLines("Host: b\r\nX-Mixed: A b\r\nX_Y: 1\r\nx-empty: \r\n"),
  });
  expect([head.method, head.scheme, head.authority, head.path, head.protocol]).toEqual([
    "GET",
    "http",
    "a.test:81",
    "/a?b=c",
    "",
  ]);
  expect(lines(head)).toBe("host: a.test:81\r\nx-mixed: A b\r\nx_y: 1\r\nx-empty: \r\n");
});

test("a request without an authority has none", () => {
  expect([request({ authority: "" }).authority, lines(request({ authority: "" }))]).toEqual([
    "",
    "accept: */*\r\n",
  ]);
});

test("fields of HTTP/1 connections never go out, whoever said them (§8.2.2)", () => {
  const fields = fieldsOfLines(`${HOP_BY_HOP}X-A: 1\r\n`);
  expect(lines(request({ requestFields: fields, upstreamAdded: HOP_BY_HOP }))).toBe(
    "host: a.test:81\r\nx-a: 1\r\n",
  );
  expect(lines(response({ responseFields: fields, sentAdded: HOP_BY_HOP }))).toBe("x-a: 1\r\n");
  expect(lines(readBack("response", (writer, out) => writer.interim(out, 103, HOP_BY_HOP)))).toBe("");
  expect(lines(readBack("trailers", (writer, out) => writer.trailers(out, `${HOP_BY_HOP}X-A: 1\r\n`)))).toBe(
    "x-a: 1\r\n",
  );
});

test("dropped and masked fields stay behind; added lines follow, but Host, which :authority says", () => {
  const requestFields = fieldsOfLines("Via: a\r\nX-A: 1\r\nServer: s\r\nX-B: 2\r\n");
  requestFields.drop("x-a");
  requestFields.add("X-C", "3");
  const { low, high } = fieldMask("via", "server");
  const head = request({
    requestFields,
    upstreamDropLow: low,
    upstreamDropHigh: high,
    upstreamAdded: "Host: other\r\nVia: 2.0 weir\r\nX-Forwarded-For: 1.2.3.4\r\n",
    upstreamIdLines: "X-Request-Id: 1\r\ntraceparent: 00-1\r\n",
  });
  expect(lines(head)).toBe(
    "host: a.test:81\r\nx-b: 2\r\nx-c: 3\r\nvia: 2.0 weir\r\nx-forwarded-for: 1.2.3.4\r\nx-request-id: 1\r\ntraceparent: 00-1\r\n",
  );
});

test("the length of a request's body is said when it is known", () => {
  expect(request({ requestBodyKind: BODY_LENGTH, requestBodyLength: 42 }).contentLength).toBe(42);
  expect(request({ requestBodyKind: BODY_LENGTH, requestBodyLength: 0 }).contentLength).toBe(0);
  expect(request({ requestBodyKind: BODY_STREAM, requestBodyLength: -1 }).contentLength).toBe(-1);
  expect(request({ requestBodyKind: BODY_NONE, requestBodyLength: 0 }).contentLength).toBe(-1);
});

test("te: trailers is said for a client that takes them", () => {
  expect(request({ takesTrailers: true }).fields.find("te")).toBe("trailers");
});

test("an extended CONNECT names its protocol (RFC 8441 §4)", () => {
  const head = request({ upstreamMethod: "CONNECT", protocol: "websocket" });
  expect([head.method, head.protocol, head.path]).toEqual(["CONNECT", "websocket", "/a?b=c"]);
});

test("a response: status, fields, added lines, length", () => {
  for (const status of [200, 204, 206, 299, 304, 400, 404, 418, 500, 599]) {
    const head = response({ sentStatus: status, sentAdded: "Date: now\r\n", sentBodyLength: 1234 });
    expect([head.status, head.contentLength, lines(head)]).toEqual([
      status,
      1234,
      "server: x\r\ndate: now\r\ncontent-length: 1234\r\n",
    ]);
  }
  expect(response({ sentBodyLength: 0 }).contentLength).toBe(0);
  expect(response({ sentBodyLength: -1 }).contentLength).toBe(-1);
});

test("interim heads and trailers", () => {
  const head = readBack("response", (writer, out) => writer.interim(out, 103, "Link: </a>\r\n"));
  expect([head.status, lines(head)]).toEqual([103, "link: </a>\r\n"]);
  expect(
    lines(
      readBack("trailers", (writer, out) => writer.trailers(out, "Grpc-Status: 0\r\ngrpc-message: \r\n")),
    ),
  ).toBe("grpc-status: 0\r\ngrpc-message: \r\n");
});

test("the authority is the added Host line, else the field", () => {
  const fieldsWith = (added: string): Fields => {
    const fields = fieldsOfLines("X-A: 1\r\nHost: field.test\r\n");
    fields.added = added;
    return fields;
  };
  for (const [upstreamAdded, fields, authority] of [
    ["", fieldsWith(""), "field.test"],
    ["Host: added.test\r\nVia: x\r\n", fieldsWith(""), "added.test"],
    ["Via: x\r\nhost: added.test\r\n", fieldsWith(""), "added.test"],
    ["X-Forwarded-Host: no.test\r\n", fieldsWith(""), "field.test"],
    ["", fieldsWith("X-B: 2\r\nHost: edited.test\r\n"), "edited.test"],
    ["", fieldsOfLines("X-A: 1\r\n"), ""],
  ] as const) {
    expect(authorityOf({ ...REQUEST, upstreamAdded, requestFields: fields })).toBe(authority);
  }
});

test("a smaller table of the peer is confirmed in the next block, and kept to", () => {
  const writer = new HeadWriter();
  const reader = new HeadReader({ listBytes: 65536, fields: 100 });
  const out = new Out();
  for (const bytes of [4096, 100, 0, 65536, 200]) {
    writer.setTableBytes(bytes);
    reader.setTableBytes(Math.min(bytes, 4096));
    for (let time = 0; time < 3; time++) {
      out.reset();
      writer.response(out, { ...RESPONSE, sentAdded: "X-A: 1\r\nX-B: 2\r\nX-C: 3\r\n" });
      const head = new Head();
      expect(reader.read("response", out.bytes, 0, out.length, head)).toBe("");
      expect(lines(head)).toBe("server: x\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n");
    }
  }
});
