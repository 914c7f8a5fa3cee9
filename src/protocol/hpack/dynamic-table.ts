/**
 * Dynamic table: the fields that both ends of a connection remember, newest first.
 *
 * why    entries stand as whole lines `name: value\r\n`, one behind the other in the order they came, so that taking one
 *        into a message is one copy, and taking neighbours is one copy too
 * shape  an entry is known by its slot: the number of its insertion modulo the ring's size
 * bound  `maxBytes` as RFC 7541 §4.1 counts; memory at most four times that, and none before the first entry
 * spec   RFC 7541 §2.3.2, §4
 */

/** What the RFC adds to the bytes of each entry. */
export const ENTRY_OVERHEAD = 32;
/** `: ` and CRLF. */
const LINE_OVERHEAD = 4;
const CELLS = 4;
const FIRST_SLOTS = 16;
const FIRST_BYTES = 512;
const NO_BYTES = Buffer.alloc(0);

export class DynamicTable {
  bytes: Buffer = NO_BYTES;
  /** Insertions so far. */
  inserted = 0;
  /** Entries held. */
  count = 0;
  /** Bytes held, as the RFC counts. */
  size = 0;
  maxBytes: number;
  /** By slot: line start, name length, value length, and a note for whoever uses the table. */
  #cells = new Int32Array(FIRST_SLOTS * CELLS);
  /** By slot: the value as text, once somebody wanted it. */
  #texts: string[] = new Array(FIRST_SLOTS).fill("");
  #mask = FIRST_SLOTS - 1;
  #tail = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The slot of the entry that came `age` insertions ago; 1 is the newest. */
  slotOf(age: number): number {
    return (this.inserted - age) & this.#mask;
  }

  startAt(slot: number): number {
    return this.#cells[slot * CELLS] as number;
  }

  nameLengthAt(slot: number): number {
    return this.#cells[slot * CELLS + 1] as number;
  }

  valueLengthAt(slot: number): number {
    return this.#cells[slot * CELLS + 2] as number;
  }

  noteAt(slot: number): number {
    return this.#cells[slot * CELLS + 3] as number;
  }

  setNote(slot: number, note: number): void {
    this.#cells[slot * CELLS + 3] = note;
  }

  /** The value as text, made once. */
  textAt(slot: number): string {
    const known = this.#texts[slot] as string;
    if (known !== "") return known;
    const start = this.startAt(slot) + this.nameLengthAt(slot) + 2;
    const text = this.bytes.latin1Slice(start, start + this.valueLengthAt(slot));
    this.#texts[slot] = text;
    return text;
  }

  /** Changes the bound and lets the oldest entries go that no longer fit. */
  resize(maxBytes: number): void {
    this.maxBytes = maxBytes;
    this.#evict(0);
  }

  /**
   * Makes room for a new newest entry. out  where its line starts in `bytes`, for the caller to write all of it;
   * -1: it is larger than the table, which is now empty (RFC 7541 §4.4)
   */
  insert(nameLength: number, valueLength: number, note: number): number {
    const size = nameLength + valueLength + ENTRY_OVERHEAD;
    this.#evict(size);
    if (size > this.maxBytes) return -1;
    const length = nameLength + valueLength + LINE_OVERHEAD;
    if (this.#tail + length > this.bytes.length) this.#makeRoom(length);
    if (this.count > this.#mask) this.#addSlots();
    const slot = this.inserted & this.#mask;
    const cells = this.#cells;
    const start = this.#tail;
    cells[slot * CELLS] = start;
    cells[slot * CELLS + 1] = nameLength;
    cells[slot * CELLS + 2] = valueLength;
    cells[slot * CELLS + 3] = note;
    this.#texts[slot] = "";
    this.#tail += length;
    this.inserted++;
    this.count++;
    this.size += size;
    return start;
  }

  /** Lets the oldest go until `more` bytes fit, or nothing is left. */
  #evict(more: number): void {
    while (this.count > 0 && this.size + more > this.maxBytes) {
      const slot = this.slotOf(this.count);
      this.size -= this.nameLengthAt(slot) + this.valueLengthAt(slot) + ENTRY_OVERHEAD;
      this.count--;
    }
    if (this.count === 0) this.#tail = 0;
  }

  /** Moves the lines to the front of the bytes, which grow when less than half of them would be free. */
  #makeRoom(more: number): void {
    const first = this.count === 0 ? this.#tail : this.startAt(this.slotOf(this.count));
    const held = this.#tail - first;
    let room = Math.max(this.bytes.length, FIRST_BYTES);
    while ((held + more) * 2 > room) room *= 2;
    if (room === this.bytes.length) this.bytes.copyWithin(0, first, this.#tail);
    else {
      const bytes = Buffer.allocUnsafeSlow(room);
      if (held > 0) this.bytes.copy(bytes, 0, first, this.#tail);
      this.bytes = bytes;
    }
    this.#tail = held;
    for (let age = 1; age <= this.count; age++) {
      const at = this.slotOf(age) * CELLS;
      this.#cells[at] = (this.#cells[at] as number) - first;
    }
  }

  #addSlots(): void {
    const slots = (this.#mask + 1) * 2;
    const cells = new Int32Array(slots * CELLS);
    const texts: string[] = new Array(slots).fill("");
    for (let age = 1; age <= this.count; age++) {
      const from = this.slotOf(age);
      const to = (this.inserted - age) & (slots - 1);
      for (let cell = 0; cell < CELLS; cell++) {
        cells[to * CELLS + cell] = this.#cells[from * CELLS + cell] as number;
      }
      texts[to] = this.#texts[from] as string;
    }
    this.#cells = cells;
    this.#texts = texts;
    this.#mask = slots - 1;
  }
}
