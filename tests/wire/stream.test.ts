/**
 * Streams: what an endpoint sends arrives when it is sent, and what is cut short never looks complete.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, perRequest, response } from "../support/origin.ts";
import type { RawClient } from "../support/raw-client.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

async function start(script: Parameters<Stage["origin"]>[0], parts: Parameters<typeof proxyTo>[1] = {}) {
  const origin = await stage.origin(script);
  const weir = await stage.weir(proxyTo(origin.address, parts));
  return { origin, weir, client: await stage.client(weir.port()) };
}

const once = (write: (connection: OriginConnection) => unknown) => (connection: OriginConnection) => {
  if (connection.requests++ === 0) write(connection);
};

const EVENTS = 6;
const GAP_MS = 80;
const event = (index: number) => `id: ${index}\ndata: tick ${index}\n\n`;
const STREAM_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const asChunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

const SOURCES: readonly [what: string, head: string, wrap: (text: string) => string][] = [
  ["chunked", `${STREAM_HEAD}Transfer-Encoding: chunked\r\n\r\n`, asChunk],
  ["close-delimited", `${STREAM_HEAD}\r\n`, (text) => text],
  ["HTTP/1.0", `${STREAM_HEAD.replace("1.1", "1.0")}\r\n`, (text) => text],
];

for (const [what, head, wrap] of SOURCES) {
  test(`server-sent events of a ${what} endpoint arrive one by one, when they are sent`, async () => {
    const sentAtMs: number[] = [];
    const { client } = await start(
      once(async (connection) => {
        connection.write(head);
        for (let index = 0; index < EVENTS; index++) {
          sentAtMs.push(performance.now());
          connection.write(wrap(event(index)));
          await Bun.sleep(GAP_MS);
        }
        if (what === "chunked") connection.write("0\r\n\r\n");
        else connection.end();
      }),
    );
    await client.send(get("/events"));
    for (let index = 0; index < EVENTS; index++) {
      await client.until(event(index));
      expect(client.text).not.toContain(event(index + 1));
      expect(performance.now() - (sentAtMs[index] as number)).toBeLessThan(GAP_MS);
    }
    const answer = await client.response();
    expect(answer.body).toBe(Array.from({ length: EVENTS }, (_, index) => event(index)).join(""));
  });
}

test("the head arrives before the first byte of the body is there", async () => {
  const { client } = await start(once((connection) => connection.write(`${STREAM_HEAD}\r\n`)));
  await client.send(get("/events"));
  expect(await client.until("\r\n\r\n")).toStartWith("HTTP/1.1 200 OK");
});

test("a request body is passed on piece by piece, as it comes", async () => {
  const { client, origin } = await start(() => undefined);
  await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const piece of ["first", "second", "third"]) {
    await client.send(asChunk(piece));
    await eventually(() => (origin.received[0] ?? "").includes(piece), 1000, piece);
  }
});

test("an event stream that its client leaves is closed at the endpoint, with the next event at the latest", async () => {
  let timer: Timer | undefined;
  const { client, origin } = await start(
    once((connection) => {
      connection.write(`${STREAM_HEAD}\r\n`);
      timer = setInterval(() => connection.write(event(1)), 30);
    }),
  );
  stage.after(() => clearInterval(timer));
  await client.send(get("/events"));
  await client.until(event(1));
  client.close(); // FIN: as a browser's closed tab says it
  await eventually(
    () => origin.connections[0]?.isClosed === true,
    2000,
    "the endpoint's connection to close",
  );
});

test("trailers arrive at the end, both ways (RFC 9112 §7.1.2)", async () => {
  const { client, origin } = await start(
    perRequest(
      () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Checksum: abc\r\n\r\n",
    ),
  );
  await client.send(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nask\r\n0\r\nX-Mine: 1\r\n\r\n",
  );
  const answer = await client.response();
  expect([answer.body, answer.trailers]).toEqual(["hi", [["x-checksum", "abc"]]]);
  expect(origin.received[0]).toEndWith("0\r\nX-Mine: 1\r\n\r\n");
});

/** What a client may conclude from the bytes it got. */
async function looksComplete(client: RawClient): Promise<boolean> {
  await eventually(() => client.isEnded || client.isClosed, 3000, "the connection to end");
  if (client.errorCode !== undefined) return false;
  const [head = "", body = ""] = client.text.split("\r\n\r\n", 2);
  const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
  if (length !== undefined) return body.length >= Number(length);
  return !/^transfer-encoding: *chunked$/im.test(head) || client.text.endsWith("0\r\n\r\n");
}

const half = (framing: string, body: string) => `HTTP/1.1 200 OK\r\n${framing}\r\n${body}`;
const CUTS: readonly [what: string, bytes: string, cut: "end" | "reset"][] = [
  ["a Content-Length body cut by FIN", half("Content-Length: 100\r\n", "half"), "end"],
  ["a Content-Length body cut by RST", half("Content-Length: 100\r\n", "half"), "reset"],
  ["a chunked body cut by FIN", half("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n"), "end"],
  ["a chunked body cut inside of a chunk", half("Transfer-Encoding: chunked\r\n", "10\r\nhalf"), "end"],
  ["a chunked body cut by RST", half("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n"), "reset"],
  [
    "a chunked body that turns into nonsense",
    half("Transfer-Encoding: chunked\r\n", "4\r\nhalfnonsense"),
    "end",
  ],
  ["a close-delimited body cut by RST", half("", "half"), "reset"],
];
for (const version of ["1.1", "1.0"]) {
  for (const [what, bytes, cut] of CUTS) {
    test(`${what} never looks complete to an HTTP/${version} client`, async () => {
      const { client } = await start(
        once(async (connection) => {
          connection.write(bytes);
          await Bun.sleep(50); // the client has the first part
          connection[cut]();
        }),
      );
      await client.send(get("/", "Connection: keep-alive").replace("1.1", version));
      await client.until("half");
      expect(await looksComplete(client)).toBe(false);
    });
  }
}

test("a close-delimited body that ends with FIN is complete", async () => {
  const { client } = await start(
    once((connection) => {
      connection.write(half("", "whole"));
      connection.end();
    }),
  );
  await client.send(get("/"));
  expect((await client.response()).body).toBe("whole");
});

for (const framing of ["Content-Length: 30000001", "Transfer-Encoding: chunked", ""]) {
  test(`a whole answer (${framing || "close-delimited"}) behind which the endpoint closes reaches a slow client whole`, async () => {
    const body = "b".repeat(30_000_001);
    const isChunked = framing.startsWith("T");
    const { client } = await start(
      once((connection) => {
        connection.write(
          `HTTP/1.1 200 OK\r\n${framing === "" ? "" : `${framing}\r\n`}Connection: close\r\n\r\n`,
        );
        connection.write(isChunked ? `${asChunk(body)}0\r\n\r\n` : body);
        connection.end();
      }),
    );
    await client.send(get("/"));
    for (let round = 0; round < 8; round++) {
      client.pause();
      await Bun.sleep(40);
      client.resume();
      await Bun.sleep(1);
    }
    const answer = await client.response("GET", 10_000);
    expect(answer.body.length).toBe(body.length);
  }, 20_000);
}

for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
  for (const cut of ["reset", "end"] as const) {
    test(`a request body (${framing}) cut by the client (${cut}) never looks complete to the endpoint`, async () => {
      const { client, origin } = await start({ end: () => undefined });
      const part = framing.startsWith("C") ? "half" : asChunk("half");
      await client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${part}`);
      await eventually(() => (origin.received[0] ?? "").includes("half"));
      client[cut]();
      await eventually(
        () => origin.connections[0]?.isClosed === true,
        2000,
        "the endpoint's connection to close",
      );
      expect(origin.connections[0]?.isEnded).toBe(false);
      expect(origin.received[0]).not.toContain("\r\n0\r\n");
    });
  }
}

test("an endpoint that resets in the middle of an upload is 502 to a client that waits, and nothing hangs", async () => {
  const { client, weir } = await start(
    once((connection) => {
      connection.reset();
    }),
  );
  await client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${"u".repeat(200_000)}`);
  expect((await client.response()).status).toBe(502);
  await eventually(async () => (await weir.status()).routes[0]?.active === 0);
});

test("an answer sent before the upload is over reaches the client, and the connection closes (RFC 9112 §9.3)", async () => {
  const { client } = await start(
    once((connection) => connection.write(response("enough", [], "403 Forbidden"))),
  );
  await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst bytes");
  const answer = await client.response();
  expect([answer.status, answer.body, answer.field("connection")]).toEqual([403, "enough", "close"]);
  await client.untilClose();
});

test("200 streams at once are each their own", async () => {
  const count = 200;
  const { weir } = await start(
    perRequest((request, connection) => {
      const path = request.requestLine.split(" ")[1] as string;
      connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      let sent = 0;
      const timer = setInterval(() => {
        connection.write(sent === 10 ? "0\r\n\r\n" : asChunk(path));
        if (sent++ === 10) clearInterval(timer);
      }, 10);
      return undefined;
    }),
    { rest: "server: { workers: 2 }" },
  );
  const clients = await Promise.all(Array.from({ length: count }, () => stage.client(weir.port())));
  const answers = await Promise.all(
    clients.map(async (client, index) => {
      await client.send(get(`/stream-${index}`));
      return await client.response("GET", 10_000);
    }),
  );
  expect(answers.filter(({ body }, index) => body !== `/stream-${index}`.repeat(10))).toEqual([]);
}, 20_000);
