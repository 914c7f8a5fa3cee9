import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { type FakeRequest, fakeExchange, fakeSite, fixedRoute } from "../../tests/support/fake-exchange.ts";
import type { CompressConfig } from "../config/config.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldsOfLines, pairsOfLines } from "../core/fields.ts";
import { applyEdits, compileEdits } from "../route/edits.ts";
import { answer } from "./answer.ts";
import { compressWhole, levelOf } from "./compress.ts";
import { type CompressVerdict, judgeCompression, REFUSALS } from "./compress-head.ts";
import { Compression, chooseCoding } from "./compress-rules.ts";
import type { Planned } from "./plan.ts";
import { run } from "./run.ts";

const CONFIG: CompressConfig = {
  codings: ["zstd", "br", "gzip"],
  types: ["text/*", "application/json"],
  minBytes: 100,
  maxBytes: 10_000,
  level: 0,
};
const TEXT = Buffer.from("so it goes on and on. ".repeat(50));

interface Answered {
  readonly lines?: readonly string[];
  readonly status?: number;
  readonly body?: Buffer;
  /** The length is told, and nothing is here yet. */
  readonly length?: number;
  /** The length is not told. */
  readonly isStream?: boolean;
  readonly edits?: Parameters<typeof compileEdits>[0];
  readonly config?: Partial<CompressConfig>;
}

/** An endpoint's answer, just before its head is sent. */
function prepared(
  request: FakeRequest,
  parts: Answered = {},
): { exchange: Planned; compression: Compression } {
  const { exchange } = fakeExchange(request);
  const compression = new Compression({ ...CONFIG, ...parts.config });
  const responseEdits = parts.edits === undefined ? undefined : compileEdits(parts.edits);
  exchange.plan.route = fixedRoute({ compress: compression, responseEdits });
  exchange.status = parts.status ?? 200;
  exchange.sentStatus = exchange.status;
  const lines = parts.lines ?? ["Content-Type: text/plain"];
  exchange.responseFields = fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));
  if (responseEdits !== undefined) applyEdits(exchange.responseFields, responseEdits);
  setBody(exchange, parts, request.method === "HEAD");
  return { exchange, compression };
}

function setBody(exchange: Planned, { body, length, isStream = false }: Answered, isHead: boolean): void {
  const isHere = !isHead && !isStream && (body !== undefined || length === undefined);
  exchange.first = isHere ? (body ?? TEXT) : undefined;
  exchange.firstEnd = exchange.first?.length ?? 0;
  exchange.plan.isEnd = isHere || isHead || length === 0;
  const kind = isStream ? BODY_STREAM : BODY_LENGTH;
  exchange.responseBodyKind = isHead ? BODY_NONE : kind;
  exchange.responseBodyLength = isStream ? LENGTH_UNKNOWN : (length ?? exchange.first?.length ?? TEXT.length);
  exchange.sentBodyKind = exchange.responseBodyKind;
  exchange.sentBodyLength = exchange.responseBodyLength;
}

/** The same as it leaves. */
function answered(
  request: FakeRequest,
  { edits, ...parts }: Answered = {},
): { exchange: Planned; sent: [string, string][] } {
  const { exchange, compression } = prepared(request, parts);
  const responseEdits = edits === undefined ? undefined : compileEdits(edits);
  exchange.plan.route = fixedRoute({ compress: compression, responseEdits });
  answer(exchange);
  exchange.plan.coder?.close();
  return { exchange, sent: sentBy(exchange) };
}

const sentBy = ({ responseFields, sentAdded }: Planned) =>
  pairsOfLines(responseFields.linesWithout(0, 0) + sentAdded).map(([name, value]): [string, string] => [
    name.toLowerCase(),
    value,
  ]);
const valuesOf = (sent: readonly (readonly [string, string])[], name: string) =>
  sent.filter(([key]) => key === name).map(([, value]) => value);
const asking = (...lines: string[]) => ({ lines: ["Host: a.test", ...lines] });
const GZIP = "Accept-Encoding: gzip";

describe("an answer that is here whole", () => {
  for (const [coding, decode] of [
    ["gzip", zlib.gunzipSync],
    ["br", zlib.brotliDecompressSync],
    ["zstd", zlib.zstdDecompressSync],
  ] as const) {
    test(`leaves in ${coding} at once, with its new length`, () => {
      const { exchange, sent } = answered(asking(`Accept-Encoding: ${coding}`));
      const encoded = exchange.first?.subarray(exchange.firstStart, exchange.firstEnd) as Buffer;
      expect(decode(encoded).equals(TEXT)).toBe(true);
      expect(exchange.sentBodyKind).toBe(BODY_LENGTH);
      expect(exchange.sentBodyLength).toBe(encoded.length);
      expect(valuesOf(sent, "content-encoding")).toEqual([coding]);
      expect(valuesOf(sent, "vary")).toEqual(["Accept-Encoding"]);
      expect(exchange.plan.coder).toBeUndefined();
    });
  }

  test("leaves as it is where the coding would make it no smaller", () => {
    const noise = crypto.getRandomValues(Buffer.alloc(500));
    const { exchange, sent } = answered(asking(GZIP), {
      body: noise,
      lines: ["Content-Type: text/plain", 'ETag: "a"'],
    });
    expect(exchange.first).toBe(noise);
    expect(valuesOf(sent, "content-encoding")).toEqual([]);
    expect(valuesOf(sent, "etag")).toEqual(['"a"']);
    expect(valuesOf(sent, "vary")).toEqual(["Accept-Encoding"]);
  });
});

describe("which answers are compressed", () => {
  type Row = readonly [rule: string, verdict: CompressVerdict, lines: readonly string[], parts?: Answered];
  const rows: readonly Row[] = [
    ["text is", "gzip", [GZIP]],
    [
      "a type is compared without parameters and case (RFC 9110 §8.3.1)",
      "gzip",
      [GZIP],
      { lines: ["Content-Type: Text/HTML ;charset=utf-8"] },
    ],
    ["an exact type is", "gzip", [GZIP], { lines: ["Content-Type: application/json"] }],
    ["another type is not", "type", [GZIP], { lines: ["Content-Type: image/png"] }],
    ["an unknown type is not", "type", [GZIP], { lines: [] }],
    [
      "two types are none",
      "type",
      [GZIP],
      { lines: ["Content-Type: text/plain", "Content-Type: text/html"] },
    ],
    [
      "gRPC never is, whatever the route says",
      "type",
      [GZIP],
      { lines: ["Content-Type: application/grpc+proto"], config: { types: ["application/*"] } },
    ],
    ["errors of endpoints are", "gzip", [GZIP], { status: 500 }],
    ["204 has no body", "status", [GZIP], { status: 204 }],
    ["205 has none (RFC 9110 §15.3.6)", "status", [GZIP], { status: 205 }],
    [
      "a part is not (§14.4)",
      "range",
      [GZIP],
      { status: 206, lines: ["Content-Type: text/plain", "Content-Range: bytes 0-9/2000"] },
    ],
    [
      "a body with a coding is not given another",
      "encoded",
      [GZIP],
      { lines: ["Content-Type: text/plain", "Content-Encoding: br"] },
    ],
    [
      "the sender forbids it (RFC 9111 §5.2.2.6)",
      "no_transform",
      [GZIP],
      { lines: ["Content-Type: text/plain", "Cache-Control: max-age=9, No-Transform"] },
    ],
    [
      "an extension that only begins so forbids nothing",
      "gzip",
      [GZIP],
      { lines: ["Content-Type: text/plain", "Cache-Control: no-transformers"] },
    ],
    ["the client forbids it (§5.2.1.6)", "asked_not_to", [GZIP, "Cache-Control: no-transform"]],
    [
      "a signed answer stays what was signed (RFC 9421)",
      "signed",
      [GZIP],
      { lines: ["Content-Type: text/plain", 'Signature-Input: a=("content-digest")'] },
    ],
    ["a short body is not worth it", "small", [GZIP], { body: TEXT.subarray(0, 99), length: 99 }],
    ["nor is nothing, with a bound of 0", "small", [GZIP], { length: 0, config: { minBytes: 0 } }],
    [
      "a short one of length not told neither, when it is here",
      "small",
      [GZIP],
      { body: TEXT.subarray(0, 50) },
    ],
    ["the bound itself is long enough", "gzip", [GZIP], { length: 100 }],
    ["a longer body than the route takes is not", "large", [GZIP], { length: 10_001 }],
    ["0 is no upper bound", "gzip", [GZIP], { length: 1e9, config: { maxBytes: 0 } }],
    ["a stream is", "gzip", [GZIP], { isStream: true }],
    ["a client that takes none gets none", "not_accepted", []],
    ["nor one that takes another", "not_accepted", ["Accept-Encoding: deflate"]],
    ["several lines are one list", "br", ["Accept-Encoding: gzip;q=0.1", "Accept-Encoding: br"]],
    [
      "a route that sets Content-Encoding knows what it does",
      "off",
      [GZIP],
      { edits: { set: [["Content-Encoding", "gzip"]], add: [], remove: [] } },
    ],
    [
      "a type that the route sets counts",
      "gzip",
      [GZIP],
      {
        lines: ["Content-Type: image/png"],
        edits: { set: [["Content-Type", "text/css"]], add: [], remove: [] },
      },
    ],
    [
      "no-transform that the route sets counts",
      "no_transform",
      [GZIP],
      { edits: { set: [["Cache-Control", "no-transform"]], add: [], remove: [] } },
    ],
  ];
  for (const [rule, verdict, lines, parts] of rows) {
    test(`${rule}: ${verdict}`, () => {
      const { exchange, compression } = prepared(asking(...lines), parts);
      expect(judgeCompression(exchange, compression)).toBe(verdict);
    });
  }

  test("while requests are turned away, none is", () => {
    const { exchange, compression } = prepared(asking(GZIP));
    exchange.plan.services.encoders.look(true);
    expect(judgeCompression(exchange, compression)).toBe("busy");
  });

  test("every reason has its row", () => {
    const seen = new Set(rows.map(([, verdict]) => verdict));
    const elsewhere = ["busy", "not_modified", "http10"];
    const missing = Object.keys(REFUSALS).filter(
      (key) => !seen.has(key as CompressVerdict) && !elsewhere.includes(key),
    );
    expect(missing).toEqual([]);
  });
});

describe("Vary (RFC 9110 §12.5.5)", () => {
  test("is added to an answer that another client would get in a coding", () => {
    expect(valuesOf(answered(asking()).sent, "vary")).toEqual(["Accept-Encoding"]);
    expect(valuesOf(answered(asking("Cache-Control: no-transform", GZIP)).sent, "vary")).toEqual([
      "Accept-Encoding",
    ]);
  });

  test("is not where nobody would", () => {
    expect(valuesOf(answered(asking(GZIP), { lines: ["Content-Type: image/png"] }).sent, "vary")).toEqual([]);
    expect(valuesOf(answered(asking(GZIP), { body: TEXT.subarray(0, 9), length: 9 }).sent, "vary")).toEqual(
      [],
    );
  });

  test("keeps what the endpoint says, and does not say it twice", () => {
    const varyOf = (...vary: string[]) =>
      valuesOf(answered(asking(GZIP), { lines: ["Content-Type: text/plain", ...vary] }).sent, "vary");
    expect(varyOf("Vary: Cookie")).toEqual(["Cookie", "Accept-Encoding"]);
    expect(varyOf("Vary: Cookie, accept-encoding")).toEqual(["Cookie, accept-encoding"]);
    expect(varyOf("Vary: Cookie", "Vary: Accept-Encoding")).toEqual(["Cookie", "Accept-Encoding"]);
    expect(varyOf("Vary: *")).toEqual(["*"]);
    expect(varyOf("Vary: X-Accept-Encoding")).toEqual(["X-Accept-Encoding", "Accept-Encoding"]);
  });

  test("counts where the route adds it", () => {
    const edits = { set: [], add: [["vary", "Accept-Encoding"] as const], remove: [] };
    expect(valuesOf(answered(asking(GZIP), { edits }).sent, "vary")).toEqual(["Accept-Encoding"]);
  });
});

describe("fields of a compressed answer", () => {
  const TYPE = "Content-Type: text/plain";
  const sentOf = (lines: readonly string[], parts: Answered = {}) =>
    answered(asking(GZIP), { ...parts, lines: [TYPE, ...lines] }).sent;

  test("a strong tag becomes weak, a weak one stays (RFC 9110 §8.8.1)", () => {
    expect(valuesOf(sentOf(['ETag: "v1"']), "etag")).toEqual(['W/"v1"']);
    expect(valuesOf(sentOf(['ETag: W/"v1"']), "etag")).toEqual(['W/"v1"']);
    const edits = { set: [["ETag", '"mine"'] as const], add: [], remove: [] };
    expect(valuesOf(sentOf(['ETag: "v1"'], { edits }), "etag")).toEqual(['W/"mine"']);
  });

  test("what is true of other bytes is left out: digests, and that parts of them can be had", () => {
    const lines = [
      "Content-MD5: x",
      "Digest: sha-256=x",
      "Content-Digest: a=:x:",
      "Repr-Digest: a=:x:",
      "Accept-Ranges: bytes",
    ];
    const names = (sent: readonly (readonly [string, string])[]) => sent.map(([name]) => name).sort();
    expect(names(sentOf(lines))).toEqual(["content-encoding", "content-type", "date", "vary"]);
    const edits = {
      set: [],
      add: [["Repr-Digest", "a=:y:"] as const, ["X-Other", "1"] as const],
      remove: [],
    };
    expect(names(sentOf([], { edits }))).toEqual([
      "content-encoding",
      "content-type",
      "date",
      "vary",
      "x-other",
    ]);
    expect(names(answered(asking(), { lines: [TYPE, ...lines] }).sent)).toContain("repr-digest");
  });

  test("HEAD says what GET says, but for the length, which is not known (RFC 9110 §9.3.2)", () => {
    const lines = [TYPE, 'ETag: "v1"', "Accept-Ranges: bytes"];
    const get = answered(asking(GZIP), { lines });
    const head = answered({ ...asking(GZIP), method: "HEAD" }, { lines });
    expect(head.sent).toEqual(get.sent);
    expect([head.exchange.sentBodyKind, head.exchange.sentBodyLength]).toEqual([BODY_NONE, LENGTH_UNKNOWN]);
    const short = answered({ ...asking(GZIP), method: "HEAD" }, { lines, length: 20 });
    expect([short.exchange.sentBodyLength, valuesOf(short.sent, "content-encoding")]).toEqual([20, []]);
  });
});

describe("304 (RFC 9110 §15.4.5)", () => {
  const etagOf = (held: string, lines: readonly string[] = ['ETag: "v1"']) =>
    valuesOf(answered(asking(GZIP, held), { status: 304, lines, length: 0 }).sent, "etag");

  test("has the Vary that 200 would have", () => {
    const { sent } = answered(asking(GZIP), { status: 304, lines: [], length: 0 });
    expect(valuesOf(sent, "vary")).toEqual(["Accept-Encoding"]);
    const image = answered(asking(GZIP), { status: 304, lines: ["Content-Type: image/png"], length: 0 });
    expect(valuesOf(image.sent, "vary")).toEqual([]);
  });

  test("names the tag that the client holds: weak for the compressed body, strong for the plain one", () => {
    expect(etagOf('If-None-Match: W/"v1"')).toEqual(['W/"v1"']);
    expect(etagOf('If-None-Match: "v0", W/"v1"')).toEqual(['W/"v1"']);
    expect(etagOf('If-None-Match: "v1"')).toEqual(['"v1"']);
    expect(etagOf('If-None-Match: W/"v1", "v1"')).toEqual(['"v1"']);
    expect(etagOf("If-None-Match: *")).toEqual(['"v1"']);
    expect(etagOf('If-None-Match: W/"v1"', ['ETag: W/"v1"'])).toEqual(['W/"v1"']);
    expect(etagOf('If-None-Match: W/"v1"', [])).toEqual([]);
  });
});

describe("HTTP/1.0, where only the end of the connection ends a body of unknown length", () => {
  test("a whole body is compressed: it has a length", () => {
    const { exchange } = answered({ ...asking(GZIP), isHttp10: true });
    expect([exchange.sentBodyKind, exchange.sentBodyLength < TEXT.length]).toEqual([BODY_LENGTH, true]);
  });

  test("one that comes bit by bit is not", () => {
    const { exchange, compression } = prepared({ ...asking(GZIP), isHttp10: true }, { length: 5000 });
    expect(judgeCompression(exchange, compression)).toBe("http10");
  });
});

describe("answers of our own", () => {
  const respond = (body: Buffer, method = "GET") => {
    const route = fixedRoute({
      compress: new Compression(CONFIG),
      action: { kind: "respond", status: 200, body, lines: "Content-Type: text/plain\r\n" },
    });
    const { exchange } = fakeExchange({ ...asking(GZIP), method, site: fakeSite([route]) });
    run(exchange, "receive");
    return exchange;
  };

  test("are compressed like others", () => {
    const exchange = respond(TEXT);
    expect(valuesOf(sentBy(exchange), "content-encoding")).toEqual(["gzip"]);
    expect(zlib.gunzipSync(exchange.first as Buffer).equals(TEXT)).toBe(true);
  });

  test("and are not where they are short", () => {
    const exchange = respond(Buffer.from("pong"));
    expect([valuesOf(sentBy(exchange), "content-encoding"), exchange.sentBodyLength]).toEqual([[], 4]);
  });
});

test("a worker without room for an encoder sends a stream as it is, and says that it varies", () => {
  const { exchange } = prepared(asking(GZIP), { isStream: true });
  exchange.plan.services.budget.usedBytes = 900_000;
  answer(exchange);
  expect(valuesOf(sentBy(exchange), "content-encoding")).toEqual([]);
  expect(valuesOf(sentBy(exchange), "vary")).toEqual(["Accept-Encoding"]);
  expect(exchange.plan.coder).toBeUndefined();
});

test("the level is the route's, or what the load allows", () => {
  expect(levelOf({ ...CONFIG, level: 7 }, { level: 2 })).toBe(7);
  expect(levelOf(CONFIG, { level: 2 })).toBe(2);
});

test("who stores bodies in their codings chooses and encodes as answers do", () => {
  const coding = chooseCoding("br, gzip;q=0.5", CONFIG);
  expect(coding).toBe("br");
  expect(zlib.brotliDecompressSync(compressWhole(TEXT, "br", 3)).equals(TEXT)).toBe(true);
  expect(chooseCoding(undefined, CONFIG)).toBeUndefined();
});

test("ever new values are judged right too, and do not pile up", () => {
  const compression = new Compression(CONFIG);
  for (let index = 0; index < 2000; index++) {
    expect(compression.takesType(`text/plain; v=${index}`)).toBe(true);
    expect(compression.choose(`gzip;q=0.${index % 1000}, x-${index}`).coding).toBe(
      index % 1000 === 0 ? undefined : "gzip",
    );
  }
});
