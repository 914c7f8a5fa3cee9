/**
 * Ranges, HEAD and conditions: parts and confirmations are never taken for the whole, and come from the cache where it
 * has the whole. RFC 9110 §13, §14; RFC 9111 §3.3, §3.4, §4.3.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginRequest, response } from "../support/origin.ts";
import type { RawResponse } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH, targetOf } from "./cached.ts";

const WHOLE = "0123456789abcdefghijklmnopqrstuvwxyz";
const LARGE = Array.from({ length: 20_000 }, (_, index) => `${index}`.padStart(9, "0")).join("\n");
const DATE = "Mon, 01 Jan 2024 00:00:00 GMT";
const EARLIER = "Sun, 31 Dec 2023 00:00:00 GMT";
const ETAG = '"v1"';
const VALIDATORS = [`ETag: ${ETAG}`, `Last-Modified: ${DATE}`];

let origin: CountingOrigin;
let weir: Weir;
let count = 0;
const freshPath = (kind = "whole") => `/${kind}/${++count}`;

/** An endpoint that knows ranges and conditions, of a body by the first part of the path. */
function answer(request: OriginRequest): string {
  const kind = targetOf(request).split("/")[1];
  const body = kind === "large" ? LARGE : WHOLE;
  const fresh = kind === "private" ? "Cache-Control: private, max-age=0" : FRESH;
  const fields = [fresh, "Content-Type: text/plain", ...(kind === "weak" ? ['ETag: W/"v1"'] : VALIDATORS)];
  if (request.field("if-none-match") === ETAG)
    return `HTTP/1.1 304 Not Modified\r\n${fields.join("\r\n")}\r\n\r\n`;
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.field("range") ?? "");
  if (request.requestLine.startsWith("HEAD")) {
    const text = response(body, fields);
    return text.slice(0, text.indexOf("\r\n\r\n") + 4);
  }
  if (range === null) return response(body, fields);
  const [from, to] = [Number(range[1]), Number(range[2])];
  const part = body.slice(from, to + 1);
  return response(
    part,
    [...fields, `Content-Range: bytes ${from}-${to}/${body.length}`],
    "206 Partial Content",
  );
}

beforeAll(async () => {
  origin = await CountingOrigin.start(answer);
  weir = await startWeir(cachedTo(origin.address));
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

const of = (target: string, ...lines: string[]) => ask(weir.port(), get(target, ...lines));

async function head(target: string, ...lines: string[]): Promise<RawResponse> {
  return ask(weir.port(), get(target, ...lines).replace("GET", "HEAD"), "HEAD");
}

// biome-ignore format: a table is read by columns
const RANGES: readonly (readonly [lines: readonly string[], status: number, body: string, contentRange: string | undefined])[] = [
  [["Range: bytes=0-3"],                                 206, "0123", "bytes 0-3/36"],
  [["Range: bytes=30-"],                                 206, "uvwxyz", "bytes 30-35/36"],
  [["Range: bytes=-2"],                                  206, "yz", "bytes 34-35/36"],
  [["Range: bytes=34-100"],                              206, "yz", "bytes 34-35/36"],
  [["Range: bytes=-100"],                                206, WHOLE, "bytes 0-35/36"],
  [["Range: bytes=5-4"],                                 200, WHOLE, undefined],
  [["Range: lines=0-3"],                                 200, WHOLE, undefined],
  [["Range: bytes=a-b"],                                 200, WHOLE, undefined],
  [["Range: bytes=0-3", `If-Range: ${ETAG}`],            206, "0123", "bytes 0-3/36"],
  [["Range: bytes=0-3", 'If-Range: "v2"'],               200, WHOLE, undefined],
  [["Range: bytes=0-3", 'If-Range: W/"v1"'],             200, WHOLE, undefined],
  [["Range: bytes=0-3", `If-Range: ${DATE}`],            206, "0123", "bytes 0-3/36"],
  [["Range: bytes=0-3", `If-Range: ${EARLIER}`],         200, WHOLE, undefined],
  [["Range: bytes=0-3", `If-None-Match: ${ETAG}`],       304, "", undefined],
  [["Range: bytes=0-3", 'If-None-Match: "v2"'],          206, "0123", "bytes 0-3/36"],
];

for (const [lines, status, body, contentRange] of RANGES) {
  test(`${lines.join(", ")} of a stored answer gives ${status} (RFC 9110 §14.2)`, async () => {
    const path = freshPath();
    await of(path);
    const answer = await of(path, ...lines);
    expect([answer.status, answer.body, answer.field("content-range")]).toEqual([status, body, contentRange]);
    expect(origin.count(path)).toBe(1);
  });
}

test("a range that lies behind the end gives 416 with the length (RFC 9110 §14.4)", async () => {
  const path = freshPath();
  await of(path);
  const answer = await of(path, "Range: bytes=36-40");
  expect([answer.status, answer.field("content-range")]).toEqual([416, "bytes */36"]);
  expect((await of(path)).body).toBe(WHOLE);
});

test("a weak validator does not bind a part: If-Range gets the whole (RFC 9110 §13.1.5)", async () => {
  const path = freshPath("weak");
  await of(path);
  const answer = await of(path, "Range: bytes=0-3", 'If-Range: W/"v1"');
  expect([answer.status, answer.body]).toEqual([200, WHOLE]);
});

test("a range of a large stored answer holds just its bytes", async () => {
  const path = freshPath("large");
  // a large body is in the store when its file is: a moment after its end
  const isHit = async () => (await of(path)).field("cache-status")?.includes("; hit") === true;
  await eventually(isHit, 5000, "a hit");
  const before = origin.count(path);
  for (const [from, to] of [
    [0, 0],
    [65_530, 65_545],
    [131_000, 199_998],
    [LARGE.length - 1, LARGE.length - 1],
  ] as const) {
    const answer = await of(path, `Range: bytes=${from}-${to}`);
    expect([answer.status, answer.body === LARGE.slice(from, to + 1)]).toEqual([206, true]);
  }
  expect((await of(path)).body).toBe(LARGE);
  expect(origin.count(path)).toBe(before);
});

test("a part that came first never answers for the whole (RFC 9111 §3.3)", async () => {
  const path = freshPath();
  expect((await of(path, "Range: bytes=4-7")).body).toBe("4567");
  const whole = await of(path);
  expect([whole.status, whole.body, whole.field("content-range")]).toEqual([200, WHOLE, undefined]);
  expect((await of(path)).body).toBe(WHOLE);
  expect((await of(path, "Range: bytes=20-21")).body).toBe("kl");
});

test("parts of several requests are never put together wrongly (RFC 9111 §3.4)", async () => {
  const path = freshPath();
  for (const [from, to] of [
    [0, 9],
    [20, 29],
    [5, 24],
    [30, 35],
    [0, 35],
  ] as const) {
    const part = await of(path, `Range: bytes=${from}-${to}`);
    expect([part.status, part.body]).toEqual([206, WHOLE.slice(from, to + 1)]);
  }
  expect((await of(path)).body).toBe(WHOLE);
});

test("HEAD is answered from a stored GET, without a body (RFC 9111 §4)", async () => {
  const path = freshPath();
  await of(path);
  const answer = await head(path);
  expect([answer.status, answer.field("content-length"), answer.body]).toEqual([200, "36", ""]);
  expect(origin.count(path)).toBe(1);
});

test("a HEAD that came first leaves nothing that a GET could be answered from", async () => {
  const path = freshPath();
  expect((await head(path)).field("content-length")).toBe("36");
  expect((await of(path)).body).toBe(WHOLE);
  expect((await of(path)).body).toBe(WHOLE);
});

for (const [lines, status] of [
  [[`If-None-Match: ${ETAG}`], 304],
  [['If-None-Match: W/"v1"'], 304],
  [['If-None-Match: "v0", "v1"'], 304],
  [["If-None-Match: *"], 304],
  [['If-None-Match: "v2"'], 200],
  [[`If-Modified-Since: ${DATE}`], 304],
  [[`If-Modified-Since: ${EARLIER}`], 200],
  [["If-Modified-Since: yesterday"], 200],
  [['If-None-Match: "v2"', `If-Modified-Since: ${DATE}`], 200],
] as const) {
  test(`${lines.join(", ")} of a stored answer gives ${status} (RFC 9110 §13.2.2)`, async () => {
    const path = freshPath();
    await of(path);
    const answer = await of(path, ...lines);
    expect([answer.status, answer.body]).toEqual([status, status === 304 ? "" : WHOLE]);
    expect(answer.field("etag")).toBe(ETAG);
    expect(origin.count(path)).toBe(1);
  });
}

test("a condition that nothing is stored for leaves no 304 behind for those who have nothing", async () => {
  const path = freshPath();
  expect((await of(path, `If-None-Match: ${ETAG}`)).status).toBe(304);
  const answer = await of(path);
  expect([answer.status, answer.body]).toEqual([200, WHOLE]);
  expect((await of(path)).body).toBe(WHOLE);
});

test("what is never stored is confirmed by the endpoint for the client that has it, after a few times at most", async () => {
  const path = freshPath("private");
  const statuses: number[] = [];
  for (let times = 0; times < 6; times++) statuses.push((await of(path, `If-None-Match: ${ETAG}`)).status);
  expect(statuses.slice(-2)).toEqual([304, 304]);
});

test("a condition on a state that may not be old is asked of the endpoint (RFC 9110 §13.1.1)", async () => {
  const path = freshPath();
  await of(path);
  const answer = await of(path, 'If-Match: "v2"');
  expect([200, 412]).toContain(answer.status);
  if (answer.status === 200) expect(origin.count(path)).toBe(2);
});
