/**
 * Chunked: the transfer coding of HTTP/1.1, read incrementally.
 *
 * why    a chunk header that two parsers read differently is a smuggled request, so every byte between
 *        the data is checked: hex digits, legal extensions, CRLF and nothing else
 * in     bytes in any cut; the decoder moves the data of all chunks in one piece together, in place
 * out    the span of data, and whether the last chunk or a broken byte was met; trailers are for the reader
 * never  accept whitespace around the size, a bare LF, or a size past 2^52
 * spec   RFC 9112 §7.1
 */
import { CR, HEX_VALUE, LF } from "../../core/bytes.ts";

const SIZE_FIRST = 0;
const SIZE = 1;
const EXTENSION = 2;
const SIZE_LF = 3;
const DATA = 4;
const DATA_CR = 5;
const DATA_LF = 6;
const LAST = 7;
const BROKEN = 8;

/** 13 hex digits stay exact in a number. More leading zeros than that are somebody's trick. */
const MAX_SIZE_DIGITS = 13;
/** Extensions have no use that survives a proxy; what is read is bounded (nginx and Go bound it too). */
const MAX_EXTENSION_BYTES = 256;
const SEMICOLON = 59;

const EXTENSIONS =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/;

/** Decodes one body; a new body takes a new decoder. */
export class ChunkedDecoder {
  /** Where the next unread byte is, after `decode`. */
  position = 0;
  /** Just past the data gathered by the last `decode`; it starts where that call began to write. */
  dataEnd = 0;
  /** Why the body is broken, when it is. */
  detail = "";
  #state = SIZE_FIRST;
  #digits = 0;
  #left = 0;
  #extension = "";

  /** True after the last chunk's size line: trailers follow. */
  get isLast(): boolean {
    return this.#state === LAST;
  }

  get isBroken(): boolean {
    return this.#state === BROKEN;
  }

  /**
   * Reads from `bytes[start, end)`. All chunk data found is moved to stand in one piece from `start` to
   * `dataEnd`; reading stops at the end, at the last chunk or at a broken byte (see `position`).
   */
  decode(bytes: Uint8Array, start: number, end: number): void {
    this.position = start;
    this.dataEnd = start;
    while (this.position < end && this.#state < LAST) {
      if (this.#state === DATA) this.#takeData(bytes, end);
      else this.#takeByte(bytes[this.position++] as number);
    }
  }

  #takeData(bytes: Uint8Array, end: number): void {
    const length = Math.min(this.#left, end - this.position);
    if (this.position !== this.dataEnd) {
      bytes.copyWithin(this.dataEnd, this.position, this.position + length);
    }
    this.dataEnd += length;
    this.position += length;
    this.#left -= length;
    if (this.#left === 0) this.#state = DATA_CR;
  }

  #takeByte(byte: number): void {
    switch (this.#state) {
      case SIZE_FIRST:
      case SIZE:
        this.#takeSizeByte(byte);
        return;
      case EXTENSION:
        this.#takeExtensionByte(byte);
        return;
      case SIZE_LF:
        if (byte !== LF) this.#break("no LF after a chunk size");
        else this.#state = this.#left === 0 ? LAST : DATA;
        return;
      case DATA_CR:
        if (byte !== CR) this.#break("chunk data longer than its size");
        else this.#state = DATA_LF;
        return;
      default:
        if (byte !== LF) this.#break("no LF after chunk data");
        else this.#startSize();
    }
  }

  #startSize(): void {
    this.#state = SIZE_FIRST;
    this.#digits = 0;
    this.#left = 0;
    this.#extension = "";
  }

  #takeSizeByte(byte: number): void {
    const digit = HEX_VALUE[byte] as number;
    if (digit !== -1) {
      if (++this.#digits > MAX_SIZE_DIGITS) this.#break("chunk size too long");
      else {
        this.#left = this.#left * 16 + digit;
        this.#state = SIZE;
      }
    } else if (this.#state === SIZE_FIRST) this.#break("chunk size is not hexadecimal");
    else if (byte === CR) this.#state = SIZE_LF;
    else if (byte === SEMICOLON) {
      this.#extension = ";";
      this.#state = EXTENSION;
    } else this.#break("unexpected byte after a chunk size");
  }

  #takeExtensionByte(byte: number): void {
    if (byte === CR) {
      if (EXTENSIONS.test(this.#extension)) this.#state = SIZE_LF;
      else this.#break("malformed chunk extension");
    } else if (byte === LF) this.#break("bare LF in a chunk extension");
    else if (this.#extension.length >= MAX_EXTENSION_BYTES) this.#break("chunk extension too long");
    else this.#extension += String.fromCharCode(byte);
  }

  #break(detail: string): void {
    this.detail = detail;
    this.#state = BROKEN;
  }
}
