/** Frame reader: what is told depends on the bytes, never on how they were cut. */
import { expect, test } from "bun:test";
import { type Chance, forAll, LAW_MS } from "../../../tests/laws/chance.ts";
import * as wire from "../../../tests/support/h2-frames.ts";
import { DATA, MAX_FRAME_BYTES, PING } from "./codes.table.ts";
import { type Frame, FrameReader, type FrameSink } from "./frame-reader.ts";

type Said =
  | { readonly kind: "frame"; readonly text: string }
  | { readonly kind: "data"; readonly stream: number; bytes: Buffer[]; isEnd: boolean };

/** Notes what it is told; body bytes are kept as the views that they came in. */
class Notes implements FrameSink {
  isBroken = false;
  readonly said: Said[] = [];
  readonly begun: string[] = [];
  readonly paddings = new Map<number, number>();
  bad = "";
  calls = 0;

  frame({ type, flags, streamId, bytes, start, end }: Frame): void {
    const payload = bytes.latin1Slice(start, end);
    this.said.push({ kind: "frame", text: `${type} ${flags} ${streamId} ${payload}` });
  }
  dataBegins(streamId: number, length: number, isEnd: boolean): void {
    this.begun.push(`${streamId} ${length}${isEnd ? " end" : ""}`);
  }
  data(streamId: number, bytes: Buffer, padding: number, isEnd: boolean): void {
    this.calls++;
    this.paddings.set(streamId, (this.paddings.get(streamId) ?? 0) + padding);
    addData(this.said, streamId, bytes, isEnd);
  }
  badFrame(detail: string): void {
    this.bad = detail;
    this.isBroken = true;
  }
}

/** Pieces of one stream that nothing stands between are one: where a reader cuts is its own business. */
function addData(said: Said[], stream: number, bytes: Buffer, isEnd: boolean): void {
  const last = said.at(-1);
  const isMore = last?.kind === "data" && last.stream === stream && !last.isEnd;
  if (isMore) {
    last.bytes.push(bytes);
    last.isEnd = isEnd;
  } else if (bytes.length > 0 || isEnd) said.push({ kind: "data", stream, bytes: [bytes], isEnd });
}

function textOf(said: readonly Said[]): string[] {
  return said.map((one) => {
    if (one.kind === "frame") return one.text;
    return `data ${one.stream} ${Buffer.concat(one.bytes).toString("latin1")}${one.isEnd ? " end" : ""}`;
  });
}

function read(pieces: readonly Buffer[]): Notes {
  const notes = new Notes();
  const reader = new FrameReader(notes);
  for (const piece of pieces) reader.feed(piece);
  expect(reader.isIdle || notes.isBroken).toBe(true);
  return notes;
}

const DATA_SIZES = [0, 0, 1, 2, 5, 300, 5000];

/** A few frames as bytes, and what is to be told of them. */
function someFrames(chance: Chance) {
  const parts: Buffer[] = [];
  const said: Said[] = [];
  const begun: string[] = [];
  const paddings = new Map<number, number>();
  for (let index = chance.below(12) + 1; index > 0; index--) {
    const stream = chance.pick([1, 1, 1, 3, 5]);
    if (chance.isTrue(0.2)) {
      const [type, flags, payload] = [
        chance.pick([1, 4, 6, 8, 99]),
        chance.below(256),
        chance.text(chance.pick([0, 8, 40])),
      ];
      parts.push(wire.frame({ type, flags, stream }, Buffer.from(payload, "latin1")));
      said.push({ kind: "frame", text: `${type} ${flags} ${stream} ${payload}` });
      continue;
    }
    const bytes = Buffer.from(chance.text(chance.pick(DATA_SIZES)), "latin1");
    const end = chance.isTrue(0.15);
    const pad = chance.isTrue(0.3) ? chance.pick([0, 1, 9, 255]) : undefined;
    const padding = pad === undefined ? 0 : 1 + pad;
    parts.push(wire.data(stream, bytes, pad === undefined ? { end } : { end, pad }));
    addData(said, stream, bytes, end);
    begun.push(`${stream} ${bytes.length + padding}${end ? " end" : ""}`);
    paddings.set(stream, (paddings.get(stream) ?? 0) + padding);
  }
  const padded = [...paddings].filter(([, bytes]) => bytes > 0).sort();
  return { bytes: Buffer.concat(parts), said: textOf(said), begun, padded };
}

const cutAt = (bytes: Buffer, cuts: readonly number[]) =>
  [0, ...cuts].map((at, index) => Buffer.from(bytes.subarray(at, cuts[index] ?? bytes.length)));

test(
  "frames are told in their order, DATA of one stream together, whatever the cut (§4.1, §6.1)",
  () => {
    forAll((chance) => {
      const frames = someFrames(chance);
      const cuts = chance.pick([
        [],
        chance.cuts(frames.bytes.length, 1),
        chance.cuts(frames.bytes.length, 8),
      ]);
      const notes = read(cutAt(frames.bytes, cuts));
      expect(textOf(notes.said)).toEqual(frames.said);
      expect(notes.begun).toEqual(frames.begun);
      expect([...notes.paddings].filter(([, bytes]) => bytes > 0).sort()).toEqual(frames.padded);
    });
  },
  LAW_MS,
);

test("frames that come byte by byte say the same as in one piece", () => {
  const bytes = Buffer.concat([
    wire.data(1, "hello", { pad: 3 }),
    wire.data(1, "", { pad: 0 }),
    wire.ping("12345678"),
    wire.data(3, "x"),
    wire.data(1, " you", { end: true, pad: 255 }),
  ]);
  const wanted = ["data 1 hello", `${PING} 0 0 12345678`, "data 3 x", "data 1  you end"];
  expect(textOf(read([Buffer.from(bytes)]).said)).toEqual(wanted);
  expect(textOf(read(Array.from(bytes, (byte) => Buffer.from([byte]))).said)).toEqual(wanted);
});

test("DATA frames of a stream that came in one piece are handed on as one", () => {
  const frames = Array.from({ length: 50 }, (_, index) => wire.data(1, `${index};`, { pad: index }));
  const notes = read([Buffer.concat(frames)]);
  expect(notes.calls).toBe(1);
  expect(notes.begun).toHaveLength(50);
});

test("body bytes that were handed on are not moved any more", () => {
  const notes = read([Buffer.concat([wire.data(1, "first"), wire.data(3, "other"), wire.data(1, "second")])]);
  expect(textOf(notes.said)).toEqual(["data 1 first", "data 3 other", "data 1 second"]);
});

test("a frame of the largest size is read in pieces, one larger ends the connection (§4.2)", () => {
  const whole = wire.frame({ type: PING }, Buffer.alloc(MAX_FRAME_BYTES));
  expect(read(cutAt(whole, [4, 9, 10_000])).said).toHaveLength(1);
  for (const type of [DATA, PING]) {
    const header = wire.frame({ type, stream: 1, length: MAX_FRAME_BYTES + 1 });
    expect(read([Buffer.from(header)]).bad).toBe("too large");
    expect(read(cutAt(header, [5])).bad).toBe("too large");
  }
});

test("padding that is larger than its frame ends the connection (§6.1)", () => {
  const padded = { type: DATA, flags: wire.FLAG.padded, stream: 1 };
  for (const payload of [[], [1], [3, 0, 0], [255, ...Array.from({ length: 254 }, () => 0)]]) {
    const bytes = wire.frame(padded, Buffer.from(payload));
    expect(read([Buffer.from(bytes)]).bad).toBe("bad padding");
    expect(read(Array.from(bytes, (byte) => Buffer.from([byte]))).bad).toBe("bad padding");
  }
});

test("nothing is read behind a frame that broke the connection", () => {
  const bad = wire.frame({ type: PING, length: MAX_FRAME_BYTES + 1 });
  const notes = read([Buffer.concat([wire.data(1, "a"), bad, wire.ping()])]);
  expect(textOf(notes.said)).toEqual(["data 1 a"]);
});

test("the reserved bit of a stream number means nothing (§4.1)", () => {
  const bytes = wire.data(5, "a");
  bytes[5] = (bytes[5] as number) | 0x80;
  expect(textOf(read([bytes]).said)).toEqual(["data 5 a"]);
});
