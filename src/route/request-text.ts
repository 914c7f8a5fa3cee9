/**
 * Request text: one named value of a request: a header field, a cookie, a query parameter.
 *
 * rule   the first of several counts; cookies as sent (RFC 6265 §4.2.1), query parameters decoded as forms are
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { decodeForm, somePair } from "./pairs.ts";

const COOKIE = fieldIdOf("cookie");

/** Value of a cookie, or undefined. */
export function cookieOf(fields: Fields, name: string): string | undefined {
  let found: string | undefined;
  const isIt = (key: string, value: string) => {
    if (key.trim() !== name) return false;
    found = value.trim();
    return true;
  };
  for (let at = fields.indexOf(COOKIE); at !== -1; at = fields.indexOf(COOKIE, at + 1)) {
    if (somePair(fields.valueAt(at), ";", isIt)) return found;
  }
  return undefined;
}

/** Value of a query parameter, or undefined. */
export function parameterOf(query: string, name: string): string | undefined {
  let found: string | undefined;
  somePair(query, "&", (key, value) => {
    if (decodeForm(key) !== name) return false;
    found = decodeForm(value);
    return true;
  });
  return found;
}
