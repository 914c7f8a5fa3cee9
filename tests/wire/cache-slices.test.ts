/**
 * Slices: a large body is fetched, stored and sent in pieces of one length, shared by all who are at the same place; pieces
 * of two versions never meet in one answer. RFC 9110 §14; RFC 9111 §3.3, §3.4.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, type OriginRequest, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH } from "./cached.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const SLICE = 64 * 1024;
const BLOCK = 16;

/** What an endpoint has, and how it behaves. */
interface Content {
  length: number;
  validators: readonly string[];
  /** Letter in front of each block. */
  version: string;
  fields: readonly string[];
  /** Answers in place of the endpoint; undefined = as always. */
  override: ((request: OriginRequest, connection: OriginConnection) => string | undefined) | undefined;
}

const CONTENT: Content = {
  length: 10 * SLICE + 100,
  validators: ['ETag: "a"'],
  version: "a",
  fields: [FRESH],
  override: undefined,
};

/** Bytes `[from, end)`: each block says where it is. */
function bytes(version: string, from: number, end: number): string {
  let text = "";
  const first = Math.floor(from / BLOCK);
  for (let block = first; block * BLOCK < end; block++) {
    text += version + String(block).padStart(BLOCK - 1, "0");
  }
  return text.slice(from - first * BLOCK, end - first * BLOCK);
}

const SILENT = "silent";

function answer(content: Content, request: OriginRequest, connection: OriginConnection): string | undefined {
  const { length, validators, version, override } = content;
  const special = override?.(request, connection);
  if (special !== undefined) return special === SILENT ? undefined : special;
  const fields = [...content.fields, "Content-Type: video/mp4", ...validators];
  const none = request.field("if-none-match");
  if (none !== undefined && validators.includes(`ETag: ${none}`)) {
    return `HTTP/1.1 304 Not Modified\r\n${fields.join("\r\n")}\r\n\r\n`;
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.field("range") ?? "");
  if (range === null) return response(bytes(version, 0, length), fields);
  const from = Number(range[1]);
  const last = range[2] === "" ? length - 1 : Math.min(Number(range[2]), length - 1);
  if (from >= length) return response("", [`Content-Range: bytes */${length}`], "416 Range Not Satisfiable");
  const place = `Content-Range: bytes ${from}-${last}/${length}`;
  return response(bytes(version, from, last + 1), [...fields, place], "206 Partial Content");
}

class Place {
  readonly content: Content;
  readonly origin: CountingOrigin;
  readonly weir: Weir;

  constructor(content: Content, origin: CountingOrigin, weir: Weir) {
    this.content = content;
    this.origin = origin;
    this.weir = weir;
  }

  static async start(content: Partial<Content> = {}, slice = "64KiB"): Promise<Place> {
    const own = { ...CONTENT, ...content };
    const origin = await CountingOrigin.start((request, connection) => answer(own, request, connection));
    stage.after(() => origin.stop());
    const cache = `enabled: true, slice: ${slice}`;
    return new Place(own, origin, await stage.weir(cachedTo(origin.address, cache)));
  }

  get port(): number {
    return this.weir.port();
  }

  of(...lines: string[]) {
    return ask(this.port, get("/film.mp4", ...lines));
  }

  /** Which ranges the endpoint was asked for, in order. */
  get asked(): readonly (string | undefined)[] {
    return this.origin.requests.map((request) => request.field("range"));
  }

  text(from = 0, end = this.content.length): string {
    return bytes(this.content.version, from, end);
  }

  /** Waits until the slices that were fetched lie in the store: what follows asks for nothing. */
  async settled(): Promise<void> {
    const isThere = async () =>
      (await this.of("Cache-Control: only-if-cached")).body.length === this.content.length;
    await eventually(isThere, 5000, "the slices to be stored");
  }
}

/** Larger than a record: these lie in files. */
const LARGE_SLICE = 256 * 1024;

const rangeOf = (number: number) => `bytes=${number * SLICE}-${(number + 1) * SLICE - 1}`;
const ALL = Array.from({ length: 11 }, (_, number) => rangeOf(number));

test("a large body is fetched in slices, each once, and sent as one", async () => {
  const place = await Place.start();
  const first = await place.of();
  expect([first.status, first.field("content-length"), first.field("content-range")]).toEqual([
    200,
    `${place.content.length}`,
    undefined,
  ]);
  expect(first.body === place.text()).toBe(true);
  expect(place.asked).toEqual(ALL);
  await place.settled();
  expect((await place.of()).body === place.text()).toBe(true);
  expect(place.asked).toEqual(ALL);
});

// biome-ignore format: a table is read by columns
const RANGES: readonly (readonly [range: string, from: number, end: number, slices: readonly number[]])[] = [
  ["bytes=0-9",                               0,              10,             [0]],
  [`bytes=${SLICE - 5}-${SLICE + 4}`,         SLICE - 5,      SLICE + 5,      [0, 1]],
  [`bytes=${5 * SLICE}-${6 * SLICE - 1}`,     5 * SLICE,      6 * SLICE,      [5]],
  [`bytes=${5 * SLICE + 7}-${6 * SLICE + 7}`, 5 * SLICE + 7,  6 * SLICE + 8,  [5, 6]],
  [`bytes=${10 * SLICE + 50}-`,               10 * SLICE + 50, 10 * SLICE + 100, [10]],
  ["bytes=-150",                              10 * SLICE - 50, 10 * SLICE + 100, [0, 9, 10]],
];

for (const [range, from, end, slices] of RANGES) {
  test(`${range} costs slices ${slices.join(", ")} and no other`, async () => {
    const place = await Place.start();
    const got = await place.of(`Range: ${range}`);
    expect([got.status, got.field("content-range")]).toEqual([
      206,
      `bytes ${from}-${end - 1}/${place.content.length}`,
    ]);
    expect(got.body === place.text(from, end)).toBe(true);
    expect(place.asked).toEqual(slices.map(rangeOf));
  });
}

test("a range in the middle of ten gigabytes costs two slices", async () => {
  const place = await Place.start({ length: 10 * 2 ** 30 });
  const from = 5 * 2 ** 30 + SLICE - 10;
  const got = await place.of(`Range: bytes=${from}-${from + 19}`);
  expect([got.status, got.body]).toEqual([206, place.text(from, from + 20)]);
  expect(place.origin.requests.length).toBe(2);
});

test("slices that lie in files are sent whole, in part, and to several at once", async () => {
  const place = await Place.start({ length: 9 * LARGE_SLICE + 77 }, "256KiB");
  expect((await place.of()).body === place.text()).toBe(true);
  await place.settled();
  const before = place.origin.requests.length;
  const slow = await stage.client(place.port);
  await slow.send(get("/film.mp4"));
  await slow.until("\r\n\r\n");
  slow.pause();
  const [from, end] = [2 * LARGE_SLICE - 10_000, 7 * LARGE_SLICE + 5];
  const [all, part] = await Promise.all([place.of(), place.of(`Range: bytes=${from}-${end - 1}`)]);
  expect([all.body === place.text(), part.body === place.text(from, end)]).toEqual([true, true]);
  slow.resume();
  expect((await slow.response()).body === place.text()).toBe(true);
  expect(place.origin.requests.length).toBe(before);
});

test("several ranges at once are the endpoint's to answer", async () => {
  const place = await Place.start();
  await place.of("Range: bytes=0-1,5-6");
  expect(place.asked).toEqual(["bytes=0-1,5-6"]);
});

test("what is smaller than a slice is stored as a whole, after one request", async () => {
  const place = await Place.start({ length: 1000 });
  for (let turn = 0; turn < 2; turn++) {
    const got = await place.of();
    expect([got.status, got.body, got.field("content-range")]).toEqual([200, place.text(), undefined]);
  }
  expect((await place.of("Range: bytes=5-9")).body).toBe(place.text(5, 10));
  expect(place.asked).toEqual([rangeOf(0)]);
});

test("an endpoint that knows no ranges is heard: its answer is stored as a whole", async () => {
  const place = await Place.start();
  place.content.override = (request) =>
    request.field("range") === undefined ? undefined : response(place.text(), place.content.fields);
  expect((await place.of("Range: bytes=70000-70009")).body).toBe(place.text(70_000, 70_010));
  await eventually(
    async () => (await place.of("Cache-Control: only-if-cached")).status === 200,
    5000,
    "a hit",
  );
  expect((await place.of()).body === place.text()).toBe(true);
  expect(place.origin.requests.length).toBe(1);
});

test("a range that begins behind the end gives 416", async () => {
  const place = await Place.start();
  for (const from of [10 * SLICE + 100, 20 * SLICE]) {
    const got = await place.of(`Range: bytes=${from}-`);
    expect([got.status, got.field("content-range")]).toEqual([416, `bytes */${place.content.length}`]);
  }
});

for (const [title, validators] of [
  ["only a weak tag", ['ETag: W/"a"']],
  ["nothing that tells versions apart", []],
] as const) {
  test(`a body with ${title} is not put together of slices (RFC 9111 §3.4)`, async () => {
    const place = await Place.start({ validators });
    for (let turn = 0; turn < 2; turn++) expect((await place.of()).body === place.text()).toBe(true);
    expect(place.asked.slice(0, 2)).toEqual([rangeOf(0), undefined]);
  });
}

test("Last-Modified and the length bind slices together too", async () => {
  const place = await Place.start({ validators: ["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"] });
  expect((await place.of()).body === place.text()).toBe(true);
  expect(place.asked).toEqual(ALL);
});

test("a stored slice of an older version is asked for anew, and nobody notices", async () => {
  const place = await Place.start();
  await place.of(`Range: ${rangeOf(3)}`);
  place.content.validators = ['ETag: "b"'];
  place.content.version = "b";
  expect((await place.of()).body === place.text()).toBe(true);
});

test("a stale slice that turns out to be of another version takes the others with it", async () => {
  const place = await Place.start({ fields: ["Cache-Control: max-age=0"], length: 3 * SLICE });
  await place.of();
  place.content.validators = ['ETag: "b"'];
  place.content.version = "b";
  expect((await place.of()).body === place.text()).toBe(true);
});

test("a body that changes between two slices is cut, and asked for anew", async () => {
  const place = await Place.start();
  await place.of("Range: bytes=0-9");
  place.content.validators = ['ETag: "b"'];
  place.content.version = "b";
  const client = await stage.client(place.port);
  await client.send(get("/film.mp4"));
  await eventually(() => client.isEnded || client.isClosed, 5000, "the cut");
  const received = client.text;
  const head = received.indexOf("\r\n\r\n") + 4;
  expect(received).toStartWith("HTTP/1.1 200");
  expect(received.length - head).toBeLessThan(place.content.length);
  expect(received.slice(head) === bytes("a", 0, received.length - head)).toBe(true);
  const next = await place.of();
  expect([next.status, next.body === place.text()]).toEqual([200, true]);
});

test("a conditional request costs the first slice at most", async () => {
  const place = await Place.start();
  for (let turn = 0; turn < 2; turn++) expect((await place.of('If-None-Match: "a"')).status).toBe(304);
  expect(place.asked).toEqual([rangeOf(0)]);
});

test("HEAD is answered from the first slice", async () => {
  const place = await Place.start();
  await place.of("Range: bytes=0-9");
  const got = await ask(place.port, get("/film.mp4").replace("GET", "HEAD"), "HEAD");
  expect([got.status, got.field("content-length"), got.field("content-range")]).toEqual([
    200,
    `${place.content.length}`,
    undefined,
  ]);
  expect(place.origin.requests.length).toBe(1);
});

test("stale slices are confirmed one by one (RFC 9111 §4.3)", async () => {
  const place = await Place.start({ fields: ["Cache-Control: max-age=0"], length: 3 * SLICE });
  expect((await place.of()).body === place.text()).toBe(true);
  const conditions = async () => {
    const before = place.origin.requests.length;
    const got = await place.of();
    expect(got.body === place.text()).toBe(true);
    return place.origin.requests.slice(before).map((request) => request.field("if-none-match"));
  };
  await eventually(async () => (await conditions()).join() === '"a","a","a"', 5000, "three confirmations");
});

test("a purge of the URL takes all slices", async () => {
  const place = await Place.start();
  await place.of();
  await place.settled();
  const answer = await fetch(new URL("/api/v1/cache/purge", place.weir.admin), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ url: "http://a.test/film.mp4" }),
  });
  expect(answer.status).toBe(200);
  expect((await place.of()).body === place.text()).toBe(true);
  expect(place.asked).toEqual([...ALL, ...ALL]);
});

test("clients at different places share what they have in common, and a slow one holds up nobody", async () => {
  const place = await Place.start({ length: 40 * SLICE });
  const slow = await stage.client(place.port);
  await slow.send(get("/film.mp4"));
  await slow.until("\r\n\r\n");
  slow.pause();
  const [all, middle] = await Promise.all([place.of(), place.of(`Range: bytes=${20 * SLICE}-`)]);
  expect(all.body === place.text()).toBe(true);
  expect(middle.body === place.text(20 * SLICE)).toBe(true);
  slow.resume();
  expect((await slow.response()).body === place.text()).toBe(true);
  const twice = place.asked.filter((range, at) => place.asked.indexOf(range) !== at);
  expect(twice).toEqual([]);
});

test("a crowd that asks for one place costs one request for each slice", async () => {
  const place = await Place.start();
  const crowd = await Promise.all(
    Array.from({ length: 20 }, () => place.of(`Range: bytes=${SLICE + 5}-${2 * SLICE + 9}`)),
  );
  for (const { body } of crowd) expect(body === place.text(SLICE + 5, 2 * SLICE + 10)).toBe(true);
  expect(place.asked).toEqual([1, 2].map(rangeOf));
});

test("at most one slice is fetched ahead of a client that does not read", async () => {
  const place = await Place.start({ length: 400 * SLICE });
  const slow = await stage.client(place.port);
  await slow.send(get("/film.mp4"));
  await slow.until("\r\n\r\n");
  slow.pause();
  let before = -1;
  const isQuiet = () => {
    const now = place.origin.requests.length;
    const isSame = now === before;
    before = now;
    return isSame;
  };
  await eventually(isQuiet, 10_000, "the fetches to stop");
  // what the kernel's buffers take on the way is not much
  expect(place.origin.requests.length).toBeLessThan(200);
});

test("an endpoint that breaks off in a slice breaks the answer off, and what came is not kept", async () => {
  const place = await Place.start();
  let isBroken = true;
  place.content.override = (request, connection) => {
    if (!isBroken || request.field("range") !== rangeOf(2)) return undefined;
    connection.write(
      `HTTP/1.1 206 Partial Content\r\n${FRESH}\r\nETag: "a"\r\nContent-Length: ${SLICE}\r\n` +
        `Content-Range: bytes ${2 * SLICE}-${3 * SLICE - 1}/${place.content.length}\r\n\r\nshort`,
    );
    connection.reset();
    return SILENT;
  };
  const client = await stage.client(place.port);
  await client.send(get("/film.mp4"));
  await eventually(() => client.isEnded || client.isClosed, 5000, "the cut");
  expect(client.text.length).toBeLessThan(3 * SLICE);
  isBroken = false;
  expect((await place.of()).body === place.text()).toBe(true);
});

test("a slice that ends before it should is an incomplete answer, and is not kept (RFC 9111 §3.3)", async () => {
  const place = await Place.start();
  let isShort = true;
  place.content.override = (request) => {
    if (!isShort || request.field("range") !== rangeOf(1)) return undefined;
    const range = `Content-Range: bytes ${SLICE}-${2 * SLICE - 1}/${place.content.length}`;
    const lines = [FRESH, 'ETag: "a"', range, "Transfer-Encoding: chunked"].join("\r\n");
    return `HTTP/1.1 206 Partial Content\r\n${lines}\r\n\r\n5\r\n${place.text(SLICE, SLICE + 5)}\r\n0\r\n\r\n`;
  };
  const client = await stage.client(place.port);
  await client.send(get("/film.mp4"));
  const text = await client.untilClose();
  expect(text.length).toBeLessThan(2 * SLICE);
  isShort = false;
  expect((await place.of()).body === place.text()).toBe(true);
});

test("what is not to be stored goes to each as if there were no slices", async () => {
  const place = await Place.start({ fields: ["Cache-Control: no-store"] });
  for (let turn = 0; turn < 2; turn++) {
    const got = await place.of("Range: bytes=5-9");
    expect([got.status, got.body]).toEqual([206, place.text(5, 10)]);
  }
  expect(place.asked).toEqual([rangeOf(0), "bytes=5-9", "bytes=5-9"]);
});

test("variants have slices of their own (RFC 9111 §4.1)", async () => {
  const place = await Place.start({ fields: [FRESH, "Vary: X-Kind"], length: 2 * SLICE });
  for (const kind of ["one", "two", "one", "two"]) {
    expect((await place.of(`X-Kind: ${kind}`)).body === place.text()).toBe(true);
    await eventually(
      async () => (await place.of(`X-Kind: ${kind}`, "Cache-Control: only-if-cached")).status === 200,
      5000,
      "a hit",
    );
  }
  expect(place.origin.requests.length).toBe(4);
});
