/** Sender: who may send, how much, and in which order. */
import { expect, test } from "bun:test";
import { type Chance, forAll, LAW_MS } from "../../../tests/laws/chance.ts";
import { FRAME, takeFrames } from "../../../tests/support/h2-frames.ts";
import { Out } from "../../core/out.ts";
import { DEFAULT_WINDOW_BYTES, MAX_FRAME_BYTES } from "./codes.table.ts";
import { setPriority } from "./priority.ts";
import { FLUSH_BYTES, Sender, type SenderOwner } from "./sender.ts";
import { H2Stream } from "./stream.ts";

class Owner implements SenderOwner {
  readonly out = new Out();
  readonly told: string[] = [];
  /** Value of a stream's Priority field. */
  readonly priorities = new Map<number, string>();
  drained = (stream: H2Stream) => void this.told.push(`drained ${stream.id}`);
  trailers(stream: H2Stream, lines: string): void {
    this.told.push(`trailers ${stream.id} ${lines}`);
    this.outputOver(stream);
  }
  outputOver(stream: H2Stream): void {
    stream.isOutputOver = true;
    this.told.push(`over ${stream.id}`);
  }
  prioritise = (stream: H2Stream) => setPriority(stream, this.priorities.get(stream.id) ?? "");
}

function setUp({ window = 1 << 20, streamWindow = 1 << 20 } = {}) {
  const owner = new Owner();
  const sender = new Sender(owner);
  sender.window = window;
  const stream = (id: number, priority = "") => {
    owner.priorities.set(id, priority);
    return new H2Stream(id, DEFAULT_WINDOW_BYTES, streamWindow);
  };
  return { owner, sender, stream };
}

interface Sent {
  readonly stream: number;
  readonly bytes: string;
  readonly isEnd: boolean;
}

/** What stands in the output since the last look. */
function taken({ out }: Owner): Sent[] {
  const { frames, rest } = takeFrames(Buffer.from(out.bytes.subarray(0, out.length)));
  out.reset();
  expect(rest).toHaveLength(0);
  return frames.map(({ type, flags, stream, payload }) => {
    expect(type).toBe(FRAME.data);
    return { stream, bytes: payload.toString("latin1"), isEnd: (flags & 1) === 1 };
  });
}

const streamsOf = (sent: readonly Sent[]) => sent.map(({ stream }) => stream);

test("a body that the windows allow leaves at once, in frames that every peer takes (§4.2)", () => {
  const { owner, sender, stream } = setUp();
  expect(sender.data(stream(1), Buffer.alloc(40_000), 0, true)).toBe(true);
  const sent = taken(owner);
  expect(sent.map(({ bytes }) => bytes.length)).toEqual([
    MAX_FRAME_BYTES,
    MAX_FRAME_BYTES,
    40_000 - 2 * MAX_FRAME_BYTES,
  ]);
  expect(sent.map(({ isEnd }) => isEnd)).toEqual([false, false, true]);
  expect(owner.told).toEqual(["over 1"]);
});

test("the end of an empty body is one empty frame", () => {
  const { owner, sender, stream } = setUp({ window: 0, streamWindow: 0 });
  expect(sender.data(stream(1), Buffer.alloc(5), 5, true)).toBe(true);
  expect(taken(owner)).toEqual([{ stream: 1, bytes: "", isEnd: true }]); // §6.9.1: no window is needed for it
});

test("what a stream's window holds back waits, and does not hold up the others (§6.9)", () => {
  const { owner, sender, stream } = setUp();
  const [slow, quick] = [stream(1), stream(3)];
  slow.sendWindow = 4;
  expect(sender.data(slow, Buffer.from("xxhello you"), 2, true)).toBe(false);
  expect(sender.data(quick, Buffer.from("quick"), 0, true)).toBe(true);
  sender.pump();
  expect(taken(owner)).toEqual([
    { stream: 1, bytes: "hell", isEnd: false },
    { stream: 3, bytes: "quick", isEnd: true },
  ]);
  slow.sendWindow = 100;
  sender.pump();
  expect(taken(owner)).toEqual([{ stream: 1, bytes: "o you", isEnd: true }]);
  expect(owner.told).toEqual(["over 3", "over 1", "drained 1"]);
  expect([sender.queuedBytes, sender.hasWaiting]).toEqual([0, false]);
});

test("a window that settings made negative must be positive again before anything is sent (§6.9.2)", () => {
  const { owner, sender, stream } = setUp();
  const one = stream(1);
  one.sendWindow = -10;
  expect(sender.data(one, Buffer.from("hello"), 0, false)).toBe(false);
  one.sendWindow = 0;
  sender.pump();
  expect(taken(owner)).toEqual([]);
  one.sendWindow = 5;
  sender.pump();
  expect(taken(owner)).toEqual([{ stream: 1, bytes: "hello", isEnd: false }]);
});

test("a full socket holds all bodies back, and lets them go when it drains", () => {
  const { owner, sender, stream } = setUp();
  sender.isBlocked = true;
  expect(sender.data(stream(1), Buffer.from("hello"), 0, true)).toBe(false);
  sender.pump();
  expect(taken(owner)).toEqual([]);
  expect(sender.queuedBytes).toBe(5);
  sender.isBlocked = false;
  sender.pump();
  expect(taken(owner)).toEqual([{ stream: 1, bytes: "hello", isEnd: true }]);
});

test("output is gathered up to what is written at once, and goes on afterwards", () => {
  const { owner, sender, stream } = setUp();
  const one = stream(1);
  one.sendWindow = 0;
  sender.data(one, Buffer.alloc(10 * FLUSH_BYTES), 0, true);
  one.sendWindow = 1 << 20;
  sender.pump();
  expect(owner.out.length).toBeLessThan(2 * FLUSH_BYTES + 1000);
  let bytes = 0;
  for (let sent = taken(owner); sent.length > 0; sent = taken(owner)) {
    for (const frame of sent) bytes += frame.bytes.length;
    sender.pump();
  }
  expect(bytes).toBe(10 * FLUSH_BYTES);
});

test("the more urgent goes first, equals one after the other (RFC 9218 §10)", () => {
  const { owner, sender, stream } = setUp({ window: 0 });
  const sizes = 20_000;
  for (const [id, priority] of [
    [1, ""],
    [3, "u=5"],
    [5, "u=0"],
    [7, ""],
  ] as const) {
    sender.data(stream(id, priority), Buffer.alloc(sizes), 0, true);
  }
  sender.window = 1 << 20;
  const order: number[] = [];
  while (sender.hasWaiting) {
    sender.pump();
    order.push(...streamsOf(taken(owner)));
  }
  expect(order).toEqual([5, 5, 1, 1, 7, 7, 3, 3]);
});

test("incremental responses of one urgency take turns, frame by frame (RFC 9218 §4.2)", () => {
  const { owner, sender, stream } = setUp({ window: 0 });
  for (const id of [1, 3]) sender.data(stream(id, "i"), Buffer.alloc(3 * MAX_FRAME_BYTES), 0, true);
  sender.window = 1 << 20;
  const order: number[] = [];
  while (sender.hasWaiting) {
    sender.pump();
    order.push(...streamsOf(taken(owner)));
  }
  expect(order).toEqual([1, 3, 1, 3, 1, 3]);
  expect(owner.told).toEqual(["over 1", "drained 1", "over 3", "drained 3"]);
});

test("streams whose own window is closed do not stand in the way of less urgent ones", () => {
  const { owner, sender, stream } = setUp();
  const urgent = stream(1, "u=0");
  urgent.sendWindow = 0;
  sender.data(urgent, Buffer.from("a"), 0, true);
  const other = stream(3, "u=7");
  other.sendWindow = 0;
  sender.data(other, Buffer.from("b"), 0, true);
  other.sendWindow = 10;
  sender.pump();
  expect(streamsOf(taken(owner))).toEqual([3]);
});

test("trailers and ends stand behind the body that waits", () => {
  const { owner, sender, stream } = setUp({ window: 0 });
  const [withTrailers, plain, empty] = [stream(1), stream(3), stream(5)];
  for (const one of [withTrailers, plain, empty]) sender.data(one, Buffer.from("body"), 0, false);
  sender.end(withTrailers, "X-Sum: 1\r\n");
  sender.end(plain, "");
  sender.data(empty, Buffer.alloc(0), 0, true);
  expect(owner.told).toEqual([]);
  sender.window = 100;
  sender.pump();
  expect(taken(owner)).toEqual([
    { stream: 1, bytes: "body", isEnd: false },
    { stream: 3, bytes: "body", isEnd: true },
    { stream: 5, bytes: "body", isEnd: true },
  ]);
  expect(owner.told.filter((line) => !line.startsWith("drained"))).toEqual([
    "trailers 1 X-Sum: 1\r\n",
    "over 1",
    "over 3",
    "over 5",
  ]);
});

test("a stream that is given up leaves nothing behind", () => {
  const { owner, sender, stream } = setUp({ window: 0 });
  const [one, two] = [stream(1), stream(3)];
  sender.data(one, Buffer.from("one"), 0, true);
  sender.data(two, Buffer.from("two"), 0, true);
  sender.forget(one);
  expect(sender.queuedBytes).toBe(3);
  sender.window = 100;
  sender.pump();
  expect(taken(owner)).toEqual([{ stream: 3, bytes: "two", isEnd: true }]);
});

/** Hands bodies over piece by piece while windows open by chance. out  what was handed over and sent, by stream */
function conversation(chance: Chance) {
  const { owner, sender, stream } = setUp({
    window: chance.below(3) * 1000,
    streamWindow: chance.below(3) * 500,
  });
  const streams = [1, 3, 5].map((id) => stream(id, chance.pick(["", "u=1", "u=5, i", "i"])));
  const given = new Map(streams.map(({ id }) => [id, ""]));
  const sent = new Map(streams.map(({ id }) => [id, ""]));
  const look = () => {
    for (const { stream: id, bytes } of taken(owner)) sent.set(id, sent.get(id) + bytes);
  };
  for (let step = 0; step < 60; step++) {
    const one = chance.pick(streams);
    const from = chance.below(3);
    const text = chance.text(from + chance.pick([0, 1, 700, 20_000]), "abcdef");
    sender.data(one, Buffer.from(text), from, false);
    given.set(one.id, given.get(one.id) + text.slice(from));
    sender.isBlocked = chance.isTrue(0.3);
    chance.pick(streams).sendWindow += chance.below(3000);
    sender.window += chance.below(5000);
    sender.pump();
    look();
  }
  sender.isBlocked = false;
  sender.window += 1 << 24;
  for (const one of streams) one.sendWindow += 1 << 24;
  while (sender.hasWaiting) {
    sender.pump();
    look();
  }
  return { sender, given, sent };
}

test(
  "every byte leaves once and in its order, however windows and socket come and go",
  () => {
    forAll((chance) => {
      const { sender, given, sent } = conversation(chance);
      expect(sent).toEqual(given);
      expect(sender.queuedBytes).toBe(0);
    });
  },
  LAW_MS,
);
