/** Link and what it joins: mistakes, streams and credit of one connection, told by frames as a client sends them. */
import { expect, test } from "bun:test";
import * as wire from "../../../tests/support/h2-frames.ts";
import { fieldsOfLines } from "../../core/fields.ts";
import { NO_ERROR } from "./codes.table.ts";
import { H2Connection } from "./connection.ts";
import type { Head } from "./head.ts";
import type { H2Events, H2Settings } from "./link.ts";
import type { H2Stream } from "./stream.ts";

const { CODE, FRAME, SETTING } = wire;
const LIMITS: H2Settings = {
  maxStreams: 5,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
  headBytes: 32_768,
  fields: 100,
  extendedConnect: false,
};
const GET = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a.test"],
] as const;
const POST = [[":method", "POST"], ...GET.slice(1)] as const;

class Notes implements H2Events {
  readonly told: string[] = [];
  readonly streams: H2Stream[] = [];
  bodyBytes = 0;
  onStream: (stream: H2Stream) => void = () => undefined;
  connection: H2Connection | undefined;
  onHead(stream: H2Stream, head: Head): void {
    this.told.push(`${stream.id} head`);
    this.streams.push(stream);
    this.onStream(stream);
    this.connection?.releaseHead(head);
  }
  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void {
    this.bodyBytes += bytes.length;
    this.told.push(`${stream.id} body ${bytes.length}${isEnd ? " end" : ""}`);
  }
  onTrailers = (stream: H2Stream) => void this.told.push(`${stream.id} trailers`);
  onReset = (stream: H2Stream, code: number) => void this.told.push(`${stream.id} reset ${code}`);
  onWritable = (stream: H2Stream) => void this.told.push(`${stream.id} writable`);
  onRefused = (reason: string) => void this.told.push(`refused ${reason}`);
  onGoaway = () => void this.told.push("goaway");
  onSettings = () => undefined;
  prioritise(stream: H2Stream): void {
    stream.urgency = 3;
  }
}

/** A server that has read a client's preface and settings. */
function served(limits: Partial<H2Settings> = {}) {
  const notes = new Notes();
  const server = new H2Connection("server", { ...LIMITS, ...limits }, notes);
  notes.connection = server;
  server.start();
  let nowMs = 1000;
  const said = () => {
    if (!server.hasOutput) return [];
    const { frames } = wire.takeFrames(Buffer.from(server.out.bytes.subarray(0, server.out.length)));
    server.outputDone();
    return frames;
  };
  const send = (...frames: readonly Buffer[]) => server.feed(Buffer.concat(frames), nowMs);
  send(wire.PREFACE, wire.settings());
  said();
  return { notes, server, send, said, tick: (ms: number) => (nowMs += ms) };
}

/** What a server says of itself in RST_STREAM and GOAWAY. */
function verdicts(frames: readonly wire.Frame[]): string[] {
  return frames.flatMap(({ type, stream, payload }) => {
    if (type === FRAME.rstStream) return [`reset ${stream} ${payload.readUInt32BE(0)}`];
    if (type === FRAME.goaway) return [`goaway ${payload.readUInt32BE(0)} ${payload.readUInt32BE(4)}`];
    return [];
  });
}

const ok = {
  sentStatus: 200,
  reason: "",
  responseFields: fieldsOfLines(""),
  sentAdded: "",
  sentBodyLength: -1,
};
const padded = (payload: readonly number[]) =>
  wire.frame({ type: FRAME.headers, flags: wire.FLAG.padded | 4, stream: 1 }, Buffer.from(payload));
const priorityUpdate = (stream: number, on = 0) =>
  wire.frame({ type: 16, stream: on }, Buffer.concat([wire.uint32(stream), Buffer.from("u=1")]));

const MISTAKES: readonly [what: string, frames: readonly Buffer[], verdict: string][] = [
  ["HEADERS without room for the padding that they tell (§6.2)", [padded([])], `goaway 0 ${CODE.frameSize}`],
  ["HEADERS with more padding than they are long (§6.2)", [padded([9, 0])], `goaway 0 ${CODE.protocol}`],
  ["a priority update of no request (RFC 9218 §7.1)", [priorityUpdate(0)], `goaway 0 ${CODE.protocol}`],
  ["a priority update on a stream (RFC 9218 §7.1)", [priorityUpdate(1, 1)], `goaway 0 ${CODE.protocol}`],
  ["DATA on a stream that was never opened (§5.1)", [wire.data(1, "a")], `goaway 0 ${CODE.protocol}`],
  ["a stream of the server's numbers (§5.1.1)", [wire.headers(2, GET)], `goaway 0 ${CODE.protocol}`],
  ["DATA behind the end (§5.1)", [wire.headers(1, GET), wire.data(1, "a")], `reset 1 ${CODE.streamClosed}`],
  [
    "a head behind the end (§5.1)",
    [wire.headers(1, GET), wire.headers(1, GET)],
    `reset 1 ${CODE.streamClosed}`,
  ],
  [
    "an end in the midst of trailers (§8.1)",
    [wire.headers(1, POST, { end: false }), wire.headers(1, [["a", "b"]], { end: false })],
    `reset 1 ${CODE.protocol}`,
  ],
  [
    "a credit of nothing for a stream (§6.9)",
    [wire.headers(1, POST, { end: false }), wire.windowUpdate(1, 0)],
    `reset 1 ${CODE.protocol}`,
  ],
  [
    "more credit than there can be (§6.9.1)",
    [wire.windowUpdate(0, wire.MAX_WINDOW)],
    `goaway 0 ${CODE.flowControl}`,
  ],
];
for (const [what, frames, verdict] of MISTAKES) {
  test(`a client's mistake has its price: ${what}`, () => {
    const { send, said } = served();
    send(...frames);
    expect(verdicts(said())).toEqual([verdict]);
  });
}

test("the rest of a body that nobody awaits is forgotten, and its credit goes back (§5.4.2)", () => {
  const { notes, server, send, said } = served();
  for (let id = 1; id < 200; id += 2) {
    send(wire.headers(id, POST, { end: false }));
    server.sendResponse(notes.streams.at(-1) as H2Stream, ok, true);
    server.reset(notes.streams.at(-1) as H2Stream, NO_ERROR);
    send(wire.data(id, Buffer.alloc(10_000), { end: true }));
  }
  expect(server.failure).toBeUndefined();
  const frames = said();
  const credit = frames.filter(({ type, stream }) => type === FRAME.windowUpdate && stream === 0);
  const given = credit.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  expect(given).toBeGreaterThan(100 * 10_000 - 65_535);
  expect(verdicts(frames)).toHaveLength(100);
});

test("requests that are answered before their end are work done, though client and server reset them", () => {
  const { notes, server, send, said } = served();
  // as clients of gRPC do, without a pause: the allowance alone would be gone after 250
  for (let id = 1; id < 4000; id += 2) {
    send(wire.headers(id, POST, { end: false }));
    server.sendResponse(notes.streams.at(-1) as H2Stream, ok, true);
    server.reset(notes.streams.at(-1) as H2Stream, NO_ERROR);
    send(wire.rstStream(id, NO_ERROR));
    said();
  }
  expect(server.failure).toBeUndefined();
});

test("requests that are reset before they are answered are a flood (CVE-2023-44487)", () => {
  const { server, send, said } = served();
  for (let id = 1; id < 4000 && server.failure === undefined; id += 2) {
    send(wire.headers(id, GET), wire.rstStream(id, CODE.cancel));
    said();
  }
  expect(server.failure?.code).toBe(CODE.enhanceYourCalm);
});

test("mistakes that make the server reset streams are a flood too (CVE-2025-8671)", () => {
  const { server, send, said } = served();
  for (let id = 1; id < 4000 && server.failure === undefined; id += 2) {
    send(wire.headers(id, POST, { end: false }), wire.windowUpdate(id, 0));
    said();
  }
  expect(server.failure?.code).toBe(CODE.enhanceYourCalm);
});

test("until it has acknowledged smaller windows a client may use those of the protocol (§6.9.2)", () => {
  const { notes, server, send, said } = served({ streamWindowBytes: 16_384 });
  send(
    wire.headers(1, POST, { end: false }),
    ...Array.from({ length: 3 }, () => wire.data(1, Buffer.alloc(16_000))),
  );
  expect(notes.bodyBytes).toBe(48_000);
  send(wire.settingsAck());
  server.consumed(notes.streams[0] as H2Stream, 48_000);
  send(wire.headers(3, POST, { end: false }), wire.data(3, Buffer.alloc(16_384)), wire.data(3, "a"));
  expect(verdicts(said())).toEqual([`reset 3 ${CODE.flowControl}`]);
});

test("a connection is not idle before it has said all that comes first, nor in the midst of a frame", () => {
  const server = new H2Connection("server", LIMITS, new Notes());
  server.start();
  const steps: readonly [bytes: Buffer, isIdle: boolean][] = [
    [wire.PREFACE.subarray(0, 5), false],
    [wire.PREFACE.subarray(5), false],
    [wire.settings().subarray(0, 3), false],
    [wire.settings().subarray(3), true],
    [wire.headers(1, GET, { endHeaders: false }), false],
  ];
  for (const [bytes, isIdle] of steps) {
    server.feed(Buffer.from(bytes), 1000);
    expect(server.isIdle).toBe(isIdle);
  }
});

test("a table that was emptied and grew again is emptied at our side too (RFC 7541 §4.2)", () => {
  const { notes, server, send, said } = served();
  send(wire.settings([SETTING.headerTableSize, 0], [SETTING.headerTableSize, 4096]), wire.headers(1, GET));
  said();
  server.sendResponse(notes.streams[0] as H2Stream, ok, true);
  const [head] = said();
  expect([...(head?.payload ?? [])].slice(0, 4)).toEqual([0x20, 0x3f, 0xe1, 0x1f]);
});
