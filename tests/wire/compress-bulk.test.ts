/**
 * Large compressed bodies: however slow the client, memory stays bounded, other exchanges get their turn, and no byte is lost.
 */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { get as httpGet, type IncomingMessage } from "node:http";
import zlib from "node:zlib";
import { BulkOrigin, framingLine, hashOf, MIB, sendBody } from "../support/bulk.ts";
import { eventually, within } from "../support/eventually.ts";
import { hasProc, ownMemoryBytes } from "../support/proc.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import type { Coding } from "./compress-coder.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const BYTES = 48 * MIB;
const DEADLINE_MS = 30_000;
const DECODERS = {
  gzip: zlib.createGunzip,
  br: zlib.createBrotliDecompress,
  zstd: zlib.createZstdDecompress,
};

async function weirFor(framing: "length" | "chunked"): Promise<Weir> {
  const origin = await BulkOrigin.start((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${framingLine(framing, BYTES)}\r\n`);
    sendBody(socket, BYTES, framing).catch(() => socket.destroy());
  });
  stage.after(() => origin.stop());
  return await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { to: app, compress: { level: 1 } }
  - { match: { path: /ping }, respond: { status: 200, body: pong } }
upstreams: { app: [ "${origin.address}" ] }
`);
}

async function start(weir: Weir, coding: Coding): Promise<IncomingMessage> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = {
      port: weir.port(),
      host: "127.0.0.1",
      agent: false,
      headers: { "accept-encoding": coding },
    };
    httpGet(options, resolve).on("error", reject);
  });
  expect(answer.headers["content-encoding"]).toBe(coding);
  return answer;
}

/** SHA-256 of the decoded body. */
async function hashOfAnswer(answer: IncomingMessage, coding: Coding): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of answer.pipe(DECODERS[coding]())) hash.update(piece as Buffer);
  return hash.digest("hex");
}

for (const [coding, framing] of [
  ["gzip", "length"],
  ["br", "chunked"],
  ["zstd", "length"],
] as const) {
  test(`${coding}: ${BYTES / MIB} MiB come whole, and the worker answers others meanwhile`, async () => {
    const weir = await weirFor(framing);
    const whole = hashOfAnswer(await start(weir, coding), coding);
    const waits: number[] = [];
    let isDone = false;
    const asking = (async () => {
      while (!isDone) {
        const startedAtMs = performance.now();
        expect(await (await fetch(`http://127.0.0.1:${weir.port()}/ping`)).text()).toBe("pong");
        waits.push(performance.now() - startedAtMs);
        await Bun.sleep(10);
      }
    })();
    expect(await within(whole, DEADLINE_MS, "the body")).toBe(hashOf(BYTES));
    isDone = true;
    await asking;
    expect(waits.length).toBeGreaterThan(5);
    expect(Math.max(...waits)).toBeLessThan(1000);
  }, 60_000);
}

test.skipIf(!hasProc)(
  "a client that stops reading costs the worker less than 12 MiB",
  async () => {
    const weir = await weirFor("chunked");
    const status = await weir.status();
    const pid = status.workers[0]?.pid as number;
    const before = ownMemoryBytes(pid);
    const answer = await start(weir, "gzip");
    answer.pause();
    let highest = 0;
    for (let look = 0; look < 20; look++) {
      await Bun.sleep(50);
      highest = Math.max(highest, ownMemoryBytes(pid) - before);
    }
    expect(highest).toBeLessThan(12 * MIB);
    expect(await within(hashOfAnswer(answer, "gzip"), DEADLINE_MS, "the rest")).toBe(hashOf(BYTES));
    await eventually(() => ownMemoryBytes(pid) - before < 48 * MIB, 5000, "memory to be given back");
  },
  60_000,
);
