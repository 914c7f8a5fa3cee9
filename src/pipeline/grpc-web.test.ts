import { describe, expect, test } from "bun:test";
import { fakeExchange, fakeSite } from "../../tests/support/fake-exchange.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../core/body.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { GrpcWeb, grpcWebType } from "./grpc-web.ts";
import { run } from "./run.ts";

const TYPES: readonly [sent: string, answered: string | undefined, asked: string | undefined][] = [
  ["application/grpc-web", "application/grpc-web+proto", "application/grpc+proto"],
  ["application/grpc-web+proto", "application/grpc-web+proto", "application/grpc+proto"],
  ["Application/gRPC-Web+Thrift; x=1", "application/grpc-web+thrift", "application/grpc+thrift"],
  ["application/grpc-web-text", "application/grpc-web-text+proto", "application/grpc+proto"],
  ["application/grpc-web-text+proto", "application/grpc-web-text+proto", "application/grpc+proto"],
  ["application/grpc", undefined, undefined],
  ["application/grpc-website", undefined, undefined],
  ["application/json", undefined, undefined],
];
for (const [sent, answered, asked] of TYPES) {
  test(`${sent} is answered as ${answered} and asked for as ${asked}`, () => {
    const fields = fieldsOfLines(`Content-Type: ${sent}\r\nX-Grpc-Web: 1\r\nX-Own: 1\r\n`);
    const type = grpcWebType(fields);
    expect(type).toBe(answered);
    if (type === undefined) return;
    const { exchange } = fakeExchange();
    exchange.requestFields = fields;
    expect(new GrpcWeb(type).compose(exchange)).toBe(`content-type: ${asked}\r\n`);
    expect(fields.linesWithout(exchange.upstreamDropLow, exchange.upstreamDropHigh)).toBe("X-Own: 1\r\n");
    expect(exchange.takesTrailers).toBe(true);
  });
}

const BINARY = "application/grpc-web+proto";
const TEXT = "application/grpc-web-text+proto";
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);
const TRAILERS = "grpc-status: 0\r\nGrpc-Message: a B\r\n";
const LAST = Buffer.concat([
  Buffer.from([0x80, 0, 0, 0, TRAILERS.length]),
  Buffer.from("grpc-status: 0\r\ngrpc-message: a B\r\n"),
]);

/** A call whose endpoint has answered with this type. */
function answered(type: string, endpointType = "application/grpc") {
  const { exchange } = fakeExchange();
  const web = new GrpcWeb(type);
  exchange.responseFields = fieldsOfLines(`content-type: ${endpointType}\r\n`);
  exchange.responseBodyKind = BODY_LENGTH;
  exchange.responseBodyLength = 8;
  exchange.first = Buffer.concat([Buffer.from("xx"), MESSAGE]);
  exchange.firstStart = 2;
  exchange.firstEnd = 10;
  web.answer(exchange);
  const { first, firstStart, firstEnd } = exchange;
  return { exchange, web, first: first?.subarray(firstStart, firstEnd) };
}
const fromText = (bytes: Buffer) => Buffer.from(bytes.latin1Slice(), "base64");

describe("an answer", () => {
  test("is of the client's type, its length unknown, and ends with its trailers in a frame", () => {
    const { exchange, web, first } = answered(BINARY);
    expect(exchange.responseFields.linesWithout(0, 0)).toBe(`content-type: ${BINARY}\r\n`);
    expect([exchange.responseBodyKind, exchange.responseBodyLength]).toEqual([BODY_STREAM, -1]);
    expect([first, web.response(MESSAGE), web.end(TRAILERS)]).toEqual([MESSAGE, MESSAGE, LAST]);
  });
  test("to a text client is base64, each piece whole", () => {
    const { web, first } = answered(TEXT);
    expect([first as Buffer, web.response(MESSAGE), web.end(TRAILERS)].map(fromText)).toEqual([
      MESSAGE,
      MESSAGE,
      LAST,
    ]);
  });
  test("without a body, all in its head, stays so", () => {
    const { exchange } = fakeExchange();
    const web = new GrpcWeb(TEXT);
    exchange.responseFields = fieldsOfLines("content-type: application/grpc\r\ngrpc-status: 5\r\n");
    exchange.responseBodyKind = BODY_NONE;
    web.answer(exchange);
    expect([exchange.responseBodyKind, exchange.responseBodyLength, exchange.first]).toEqual([
      BODY_NONE,
      0,
      undefined,
    ]);
    expect(exchange.responseFields.find("grpc-status")).toBe("5");
  });
  test("that is no gRPC passes as it came", () => {
    const { exchange, web, first } = answered(TEXT, "text/html");
    expect([exchange.responseFields.find("content-type"), exchange.responseBodyLength]).toEqual([
      "text/html",
      8,
    ]);
    expect([first, web.response(MESSAGE), web.isAnswered]).toEqual([MESSAGE, MESSAGE, false]);
  });
});

describe("a request in base64", () => {
  const bytes = Buffer.from(Array.from({ length: 60 }, (_, at) => at));
  const whole = bytes.toString("base64");
  const joined = [bytes.subarray(0, 1), bytes.subarray(1, 3), bytes.subarray(3)]
    .map((piece) => piece.toString("base64"))
    .join("");
  for (const [what, text] of [
    ["in one piece", whole],
    ["of pieces with padding between", joined],
  ] as const) {
    test(`${what} is the same, however it is cut`, () => {
      for (let cut = 0; cut <= text.length; cut++) {
        const web = new GrpcWeb(TEXT);
        const parts = [text.slice(0, cut), text.slice(cut)].map((part) => web.request(Buffer.from(part)));
        expect(Buffer.concat(parts)).toEqual(bytes);
      }
    });
  }
  test("has no length of its own for the endpoint", () => {
    const { exchange } = fakeExchange();
    Object.assign(exchange, { requestBodyKind: BODY_LENGTH, requestBodyLength: 80 });
    new GrpcWeb(TEXT).compose(exchange);
    expect([exchange.requestBodyKind, exchange.requestBodyLength]).toEqual([BODY_STREAM, -1]);
  });
});

test("a binary request keeps bytes and length", () => {
  const { exchange } = fakeExchange();
  Object.assign(exchange, { requestBodyKind: BODY_LENGTH, requestBodyLength: 8 });
  const web = new GrpcWeb(BINARY);
  web.compose(exchange);
  expect([exchange.requestBodyKind, exchange.requestBodyLength, web.request(MESSAGE)]).toEqual([
    BODY_LENGTH,
    8,
    MESSAGE,
  ]);
});

test("failures are told in gRPC-Web's words over either version", () => {
  for (const isHttp2 of [false, true]) {
    const { exchange, services } = fakeExchange({
      site: fakeSite([]),
      lines: ["Host: a.test", `Content-Type: ${TEXT}`],
      isHttp2,
    });
    run(exchange, "receive");
    exchange.plan.isSent = true;
    run(exchange, "record");
    const { responseFields: fields, sentStatus, sentBodyLength } = exchange;
    expect([sentStatus, fields.find("grpc-status"), fields.find("content-type")]).toEqual([200, "12", TEXT]);
    expect([sentBodyLength, services.logged[0]?.status]).toEqual([isHttp2 ? -1 : 0, 404]);
  }
});
