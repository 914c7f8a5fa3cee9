/**
 * Frame reader: bytes in, any cut; frames out.
 *
 * why    DATA is handed on as it comes, so that a body never waits for its frame to be complete; every other frame is
 *        small and is handed on whole
 * rule   payloads of successive DATA frames of one stream that came in one piece are moved together in that piece and
 *        handed on as one: what follows then costs one write instead of one for each frame
 * bound  holds at most one frame of 16 KiB that is not DATA
 * spec   RFC 9113 §4
 */
import { DATA, FLAG_END_STREAM, FLAG_PADDED, FRAME_HEADER_BYTES, MAX_FRAME_BYTES } from "./codes.table.ts";

const NO_BYTES = Buffer.alloc(0);

/** A frame but DATA, as it stands in what was fed: one object for all frames of a connection, valid during the call. */
export class Frame {
  type = 0;
  flags = 0;
  streamId = 0;
  bytes: Buffer = NO_BYTES;
  /** The payload is `bytes[start, end)`. */
  start = 0;
  end = 0;

  get length(): number {
    return this.end - this.start;
  }
}

/** What frames are told to; fulfilled by the connection. */
export interface FrameSink {
  /** True once nothing more is to be read. */
  readonly isBroken: boolean;
  /** A whole frame of any type but DATA. */
  frame(frame: Frame): void;
  /** A DATA frame of so many bytes begins, its padding included. */
  dataBegins(streamId: number, length: number, isEnd: boolean): void;
  /** Bytes of DATA, one or several frames'; `padding` bytes of those frames were no data. */
  data(streamId: number, bytes: Buffer, padding: number, isEnd: boolean): void;
  /** The frame is larger than we allow, or its padding than the frame. */
  badFrame(detail: "too large" | "bad padding"): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #frame = new Frame();
  /** The beginning of a frame whose rest has not come. */
  #held = NO_BYTES;
  #heldBytes = 0;
  // the DATA frame that is being read
  #streamId = 0;
  #dataLeft = 0;
  #padLeft = 0;
  #isPadUnread = false;
  #isEnd = false;
  // the run of DATA payload in the piece that is being read
  #runStart = 0;
  #runEnd = 0;
  #runStream = 0;
  #runIsEnd = false;
  /** Padding of the run's frames, and the bytes that said how much. */
  #runPadding = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True between two frames: nothing is waiting for its rest. */
  get isIdle(): boolean {
    return this.#heldBytes === 0 && !this.#isInData;
  }

  get #isInData(): boolean {
    return this.#dataLeft > 0 || this.#padLeft > 0 || this.#isPadUnread;
  }

  feed(bytes: Buffer): void {
    const end = bytes.length;
    let at = 0;
    while (at < end && !this.#sink.isBroken) {
      if (this.#isInData) at = this.#readData(bytes, at);
      else if (this.#heldBytes > 0) at = this.#fill(bytes, at);
      else at = this.#readFrame(bytes, at);
    }
    this.#endRun(bytes);
  }

  /** A frame that starts here. out  where reading goes on */
  #readFrame(bytes: Buffer, at: number): number {
    const here = bytes.length - at;
    if (here < FRAME_HEADER_BYTES) return this.#hold(bytes, at);
    const length = lengthAt(bytes, at);
    if (length > MAX_FRAME_BYTES) {
      this.#sink.badFrame("too large");
      return bytes.length;
    }
    if (bytes[at + 3] === DATA) {
      this.#beginData(bytes, at, bytes);
      return at + FRAME_HEADER_BYTES;
    }
    const total = FRAME_HEADER_BYTES + length;
    if (here < total) return this.#hold(bytes, at);
    this.#endRun(bytes);
    this.#tell(bytes, at, length);
    return at + total;
  }

  #tell(bytes: Buffer, at: number, length: number): void {
    const frame = this.#frame;
    frame.type = bytes[at + 3] as number;
    frame.flags = bytes[at + 4] as number;
    frame.streamId = streamIdAt(bytes, at);
    frame.bytes = bytes;
    frame.start = at + FRAME_HEADER_BYTES;
    frame.end = frame.start + length;
    this.#sink.frame(frame);
    frame.bytes = NO_BYTES;
  }

  /** Keeps what is there of a frame. */
  #hold(bytes: Buffer, at: number): number {
    const here = bytes.length - at;
    this.#makeRoom(here);
    bytes.copy(this.#held, 0, at, bytes.length);
    this.#heldBytes = here;
    return bytes.length;
  }

  #makeRoom(needed: number): void {
    if (this.#held.length >= needed) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 256));
    this.#held.copy(larger, 0, 0, this.#heldBytes);
    this.#held = larger;
  }

  /** Adds to the frame that was begun: first its header, then its payload. */
  #fill(bytes: Buffer, at: number): number {
    if (this.#heldBytes < FRAME_HEADER_BYTES) {
      const next = this.#take(bytes, at, FRAME_HEADER_BYTES);
      if (this.#heldBytes < FRAME_HEADER_BYTES) return next;
      if (lengthAt(this.#held, 0) > MAX_FRAME_BYTES) {
        this.#sink.badFrame("too large");
        return bytes.length;
      }
      if (this.#held[3] === DATA) {
        this.#heldBytes = 0;
        this.#beginData(this.#held, 0, bytes);
        return next;
      }
      at = next;
    }
    const length = lengthAt(this.#held, 0);
    const next = this.#take(bytes, at, FRAME_HEADER_BYTES + length);
    if (this.#heldBytes === FRAME_HEADER_BYTES + length) {
      this.#heldBytes = 0;
      this.#tell(this.#held, 0, length);
      if (this.#heldBytes === 0) this.#held = NO_BYTES;
    }
    return next;
  }

  /** Copies until `wanted` bytes are held. out  where reading goes on */
  #take(bytes: Buffer, at: number, wanted: number): number {
    this.#makeRoom(wanted);
    const next = Math.min(bytes.length, at + wanted - this.#heldBytes);
    bytes.copy(this.#held, this.#heldBytes, at, next);
    this.#heldBytes += next - at;
    return next;
  }

  /** `header` holds the frame header at `at`; payload follows in `piece`. */
  #beginData(header: Buffer, at: number, piece: Buffer): void {
    const flags = header[at + 4] as number;
    const streamId = streamIdAt(header, at);
    const length = lengthAt(header, at);
    if (streamId !== this.#runStream || this.#runIsEnd) this.#endRun(piece);
    this.#streamId = streamId;
    this.#isEnd = (flags & FLAG_END_STREAM) !== 0;
    this.#isPadUnread = (flags & FLAG_PADDED) !== 0;
    this.#dataLeft = length;
    this.#padLeft = 0;
    if (this.#isPadUnread && length === 0) {
      this.#sink.badFrame("bad padding");
      return;
    }
    this.#sink.dataBegins(streamId, length, this.#isEnd);
    if (length === 0) this.#endOfFrame(0);
  }

  #readData(bytes: Buffer, at: number): number {
    if (this.#isPadUnread) return this.#readPadLength(bytes, at);
    const taken = Math.min(this.#dataLeft, bytes.length - at);
    if (taken > 0) {
      this.#extendRun(bytes, at, taken);
      this.#dataLeft -= taken;
    }
    const skipped = Math.min(this.#padLeft, bytes.length - at - taken);
    this.#padLeft -= skipped;
    if (!this.#isInData) this.#endOfFrame(at + taken);
    return at + taken + skipped;
  }

  #readPadLength(bytes: Buffer, at: number): number {
    this.#isPadUnread = false;
    this.#padLeft = bytes[at] as number;
    this.#dataLeft -= 1 + this.#padLeft;
    this.#startRun(at + 1);
    this.#runPadding += 1 + this.#padLeft;
    if (this.#dataLeft < 0) {
      this.#dataLeft = 0;
      this.#padLeft = 0;
      this.#sink.badFrame("bad padding");
    } else if (!this.#isInData) this.#endOfFrame(at + 1);
    return at + 1;
  }

  /** Appends payload to the run, moving it down over the frame header between. */
  #extendRun(bytes: Buffer, at: number, length: number): void {
    this.#startRun(at);
    if (this.#runEnd !== at) bytes.copyWithin(this.#runEnd, at, at + length);
    this.#runEnd += length;
  }

  #endOfFrame(at: number): void {
    if (!this.#isEnd) return;
    this.#startRun(at);
    this.#runIsEnd = true;
  }

  #startRun(at: number): void {
    if (this.#runStream !== 0) return;
    this.#runStream = this.#streamId;
    this.#runStart = at;
    this.#runEnd = at;
  }

  /** Hands the run on. */
  #endRun(bytes: Buffer): void {
    const streamId = this.#runStream;
    if (streamId === 0) return;
    const isEnd = this.#runIsEnd;
    const padding = this.#runPadding;
    this.#runStream = 0;
    this.#runIsEnd = false;
    this.#runPadding = 0;
    const isWhole = this.#runStart === 0 && this.#runEnd === bytes.length;
    this.#sink.data(streamId, isWhole ? bytes : bytes.subarray(this.#runStart, this.#runEnd), padding, isEnd);
  }
}

function lengthAt(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

function streamIdAt(bytes: Buffer, at: number): number {
  return uint31At(bytes, at + 5);
}

/** The 31 bits behind a reserved one. */
export function uint31At(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) & 127) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
