/**
 * Data intake: body bytes come in, as our windows allow, and credit goes back as they are used up.
 *
 * why    credit is given for bytes that the other side of the exchange has taken, not for bytes that have come: a slow
 *        endpoint slows its client, and nothing piles up here
 * spec   RFC 9113 §5.2, §6.1, §6.9, §8.1.1
 */
import { COST } from "./abuse.ts";
import { DEFAULT_WINDOW_BYTES, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } from "./codes.table.ts";
import { writeWindowUpdate } from "./frame-writer.ts";
import type { Link } from "./link.ts";
import type { H2Stream } from "./stream.ts";

/** Of one frame, with the byte that says how much (§6.1). */
const MAX_PADDING_BYTES = 256;

export class DataIntake {
  readonly #link: Link;
  #window = DEFAULT_WINDOW_BYTES;
  /** Used up, and not given back yet. */
  #creditBytes = 0;

  constructor(link: Link) {
    this.#link = link;
    link.credit = (bytes) => this.#credit(bytes);
  }

  /** Opens the connection's window to what the settings say. */
  open(): void {
    const more = this.#link.settings.connectionWindowBytes - DEFAULT_WINDOW_BYTES;
    if (more <= 0) return;
    writeWindowUpdate(this.#link.out, 0, more);
    this.#window += more;
  }

  /** `bytes` that were handed over are used up. */
  consumed(stream: H2Stream, bytes: number): void {
    if (stream.isClosed) return; // the connection got all of the credit when it closed
    stream.unconsumedBytes -= bytes;
    stream.creditBytes += bytes;
    this.#credit(bytes);
    const isDue = stream.creditBytes >= this.#link.settings.streamWindowBytes / 2;
    if (stream.isInputOver || !isDue || this.#link.isBroken) return;
    writeWindowUpdate(this.#link.out, stream.id, stream.creditBytes);
    stream.receiveWindow += stream.creditBytes;
    stream.creditBytes = 0;
  }

  #credit(bytes: number): void {
    this.#creditBytes += bytes;
    const isDue =
      this.#creditBytes >= Math.max(this.#link.settings.connectionWindowBytes, DEFAULT_WINDOW_BYTES) / 2;
    if (!isDue || this.#link.isBroken) return;
    writeWindowUpdate(this.#link.out, 0, this.#creditBytes);
    this.#window += this.#creditBytes;
    this.#creditBytes = 0;
  }

  /** A DATA frame of so many bytes begins, its padding included. */
  begins(id: number, length: number, isEnd: boolean): void {
    const link = this.#link;
    this.#window -= length;
    if (this.#window < 0) {
      link.fail(FLOW_CONTROL_ERROR, "the connection's window is exceeded");
      return;
    }
    if (length === 0 && !isEnd) link.spend(COST.emptyFrame, "empty DATA frames");
    const stream = link.streams.get(id);
    if (stream === undefined || stream.isInputOver || !stream.hasHead) {
      this.#refuse(id, length, stream);
      return;
    }
    stream.receiveWindow -= length;
    stream.unconsumedBytes += length;
    if (stream.receiveWindow < 0) link.failStream(id, FLOW_CONTROL_ERROR);
  }

  /** Body bytes that no stream awaits. */
  #refuse(id: number, length: number, stream: H2Stream | undefined): void {
    const link = this.#link;
    if (id === 0 || link.isUnopened(id)) {
      link.fail(PROTOCOL_ERROR, "DATA on no stream");
      return;
    }
    this.#credit(length);
    if (stream !== undefined) link.failStream(id, stream.hasHead ? STREAM_CLOSED : PROTOCOL_ERROR);
    else if (!link.isForgotten(id)) link.failStream(id, STREAM_CLOSED);
    // what was on its way when we reset the stream comes once, and then no more
    else link.spend(COST.lateFrame + length * COST.lateByte, "body bytes for streams that are reset");
  }

  /** Payload of one or several frames that began; `padding` of them was none. */
  data(id: number, bytes: Buffer, padding: number, isEnd: boolean): void {
    const link = this.#link;
    const stream = link.streams.get(id);
    if (stream === undefined || stream.isInputOver || link.isBroken) return;
    if (padding > 0) this.consumed(stream, padding);
    if (padding > bytes.length) link.spend((COST.emptyFrame * padding) / MAX_PADDING_BYTES, "padding");
    stream.receivedBytes += bytes.length;
    const isTooLong = stream.declaredBytes >= 0 && stream.receivedBytes > stream.declaredBytes;
    if (isTooLong || (isEnd && stream.isCutShort)) {
      link.failStream(id, PROTOCOL_ERROR);
      return;
    }
    if (isEnd) stream.isInputOver = true;
    link.events.onBody(stream, bytes, isEnd);
    if (isEnd) link.inputOver(stream);
  }
}
