/**
 * Vary: which variant of a resource does a request select?
 *
 * shape  at the primary key stands an index (flag VARY_INDEX) of the names that tell the variants apart; a variant's key is
 *        the primary key and one `-…` line for each name
 * rule   a field that is missing is not one that is empty. Values count as the same when they mean the same by the syntax
 *        that all fields share (lines joined, no blanks around commas), or their own (Accept, Accept-Language, …)
 * bound  32 names, else it is as `Vary: *`; long values stand as digests; 8 languages
 * spec   RFC 9111 §4.1; RFC 9110 §12.5.5
 */
import { CERTIFICATE_NAMES } from "../core/field-names.table.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { pairText } from "./key.ts";
import type { CacheVaryPolicy } from "./policy.ts";
import { bestLanguage, codingsOf, favouriteOf, normaliseWishes, parseWishes } from "./quality.ts";

/** What tells the variants of a resource apart. */
export interface VaryIndex {
  /** Lower case, sorted. */
  readonly names: readonly string[];
  /** By Content-Language: the normal form of the Accept-Language that was answered in it. */
  readonly languages: ReadonlyMap<string, string>;
}

const VARY = fieldIdOf("vary");
const ACCEPT_ENCODING = "accept-encoding";
const ACCEPT_LANGUAGE = "accept-language";
const CONTENT_LANGUAGE = "content-language";
/** Our own, in the lines of an index only. */
const VARIANT_LANGUAGE = "variant-language";
const MAX_NAMES = 32;
const MAX_LANGUAGES = 8;
const MAX_WISHES_CHARS = 256;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/**
 * What an endpoint is told of the client, in other words than the client's own: what was compared would not be what the
 * endpoint saw.
 */
const BY_CLIENT = new Set<string>([
  "x-forwarded-for",
  "x-real-ip",
  "forwarded",
  "x-request-id",
  "traceparent",
  "tracestate",
  ...CERTIFICATE_NAMES,
]);
/** Told by us too, or by a trusted proxy; either way what they come from is in the primary key. */
const IN_KEY = new Set(["x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix"]);

/**
 * The names in Vary that count, lower case, sorted, each once; "*" when no request can be known to select the same.
 * A name that is none cannot be looked for, so it is as `*` too.
 */
export function varyNames(responseFields: Fields, { ignore }: CacheVaryPolicy): readonly string[] | "*" {
  const vary = responseFields.joined(VARY);
  if (vary === undefined) return [];
  const names = new Set<string>();
  for (const item of vary.split(",")) {
    const name = item.trim().toLowerCase();
    if (name === "" || ignore.includes(name) || IN_KEY.has(name)) continue;
    if (name === "*" || !TOKEN.test(name) || BY_CLIENT.has(name) || names.size === MAX_NAMES) return "*";
    // one comes from the other, and the key may stand for several hosts
    names.add(name === "x-forwarded-host" ? "host" : name);
  }
  return [...names].sort();
}

/** Lines that a request adds to its primary key; "" when the names are none. */
export function secondaryKey(names: readonly string[], request: Fields, policy: CacheVaryPolicy): string {
  let key = "";
  for (const name of names) {
    const line = pairText(name, selectingValue(name, request, policy));
    key += key === "" ? `-${line}` : `\n-${line}`;
  }
  return key;
}

/** in  the fields of a stored index */
export function variantKey(
  primaryKey: string,
  indexFields: Fields,
  request: Fields,
  policy: CacheVaryPolicy,
): string {
  return variantKeyOf(primaryKey, readIndex(indexFields), request, policy);
}

/** Where a response is stored: under the names of the index that will stand at the primary key. */
export function variantKeyOf(
  primaryKey: string,
  { names }: VaryIndex,
  request: Fields,
  policy: CacheVaryPolicy,
): string {
  const secondary = secondaryKey(names, request, policy);
  return secondary === "" ? primaryKey : `${primaryKey}\n${secondary}`;
}

/** Does a key that something is stored under tell all of these names apart? */
export function tellsApart(key: string, primaryKey: string, names: readonly string[]): boolean {
  if (names.length === 0) return true;
  const lines = key.slice(primaryKey.length).split("\n");
  return names.every((name) => lines.some((line) => isAbout(line, name)));
}

/** The line is `-name`, `-name:value` or `-name;digest`. */
function isAbout(line: string, name: string): boolean {
  if (!line.startsWith(`-${name}`)) return false;
  const after = line[name.length + 1];
  return after === undefined || after === ":" || after === ";";
}

/**
 * Another key under which a request may find its answer: its favourite language is that of a variant which came for
 * another wish. No selection by language could prefer a different one.
 * out  undefined when there is none. What is stored goes under `variantKeyOf` all the same
 */
export function languageVariantKey(
  primaryKey: string,
  indexFields: Fields,
  request: Fields,
  policy: CacheVaryPolicy,
): string | undefined {
  const { names, languages } = readIndex(indexFields);
  if (languages.size === 0 || policy.languages.length > 0) return undefined;
  const own = request.joinedNamed(ACCEPT_LANGUAGE);
  const wishes = own === undefined ? undefined : parseWishes(own);
  const favourite = wishes === undefined ? undefined : favouriteOf(wishes);
  const wish = favourite === undefined ? undefined : languages.get(favourite);
  if (wish === undefined || wish === normaliseWishes(wishes ?? [])) return undefined;
  let key = primaryKey;
  for (const name of names) {
    const value = name === ACCEPT_LANGUAGE ? wish : selectingValue(name, request, policy);
    key += `\n-${pairText(name, value)}`;
  }
  return key;
}

// ── values ──

/** Where a comma is nothing but a comma. */
const SINGLE = new Set([
  "authorization",
  "cookie",
  "host",
  "if-modified-since",
  "origin",
  "range",
  "referer",
  "user-agent",
]);
const WISHES = new Set(["accept", "accept-charset", ACCEPT_ENCODING, ACCEPT_LANGUAGE]);

function selectingValue(name: string, request: Fields, policy: CacheVaryPolicy): string | undefined {
  if (name === ACCEPT_LANGUAGE && policy.languages.length > 0) {
    return bestLanguage(request.joinedNamed(name), policy.languages);
  }
  const value = request.joinedNamed(name);
  if (value === undefined || SINGLE.has(name)) return value;
  return remembered(name, value, name === ACCEPT_ENCODING && policy.encoding);
}

const MAX_REMEMBERED = 512;
const MAX_REMEMBERED_CHARS = 512;
const REMEMBERED = new Map<string, string>();

/** Few browsers make most requests: what their values come to is worked out once. */
function remembered(name: string, value: string, isEncoding: boolean): string {
  if (!WISHES.has(name)) return foldList(value);
  const key = `${isEncoding ? "=" : name}\n${value}`;
  const known = REMEMBERED.get(key);
  if (known !== undefined) return known;
  const normal = isEncoding ? codingsOf(value) : normalForm(value);
  if (key.length <= MAX_REMEMBERED_CHARS) {
    if (REMEMBERED.size === MAX_REMEMBERED) REMEMBERED.clear();
    REMEMBERED.set(key, normal);
  }
  return normal;
}

function normalForm(value: string): string {
  const wishes = parseWishes(value);
  return wishes === undefined ? foldList(value) : normaliseWishes(wishes);
}

/** Without blanks around commas, unless a quoted string may hold them (RFC 9110 §5.6.1). */
function foldList(value: string): string {
  if (!value.includes(",") || value.includes('"')) return value;
  return value
    .split(",")
    .map((item) => item.trim())
    .join(",");
}

/**
 * What to send as Accept-Encoding where it counts as a set: what the origin sees must be what the key says. undefined when
 * the request has none, or the policy takes it as it is written.
 */
export function encodingToSend(request: Fields, { encoding }: CacheVaryPolicy): string | undefined {
  const value = encoding ? request.joinedNamed(ACCEPT_ENCODING) : undefined;
  return value === undefined ? undefined : remembered(ACCEPT_ENCODING, value, true);
}

// ── the index ──

const NO_LANGUAGES: ReadonlyMap<string, string> = new Map();
const INDICES = new WeakMap<Fields, VaryIndex>();

/** in  the fields of a stored response with VARY_INDEX; they are read once */
export function readIndex(fields: Fields): VaryIndex {
  let index = INDICES.get(fields);
  if (index === undefined) {
    const names = (fields.joined(VARY) ?? "").split(",").filter((name) => name !== "");
    index = { names, languages: readLanguages(fields) };
    INDICES.set(fields, index);
  }
  return index;
}

function readLanguages(fields: Fields): ReadonlyMap<string, string> {
  const languages = new Map<string, string>();
  for (let at = 0; at < fields.count; at++) {
    if (fields.nameAt(at).toLowerCase() !== VARIANT_LANGUAGE) continue;
    const value = fields.valueAt(at);
    const blank = value.indexOf(" ");
    languages.set(value.slice(0, blank), value.slice(blank + 1));
  }
  return languages;
}

/** The lines of an index, as they are stored. */
export function indexLines({ names, languages }: VaryIndex): string {
  let lines = `Vary: ${names.join(",")}\r\n`;
  for (const [language, wish] of languages) lines += `Variant-Language: ${language} ${wish}\r\n`;
  return lines;
}

/** A response that is stored as a variant. */
export interface Variant {
  readonly names: readonly string[];
  readonly request: Fields;
  readonly response: Fields;
}

/**
 * The index once a variant is stored. Names that only earlier variants have stay: a key may tell apart more than need be,
 * never less; else two responses with different Vary would push each other out for ever.
 * out  `previous` itself when it says all that already
 */
export function indexWith(previous: VaryIndex | undefined, variant: Variant): VaryIndex {
  const { names = [], languages = NO_LANGUAGES } = previous ?? {};
  const missing = variant.names.filter((name) => !names.includes(name));
  const all = missing.length === 0 ? names : [...names, ...missing].sort();
  const merged = all.length <= MAX_NAMES ? all : variant.names;
  const known = languagesWith(languages, variant);
  if (previous !== undefined && merged === names && known === languages) return previous;
  return { names: merged, languages: known };
}

function languagesWith(
  languages: ReadonlyMap<string, string>,
  { names, request, response }: Variant,
): ReadonlyMap<string, string> {
  if (!names.includes(ACCEPT_LANGUAGE)) return languages;
  const language = response.joinedNamed(CONTENT_LANGUAGE)?.toLowerCase();
  const value = request.joinedNamed(ACCEPT_LANGUAGE);
  const wishes = value === undefined ? undefined : parseWishes(value);
  if (language === undefined || !TOKEN.test(language) || wishes === undefined || wishes.length === 0) {
    return languages;
  }
  const wish = normaliseWishes(wishes);
  if (wish.length > MAX_WISHES_CHARS || languages.get(language) === wish) return languages;
  const others = [...languages].filter(([known]) => known !== language);
  return new Map([...others.slice(1 - MAX_LANGUAGES), [language, wish]]);
}
