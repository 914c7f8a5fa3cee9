/**
 * Encoder: fields become the shortest instructions that the peer's table allows.
 *
 * why    the same few fields go out with every message; one that is in the table costs a byte, and finding it there costs
 *        a hash of four bytes and one compare of its value
 * in     fields of a known id (core/field-names and CODE_* here), or with a name of their own, in any case
 * out    instructions appended to an Out
 * bound  a table of at most 4096 bytes, whatever the peer would hold: what we send to one peer seldom needs more
 * spec   RFC 7541 §4.2, §5, §6, §7.1.3
 */
import { LOWER } from "../../core/bytes.ts";
import { ID_UNKNOWN } from "../../core/field-names.table.ts";
import type { Fields } from "../../core/fields.ts";
import type { Out } from "../../core/out.ts";
import { DynamicTable, ENTRY_OVERHEAD } from "./dynamic-table.ts";
import { encodeHuffman, huffmanLength } from "./huffman.ts";
import { CHANGING, type Indexing, REPEATED, SECRET, SHORT_COOKIE_BYTES } from "./indexing.table.ts";
import {
  CODE_COOKIE,
  CODES,
  codeOf,
  INDEXINGS,
  NAME_HASH_MASK,
  NAMES,
  nameHash,
  ownIndexing,
  ownStaticIndex,
  STATIC_NAME_INDEX,
  STATIC_VALUE_INDEX,
} from "./known-names.ts";
import { copyBytes } from "./line-arena.ts";
import { STATIC_COUNT } from "./static-table.ts";

const TABLE_BYTES = 4096;
/** The most entries that such a table can hold; a power of two. */
const MOST_ENTRIES = TABLE_BYTES / ENTRY_OVERHEAD;
const BUCKETS = 256;
/** How far a lookup follows entries with the same hash. */
const MAX_CHAIN = 8;
/** So many new values in a row, and a name's values are taken to change every time… */
const MANY_MISSES = 3;
/** …until so many messages later one is remembered again, to see. */
const MISSES_BEFORE_TRIAL = 64;

const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const NEVER_INDEXED = 0x10;
const WITHOUT_INDEXING = 0;
const SIZE_UPDATE = 0x20;
const HUFFMAN = 0x80;
/** Bytes that prefixes and lengths of one field take at most. */
const MOST_PREFIX_BYTES = 24;

/** Texts become bytes here; grows to the longest. */
let scratch: Buffer = Buffer.allocUnsafeSlow(512);

export class HpackEncoder {
  /** Values that are sent each time anew are Huffman-coded too: worth it where bytes are dear. */
  isThrifty = true;
  readonly #table = new DynamicTable(TABLE_BYTES);
  /** By hash: 1 + number of the newest entry with it. Followed by `#chain`. */
  readonly #buckets = new Int32Array(BUCKETS);
  /** By entry number modulo MOST_ENTRIES: 1 + number of the entry before it in its bucket. */
  readonly #chain = new Int32Array(MOST_ENTRIES);
  /** By code, then by hash of a name of its own: 1 + number of the newest entry with the name. */
  readonly #names = new Int32Array(CODES + NAME_HASH_MASK + 1);
  /** As `#names`: new values in a row. */
  readonly #misses = new Uint8Array(CODES + NAME_HASH_MASK + 1);
  /** Smallest and last size that the peer is still to be told, or -1. */
  #smallestSize = -1;
  #lastSize = -1;

  // the field in hand
  #from: Buffer = scratch;
  #nameStart = 0;
  #nameLength = 0;
  #valueStart = 0;
  #valueLength = 0;
  #code = 0;
  /** Place of its name in `#names` and `#misses`. */
  #place = 0;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableBytes(bytes: number): void {
    const size = Math.min(bytes, TABLE_BYTES);
    if (size === this.#table.maxBytes && this.#lastSize === -1) return;
    this.#table.resize(size);
    this.#lastSize = size;
    this.#smallestSize = this.#smallestSize === -1 ? size : Math.min(size, this.#smallestSize);
  }

  /** Begins a block: a table size that changed comes first, after the smallest it had in between (RFC 7541 §4.2). */
  start(out: Out): void {
    if (this.#lastSize === -1) return;
    out.reserve(MOST_PREFIX_BYTES);
    if (this.#smallestSize < this.#lastSize) writeInteger(out, SIZE_UPDATE, 0x1f, this.#smallestSize);
    writeInteger(out, SIZE_UPDATE, 0x1f, this.#lastSize);
    this.#lastSize = -1;
    this.#smallestSize = -1;
  }

  /** Lets go of the last field's bytes, which an idle connection must not keep. */
  end(): void {
    this.#from = scratch;
  }

  /** Appends field `index` of `fields`. */
  field(out: Out, fields: Fields, index: number): void {
    const code = codeOf(fields.idAt(index));
    const nameStart = fields.nameStartAt(index);
    const valueStart = fields.valueStartAt(index);
    this.#from = fields.bytes;
    this.#nameStart = nameStart;
    this.#valueStart = valueStart;
    this.#valueLength = fields.valueEndAt(index) - valueStart;
    this.#code = code;
    this.#nameLength =
      code === ID_UNKNOWN ? fields.nameEndAt(index) - nameStart : (NAMES[code] as Buffer).length;
    this.#put(out);
  }

  /** Appends a field with a known name. */
  text(out: Out, code: number, value: string): void {
    const known = STATIC_VALUE_INDEX[code]?.get(value);
    if (known !== undefined) {
      out.byte(INDEXED | known);
      return;
    }
    if (value.length > scratch.length) scratch = Buffer.allocUnsafeSlow(value.length * 2);
    scratch.latin1Write(value);
    this.#putScratch(out, code, value.length);
  }

  /** Appends a field whose value is a whole number. */
  number(out: Out, code: number, value: number): void {
    let end = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) end++;
    let rest = value;
    for (let at = end - 1; at >= 0; at--) {
      const next = Math.floor(rest / 10);
      scratch[at] = 48 + rest - next * 10;
      rest = next;
    }
    this.#putScratch(out, code, end);
  }

  #putScratch(out: Out, code: number, length: number): void {
    this.#from = scratch;
    this.#nameStart = 0;
    this.#nameLength = (NAMES[code] as Buffer).length;
    this.#valueStart = 0;
    this.#valueLength = length;
    this.#code = code;
    this.#put(out);
  }

  #put(out: Out): void {
    out.reserve(this.#nameLength + this.#valueLength + MOST_PREFIX_BYTES);
    const hash = this.#hash();
    const age = this.#find(hash);
    if (age !== 0) {
      this.#misses[this.#place] = 0;
      writeInteger(out, INDEXED, 0x7f, STATIC_COUNT + age);
    } else this.#putNew(out, hash);
  }

  /** A few bytes tell most fields apart. Sets the place of the name on the way. */
  #hash(): number {
    const from = this.#from;
    const start = this.#valueStart;
    const length = this.#valueLength;
    let place = this.#code;
    if (place === ID_UNKNOWN) {
      place = CODES + nameHash(from, this.#nameStart, this.#nameStart + this.#nameLength);
    }
    this.#place = place;
    if (length === 0) return place & (BUCKETS - 1);
    const last = from[start + length - 1] as number;
    const middle = from[start + (length >> 1)] as number;
    const late = from[start + (length > 4 ? length - 4 : 0)] as number;
    return (place * 31 + length * 7 + last * 3 + middle * 17 + late * 5) & (BUCKETS - 1);
  }

  /** Age of the entry that is the field in hand, or 0. */
  #find(hash: number): number {
    const table = this.#table;
    let link = this.#buckets[hash] as number;
    for (let step = 0; step < MAX_CHAIN && link !== 0; step++) {
      const age = table.inserted - link + 1;
      if (age > table.count) return 0;
      const slot = table.slotOf(age);
      if (
        table.noteAt(slot) === this.#code &&
        table.valueLengthAt(slot) === this.#valueLength &&
        this.#isValue(slot) &&
        (this.#code !== ID_UNKNOWN || this.#isName(slot))
      ) {
        return age;
      }
      link = this.#chain[(link - 1) & (MOST_ENTRIES - 1)] as number;
    }
    return 0;
  }

  /** Compared from the end, where values of one name differ most. cost: one test for four bytes */
  #isValue(slot: number): boolean {
    const { bytes } = this.#table;
    const from = this.#from;
    const start = this.#valueStart;
    const there = this.#table.startAt(slot) + this.#nameLength + 2 - start;
    let at = start + this.#valueLength;
    for (; at - start >= 4; at -= 4) {
      const differing =
        ((from[at - 1] as number) ^ (bytes[there + at - 1] as number)) |
        ((from[at - 2] as number) ^ (bytes[there + at - 2] as number)) |
        ((from[at - 3] as number) ^ (bytes[there + at - 3] as number)) |
        ((from[at - 4] as number) ^ (bytes[there + at - 4] as number));
      if (differing !== 0) return false;
    }
    while (at > start) {
      at--;
      if (from[at] !== bytes[there + at]) return false;
    }
    return true;
  }

  #isName(slot: number): boolean {
    const length = this.#nameLength;
    if (this.#table.nameLengthAt(slot) !== length) return false;
    const { bytes } = this.#table;
    const there = this.#table.startAt(slot);
    for (let at = 0; at < length; at++) {
      if (LOWER[this.#from[this.#nameStart + at] as number] !== bytes[there + at]) return false;
    }
    return true;
  }

  #putNew(out: Out, hash: number): void {
    const index = this.#nameIndex();
    const indexing = this.#indexing();
    if (indexing === SECRET) this.#literal(out, NEVER_INDEXED, 0x0f, index);
    else if (this.#isWorthIt(indexing, index)) {
      this.#literal(out, WITH_INDEXING, 0x3f, index);
      this.#insert(hash);
    } else this.#literal(out, WITHOUT_INDEXING, 0x0f, index);
  }

  #indexing(): Indexing {
    const code = this.#code;
    if (code === ID_UNKNOWN) return ownIndexing(this.#from, this.#nameStart, this.#nameLength);
    if (code === CODE_COOKIE && this.#valueLength < SHORT_COOKIE_BYTES) return SECRET;
    return INDEXINGS[code] as Indexing;
  }

  /** Also a changing value is remembered when its name has no index yet: then at least the name has one. */
  #isWorthIt(indexing: Indexing, nameIndex: number): boolean {
    // a large entry would push out most others
    if ((this.#nameLength + this.#valueLength + ENTRY_OVERHEAD) * 2 > this.#table.maxBytes) return false;
    if (indexing === CHANGING) return nameIndex === 0;
    const misses = this.#misses[this.#place] as number;
    this.#misses[this.#place] = misses < MISSES_BEFORE_TRIAL ? misses + 1 : MANY_MISSES - 1;
    return indexing === REPEATED && (misses < MANY_MISSES || nameIndex === 0);
  }

  /** Index of an entry with the name of the field in hand, or 0. */
  #nameIndex(): number {
    const code = this.#code;
    const known =
      code === ID_UNKNOWN
        ? ownStaticIndex(this.#from, this.#nameStart, this.#nameLength)
        : (STATIC_NAME_INDEX[code] as number);
    if (known !== 0) return known;
    const table = this.#table;
    const link = this.#names[this.#place] as number;
    const age = table.inserted - link + 1;
    if (link === 0 || age > table.count) return 0;
    return code !== ID_UNKNOWN || this.#isName(table.slotOf(age)) ? STATIC_COUNT + age : 0;
  }

  #insert(hash: number): void {
    const table = this.#table;
    const nameLength = this.#nameLength;
    const start = table.insert(nameLength, this.#valueLength, this.#code);
    if (start === -1) return;
    this.#writeName(table.bytes, start);
    copyBytes(this.#from, this.#valueStart, this.#valueLength, table.bytes, start + nameLength + 2);
    this.#chain[(table.inserted - 1) & (MOST_ENTRIES - 1)] = this.#buckets[hash] as number;
    this.#buckets[hash] = table.inserted;
    this.#names[this.#place] = table.inserted;
  }

  /** The name in lower case. */
  #writeName(to: Buffer, at: number): void {
    if (this.#code !== ID_UNKNOWN) copyBytes(NAMES[this.#code] as Buffer, 0, this.#nameLength, to, at);
    else {
      for (let offset = 0; offset < this.#nameLength; offset++) {
        to[at + offset] = LOWER[this.#from[this.#nameStart + offset] as number] as number;
      }
    }
  }

  #literal(out: Out, pattern: number, mask: number, nameIndex: number): void {
    writeInteger(out, pattern, mask, nameIndex);
    if (nameIndex === 0) {
      const length = this.#nameLength;
      if (length > scratchName.length) scratchName = Buffer.allocUnsafeSlow(length * 2);
      this.#writeName(scratchName, 0);
      writeString(out, scratchName, 0, length);
    }
    if (this.isThrifty || pattern === WITH_INDEXING) {
      writeString(out, this.#from, this.#valueStart, this.#valueLength);
    } else writePlain(out, this.#from, this.#valueStart, this.#valueLength);
  }
}

let scratchName: Buffer = Buffer.allocUnsafeSlow(64);

/** Room is reserved. */
function writeInteger(out: Out, pattern: number, mask: number, value: number): void {
  const { bytes } = out;
  if (value < mask) {
    bytes[out.length++] = pattern | value;
    return;
  }
  bytes[out.length++] = pattern | mask;
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[out.length++] = (rest & 0x7f) | 0x80;
  bytes[out.length++] = rest;
}

/** As Huffman code where that is shorter. Room is reserved. */
function writeString(out: Out, from: Buffer, start: number, length: number): void {
  const coded = huffmanLength(from, start, start + length);
  if (coded >= length) writePlain(out, from, start, length);
  else {
    writeInteger(out, HUFFMAN, 0x7f, coded);
    out.length = encodeHuffman(from, start, start + length, out.bytes, out.length);
  }
}

function writePlain(out: Out, from: Buffer, start: number, length: number): void {
  writeInteger(out, 0, 0x7f, length);
  copyBytes(from, start, length, out.bytes, out.length);
  out.length += length;
}
