/**
 * Framing rules: how a connection starts, and each type of frame (RFC 9113 §3, §4, §6).
 */
import {
  CODE,
  continuation,
  DEFAULT_FRAME_BYTES,
  data,
  FLAG,
  FRAME,
  fieldBlock,
  frame,
  goaway,
  headers,
  hpackString,
  MAX_WINDOW,
  PREFACE,
  ping,
  priority,
  rstStream,
  SETTING,
  settings,
  uint32,
} from "../support/h2-frames.ts";
import { type H2Peer, isPingAck, isSettingsAck } from "../support/h2-peer.ts";
import {
  answered,
  anyError,
  connectionError,
  get,
  isAlive,
  isClosed,
  type Outcome,
  post,
  type Rule,
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
async function _exchange(peer: H2Peer): Promise<void> {
  peer.send(headers(1, get(peer)));
  await peer.until(() => peer.isEnded(1), "the answer on stream 1");
}

const _windowOfZero = [[SETTING.initialWindowSize, 0]] as const;

const STARTING: readonly Rule[] = [
  {
    section: "3.4",
    rule: "the server's SETTINGS are the first frame of a connection",
    act: () => undefined,
    outcome: async (peer) => {
      if (peer.frames[0]?.type !== FRAME.settings || peer.frames[0].flags !== 0) throw new Error(peer.story());
    },
  },
  {
    section: "3.4",
    rule: "a client's preface in single bytes is taken",
    begins: false,
    async act(peer) {
      peer.acknowledges = false; // it would come between the bytes
      for (const byte of PREFACE) {
        peer.send(Uint8Array.of(byte));
        await Bun.sleep(0);
      }
      peer.send(settings(), headers(1, get(peer)));
    },
    outcome: answered(1),
  },
  {
    section: "3.4",
    rule: "a preface, SETTINGS and a request may come at once",
    begins: false,
    act: (peer) => peer.send(PREFACE, settings(), headers(1, get(peer))),
    outcome: answered(1),
  },
  {
    section: "3.4",
    rule: "what is no preface ends the connection",
    begins: false,
    act: (peer) => peer.send("INVALID CONNECTION PREFACE\r\n\r\n"),
    outcome: isClosed,
  },
  {
    section: "3.4",
    rule: "a preface that is not followed by SETTINGS is a connection error",
    begins: false,
    act: (peer) => peer.send(PREFACE, ping()),
    outcome: protocolError,
  },
];

const FRAMES: readonly Rule[] = [
  {
    section: "4.1",
    rule: "a frame of unknown type is ignored",
    act: (peer) => peer.send(frame({ type: 0x16, flags: 0xff }, "ignore me")),
    outcome: isAlive,
  },
  {
    section: "4.1",
    rule: "a frame of unknown type on an idle stream is ignored, and makes no stream",
    act: (peer) => peer.send(frame({ type: 0x16, stream: 1 }, "x"), headers(1, get(peer))),
    outcome: answered(1),
  },
  {
    section: "4.1",
    rule: "flags that mean nothing are ignored",
    act: (peer) => peer.send(frame({ type: FRAME.ping, flags: 0x16 }, "flagflag")),
    outcome: (peer) => peer.until(() => peer.has(isPingAck), "PING to be answered"),
  },
  {
    section: "4.1",
    rule: "the reserved bit of a stream id is ignored",
    act: (peer) => peer.send(frame({ type: FRAME.ping, stream: 0x8000_0000 }, "reserved")),
    outcome: (peer) => peer.until(() => peer.has(isPingAck), "PING to be answered"),
  },
  {
    section: "4.2",
    rule: "DATA of 2^14 bytes is taken",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), data(1, Buffer.alloc(DEFAULT_FRAME_BYTES), { end: true })),
    outcome: answered(1),
  },
  {
    section: "4.2",
    rule: "DATA larger than SETTINGS_MAX_FRAME_SIZE is an error of its size",
    act: (peer) =>
      peer.send(
        headers(1, post(peer), { end: false }),
        data(1, Buffer.alloc(maxFrame(peer) + 1), { end: true }),
      ),
    outcome: anyError(1, CODE.frameSize),
  },
  {
    section: "4.2",
    rule: "HEADERS larger than SETTINGS_MAX_FRAME_SIZE is a connection error of its size",
    act: (peer) => peer.send(headers(1, get(peer, ["x-large", "a".repeat(maxFrame(peer) + 1)]))),
    outcome: frameSizeError,
  },
  {
    section: "4.2",
    rule: "a frame length beyond the limit is refused before its payload has come",
    act: (peer) => peer.send(frame({ type: FRAME.settings, length: 0xff_ffff }, "")),
    outcome: frameSizeError,
  },
  {
    section: "4.3",
    rule: "a block that cannot be decoded is a connection error of compression",
    act: (peer) => peer.send(headers(1, Buffer.from([0x40]))),
    outcome: connectionError(CODE.compression),
  },
  ...(
    [
      ["PRIORITY", () => priority(1, 0)],
      ["HEADERS of another stream", (peer: H2Peer) => headers(3, get(peer))],
      ["DATA", () => data(1, "x")],
      ["PING", () => ping()],
      ["an unknown frame", () => frame({ type: 0x16 }, "x")],
      ["CONTINUATION of another stream", () => continuation(3, [["x-a", "b"]])],
    ] as const
  ).map(
    ([what, between]): Rule => ({
      section: "4.3",
      rule: `${what} within a header block is a connection error`,
      act: (peer) =>
        peer.send(
          headers(1, get(peer), { end: false, endHeaders: false }),
          between(peer),
          continuation(1, [["x-dummy", "y"]]),
        ),
      outcome: protocolError,
    }),
  ),
];

const maxFrame = (peer: H2Peer) => peer.settings.get(SETTING.maxFrameSize) ?? DEFAULT_FRAME_BYTES;

const FRAME_TYPES: readonly Rule[] = [
  {
    section: "6.1",
    rule: "DATA on stream 0 is a connection error",
    act: (peer) => peer.send(data(0, "test")),
    outcome: protocolError,
  },
  {
    section: "6.1",
    rule: "DATA padded beyond its length is a connection error",
    act: (peer) =>
      peer.send(
        headers(1, post(peer), { end: false }),
        frame({ type: FRAME.data, flags: FLAG.padded | FLAG.endStream, stream: 1 }, "\x06test"),
      ),
    outcome: protocolError,
  },
  {
    section: "6.1",
    rule: "DATA with the padding flag and no pad length is a connection error",
    act: (peer) =>
      peer.send(
        headers(1, post(peer), { end: false }),
        frame({ type: FRAME.data, flags: FLAG.padded | FLAG.endStream, stream: 1 }),
      ),
    outcome: connectionError(CODE.protocol, CODE.frameSize),
  },
  {
    section: "6.1",
    rule: "padded DATA is taken without its padding",
    act: (peer) =>
      peer.send(
        headers(1, post(peer, ["content-length", "4"]), { end: false }),
        data(1, "test", { end: true, pad: 200 }),
      ),
    outcome: answered(1),
  },
  {
    section: "6.2",
    rule: "HEADERS on stream 0 are a connection error",
    act: (peer) => peer.send(headers(0, get(peer))),
    outcome: protocolError,
  },
  {
    section: "6.2",
    rule: "HEADERS padded beyond their length are a connection error",
    act: (peer) =>
      peer.send(frame({ type: FRAME.headers, flags: FLAG.padded | 5, stream: 1 }, `\xff${hpackString("x")}`)),
    outcome: protocolError,
  },
  {
    section: "6.2",
    rule: "HEADERS with the priority flag and too few bytes are a connection error",
    act: (peer) => peer.send(frame({ type: FRAME.headers, flags: FLAG.priority | 5, stream: 1 }, "\0\0")),
    outcome: connectionError(CODE.protocol, CODE.frameSize),
  },
  {
    section: "6.2",
    rule: "HEADERS with padding and priority are taken",
    act: (peer) => peer.send(headers(1, get(peer), { pad: 16, priority: { dependsOn: 0 } })),
    outcome: answered(1),
  },
  {
    section: "6.3",
    rule: "PRIORITY on stream 0 is a connection error",
    act: (peer) => peer.send(priority(0, 1)),
    outcome: protocolError,
  },
  {
    section: "6.3",
    rule: "PRIORITY that is not 5 bytes is an error of its size",
    act: (peer) => peer.send(headers(1, post(peer), { end: false }), frame({ type: 2, stream: 1 }, "\0\0\0\0")),
    outcome: anyError(1, CODE.frameSize),
  },
  {
    section: "6.4",
    rule: "RST_STREAM on stream 0 is a connection error",
    act: (peer) => peer.send(rstStream(0, CODE.cancel)),
    outcome: protocolError,
  },
  {
    section: "6.4",
    rule: "RST_STREAM that is not 4 bytes is a connection error of its size",
    act: (peer) =>
      peer.send(headers(1, post(peer), { end: false }), frame({ type: FRAME.rstStream, stream: 1 }, "\0\0\0")),
    outcome: frameSizeError,
  },
  {
    section: "6.5",
    rule: "SETTINGS are acknowledged",
    act: (peer) => peer.send(settings([SETTING.initialWindowSize, 100], [SETTING.maxFrameSize, 20_000])),
    outcome: (peer) => peer.until(() => peer.count(isSettingsAck) === 2, "the second acknowledgement"),
  },
  {
    section: "6.5",
    rule: "an acknowledgement with a payload is a connection error of its size",
    act: (peer) => peer.send(frame({ type: FRAME.settings, flags: FLAG.ack }, "\0\x04\0\0\0\0")),
    outcome: frameSizeError,
  },
  {
    section: "6.5",
    rule: "SETTINGS on a stream are a connection error",
    act: (peer) => peer.send(frame({ type: FRAME.settings, stream: 1 }, "\0\x03\0\0\0\x64")),
    outcome: protocolError,
  },
  {
    section: "6.5",
    rule: "SETTINGS whose length is no multiple of 6 are a connection error of their size",
    act: (peer) => peer.send(frame({ type: FRAME.settings }, "\0\x03\0")),
    outcome: frameSizeError,
  },
  ...(
    [
      ["SETTINGS_ENABLE_PUSH above 1", SETTING.enablePush, 2, CODE.protocol],
      ["SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1", SETTING.initialWindowSize, MAX_WINDOW + 1, CODE.flowControl],
      ["SETTINGS_MAX_FRAME_SIZE below 2^14", SETTING.maxFrameSize, DEFAULT_FRAME_BYTES - 1, CODE.protocol],
      ["SETTINGS_MAX_FRAME_SIZE above 2^24-1", SETTING.maxFrameSize, 1 << 24, CODE.protocol],
      ["RFC 8441: SETTINGS_ENABLE_CONNECT_PROTOCOL above 1", SETTING.enableConnectProtocol, 2, CODE.protocol],
    ] as const
  ).map(
    ([what, id, value, code]): Rule => ({
      section: "6.5.2",
      rule: `${what} is a connection error`,
      act: (peer) => peer.send(settings([id, value])),
      outcome: connectionError(code),
    }),
  ),
  {
    section: "6.5.2",
    rule: "an unknown setting is ignored",
    act: (peer) => peer.send(settings([0xff, 1]), headers(1, get(peer))),
    outcome: answered(1),
  },
  {
    section: "6.5.3",
    rule: "of a setting given twice the last one counts",
    settings: [
      [SETTING.initialWindowSize, 100],
      [SETTING.initialWindowSize, 1],
    ],
    act: (peer) => peer.send(headers(1, get(peer))),
    outcome: dataOf(1),
  },
  {
    section: "6.6",
    rule: "PUSH_PROMISE of a client is a connection error",
    act: (peer) =>
      peer.send(
        frame({ type: FRAME.pushPromise, flags: FLAG.endHeaders, stream: 1 }, Buffer.concat([uint32(3), fieldBlock(get(peer))])),
      ),
    outcome: protocolError,
  },
  {
    section: "6.7",
    rule: "PING is answered with its own 8 bytes",
    act: (peer) => peer.send(ping("12345678")),
    outcome: (peer) =>
      peer.until(() => peer.has((one) => isPingAck(one) && one.payload.toString() === "12345678"), "the PING"),
  },
  {
    section: "6.7",
    rule: "an answer to a PING is not answered",
    act: (peer) => peer.send(ping("invalid!", true), ping("12345678")),
    async outcome(peer) {
      await isAlive(peer);
      if (peer.has((one) => one.payload.toString() === "invalid!")) throw new Error(peer.story());
    },
  },
  {
    section: "6.7",
    rule: "PING on a stream is a connection error",
    act: (peer) => peer.send(frame({ type: FRAME.ping, stream: 1 }, "12345678")),
    outcome: protocolError,
  },
  {
    section: "6.7",
    rule: "PING that is not 8 bytes is a connection error of its size",
    act: (peer) => peer.send(frame({ type: FRAME.ping }, "123456")),
    outcome: frameSizeError,
  },
  {
    section: "6.8",
    rule: "GOAWAY on a stream is a connection error",
    act: (peer) => peer.send(frame({ type: FRAME.goaway, stream: 1 }, "\0\0\0\0\0\0\0\0")),
    outcome: protocolError,
  },
  {
    section: "6.8",
    rule: "GOAWAY of a client lets streams that are open finish",
    act: (peer) => peer.send(headers(1, get(peer)), goaway(0, CODE.none)),
    outcome: answered(1),
  },
];

export const FRAMING: readonly Rule[] = [...STARTING, ...FRAMES, ...FRAME_TYPES];
