/**
 * Decoder: a header block, one field at a time.
 *
 * in     a whole block, read to its end before any other; literal fields are decoded into LINE_ARENA
 * out    `next` says DECODED_FIELD, and where the field's line `name: value\r\n` stands; DECODED_END; DECODED_FAILED with
 *        `failure`, after which the table is no longer the peer's and the connection must end (COMPRESSION_ERROR)
 * rule   every field goes through the table, also those that nobody wants any more, or the next block means something else
 * cost   nothing is copied for an indexed field; a literal is decoded once, where its line may stay
 * spec   RFC 7541 §3, §5, §6
 */
import { COLON, CR, LF, SP } from "../../core/bytes.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { decodedBound, decodeHuffman } from "./huffman.ts";
import { copyBytes, LINE_ARENA } from "./line-arena.ts";
import {
  STATIC_BYTES,
  STATIC_COUNT,
  STATIC_NAME_LENGTHS,
  STATIC_STARTS,
  STATIC_VALUE_LENGTHS,
  STATIC_VALUES,
} from "./static-table.ts";

export const DECODED_END = 0;
export const DECODED_FIELD = 1;
export const DECODED_FAILED = 2;
export type Decoded = typeof DECODED_END | typeof DECODED_FIELD | typeof DECODED_FAILED;

/** What both ends begin with (RFC 9113 §6.5.2). */
export const FIRST_TABLE_BYTES = 4096;
/** Of a note: what concerns the name, and so holds for other values of it too. */
export const NAME_NOTE = 0xff;

/** Four bytes behind the prefix, so 2^28: a block is far smaller, and so is a table. */
const MAX_UNIT = 128 ** 3;
const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const SIZE_UPDATE = 0x20;
const HUFFMAN = 0x80;
/** `: ` and CRLF. */
const LINE_OVERHEAD = 4;

export class HpackDecoder {
  readonly arena = LINE_ARENA;
  readonly table = new DynamicTable(FIRST_TABLE_BYTES);
  failure = "";
  /** The field's line is `bytes[lineStart, lineStart + nameLength + valueLength + 4)`. */
  bytes: Buffer = STATIC_BYTES;
  lineStart = 0;
  nameLength = 0;
  valueLength = 0;
  /** What was noted about the entry, or 0; of a new field with a known name, that of the name. */
  note = 0;
  /** Slot of its entry in the dynamic table, or -1. */
  slot = -1;
  /** The line stands behind the others of the arena: it is kept by moving `arena.at`. */
  isInPlace = false;
  /** Index in the static table, or 0. */
  #staticIndex = 0;
  #limit = FIRST_TABLE_BYTES;
  readonly #staticNotes: Int32Array;
  #block: Buffer = STATIC_BYTES;
  #at = 0;
  #end = 0;

  /** in  `staticNotes`: by index of the static table */
  constructor(staticNotes: Int32Array) {
    this.#staticNotes = staticNotes;
  }

  /** The table's largest size: our SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it. */
  setTableBytes(bytes: number): void {
    this.#limit = bytes;
  }

  /** Begins a block, and takes what it says of the table's size. out  "" or the failure */
  start(block: Buffer, start: number, end: number): string {
    this.#block = block;
    this.#at = start;
    this.#end = end;
    this.failure = "";
    this.arena.start();
    while (this.#at < end && ((block[this.#at] as number) & 0xe0) === SIZE_UPDATE) {
      const size = this.#integer(0x1f);
      if (size === -1) return this.failure;
      if (size > this.#limit) return this.#fail("table size above SETTINGS_HEADER_TABLE_SIZE");
      this.table.resize(size);
    }
    // RFC 7541 §4.2: a limit that was lowered has to be confirmed before anything else
    if (this.#at < end && this.table.maxBytes > this.#limit) return this.#fail("table size not lowered");
    return "";
  }

  next(): Decoded {
    if (this.#at === this.#end) return DECODED_END;
    const byte = this.#block[this.#at] as number;
    if (byte >= INDEXED) {
      let index = byte & 0x7f;
      if (index === 0x7f) index = this.#integer(0x7f);
      else this.#at++;
      return this.#indexed(index);
    }
    if (byte >= WITH_INDEXING) return this.#literal(0x3f, true);
    if (byte < SIZE_UPDATE) return this.#literal(0x0f, false);
    this.#fail("table size update inside of a block");
    return DECODED_FAILED;
  }

  /** Lets go of the block and of the arena, which an idle connection must not keep. */
  end(): void {
    this.#block = STATIC_BYTES;
    this.bytes = STATIC_BYTES;
  }

  /** The field's value as text; of an entry it is made once. */
  text(): string {
    if (this.#staticIndex !== 0) return STATIC_VALUES[this.#staticIndex] as string;
    if (this.slot !== -1) return this.table.textAt(this.slot);
    const start = this.lineStart + this.nameLength + 2;
    return this.bytes.latin1Slice(start, start + this.valueLength);
  }

  /** Remembers `note` with the field's entry, if it has one. */
  remember(note: number): void {
    if (this.slot !== -1) this.table.setNote(this.slot, note);
  }

  #indexed(index: number): Decoded {
    this.isInPlace = false;
    if (index > STATIC_COUNT) {
      const { table } = this;
      const age = index - STATIC_COUNT;
      if (age > table.count) return this.#failed("index past the end of the table");
      const slot = table.slotOf(age);
      this.bytes = table.bytes;
      this.lineStart = table.startAt(slot);
      this.nameLength = table.nameLengthAt(slot);
      this.valueLength = table.valueLengthAt(slot);
      this.note = table.noteAt(slot);
      this.slot = slot;
      this.#staticIndex = 0;
      return DECODED_FIELD;
    }
    if (index <= 0) return this.#failed("index 0");
    this.bytes = STATIC_BYTES;
    this.lineStart = STATIC_STARTS[index] as number;
    this.nameLength = STATIC_NAME_LENGTHS[index] as number;
    this.valueLength = STATIC_VALUE_LENGTHS[index] as number;
    this.note = this.#staticNotes[index] as number;
    this.slot = -1;
    this.#staticIndex = index;
    return DECODED_FIELD;
  }

  /** A field with a new value, and perhaps a new name: its line is put together behind the others of the arena. */
  #literal(prefix: number, isRemembered: boolean): Decoded {
    const index = this.#integer(prefix);
    if (index === -1) return DECODED_FAILED;
    if (index !== 0 && this.#indexed(index) === DECODED_FAILED) return DECODED_FAILED;
    const name = this.#at;
    const nameBound = index === 0 ? this.#skipString() : this.nameLength;
    if (nameBound === -1) return DECODED_FAILED;
    const value = this.#at;
    const valueBound = this.#skipString();
    if (valueBound === -1) return DECODED_FAILED;
    const { arena } = this;
    arena.reserve(nameBound + valueBound + LINE_OVERHEAD);
    let at = arena.at;
    if (index === 0) {
      this.note = 0;
      at = this.#string(name, at);
    } else {
      this.note &= NAME_NOTE;
      copyBytes(this.bytes, this.lineStart, this.nameLength, arena.bytes, at);
      at += this.nameLength;
    }
    return at === -1 ? this.#failed("Huffman code") : this.#finishLiteral(at, value, isRemembered);
  }

  /** The name stands in the arena and ends at `nameEnd`; the value follows it. */
  #finishLiteral(nameEnd: number, value: number, isRemembered: boolean): Decoded {
    const { bytes, at: lineStart } = this.arena;
    bytes[nameEnd] = COLON;
    bytes[nameEnd + 1] = SP;
    const valueEnd = this.#string(value, nameEnd + 2);
    if (valueEnd === -1) return this.#failed("Huffman code");
    bytes[valueEnd] = CR;
    bytes[valueEnd + 1] = LF;
    this.bytes = bytes;
    this.lineStart = lineStart;
    this.nameLength = nameEnd - lineStart;
    this.valueLength = valueEnd - nameEnd - 2;
    this.isInPlace = true;
    this.#staticIndex = 0;
    this.slot = -1;
    if (isRemembered) this.#insert(valueEnd + 2 - lineStart);
    return DECODED_FIELD;
  }

  #insert(length: number): void {
    const { table } = this;
    const start = table.insert(this.nameLength, this.valueLength, this.note);
    if (start === -1) return;
    copyBytes(this.bytes, this.lineStart, length, table.bytes, start);
    this.slot = table.slotOf(1);
  }

  /** Goes past a string. out  the most bytes it can have, or -1: it is not all there */
  #skipString(): number {
    if (this.#at >= this.#end) return this.#failure("block ends inside of a field");
    const isHuffman = (this.#block[this.#at] as number) >= HUFFMAN;
    const length = this.#integer(0x7f);
    if (length === -1) return -1;
    if (length > this.#end - this.#at) return this.#failure("string past the end of the block");
    this.#at += length;
    return isHuffman ? decodedBound(length) : length;
  }

  /** Writes the string that starts at `from`, which `skipString` has been over, to `at` of the arena. out  its end, or -1 */
  #string(from: number, at: number): number {
    const block = this.#block;
    const isHuffman = (block[from] as number) >= HUFFMAN;
    let length = (block[from] as number) & 0x7f;
    let start = from + 1;
    if (length === 0x7f) {
      const after = this.#at;
      this.#at = from;
      length = this.#integer(0x7f);
      start = this.#at;
      this.#at = after;
    }
    if (isHuffman) return decodeHuffman(block, start, start + length, this.arena.bytes, at);
    copyBytes(block, start, length, this.arena.bytes, at);
    return at + length;
  }

  /** The integer at hand, whose prefix is `mask` (RFC 7541 §5.1), or -1. */
  #integer(mask: number): number {
    const block = this.#block;
    let value = (block[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let unit = 1; this.#at < this.#end && unit <= MAX_UNIT; unit *= 128) {
      const byte = block[this.#at++] as number;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
    return this.#failure("integer too large, or cut");
  }

  #fail(what: string): string {
    if (this.failure === "") this.failure = what;
    return this.failure;
  }

  #failed(what: string): Decoded {
    this.#fail(what);
    return DECODED_FAILED;
  }

  #failure(what: string): -1 {
    this.#fail(what);
    return -1;
  }
}
