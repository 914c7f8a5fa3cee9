import { describe, expect, test } from "bun:test";
import { type FakeRequest, fakeExchange, fakeSite } from "../../tests/support/fake-exchange.ts";
import { type FailureCode, fail } from "../core/failure.ts";
import { fieldsOfLines, pairsOfLines } from "../core/fields.ts";
import { grpcAnswer, grpcTimeoutLine, grpcTimeoutMs, isGrpc } from "./grpc.ts";
import { run } from "./run.ts";

const CALL = ["Host: a.test", "Content-Type: application/grpc", "TE: trailers"];

describe("a gRPC call", () => {
  const rows: [type: string, isHttp2: boolean, is: boolean][] = [
    ["application/grpc", true, true],
    ["application/grpc+proto", true, true],
    ["Application/GRPC; charset=x", true, true],
    ["application/grpc-web", true, false],
    ["application/grpc-web-text", true, false],
    ["application/json", true, false],
    ["text/application/grpc", true, false],
    ["application/grpc", false, false],
  ];
  for (const [type, isHttp2, is] of rows) {
    test(`${type} over HTTP/${isHttp2 ? 2 : 1}: ${is}`, () => {
      const lines = ["Host: a.test", `Content-Type: ${type}`];
      expect(isGrpc(fakeExchange({ lines, isHttp2 }).exchange)).toBe(is);
    });
  }
  test("a request without a type is none", () => {
    expect(isGrpc(fakeExchange({ isHttp2: true }).exchange)).toBe(false);
  });
});

describe("failures in gRPC's words", () => {
  const rows: [code: FailureCode, status: number][] = [
    ["bad_path", 13],
    ["client_cert_required", 7],
    ["no_route", 12],
    ["body_too_large", 8],
    ["head_too_large", 8],
    ["body_timeout", 4],
    ["connect_refused", 14],
    ["connect_timeout", 14],
    ["no_endpoint", 14],
    ["tls_untrusted", 14],
    ["out_of_memory", 14],
    ["response_timeout", 4],
    ["request_timeout", 4],
    ["upstream_idle", 4],
    ["internal", 13],
    ["misdirected", 2],
    ["method_refused", 2],
  ];
  for (const [code, status] of rows) {
    test(`${code} is ${status}`, () => {
      const answer = grpcAnswer(fail(code, "10.0.0.1 said no"), "abc", "application/grpc");
      const lines = Object.fromEntries(pairsOfLines(answer.lines));
      expect([answer.status, lines["grpc-status"], answer.body.length]).toEqual([200, String(status), 0]);
      expect([lines["Content-Type"], answer.standsFor]).toEqual(["application/grpc", fail(code).status]);
      expect(lines["grpc-message"]).toMatch(/^\d{3} [A-Za-z -]+ \(request id abc\)$/);
    });
  }
  test("a message holds printable ASCII, the rest and % percent-encoded", () => {
    const { lines } = grpcAnswer(fail("no_route"), "50%\u00e9\n", "application/grpc");
    expect(Object.fromEntries(pairsOfLines(lines))["grpc-message"]).toEndWith("50%25%C3%A9%0A)");
  });
});

describe("an exchange that fails", () => {
  const failing = (request: FakeRequest) => {
    const fake = fakeExchange({ site: fakeSite([]), ...request });
    run(fake.exchange, "receive");
    fake.exchange.plan.isSent = true;
    run(fake.exchange, "record");
    return fake;
  };
  test("is 200 with a grpc-status for a gRPC client, without a length; counted and logged as what it is", () => {
    const { exchange, services } = failing({ lines: CALL, isHttp2: true });
    expect([exchange.sentStatus, exchange.sentBodyLength]).toEqual([200, -1]);
    expect(exchange.responseFields.find("grpc-status")).toBe("12");
    expect(services.logged[0]).toMatchObject({ status: 404, cause: "no_route", protocol: "HTTP/2.0" });
  });
  test("is an HTTP error for everybody else", () => {
    for (const request of [{ lines: CALL }, { isHttp2: true }]) {
      const { exchange, services } = failing(request);
      expect([exchange.sentStatus, exchange.responseFields.find("grpc-status")]).toEqual([404, undefined]);
      expect(services.logged[0]?.status).toBe(404);
    }
  });
});

describe("grpc-timeout", () => {
  const fieldsWith = (timeout: string, type = "application/grpc") =>
    fieldsOfLines(`Content-Type: ${type}\r\nGrpc-Timeout: ${timeout}\r\n`);
  const rows: [timeout: string, ms: number][] = [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["10S", 10_000],
    ["250m", 250],
    ["1500u", 1.5],
    ["2000000n", 2],
    ["0m", 0],
    ["99999999H", 359_999_996_400_000],
    ["100000000m", Number.POSITIVE_INFINITY],
    ["10", Number.POSITIVE_INFINITY],
    ["10s", Number.POSITIVE_INFINITY],
    ["-1S", Number.POSITIVE_INFINITY],
    ["1.5S", Number.POSITIVE_INFINITY],
    ["", Number.POSITIVE_INFINITY],
  ];
  for (const [timeout, ms] of rows) {
    test(`"${timeout}" is ${ms} ms`, () => {
      expect(grpcTimeoutMs(fieldsWith(timeout))).toBeCloseTo(ms, 6);
    });
  }
  test("means nothing in a request that is not gRPC's, and gRPC-Web's is", () => {
    expect(grpcTimeoutMs(fieldsWith("1S", "application/json"))).toBe(Number.POSITIVE_INFINITY);
    expect(grpcTimeoutMs(fieldsWith("1S", "application/grpc-web+proto"))).toBe(1000);
  });
  const written: [leftMs: number, line: string][] = [
    [250.9, "grpc-timeout: 250m\r\n"],
    [0.4, "grpc-timeout: 1m\r\n"],
    [-5, "grpc-timeout: 1m\r\n"],
    [99_999_999, "grpc-timeout: 99999999m\r\n"],
    [100_000_999, "grpc-timeout: 100000S\r\n"],
    [1e15, "grpc-timeout: 99999999S\r\n"],
  ];
  for (const [leftMs, line] of written) {
    test(`${leftMs} ms left are written ${line.trim()}`, () => expect(grpcTimeoutLine(leftMs)).toBe(line));
  }
});
