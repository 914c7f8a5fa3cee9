/**
 * Fields: the header fields of one message, as they arrived.
 *
 * why    a proxy forwards nearly every field untouched, so they stay the bytes they were, with marks in them:
 *        nothing is split, lower-cased or made a string unless somebody asks for that field
 * shape  `bytes` holds lines `Name: value\r\n` between `start` and `end`; four marks and an id a field, all marks
 *        counted from `base`; `low`/`high` say at once which known fields are present
 * rule   whoever fills it (a protocol reader) has checked every name and value; values are trimmed by their
 *        marks. Removing a field only marks it dropped; added fields are text appended at the end.
 * note   a reader reuses its Fields for its next message: keep strings taken from it, not the object
 */
import { COLON, CR, LOWER } from "./bytes.ts";
import { FIRST_SHARED_ID, ID_DROPPED } from "./field-names.table.ts";
import { fieldIdAt, fieldIdOf } from "./field-names.ts";
import type { Out } from "./out.ts";

const MARKS_PER_FIELD = 4;
const FIRST_CAPACITY = 24;
const DROPPED_BIT = 1 << (ID_DROPPED - 32);
const NO_BYTES = Buffer.alloc(0);

export class Fields {
  bytes: Buffer = NO_BYTES;
  /** Where the message starts in `bytes`. */
  base = 0;
  /** Where the first field line starts, from `base`. */
  start = 0;
  /** Just past the last field line's CRLF, from `base`. */
  end = 0;
  count = 0;
  /** Bit `id` is set when a field with that id (under 32) is present. */
  low = 0;
  /** The same for ids from 32 on. */
  high = 0;
  /** Known ids that are present more than once, as `low` and `high`. */
  #repeatedLow = 0;
  #repeatedHigh = 0;
  /** Lines added to the message: each `Name: value\r\n`. */
  added = "";
  #marks = new Int32Array(FIRST_CAPACITY * MARKS_PER_FIELD);
  #ids = new Uint8Array(FIRST_CAPACITY);
  /** Index of the first field with each id; means nothing for an id that is not present. */
  readonly #firsts = new Uint16Array(64);

  /** Forgets every field; marks come first, `bind` gives them their bytes. */
  reset(): void {
    this.bytes = NO_BYTES;
    this.base = 0;
    this.start = 0;
    this.end = 0;
    this.count = 0;
    this.low = 0;
    this.high = 0;
    this.#repeatedLow = 0;
    this.#repeatedHigh = 0;
    this.added = "";
  }

  /** The same fields in memory of their own, for who needs them longer than their reader keeps them. */
  copy(): Fields {
    const copy = this.view();
    copy.bytes = Buffer.from(this.bytes.subarray(this.base, this.base + this.end));
    copy.base = 0;
    return copy;
  }

  /** The same bytes, with marks of their own: what is dropped or added there is not here. */
  view(): Fields {
    const view = new Fields();
    view.bytes = this.bytes;
    view.base = this.base;
    view.start = this.start;
    view.end = this.end;
    view.count = this.count;
    view.low = this.low;
    view.high = this.high;
    view.#repeatedLow = this.#repeatedLow;
    view.#repeatedHigh = this.#repeatedHigh;
    view.added = this.added;
    view.#marks = this.#marks.slice();
    view.#ids = this.#ids.slice();
    view.#firsts.set(this.#firsts);
    return view;
  }

  /** Adds the marks of one field: all are offsets from the `base` that `bind` will set. */
  // biome-ignore lint/complexity/useMaxParams: five numbers a field, and no object per field on the hot path
  mark(lineStart: number, nameEnd: number, valueStart: number, valueEnd: number, id: number): void {
    const index = this.count++;
    if (index === this.#ids.length) this.#grow();
    const at = index * MARKS_PER_FIELD;
    const marks = this.#marks;
    marks[at] = lineStart;
    marks[at + 1] = nameEnd;
    marks[at + 2] = valueStart;
    marks[at + 3] = valueEnd;
    this.#ids[index] = id;
    if (id < 32) {
      const bit = 1 << id;
      if ((this.low & bit) !== 0) this.#repeatedLow |= bit;
      else this.#firsts[id] = index;
      this.low |= bit;
    } else {
      const bit = 1 << (id - 32);
      if ((this.high & bit) !== 0) this.#repeatedHigh |= bit;
      else this.#firsts[id] = index;
      this.high |= bit;
    }
  }

  /** Gives the marks their bytes. The bytes must not change while the fields are in use. */
  bind(bytes: Buffer, base: number, start: number, end: number): void {
    this.bytes = bytes;
    this.base = base;
    this.start = start;
    this.end = end;
  }

  /** The value of field `index`, whose line is the last one, became longer by so many bytes. */
  extend(index: number, bytes: number): void {
    const at = index * MARKS_PER_FIELD + 3;
    this.#marks[at] = (this.#marks[at] as number) + bytes;
  }

  /** Where the name of field `index` starts in `bytes`. */
  nameStartAt(index: number): number {
    return this.base + (this.#marks[index * MARKS_PER_FIELD] as number);
  }

  nameEndAt(index: number): number {
    return this.base + (this.#marks[index * MARKS_PER_FIELD + 1] as number);
  }

  valueStartAt(index: number): number {
    return this.base + (this.#marks[index * MARKS_PER_FIELD + 2] as number);
  }

  valueEndAt(index: number): number {
    return this.base + (this.#marks[index * MARKS_PER_FIELD + 3] as number);
  }

  idAt(index: number): number {
    return this.#ids[index] as number;
  }

  nameAt(index: number): string {
    return this.#slice(index * MARKS_PER_FIELD, 0);
  }

  valueAt(index: number): string {
    return this.#slice(index * MARKS_PER_FIELD, 2);
  }

  /** Text between two marks of a field. */
  #slice(at: number, from: number): string {
    const { base } = this;
    const marks = this.#marks;
    return this.bytes.latin1Slice(
      base + (marks[at + from] as number),
      base + (marks[at + from + 1] as number),
    );
  }

  /** True when the value of field `index` is exactly `text`. cost: no string is made */
  isValue(index: number, text: string): boolean {
    const at = index * MARKS_PER_FIELD;
    const start = this.#marks[at + 2] as number;
    if ((this.#marks[at + 3] as number) - start !== text.length) return false;
    const first = this.base + start;
    const { bytes } = this;
    for (let offset = 0; offset < text.length; offset++) {
      if (bytes[first + offset] !== text.charCodeAt(offset)) return false;
    }
    return true;
  }

  /** The number that field `index` writes in at most `maxDigits` digits and nothing else, or -1. */
  digitsAt(index: number, maxDigits: number): number {
    const at = index * MARKS_PER_FIELD;
    const start = this.base + (this.#marks[at + 2] as number);
    const end = this.base + (this.#marks[at + 3] as number);
    if (end === start || end - start > maxDigits) return -1;
    let value = 0;
    for (let offset = start; offset < end; offset++) {
      const digit = (this.bytes[offset] as number) - 48;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value;
  }

  /** True when at least one field with this known id is present. */
  has(id: number): boolean {
    return id < 32 ? (this.low & (1 << id)) !== 0 : (this.high & (1 << (id - 32))) !== 0;
  }

  /** Index of the first field with this known id at or after `from`, or -1. */
  indexOf(id: number, from = 0): number {
    if (!this.has(id)) return -1;
    if (from === 0) return this.#firsts[id] as number;
    for (let index = from; index < this.count; index++) {
      if (this.#ids[index] === id) return index;
    }
    return -1;
  }

  /** True when more than one field with this known id came. */
  isRepeated(id: number): boolean {
    return id < 32 ? (this.#repeatedLow & (1 << id)) !== 0 : (this.#repeatedHigh & (1 << (id - 32))) !== 0;
  }

  /** Value of the first field with this known id. */
  get(id: number): string | undefined {
    const index = this.indexOf(id);
    return index === -1 ? undefined : this.valueAt(index);
  }

  /** All values of a known id, joined as one list (RFC 9110 §5.3), or undefined when there is none. */
  joined(id: number): string | undefined {
    let value: string | undefined;
    for (let index = this.indexOf(id); index !== -1; index = this.indexOf(id, index + 1)) {
      value = value === undefined ? this.valueAt(index) : `${value}, ${this.valueAt(index)}`;
    }
    return value;
  }

  /** Value of the first field with this lower-case name, known or not. */
  find(lowerName: string): string | undefined {
    const id = fieldIdOf(lowerName);
    if (id < FIRST_SHARED_ID) return this.get(id);
    const index = this.#indexOfShared(id, lowerName, 0);
    return index === -1 ? undefined : this.valueAt(index);
  }

  /** As `joined`, for any lower-case name. */
  joinedNamed(lowerName: string): string | undefined {
    const id = fieldIdOf(lowerName);
    if (id < FIRST_SHARED_ID) return this.joined(id);
    let value: string | undefined;
    let index = this.#indexOfShared(id, lowerName, 0);
    while (index !== -1) {
      value = value === undefined ? this.valueAt(index) : `${value}, ${this.valueAt(index)}`;
      index = this.#indexOfShared(id, lowerName, index + 1);
    }
    return value;
  }

  /** Index of the first field with this name at or after `from`, or -1; its id is one that names share. */
  #indexOfShared(id: number, lowerName: string, from: number): number {
    for (let index = from; index < this.count; index++) {
      if (this.#ids[index] === id && this.#isNamed(index, lowerName)) return index;
    }
    return -1;
  }

  /** Takes out every field with this lower-case name. */
  drop(lowerName: string): void {
    const id = fieldIdOf(lowerName);
    const isShared = id >= FIRST_SHARED_ID;
    if (!this.has(id)) return;
    for (let index = 0; index < this.count; index++) {
      if (this.#ids[index] === id && (!isShared || this.#isNamed(index, lowerName))) {
        this.#ids[index] = ID_DROPPED;
        this.high |= DROPPED_BIT;
      }
    }
    // the bit of a shared id stays: others may still have it, and it only costs a look at every id
    if (id < 32) this.low &= ~(1 << id);
    else if (!isShared) this.high &= ~(1 << (id - 32));
  }

  /** Adds a field; the caller has checked that name and value are legal. */
  add(name: string, value: string): void {
    this.added += `${name}: ${value}\r\n`;
  }

  /**
   * Writes the lines to send on: all but the dropped ones and those whose known id is in the mask, then the
   * added ones. cost: one copy when nothing is left out, else one for each run kept
   */
  writeTo(out: Out, low: number, high: number): void {
    const { bytes, base } = this;
    const highMask = high | DROPPED_BIT;
    const isWhole = (this.low & low) === 0 && (this.high & highMask) === 0;
    const from = isWhole ? this.start : this.#writeRuns(out, low, highMask);
    if (from < this.end) out.copy(bytes, base + from, base + this.end);
    if (this.added !== "") out.text(this.added);
  }

  /** Writes the runs of lines between those left out. out  where the last run starts */
  #writeRuns(out: Out, low: number, high: number): number {
    const { bytes, base } = this;
    let from = this.start;
    for (let index = 0; index < this.count; index++) {
      const id = this.#ids[index] as number;
      if (((id < 32 ? low >>> id : high >>> (id - 32)) & 1) === 0) continue;
      const lineStart = this.#marks[index * MARKS_PER_FIELD] as number;
      if (lineStart > from) out.copy(bytes, base + from, base + lineStart);
      from = index + 1 < this.count ? (this.#marks[(index + 1) * MARKS_PER_FIELD] as number) : this.end;
    }
    return from;
  }

  /** The lines that `writeTo` writes, as text: for interim heads, trailers and explanations, which are rare. */
  linesWithout(low: number, high: number): string {
    let lines = "";
    for (let index = 0; index < this.count; index++) {
      const id = this.#ids[index] as number;
      const isOut = id === ID_DROPPED || ((id < 32 ? low >>> id : high >>> (id - 32)) & 1) === 1;
      if (!isOut) lines += `${this.nameAt(index)}: ${this.valueAt(index)}\r\n`;
    }
    return lines + this.added;
  }

  #isNamed(index: number, lowerName: string): boolean {
    const at = index * MARKS_PER_FIELD;
    const start = this.#marks[at] as number;
    if ((this.#marks[at + 1] as number) - start !== lowerName.length) return false;
    const first = this.base + start;
    for (let offset = 0; offset < lowerName.length; offset++) {
      if (LOWER[this.bytes[first + offset] as number] !== lowerName.charCodeAt(offset)) return false;
    }
    return true;
  }

  #grow(): void {
    const marks = new Int32Array(this.#marks.length * 2);
    marks.set(this.#marks);
    this.#marks = marks;
    const ids = new Uint8Array(this.#ids.length * 2);
    ids.set(this.#ids);
    this.#ids = ids;
  }
}

/** Fields made of lines `Name: value\r\n` that we wrote ourselves, so that edits apply to them too. */
export function fieldsOfLines(lines: string): Fields {
  const fields = new Fields();
  markLines(fields, Buffer.from(lines, "latin1"), lines.length);
  return fields;
}

/** Marks the lines `Name: value\r\n` in `bytes[0, end)`, which we wrote ourselves, in `fields`, which are empty. */
export function markLines(fields: Fields, bytes: Buffer, end: number): void {
  for (let start = 0; start < end; ) {
    let colon = start;
    while (colon < end && bytes[colon] !== COLON) colon++;
    let lineEnd = colon + 2;
    while (lineEnd < end && bytes[lineEnd] !== CR) lineEnd++;
    fields.mark(start, colon, colon + 2, lineEnd, fieldIdAt(bytes, start, colon));
    start = lineEnd + 2;
  }
  fields.bind(bytes, 0, 0, end);
}

/** Name and value of each line in lines such as `linesWithout` gives: for what is shown to people, and tests. */
export function pairsOfLines(lines: string): [name: string, value: string][] {
  return lines
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
}
