/**
 * Compression over the wire: the same bytes for every client, each in the coding that it likes best.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, type OriginRequest, perRequest, response } from "../support/origin.ts";
import type { RawResponse } from "../support/raw-client.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { askH2, CODINGS, type Coding, decode, decodeStart } from "./compress-coder.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const SMALL = "so it goes on and on. ".repeat(100);
const LARGE = Array.from({ length: 40_000 }, (_, i) => `line ${i}: ${(i * 7919) % 1009}\n`).join("");
const TYPE = "Content-Type: text/plain";
const HTTP2 = "protocols: [h1, h2]";

async function weirFor(
  answer: (request: OriginRequest, connection: OriginConnection) => string | undefined,
  route = "compress: true",
): Promise<Weir> {
  const origin = await stage.origin(perRequest(answer));
  return await stage.weir(proxyTo(origin.address, { route, listener: HTTP2 }));
}

async function ask(weir: Weir, request: string, method = "GET"): Promise<RawResponse> {
  const client = await stage.client(weir.port());
  await client.send(request);
  return await client.response(method);
}

const accept = (coding: string) => `Accept-Encoding: ${coding}`;
const decoded = (answer: RawResponse) =>
  decode(answer.field("content-encoding"), Buffer.from(answer.body, "latin1")).toString("latin1");
const chunked = (body: string, trailers = "") =>
  `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers}\r\n`;
const isBufferEmpty = async (weir: Weir) => metric(await weir.metrics(), "weir_worker_buffered_bytes") === 0;

/** Answers as endpoints frame them. */
const FRAMINGS: readonly (readonly [
  framing: string,
  answer: (body: string, connection: OriginConnection) => string | undefined,
])[] = [
  ["a length", (body) => response(body, [TYPE])],
  ["chunks", (body) => `HTTP/1.1 200 OK\r\n${TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(body)}`],
  [
    "the end of the connection",
    (body, connection) => {
      connection.write(`HTTP/1.1 200 OK\r\n${TYPE}\r\nConnection: close\r\n\r\n${body}`);
      connection.end();
      return undefined;
    },
  ],
];

describe("the same bytes, whatever the framing, the coding and the version", () => {
  for (const [framing, answer] of FRAMINGS) {
    test(`a body that ends with ${framing}`, async () => {
      const weir = await weirFor(({ requestLine }, connection) =>
        answer(requestLine.includes("/large") ? LARGE : SMALL, connection),
      );
      for (const [path, body] of [
        ["/small", SMALL],
        ["/large", LARGE],
      ] as const) {
        for (const coding of CODINGS) {
          const h1 = await ask(weir, get(path, accept(coding)));
          expect([h1.field("content-encoding"), h1.field("vary")]).toEqual([coding, "Accept-Encoding"]);
          expect(h1.body.length).toBeLessThan(body.length / 2);
          expect(decoded(h1) === body).toBe(true);
          const h2 = askH2(weir.port(), path, { "accept-encoding": coding });
          await eventually(() => h2.isDone);
          expect([h2.fields["content-encoding"], h2.fields.vary]).toEqual([coding, "Accept-Encoding"]);
          expect(decode(coding, h2.body).toString("latin1") === body).toBe(true);
          h2.close();
        }
      }
      await eventually(() => isBufferEmpty(weir), 3000, "the encoders to be given back");
    });
  }

  test("a client that decodes by itself has the body", async () => {
    const weir = await weirFor(() => response(LARGE, [TYPE]));
    const answer = await fetch(`http://127.0.0.1:${weir.port()}/`);
    expect([answer.headers.get("content-encoding"), (await answer.text()) === LARGE]).toEqual(["zstd", true]);
  });

  test("an HTTP/1.0 client gets a whole body compressed, with its length, and a longer one as it is", async () => {
    const weir = await weirFor(({ requestLine }) =>
      response(requestLine.includes("/large") ? LARGE : SMALL, [TYPE]),
    );
    const old = (path: string) => `GET ${path} HTTP/1.0\r\nHost: a.test\r\n${accept("gzip")}\r\n\r\n`;
    const small = await ask(weir, old("/small"));
    expect([small.field("content-encoding"), small.field("content-length"), decoded(small)]).toEqual([
      "gzip",
      String(small.body.length),
      SMALL,
    ]);
    const large = await ask(weir, old("/large"));
    expect([large.field("content-encoding"), large.field("vary"), large.body === LARGE]).toEqual([
      undefined,
      "Accept-Encoding",
      true,
    ]);
  });

  test("an answer that was held for another attempt is compressed when it is whole", async () => {
    const weir = await weirFor((_request, connection) => {
      const text = response(SMALL, [TYPE]);
      connection.write(text.slice(0, 200));
      setTimeout(() => connection.write(text.slice(200)), 20);
      return undefined;
    }, "compress: true, retry: { on: [connect, reset], attempts: 2 }");
    const answer = await ask(weir, get("/", accept("br")));
    expect([answer.field("content-encoding"), decoded(answer)]).toEqual(["br", SMALL]);
  });

  test("trailers come behind a compressed body, but for digests of other bytes", async () => {
    const weir = await weirFor(
      () =>
        `HTTP/1.1 200 OK\r\n${TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(SMALL, "X-Sum: 7\r\nContent-MD5: abc\r\n")}`,
    );
    const h1 = await ask(weir, get("/", accept("gzip"), "TE: trailers"));
    expect([decoded(h1), h1.trailers]).toEqual([SMALL, [["x-sum", "7"]]]);
    const h2 = askH2(weir.port(), "/", { "accept-encoding": "zstd", te: "trailers" });
    await eventually(() => h2.isDone);
    expect([decode("zstd", h2.body).toString(), h2.trailers["x-sum"], h2.trailers["content-md5"]]).toEqual([
      SMALL,
      "7",
      undefined,
    ]);
    h2.close();
  });
});

test("what compression did can be read in the metrics", async () => {
  const weir = await weirFor(() => response(SMALL, [TYPE]));
  const answer = await ask(weir, get("/", accept("gzip")));
  const read = async (side: string) => metric(await weir.metrics(), "weir_compress_bytes_total", { side });
  await eventually(async () => (await read("before")) === SMALL.length);
  expect(await read("after")).toBe(answer.body.length);
  expect(metric(await weir.metrics(), "weir_worker_compress_level")).toBeGreaterThan(0);
});

describe("events stay live (HTML, server-sent events)", () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  const event = (index: number) => `data: event ${index}\n\n`;
  const chunkOf = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

  for (const coding of CODINGS) {
    test(`${coding}: each event can be read before the next is sent, over both versions`, async () => {
      let source: OriginConnection | undefined;
      const weir = await weirFor((_request, connection) => {
        source = connection;
        return head;
      });
      const client = await stage.client(weir.port());
      await client.send(get("/", accept(coding)));
      await client.until("\r\n\r\n");
      for (let index = 0; index < 5; index++) {
        source?.write(chunkOf(event(index)));
        await eventually(
          () => decodeStart(coding, chunksOf(client.text)).endsWith(event(index)),
          1000,
          `event ${index}`,
        );
      }
      const h2 = askH2(weir.port(), "/", { "accept-encoding": coding });
      await eventually(() => h2.fields["content-encoding"] === coding);
      for (let index = 0; index < 5; index++) {
        source?.write(chunkOf(event(index)));
        await eventually(() => decodeStart(coding, h2.body).endsWith(event(index)), 1000, `event ${index}`);
      }
      h2.close();
      client.reset();
      await eventually(() => isBufferEmpty(weir), 3000, "the encoders of clients that left to be given back");
    });
  }

  test("a page that pauses in the middle shows what there is", async () => {
    let source: OriginConnection | undefined;
    const weir = await weirFor((_request, connection) => {
      source = connection;
      return `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n${chunkOf("<p>one")}`;
    });
    const client = await stage.client(weir.port());
    await client.send(get("/", accept("br")));
    await eventually(() => decodeStart("br", chunksOf(client.text)) === "<p>one", 1000, "the first part");
    source?.write(chunkOf("<p>two"));
    await eventually(() => decodeStart("br", chunksOf(client.text)) === "<p>one<p>two", 1000, "the second");
  });
});

/** What has come of a chunked body. */
function chunksOf(text: string): Buffer {
  let rest = text.slice(text.indexOf("\r\n\r\n") + 4);
  let body = "";
  for (let end = rest.indexOf("\r\n"); end !== -1; end = rest.indexOf("\r\n")) {
    const size = Number.parseInt(rest.slice(0, end), 16);
    body += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 4 + size);
  }
  return Buffer.from(body, "latin1");
}

describe("validators, conditions and parts", () => {
  /** As an origin that follows RFC 9110 §13 and §14: weak comparison for If-None-Match, strong for If-Range. */
  const versioned = (request: OriginRequest): string => {
    const lines = [TYPE, 'ETag: "v1"', "Accept-Ranges: bytes"];
    if (request.field("if-none-match")?.includes('"v1"') === true) {
      return 'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n';
    }
    const ifRange = request.field("if-range");
    if (request.field("range") !== undefined && (ifRange === undefined || ifRange === '"v1"')) {
      const part = SMALL.slice(0, 10);
      return response(part, [...lines, `Content-Range: bytes 0-9/${SMALL.length}`], "206 Partial Content");
    }
    return request.requestLine.startsWith("HEAD")
      ? response(SMALL, lines).slice(0, -SMALL.length)
      : response(SMALL, lines);
  };

  test("the tag of a compressed answer is weak, gives 304 when asked with, and is in it (RFC 9110 §8.8.3.3)", async () => {
    const weir = await weirFor(versioned);
    const first = await ask(weir, get("/", accept("gzip")));
    expect(first.field("etag")).toBe('W/"v1"');
    const again = await ask(weir, get("/", accept("gzip"), `If-None-Match: ${first.field("etag")}`));
    expect([again.status, again.field("etag"), again.field("vary")]).toEqual([
      304,
      'W/"v1"',
      "Accept-Encoding",
    ]);
    const plain = await ask(weir, get("/"));
    expect(plain.field("etag")).toBe('"v1"');
    const plainAgain = await ask(weir, get("/", `If-None-Match: ${plain.field("etag")}`));
    expect([plainAgain.status, plainAgain.field("etag")]).toEqual([304, '"v1"']);
  });

  test("a part is sent as it is, and a weak tag gets no part (RFC 9110 §13.1.5)", async () => {
    const weir = await weirFor(versioned);
    const part = await ask(weir, get("/", accept("gzip"), "Range: bytes=0-9"));
    expect([part.status, part.field("content-encoding"), part.body, part.field("vary")]).toEqual([
      206,
      undefined,
      SMALL.slice(0, 10),
      "Accept-Encoding",
    ]);
    const whole = await ask(weir, get("/", accept("gzip"), "Range: bytes=0-9", 'If-Range: W/"v1"'));
    expect([whole.status, whole.field("content-encoding"), decoded(whole)]).toEqual([200, "gzip", SMALL]);
  });

  test("HEAD has the fields of GET, but for the length (RFC 9110 §9.3.2)", async () => {
    const weir = await weirFor(versioned);
    const told = ({ fields }: RawResponse) =>
      fields.filter(([name]) => name !== "content-length" && name !== "date");
    const getAnswer = await ask(weir, get("/", accept("zstd")));
    const headAnswer = await ask(weir, get("/", accept("zstd")).replace("GET", "HEAD"), "HEAD");
    expect(told(headAnswer)).toEqual(told(getAnswer));
    expect([headAnswer.field("content-length"), headAnswer.field("accept-ranges")]).toEqual([
      undefined,
      undefined,
    ]);
  });
});

describe("what passes as it is", () => {
  test("a body with a coding, with a forbidden one, a short one, an image: byte for byte", async () => {
    const gzipped = Buffer.from(Bun.gzipSync(Buffer.from(SMALL))).toString("latin1");
    const rows = [
      ["/encoded", gzipped, [TYPE, "Content-Encoding: gzip"], "Accept-Encoding"],
      ["/fixed", SMALL, [TYPE, "Cache-Control: no-transform"], undefined],
      ["/short", "pong", [TYPE], undefined],
      ["/image", SMALL, ["Content-Type: image/png"], undefined],
    ] as const;
    const weir = await weirFor(({ requestLine }) => {
      const [, body, lines] = rows.find(([path]) => requestLine.includes(path)) ?? rows[0];
      return response(body, [...lines, 'ETag: "a"']);
    });
    for (const [path, body, , vary] of rows) {
      const answer = await ask(weir, get(path, accept("br, gzip")));
      const coding = path === "/encoded" ? "gzip" : undefined;
      expect([path, answer.body === body, answer.field("content-encoding")]).toEqual([path, true, coding]);
      expect([answer.field("etag"), answer.field("vary")]).toEqual(['"a"', vary]);
    }
  });

  test("a route without compress compresses nothing", async () => {
    const weir = await weirFor(() => response(SMALL, [TYPE]), "timeouts: { response: 5s }");
    const answer = await ask(weir, get("/", accept("gzip")));
    expect([answer.field("content-encoding"), answer.field("vary"), answer.body]).toEqual([
      undefined,
      undefined,
      SMALL,
    ]);
  });

  test("a tunnel", async () => {
    const weir = await weirFor(
      () =>
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\nContent-Type: text/plain\r\n\r\nraw",
    );
    const client = await stage.client(weir.port());
    await client.send(get("/", accept("gzip"), "Connection: upgrade", "Upgrade: echo"));
    expect(await client.until("raw")).not.toContain("Content-Encoding");
  });
});

test("files and fixed answers of a route are compressed like those of endpoints", async () => {
  const root = mkdtempSync(join(tmpdir(), "weir-compress-"));
  stage.after(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, "large.css"), LARGE);
  writeFileSync(join(root, "small.html"), SMALL);
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { match: { path: /fixed }, respond: { status: 200, body: "${SMALL}" }, compress: true }
  - { files: { root: "${root}" }, compress: { codings: [br] } }
`);
  const fixed = await ask(weir, get("/fixed", accept("gzip")));
  expect([fixed.field("content-encoding"), decoded(fixed)]).toEqual(["gzip", SMALL]);
  for (const [path, body] of [
    ["/small.html", SMALL],
    ["/large.css", LARGE],
  ] as const) {
    const file = await ask(weir, get(path, accept("gzip, br")));
    expect([file.field("content-encoding"), decoded(file) === body, file.field("accept-ranges")]).toEqual([
      "br",
      true,
      undefined,
    ]);
    expect(file.field("etag")).toStartWith('W/"');
    const again = await ask(weir, get(path, accept("br"), `If-None-Match: ${file.field("etag")}`));
    expect(again.status).toBe(304);
    const part = await ask(weir, get(path, accept("br"), "Range: bytes=0-3"));
    expect([part.status, part.body]).toEqual([206, body.slice(0, 4)]);
  }
});

describe("an answer that cannot be completed", () => {
  for (const coding of CODINGS) {
    test(`${coding}: an endpoint that is cut cuts the answer, which must not look whole`, async () => {
      const weir = await weirFor((_request, connection) => {
        connection.write(
          `HTTP/1.1 200 OK\r\n${TYPE}\r\nContent-Length: ${LARGE.length}\r\n\r\n${LARGE.slice(0, 100_000)}`,
        );
        setTimeout(() => connection.reset(), 50);
        return undefined;
      });
      const client = await stage.client(weir.port());
      await client.send(get("/", accept(coding)));
      const text = await client.untilClose();
      expect(text).toContain(`Content-Encoding: ${coding}`);
      expect(text.endsWith("0\r\n\r\n")).toBe(false);
      const part = decodeStart(coding, chunksOf(text));
      expect([LARGE.startsWith(part), part.length <= 100_000]).toEqual([true, true]);
      await eventually(() => isBufferEmpty(weir), 3000, "the encoder to be given back");
    });
  }

  test("a client that leaves in the middle frees its encoder at once", async () => {
    const weir = await weirFor(
      () => `HTTP/1.1 200 OK\r\n${TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
    );
    const clients = await Promise.all(Array.from({ length: 20 }, () => stage.client(weir.port())));
    for (const client of clients) await client.send(get("/", accept("br")));
    for (const client of clients) await client.until("Content-Encoding: br");
    await eventually(async () => metric(await weir.metrics(), "weir_worker_buffered_bytes") > 20 * 1_000_000);
    for (const client of clients) client.reset();
    await eventually(() => isBufferEmpty(weir), 3000, "the encoders to be given back");
  });
});

test("when encoders have taken their share of memory, answers leave as they are", async () => {
  const origin = await stage.origin(
    perRequest(() => `HTTP/1.1 200 OK\r\n${TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`),
  );
  const rest = "server: { workers: 1, memory: 16MiB }";
  const weir = await stage.weir(proxyTo(origin.address, { route: "compress: true", rest }));
  const codings: (Coding | undefined)[] = [];
  for (let index = 0; index < 6; index++) {
    const client = await stage.client(weir.port());
    await client.send(get("/", accept("br")));
    const text = await client.until("abc").catch(() => client.text);
    codings.push(text.includes("Content-Encoding: br") ? "br" : undefined);
    expect(text).toContain("Vary: Accept-Encoding");
  }
  expect(codings.filter((coding) => coding === "br").length).toBe(2);
});
