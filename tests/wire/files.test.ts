/**
 * Files over the wire: what of a folder is served, and what never is.
 */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exchange as startExchange } from "../support/bulk.ts";
import { eventually, within } from "../support/eventually.ts";
import { hasProc, openFiles, ownMemoryBytes } from "../support/proc.ts";
import { sendAndCollect } from "../support/raw-client.ts";
import { get, Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const MIB = 1024 * 1024;
const TEXT = "0123456789abcdefghij";
const MODIFIED = new Date("2024-05-06T07:08:09Z");

/** A folder with a secret beside it, and Weir serving it below /assets. */
async function serve(prepare: (root: string) => void = () => undefined): Promise<Weir> {
  const folder = mkdtempSync(join(tmpdir(), "weir-files-"));
  stage.after(() => rmSync(folder, { recursive: true, force: true }));
  const root = join(folder, "public");
  mkdirSync(join(root, "assets", "sub"), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  writeFileSync(join(root, "assets", "a.txt"), TEXT);
  utimesSync(join(root, "assets", "a.txt"), MODIFIED, MODIFIED);
  writeFileSync(join(root, "assets", "index.html"), "<p>index");
  writeFileSync(join(root, "assets", "sub", "index.html"), "<p>sub");
  writeFileSync(join(root, "assets", ".hidden"), "secret");
  mkdirSync(join(root, "assets", "empty"));
  symlinkSync(join(folder, "secret.txt"), join(root, "assets", "out.txt"));
  symlinkSync(folder, join(root, "assets", "outdir"));
  symlinkSync(join(root, "assets", "a.txt"), join(root, "assets", "in.txt"));
  prepare(join(root, "assets"));
  return await stage.weir(`
listeners: { web: { bind: "127.0.0.1:0", timeouts: { body: 20s } } }
routes: [ { name: assets, match: { path: /assets/* }, files: { root: "${root}" } } ]
`);
}

async function ask(weir: Weir, path: string, ...lines: readonly string[]) {
  const client = await stage.client(weir.port());
  await client.send(get(path, ...lines));
  return await client.response();
}

test("the status line of a file has the standard reason (RFC 9112 §4)", async () => {
  const weir = await serve();
  const asked = [
    ["/assets/a.txt", "", "200 OK"],
    ["/assets/a.txt", "Range: bytes=0-3", "206 Partial Content"],
    ["/assets/a.txt", `If-Modified-Since: ${MODIFIED.toUTCString()}`, "304 Not Modified"],
    ["/assets/sub", "", "308 Permanent Redirect"],
  ] as const;
  for (const [path, line, status] of asked) {
    const text = await sendAndCollect(
      weir.port(),
      get(path, ...(line === "" ? [] : [line]), "Connection: close"),
    );
    expect(text.toString()).toStartWith(`HTTP/1.1 ${status}\r\n`);
  }
});

test("a file is answered with its type, length, time and tag", async () => {
  const weir = await serve();
  const answer = await ask(weir, "/assets/a.txt");
  expect([answer.status, answer.body]).toEqual([200, TEXT]);
  expect(answer.field("content-type")).toBe("text/plain; charset=utf-8");
  expect(answer.field("content-length")).toBe(String(TEXT.length));
  expect(answer.field("last-modified")).toBe("Mon, 06 May 2024 07:08:09 GMT");
  expect(answer.field("etag")).toMatch(/^"[^"]+"$/);
  expect(answer.field("accept-ranges")).toBe("bytes");
});

test("HEAD says what GET would, without the body, and the connection lives on (RFC 9110 §9.3.2)", async () => {
  const weir = await serve();
  const client = await stage.client(weir.port());
  await client.send(get("/assets/a.txt").replace("GET", "HEAD") + get("/assets/a.txt"));
  const head = await client.response("HEAD");
  const whole = await client.response();
  const fieldsOf = ({ fields }: typeof head) => fields.filter(([name]) => name !== "date");
  expect(fieldsOf(head)).toEqual(fieldsOf(whole));
  expect([head.body, whole.body]).toEqual(["", TEXT]);
});

const RANGES: readonly [range: string, status: number, contentRange: string | undefined, body: string][] = [
  ["bytes=0-3", 206, "bytes 0-3/20", "0123"],
  ["bytes=15-", 206, "bytes 15-19/20", "fghij"],
  ["bytes=-2", 206, "bytes 18-19/20", "ij"],
  ["bytes=5-5000", 206, "bytes 5-19/20", "56789abcdefghij"],
  ["bytes=20-", 416, "bytes */20", ""],
  ["bytes=9-3", 200, undefined, TEXT],
  ["lines=1-2", 200, undefined, TEXT],
];
for (const [range, status, contentRange, body] of RANGES) {
  test(`Range: ${range} is ${status} (RFC 9110 §14)`, async () => {
    const answer = await ask(await serve(), "/assets/a.txt", `Range: ${range}`);
    expect([answer.status, answer.field("content-range")]).toEqual([status, contentRange]);
    if (status !== 416) expect(answer.body).toBe(body);
  });
}

test("several ranges come as multipart/byteranges, each with its place (RFC 9110 §14.6)", async () => {
  const answer = await ask(await serve(), "/assets/a.txt", "Range: bytes=0-1,18-19");
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(answer.field("content-type") ?? "")?.[1];
  expect([answer.status, boundary === undefined]).toEqual([206, false]);
  const parts = answer.body.split(`--${boundary}`);
  expect(parts.length).toBe(4);
  expect(parts[1]).toMatch(/content-range: bytes 0-1\/20\r\n\r\n01\r\n$/i);
  expect(parts[2]).toMatch(/content-range: bytes 18-19\/20\r\n\r\nij\r\n$/i);
  expect(parts[3]).toBe("--\r\n");
});

test("conditions: what the client has is not sent again, and what changed meanwhile is not mixed (RFC 9110 §13)", async () => {
  const weir = await serve();
  const first = await ask(weir, "/assets/a.txt");
  const etag = first.field("etag") as string;
  const rows: readonly [line: string, status: number][] = [
    [`If-None-Match: ${etag}`, 304],
    ['If-None-Match: "other"', 200],
    ["If-None-Match: *", 304],
    ["If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT", 304],
    ["If-Modified-Since: Mon, 06 May 2024 07:08:08 GMT", 200],
    ['If-Match: "other"', 412],
    [`If-Match: ${etag}`, 200],
    ["If-Unmodified-Since: Mon, 06 May 2024 07:08:08 GMT", 412],
  ];
  const client = await stage.client(weir.port());
  for (const [line, status] of rows) {
    await client.send(get("/assets/a.txt", line));
    const answer = await client.response();
    expect([line, answer.status]).toEqual([line, status]);
    if (status === 304) expect([answer.body, answer.field("etag")]).toEqual(["", etag]);
  }
  await client.send(get("/assets/a.txt", "Range: bytes=0-3", 'If-Range: "other"'));
  expect((await client.response()).status).toBe(200);
  await client.send(get("/assets/a.txt", "Range: bytes=0-3", `If-Range: ${etag}`));
  expect((await client.response()).status).toBe(206);
});

test("a folder answers with its index, and without its slash leads there, query and all", async () => {
  const weir = await serve();
  expect((await ask(weir, "/assets/sub/")).body).toBe("<p>sub");
  const moved = await ask(weir, "/assets/sub?a=b");
  expect([moved.status, moved.field("location")]).toEqual([308, "/assets/sub/?a=b"]);
});

const MISSING: readonly [what: string, path: string, status: number][] = [
  ["a file that is not there", "/assets/none.txt", 404],
  ["a folder without index", "/assets/empty/", 404],
  ["a file with a slash behind it", "/assets/a.txt/", 404],
  ["a hidden file", "/assets/.hidden", 404],
  ["a link that leads out", "/assets/out.txt", 404],
  ["a folder link that leads out", "/assets/outdir/secret.txt", 404],
  ["dots that stay above the root", "/assets/../../secret.txt", 400],
  ["encoded dots", "/assets/%2e%2e/%2e%2e/secret.txt", 400],
  ["dots that stay inside leave the route", "/assets/../secret.txt", 404],
  ["an encoded slash", "/assets/..%2f..%2fsecret.txt", 400],
  ["a backslash", "/assets/..\\..\\secret.txt", 400],
  ["an encoded backslash", "/assets/..%5c..%5csecret.txt", 400],
  ["a NUL", "/assets/a.txt%00.png", 400],
  ["bytes that are no UTF-8", "/assets/%ff%fe", 404],
  ["a name longer than any", `/assets/${"n".repeat(3000)}`, 404],
];
for (const [what, path, status] of MISSING) {
  test(`${what} is ${status}, and nothing of the outside is shown`, async () => {
    const weir = await serve();
    const text = await sendAndCollect(weir.port(), get(path, "Connection: close"));
    expect(text).toStartWith(`HTTP/1.1 ${status} `);
    expect(text).not.toContain("secret");
  });
}

test("a link that stays inside is served", async () => {
  expect((await ask(await serve(), "/assets/in.txt")).body).toBe(TEXT);
});

test("other methods are 405 and told what is allowed; their body does no harm (RFC 9110 §15.5.6)", async () => {
  const weir = await serve();
  const client = await stage.client(weir.port());
  await client.send(
    `POST /assets/a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde${get("/assets/a.txt")}`,
  );
  const answer = await client.response();
  expect([answer.status, answer.field("allow")]).toEqual([405, "GET, HEAD"]);
  expect((await client.response()).body).toBe(TEXT);
});

const BIG = 40 * MIB;
const bigBytes = () => {
  const bytes = Buffer.alloc(BIG);
  for (let at = 0; at < BIG; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  return bytes;
};

function download(weir: Weir, path: string, everyMs?: number) {
  const started = startExchange(weir.port(), get(path), everyMs === undefined ? {} : { everyMs });
  stage.after(() => started.socket.resetAndDestroy());
  return started;
}

test.skipIf(!hasProc)(
  "a big file reaches a slow reader byte for byte, for less than 8 MiB of memory",
  async () => {
    const bytes = bigBytes();
    const weir = await serve((folder) => writeFileSync(join(folder, "big.bin"), bytes));
    const pid = (await weir.status()).workers[0]?.pid as number;
    await ask(weir, "/assets/a.txt");
    const before = ownMemoryBytes(pid);
    const { answer, done } = download(weir, "/assets/big.bin", 5);
    let highest = 0;
    const look = setInterval(() => {
      highest = Math.max(highest, ownMemoryBytes(pid) - before);
    }, 20);
    stage.after(() => clearInterval(look));
    await within(done, 20_000, "the file");
    expect([answer.bytes, answer.sha256]).toEqual([BIG, createHash("sha256").update(bytes).digest("hex")]);
    expect(highest).toBeLessThan(8 * MIB);
  },
  30_000,
);

test("a file that shrinks while it is sent ends in a visible cut", async () => {
  let path = "";
  const weir = await serve((folder) => {
    path = join(folder, "big.bin");
    writeFileSync(path, bigBytes());
  });
  const { answer, done, socket } = download(weir, "/assets/big.bin");
  socket.pause();
  await Bun.sleep(300);
  truncateSync(path, MIB);
  socket.resume();
  await within(done, 5000, "the connection to end");
  expect(answer.isComplete).toBe(false);
  expect(answer.bytes).toBeLessThan(BIG);
});

test.skipIf(!hasProc)(
  "clients that leave in the middle, or are refused, leave no descriptor open",
  async () => {
    const weir = await serve((folder) => writeFileSync(join(folder, "big.bin"), bigBytes()));
    const pid = (await weir.status()).workers[0]?.pid as number;
    await ask(weir, "/assets/a.txt");
    const idle = openFiles(pid);
    for (let round = 0; round < 20; round++) {
      const { answer, socket } = download(weir, "/assets/big.bin", 50);
      await eventually(() => answer.bytes > 0);
      socket.resetAndDestroy();
      await ask(weir, "/assets/a.txt", "If-None-Match: *");
      await ask(weir, "/assets/a.txt", "Range: bytes=99-");
      await ask(weir, "/assets/out.txt");
    }
    stage.closeClients();
    await eventually(() => openFiles(pid) <= idle, 5000, `at most ${idle} descriptors, as before`);
  },
  20_000,
);
