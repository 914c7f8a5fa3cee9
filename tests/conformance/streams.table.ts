/**
 * Stream rules: their states, flow control and blocks in several frames (RFC 9113 §5, §6.9, §6.10, §7).
 */
import {
  CODE,
  continuation,
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW,
  data,
  FRAME,
  fieldBlock,
  frame,
  goaway,
  headers,
  MAX_WINDOW,
  ping,
  priority,
  rstStream,
  SETTING,
  settings,
  windowUpdate,
} from "../support/h2-frames.ts";
import { type H2Peer, isSettingsAck } from "../support/h2-peer.ts";
import {
  answered,
  anyError,
  connectionError,
  get,
  isAlive,
  type Outcome,
  post,
  type Rule,
  requestTo,
  streamError,
} from "./rule.ts";

const protocolError = connectionError(CODE.protocol);
const frameSizeError = connectionError(CODE.frameSize);
const isData = (bytes: number) => (one: { type: number; payload: Buffer }) =>
  one.type === FRAME.data && one.payload.length === bytes;

/** The next DATA frame carries exactly so many bytes. */
const dataOf =
  (bytes: number, times = 1): Outcome =>
  (peer) =>
    peer.until(() => peer.count(isData(bytes)) >= times, `a DATA frame of ${bytes} bytes`);

/** A whole exchange on stream 1, so that the stream is closed. */
async function exchange(peer: H2Peer): Promise<void> {
  peer.send(headers(1, get(peer)));
  await peer.until(() => peer.isEnded(1), "the answer on stream 1");
}

/** A request is answered before its end, and its stream is reset: nobody awaits the rest (§8.1). */
async function answeredEarly(peer: H2Peer): Promise<void> {
  peer.send(headers(1, requestTo(peer, "/at-once", "POST"), { end: false }));
  await peer.until(() => peer.isEnded(1) && peer.resetCode(1) === CODE.none, "answer and reset of stream 1");
}

/** Stream 1 is reset, or reset once more, for what came on it when it was closed. */
const resetAgain: Outcome = async (peer) => {
  const isForClosed = (one: { type: number; stream: number; payload: Buffer }) =>
    one.type === FRAME.rstStream && one.stream === 1 && one.payload.readUInt32BE(0) === CODE.streamClosed;
  await peer.until(() => peer.has(isForClosed), "RST_STREAM with STREAM_CLOSED");
  await isAlive(peer);
};

const windowOfZero = [[SETTING.initialWindowSize, 0]] as const;

const STATES: readonly Rule[] = [
  ...(
    [
      ["DATA", () => data(1, "test", { end: true })],
      ["RST_STREAM", () => rstStream(1, CODE.cancel)],
      ["WINDOW_UPDATE", () => windowUpdate(1, 100)],
      ["CONTINUATION", (peer: H2Peer) => continuation(1, get(peer))],
    ] as const
  ).map(
    ([what, make]): Rule => ({
      section: "5.1",
      rule: `${what} on an idle stream is a connection error`,
      act: (peer) => peer.send(make(peer)),
      outcome: protocolError,
    }),
  ),
  {
    section: "5.1",
    rule: "PRIORITY on an idle stream is taken",
    act: (peer) => peer.send(priority(1, 0), headers(1, get(peer))),
    outcome: answered(1),
  },
  {
    section: "5.1",
    rule: "DATA on a stream that the client has ended is a stream error",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), data(1, "test", { end: true })),
    outcome: anyError(1, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "HEADERS on a stream that the client has ended are an error",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), headers(1, get(peer))),
    outcome: anyError(1, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "CONTINUATION on a stream that the client has ended is an error",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), continuation(1, get(peer))),
    outcome: connectionError(CODE.protocol, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "WINDOW_UPDATE on a stream that the client has ended counts",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), windowUpdate(1, 1)),
    outcome: dataOf(1),
  },
  {
    section: "5.1",
    rule: "PRIORITY on a stream that the client has ended is taken",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), priority(1, 0), windowUpdate(1, 1)),
    outcome: dataOf(1),
  },
  {
    section: "5.1",
    rule: "RST_STREAM on a stream that the client has ended is taken",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), rstStream(1, CODE.cancel)),
    outcome: isAlive,
  },
  {
    section: "5.1",
    rule: "DATA after the client's RST_STREAM is an error",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), rstStream(1, CODE.cancel), data(1, "x", { end: true })),
    outcome: anyError(1, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "HEADERS after the client's RST_STREAM are an error",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), rstStream(1, CODE.cancel), headers(1, get(peer))),
    outcome: anyError(1, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "what still comes on a stream that the server has reset is ignored",
    async act(peer) {
      await answeredEarly(peer);
      peer.send(windowUpdate(1, 0), data(1, "x"), headers(1, [["x-a", "b"]], { end: false }));
    },
    outcome: isAlive,
  },
  ...(
    [
      ["DATA", data(1, "x", { end: true }), resetAgain],
      ["HEADERS", headers(1, [["x-a", "b"]]), connectionError(CODE.streamClosed)],
    ] as const
  ).map(
    ([what, bytes, outcome]): Rule => ({
      section: "5.1",
      rule: `${what} after the client's RST_STREAM on a stream that the server has reset is an error`,
      async act(peer) {
        await answeredEarly(peer);
        peer.send(rstStream(1, CODE.cancel), bytes);
      },
      outcome,
    }),
  ),
  {
    section: "5.1",
    rule: "CONTINUATION after the client's RST_STREAM is a connection error",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), rstStream(1, CODE.cancel), continuation(1, [["x-a", "b"]])),
    outcome: connectionError(CODE.protocol, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "DATA on a closed stream is an error",
    async act(peer) {
      await exchange(peer);
      peer.send(data(1, "test", { end: true }));
    },
    outcome: anyError(1, CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "HEADERS on a closed stream are a connection error",
    async act(peer) {
      await exchange(peer);
      peer.send(headers(1, get(peer)));
    },
    outcome: connectionError(CODE.streamClosed),
  },
  {
    section: "5.1",
    rule: "CONTINUATION on a closed stream is a connection error",
    async act(peer) {
      await exchange(peer);
      peer.send(continuation(1, [["x-a", "b"]]));
    },
    outcome: connectionError(CODE.streamClosed, CODE.protocol),
  },
  ...(
    [
      ["WINDOW_UPDATE", windowUpdate(1, 10)],
      ["RST_STREAM", rstStream(1, CODE.cancel)],
      ["PRIORITY", priority(1, 0)],
    ] as const
  ).map(
    ([what, bytes]): Rule => ({
      section: "5.1",
      rule: `${what} on a stream just closed is ignored`,
      async act(peer) {
        await exchange(peer);
        peer.send(bytes);
      },
      outcome: isAlive,
    }),
  ),
  {
    section: "5.1.1",
    rule: "a stream id that is even is a connection error",
    act: (peer) => peer.send(headers(2, get(peer))),
    outcome: protocolError,
  },
  {
    section: "5.1.1",
    rule: "a stream id below an earlier one is a connection error",
    act: (peer) => peer.send(headers(5, get(peer)), headers(3, get(peer))),
    outcome: connectionError(CODE.protocol, CODE.streamClosed),
  },
  {
    section: "5.1.1",
    rule: "stream ids may be left out",
    act: (peer) => peer.send(headers(1, get(peer)), headers(101, get(peer))),
    outcome: answered(101),
  },
  {
    section: "5.1.2",
    rule: "a stream beyond the announced limit is refused",
    settings: windowOfZero,
    act(peer) {
      const limit = peer.settings.get(SETTING.maxConcurrentStreams) ?? Number.NaN;
      if (!(limit <= 1000)) throw new Error(`the server announces ${limit} streams`);
      for (let index = 0; index <= limit; index++) peer.send(headers(2 * index + 1, get(peer)));
    },
    outcome: (peer) =>
      anyError(
        2 * (peer.settings.get(SETTING.maxConcurrentStreams) ?? 0) + 1,
        CODE.refusedStream,
        CODE.protocol,
      )(peer),
  },
  {
    section: "RFC 7540 5.3.1",
    rule: "HEADERS that depend on their own stream are an error",
    act: (peer) => peer.send(headers(1, get(peer), { priority: { dependsOn: 1 } })),
    outcome: anyError(1, CODE.protocol),
  },
  {
    section: "RFC 7540 5.3.1",
    rule: "PRIORITY that depends on its own stream is an error",
    act: (peer) => peer.send(priority(1, 1)),
    outcome: anyError(1, CODE.protocol),
  },
  {
    section: "5.4.1",
    rule: "GOAWAY of a connection error names the last stream that was begun",
    act: (peer) => peer.send(headers(1, get(peer)), headers(7, get(peer)), ping("short")),
    async outcome(peer) {
      await frameSizeError(peer);
      const last = peer.frames.findLast(({ type }) => type === FRAME.goaway)?.payload.readUInt32BE(0);
      if (last !== 7) throw new Error(`GOAWAY names stream ${last}, not 7`);
    },
  },
  {
    section: "5.5",
    rule: "an unknown frame within a header block is a connection error",
    act: (peer) => peer.send(headers(1, get(peer), { endHeaders: false }), frame({ type: 0x16, stream: 0 }, "x")),
    outcome: protocolError,
  },
];

const FLOW_CONTROL: readonly Rule[] = [
  {
    section: "6.9",
    rule: "WINDOW_UPDATE of 0 on the connection is a connection error",
    act: (peer) => peer.send(windowUpdate(0, 0)),
    outcome: protocolError,
  },
  {
    section: "6.9",
    rule: "WINDOW_UPDATE of 0 on a stream is a stream error",
    act: (peer) => peer.send(headers(1, post(peer), { end: false }), windowUpdate(1, 0)),
    outcome: streamError(1, CODE.protocol),
  },
  {
    section: "6.9",
    rule: "WINDOW_UPDATE that is not 4 bytes is a connection error of its size",
    act: (peer) => peer.send(frame({ type: FRAME.windowUpdate }, "\0\0\x01")),
    outcome: frameSizeError,
  },
  {
    section: "6.9.1",
    rule: "no more is sent than a window of 1 allows",
    settings: [[SETTING.initialWindowSize, 1]],
    act: (peer) => peer.send(headers(1, get(peer))),
    outcome: dataOf(1),
  },
  {
    section: "6.9.1",
    rule: "a connection's window beyond 2^31-1 is a connection error of flow control",
    act: (peer) => peer.send(windowUpdate(0, MAX_WINDOW), windowUpdate(0, MAX_WINDOW)),
    outcome: connectionError(CODE.flowControl),
  },
  {
    section: "6.9.1",
    rule: "a stream's window beyond 2^31-1 is a stream error of flow control",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), windowUpdate(1, MAX_WINDOW), windowUpdate(1, MAX_WINDOW)),
    outcome: streamError(1, CODE.flowControl),
  },
  {
    section: "6.9.1",
    rule: "more DATA than the server's window is an error of flow control",
    act(peer) {
      const window = peer.settings.get(SETTING.initialWindowSize) ?? DEFAULT_WINDOW;
      // nobody takes what goes there, so nothing is given back
      peer.send(headers(1, requestTo(peer, "/nowhere", "POST"), { end: false }));
      for (let sent = 0; sent <= window; sent += DEFAULT_FRAME_BYTES)
        peer.send(data(1, Buffer.alloc(DEFAULT_FRAME_BYTES)));
    },
    outcome: anyError(1, CODE.flowControl),
  },
  {
    section: "6.9.2",
    rule: "a new initial window changes the windows of open streams",
    settings: windowOfZero,
    act: (peer) => peer.send(headers(1, get(peer)), settings([SETTING.initialWindowSize, 1])),
    outcome: dataOf(1),
  },
  {
    section: "6.9.2",
    rule: "a window may become negative, and is counted on from there",
    settings: [[SETTING.initialWindowSize, 3]],
    async act(peer) {
      peer.send(headers(1, get(peer)));
      await dataOf(3)(peer);
      peer.send(settings([SETTING.initialWindowSize, 2]));
      await peer.until(() => peer.count(isSettingsAck) === 2, "the acknowledgement");
      peer.send(windowUpdate(1, 2));
    },
    outcome: dataOf(1),
  },
  {
    section: "6.9.2",
    rule: "an initial window that takes a stream's beyond 2^31-1 is a connection error of flow control",
    settings: windowOfZero,
    act: (peer) =>
      peer.send(
        headers(1, get(peer)),
        windowUpdate(1, MAX_WINDOW),
        settings([SETTING.initialWindowSize, DEFAULT_FRAME_BYTES]),
      ),
    outcome: connectionError(CODE.flowControl),
  },
  {
    section: "6.10",
    rule: "a block may come in several CONTINUATION frames, empty ones among them",
    act: (peer) =>
      peer.send(
        headers(1, get(peer), { endHeaders: false }),
        continuation(1, [["x-a", "1"]], false),
        continuation(1, Buffer.alloc(0), false),
        continuation(1, [["x-b", "2"]]),
      ),
    outcome: answered(1),
  },
  {
    section: "6.10",
    rule: "a block may be cut anywhere",
    act(peer) {
      const block = fieldBlock(get(peer, ["x-cut", "anywhere"]));
      peer.send(headers(1, block.subarray(0, 5), { endHeaders: false }));
      peer.send(continuation(1, block.subarray(5, 13), false), continuation(1, block.subarray(13)));
    },
    outcome: answered(1),
  },
  ...(
    [
      ["after a block that has ended", (peer: H2Peer) => headers(1, get(peer), { end: false })],
      ["after DATA", (peer: H2Peer) => Buffer.concat([headers(1, post(peer), { end: false }), data(1, "x")])],
    ] as const
  ).map(
    ([what, before]): Rule => ({
      section: "6.10",
      rule: `CONTINUATION ${what} is a connection error`,
      act: (peer) => peer.send(before(peer), continuation(1, [["x-a", "b"]])),
      outcome: protocolError,
    }),
  ),
  {
    section: "6.10",
    rule: "CONTINUATION on stream 0 is a connection error",
    act: (peer) => peer.send(headers(1, get(peer), { endHeaders: false }), continuation(0, [["x-a", "b"]])),
    outcome: protocolError,
  },
  {
    section: "7",
    rule: "GOAWAY with an unknown code is no special matter",
    act: (peer) => peer.send(headers(1, get(peer)), goaway(0, 0xff)),
    outcome: answered(1),
  },
  {
    section: "7",
    rule: "RST_STREAM with an unknown code is no special matter",
    act: (peer) => peer.send(headers(1, post(peer), { end: false }), rstStream(1, 0xff)),
    outcome: isAlive,
  },
];

export const STREAMS: readonly Rule[] = [...STATES, ...FLOW_CONTROL];
