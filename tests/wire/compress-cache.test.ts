/**
 * Compression of what the cache holds: one stored body, each client in its own coding, and none disturbs another.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, perRequest } from "../support/origin.ts";
import type { RawResponse } from "../support/raw-client.ts";
import { get, Stage } from "../support/stage.ts";
import { metric } from "../support/weir-metrics.ts";
import { ask } from "./ask.ts";
import { askH2, decode } from "./compress-coder.ts";

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

// ── forms that are kept ──

const SMALL = LARGE.slice(0, 20_000);
const COMPRESSED = "cache: true, compress: true";

async function site(route = COMPRESSED, rest = "server: { workers: 1 }") {
  let version = SMALL;
  const origin = await stage.origin(
    perRequest(
      () =>
        `${HEAD.replace("v1", Bun.hash(version).toString(36))}Content-Length: ${version.length}\r\n\r\n${version}`,
    ),
  );
  const yaml = (parts: string) => `
listeners: { web: { bind: "127.0.0.1:0" }, new: { bind: "127.0.0.1:0", protocols: [h2] } }
routes: [ { name: app, to: app, ${parts} } ]
upstreams: { app: [ "${origin.address}" ] }
${rest}
`;
  const weir = await stage.weir(yaml(route));
  return {
    weir,
    yaml,
    ask: (accept: string, ...lines: string[]) =>
      ask(weir.port("web"), get("/", `Accept-Encoding: ${accept}`, ...lines)),
    serve: (text: string) => {
      version = text;
    },
    encoded: async () => metric(await weir.metrics(), "weir_compress_bytes_total", { side: "before" }),
  };
}

const textOf = (answer: RawResponse) =>
  decode(answer.field("content-encoding"), Buffer.from(answer.body, "latin1")).toString("latin1");

test("a stored response is encoded for the first of its clients, for all workers, and not for the others", async () => {
  const { ask, encoded } = await site(`cache: true, compress: { level: 5 }`, "server: { workers: 2 }");
  expect(textOf(await ask("identity"))).toBe(SMALL);
  const first = await ask("zstd");
  await eventually(async () => (await encoded()) >= SMALL.length, 5000, "the first body to be counted");
  const before = await encoded();
  for (let hit = 0; hit < 30; hit++) {
    const answer = await ask("zstd");
    expect(answer.body).toBe(first.body);
    expect(answer.field("content-length")).toBe(String(first.body.length));
    expect(answer.field("cache-status")).toContain("hit");
  }
  expect(textOf(await ask("br"))).toBe(SMALL);
  await eventually(async () => (await encoded()) > before, 5000, "the body in another coding to be counted");
  expect(await encoded()).toBe(before + SMALL.length);
});

test("what is purged, and replaced, is gone in all codings", async () => {
  const { weir, ask, serve } = await site();
  for (const accept of ["gzip", "br", "zstd", "identity"]) {
    for (let hit = 0; hit < 2; hit++) expect(textOf(await ask(accept))).toBe(SMALL);
  }
  const other = SMALL.replaceAll("line", "LINE");
  serve(other);
  const answer = await fetch(new URL("/api/v1/cache/purge", weir.admin), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ url: "http://a.test/" }),
  });
  expect(answer.status).toBe(200);
  for (const accept of ["gzip", "br", "zstd", "identity"]) {
    for (let hit = 0; hit < 2; hit++) expect(textOf(await ask(accept)) === other).toBe(true);
  }
});

test("a route that no longer compresses sends what is stored as it came", async () => {
  const { weir, yaml, ask } = await site();
  for (let hit = 0; hit < 3; hit++) expect((await ask("gzip")).field("content-encoding")).toBe("gzip");
  expect(await weir.reload(yaml("cache: true"))).toBe(true);
  const plain = await ask("gzip");
  expect([plain.field("content-encoding"), plain.field("vary"), plain.body]).toEqual([
    undefined,
    undefined,
    SMALL,
  ]);
  expect(plain.field("cache-status")).toContain("hit");
  expect(await weir.reload(yaml(COMPRESSED))).toBe(true);
  const again = await ask("gzip");
  expect(again.field("content-encoding")).toBe("gzip");
  expect(textOf(again)).toBe(SMALL);
});

test("a large stored body gets a coded form with a length, over HTTP/2 too", async () => {
  const { weir, ask, serve } = await site();
  serve(LARGE);
  await eventually(
    async () => {
      const answer = await ask("gzip");
      expect(textOf(answer) === LARGE).toBe(true);
      return answer.field("content-length") !== undefined;
    },
    10_000,
    "the form",
  );
  const answer = askH2(weir.port("new"), "/", { "accept-encoding": "gzip", ":authority": "a.test" });
  await eventually(() => answer.isDone, 5000, "the answer over HTTP/2");
  answer.close();
  expect(answer.fields["content-length"]).toBe(String(answer.body.length));
  expect(decode("gzip", answer.body).toString("latin1") === LARGE).toBe(true);
});
