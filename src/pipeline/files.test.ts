import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fieldIdOf } from "../core/field-names.ts";
import { Fields } from "../core/fields.ts";
import { type Downstream, Exchange } from "../session/exchange.ts";
import { CHUNK_BYTES } from "../transport/file-reader.ts";
import { type FileAnswer, type FileRefusal, openFile } from "./files.ts";

const base = mkdtempSync(join(tmpdir(), "weir-files-"));
const root = join(base, "root");
const action = { root, index: ["index.html", "index.txt"] };
const RESTED = new Date(Date.UTC(2025, 5, 1, 12, 0, 0));
const LAST_MODIFIED = "Sun, 01 Jun 2025 12:00:00 GMT";
const BIG_BYTES = CHUNK_BYTES * 2 + 77;

function put(name: string, content: string | Buffer): void {
  writeFileSync(join(root, name), content);
  utimesSync(join(root, name), RESTED, RESTED);
}

beforeAll(() => {
  mkdirSync(join(root, "docs"), { recursive: true });
  mkdirSync(join(root, "second"));
  mkdirSync(join(root, "bare"));
  mkdirSync(join(root, "odd/index.html"), { recursive: true });
  put("page.html", "<p>hello</p>");
  put("digits", "0123456789");
  put("empty.css", "");
  put("docs/index.html", "docs");
  put("second/index.txt", "second");
  put("odd/index.txt", "odd");
  put("a b é%.txt", "odd name");
  put(".secret", "hidden");
  put("big", Buffer.from(Array.from({ length: BIG_BYTES }, (_, at) => at % 251)));
  writeFileSync(join(base, "outside"), "outside");
  symlinkSync("../outside", join(root, "escape"));
});
afterAll(() => rmSync(base, { recursive: true }));

interface Ask {
  readonly method?: string;
  readonly lines?: readonly string[];
  /** What the client asked, when a rewrite made `path` of it. */
  readonly asked?: string;
}

function ask(
  path: string,
  { method = "GET", lines = [], asked = path }: Ask = {},
): Promise<FileAnswer | FileRefusal> {
  const exchange = new Exchange({} as Downstream);
  exchange.method = method;
  [exchange.path = "", exchange.query = ""] = asked.split("?");
  const fields = new Fields();
  let text = "";
  for (const line of lines) {
    const colon = line.indexOf(":");
    const [start, id] = [text.length, fieldIdOf(line.slice(0, colon).toLowerCase())];
    fields.mark(start, start + colon, start + colon + 2, start + line.length, id);
    text += `${line}\r\n`;
  }
  fields.bind(Buffer.from(text, "latin1"), 0, 0, text.length);
  exchange.requestFields = fields;
  return openFile(action, path.split("?")[0] as string, exchange);
}

async function bodyOf(answer: FileAnswer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let piece = await answer.read(); piece !== undefined; piece = await answer.read()) pieces.push(piece);
  answer.close();
  return Buffer.concat(pieces);
}

async function get(path: string, more?: Ask): Promise<FileAnswer> {
  const answer = await ask(path, more);
  if ("code" in answer) throw new Error(`${path}: ${answer.code} ${answer.detail}`);
  return answer;
}

const fieldOf = (answer: { lines: string }, name: string) =>
  answer.lines
    .split("\r\n")
    .find((line) => line.startsWith(`${name}: `))
    ?.slice(name.length + 2);

test("a file is answered with its type, its validators and its length", async () => {
  const answer = await get("/page.html");
  expect([answer.status, answer.length]).toEqual([200, 12]);
  expect(answer.lines).toMatch(
    /^Content-Type: text\/html; charset=utf-8\r\nETag: "c-[0-9a-f]+"\r\nLast-Modified: Sun, 01 Jun 2025 12:00:00 GMT\r\nAccept-Ranges: bytes\r\n$/,
  );
  expect((await bodyOf(answer)).toString()).toBe("<p>hello</p>");
});

test("HEAD says the same and has no body (RFC 9110 §9.3.2)", async () => {
  const head = await get("/page.html", { method: "HEAD" });
  const full = await get("/page.html");
  expect([head.status, head.length, head.lines]).toEqual([full.status, full.length, full.lines]);
  expect(await head.read()).toBeUndefined();
  full.close();
});

test("HEAD ignores Range (RFC 9110 §14.2)", async () => {
  const head = await get("/digits", { method: "HEAD", lines: ["Range: bytes=0-1"] });
  expect([head.status, head.length]).toEqual([200, 10]);
});

test("an empty file has an empty body", async () => {
  const answer = await get("/empty.css");
  expect([answer.status, answer.length]).toEqual([200, 0]);
  expect((await bodyOf(answer)).length).toBe(0);
});

test("a name is percent-decoded once", async () => {
  expect((await bodyOf(await get("/a%20b%20%C3%A9%25.txt"))).toString()).toBe("odd name");
});

test("a large file comes in bounded pieces, byte for byte", async () => {
  const answer = await get("/big");
  const body = await bodyOf(answer);
  expect([answer.length, body.length]).toEqual([BIG_BYTES, BIG_BYTES]);
  expect(body.every((byte, at) => byte === at % 251)).toBe(true);
});

describe("folders", () => {
  test.each([
    ["/docs/", "docs"],
    ["/second/", "second"],
    ["/odd/", "odd"],
  ])("%s is answered by its first index file", async (path, text) => {
    expect((await bodyOf(await get(path))).toString()).toBe(text);
  });

  test("the type is the index file's", async () => {
    const answer = await get("/docs/");
    expect(fieldOf(answer, "Content-Type")).toBe("text/html; charset=utf-8");
    answer.close();
  });

  const rows: [path: string, asked: string, location: string][] = [
    ["/docs", "/docs", "/docs/"],
    ["/docs", "/docs?a=b", "/docs/?a=b"],
    ["/bare", "/bare", "/bare/"],
    ["/docs", "/assets/docs?x", "/assets/docs/?x"],
  ];
  test.each(rows)("%s without its slash, asked as %s, is redirected to %s", async (path, asked, location) => {
    const answer = await get(path, { asked });
    expect([answer.status, answer.length, answer.lines]).toEqual([308, 0, `Location: ${location}\r\n`]);
    expect(await answer.read()).toBeUndefined();
  });

  test("a slash that a rewrite took away makes no loop", async () => {
    expect((await bodyOf(await get("/docs", { asked: "/old/" }))).toString()).toBe("docs");
  });
});

describe("refusals", () => {
  const rows: [rule: string, path: string, more: Ask, code: string, lines: string][] = [
    ["nothing there", "/none", {}, "not_found", ""],
    ["a folder without index", "/bare/", {}, "not_found", ""],
    ["a file with a slash", "/digits/", {}, "not_found", ""],
    ["a hidden file", "/.secret", {}, "not_found", ""],
    ["a hidden file, still encoded", "/%2Esecret", {}, "not_found", ""],
    ["a link that leads outside", "/escape", {}, "not_found", ""],
    ["dots, still encoded", "/%2E%2E/outside", {}, "not_found", ""],
    ["an encoded slash", "/docs%2Findex.html", {}, "not_found", ""],
    ["an encoded slash with dots", "/..%2Foutside", {}, "not_found", ""],
    ["bytes that are not UTF-8", "/%E9", {}, "not_found", ""],
    ["an encoded NUL", "/digits%00.html", {}, "not_found", ""],
    ["POST", "/digits", { method: "POST" }, "file_method_refused", "Allow: GET, HEAD\r\n"],
    ["OPTIONS", "/none", { method: "OPTIONS" }, "file_method_refused", "Allow: GET, HEAD\r\n"],
    [
      "a range outside (RFC 9110 §15.5.17)",
      "/digits",
      { lines: ["Range: bytes=10-"] },
      "range_unsatisfiable",
      "Content-Range: bytes */10\r\n",
    ],
    ["a tag that was", "/digits", { lines: ['If-Match: "old"'] }, "precondition_failed", ""],
  ];
  for (const [rule, path, more, code, lines] of rows) {
    test(rule, async () => {
      const answer = await ask(path, more);
      expect("code" in answer ? [answer.code, answer.lines] : answer).toEqual([code, lines]);
    });
  }
});

describe("conditions", () => {
  test("the tag that was sent answers 304 with the validators (RFC 9110 §15.4.5)", async () => {
    const first = await get("/digits");
    first.close();
    const etag = fieldOf(first, "ETag");
    const answer = await get("/digits", { lines: [`If-None-Match: ${etag}`, "Range: bytes=0-1"] });
    expect([answer.status, answer.length]).toEqual([304, 0]);
    expect(answer.lines).toBe(`ETag: ${etag}\r\nLast-Modified: ${LAST_MODIFIED}\r\n`);
    expect(await answer.read()).toBeUndefined();
  });

  test("the date that was sent answers 304", async () => {
    expect((await get("/digits", { lines: [`If-Modified-Since: ${LAST_MODIFIED}`] })).status).toBe(304);
  });

  test("the tag changes with the size and with the time", async () => {
    const tags = new Set<string | undefined>();
    for (const [text, seconds] of [
      ["one", 1000],
      ["two", 1000],
      ["three", 1000],
      ["three", 1001],
    ] as const) {
      writeFileSync(join(root, "changing"), text);
      utimesSync(join(root, "changing"), seconds, seconds);
      const answer = await get("/changing");
      answer.close();
      tags.add(fieldOf(answer, "ETag"));
    }
    // "one" and "two" have one size and one time: they cannot be told apart
    expect(tags.size).toBe(3);
  });

  test("a file written just now has a weak tag, and Last-Modified is never in the future (§8.8.2.1)", async () => {
    writeFileSync(join(root, "fresh"), "fresh");
    const fresh = await get("/fresh");
    fresh.close();
    expect(fieldOf(fresh, "ETag")).toStartWith('W/"');
    utimesSync(join(root, "fresh"), new Date(Date.now() + 1e7), new Date(Date.now() + 1e7));
    const future = await get("/fresh");
    future.close();
    expect(Date.parse(fieldOf(future, "Last-Modified") as string)).toBeLessThanOrEqual(Date.now());
    expect(fieldOf(future, "ETag")).toStartWith('W/"');
  });
});

describe("ranges", () => {
  const rows: [range: string, contentRange: string, body: string][] = [
    ["bytes=2-4", "bytes 2-4/10", "234"],
    ["bytes=7-", "bytes 7-9/10", "789"],
    ["bytes=-2", "bytes 8-9/10", "89"],
    ["bytes=0-0,50-60", "bytes 0-0/10", "0"],
  ];
  test.each(rows)("%s is one part (RFC 9110 §15.3.7.1)", async (range, contentRange, text) => {
    const answer = await get("/digits", { lines: [`Range: ${range}`] });
    expect([answer.status, answer.length]).toEqual([206, text.length]);
    expect(fieldOf(answer, "Content-Range")).toBe(contentRange);
    expect((await bodyOf(answer)).toString()).toBe(text);
  });

  test("several ranges are a multipart body of the length that was said (RFC 9110 §15.3.7.2)", async () => {
    const answer = await get("/digits", { lines: ["Range: bytes=5-6,0-1"] });
    const boundary = fieldOf(answer, "Content-Type")?.split("boundary=")[1];
    const part = (range: string) =>
      `Content-Type: application/octet-stream\r\nContent-Range: bytes ${range}/10\r\n\r\n`;
    const wanted = `--${boundary}\r\n${part("5-6")}56\r\n--${boundary}\r\n${part("0-1")}01\r\n--${boundary}--\r\n`;
    const body = await bodyOf(answer);
    expect(body.toString()).toBe(wanted);
    expect([answer.status, answer.length, fieldOf(answer, "Content-Range")]).toEqual([
      206,
      body.length,
      undefined,
    ]);
  });

  test("a range over several pieces is byte for byte", async () => {
    const answer = await get("/big", { lines: [`Range: bytes=100-${CHUNK_BYTES + 500}`] });
    const body = await bodyOf(answer);
    expect(body.length).toBe(answer.length);
    expect(body.every((byte, at) => byte === (at + 100) % 251)).toBe(true);
  });

  test("If-Range with another tag gets the whole file", async () => {
    const answer = await get("/digits", { lines: ["Range: bytes=0-1", 'If-Range: "old"'] });
    expect([answer.status, (await bodyOf(answer)).toString()]).toEqual([200, "0123456789"]);
  });

  test("overlapping ranges get the whole file", async () => {
    const answer = await get("/digits", { lines: ["Range: bytes=0-5,3-7"] });
    expect([answer.status, (await bodyOf(answer)).length]).toEqual([200, 10]);
  });
});

test("a file that shrinks while it is sent is an error, never a short body", async () => {
  put("shrinking", Buffer.alloc(CHUNK_BYTES * 2));
  const answer = await get("/shrinking");
  await answer.read();
  truncateSync(join(root, "shrinking"), 1000);
  await expect(answer.read()).rejects.toThrow("cut while sent");
});

test.skipIf(process.platform !== "linux")(
  "no answer keeps a descriptor when it is done, refused or closed",
  async () => {
    const openCount = () => readdirSync("/proc/self/fd").length;
    const before = openCount();
    for (let round = 0; round < 10; round++) {
      await bodyOf(await get("/page.html"));
      await get("/page.html", { method: "HEAD" });
      await get("/digits", { lines: [`If-Modified-Since: ${LAST_MODIFIED}`] });
      await ask("/digits", { lines: ["Range: bytes=99-"] });
      await ask("/digits", { lines: ['If-Match: "old"'] });
      await get("/docs");
      const left = await get("/big");
      void left.read();
      left.close();
    }
    const deadline = performance.now() + 2000;
    while (openCount() > before && performance.now() < deadline) await Bun.sleep(5);
    expect(openCount()).toBeLessThanOrEqual(before);
  },
);
