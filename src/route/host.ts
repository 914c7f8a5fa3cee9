/**
 * Host: which host does a Host field (or the authority of a target) name?
 *
 * in     the value as sent, with or without port
 * out    lower case, without port and without the dot of a fully qualified name; IPv6 keeps its brackets;
 *        undefined = not a host, the caller answers 400 `bad_host`
 * cost   a plain lower-case name is read once and returned as the same string
 * never  accept user information, percent encoding, or an empty name
 * spec   RFC 9110 §7.2, RFC 3986 §3.2.2
 */
import { parseIp } from "../core/address.ts";
import { COLON, LOWER } from "../core/bytes.ts";

/** RFC 1035 §2.3.4: no name is longer, and so no map key is. */
const MAX_HOST_BYTES = 255;
const MAX_PORT_DIGITS = 5;
const MAX_PORT = 65535;
const DOT = 46;
const OPEN_BRACKET = 91;

/** Letters, digits, `-`, `_` and `.`: what a resolver can know. `_` is not legal DNS host text but common. */
const IS_HOST_BYTE = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[a-zA-Z0-9\-_.]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

export function normaliseHost(value: string): string | undefined {
  if (value.charCodeAt(0) === OPEN_BRACKET) return normaliseIpLiteral(value);
  const end = endOfName(value);
  if (end === value.length && end <= MAX_HOST_BYTES) return value;
  return end === -1 ? undefined : normaliseSlowly(value);
}

/** Where the plain, lower-case name stops: value.length when all of it is one; -1 = never a host. */
function endOfName(value: string): number {
  let previous = DOT;
  for (let at = 0; at < value.length; at++) {
    const byte = value.charCodeAt(at);
    if (IS_HOST_BYTE[byte] !== 1) return byte === COLON ? at : -1;
    if (byte === DOT && previous === DOT) return -1;
    if (byte !== LOWER[byte]) return at;
    previous = byte;
  }
  if (value.length === 0) return -1;
  return previous === DOT ? value.length - 1 : value.length;
}

function normaliseSlowly(value: string): string | undefined {
  const colon = value.indexOf(":");
  if (colon !== -1 && !isPort(value, colon + 1)) return undefined;
  const name = (colon === -1 ? value : value.slice(0, colon)).toLowerCase();
  const host = name.endsWith(".") ? name.slice(0, -1) : name;
  return host.length <= MAX_HOST_BYTES && endOfName(host) === host.length ? host : undefined;
}

function normaliseIpLiteral(value: string): string | undefined {
  const close = value.indexOf("]");
  const literal = value.slice(1, close);
  if (close === -1 || !literal.includes(":") || literal.includes("%")) return undefined;
  if (literal.length > MAX_HOST_BYTES || parseIp(literal) === undefined) return undefined;
  if (close + 1 < value.length) {
    if (value.charCodeAt(close + 1) !== COLON || !isPort(value, close + 2)) return undefined;
  }
  return `[${literal.toLowerCase()}]`;
}

/** RFC 3986 §3.2.3 lets the port be empty after its colon; 0 is no port to connect to. */
function isPort(value: string, start: number): boolean {
  if (start === value.length) return true;
  if (value.length - start > MAX_PORT_DIGITS) return false;
  let port = 0;
  for (let at = start; at < value.length; at++) {
    const digit = value.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port > 0 && port <= MAX_PORT;
}
