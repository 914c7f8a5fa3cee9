/**
 * Head reader: a header block becomes a Head.
 *
 * why    the rules of RFC 9113 §8 about fields are kept here and nowhere else; what passes is field lines that the
 *        pipeline and the HTTP/1 writer take as their own
 * in     whole header blocks of one connection, in their order
 * out    "" and a head; or the reason of a COMPRESSION_ERROR, after which no block can be read
 * bound  `listBytes` as RFC 9113 §6.5.2 counts, `fields` lines: past that the block is only decoded, nothing is copied.
 *        The crumbs of a cookie are one line
 * cost   a field that is in the table: one mark, and a copy that it shares with its neighbours there
 * spec   RFC 9113 §8.1.1, §8.2, §8.3; RFC 8441 §4
 */
import { LENGTH_UNKNOWN } from "../../core/body.ts";
import { CR, LF, LOWER, SP } from "../../core/bytes.ts";
import type { KnownName } from "../../core/field-names.table.ts";
import { fieldIdOf } from "../../core/field-names.ts";
import { DECODED_FAILED, DECODED_FIELD, type Decoded, HpackDecoder } from "../hpack/decoder.ts";
import { ENTRY_OVERHEAD } from "../hpack/dynamic-table.ts";
import { copyBytes, type LineArena } from "../hpack/line-arena.ts";
import {
  CLASS_AUTHORITY,
  CLASS_BAD_NAME,
  CLASS_METHOD,
  CLASS_PATH,
  CLASS_PROTOCOL,
  CLASS_SCHEME,
  CLASS_STATUS,
  CLASSES,
  judgeField,
  STATIC_NOTES,
  VALUE_BAD,
  VALUE_GOOD,
} from "./field-rules.ts";
import { Head, type HeadKind } from "./head.ts";

export interface HeadReaderLimits {
  /** Names, values and 32 for each field. */
  readonly listBytes: number;
  /** Number of field lines. */
  readonly fields: number;
}

const PLAIN = 0;
const CONNECTION_FIELD = 1;
const HOST = 2;
const COOKIE = 3;
const LENGTH = 4;
const PSEUDO = 5;
const BAD_NAME = 6;
/** What is special about a class of names. */
const ROLES = new Uint8Array(CLASSES);
for (const name of [
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
] as const) {
  ROLES[fieldIdOf(name)] = CONNECTION_FIELD;
}
for (const [name, role] of [
  ["host", HOST],
  ["cookie", COOKIE],
  ["content-length", LENGTH],
] as [KnownName, number][]) {
  ROLES[fieldIdOf(name)] = role;
}
ROLES.fill(PSEUDO, CLASS_METHOD, CLASS_PROTOCOL + 1);
ROLES[CLASS_BAD_NAME] = BAD_NAME;

const bitOf = (pseudoClass: number) => 1 << (pseudoClass - CLASS_METHOD);
const METHOD_BIT = bitOf(CLASS_METHOD);
const SCHEME_BIT = bitOf(CLASS_SCHEME);
const AUTHORITY_BIT = bitOf(CLASS_AUTHORITY);
const PATH_BIT = bitOf(CLASS_PATH);
const STATUS_BIT = bitOf(CLASS_STATUS);
const PROTOCOL_BIT = bitOf(CLASS_PROTOCOL);
const TARGET_BITS = METHOD_BIT | SCHEME_BIT | PATH_BIT;
/** Pseudo-header fields that a block of each kind may have. */
const ALLOWED: Readonly<Record<HeadKind, number>> = {
  request: TARGET_BITS | AUTHORITY_BIT | PROTOCOL_BIT,
  response: STATUS_BIT,
  trailers: 0,
};
const COOKIE_ID = fieldIdOf("cookie");
const HOST_ID = fieldIdOf("host");
const HOST_PREFIX = "host: ";
/** What `:authority: ` has more than `host: `. */
const AUTHORITY_SURPLUS = ":authority: ".length - HOST_PREFIX.length;
const COOKIE_PREFIX_BYTES = "cookie: ".length;
const SEMICOLON = 59;
const NO_HEAD = new Head();

export class HeadReader {
  readonly #limits: HeadReaderLimits;
  readonly #decoder = new HpackDecoder(STATIC_NOTES);
  readonly #arena: LineArena = this.#decoder.arena;
  #head = NO_HEAD;
  #kind: HeadKind = "request";
  #listBytes = 0;
  /** Bits of the pseudo-header fields that came. */
  #seen = 0;
  #isRegular = false;
  #cookieIndex = -1;
  /** Just past the cookie line, from the start of the lines. */
  #cookieEnd = 0;
  /** Crumbs that came after other fields: text, for that is rare. */
  #crumbs = "";

  constructor(limits: HeadReaderLimits) {
    this.#limits = limits;
  }

  /** Our SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it; 4096 before. */
  setTableBytes(bytes: number): void {
    this.#decoder.setTableBytes(bytes);
  }

  /** Reads the block `bytes[start, end)` into `head`, of which nothing is left from before. */
  // biome-ignore lint/complexity/useMaxParams: a range, and where it goes
  read(kind: HeadKind, bytes: Buffer, start: number, end: number, head: Head): string {
    const decoder = this.#decoder;
    this.#startHead(kind, head);
    if (decoder.start(bytes, start, end) !== "") return decoder.failure;
    let decoded: Decoded;
    do {
      decoded = decoder.next();
      if (decoded === DECODED_FIELD) this.#take();
    } while (decoded === DECODED_FIELD);
    if (decoded === DECODED_FAILED) return decoder.failure;
    this.#finish();
    decoder.end();
    return "";
  }

  #startHead(kind: HeadKind, head: Head): void {
    this.#head = head;
    this.#kind = kind;
    this.#listBytes = 0;
    this.#seen = 0;
    this.#isRegular = false;
    this.#cookieIndex = -1;
    this.#crumbs = "";
    head.method = "";
    head.scheme = "";
    head.authority = "";
    head.path = "";
    head.protocol = "";
    head.status = 0;
    head.fields.reset();
    head.contentLength = LENGTH_UNKNOWN;
    head.malformed = "";
    head.isTooLarge = false;
  }

  /** Judges the decoded field, and keeps it. */
  #take(): void {
    const decoder = this.#decoder;
    let { note } = decoder;
    if (note < VALUE_GOOD) {
      note = judgeField(decoder.bytes, decoder.lineStart, decoder.nameLength, decoder.valueLength, note);
      decoder.remember(note);
    }
    this.#listBytes += decoder.nameLength + decoder.valueLength + ENTRY_OVERHEAD;
    if (this.#listBytes > this.#limits.listBytes) {
      this.#head.isTooLarge = true;
      return;
    }
    const nameClass = (note & 0xff) - 1;
    const role = ROLES[nameClass] as number;
    if (role === PLAIN && (note & VALUE_BAD) === 0) {
      this.#isRegular = true;
      this.#keep(nameClass);
    } else this.#takeSpecial(nameClass, role, (note & VALUE_BAD) !== 0);
  }

  /** Adds the field's line to those of the head. */
  #keep(id: number): void {
    const { fields } = this.#head;
    if (fields.count >= this.#limits.fields) {
      this.#head.isTooLarge = true;
      return;
    }
    const decoder = this.#decoder;
    const arena = this.#arena;
    const lineStart = arena.length;
    const nameEnd = lineStart + decoder.nameLength;
    const valueEnd = nameEnd + 2 + decoder.valueLength;
    fields.mark(lineStart, nameEnd, nameEnd + 2, valueEnd, id);
    if (decoder.isInPlace) arena.at += valueEnd + 2 - lineStart;
    else arena.line(decoder.bytes, decoder.lineStart, valueEnd + 2 - lineStart);
  }

  #takeSpecial(nameClass: number, role: number, isBadValue: boolean): void {
    if (role === PSEUDO) this.#takePseudo(nameClass, isBadValue);
    else {
      this.#isRegular = true;
      if (role === BAD_NAME) this.#malform("a field name that is not allowed");
      else if (role === CONNECTION_FIELD) this.#malform("a field of HTTP/1 connections");
      else if (isBadValue) this.#malform("a field value that is not allowed");
      else this.#takeKnown(nameClass, role);
    }
  }

  #takeKnown(id: number, role: number): void {
    if (role === LENGTH && this.#kind !== "trailers") this.#takeLength(id);
    else if (role === HOST && this.#kind === "request") this.#takeHost();
    else if (role === COOKIE && this.#kind === "request") this.#takeCookie();
    else this.#keep(id);
  }

  #takePseudo(pseudoClass: number, isBadValue: boolean): void {
    const bit = bitOf(pseudoClass);
    const problem = this.#problemOfPseudo(bit, isBadValue);
    this.#seen |= bit;
    if (problem === "") this.#setPseudo(pseudoClass, this.#decoder.text());
    else this.#malform(problem);
  }

  #problemOfPseudo(bit: number, isBadValue: boolean): string {
    if ((ALLOWED[this.#kind] & bit) === 0) return "a pseudo-header field of another kind of message";
    if (this.#isRegular) return "a pseudo-header field after others";
    if ((this.#seen & bit) !== 0) return "a pseudo-header field twice";
    return isBadValue ? "a pseudo-header field with a value that is not allowed" : "";
  }

  #setPseudo(pseudoClass: number, text: string): void {
    const head = this.#head;
    switch (pseudoClass) {
      case CLASS_METHOD:
        head.method = text;
        break;
      case CLASS_SCHEME:
        head.scheme = text;
        break;
      case CLASS_PATH:
        head.path = text;
        break;
      case CLASS_AUTHORITY:
        head.authority = text;
        this.#addHost();
        break;
      case CLASS_STATUS:
        head.status = Number(text);
        break;
      default:
        head.protocol = text;
    }
  }

  /** The first line: `:authority: x` without its first bytes, which become `host: x`. */
  #addHost(): void {
    const decoder = this.#decoder;
    const arena = this.#arena;
    const length = decoder.nameLength + decoder.valueLength + 4;
    if (!decoder.isInPlace) {
      arena.reserve(length);
      copyBytes(decoder.bytes, decoder.lineStart, length, arena.bytes, arena.at);
    }
    const start = arena.at + AUTHORITY_SURPLUS;
    for (let at = 0; at < HOST_PREFIX.length; at++) arena.bytes[start + at] = HOST_PREFIX.charCodeAt(at);
    arena.base = start;
    arena.at += length;
    const valueStart = HOST_PREFIX.length;
    this.#head.fields.mark(0, valueStart - 2, valueStart, valueStart + decoder.valueLength, HOST_ID);
  }

  /** RFC 9113 §8.3.1: host stands in for `:authority`, and may not say otherwise. */
  #takeHost(): void {
    const head = this.#head;
    if (head.authority === "") {
      head.authority = this.#decoder.text();
      this.#keep(HOST_ID);
    } else if (!this.#isSameHost(head.authority)) this.#malform("host differs from :authority");
  }

  #isSameHost(authority: string): boolean {
    const { bytes, lineStart, nameLength, valueLength } = this.#decoder;
    if (authority.length !== valueLength) return false;
    const start = lineStart + nameLength + 2;
    for (let at = 0; at < valueLength; at++) {
      if (LOWER[bytes[start + at] as number] !== LOWER[authority.charCodeAt(at)]) return false;
    }
    return true;
  }

  /** Several lengths are one when they are equal (RFC 9110 §8.6). */
  #takeLength(id: number): void {
    const length = Number(this.#decoder.text());
    const head = this.#head;
    if (head.contentLength === LENGTH_UNKNOWN) {
      head.contentLength = length;
      this.#keep(id);
    } else if (head.contentLength !== length) this.#malform("several different content-length values");
  }

  /** RFC 9113 §8.2.3: crumbs become one line again. */
  #takeCookie(): void {
    const { fields } = this.#head;
    if (this.#cookieIndex === -1) {
      if (fields.count < this.#limits.fields) this.#cookieIndex = fields.count;
      this.#keep(COOKIE_ID);
      this.#cookieEnd = this.#arena.length;
    } else if (this.#crumbs === "" && this.#cookieEnd === this.#arena.length) this.#extendCookie();
    else this.#crumbs += `; ${this.#decoder.text()}`;
  }

  /** The cookie's is the last line: the crumb takes the place of its CRLF. */
  #extendCookie(): void {
    const decoder = this.#decoder;
    const arena = this.#arena;
    const length = decoder.valueLength + 2;
    if (!decoder.isInPlace) arena.reserve(length);
    const { bytes, at } = arena;
    const valueStart = decoder.lineStart + COOKIE_PREFIX_BYTES;
    bytes[at - 2] = SEMICOLON;
    bytes[at - 1] = SP;
    if (decoder.isInPlace) bytes.copyWithin(at, valueStart, valueStart + length);
    else copyBytes(decoder.bytes, valueStart, length, bytes, at);
    arena.at += length;
    this.#cookieEnd = arena.length;
    this.#head.fields.extend(this.#cookieIndex, length);
  }

  /** A cookie that was spread over the block becomes a new last line. */
  #gatherCookie(): void {
    const arena = this.#arena;
    const { fields } = this.#head;
    const value = fields.valueAt(this.#cookieIndex) + this.#crumbs;
    fields.drop("cookie");
    const length = COOKIE_PREFIX_BYTES + value.length;
    arena.reserve(length + 2);
    const lineStart = arena.length;
    arena.bytes.latin1Write(`cookie: ${value}`, arena.at);
    arena.bytes[arena.at + length] = CR;
    arena.bytes[arena.at + length + 1] = LF;
    arena.at += length + 2;
    fields.mark(
      lineStart,
      lineStart + COOKIE_PREFIX_BYTES - 2,
      lineStart + COOKIE_PREFIX_BYTES,
      lineStart + length,
      COOKIE_ID,
    );
  }

  #finish(): void {
    const arena = this.#arena;
    const head = this.#head;
    if (!head.isTooLarge) this.#malform(this.#whatIsMissing());
    arena.flush();
    head.fields.bind(arena.bytes, arena.base, 0, arena.length);
    if (this.#crumbs !== "") {
      this.#gatherCookie();
      head.fields.bind(arena.bytes, arena.base, 0, arena.length);
    }
    this.#head = NO_HEAD;
  }

  /** What is wrong with the pseudo-header fields as a whole, or "". */
  #whatIsMissing(): string {
    if (this.#kind === "request") return this.#problemOfTarget();
    return this.#kind === "response" && this.#seen === 0 ? ":status is missing" : "";
  }

  #problemOfTarget(): string {
    const { method, path } = this.#head;
    const seen = this.#seen;
    if (method === "CONNECT" && (seen & PROTOCOL_BIT) === 0) {
      if ((seen & (PATH_BIT | SCHEME_BIT)) !== 0) return "CONNECT with :path or :scheme";
    } else if ((seen & TARGET_BITS) !== TARGET_BITS) return ":method, :scheme or :path is missing";
    if (method === "CONNECT") return (seen & AUTHORITY_BIT) === 0 ? "CONNECT without :authority" : "";
    if ((seen & PROTOCOL_BIT) !== 0) return ":protocol without CONNECT";
    return path === "*" && method !== "OPTIONS" ? ":path * without OPTIONS" : "";
  }

  /** The first reason stands. */
  #malform(reason: string): void {
    if (this.#head.malformed === "") this.#head.malformed = reason;
  }
}
