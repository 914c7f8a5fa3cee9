/**
 * Control intake: the frames that carry neither heads nor bodies.
 *
 * spec   RFC 9113 §6.3–§6.9, RFC 9218 §7.1
 */
import { COST } from "./abuse.ts";
import {
  FLAG_ACK,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  GOAWAY,
  MAX_WINDOW_BYTES,
  PING,
  PRIORITY,
  PRIORITY_UPDATE,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "./codes.table.ts";
import { type Frame, uint31At } from "./frame-reader.ts";
import { writePingAck, writeSettingsAck } from "./frame-writer.ts";
import type { Link } from "./link.ts";
import { setPriority } from "./priority.ts";

const PRIORITY_BYTES = 5;
const SETTING_BYTES = 6;
const PING_BYTES = 8;

export class ControlIntake {
  /** True once the peer has told its settings. */
  hasSettings = false;
  readonly #link: Link;
  readonly #onTableBytes: (bytes: number) => void;

  constructor(link: Link, onTableBytes: (bytes: number) => void) {
    this.#link = link;
    this.#onTableBytes = onTableBytes;
  }

  frame(frame: Frame): void {
    switch (frame.type) {
      case WINDOW_UPDATE:
        this.#windowUpdate(frame);
        break;
      case RST_STREAM:
        this.#rstStream(frame);
        break;
      case PRIORITY:
        this.#priority(frame);
        break;
      case PUSH_PROMISE:
        this.#link.fail(PROTOCOL_ERROR, "PUSH_PROMISE, which nobody may send here"); // we never allow it (§6.6)
        break;
      case SETTINGS:
      case PING:
      case GOAWAY:
      case PRIORITY_UPDATE:
        if (frame.streamId === 0) this.#ofConnection(frame);
        else this.#link.fail(PROTOCOL_ERROR, "a frame of the connection on a stream");
        break;
      default:
        this.#link.spend(COST.unknownFrame, "unknown frames"); // §5.5: ignored
    }
  }

  #ofConnection(frame: Frame): void {
    if (frame.type === SETTINGS) this.#settings(frame);
    else if (frame.type === PING) this.#ping(frame);
    else if (frame.type === GOAWAY) this.#goaway(frame);
    else this.#priorityUpdate(frame);
  }

  #windowUpdate({ streamId, bytes, start, length }: Frame): void {
    const link = this.#link;
    if (length !== 4) {
      link.fail(FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size");
      return;
    }
    this.#answer(COST.windowUpdate, "window updates");
    const more = uint31At(bytes, start);
    if (streamId !== 0) this.#openStream(streamId, more);
    else if (more === 0) link.fail(PROTOCOL_ERROR, "WINDOW_UPDATE of nothing");
    else if (link.sender.window + more > MAX_WINDOW_BYTES)
      link.fail(FLOW_CONTROL_ERROR, "the window is too large");
    else link.sender.window += more;
  }

  /** What answers body bytes is free; nothing else is. */
  #answer(cost: number, what: string): void {
    if (this.#link.sender.answersDue > 0) this.#link.sender.answersDue--;
    else this.#link.spend(cost, what);
  }

  #openStream(id: number, more: number): void {
    const link = this.#link;
    const stream = link.streams.get(id);
    if (stream === undefined) {
      if (link.isUnopened(id)) link.fail(PROTOCOL_ERROR, "WINDOW_UPDATE on no stream");
    } else if (more === 0) link.failStream(id, PROTOCOL_ERROR);
    else if (stream.sendWindow + more > MAX_WINDOW_BYTES) link.failStream(id, FLOW_CONTROL_ERROR);
    else stream.sendWindow += more;
  }

  #rstStream({ streamId, bytes, start, length }: Frame): void {
    const link = this.#link;
    if (length !== 4) link.fail(FRAME_SIZE_ERROR, "RST_STREAM of a wrong size");
    else if (streamId === 0 || link.isUnopened(streamId))
      link.fail(PROTOCOL_ERROR, "RST_STREAM on no stream");
    else {
      if (link.isServer) link.spend(COST.reset, "streams reset");
      const stream = link.streams.get(streamId);
      link.endForgotten(streamId);
      if (stream === undefined) return;
      link.close(stream);
      link.events.onReset(stream, uint31At(bytes, start));
    }
  }

  #priority({ streamId, bytes, start, length }: Frame): void {
    this.#link.spend(COST.emptyFrame, "PRIORITY frames");
    if (streamId === 0) this.#link.fail(PROTOCOL_ERROR, "PRIORITY on no stream");
    else if (length !== PRIORITY_BYTES)
      this.#failOrBreak(streamId, FRAME_SIZE_ERROR, "PRIORITY of a wrong size");
    else if (uint31At(bytes, start) === streamId) {
      this.#failOrBreak(streamId, PROTOCOL_ERROR, "a stream depends on itself");
    }
  }

  /** RST_STREAM may not be sent for a stream that nobody has opened (§6.4). */
  #failOrBreak(id: number, code: number, detail: string): void {
    if (this.#link.isUnopened(id)) this.#link.fail(code, detail);
    else this.#link.failStream(id, code);
  }

  /** A client thinks again about a response that it waits for. */
  #priorityUpdate({ bytes, start, end, length }: Frame): void {
    this.#link.spend(COST.emptyFrame, "PRIORITY_UPDATE frames");
    if (length < 4) {
      this.#link.fail(FRAME_SIZE_ERROR, "PRIORITY_UPDATE of a wrong size");
      return;
    }
    const id = uint31At(bytes, start);
    if (!this.#link.isServer || id === 0) {
      this.#link.fail(PROTOCOL_ERROR, "PRIORITY_UPDATE of no request");
      return;
    }
    const stream = this.#link.streams.get(id);
    if (stream !== undefined) setPriority(stream, bytes.latin1Slice(start + 4, end));
  }

  #settings({ flags, bytes, start, end, length }: Frame): void {
    const link = this.#link;
    const isAck = (flags & FLAG_ACK) !== 0;
    if (isAck ? length > 0 : length % SETTING_BYTES !== 0)
      link.fail(FRAME_SIZE_ERROR, "SETTINGS of a wrong size");
    if (isAck) link.isAcknowledged = true;
    if (isAck || link.isBroken) return;
    if (this.hasSettings) link.spend(COST.settings, "SETTINGS frames");
    this.hasSettings = true;
    const before = link.peer.initialWindow;
    const wrong = link.peer.read(bytes, start, end, !link.isServer);
    if (wrong !== undefined) {
      link.fail(wrong.code, wrong.detail);
      return;
    }
    this.#onTableBytes(link.peer.leastTableBytes);
    this.#onTableBytes(link.peer.headerTableBytes);
    if (link.peer.initialWindow !== before) this.#moveWindows(link.peer.initialWindow - before);
    writeSettingsAck(link.out);
    link.events.onSettings();
  }

  /** §6.9.2: a new initial window moves the windows of all streams. */
  #moveWindows(difference: number): void {
    for (const stream of this.#link.streams.values()) {
      stream.sendWindow += difference;
      if (stream.sendWindow > MAX_WINDOW_BYTES) this.#link.fail(FLOW_CONTROL_ERROR, "a window is too large");
    }
  }

  #ping({ flags, bytes, start, length }: Frame): void {
    const link = this.#link;
    if (length !== PING_BYTES) link.fail(FRAME_SIZE_ERROR, "PING of a wrong size");
    else if ((flags & FLAG_ACK) === 0) {
      this.#answer(COST.ping, "PING frames");
      if (!link.isBroken) writePingAck(link.out, bytes, start);
    }
  }

  #goaway({ bytes, start, length }: Frame): void {
    const link = this.#link;
    if (length < 8) {
      link.fail(FRAME_SIZE_ERROR, "GOAWAY of a wrong size");
      return;
    }
    if (!link.isServer) link.isGoingAway = true;
    link.events.onGoaway(uint31At(bytes, start), bytes.readUInt32BE(start + 4));
  }
}
