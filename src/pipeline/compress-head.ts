/**
 * Compress head: is this answer compressed, and what does its head say then?
 *
 * why    the bytes of a body are one thing, what its head promises about them another: a strong tag, a digest or a range
 *        that was true of the body as it came is false of what leaves
 * rule   a body that has a coding, or is a part, passes as it is; so does one whose sender or asker says `no-transform`
 * rule   where another client would have got a coding, Vary says so, on the answer without one too, and on 304 (RFC 9110
 *        §15.4.5)
 * spec   RFC 9110 §7.7, §8.4, §8.8.1, §12.5.5, §14.3; RFC 9111 §5.2.1.6, §5.2.2.6; RFC 9530 §2, §3
 */
import { BYTE_FIELDS } from "../cache/coded.ts";
import { PARTIAL as PART_OF_BODY, type StoredResponse } from "../cache/stored.ts";
import { BODY_LENGTH, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import type { CompiledEdits } from "../route/edits.ts";
import type { Compression } from "./compress-rules.ts";
import type { Planned } from "./plan.ts";

const ACCEPT_ENCODING = fieldIdOf("accept-encoding");
const CACHE_CONTROL = fieldIdOf("cache-control");
const CONTENT_ENCODING = fieldIdOf("content-encoding");
const CONTENT_TYPE = fieldIdOf("content-type");
const ETAG = fieldIdOf("etag");
const IF_NONE_MATCH = fieldIdOf("if-none-match");
const VARY = fieldIdOf("vary");

/** Why an answer passes as it is, and whether others may get it compressed all the same, which Vary must tell. */
export const REFUSALS = {
  //                 varies
  off: { varies: false, help: "the route edits Content-Encoding itself" },
  status: { varies: false, help: "an answer with this status has no body" },
  not_modified: { varies: true, help: "304 speaks of an answer that would have been compressed" },
  type: { varies: false, help: "the route does not compress this media type" },
  range: { varies: true, help: "a part of a body is sent as it is (RFC 9110 §14)" },
  encoded: { varies: true, help: "the body has a coding already" },
  no_transform: { varies: false, help: "Cache-Control: no-transform in the answer (RFC 9111 §5.2.2.6)" },
  asked_not_to: { varies: true, help: "Cache-Control: no-transform in the request (RFC 9111 §5.2.1.6)" },
  signed: { varies: false, help: "the answer is signed (RFC 9421): what is signed must not change" },
  small: { varies: false, help: "the body is shorter than compress.minSize" },
  large: { varies: false, help: "the body is longer than compress.maxSize" },
  not_accepted: { varies: true, help: "the client takes none of the route's codings, or likes none better" },
  http10: { varies: true, help: "a body of unknown length cannot be told whole from cut in HTTP/1.0" },
  busy: { varies: true, help: "the worker turns requests away, or has no room for another encoder" },
} as const satisfies Record<string, { readonly varies: boolean; readonly help: string }>;

export type CompressRefusal = keyof typeof REFUSALS;
export type CompressVerdict = Coding | CompressRefusal;

const CODINGS: ReadonlySet<string> = new Set(["zstd", "br", "gzip"] satisfies Coding[]);
export const isCoding = (verdict: CompressVerdict): verdict is Coding => CODINGS.has(verdict);

const NO_TRANSFORM = /(?:^|,)\s*no-transform\s*(?:,|$)/i;
const VARIES_ALREADY = /(?:^|,)\s*(?:\*|accept-encoding)\s*(?:,|$)/i;
/** Statuses whose answers have no body, or none that is the resource's. */
const BODILESS: ReadonlySet<number> = new Set([204, 205]);
const NOT_MODIFIED = 304;
const PARTIAL = 206;

const ADDED_BYTE_LINES = /^(?:accept-ranges|content-md5|digest|content-digest|repr-digest):.*\r\n/gim;
const TRAILER_LINES = /^(?:content-md5|digest|content-digest|repr-digest):.*\r\n/gim;

/** in  the answer, with everything about it decided but its coding */
export function judgeCompression(exchange: Planned, compression: Compression): CompressVerdict {
  const { responseFields: fields, sentStatus, plan } = exchange;
  if (plan.route?.responseEdits?.names.has("content-encoding") === true) return "off";
  if (sentStatus < 200 || BODILESS.has(sentStatus)) return "status";
  if (sentStatus === NOT_MODIFIED) return judgeNotModified(fields, compression);
  const type = fields.isRepeated(CONTENT_TYPE) ? undefined : textOf(fields, CONTENT_TYPE, "content-type");
  if (type === undefined || plan.web !== undefined || !compression.takesType(type)) return "type";
  return (
    refusalOfContent(exchange) ?? refusalOfLength(exchange, compression) ?? choose(exchange, compression)
  );
}

/** It seldom says which type it has. */
function judgeNotModified(fields: Fields, compression: Compression): CompressVerdict {
  const type = textOf(fields, CONTENT_TYPE, "content-type");
  return type === undefined || compression.takesType(type) ? "not_modified" : "type";
}

function refusalOfContent(exchange: Planned): CompressRefusal | undefined {
  const { responseFields, requestFields, sentStatus } = exchange;
  return (
    refusalOfFields(responseFields, sentStatus) ?? (isAskedNotTo(requestFields) ? "asked_not_to" : undefined)
  );
}

function refusalOfFields(fields: Fields, status: number): CompressRefusal | undefined {
  const control = joinedOf(fields, CACHE_CONTROL, "cache-control");
  if (control !== undefined && NO_TRANSFORM.test(control)) return "no_transform";
  if (status === PARTIAL || fields.find("content-range") !== undefined) return "range";
  if (textOf(fields, CONTENT_ENCODING, "content-encoding") !== undefined) return "encoded";
  return fields.find("signature-input") === undefined ? undefined : "signed";
}

/** The client wants the body as the endpoint sent it. */
export function isAskedNotTo(requestFields: Fields): boolean {
  return requestFields.has(CACHE_CONTROL) && NO_TRANSFORM.test(requestFields.joined(CACHE_CONTROL) ?? "");
}

function refusalOfLength(exchange: Planned, compression: Compression): CompressRefusal | undefined {
  return refusalOfBytes(lengthOf(exchange), compression);
}

function refusalOfBytes(length: number, { config }: Compression): CompressRefusal | undefined {
  if (length === LENGTH_UNKNOWN) return undefined;
  if (length === 0 || length < config.minBytes) return "small";
  return config.maxBytes > 0 && length > config.maxBytes ? "large" : undefined;
}

/** Edits of these could turn the judgement about a stored response. */
const JUDGED = ["content-type", "content-encoding", "content-range", "signature-input", ...BYTE_FIELDS];

/**
 * Would a stored response leave in a coding, if the client takes one? As `judgeCompression`, of what is known before
 * anybody asks. out  false as well where the route's edits may change what is judged
 */
export function isForCoding(
  { facts, fields, bodyLength }: StoredResponse,
  compression: Compression,
  edits: CompiledEdits | undefined,
): boolean {
  const { status, flags } = facts;
  if (status < 200 || status === NOT_MODIFIED || BODILESS.has(status)) return false;
  if ((flags & PART_OF_BODY) !== 0 || bodyLength < 0 || (edits !== undefined && isTurning(edits)))
    return false;
  const type = fields.isRepeated(CONTENT_TYPE) ? undefined : fields.get(CONTENT_TYPE);
  if (type === undefined || !compression.takesType(type)) return false;
  return (
    refusalOfFields(fields, status) === undefined && refusalOfBytes(bodyLength, compression) === undefined
  );
}

function isTurning({ names, lines }: CompiledEdits): boolean {
  return JUDGED.some((name) => names.has(name)) || /no-transform/i.test(lines);
}

/** Of the body, if it is told or here. */
function lengthOf({
  sentBodyKind,
  sentBodyLength,
  plan,
  first,
  firstStart,
  firstEnd,
  method,
}: Planned): number {
  if (sentBodyLength >= 0 && (sentBodyKind === BODY_LENGTH || method === "HEAD")) return sentBodyLength;
  if (!plan.isEnd || method === "HEAD") return LENGTH_UNKNOWN;
  return first === undefined ? 0 : firstEnd - firstStart;
}

function choose(exchange: Planned, compression: Compression): CompressVerdict {
  const { requestFields, isHttp10, plan } = exchange;
  const { coding } = compression.choose(requestFields.joined(ACCEPT_ENCODING));
  if (coding === undefined) return "not_accepted";
  if (isHttp10 && !plan.isEnd) return "http10";
  return plan.services.encoders.isOverloaded ? "busy" : coding;
}

/** It is coded already, and says so: but the route's edits may have said otherwise since. */
export function describeStoredCoded(exchange: Planned): void {
  weakenTag(exchange);
  addVary(exchange);
}

/** The answer leaves in this coding. */
export function describeCoded(exchange: Planned, coding: Coding): void {
  const { responseFields: fields } = exchange;
  for (const name of BYTE_FIELDS) fields.drop(name);
  if (fields.added !== "") fields.added = fields.added.replace(ADDED_BYTE_LINES, "");
  weakenTag(exchange);
  exchange.sentAdded += `Content-Encoding: ${coding}\r\n`;
}

/** Vary names Accept-Encoding from here on. */
export function addVary(exchange: Planned): void {
  const vary = joinedOf(exchange.responseFields, VARY, "vary");
  if (vary === undefined || !VARIES_ALREADY.test(vary)) exchange.sentAdded += "Vary: Accept-Encoding\r\n";
}

/**
 * §8.8.1: two codings of one body are not the same bytes, so their common tag is weak. The name in it stays: a client that
 * asks again with it gets its 304, for If-None-Match compares weakly.
 */
function weakenTag(exchange: Planned): void {
  const { responseFields: fields } = exchange;
  if (fields.added !== "") fields.added = fields.added.replace(/^(etag: *)"/im, '$1W/"');
  const tag = fields.get(ETAG);
  if (tag === undefined || !tag.startsWith('"')) return;
  fields.drop("etag");
  exchange.sentAdded += `ETag: W/${tag}\r\n`;
}

/**
 * A client that holds the compressed answer knows it by its weak tag; a 304 with the strong one would freshen the other
 * answer, or none (RFC 9111 §4.3.4).
 */
export function matchTag(exchange: Planned): void {
  const tag = exchange.responseFields.get(ETAG);
  const held = exchange.requestFields.joined(IF_NONE_MATCH);
  if (tag === undefined || held === undefined || !tag.startsWith('"')) return;
  if (!held.includes(`W/${tag}`) || held.replaceAll(`W/${tag}`, "").includes(tag)) return;
  weakenTag(exchange);
}

/** Trailers without what the body as it came had for a digest. */
export function trailersOfCoded(trailers: string): string {
  return trailers === "" ? "" : trailers.replace(TRAILER_LINES, "");
}

/** Value of a field that came, or that the route has added. */
function textOf(fields: Fields, id: number, name: string): string | undefined {
  return fields.get(id) ?? (fields.added === "" ? undefined : addedValue(fields.added, name));
}

/** All its values as one list, likewise. */
function joinedOf(fields: Fields, id: number, name: string): string | undefined {
  const came = fields.joined(id);
  const added = fields.added === "" ? undefined : addedValue(fields.added, name);
  if (came === undefined || added === undefined) return came ?? added;
  return `${came}, ${added}`;
}

function addedValue(lines: string, name: string): string | undefined {
  const values = lines
    .split("\r\n")
    .filter((line) => line.slice(0, name.length + 1).toLowerCase() === `${name}:`)
    .map((line) => line.slice(name.length + 1).trim());
  return values.length === 0 ? undefined : values.join(", ");
}
