/**
 * HTTP/2 frames as bytes, sound or not: for tests that say exactly what is on the wire (RFC 9113 §4, §6).
 *
 * rule   header blocks are literals without indexing and without Huffman coding (RFC 7541 §6.2.2): they mean the
 *        same whatever was sent before, and nothing of the code under test makes them
 */

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const CODE = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  connect: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const MAX_WINDOW = 0x7fff_ffff;
export const DEFAULT_WINDOW = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;

export type FieldList = readonly (readonly [name: string, value: string])[];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const HEADER_BYTES = 9;
const bytesOf = (bytes: string | Uint8Array) =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);

/** One frame; `length` may lie about the payload. */
export function frame(
  { type, flags = 0, stream = 0, length }: { type: number; flags?: number; stream?: number; length?: number },
  payload: string | Uint8Array = "",
): Buffer {
  const body = bytesOf(payload);
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(length ?? body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Takes whole frames off the front. out  the frames and what is left */
export function takeFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const end = at + HEADER_BYTES + bytes.readUIntBE(at, 3);
    if (bytes.length < end) break;
    const payload = Buffer.from(bytes.subarray(at + HEADER_BYTES, end));
    const stream = bytes.readUInt32BE(at + 5) & MAX_WINDOW;
    frames.push({ type: bytes.readUInt8(at + 3), flags: bytes.readUInt8(at + 4), stream, payload });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export interface DataOptions {
  readonly end?: boolean;
  /** Bytes of padding, which may be more than there is room for. */
  readonly pad?: number;
}

export function data(stream: number, bytes: string | Uint8Array, options: DataOptions = {}): Buffer {
  const flags = (options.end === true ? FLAG.endStream : 0) | (options.pad === undefined ? 0 : FLAG.padded);
  return frame({ type: FRAME.data, flags, stream }, padded(bytesOf(bytes), options.pad));
}

function padded(body: Buffer, pad: number | undefined): Buffer {
  return pad === undefined ? body : Buffer.concat([Buffer.from([pad]), body, Buffer.alloc(pad)]);
}

export interface HeadersOptions {
  readonly end?: boolean;
  /** False: a CONTINUATION follows. */
  readonly endHeaders?: boolean;
  readonly pad?: number;
  readonly priority?: { readonly dependsOn: number; readonly weight?: number };
}

/** HEADERS; the block is a list of fields or bytes. */
export function headers(
  stream: number,
  block: FieldList | Uint8Array,
  { end = true, endHeaders = true, pad, priority }: HeadersOptions = {},
): Buffer {
  const flags =
    (end ? FLAG.endStream : 0) |
    (endHeaders ? FLAG.endHeaders : 0) |
    (pad === undefined ? 0 : FLAG.padded) |
    (priority === undefined ? 0 : FLAG.priority);
  const fragment = block instanceof Uint8Array ? Buffer.from(block) : fieldBlock(block);
  const body = priority === undefined ? fragment : Buffer.concat([dependency(priority), fragment]);
  return frame({ type: FRAME.headers, flags, stream }, padded(body, pad));
}

function dependency({ dependsOn, weight = 15 }: { dependsOn: number; weight?: number }): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(dependsOn, 0);
  bytes.writeUInt8(weight, 4);
  return bytes;
}

export function continuation(stream: number, block: FieldList | Uint8Array, endHeaders = true): Buffer {
  const fragment = block instanceof Uint8Array ? Buffer.from(block) : fieldBlock(block);
  return frame({ type: FRAME.continuation, flags: endHeaders ? FLAG.endHeaders : 0, stream }, fragment);
}

export const priority = (stream: number, dependsOn: number) =>
  frame({ type: FRAME.priority, stream }, dependency({ dependsOn }));

export const rstStream = (stream: number, code: number) =>
  frame({ type: FRAME.rstStream, stream }, uint32(code));

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const body = Buffer.alloc(pairs.length * 6);
  for (const [index, [id, value]] of pairs.entries()) {
    body.writeUInt16BE(id, index * 6);
    body.writeUInt32BE(value, index * 6 + 2);
  }
  return frame({ type: FRAME.settings }, body);
}

export const settingsAck = () => frame({ type: FRAME.settings, flags: FLAG.ack });

export const ping = (text = "weirping", ack = false) =>
  frame({ type: FRAME.ping, flags: ack ? FLAG.ack : 0 }, text);

export const goaway = (lastStream: number, code: number) =>
  frame({ type: FRAME.goaway }, Buffer.concat([uint32(lastStream), uint32(code)]));

export const windowUpdate = (stream: number, increment: number) =>
  frame({ type: FRAME.windowUpdate, stream }, uint32(increment));

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0, 0);
  return bytes;
}

/** An integer with a prefix of so many bits, the bits above it being `high` (RFC 7541 §5.1). */
export function hpackInteger(value: number, prefixBits: number, high: number): Buffer {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return Buffer.from([high | value]);
  const bytes = [high | limit];
  let left = value - limit;
  while (left >= 128) {
    bytes.push((left % 128) + 128);
    left = Math.floor(left / 128);
  }
  return Buffer.from([...bytes, left]);
}

/** A string without Huffman coding (RFC 7541 §5.2). */
export function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([hpackInteger(bytes.length, 7, 0), bytes]);
}

/** A literal: 0x00 without indexing, 0x10 never indexed, 0x40 with indexing. */
export const literal = (name: string, value: string, form: 0 | 0x10 | 0x40 = 0) =>
  Buffer.concat([Buffer.from([form]), hpackString(name), hpackString(value)]);

export const fieldBlock = (fields: FieldList) =>
  Buffer.concat(fields.map(([name, value]) => literal(name, value)));

/** What `:status` may be in the static table (RFC 7541 appendix A). */
const STATIC_STATUS = new Map([
  [8, 200],
  [9, 204],
  [10, 206],
  [11, 304],
  [12, 400],
  [13, 404],
  [14, 500],
]);

/** The status that a block begins with. The peer must have been told to keep its table empty. */
export function statusOf(block: Buffer): number {
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) at++; // a table of size 0 is said in one byte
  const first = block[at] ?? 0;
  if (first >= 0x80) return STATIC_STATUS.get(first & 0x7f) ?? Number.NaN;
  const index = first & (first >= 0x40 ? 0x3f : 0x0f);
  if (index < 8 || index > 14) return Number.NaN;
  const size = (block[at + 1] ?? 0) & 0x7f;
  const text = block.subarray(at + 2, at + 2 + size);
  return Number(((block[at + 1] ?? 0) & 0x80) === 0 ? text.toString("latin1") : huffmanDigits(text));
}

/** Digits: 0 to 2 have five bits, the others six (RFC 7541 appendix B). */
function huffmanDigits(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  for (let at = 0; at + 5 <= bits.length && text.length < 3; ) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2);
    const isShort = five < 3;
    text += isShort ? five : Number.parseInt(bits.slice(at, at + 6), 2) - 0b011001 + 3;
    at += isShort ? 5 : 6;
  }
  return text;
}
