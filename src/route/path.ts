/**
 * Path: from a request target to the one path that is matched, logged and forwarded.
 *
 * why    a path that the proxy reads one way and the endpoint another walks past every rule made for it;
 *        so a path has one form, and one that could be read in two ways is refused
 * in     the request target as sent
 * out    the normal path, or undefined: the caller answers 400 `bad_path`
 * cost   a path that is normal already (nearly all are) is read once and returned as the same string
 * never  decode a reserved character, decode twice, or climb above the root
 * spec   RFC 3986 §2.1, §2.3, §3.3, §5.2.4, §6.2.2; RFC 9112 §3.2
 */
import { HEX_VALUE, SLASH } from "../core/bytes.ts";

/** What to do with `%2F` and `%5C`: they are a slash to some endpoints and a letter to others. */
export type EncodedSlash = "refuse" | "pass";

const PERCENT = 37;
const DOT = 46;

const NEVER = 0;
const PLAIN = 1;
/** `/` and `.`: plain, unless they follow a slash. */
const AFTER_SLASH_ODD = 2;

/**
 * What each byte may do in a path. RFC 3986 pchar, and `|`, `[`, `]`, which browsers send as they are (WHATWG
 * URL, path percent-encode set). Raw `"`, `<`, `>`, `^`, backquote, `{`, `}` come from no browser and
 * are refused, as Tomcat does; `\` is a slash to some.
 */
const CLASS = Uint8Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  if (char === "/" || char === ".") return AFTER_SLASH_ODD;
  return /[A-Za-z0-9\-_~!$&'()*+,;=:@|[\]]/.test(char) ? PLAIN : NEVER;
});

/** Letters, digits, `-._~`: the same with or without percent (RFC 3986 §2.3). */
const IS_UNRESERVED = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[A-Za-z0-9\-._~]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

/**
 * Encoded bytes that are normal as they stand, whatever is next to them. The first bytes of overlong UTF-8 are
 * not among them, nor what depends on `EncodedSlash`: those take the slow way.
 */
const IS_NORMAL_ENCODED = Uint8Array.from({ length: 256 }, (_, byte) => {
  const isControl = byte < 0x20 || byte === 0x7f;
  const isJudged = [0x2f, 0x5c, 0xc0, 0xc1, 0xe0, 0xf0].includes(byte);
  return isControl || isJudged || IS_UNRESERVED[byte] === 1 ? 0 : 1;
});

/** The normal form of a path, or undefined when it has none. Applying it again changes nothing. */
export function normalisePath(rawPath: string, encodedSlash: EncodedSlash): string | undefined {
  return isSurelyNormal(rawPath) ? rawPath : normaliseSlowly(rawPath, encodedSlash === "pass");
}

/** True for nearly every path that is normal; false for all that is not. */
function isSurelyNormal(path: string): boolean {
  if (path.charCodeAt(0) !== SLASH) return false;
  let previous = SLASH;
  for (let at = 1; at < path.length; at++) {
    const byte = path.charCodeAt(at);
    const kind = CLASS[byte];
    if (kind !== PLAIN && (kind !== AFTER_SLASH_ODD || previous === SLASH)) {
      if (byte !== PERCENT || !isNormalEncoding(path, at)) return false;
      at += 2;
    }
    previous = byte;
  }
  return true;
}

function isNormalEncoding(path: string, at: number): boolean {
  const value = encodedByte(path, at);
  if (value === -1 || IS_NORMAL_ENCODED[value] !== 1) return false;
  // bit 5 is set in digits and lower-case letters; digits have bit 6 clear
  return (path.charCodeAt(at + 1) & 0x60) !== 0x60 && (path.charCodeAt(at + 2) & 0x60) !== 0x60;
}

function normaliseSlowly(path: string, mayPassSlash: boolean): string | undefined {
  if (path.charCodeAt(0) !== SLASH) return undefined;
  const kept: string[] = [];
  let isFolder = false;
  for (const raw of path.slice(1).split("/")) {
    const segment = normaliseSegment(raw, mayPassSlash);
    if (segment === undefined) return undefined;
    isFolder = segment === "" || segment === "." || segment === "..";
    if (!isFolder) kept.push(segment);
    else if (segment === ".." && kept.pop() === undefined) return undefined;
  }
  if (kept.length === 0) return "/";
  return isFolder ? `/${kept.join("/")}/` : `/${kept.join("/")}`;
}

/** One segment in its normal form; `.` and `..` come back as they are. */
export function normaliseSegment(raw: string, mayPassSlash: boolean): string | undefined {
  let out = "";
  let previousEncoded = -1;
  for (let at = 0; at < raw.length; at++) {
    const byte = raw.charCodeAt(at);
    if (byte !== PERCENT) {
      if (byte === SLASH || !CLASS[byte]) return undefined;
      out += raw[at];
      previousEncoded = -1;
      continue;
    }
    const value = encodedByte(raw, at);
    if (value === -1 || mayNotBeEncoded(value, previousEncoded, mayPassSlash)) return undefined;
    out += IS_UNRESERVED[value] === 1 ? String.fromCharCode(value) : `%${hex(value)}`;
    previousEncoded = value;
    at += 2;
  }
  return hidesDots(out) ? undefined : out;
}

function encodedByte(text: string, at: number): number {
  const high = HEX_VALUE[text.charCodeAt(at + 1)] ?? -1;
  const low = HEX_VALUE[text.charCodeAt(at + 2)] ?? -1;
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

const hex = (value: number) => value.toString(16).toUpperCase().padStart(2, "0");

function mayNotBeEncoded(value: number, previous: number, mayPassSlash: boolean): boolean {
  if (value < 0x20 || value === 0x7f) return true;
  if (value === 0x2f || value === 0x5c) return !mayPassSlash;
  return isOverlong(previous, value);
}

/**
 * Longer UTF-8 than needed (RFC 3629 §3): `%C0%AE` is a dot to a careless decoder. Other bytes that are not
 * UTF-8 pass: old sites have Latin-1 names.
 */
function isOverlong(lead: number, next: number): boolean {
  if (next < 0x80 || next > 0xbf) return false;
  return lead === 0xc0 || lead === 0xc1 || (lead === 0xe0 && next < 0xa0) || (lead === 0xf0 && next < 0x90);
}

/**
 * `..;x` and `.;x`: servlet containers cut the parameter and then climb. With encoded slashes let through,
 * `..%2F` is the same trick for whoever decodes it.
 */
function hidesDots(segment: string): boolean {
  if (segment.charCodeAt(0) !== DOT && !segment.includes("%")) return false;
  const parts = segment.split(/%2F|%5C/);
  for (const part of parts) {
    const name = part.split(/;|%3B/, 1)[0] as string;
    if ((name === "." || name === "..") && name !== segment) return true;
  }
  return false;
}

/**
 * A path as a person writes it in a configuration (`/café/*`), in the form that requests have.
 * out  the text itself when it is no path: no request has it then, and nothing matches
 */
export function normaliseWrittenPath(text: string): string {
  return normalisePath(encodeIllegal(text), "pass") ?? text;
}

/** Percent-encodes what may not stand in a path, keeps `/` and what is encoded already. */
export function encodeIllegal(text: string): string {
  return text.toWellFormed().replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@|[\]/%]/gu, encodeURIComponent);
}

/** A request target in its parts; what they mean is for the caller. */
export interface Target {
  readonly form: "origin" | "absolute" | "asterisk";
  /** As sent, not yet normal; "/" for an absolute form without path, "*" for the asterisk. */
  readonly path: string;
  /** As sent, without "?"; "" when there is none. */
  readonly query: string;
  /** Of an absolute form: what goes in place of the Host field (RFC 9112 §3.2.2); else "". */
  readonly authority: string;
  readonly scheme: "http" | "https" | undefined;
}

/** in  a target of any form but authority (CONNECT)  out  its parts, or undefined when it is none */
export function splitTarget(target: string): Target | undefined {
  if (target.indexOf("#") !== -1) return undefined;
  if (target.charCodeAt(0) === SLASH) {
    const mark = target.indexOf("?");
    return {
      form: "origin",
      path: mark === -1 ? target : target.slice(0, mark),
      query: mark === -1 ? "" : target.slice(mark + 1),
      authority: "",
      scheme: undefined,
    };
  }
  if (target === "*") return { form: "asterisk", path: "*", query: "", authority: "", scheme: undefined };
  return splitAbsolute(target);
}

function splitAbsolute(target: string): Target | undefined {
  const parts = /^(https?):\/\/([^/?]+)([^?]*)(?:\?(.*))?$/i.exec(target);
  if (parts === null) return undefined;
  const [, scheme = "", authority = "", path = "", query = ""] = parts;
  return {
    form: "absolute",
    path: path === "" ? "/" : path,
    query,
    authority,
    scheme: scheme.toLowerCase() === "https" ? "https" : "http",
  };
}
