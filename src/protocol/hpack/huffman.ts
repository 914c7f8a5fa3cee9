/**
 * Huffman: the fixed code of HPACK, both ways.
 *
 * why    a code of at most eight bits, which all of usual text has, is one table load; longer ones are found by their
 *        length, as in any canonical code, and need no table of their own
 * in     bytes; room at the target for what comes out: at most `decodedBound` bytes
 * out    where the text ends, or -1: EOS, padding of eight bits or more, or padding that is not all ones
 * spec   RFC 7541 §5.2, Appendix B
 */
import { HUFFMAN_LENGTHS } from "./codes.table.ts";

const EOS = 256;
const SHORT_BITS = 8;
const LONGEST_BITS = 30;
/** The window that long codes are looked up in. */
const WINDOW_BITS = 32;

const LENGTHS = Uint8Array.from(HUFFMAN_LENGTHS);
/** Right-aligned code of each byte and of EOS. */
const CODES = new Uint32Array(EOS + 1);
/** By the next eight bits: bits used << 8 | byte, or 0 when the code is longer. */
const SHORT = new Uint16Array(1 << SHORT_BITS);
/** Symbols in the order of their codes. */
const SYMBOLS = new Uint16Array(EOS + 1);
/** By length: just past the last code of that length, left-aligned in 32 bits (as a double: it may be 2^32). */
const LIMITS = new Float64Array(LONGEST_BITS + 1);
/** By length: what is added to a code to find its symbol in SYMBOLS. */
const OFFSETS = new Int32Array(LONGEST_BITS + 1);

buildTables();

function buildTables(): void {
  let code = 0;
  let order = 0;
  for (let length = 1; length <= LONGEST_BITS; length++) {
    OFFSETS[length] = order - code;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (LENGTHS[symbol] !== length) continue;
      if (length <= SHORT_BITS) addShort(symbol, code, length);
      CODES[symbol] = code++;
      SYMBOLS[order++] = symbol;
    }
    LIMITS[length] = code * 2 ** (WINDOW_BITS - length);
    code *= 2;
  }
  if (code !== 2 ** (LONGEST_BITS + 1)) throw new Error("the Huffman lengths are no complete code");
}

function addShort(symbol: number, code: number, length: number): void {
  const first = code << (SHORT_BITS - length);
  SHORT.fill((length << 8) | symbol, first, first + (1 << (SHORT_BITS - length)));
}

/** The most bytes that `length` coded bytes can stand for: no code is shorter than five bits. */
export function decodedBound(length: number): number {
  return ((length * 8) / 5) | 0;
}

/** Decodes `from[start, end)` to `to[at…]`. out  where the text ends in `to`, or -1 */
// biome-ignore lint/complexity/useMaxParams: two ranges, and no object per string on the hot path
export function decodeHuffman(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  let bits = 0;
  let held = 0;
  let next = start;
  let out = at;
  for (;;) {
    while (held <= 24 && next < end) {
      bits = (bits << 8) | (from[next++] as number);
      held += 8;
    }
    if (held < SHORT_BITS) break;
    const short = SHORT[(bits >>> (held - SHORT_BITS)) & 255] as number;
    if (short !== 0) {
      to[out++] = short;
      held -= short >>> 8;
      continue;
    }
    const symbol = longSymbol(from, next * 8 - held, end);
    if (symbol === -1 || symbol === EOS) return -1;
    to[out++] = symbol;
    const over = next * 8 - held + (LENGTHS[symbol] as number);
    // a long code may reach past the bits that are held: start anew behind it
    next = over >>> 3;
    held = 0;
    if ((over & 7) !== 0) {
      held = 8 - (over & 7);
      bits = from[next++] as number;
    }
  }
  return endOfText(bits, held, to, out);
}

/** Fewer than eight bits are left: short codes, then padding. */
function endOfText(bits: number, held: number, to: Uint8Array, at: number): number {
  let left = held;
  let out = at;
  while (left > 0) {
    const ones = (1 << (SHORT_BITS - left)) - 1;
    const short = SHORT[((bits << (SHORT_BITS - left)) | ones) & 255] as number;
    if (short === 0 || short >>> 8 > left) {
      const mask = (1 << left) - 1;
      return (bits & mask) === mask ? out : -1;
    }
    to[out++] = short;
    left -= short >>> 8;
  }
  return out;
}

/** The symbol whose code, longer than eight bits, starts at bit `at`; -1 when it does not end before `end`. */
function longSymbol(from: Uint8Array, at: number, end: number): number {
  const first = at >>> 3;
  const shift = at & 7;
  let window = 0;
  for (let index = 0; index < 5; index++) {
    window = window * 256 + (first + index < end ? (from[first + index] as number) : 255);
  }
  // 40 bits: the leading `shift` and the trailing `8 - shift` are cut off
  const aligned = Math.floor(window / 2 ** (8 - shift)) % 2 ** WINDOW_BITS;
  for (let length = SHORT_BITS + 1; length <= LONGEST_BITS; length++) {
    if (aligned >= (LIMITS[length] as number)) continue;
    if (at + length > end * 8) return -1;
    const code = Math.floor(aligned / 2 ** (WINDOW_BITS - length));
    return SYMBOLS[code + (OFFSETS[length] as number)] as number;
  }
  return -1;
}

/** Bytes that `from[start, end)` takes when coded. */
export function huffmanLength(from: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let at = start; at < end; at++) bits += LENGTHS[from[at] as number] as number;
  return (bits + 7) >>> 3;
}

/** Codes `from[start, end)` into `to[at…]`, where `huffmanLength` bytes have room. out  where it ends */
// biome-ignore lint/complexity/useMaxParams: two ranges, and no object per string on the hot path
export function encodeHuffman(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
): number {
  let bits = 0;
  let held = 0;
  let out = at;
  for (let index = start; index < end; index++) {
    const byte = from[index] as number;
    const length = LENGTHS[byte] as number;
    const code = CODES[byte] as number;
    if (held + length > 31) {
      // only a long code gets here: its upper half first
      const upper = length - 15;
      bits = (bits << upper) | (code >>> 15);
      held += upper;
      while (held >= 8) {
        held -= 8;
        to[out++] = bits >>> held;
      }
      bits = (bits << 15) | (code & 0x7fff);
      held += 15;
    } else {
      bits = (bits << length) | code;
      held += length;
    }
    while (held >= 8) {
      held -= 8;
      to[out++] = bits >>> held;
    }
  }
  if (held > 0) to[out++] = (bits << (8 - held)) | (255 >>> held);
  return out;
}
