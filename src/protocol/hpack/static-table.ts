/**
 * Static table: the fields that every HPACK peer knows, as lines, so that they are taken as those of a dynamic table.
 *
 * spec   RFC 7541 Appendix A
 */
import { STATIC_FIELDS } from "./codes.table.ts";

export const STATIC_COUNT = STATIC_FIELDS.length;
/** All lines `name: value\r\n`. */
export const STATIC_BYTES = Buffer.from(
  STATIC_FIELDS.map(([name, value]) => `${name}: ${value}\r\n`).join(""),
  "latin1",
);
/** By index, from 1. */
export const STATIC_STARTS = new Uint16Array(STATIC_COUNT + 1);
export const STATIC_NAME_LENGTHS = new Uint8Array(STATIC_COUNT + 1);
export const STATIC_VALUE_LENGTHS = new Uint8Array(STATIC_COUNT + 1);
export const STATIC_VALUES: readonly string[] = ["", ...STATIC_FIELDS.map(([, value]) => value)];

let start = 0;
for (const [row, [name, value]] of STATIC_FIELDS.entries()) {
  STATIC_STARTS[row + 1] = start;
  STATIC_NAME_LENGTHS[row + 1] = name.length;
  STATIC_VALUE_LENGTHS[row + 1] = value.length;
  start += name.length + value.length + 4;
}
