/**
 * Head scanner: start line and field lines of an HTTP/1 message, one byte class at a time.
 *
 * why    the strict grammar is checked in the same pass that finds the fields, and the pass can stop at any
 *        byte and go on later, so a cut never changes what is accepted
 * in     `bytes[position, end)`, all of the head from `headStart` on staying in `bytes`
 * out    SCAN_LINE once, when the start line is all there; SCAN_DONE with marks in `fields` (offsets from
 *        `headStart`), SCAN_MORE, or SCAN_FAILED
 * cost   one table load and compare a byte
 * never  accept a bare CR or LF, a folded line, space before the colon, or a control byte
 * spec   RFC 9112 §2.2, §3, §5; RFC 9110 §5.5, §5.6.2
 */
import { COLON, CR, HTAB, IS_TOKEN, IS_VALUE, LF, SP } from "../../core/bytes.ts";
import { type Failure, type FailureCode, fail } from "../../core/failure.ts";
import { fieldIdAt } from "../../core/field-names.ts";
import { Fields } from "../../core/fields.ts";

export const SCAN_MORE = 0;
export const SCAN_DONE = 1;
export const SCAN_FAILED = 2;
/** The start line is read: judge it before the fields are looked at, so that garbage is told at its first line. */
export const SCAN_LINE = 3;
export type ScanResult = typeof SCAN_MORE | typeof SCAN_DONE | typeof SCAN_FAILED | typeof SCAN_LINE;

const START_LINE = 0;
const START_LINE_LF = 1;
const LINE_START = 2;
const NAME = 3;
const VALUE_START = 4;
const VALUE = 5;
const VALUE_LF = 6;
const HEAD_LF = 7;

export interface HeadLimits {
  /** Start line and fields together, in bytes. */
  readonly headBytes: number;
  /** Number of field lines. */
  readonly headers: number;
}

/** Where the run of bytes of one class that starts at `start` ends. cost: one test for four bytes */
function endOfRun(isOfClass: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (
    at + 4 <= end &&
    ((isOfClass[bytes[at] as number] as number) &
      (isOfClass[bytes[at + 1] as number] as number) &
      (isOfClass[bytes[at + 2] as number] as number) &
      (isOfClass[bytes[at + 3] as number] as number)) ===
      1
  ) {
    at += 4;
  }
  while (at < end && isOfClass[bytes[at] as number] === 1) at++;
  return at;
}

const isBlank = (byte: number | undefined) => byte === SP || byte === HTAB;

export class HeadScanner {
  readonly fields = new Fields();
  position = 0;
  /** Where the head starts in the bytes; all marks count from here. */
  headStart = 0;
  /** End of the start line, without its CRLF, from `headStart`. */
  startLineEnd = 0;
  failure: Failure | undefined;
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #state = START_LINE;
  #lineStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  #limits: HeadLimits;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /** Gets ready for a head that starts at `position`. */
  startHead(position: number): void {
    this.#start(position, START_LINE);
  }

  /** Gets ready for trailer fields, which have no start line. */
  startTrailers(position: number): void {
    this.#start(position, LINE_START);
  }

  #start(position: number, state: number): void {
    this.position = position;
    this.headStart = position;
    this.startLineEnd = 0;
    this.failure = undefined;
    this.#state = state;
  }

  /** True when not one byte of the head has been read. */
  get isAtStart(): boolean {
    return this.position === this.headStart;
  }

  get isInStartLine(): boolean {
    return this.#state <= START_LINE_LF;
  }

  /** Nothing has been read yet, and the bytes to come stand elsewhere. */
  moveStart(position: number): void {
    this.position = position;
    this.headStart = position;
  }

  /** The bytes were moved so that the head now starts at 0. */
  rebase(): void {
    const shift = this.headStart;
    this.headStart = 0;
    this.position -= shift;
    this.#lineStart -= shift;
    this.#nameEnd -= shift;
    this.#valueStart -= shift;
  }

  /** Goes on with the head. Fields of the message before stay readable until its first byte is scanned. */
  scan(bytes: Uint8Array, end: number): ScanResult {
    if (this.position >= end) return SCAN_MORE;
    if (this.position === this.headStart) this.fields.reset();
    const limit = this.headStart + this.#limits.headBytes;
    this.#bytes = bytes;
    this.#end = Math.min(end, limit);
    for (;;) {
      const result = this.#step();
      if (result !== SCAN_MORE) return result;
      if (this.position < this.#end) continue;
      return this.#end === limit ? this.#tooLarge() : SCAN_MORE;
    }
  }

  #tooLarge(): ScanResult {
    return this.#fail(this.isInStartLine ? "target_too_long" : "head_too_large", "");
  }

  /** Runs one state until it changes or the bytes run out. */
  #step(): ScanResult {
    switch (this.#state) {
      case START_LINE:
        return this.#scanStartLine();
      case LINE_START:
        return this.#scanLineStart();
      case NAME:
        return this.#scanName();
      case VALUE_START:
        return this.#scanValueStart();
      case VALUE:
        return this.#scanValue();
      default:
        return this.#scanLineFeed();
    }
  }

  #scanStartLine(): ScanResult {
    const bytes = this.#bytes;
    const end = this.#end;
    const at = endOfRun(IS_VALUE, bytes, this.position, end);
    this.position = at;
    if (at === end) return SCAN_MORE;
    if (bytes[at] !== CR) {
      return this.#fail(bytes[at] === LF ? "h1_bad_line_end" : "h1_bad_request_line", "start line");
    }
    this.startLineEnd = at - this.headStart;
    this.position = at + 1;
    this.#state = START_LINE_LF;
    return SCAN_MORE;
  }

  /**
   * Marks whole clean lines, which nearly all are. Stops at the start of a line that is not all there or holds
   * anything unusual: the states below judge it byte by byte.
   */
  #scanCleanLines(): void {
    const bytes = this.#bytes;
    const end = this.#end;
    for (let left = this.#limits.headers - this.fields.count; left > 0; left--) {
      const lineStart = this.position;
      const nameEnd = endOfRun(IS_TOKEN, bytes, lineStart, end);
      if (nameEnd === lineStart || nameEnd + 1 >= end || bytes[nameEnd] !== COLON) return;
      const valueStart = bytes[nameEnd + 1] === SP ? nameEnd + 2 : nameEnd + 1;
      const lineEnd = endOfRun(IS_VALUE, bytes, valueStart, end);
      if (lineEnd + 1 >= end || bytes[lineEnd] !== CR || bytes[lineEnd + 1] !== LF) return;
      if (lineEnd > valueStart && (isBlank(bytes[valueStart]) || isBlank(bytes[lineEnd - 1]))) return;
      const base = this.headStart;
      const id = fieldIdAt(bytes, lineStart, nameEnd);
      this.fields.mark(lineStart - base, nameEnd - base, valueStart - base, lineEnd - base, id);
      this.position = lineEnd + 2;
    }
  }

  #scanLineStart(): ScanResult {
    this.#scanCleanLines();
    if (this.position === this.#end) return SCAN_MORE;
    const byte = this.#bytes[this.position];
    if (byte === CR) {
      this.position++;
      this.#state = HEAD_LF;
      return SCAN_MORE;
    }
    if (byte === LF) return this.#fail("h1_bad_line_end", "bare LF");
    if (byte === SP || byte === HTAB) return this.#fail("h1_bad_field", "folded line");
    if (this.fields.count >= this.#limits.headers) return this.#fail("head_too_large", "too many fields");
    this.#lineStart = this.position;
    this.#state = NAME;
    return this.#scanName();
  }

  #scanName(): ScanResult {
    const bytes = this.#bytes;
    const end = this.#end;
    const at = endOfRun(IS_TOKEN, bytes, this.position, end);
    this.position = at;
    if (at === end) return SCAN_MORE;
    if (bytes[at] !== COLON) return this.#fail("h1_bad_field", "byte in a field name");
    if (at === this.#lineStart) return this.#fail("h1_bad_field", "field without a name");
    this.#nameEnd = at;
    this.position = at + 1;
    this.#state = VALUE_START;
    return SCAN_MORE;
  }

  #scanValueStart(): ScanResult {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.position;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    this.position = at;
    if (at === end) return SCAN_MORE;
    this.#valueStart = at;
    this.#state = VALUE;
    return this.#scanValue();
  }

  #scanValue(): ScanResult {
    const bytes = this.#bytes;
    const end = this.#end;
    const at = endOfRun(IS_VALUE, bytes, this.position, end);
    this.position = at;
    if (at === end) return SCAN_MORE;
    if (bytes[at] !== CR) {
      return this.#fail(bytes[at] === LF ? "h1_bad_line_end" : "h1_bad_field", "byte in a field value");
    }
    this.#markField(at);
    this.position = at + 1;
    this.#state = VALUE_LF;
    return SCAN_MORE;
  }

  #markField(lineEnd: number): void {
    const bytes = this.#bytes;
    let valueEnd = lineEnd;
    while (valueEnd > this.#valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) {
      valueEnd--;
    }
    const base = this.headStart;
    const id = fieldIdAt(bytes, this.#lineStart, this.#nameEnd);
    this.fields.mark(
      this.#lineStart - base,
      this.#nameEnd - base,
      this.#valueStart - base,
      valueEnd - base,
      id,
    );
  }

  #scanLineFeed(): ScanResult {
    if (this.#bytes[this.position] !== LF) return this.#fail("h1_bad_line_end", "CR without LF");
    this.position++;
    if (this.#state === HEAD_LF) return SCAN_DONE;
    const isStartLine = this.#state === START_LINE_LF;
    this.#state = LINE_START;
    return isStartLine ? SCAN_LINE : SCAN_MORE;
  }

  #fail(code: FailureCode, detail: string): ScanResult {
    this.failure = fail(code, detail);
    return SCAN_FAILED;
  }
}
