/**
 * Compression of what the cache holds: one stored body, each client in its own coding, and none disturbs another.
 */
import { afterEach, expect, test } from "bun:test";
import { type OriginConnection, perRequest } from "../support/origin.ts";
import { get, Stage } from "../support/stage.ts";
import { decode } from "./compress-coder.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const LARGE = Array.from({ length: 60_000 }, (_, i) => `line ${i}: ${(i * 7919) % 1009}\n`).join("");
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\nETag: "v1"\r\n';
const ACCEPTED = ["gzip", "identity", "br", "zstd", "gzip;q=0", "br, gzip"] as const;
const GOT = ["gzip", undefined, "br", "zstd", undefined, "br"] as const;

async function serve(): Promise<{ port: number; source: () => OriginConnection; asked: () => number }> {
  let source: OriginConnection | undefined;
  let asked = 0;
  const origin = await stage.origin(
    perRequest((_request, connection) => {
      source = connection;
      asked++;
      return `${HEAD}Content-Length: ${LARGE.length}\r\n\r\n${LARGE.slice(0, 100_000)}`;
    }),
  );
  const weir = await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, cache: true, compress: true } ]
upstreams: { app: [ "${origin.address}" ] }
`);
  return { port: weir.port(), source: () => source as OriginConnection, asked: () => asked };
}

test("clients that wait for one fetch, and those that come later, have the same bytes, each in its coding", async () => {
  const { port, source, asked } = await serve();
  const clients = await Promise.all(ACCEPTED.map(() => stage.client(port)));
  for (const [index, client] of clients.entries()) {
    await client.send(get("/", `Accept-Encoding: ${ACCEPTED[index]}`));
  }
  // the head is with all of them while the endpoint still has most of the body
  await Promise.all(clients.map((client) => client.until("\r\n\r\n")));
  expect(asked()).toBe(1);
  for (let at = 100_000; at < LARGE.length; at += 70_000) source().write(LARGE.slice(at, at + 70_000));
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(clients.map((client) => client.response()));
    for (const [index, answer] of answers.entries()) {
      const coding = answer.field("content-encoding");
      expect([ACCEPTED[index], coding]).toEqual([ACCEPTED[index], GOT[index]]);
      expect(decode(coding, Buffer.from(answer.body, "latin1")).toString("latin1") === LARGE).toBe(true);
      expect(answer.field("vary")).toBe("Accept-Encoding");
      expect(answer.field("etag")).toBe(coding === undefined ? '"v1"' : 'W/"v1"');
    }
    if (round === 1) break;
    for (const [index, client] of clients.entries()) {
      await client.send(get("/", `Accept-Encoding: ${ACCEPTED[index]}`));
    }
  }
  expect(asked()).toBe(1);
});
