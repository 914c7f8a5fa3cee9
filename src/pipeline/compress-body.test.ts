import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import zlib from "node:zlib";
import { eventually } from "../../tests/support/eventually.ts";
import { type FakeServices, fakeExchange, fixedRoute } from "../../tests/support/fake-exchange.ts";
import { BODY_LENGTH, BODY_STREAM, LENGTH_UNKNOWN } from "../core/body.ts";
import { fail } from "../core/failure.ts";
import { fieldsOfLines } from "../core/fields.ts";
import type { Exchange } from "../session/exchange.ts";
import type { Encoder } from "../transport/encoder.ts";
import { answer } from "./answer.ts";
import { Compression } from "./compress-rules.ts";
import { Pipeline } from "./pipeline.ts";
import type { Planned } from "./plan.ts";

const KIB = 1024;
const NOTHING = Buffer.alloc(0);
const TEXT = Buffer.from(
  Array.from({ length: 30_000 }, (_, i) => `line ${i}: ${(i * 7919) % 1009}\n`).join(""),
);
const inflate = (bytes: Buffer) => zlib.gunzipSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH });

/** An exchange whose answer is a stream on its way to a client that can be slow. */
class Streamed {
  readonly exchange: Planned;
  readonly services: FakeServices;
  readonly pipeline: Pipeline;
  readonly calls: string[] = [];
  sent: Buffer[] = [];
  trailers: string | undefined;
  isSlow = false;
  isSourcePaused = false;

  constructor(options: { first?: Buffer; isEnd?: boolean; type?: string } = {}) {
    const { exchange, downstream, services } = fakeExchange({
      lines: ["Host: a.test", "Accept-Encoding: gzip"],
    });
    this.exchange = exchange;
    this.services = services;
    services.budget.limitBytes = 100 * KIB * KIB;
    this.pipeline = new Pipeline(services);
    Object.assign(downstream, {
      sendBody: (_: Exchange, bytes: Buffer) => this.#take(bytes),
      sendEnd: (_: Exchange, trailers: string) => {
        this.trailers = trailers;
      },
      abort: () => void this.calls.push("abort"),
      sendHead: (to: Exchange) => {
        to.isHeadSent = true;
        return to.first === undefined || this.#take(to.first.subarray(to.firstStart, to.firstEnd));
      },
    });
    exchange.upstream = {
      sendBody: () => true,
      sendEnd: () => {},
      pauseResponse: () => {
        this.isSourcePaused = true;
      },
      resumeResponse: () => {
        this.isSourcePaused = false;
        this.calls.push("resume");
      },
      cancel: () => void this.calls.push("cancel"),
    };
    exchange.plan.route = fixedRoute({
      compress: new Compression({ codings: ["gzip"], types: ["text/*"], minBytes: 1, maxBytes: 0, level: 5 }),
    });
    exchange.status = 200;
    exchange.responseFields = fieldsOfLines(`Content-Type: ${options.type ?? "text/plain"}\r\n`);
    exchange.responseBodyKind = options.isEnd === true ? BODY_LENGTH : BODY_STREAM;
    exchange.responseBodyLength = options.isEnd === true ? (options.first?.length ?? 0) : LENGTH_UNKNOWN;
    exchange.first = options.first;
    exchange.firstEnd = options.first?.length ?? 0;
    exchange.plan.isEnd = options.isEnd ?? false;
    if (options.isEnd === true) exchange.upstream = undefined;
  }

  begin(): this {
    answer(this.exchange);
    return this;
  }

  #take(bytes: Buffer): boolean {
    this.sent.push(bytes);
    return !this.isSlow;
  }

  /** What the client has, decoded as far as it goes. */
  get text(): string {
    const bytes = Buffer.concat(this.sent);
    return bytes.length === 0 ? "" : inflate(bytes).toString();
  }

  body(bytes: Buffer): void {
    this.pipeline.responseBody(this.exchange, bytes);
  }

  end(trailers = ""): void {
    this.exchange.upstream = undefined;
    this.pipeline.responseEnd(this.exchange, trailers);
  }

  get isClean(): boolean {
    return this.services.encoders.open === 0 && this.services.budget.usedBytes === 0;
  }
}

let streams: Streamed[] = [];
function streamed(options: ConstructorParameters<typeof Streamed>[0] = {}): Streamed {
  const stream = new Streamed(options).begin();
  streams.push(stream);
  return stream;
}
afterEach(() => {
  for (const { exchange } of streams) exchange.plan.coder?.close();
  streams = [];
});

describe("bytes on their way", () => {
  test("whatever the cuts, the client has the same bytes, and the encoder is given back", async () => {
    for (const size of [1, 100, 10_000, 64 * KIB, 300_000]) {
      const stream = streamed();
      const whole = size === 1 ? TEXT.subarray(0, 500) : TEXT;
      for (let at = 0; at < whole.length; at += size) stream.body(Buffer.from(whole.subarray(at, at + size)));
      stream.end("X-Sum: 1\r\n");
      await eventually(() => stream.trailers !== undefined);
      expect(stream.text).toBe(whole.toString());
      expect([stream.trailers, stream.isClean]).toEqual(["X-Sum: 1\r\n", true]);
      const { bytesIn, bytesOut } = stream.services.encoders;
      expect([bytesIn, bytesOut]).toEqual([whole.length, Buffer.concat(stream.sent).length]);
    }
  });

  test("no piece is empty: an empty chunk would end the body (RFC 9112 §7.1)", async () => {
    const stream = streamed();
    for (let at = 0; at < 3000; at += 3) stream.body(Buffer.from(TEXT.subarray(at, at + 3)));
    stream.end();
    await eventually(() => stream.trailers !== undefined);
    expect(stream.sent.every(({ length }) => length > 0)).toBe(true);
  });

  test("what came with the head leaves with it", () => {
    const stream = streamed({ first: TEXT.subarray(0, 1000) });
    expect(stream.sent.length).toBe(1);
    expect(stream.text).toBe(TEXT.subarray(0, 1000).toString());
  });

  test("what comes first leaves at once", () => {
    const stream = streamed();
    stream.body(Buffer.from("<html>"));
    expect(stream.text).toBe("<html>");
  });

  test("a pause of the source is no pause for what it has sent", async () => {
    const stream = streamed();
    stream.body(Buffer.from("to be "));
    stream.body(Buffer.from("continued"));
    await eventually(() => stream.text === "to be continued", 1000);
  });

  test("an event leaves at once", () => {
    const stream = streamed({ type: "Text/Event-Stream; charset=utf-8" });
    for (const [index, event] of ["data: 1\n\n", "data: 2\n\n"].entries()) {
      stream.body(Buffer.from(event));
      expect(stream.sent.length).toBe(index + 1);
      expect(stream.text.endsWith(event)).toBe(true);
    }
  });

  test("trailers pass, but for digests of other bytes", () => {
    const stream = streamed();
    stream.body(Buffer.from("x"));
    stream.end("Content-MD5: a\r\nServer-Timing: b\r\nrepr-digest: c\r\n");
    expect(stream.trailers).toBe("Server-Timing: b\r\n");
  });
});

describe("what is read at once and large", () => {
  test("is encoded in turns, others between them, with the source paused until it is done", async () => {
    const stream = streamed();
    const others: number[] = [];
    stream.body(Buffer.from(TEXT));
    expect([stream.isSourcePaused, stream.sent.length]).toEqual([true, 0]);
    const other = () => {
      others.push(stream.sent.length);
      if (stream.isSourcePaused) setImmediate(other);
    };
    setImmediate(other);
    await eventually(() => !stream.isSourcePaused);
    expect(new Set(others).size).toBeGreaterThan(3);
    stream.end();
    expect(stream.text).toBe(TEXT.toString());
  });

  test("a whole body that came with its head goes the same way", async () => {
    const stream = streamed({ first: TEXT, isEnd: true });
    expect([stream.exchange.sentBodyKind, stream.exchange.sentBodyLength]).toEqual([
      BODY_STREAM,
      LENGTH_UNKNOWN,
    ]);
    expect(stream.trailers).toBeUndefined();
    await eventually(() => stream.trailers === "");
    expect(stream.text).toBe(TEXT.toString());
    expect(stream.isClean).toBe(true);
  });

  test("counts as buffered while it waits", () => {
    const stream = streamed();
    const before = stream.services.budget.usedBytes;
    stream.body(Buffer.from(TEXT));
    expect(stream.services.budget.usedBytes).toBe(before + TEXT.length);
    stream.exchange.plan.coder?.close();
    expect(stream.isClean).toBe(true);
  });

  test("bytes that others read too are left as they are; those that nobody else has are given back", async () => {
    const stream = streamed();
    const pieces = [true, false, true, false].map((isShared) => {
      const bytes = Buffer.from(new Uint8Array(TEXT).buffer);
      stream.exchange.isBodyShared = isShared; // as the source says just before each piece
      stream.body(bytes);
      return { bytes, isShared };
    });
    stream.end();
    await eventually(() => stream.trailers !== undefined);
    for (const { bytes, isShared } of pieces) expect(bytes.length).toBe(isShared ? TEXT.length : 0);
    expect(stream.text).toBe(TEXT.toString().repeat(4));
  });
});

describe("a slow client", () => {
  test("pauses the source, and starts it again", () => {
    const stream = streamed({ type: "text/event-stream" });
    stream.isSlow = true;
    stream.body(randomBytes(1000));
    expect(stream.isSourcePaused).toBe(true);
    stream.isSlow = false;
    stream.pipeline.downstreamDrained(stream.exchange);
    expect(stream.isSourcePaused).toBe(false);
  });

  test("stops the turns of a large read, which go on where they were", async () => {
    const stream = streamed();
    stream.isSlow = true;
    const noise = randomBytes(500_000);
    const copy = Buffer.from(noise);
    stream.body(noise);
    await eventually(() => stream.sent.length > 0);
    const { length } = stream.sent;
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect([stream.sent.length, stream.isSourcePaused]).toEqual([length, true]);
    stream.end();
    stream.isSlow = false;
    stream.pipeline.downstreamDrained(stream.exchange);
    await eventually(() => stream.trailers !== undefined);
    expect(inflate(Buffer.concat(stream.sent)).equals(copy)).toBe(true);
    expect(stream.isClean).toBe(true);
  });

  test("that takes no more than the head is not sent more", async () => {
    const stream = new Streamed({ first: TEXT });
    streams.push(stream);
    stream.isSlow = true;
    stream.begin();
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect([stream.sent.length, stream.isSourcePaused]).toEqual([1, true]);
  });
});

describe("an exchange that ends early", () => {
  test("gives its encoder back when the client leaves, in the middle of a read too", async () => {
    const stream = streamed();
    stream.body(Buffer.from(TEXT));
    stream.pipeline.downstreamFailed(stream.exchange, fail("downstream_closed"));
    expect(stream.isClean).toBe(true);
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(stream.trailers).toBeUndefined();
    stream.body(Buffer.from("late"));
    stream.end();
    stream.pipeline.downstreamDrained(stream.exchange);
    expect(stream.trailers).toBeUndefined();
  });

  test("is cut when the source fails: an end would make the part look whole", () => {
    const stream = streamed();
    stream.body(Buffer.from("half of"));
    stream.pipeline.upstreamFailed(stream.exchange, fail("upstream_cut"));
    expect([stream.calls, stream.trailers, stream.isClean]).toEqual([["abort"], undefined, true]);
  });

  test("is cut when the encoder breaks, and the defect is told", () => {
    const stream = new Streamed();
    streams.push(stream);
    const { encoders } = stream.services;
    const take = encoders.take.bind(encoders);
    let encoder: Encoder | undefined;
    encoders.take = (...order) => {
      encoder = take(...order);
      return encoder;
    };
    stream.begin();
    encoder?.close();
    stream.body(Buffer.from("no more"));
    expect(stream.calls).toEqual(["cancel", "abort"]);
    expect(stream.exchange.failure?.code).toBe("internal");
    expect(stream.services.reported.length).toBe(1);
    expect([stream.sent, stream.isClean]).toEqual([[], true]);
  });
});

test("an empty read changes nothing", () => {
  const stream = streamed();
  stream.body(NOTHING);
  expect(stream.sent).toEqual([]);
});
