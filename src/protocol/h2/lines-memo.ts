/**
 * Lines memo: field lines given as text, as Fields.
 *
 * why    what the pipeline adds is text made once for many messages (a client's lines, the Date of this second); reading
 *        it again for each of them would cost more than sending it
 * rule   Fields from here are only read; those of `readOnce` until the next call
 * bound  256 texts of at most 2 KiB, all forgotten when there are more; a text is kept when it comes a second time
 */
import { Fields, markLines } from "../../core/fields.ts";

const MOST_TEXTS = 256;
const MOST_TEXT_BYTES = 2048;
/** Texts that came once; a power of two. */
const CANDIDATES = 16;

export class LinesMemo {
  readonly #known = new Map<string, Fields>();
  readonly #candidates: string[] = new Array(CANDIDATES).fill("");
  #nextCandidate = 0;
  readonly #once = new Fields();
  #onceBytes: Buffer = Buffer.allocUnsafeSlow(512);
  /** The text asked for last: often asked for again. */
  #lastText = "";
  #lastFields = this.#once;

  fieldsOf(lines: string): Fields {
    if (lines === this.#lastText) return this.#lastFields;
    let fields = this.#known.get(lines);
    if (fields === undefined) {
      if (!this.#isSecondTime(lines)) return this.readOnce(lines);
      fields = new Fields();
      markLines(fields, Buffer.from(lines, "latin1"), lines.length);
      if (this.#known.size >= MOST_TEXTS) this.#known.clear();
      this.#known.set(lines, fields);
    }
    this.#lastText = lines;
    this.#lastFields = fields;
    return fields;
  }

  readOnce(lines: string): Fields {
    if (lines.length > this.#onceBytes.length) this.#onceBytes = Buffer.allocUnsafeSlow(lines.length * 2);
    this.#onceBytes.latin1Write(lines);
    this.#once.reset();
    markLines(this.#once, this.#onceBytes, lines.length);
    return this.#once;
  }

  #isSecondTime(lines: string): boolean {
    if (lines.length > MOST_TEXT_BYTES) return false;
    if (this.#candidates.includes(lines)) return true;
    this.#candidates[this.#nextCandidate++ & (CANDIDATES - 1)] = lines;
    return false;
  }
}
