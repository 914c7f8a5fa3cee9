/**
 * Parts: what a Range request fetched answers others as far as it goes, is completed by what it lacks, and is never taken for
 * the whole; HEAD brings up to date what is stored for GET. RFC 9111 §3.3, §3.4, §4.3.5; RFC 9110 §14.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginRequest, response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH, targetOf } from "./cached.ts";

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
const LARGE = Array.from({ length: 40_000 }, (_, index) => `${index}`.padStart(9, "0")).join("\n");
const DATE = "Mon, 01 Jan 2024 00:00:00 GMT";

let origin: CountingOrigin;
let weir: Weir;
let count = 0;
/** Validators by the first part of a path. */
const VALIDATORS: Readonly<Record<string, readonly string[]>> = {
  tagged: ['ETag: "v1"'],
  dated: [`Last-Modified: ${DATE}`],
  weak: ['ETag: W/"v1"'],
  bare: [],
  large: ['ETag: "v1"'],
};
/** Paths whose content has changed. */
const changed = new Set<string>();
/** Paths that send a whole body, whatever part is asked for. */
const whole = new Set<string>();
/** Paths whose endpoint sends at most so many bytes of a part. */
const shorter = new Map<string, number>();
/** Paths whose parts end before they should, in chunks. */
const cut = new Set<string>();
const freshPath = (kind = "tagged") => `/${kind}/${++count}`;

const bodyOf = (path: string) => {
  const body = path.startsWith("/large") ? LARGE : DIGITS;
  return changed.has(path) ? body.toUpperCase().replaceAll("0", "_") : body;
};

function chunked(body: string, fields: readonly string[]): string {
  const lines = ["HTTP/1.1 206 Partial Content", "Transfer-Encoding: chunked", ...fields];
  return `${lines.join("\r\n")}\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
}

function answer(request: OriginRequest): string {
  const path = targetOf(request);
  const kind = path.split("/")[1] ?? "";
  const body = bodyOf(path);
  const validators = (VALIDATORS[kind] ?? []).map((line) =>
    changed.has(path) ? line.replace("v1", "v2") : line,
  );
  const fields = [FRESH, "Content-Type: text/plain", ...validators];
  if (request.requestLine.startsWith("HEAD"))
    return `${response(body, [...fields, "X-New: 1"]).split("\r\n\r\n", 1)}\r\n\r\n`;
  const ifRange = request.field("if-range");
  const isCurrent = ifRange === undefined || validators.some((line) => line.endsWith(`: ${ifRange}`));
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.field("range") ?? "");
  if (range === null || !isCurrent || whole.has(path)) return response(body, fields);
  const from = range[1] === "" ? body.length - Number(range[2]) : Number(range[1]);
  const to =
    range[1] === "" || range[2] === "" ? body.length - 1 : Math.min(Number(range[2]), body.length - 1);
  if (from >= body.length)
    return response("", [`Content-Range: bytes */${body.length}`], "416 Range Not Satisfiable");
  const last = Math.min(to, from + (shorter.get(path) ?? body.length) - 1);
  const lines = [...fields, `Content-Range: bytes ${from}-${last}/${body.length}`];
  if (cut.has(path)) return chunked(body.slice(from, last), lines);
  return response(body.slice(from, last + 1), lines, "206 Partial Content");
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
const part = (target: string, range: string, ...lines: string[]) =>
  of(target, `Range: bytes=${range}`, ...lines);
const head = (target: string) => ask(weir.port(), get(target).replace("GET", "HEAD"), "HEAD");
/** Range and If-Range of the last request to a path. */
function asked(path: string): readonly (string | undefined)[] {
  const last = origin.requests.findLast((request) => targetOf(request) === path);
  return [last?.field("range"), last?.field("if-range")];
}

// biome-ignore format: a table is read by columns
const FROM_A_PART: readonly (readonly [range: string, status: number, body: string, contentRange: string])[] = [
  ["10-19",   206, "abcdefghij", "bytes 10-19/36"],
  ["12-13",   206, "cd",         "bytes 12-13/36"],
  ["19-19",   206, "j",          "bytes 19-19/36"],
  ["36-40",   416, "",           "bytes */36"],
];

for (const [range, status, body, contentRange] of FROM_A_PART) {
  test(`of bytes 10-19, a request for ${range} is answered without the endpoint (RFC 9111 §3.3)`, async () => {
    const path = freshPath();
    await part(path, "10-19");
    const got = await part(path, range);
    expect([got.status, got.field("content-range")]).toEqual([status, contentRange]);
    if (status === 206) expect(got.body).toBe(body);
    expect(origin.count(path)).toBe(1);
  });
}

for (const range of ["9-19", "10-20", "0-3", "20-", "-5", "10-11,13-14"]) {
  test(`of bytes 10-19, a request for ${range} is answered by the endpoint`, async () => {
    const path = freshPath();
    await part(path, "10-19");
    await part(path, range);
    expect([origin.count(path), asked(path)[0]]).toEqual([2, `bytes=${range}`]);
  });
}

test("parts that touch become one (RFC 9111 §3.4)", async () => {
  const path = freshPath();
  for (const range of ["10-14", "15-19", "5-9"]) await part(path, range);
  expect((await part(path, "6-18")).body).toBe(DIGITS.slice(6, 19));
  expect(origin.count(path)).toBe(3);
});

test("parts that make the whole answer for the whole (RFC 9111 §3.4)", async () => {
  const path = freshPath();
  for (const range of ["0-19", "15-35"]) await part(path, range);
  const got = await of(path);
  expect([got.status, got.body, got.field("content-range"), got.field("content-length")]).toEqual([
    200,
    DIGITS,
    undefined,
    "36",
  ]);
  expect(origin.count(path)).toBe(2);
});

test("a part that is all of it answers for the whole, also when it is large", async () => {
  for (const kind of ["tagged", "large"]) {
    const path = freshPath(kind);
    expect((await part(path, "0-")).status).toBe(206);
    // a file is put away apart from its client
    const isStored = async () => (await of(path, "Cache-Control: only-if-cached")).status === 200;
    await eventually(isStored, 5000, "all of it to be stored");
    const got = await of(path);
    expect([got.status, got.body === bodyOf(path), origin.count(path)]).toEqual([200, true, 1]);
  }
});

for (const [kind, have, lacks, validator] of [
  ["tagged", "0-9", "bytes=10-", '"v1"'],
  ["tagged", "-10", "bytes=0-25", '"v1"'],
  ["dated", "0-9", "bytes=10-", DATE],
  ["large", "0-9999", "bytes=10000-", '"v1"'],
] as const) {
  test(`of a ${kind} one, who has ${have} and wants all asks for ${lacks} (RFC 9111 §3.4)`, async () => {
    const path = freshPath(kind);
    await part(path, have);
    const got = await of(path);
    expect([got.status, got.body === bodyOf(path)]).toEqual([200, true]);
    expect([got.field("content-range"), got.field("content-length")]).toEqual([
      undefined,
      `${bodyOf(path).length}`,
    ]);
    expect([origin.count(path), asked(path)]).toEqual([2, [lacks, validator]]);
    expect((await of(path)).body === bodyOf(path)).toBe(true);
    expect(origin.count(path)).toBe(2);
  });
}

for (const kind of ["tagged", "weak", "bare", "large"] as const) {
  test(`a part of a ${kind} one that has changed since is put together with nothing (RFC 9111 §3.4)`, async () => {
    const path = freshPath(kind);
    await part(path, "0-9");
    changed.add(path);
    expect((await of(path)).body === bodyOf(path)).toBe(true);
    expect((await of(path)).body === bodyOf(path)).toBe(true);
    expect((await part(path, "5-14")).body).toBe(bodyOf(path).slice(5, 15));
  });
}

test("less than what a part lacks makes no whole: that is asked for after all", async () => {
  const path = freshPath();
  await part(path, "0-9");
  shorter.set(path, 10);
  const got = await of(path);
  expect([got.status, got.body]).toEqual([200, DIGITS]);
  expect([origin.count(path), asked(path)]).toEqual([3, [undefined, undefined]]);
});

test("what was to complete a part and ends too early is never taken for the rest (RFC 9111 §3.3)", async () => {
  const path = freshPath();
  await part(path, "0-9");
  cut.add(path);
  // asked for as a whole, or cut: it depends on how much had come with the head
  const answer = await of(path).catch(() => undefined);
  expect(answer?.body ?? DIGITS).toBe(DIGITS);
  cut.delete(path);
  expect((await of(path)).body).toBe(DIGITS);
});

test("parts of two versions are not put together, and the newer one stays (RFC 9111 §3.4)", async () => {
  const path = freshPath();
  await part(path, "0-9");
  changed.add(path);
  expect((await part(path, "10-19")).body).toBe(bodyOf(path).slice(10, 20));
  expect((await part(path, "0-9")).body).toBe(bodyOf(path).slice(0, 10));
  expect((await part(path, "0-19")).body).toBe(bodyOf(path).slice(0, 20));
});

test("who gets all in place of the part gets its part of it, and all is stored", async () => {
  const path = freshPath();
  whole.add(path);
  const got = await part(path, "3-5");
  expect([got.status, got.body, got.field("content-range")]).toEqual([206, "345", "bytes 3-5/36"]);
  expect([(await of(path)).body, origin.count(path)]).toEqual([DIGITS, 1]);
});

test("a part does not take the place of the whole (RFC 9111 §3.3)", async () => {
  const path = freshPath();
  await of(path);
  await part(path, "3-5", "Cache-Control: no-store");
  expect([(await of(path)).body, origin.count(path)]).toEqual([DIGITS, 1]);
});

test("a large part passes, and is not kept: what is kept of large bodies is all or slices", async () => {
  const path = freshPath("large");
  for (let turn = 1; turn <= 2; turn++) {
    const got = await part(path, "0-199999");
    expect([got.body === LARGE.slice(0, 200_000), origin.count(path)]).toEqual([true, turn]);
  }
});

test("a client's If-Range is the endpoint's to judge while nothing is stored (RFC 9110 §13.1.5)", async () => {
  const path = freshPath();
  const got = await part(path, "3-5", 'If-Range: "v0"');
  expect([got.status, got.body, asked(path)]).toEqual([200, DIGITS, ["bytes=3-5", '"v0"']]);
});

test("a part that a condition confirms gives 304 (RFC 9110 §13.2.2)", async () => {
  const path = freshPath();
  for (let turn = 0; turn < 2; turn++) {
    expect((await part(path, "3-5", 'If-None-Match: "v1"')).status).toBe(304);
  }
  expect((await part(path, "3-5")).body).toBe("345");
  expect(origin.count(path)).toBe(1);
});

test("a part does not answer HEAD (RFC 9111 §3.3)", async () => {
  const path = freshPath();
  await part(path, "3-5");
  expect([(await head(path)).field("content-length"), origin.count(path)]).toEqual(["36", 2]);
});

test("a HEAD that is about what is stored brings its fields up to date (RFC 9111 §4.3.5)", async () => {
  const path = freshPath();
  await part(path, "3-5");
  await head(path);
  const got = await part(path, "3-5");
  expect([got.body, got.field("x-new"), origin.count(path)]).toEqual(["345", "1", 2]);
});

test("a HEAD that shows a change makes what is stored useless (RFC 9111 §4.3.5)", async () => {
  const path = freshPath();
  await part(path, "3-5");
  changed.add(path);
  await head(path);
  expect((await part(path, "3-5")).body).toBe(bodyOf(path).slice(3, 6));
  expect(origin.count(path)).toBe(3);
});
