/**
 * HTTP/2 attacks: what a hostile client sends on a connection, and how it must end.
 *
 * shape  `bytes` yields what to send next, as long as the server takes it
 * spec   RFC 9113 §10.5; CVE-2019-9511 to 9518, CVE-2023-44487 (rapid reset), CVE-2024-27316 and its kin
 *        (CONTINUATION flood), CVE-2025-8671 (resets that the server is made to send)
 */
import {
  CODE,
  continuation,
  data,
  type FieldList,
  FLAG,
  FRAME,
  fieldBlock,
  frame,
  headers,
  literal,
  MAX_WINDOW,
  PREFACE,
  ping,
  priority,
  rstStream,
  SETTING,
  settings,
  windowUpdate,
} from "../support/h2-frames.ts";

export interface Attack {
  readonly name: string;
  /** Connections at once. */
  readonly connections: number;
  /**
   * `ends`: the server gives the connection up within a second of work.
   * `held`: it may go on for as long as time limits allow, and must cost little meanwhile.
   */
  readonly expects: "ends" | "held";
  /** Codes that GOAWAY may carry when it ends; default ENHANCE_YOUR_CALM. */
  readonly codes?: readonly number[];
  /** False: the client never reads. */
  readonly reads?: false;
  /** Between two pieces; default none. */
  readonly pauseMs?: number;
  bytes(): Generator<Uint8Array>;
}

const AT_ONCE = 200;
const START = Buffer.concat([PREFACE, settings()]);
/** Large enough that no window of these clients takes it. */
const BIG = "/1m";

const request = (path = "/small", method = "GET"): FieldList => [
  [":method", method],
  [":scheme", "http"],
  [":path", path],
  [":authority", "a.test"],
];

const GET = fieldBlock(request());
const POST = fieldBlock(request("/small", "POST"));

const repeat = (bytes: Uint8Array, times = AT_ONCE) =>
  Buffer.concat(Array.from({ length: times }, () => bytes));

/** The same bytes again and again. */
function* forever(first: Uint8Array, again: Uint8Array): Generator<Uint8Array> {
  yield first;
  for (;;) yield again;
}

/** New streams for ever, so many in a piece. */
function* streams(first: Uint8Array, each: (stream: number) => Uint8Array, atOnce = AT_ONCE): Generator<Uint8Array> {
  yield first;
  for (let stream = 1; stream < MAX_WINDOW - 2 * atOnce; stream += 2 * atOnce) {
    yield Buffer.concat(Array.from({ length: atOnce }, (_, index) => each(stream + 2 * index)));
  }
}

const ATTACKS_THAT_END: readonly Attack[] = [
  {
    name: "rapid-reset",
    connections: 4,
    expects: "ends",
    bytes: () => streams(START, (id) => Buffer.concat([headers(id, GET), rstStream(id, CODE.cancel)])),
  },
  {
    name: "padding-flood",
    connections: 4,
    expects: "ends",
    bytes: () =>
      forever(Buffer.concat([START, headers(1, POST, { end: false })]), repeat(data(1, "", { pad: 255 }))),
  },
  {
    name: "made-resets",
    connections: 4,
    expects: "ends",
    bytes: () => streams(START, (id) => Buffer.concat([headers(id, POST, { end: false }), windowUpdate(id, 0)])),
  },
  {
    name: "malformed-requests",
    connections: 4,
    expects: "ends",
    bytes: () => streams(START, (id) => headers(id, [...request(), ["X-Upper", "1"]])),
  },
  {
    name: "too-many-streams",
    connections: 4,
    expects: "ends",
    bytes: () => streams(START, (id) => headers(id, POST, { end: false })),
  },
  {
    name: "continuation-flood",
    connections: 4,
    expects: "ends",
    codes: [CODE.enhanceYourCalm, CODE.protocol],
    bytes: () =>
      forever(
        Buffer.concat([START, headers(1, GET, { endHeaders: false })]),
        repeat(continuation(1, [["x-flood", "f".repeat(200)]], false), 50),
      ),
  },
  {
    name: "empty-continuation-flood",
    connections: 4,
    expects: "ends",
    codes: [CODE.enhanceYourCalm, CODE.protocol],
    bytes: () =>
      forever(
        Buffer.concat([START, headers(1, GET, { endHeaders: false })]),
        repeat(continuation(1, Buffer.alloc(0), false)),
      ),
  },
  {
    name: "settings-flood",
    connections: 4,
    expects: "ends",
    bytes: () => forever(START, repeat(settings([SETTING.initialWindowSize, 65_535]))),
  },
  {
    name: "settings-flood-unread",
    connections: 4,
    expects: "ends",
    reads: false,
    bytes: () => forever(START, repeat(settings([SETTING.headerTableSize, 4096]))),
  },
  { name: "ping-flood", connections: 4, expects: "ends", bytes: () => forever(START, repeat(ping())) },
  {
    name: "ping-flood-unread",
    connections: 4,
    expects: "ends",
    reads: false,
    bytes: () => forever(START, repeat(ping())),
  },
  {
    name: "empty-data-flood",
    connections: 4,
    expects: "ends",
    bytes: () => forever(Buffer.concat([START, headers(1, POST, { end: false })]), repeat(data(1, ""))),
  },
  {
    name: "priority-flood",
    connections: 4,
    expects: "ends",
    bytes: () => forever(START, repeat(priority(1, 0))),
  },
  {
    name: "unknown-frames",
    connections: 4,
    expects: "ends",
    bytes: () => forever(START, repeat(frame({ type: 0x99 }, "nothing"))),
  },
  {
    name: "window-update-flood",
    connections: 4,
    expects: "ends",
    codes: [CODE.enhanceYourCalm, CODE.flowControl],
    bytes: () => forever(START, repeat(windowUpdate(0, 1))),
  },
  {
    name: "window-overflow",
    connections: 4,
    expects: "ends",
    codes: [CODE.flowControl],
    bytes: () => forever(START, repeat(windowUpdate(0, MAX_WINDOW), 2)),
  },
  {
    name: "hpack-bomb",
    connections: 4,
    expects: "ends",
    codes: [CODE.enhanceYourCalm, CODE.compression, CODE.protocol],
    bytes: bombs,
  },
];

/** One field of nearly the table's size, then blocks that mean it ten thousand times (CVE-2016-1544). */
function* bombs(): Generator<Uint8Array> {
  const large = literal("x", "b".repeat(3900), 0x40);
  yield Buffer.concat([START, headers(1, Buffer.concat([GET, large]))]);
  const bomb = Buffer.concat([GET, Buffer.alloc(10_000, 0x80 | 62)]);
  yield* streams(Buffer.alloc(0), (id) => headers(id + 2, bomb), 4);
}

const ATTACKS_THAT_HOLD: readonly Attack[] = [
  {
    name: "zero-window",
    connections: 4,
    expects: "held",
    pauseMs: 1000,
    *bytes() {
      yield Buffer.concat([PREFACE, settings([SETTING.initialWindowSize, 0])]);
      yield Buffer.concat(Array.from({ length: 100 }, (_, index) => headers(2 * index + 1, request(BIG))));
      for (;;) yield ping();
    },
  },
  {
    name: "dribbling-window",
    connections: 4,
    expects: "held",
    pauseMs: 100,
    *bytes() {
      yield Buffer.concat([PREFACE, settings([SETTING.initialWindowSize, 1])]);
      yield Buffer.concat(Array.from({ length: 100 }, (_, index) => headers(2 * index + 1, request(BIG))));
      for (;;) yield windowUpdate(1, 1);
    },
  },
  {
    name: "unread-answers",
    connections: 4,
    expects: "held",
    reads: false,
    pauseMs: 1000,
    *bytes() {
      yield Buffer.concat([PREFACE, settings([SETTING.initialWindowSize, MAX_WINDOW]), windowUpdate(0, MAX_WINDOW - 65_535)]);
      yield Buffer.concat(Array.from({ length: 100 }, (_, index) => headers(2 * index + 1, request(BIG))));
      for (;;) yield Buffer.alloc(0);
    },
  },
  {
    name: "slow-preface",
    connections: 100,
    expects: "held",
    pauseMs: 500,
    *bytes() {
      for (const byte of PREFACE) yield Uint8Array.of(byte);
    },
  },
  {
    name: "slow-header-block",
    connections: 100,
    expects: "held",
    pauseMs: 500,
    *bytes() {
      yield START;
      yield frame({ type: FRAME.headers, flags: FLAG.endStream, stream: 1 }, GET);
      for (;;) yield continuation(1, [["x", "1"]], false);
    },
  },
];

export const ATTACKS: readonly Attack[] = [...ATTACKS_THAT_END, ...ATTACKS_THAT_HOLD];
