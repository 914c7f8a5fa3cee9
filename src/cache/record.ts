/**
 * Record: a stored response as bytes, the same in memory and on a disk.
 *
 * shape  a head of numbers, little-endian, then purge slots, key, reason, field lines, body. Nothing in it points
 *        anywhere else but to a body file, so that a record may be copied, moved and kept
 * out    decoded: views of the bytes that were given, which must belong to nobody else from then on
 * rule   whoever reads compares the key: a place in memory may hold another record by then
 * note   lengths are checked, so that bytes which are no record are told, not read past; whether they are the bytes that
 *        were written is for the reader to know (generations in memory, checksums on a disk)
 */
import { Fields, markLines } from "../core/fields.ts";
import type { NewResponse } from "./store.ts";
import type { BodyRef, StoredFacts, StoredResponse } from "./stored.ts";

/** Changes with the layout: records of another version are not found. */
const MAGIC = 0x31524357;
/** The part of the head that tells whose record it is and how long: enough to walk over many. */
export const RECORD_START_BYTES = 16;

const LENGTH = 4;
const HASH_LOW = 8;
const HASH_HIGH = 12;
const KEY_LENGTH = 16;
const REASON_LENGTH = 20;
const LINES_LENGTH = 24;
const SLOTS = 28;
const BODY_LENGTH = 32;
const STATUS = 36;
const FLAGS = 40;
const MARK = 44;
const HAS_FILE = 48;
const REQUESTED_AT = 56;
const RESPONDED_AT = 64;
const INITIAL_AGE = 72;
const LIFETIME = 80;
const STALE_WHILE_REVALIDATE = 88;
const STALE_IF_ERROR = 96;
const KEEP = 104;
const FIRST_BYTE = 112;
const COMPLETE_LENGTH = 120;
const FILE_ID = 128;
const FILE_LENGTH = 136;
const HEAD_BYTES = 144;
const SLOT_BYTES = 4;

/** How long the record of a response would be. */
export function recordBytesOf({ key, reason, lines, body, facts }: NewResponse): number {
  const text = key.length + reason.length + lines.length;
  return HEAD_BYTES + facts.purgeSlots.length * SLOT_BYTES + text + (body?.length ?? 0);
}

/** Writes a record at the beginning of `into`, which has room for it. out  its length */
export function encodeRecord(into: Buffer, response: NewResponse, high: number, low: number): number {
  const { key, reason, lines, body, facts, file } = response;
  const length = recordBytesOf(response);
  into.writeUInt32LE(MAGIC, 0);
  into.writeUInt32LE(length, LENGTH);
  into.writeInt32LE(low, HASH_LOW);
  into.writeInt32LE(high, HASH_HIGH);
  into.writeUInt32LE(key.length, KEY_LENGTH);
  into.writeUInt32LE(reason.length, REASON_LENGTH);
  into.writeUInt32LE(lines.length, LINES_LENGTH);
  into.writeUInt32LE(facts.purgeSlots.length, SLOTS);
  into.writeUInt32LE(body?.length ?? 0, BODY_LENGTH);
  into.writeUInt32LE(file === undefined ? 0 : 1, HAS_FILE);
  into.writeDoubleLE(file?.id ?? 0, FILE_ID);
  into.writeDoubleLE(file?.length ?? 0, FILE_LENGTH);
  writeFacts(into, facts);
  let at = HEAD_BYTES;
  for (const slot of facts.purgeSlots) at = into.writeUInt32LE(slot, at);
  at += into.latin1Write(key, at, key.length);
  at += into.latin1Write(reason, at, reason.length);
  at += lines.copy(into, at);
  if (body !== undefined) body.copy(into, at);
  return length;
}

function writeFacts(into: Buffer, facts: StoredFacts): void {
  into.writeUInt32LE(facts.status, STATUS);
  into.writeUInt32LE(facts.flags, FLAGS);
  into.writeUInt32LE(facts.mark, MARK);
  into.writeDoubleLE(facts.requestedAtMs, REQUESTED_AT);
  into.writeDoubleLE(facts.respondedAtMs, RESPONDED_AT);
  into.writeDoubleLE(facts.initialAgeMs, INITIAL_AGE);
  into.writeDoubleLE(facts.lifetimeMs, LIFETIME);
  into.writeDoubleLE(facts.staleWhileRevalidateMs, STALE_WHILE_REVALIDATE);
  into.writeDoubleLE(facts.staleIfErrorMs, STALE_IF_ERROR);
  into.writeDoubleLE(facts.keepMs, KEEP);
  into.writeDoubleLE(facts.firstByte, FIRST_BYTE);
  into.writeDoubleLE(facts.completeLength, COMPLETE_LENGTH);
}

/** Length of the record that begins in `bytes`, or 0 when none does. */
export function recordLengthIn(bytes: Buffer): number {
  return bytes.readUInt32LE(0) === MAGIC ? bytes.readUInt32LE(LENGTH) : 0;
}

export const recordHashLow = (bytes: Buffer) => bytes.readInt32LE(HASH_LOW);
export const recordHashHigh = (bytes: Buffer) => bytes.readInt32LE(HASH_HIGH);

/** The response in `bytes[0, length)`, or undefined when that is no whole record. Its parts are views of `bytes`. */
export function decodeRecord(bytes: Buffer, length: number): StoredResponse | undefined {
  if (length < HEAD_BYTES || bytes.length < length || recordLengthIn(bytes) !== length) return undefined;
  const slots = bytes.readUInt32LE(SLOTS);
  const keyAt = HEAD_BYTES + slots * SLOT_BYTES;
  const reasonAt = keyAt + bytes.readUInt32LE(KEY_LENGTH);
  const linesAt = reasonAt + bytes.readUInt32LE(REASON_LENGTH);
  const bodyAt = linesAt + bytes.readUInt32LE(LINES_LENGTH);
  const bodyLength = bytes.readUInt32LE(BODY_LENGTH);
  if (bodyAt + bodyLength !== length) return undefined;
  const fields = new Fields();
  markLines(fields, bytes.subarray(linesAt, bodyAt), bodyAt - linesAt);
  const file = fileIn(bytes);
  return {
    key: bytes.latin1Slice(keyAt, reasonAt),
    facts: readFacts(bytes, slots),
    reason: bytes.latin1Slice(reasonAt, linesAt),
    fields,
    body: file === undefined ? bytes.subarray(bodyAt, length) : undefined,
    file,
    bodyLength: file === undefined ? bodyLength : file.length,
  };
}

function fileIn(bytes: Buffer): BodyRef | undefined {
  if (bytes.readUInt32LE(HAS_FILE) === 0) return undefined;
  return { id: bytes.readDoubleLE(FILE_ID), length: bytes.readDoubleLE(FILE_LENGTH) };
}

function readFacts(bytes: Buffer, slots: number): StoredFacts {
  const purgeSlots = new Uint32Array(slots);
  for (let index = 0; index < slots; index++) {
    purgeSlots[index] = bytes.readUInt32LE(HEAD_BYTES + index * SLOT_BYTES);
  }
  return {
    status: bytes.readUInt32LE(STATUS),
    requestedAtMs: bytes.readDoubleLE(REQUESTED_AT),
    respondedAtMs: bytes.readDoubleLE(RESPONDED_AT),
    initialAgeMs: bytes.readDoubleLE(INITIAL_AGE),
    lifetimeMs: bytes.readDoubleLE(LIFETIME),
    staleWhileRevalidateMs: bytes.readDoubleLE(STALE_WHILE_REVALIDATE),
    staleIfErrorMs: bytes.readDoubleLE(STALE_IF_ERROR),
    keepMs: bytes.readDoubleLE(KEEP),
    flags: bytes.readUInt32LE(FLAGS),
    mark: bytes.readUInt32LE(MARK),
    purgeSlots,
    firstByte: bytes.readDoubleLE(FIRST_BYTE),
    completeLength: bytes.readDoubleLE(COMPLETE_LENGTH),
  };
}

/** When it is worth nothing any more, in ms since the epoch. */
export function keepUntilMs(facts: StoredFacts): number {
  const { respondedAtMs, lifetimeMs, initialAgeMs, staleWhileRevalidateMs, staleIfErrorMs, keepMs } = facts;
  return (
    respondedAtMs + lifetimeMs - initialAgeMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs, keepMs, 0)
  );
}
