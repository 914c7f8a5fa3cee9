/**
 * What do the heads of one HTTP/2 exchange cost?
 *
 * defends  a request of which every field is in the table ≤ 300 ns to read; a browser's, with a path of its own,
 *          ≤ 1.2 µs; a response of six fields that are in the table ≤ 400 ns to write
 * how      blocks as our own writer makes them, after a few messages have filled the tables; best of some rounds
 * run      node_modules/.bin/bun bench/micro/hpack.ts
 */
import { fieldsOfLines } from "../../src/core/fields.ts";
import { Out } from "../../src/core/out.ts";
import { Head, type HeadKind } from "../../src/protocol/h2/head.ts";
import { HeadReader } from "../../src/protocol/h2/head-reader.ts";
import { type H2RequestToWrite, HeadWriter } from "../../src/protocol/h2/head-writer.ts";

const MESSAGES = 200_000;
const ROUNDS = 7;
const BLOCKS = 256;

const SIMPLE = [
  "Host: localhost:8443",
  "User-Agent: h2load nghttp2/1.52.0",
  "Accept: */*",
  "Accept-Encoding: gzip",
];
const BROWSER = [
  "Host: app.example.com",
  'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "upgrade-insecure-requests: 1",
  "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "sec-fetch-site: same-origin",
  "sec-fetch-mode: navigate",
  "sec-fetch-user: ?1",
  "sec-fetch-dest: document",
  "referer: https://app.example.com/items",
  "accept-encoding: gzip, deflate, br, zstd",
  "accept-language: en-GB,en;q=0.9,de;q=0.8",
  "cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
];
const SERVED = [
  "Server: nginx",
  "Content-Type: text/html; charset=utf-8",
  "Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT",
  "Cache-Control: max-age=60",
  "Connection: keep-alive",
];
const DATE = "Date: Mon, 02 Mar 2026 10:00:00 GMT\r\n";
const ABOUT_CLIENT =
  "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n" +
  "X-Forwarded-Host: app.example.com\r\nVia: 2.0 weir\r\n";

const linesOf = (lines: readonly string[]) => lines.map((line) => `${line}\r\n`).join("");
const hex = (index: number) => index.toString(16).padStart(32, "0");

function requestOf(lines: readonly string[], target: string): H2RequestToWrite {
  const requestFields = fieldsOfLines(linesOf(lines));
  return {
    upstreamMethod: "GET",
    upstreamTarget: target,
    requestFields,
    upstreamDropLow: 0,
    upstreamDropHigh: 0,
    upstreamAdded: "",
    upstreamIdLines: "",
    requestBodyKind: 0,
    requestBodyLength: 0,
    upgrade: "",
    scheme: "https",
    authority: requestFields.find("host") ?? "",
    protocol: "",
    takesTrailers: false,
  };
}

let sink = 0;

/** Best round, in ns a message: the machine can only add time. */
function report(name: string, message: (index: number) => number): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = Bun.nanoseconds();
    for (let index = 0; index < MESSAGES; index++) sink += message(index);
    best = Math.min(best, (Bun.nanoseconds() - startedAt) / MESSAGES);
  }
  console.log(`${best.toFixed(0).padStart(6)} ns  ${name}`);
}

/** Reads the blocks in a circle: none of them changes the table any more. */
function reportReading(
  name: string,
  kind: HeadKind,
  write: (writer: HeadWriter, out: Out, index: number) => void,
): void {
  const writer = new HeadWriter();
  const reader = new HeadReader({ listBytes: 32 * 1024, fields: 100 });
  const head = new Head();
  const out = new Out();
  const blocks: Buffer[] = [];
  for (let index = 0; index < BLOCKS; index++) {
    out.reset();
    write(writer, out, index);
    const block = Buffer.from(out.bytes.subarray(0, out.length));
    if (reader.read(kind, block, 0, block.length, head) !== "" || head.malformed !== "")
      throw new Error(name);
    if (index >= BLOCKS / 2) blocks.push(block);
  }
  const [first] = blocks as [Buffer];
  report(`read ${name}: ${first.length} bytes, ${head.fields.count} fields`, (index) => {
    const block = blocks[index % blocks.length] as Buffer;
    reader.read(kind, block, 0, block.length, head);
    return head.fields.count;
  });
}

const simple = requestOf(SIMPLE, "/");
reportReading("a request, all in the table", "request", (writer, out) => writer.request(out, simple));
const browsers = Array.from({ length: BLOCKS }, (_, index) =>
  requestOf(BROWSER, `/items/${index}/details?page=${index % 7}`),
);
reportReading("a browser's request", "request", (writer, out, index) => {
  writer.request(out, browsers[index] as H2RequestToWrite);
});
const response = {
  sentStatus: 200,
  reason: "OK",
  responseFields: fieldsOfLines(linesOf(SERVED)),
  sentAdded: DATE,
  sentBodyLength: 4096,
};
reportReading("a response", "response", (writer, out) => writer.response(out, response));

const out = new Out();
const down = new HeadWriter();
report("write a response, all in the table", () => {
  out.reset();
  down.response(out, response);
  return out.length;
});
const withEtags = Array.from({ length: BLOCKS }, (_, index) => ({
  ...response,
  responseFields: fieldsOfLines(
    `${linesOf(SERVED)}ETag: "${hex(index * 7919)}"\r\nX-Request-Id: ${hex(index)}\r\n`,
  ),
}));
report("write a response with two fields of its own", (index) => {
  out.reset();
  down.response(out, withEtags[index % BLOCKS] as typeof response);
  return out.length;
});
const up = new HeadWriter();
const forwarded = browsers.map((request, index) => ({
  ...request,
  upstreamAdded: ABOUT_CLIENT,
  upstreamIdLines: `X-Request-Id: ${hex(index)}\r\ntraceparent: 00-${hex(index)}-${hex(index).slice(16)}-01\r\n`,
}));
report("write a browser's request with our lines", (index) => {
  out.reset();
  up.request(out, forwarded[index % BLOCKS] as H2RequestToWrite);
  return out.length;
});
if (sink === 0) throw new Error("nothing was read");
