/**
 * Large bodies: every byte arrives, in both directions, at any speed, and memory stays bounded.
 */
import { afterEach, expect, test } from "bun:test";
import type { Socket } from "node:net";
import {
  type BodyReader,
  type BulkExchange,
  BulkOrigin,
  type Framing,
  framingLine,
  hashOf,
  MIB,
  sendBody,
  exchange as startExchange,
} from "../support/bulk.ts";
import { eventually, within } from "../support/eventually.ts";
import { hasProc, ownMemoryBytes } from "../support/proc.ts";
import { proxyTo, Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const BYTES = 100 * MIB;
const HASH = hashOf(BYTES);
const UNLIMITED = "limits: { body: 0 }";
const DEADLINE_MS = 20_000;

async function origin(serve: (socket: Socket, upload: BodyReader) => unknown): Promise<BulkOrigin> {
  const started = await BulkOrigin.start(serve);
  stage.after(() => started.stop());
  return started;
}

function exchange(...parts: Parameters<typeof startExchange>): BulkExchange {
  const started = startExchange(...parts);
  stage.after(() => started.socket.resetAndDestroy());
  return started;
}

const downloadOf =
  (framing: Framing, bytes: number, pauseMs = 0) =>
  async (socket: Socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n${framingLine(framing, bytes)}\r\n`);
    await sendBody(socket, bytes, framing, pauseMs);
  };

const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const putHead = (framing: Framing, bytes: number) =>
  `PUT / HTTP/1.1\r\nHost: a.test\r\n${framingLine(framing, bytes)}\r\n`;

for (const framing of ["length", "chunked", "close"] as const) {
  test(`a download of 100 MiB (${framing}) arrives byte for byte`, async () => {
    const { address } = await origin(downloadOf(framing, BYTES));
    const weir = await stage.weir(proxyTo(address));
    const { answer, done } = exchange(weir.port(), GET);
    await within(done, DEADLINE_MS, "the download");
    expect([answer.bytes, answer.isComplete, answer.sha256]).toEqual([BYTES, true, HASH]);
  });
}

for (const framing of ["length", "chunked"] as const) {
  test(`an upload of 100 MiB (${framing}) arrives byte for byte`, async () => {
    const { address, uploads } = await origin(async (socket, upload) => {
      await eventually(() => upload.isComplete, DEADLINE_MS, "the upload");
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    const weir = await stage.weir(proxyTo(address, { listener: UNLIMITED }));
    const { done } = exchange(weir.port(), putHead(framing, BYTES), {
      body: (out) => sendBody(out, BYTES, framing),
    });
    await within(done, DEADLINE_MS, "the answer");
    expect([uploads[0]?.bytes, uploads[0]?.sha256]).toEqual([BYTES, HASH]);
  });

  test(`both directions at once (${framing}): what goes up comes down, while it goes up`, async () => {
    const bytes = 60 * MIB;
    const { address } = await origin((socket, upload) => {
      socket.write(`HTTP/1.1 200 OK\r\n${framingLine(framing, bytes)}\r\n`);
      // the body comes back as it came, framing and all
      const reader = socket.listeners("data")[0] as (data: Buffer) => void;
      socket.off("data", reader);
      socket.pipe(socket, { end: false });
      upload.isComplete = true;
    });
    const weir = await stage.weir(proxyTo(address, { listener: UNLIMITED }));
    const head = putHead(framing, bytes).replace("PUT / ", "PUT /echo ");
    const { answer, done } = exchange(weir.port(), head, {
      body: async (out) => {
        await Bun.sleep(100); // the head alone first: the origin takes the body over with its next read
        await sendBody(out, bytes, framing);
      },
    });
    await within(done, DEADLINE_MS, "the echo");
    expect([answer.bytes, answer.sha256]).toEqual([bytes, hashOf(bytes)]);
  });

  test(`a slow reader and a slow writer (${framing}) get and give every byte`, async () => {
    const bytes = 12 * MIB;
    const { address } = await origin(downloadOf(framing, bytes, 20));
    const weir = await stage.weir(proxyTo(address));
    const { answer, done } = exchange(weir.port(), GET, { everyMs: 3 });
    await within(done, DEADLINE_MS, "the download");
    expect([answer.bytes, answer.sha256]).toEqual([bytes, hashOf(bytes)]);
  });
}

test("60 downloads at once are each whole", async () => {
  const bytes = 2 * MIB;
  const { address } = await origin(downloadOf("chunked", bytes));
  const weir = await stage.weir(proxyTo(address, { rest: "server: { workers: 2 }" }));
  const all = Array.from({ length: 60 }, (_, at) =>
    exchange(weir.port(), GET, at % 3 === 0 ? { everyMs: 2 } : {}),
  );
  await within(Promise.all(all.map(({ done }) => done)), DEADLINE_MS, "the downloads");
  const hash = hashOf(bytes);
  expect(all.filter(({ answer }) => answer.sha256 !== hash).length).toBe(0);
});

test.skipIf(!hasProc)("a reader that stops reading costs the worker less than 8 MiB of 100 MiB", async () => {
  const { address } = await origin(downloadOf("length", BYTES));
  const weir = await stage.weir(proxyTo(address));
  const pid = (await weir.status()).workers[0]?.pid as number;
  const warm = exchange(weir.port(), GET);
  await within(warm.done, DEADLINE_MS, "a first download");
  const before = ownMemoryBytes(pid);
  const slow = exchange(weir.port(), GET);
  slow.socket.pause();
  let highest = 0;
  for (let look = 0; look < 20; look++) {
    await Bun.sleep(50);
    highest = Math.max(highest, ownMemoryBytes(pid) - before);
  }
  expect(highest).toBeLessThan(8 * MIB);
  slow.socket.resume();
  await within(slow.done, DEADLINE_MS, "the rest");
  expect(slow.answer.sha256).toBe(HASH);
});

test.skipIf(!hasProc)(
  "an endpoint that stops reading an upload costs the worker less than 8 MiB",
  async () => {
    let stalled: Socket | undefined;
    const { address, uploads } = await origin((socket) => {
      stalled = socket;
      socket.pause();
    });
    const weir = await stage.weir(proxyTo(address, { listener: UNLIMITED }));
    const pid = (await weir.status()).workers[0]?.pid as number;
    const before = ownMemoryBytes(pid);
    exchange(weir.port(), putHead("chunked", BYTES), {
      body: (out) => sendBody(out, BYTES, "chunked"),
    });
    await eventually(() => stalled !== undefined);
    let highest = 0;
    for (let look = 0; look < 20; look++) {
      await Bun.sleep(50);
      highest = Math.max(highest, ownMemoryBytes(pid) - before);
    }
    expect(highest).toBeLessThan(8 * MIB);
    stalled?.resume();
    await eventually(() => uploads[0]?.isComplete === true, DEADLINE_MS, "the rest of the upload");
    expect(uploads[0]?.sha256).toBe(HASH);
  },
);
