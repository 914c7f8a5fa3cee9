/**
 * Bytes: character classes of HTTP, as lookup tables.
 *
 * why    one table load decides a byte; the grammar stands here once for every reader
 * spec   RFC 9110 §5.6.2 (token), §5.5 (field values), RFC 3986 §3.3 (path) and §3.4 (query)
 */
export const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const COLON = 58;
export const SLASH = 47;

function table(accepts: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (accepts(byte) ? 1 : 0));
}

const isAlphaNumeric = (byte: number) =>
  (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
const isOneOf = (set: string) => (byte: number) => byte < 128 && set.includes(String.fromCharCode(byte));

/** tchar: what a method or a field name is made of. */
export const IS_TOKEN = table((byte) => isAlphaNumeric(byte) || isOneOf("!#$%&'*+-.^_`|~")(byte));

/** Field value bytes: HTAB, SP, visible ASCII and obs-text; never a control byte. */
export const IS_VALUE = table((byte) => byte === HTAB || (byte >= SP && byte !== 127));

/**
 * Bytes a request target may hold. Wider than RFC 3986 by what browsers send unescaped in a query
 * (`| { } ^ [ ] \` and backquote); a path with one of those is judged by `route/path.ts`.
 * Refused here: controls, space, `"`, `<`, `>`, `#` and everything past ASCII.
 */
export const IS_TARGET = table((byte) => byte > SP && byte < 127 && !isOneOf('"<>#')(byte));

/** Digits. */
export const IS_DIGIT = table((byte) => byte >= 48 && byte <= 57);

/** Value of a hex digit, or -1. */
export const HEX_VALUE = Int8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
});

/** Lower case of an ASCII letter, every other byte unchanged. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 65 && byte <= 90 ? byte + 32 : byte,
);

/** True when every character of `text` is a token character and there is at least one. */
export function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (IS_TOKEN[text.charCodeAt(at)] !== 1) return false;
  }
  return text.length > 0;
}

/** True when `text` may stand as a field value as it is: no control byte, nothing past Latin-1. */
export function isFieldValue(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (IS_VALUE[text.charCodeAt(at)] !== 1) return false;
  }
  return true;
}
