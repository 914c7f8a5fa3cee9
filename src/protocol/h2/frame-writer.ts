/**
 * Frame writer: frames appended to an Out; the only place that knows how a frame is laid out on its way out.
 *
 * spec   RFC 9113 §4.1, §6
 */
import type { Out } from "../../core/out.ts";
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_HEADER_BYTES,
  GOAWAY,
  HEADERS,
  MAX_FRAME_BYTES,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "./codes.table.ts";

const PING_BYTES = 8;

function uint32(out: Out, value: number): void {
  out.byte((value >>> 24) & 255);
  out.byte((value >>> 16) & 255);
  out.byte((value >>> 8) & 255);
  out.byte(value & 255);
}

/** The nine bytes before every payload. */
function frameHeader(out: Out, length: number, typeAndFlags: number, streamId: number): void {
  out.byte(length >>> 16);
  out.byte((length >>> 8) & 255);
  out.byte(length & 255);
  out.byte(typeAndFlags >>> 8);
  out.byte(typeAndFlags & 255);
  uint32(out, streamId);
}

// biome-ignore lint/complexity/useMaxParams: where the bytes stand, without an object for each frame
export function writeData(out: Out, streamId: number, bytes: Buffer, start: number, end: number): void {
  frameHeader(out, end - start, DATA << 8, streamId);
  if (end > start) out.copy(bytes, start, end);
}

/** Marks the DATA frame that was written last, of `length` bytes, as the end of its stream. */
export function markEnd(out: Out, length: number): void {
  const at = out.length - length - FRAME_HEADER_BYTES + 4;
  out.bytes[at] = (out.bytes[at] as number) | FLAG_END_STREAM;
}

/** Leaves room for the frame header of a header block. out  where the block starts */
export function beginHeaders(out: Out): number {
  frameHeader(out, 0, HEADERS << 8, 0);
  return out.length;
}

/** The block written since `beginHeaders` is complete: fills in its frame header, cuts it into frames if need be. */
export function finishHeaders(out: Out, blockStart: number, streamId: number, isEnd: boolean): void {
  const length = out.length - blockStart;
  const flags = isEnd ? FLAG_END_STREAM : 0;
  if (length <= MAX_FRAME_BYTES) {
    patchHeader(out, blockStart, length, (HEADERS << 8) | FLAG_END_HEADERS | flags, streamId);
    return;
  }
  const rest = Buffer.from(out.bytes.subarray(blockStart + MAX_FRAME_BYTES, out.length));
  patchHeader(out, blockStart, MAX_FRAME_BYTES, (HEADERS << 8) | flags, streamId);
  out.length = blockStart + MAX_FRAME_BYTES;
  for (let at = 0; at < rest.length; at += MAX_FRAME_BYTES) {
    const end = Math.min(rest.length, at + MAX_FRAME_BYTES);
    const last = end === rest.length ? FLAG_END_HEADERS : 0;
    frameHeader(out, end - at, (CONTINUATION << 8) | last, streamId);
    out.copy(rest, at, end);
  }
}

// biome-ignore lint/complexity/useMaxParams: the fields of a frame header, where it stands
function patchHeader(
  out: Out,
  payload: number,
  length: number,
  typeAndFlags: number,
  streamId: number,
): void {
  const { bytes } = out;
  const at = payload - FRAME_HEADER_BYTES;
  bytes[at] = length >>> 16;
  bytes[at + 1] = (length >>> 8) & 255;
  bytes[at + 2] = length & 255;
  bytes[at + 3] = typeAndFlags >>> 8;
  bytes[at + 4] = typeAndFlags & 255;
  bytes[at + 5] = (streamId >>> 24) & 255;
  bytes[at + 6] = (streamId >>> 16) & 255;
  bytes[at + 7] = (streamId >>> 8) & 255;
  bytes[at + 8] = streamId & 255;
}

export function writeReset(out: Out, streamId: number, code: number): void {
  frameHeader(out, 4, RST_STREAM << 8, streamId);
  uint32(out, code);
}

export function writeWindowUpdate(out: Out, streamId: number, bytes: number): void {
  frameHeader(out, 4, WINDOW_UPDATE << 8, streamId);
  uint32(out, bytes);
}

export function writeSettings(out: Out, settings: readonly (readonly [id: number, value: number])[]): void {
  frameHeader(out, settings.length * 6, SETTINGS << 8, 0);
  for (const [id, value] of settings) {
    out.byte(id >>> 8);
    out.byte(id & 255);
    uint32(out, value);
  }
}

export function writeSettingsAck(out: Out): void {
  frameHeader(out, 0, (SETTINGS << 8) | FLAG_ACK, 0);
}

/** Answers a PING with its own eight bytes. */
export function writePingAck(out: Out, bytes: Buffer, start: number): void {
  frameHeader(out, PING_BYTES, (PING << 8) | FLAG_ACK, 0);
  out.copy(bytes, start, start + PING_BYTES);
}

export function writeGoaway(out: Out, lastStreamId: number, code: number): void {
  frameHeader(out, 8, GOAWAY << 8, 0);
  uint32(out, lastStreamId);
  uint32(out, code);
}
