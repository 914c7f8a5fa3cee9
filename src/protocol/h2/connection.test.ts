import { expect, test } from "bun:test";
import { Chance } from "../../../tests/laws/chance.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../../core/body.ts";
import { fieldsOfLines } from "../../core/fields.ts";
import { CANCEL, PREFACE, REFUSED_STREAM } from "./codes.table.ts";
import { H2Connection } from "./connection.ts";
import type { Head } from "./head.ts";
import type { H2RequestToWrite } from "./head-writer.ts";
import type { H2Events, H2Settings } from "./link.ts";
import { setPriority } from "./priority.ts";
import type { H2Stream } from "./stream.ts";

const SETTINGS: H2Settings = {
  maxStreams: 10,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 100_000,
  headBytes: 32_768,
  fields: 100,
  extendedConnect: false,
};

/** Notes what a connection tells, and uses body bytes up at once unless told not to. */
class Notes implements H2Events {
  readonly told: string[] = [];
  readonly streams: H2Stream[] = [];
  bodyBytes = 0;
  doesConsume = true;
  priority = "";
  onStream: (stream: H2Stream, head: Head) => void = () => undefined;
  onOpen: (stream: H2Stream) => void = () => undefined;
  connection!: H2Connection;

  onHead(stream: H2Stream, head: Head, isEnd: boolean): void {
    const first = head.status === 0 ? `${head.method} ${head.path}` : `${head.status}`;
    this.told.push(`${stream.id} ${first}${isEnd ? " end" : ""}`);
    this.streams.push(stream);
    this.onStream(stream, head);
    this.connection.releaseHead(head);
  }
  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void {
    this.bodyBytes += bytes.length;
    if (isEnd) this.told.push(`${stream.id} body end`);
    if (this.doesConsume) this.connection.consumed(stream, bytes.length);
  }
  onTrailers(stream: H2Stream, lines: string): void {
    this.told.push(`${stream.id} trailers ${lines.trim()}`);
  }
  onReset(stream: H2Stream, code: number): void {
    this.told.push(`${stream.id} reset ${code}`);
  }
  onWritable(stream: H2Stream): void {
    this.told.push(`${stream.id} writable`);
    this.onOpen(stream);
  }
  onRefused(reason: string): void {
    this.told.push(`refused: ${reason}`);
  }
  onGoaway(last: number, code: number): void {
    this.told.push(`goaway ${last} ${code}`);
  }
  onSettings(): void {}
  prioritise(stream: H2Stream): void {
    setPriority(stream, this.priority);
  }
}

function chances(count: number): (() => number)[] {
  return Array.from({ length: count }, (_, seed) => {
    const chance = new Chance(seed + 1);
    return () => chance.next();
  });
}

function pair(server: Partial<H2Settings> = {}, client: Partial<H2Settings> = {}) {
  const [atServer, atClient] = [new Notes(), new Notes()];
  atServer.connection = new H2Connection("server", { ...SETTINGS, ...server }, atServer);
  atClient.connection = new H2Connection("client", { ...SETTINGS, ...client }, atClient);
  atServer.connection.start();
  atClient.connection.start();
  return { atServer, atClient, server: atServer.connection, client: atClient.connection };
}

type Pair = ReturnType<typeof pair>;

/** Takes what a connection has to send. */
function output(connection: H2Connection): Buffer {
  connection.pump();
  if (!connection.hasOutput) return Buffer.alloc(0);
  const bytes = Buffer.from(connection.out.bytes.subarray(0, connection.out.length));
  connection.outputDone();
  return bytes;
}

/** Carries bytes both ways, cut as `cut` says, until nobody has more to say. */
function carry({ client, server }: Pair, cut: (bytes: Buffer) => Buffer[] = (bytes) => [bytes]): void {
  for (let round = 0; round < 10_000; round++) {
    const up = output(client);
    const down = output(server);
    if (up.length === 0 && down.length === 0) return;
    for (const piece of up.length > 0 ? cut(up) : []) server.feed(piece, 1000);
    for (const piece of down.length > 0 ? cut(down) : []) client.feed(piece, 1000);
  }
  throw new Error("the peers never stop talking");
}

function request(parts: Partial<H2RequestToWrite> = {}): H2RequestToWrite {
  return {
    upstreamMethod: "GET",
    upstreamTarget: "/",
    requestFields: fieldsOfLines("Accept: */*\r\n"),
    upstreamDropLow: 0,
    upstreamDropHigh: 0,
    upstreamAdded: "",
    upstreamIdLines: "",
    requestBodyKind: BODY_NONE,
    requestBodyLength: -1,
    upgrade: "",
    scheme: "https",
    authority: "a.test",
    protocol: "",
    takesTrailers: false,
    ...parts,
  };
}

function response(status = 200, length = -1) {
  const responseFields = fieldsOfLines("Server: test\r\n");
  return { sentStatus: status, reason: "", responseFields, sentAdded: "", sentBodyLength: length };
}

function opened(peers: Pair, parts: Partial<H2RequestToWrite> = {}, isEnd = true): H2Stream {
  const stream = peers.client.openStream("mine");
  if (stream === undefined) throw new Error("no stream");
  peers.client.sendRequest(stream, request(parts), isEnd);
  return stream;
}

test("a request and its response make one stream, which is forgotten afterwards", () => {
  const peers = pair();
  peers.atServer.onStream = (stream) => {
    peers.server.sendResponse(stream, response(200, 5), false);
    peers.server.sendData(stream, Buffer.from("hello"), true);
  };
  opened(peers);
  carry(peers);
  expect(peers.atServer.told).toEqual(["1 GET / end"]);
  expect(peers.atClient.told).toEqual(["1 200", "1 body end"]);
  expect([peers.client.activeStreams, peers.server.activeStreams]).toEqual([0, 0]);
});

test("bodies and trailers go both ways, whatever the cut of the bytes (seeded)", () => {
  for (const chance of chances(40)) {
    const peers = pair();
    const size = Math.floor(chance() * 300_000);
    peers.atServer.onStream = (stream) => {
      peers.server.sendInterim(stream, 103, "Link: </a>\r\n");
      peers.server.sendResponse(stream, response(), false);
      peers.server.sendData(stream, Buffer.alloc(size, 2), false);
      peers.server.sendTrailers(stream, "X-End: 1\r\n");
    };
    const stream = opened(peers, { requestBodyKind: BODY_STREAM }, false);
    peers.client.sendData(stream, Buffer.alloc(size, 1), false);
    peers.client.sendTrailers(stream, "X-Sum: 2\r\n");
    carry(peers, (bytes) => {
      const at = Math.floor(chance() * bytes.length);
      const again = Math.min(bytes.length, at + Math.floor(chance() * 30));
      const pieces = [bytes.subarray(0, at), bytes.subarray(at, again), bytes.subarray(again)];
      return pieces.filter((piece) => piece.length > 0).map((piece) => Buffer.from(piece));
    });
    expect(peers.atServer.bodyBytes).toBe(size);
    expect(peers.atClient.bodyBytes).toBe(size);
    expect(peers.atServer.told.filter((line) => !line.includes("writable"))).toEqual([
      "1 GET /",
      "1 trailers x-sum: 2",
    ]);
    expect(peers.atClient.told.filter((line) => !line.includes("writable"))).toEqual([
      "1 103",
      "1 200",
      "1 trailers x-end: 1",
    ]);
    expect([peers.client.activeStreams, peers.server.activeStreams]).toEqual([0, 0]);
    expect([peers.client.queuedBytes, peers.server.queuedBytes]).toEqual([0, 0]);
  }
});

test("a body waits when its bytes are not used up, and goes on with the credit (§5.2)", () => {
  const peers = pair();
  peers.atServer.doesConsume = false;
  const stream = opened(peers, { requestBodyKind: BODY_LENGTH, requestBodyLength: 200_000 }, false);
  expect(peers.client.sendData(stream, Buffer.alloc(200_000), true)).toBe(false);
  carry(peers);
  expect(peers.atServer.bodyBytes).toBe(65_535);
  expect(peers.client.queuedBytes).toBe(200_000 - 65_535);
  const [atServer] = peers.atServer.streams;
  peers.atServer.doesConsume = true;
  peers.server.consumed(atServer as H2Stream, 65_535);
  carry(peers);
  expect(peers.atServer.bodyBytes).toBe(200_000);
  expect(peers.atClient.told).toContain("1 writable");
});

test("a stream that stands still does not hold up the others' credit for ever: it returns when it closes", () => {
  const peers = pair();
  peers.atServer.doesConsume = false;
  for (let round = 0; round < 20; round++) {
    const stream = opened(peers, { requestBodyKind: BODY_STREAM }, false);
    peers.client.sendData(stream, Buffer.alloc(60_000), false);
    carry(peers);
    peers.client.reset(stream, CANCEL);
    carry(peers);
  }
  expect(peers.atServer.bodyBytes).toBe(20 * 60_000);
});

test("a full socket holds bodies back, not heads", () => {
  const peers = pair();
  peers.atServer.onStream = (stream) => {
    peers.server.isOutputBlocked = true;
    peers.server.sendResponse(stream, response(), false);
    expect(peers.server.sendData(stream, Buffer.alloc(10), true)).toBe(false);
  };
  opened(peers);
  carry(peers);
  expect(peers.atClient.told).toEqual(["1 200"]);
  peers.server.isOutputBlocked = false;
  carry(peers);
  expect(peers.atClient.told).toEqual(["1 200", "1 body end"]);
  expect(peers.atServer.told).toContain("1 writable");
});

test("more streams than allowed are refused, and can be asked for again (§5.1.2)", () => {
  const peers = pair({ maxStreams: 2 });
  // the client has not read the server's settings yet: it opens what it likes
  for (let index = 0; index < 3; index++) opened(peers);
  carry(peers);
  expect(peers.atClient.told).toEqual([`5 reset ${REFUSED_STREAM}`]);
  expect(peers.client.openStream("mine")).toBeUndefined();
  expect(peers.server.failure).toBeUndefined();
});

test("after GOAWAY streams that are open finish, and no new ones open (§6.8)", () => {
  const peers = pair();
  const stream = opened(peers);
  carry(peers);
  peers.server.goaway();
  carry(peers);
  expect(peers.atClient.told).toEqual(["goaway 1 0"]);
  expect(peers.client.openStream("mine")).toBeUndefined();
  peers.server.sendResponse(peers.atServer.streams[0] as H2Stream, response(204), true);
  carry(peers);
  expect(stream.isClosed).toBe(true);
  expect(peers.atClient.told).toContain("1 204 end");
});

test("the more urgent of two waiting responses goes first (RFC 9218 §10)", () => {
  const peers = pair({}, { connectionWindowBytes: 65_535 });
  peers.atClient.doesConsume = false;
  const order: number[] = [];
  peers.atServer.onStream = (stream, head) => {
    peers.atServer.priority = head.path.slice(1);
    peers.server.sendResponse(stream, response(), false);
    peers.server.sendData(stream, Buffer.alloc(80_000), true);
  };
  peers.atServer.onOpen = (stream) => order.push(stream.id);
  const streams = ["/u=3", "/u=5", "/u=1"].map((upstreamTarget) => opened(peers, { upstreamTarget }));
  carry(peers);
  peers.atClient.doesConsume = true;
  peers.client.consumed(streams[0] as H2Stream, peers.atClient.bodyBytes);
  carry(peers);
  expect(order).toEqual([5, 1, 3]);
  expect(peers.atClient.bodyBytes).toBe(240_000);
});

test("a reset stream drops what waited for it", () => {
  const peers = pair();
  peers.atServer.doesConsume = false;
  const stream = opened(peers, { requestBodyKind: BODY_STREAM }, false);
  peers.client.sendData(stream, Buffer.alloc(500_000), false);
  carry(peers);
  expect(peers.client.queuedBytes).toBeGreaterThan(0);
  peers.client.reset(stream, CANCEL);
  carry(peers);
  expect(peers.client.queuedBytes).toBe(0);
  expect(peers.atServer.told).toEqual(["1 GET /", `1 reset ${CANCEL}`]);
  expect(peers.server.activeStreams).toBe(0);
});

test("a request that is reset in the same breath is never told: it is worth no connection to an endpoint", () => {
  const peers = pair();
  for (let round = 0; round < 5; round++) peers.client.reset(opened(peers), CANCEL);
  const last = opened(peers);
  carry(peers);
  expect(peers.atServer.told.filter((line) => line.includes("GET"))).toEqual([`${last.id} GET / end`]);
  expect(peers.server.activeStreams).toBe(1);
});

test("a head larger than a frame is cut into CONTINUATION frames, and read as one", () => {
  const peers = pair();
  const lines = Array.from({ length: 60 }, (_, index) => `X-${index}: ${"é~".repeat(200)}\r\n`).join("");
  let fields = 0;
  peers.atServer.onStream = (_stream, head) => {
    fields = head.fields.count;
  };
  opened(peers, { requestFields: fieldsOfLines(lines) });
  carry(peers);
  expect(peers.server.failure).toBeUndefined();
  expect(fields).toBe(61); // and host
});

test("what a closed connection lent is given back: nothing is written any more", () => {
  const { server } = pair();
  output(server);
  server.feed(Buffer.from("GET / HTTP/1.1\r\n\r\n"), 0);
  expect(server.failure?.detail).toContain("preface");
  const [goaway] = [output(server)];
  expect(goaway[3]).toBe(7);
  server.feed(Buffer.from(PREFACE), 0);
  expect(server.hasOutput).toBe(false);
});

test("garbage behind the preface never throws, and ends in GOAWAY or silence (seeded)", () => {
  for (const chance of chances(300)) {
    const { server } = pair();
    server.feed(Buffer.from(PREFACE), 0);
    server.feed(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), 0);
    for (let piece = 0; piece < 20 && !server.isBroken; piece++) {
      const bytes = Buffer.from(Array.from({ length: 40 }, () => Math.floor(chance() * 256)));
      bytes[0] = 0;
      bytes[1] = 0;
      bytes[2] = Math.floor(chance() * 31);
      bytes[3] = Math.floor(chance() * 11);
      server.feed(bytes, piece);
      output(server);
    }
    expect(server.activeStreams).toBeLessThanOrEqual(SETTINGS.maxStreams);
  }
});
