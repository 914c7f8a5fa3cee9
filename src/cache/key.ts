/**
 * Key: the text under which the answer to a request is kept.
 *
 * why    two requests with one key get one answer: whatever may change the answer has to be in it, and whatever does not
 *        should not
 * shape  lines. `route`, then `scheme://host[:port]/path[?query]`, then one `+…` line for each further part. Variants add
 *        `-…` lines (vary.ts), coded forms `~coding` (coded.ts), slices `#number` (slice.ts). No part can hold a line feed,
 *        so no part can pass for another
 * rule   a query parameter is left out only when no common reader of queries would find a wanted one in it: a cache that
 *        reads `a=1;b=2` or `p%61ge=2` otherwise than the application can be made to store one page for another
 * cost   one concatenation for a policy that asks for nothing
 * spec   RFC 9111 §2, §4; RFC 3986 §6.2
 */
import { createHash } from "node:crypto";
import { SCHEME_NAMES } from "../core/field-names.table.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { CacheKeyPolicy } from "./policy.ts";
import { bestLanguage } from "./quality.ts";

export interface KeyParts {
  /** Name of the route: two routes never answer for each other. */
  readonly route: string;
  readonly scheme: "http" | "https";
  /** Host and port, lower case, without the scheme's own port. */
  readonly authority: string;
  /** Normal form. */
  readonly path: string;
  /** Without `?`; "" = none. */
  readonly query: string;
  readonly requestFields: Fields;
  /** What else the answer may depend on, such as `forwardedKey`; "" = nothing. No line feed in it. */
  readonly extra: string;
}

const COOKIE = fieldIdOf("cookie");
const USER_AGENT = fieldIdOf("user-agent");
const STEERING = fieldMask("steering");
/** Longer values stand in a key as their digest. */
export const MAX_VALUE_CHARS = 128;

export function cacheKey(policy: CacheKeyPolicy, parts: KeyParts): string {
  const { route, scheme, path, extra } = parts;
  const query = parts.query === "" ? "" : keyQuery(policy, parts.query);
  const mark = query === "" ? "" : "?";
  const key = `${route}\n${scheme}://${policy.host ?? parts.authority}${path}${mark}${query}`;
  return extra === "" && !hasMore(policy) ? key : key + moreLines(policy, parts);
}

/** Nothing but the URL is in the key. */
export const isOfTarget = (policy: CacheKeyPolicy) => !hasMore(policy);

function hasMore({ headers, cookies, device, languages }: CacheKeyPolicy): boolean {
  return device || headers.length > 0 || cookies.length > 0 || languages.length > 0;
}

/** Each name of the policy gives one line, always in the same order. */
function moreLines(policy: CacheKeyPolicy, { requestFields, extra }: KeyParts): string {
  let lines = "";
  for (const name of policy.headers) lines += `\n+h ${pairText(name, requestFields.joinedNamed(name))}`;
  for (const name of policy.cookies) lines += `\n+c ${pairText(name, cookieValue(requestFields, name))}`;
  if (policy.device) lines += `\n+d ${deviceOf(requestFields.get(USER_AGENT) ?? "")}`;
  if (policy.languages.length > 0) {
    lines += `\n+l ${bestLanguage(requestFields.joinedNamed("accept-language"), policy.languages)}`;
  }
  return extra === "" ? lines : `${lines}\n+x ${shorten(extra)}`;
}

/** `name` when there is none, `name:value`, or `name;digest`: neither sign can be in a field's name. */
export function pairText(name: string, value: string | undefined): string {
  if (value === undefined) return name;
  return value.length <= MAX_VALUE_CHARS ? `${name}:${value}` : `${name};${digestOf(value)}`;
}

const shorten = (text: string) => (text.length <= MAX_VALUE_CHARS ? `:${text}` : `;${digestOf(text)}`);

/** 256 bits: nobody can find two values with one digest. */
function digestOf(value: string): string {
  return createHash("sha256").update(value, "latin1").digest("base64url");
}

// ── query ──

const STRICT_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const PLAIN_NAME = /^[a-z0-9_-]*$/;

function keyQuery({ query: { mode, names }, sortQuery }: CacheKeyPolicy, query: string): string {
  if (mode === "except" && names.length === 0 && !sortQuery) return query;
  if (mode === "only" && names.length === 0) return "";
  // some readers separate by ";" too: what they would find cannot be told, so nothing is left out or moved
  if (query.includes(";")) return query;
  const isKept =
    mode === "only"
      ? (name: string) => names.some((pattern) => fits(looseName(name), looseName(pattern)))
      : (name: string) => !names.some((pattern) => fits(strictName(name), pattern));
  const parameters = query.split("&").filter((parameter) => parameter !== "" && isKept(nameOf(parameter)));
  return (sortQuery ? sortParameters(parameters) : parameters).join("&");
}

/** `name`, or `begin*`. */
function fits(name: string | undefined, pattern: string): boolean {
  if (name === undefined) return false;
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** By name; parameters that any reader may take for the same name stay in the order they came in. */
function sortParameters(parameters: readonly string[]): string[] {
  return parameters
    .map((text) => ({ text, name: looseName(nameOf(text)) }))
    .toSorted((one, two) => (one.name < two.name ? -1 : Number(one.name > two.name)))
    .map(({ text }) => text);
}

function nameOf(parameter: string): string {
  const equals = parameter.indexOf("=");
  return equals === -1 ? parameter : parameter.slice(0, equals);
}

/** The name as every reader decodes it; undefined when they may differ. */
function strictName(name: string): string | undefined {
  if (!name.includes("%") && !name.includes("+")) return name;
  return STRICT_ESCAPE.test(name) ? undefined : decode(name);
}

/**
 * The name as the most generous reader takes it: without regard to case, blanks around it, brackets and what follows
 * them, `.` and blanks as `_` (PHP), the end at a NUL.
 */
function looseName(name: string): string {
  if (PLAIN_NAME.test(name)) return name;
  const [decoded = ""] = decode(name).trim().toLowerCase().split(/[[\0]/, 1);
  return decoded.replace(/[. ]/g, "_");
}

/** Byte by byte, as Latin-1: it need not be UTF-8 to be compared. */
function decode(name: string): string {
  return name
    .replaceAll("+", " ")
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

// ── cookies, devices, forwarded fields ──

/** All values of a cookie, as they were written; undefined when it is not there. */
function cookieValue(fields: Fields, name: string): string | undefined {
  let value: string | undefined;
  for (let index = fields.indexOf(COOKIE); index !== -1; index = fields.indexOf(COOKIE, index + 1)) {
    for (const pair of fields.valueAt(index).split(";")) {
      const equals = pair.indexOf("=");
      if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
      const one = pair.slice(equals + 1).trim();
      value = value === undefined ? one : `${value}; ${one}`;
    }
  }
  return value;
}

const MAX_AGENT_CHARS = 512;
const TABLET = /iPad|Tablet(?! PC)|PlayBook|Kindle|Silk\/|Android(?!.*Mobi)/i;
const MOBILE = /Mobi|iPhone|iPod|Android|Windows Phone|BlackBerry|Opera Mini/i;

/** The class of device that a User-Agent names: as sites commonly tell them apart. */
export function deviceOf(userAgent: string): "mobile" | "tablet" | "desktop" {
  const agent = userAgent.slice(0, MAX_AGENT_CHARS);
  if (TABLET.test(agent)) return "tablet";
  return MOBILE.test(agent) ? "mobile" : "desktop";
}

const FORWARDED_PARAMETER = /(?:^|[;,])[ \t]*(host|proto)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;, \t]*)/gi;

/**
 * What a trusted proxy said about the URL that the client asked for, which endpoints hear and may use: for `extra`.
 * out  "" when it said nothing. Of Forwarded only `host` and `proto`: `for` is the client, who has no cache of his own
 */
export function forwardedKey(requestFields: Fields): string {
  let text = "";
  for (const name of ["host", "proto", "port", "prefix"]) {
    const value = requestFields.joinedNamed(`x-forwarded-${name}`);
    if (value !== undefined) text += `\t${name}=${value}`;
  }
  if ((requestFields.high & STEERING.high) !== 0) {
    for (const name of SCHEME_NAMES) {
      const value = requestFields.joinedNamed(name);
      if (value !== undefined) text += `\t${name}=${value}`;
    }
  }
  const forwarded = requestFields.joinedNamed("forwarded") ?? "";
  for (const [, name = "", value = ""] of forwarded.matchAll(FORWARDED_PARAMETER)) {
    text += `\t${name.toLowerCase()}:${value}`;
  }
  return text;
}

// ── reading a key ──

export function routeOfKey(key: string): string {
  return key.slice(0, key.indexOf("\n"));
}

/** `host[:port]/path[?query]`, as purges name it. */
export function urlOfKey(key: string): string {
  const start = key.indexOf("://", key.indexOf("\n")) + 3;
  const end = key.indexOf("\n", start);
  return end === -1 ? key.slice(start) : key.slice(start, end);
}

/** `scheme://host[:port]`. */
export function originOfKey(key: string): string {
  const start = key.indexOf("\n") + 1;
  const path = key.indexOf("/", key.indexOf("://", start) + 3);
  return path === -1 ? key.slice(start) : key.slice(start, path);
}

/** The host, without port, of a URL as `urlOfKey` gives it. */
export function hostOfUrl(url: string): string {
  const slash = url.indexOf("/");
  const authority = slash === -1 ? url : url.slice(0, slash);
  return authority.replace(/:\d*$/, "");
}
