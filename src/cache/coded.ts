/**
 * Coded: a stored response in a content coding, kept beside it.
 *
 * why    text that is asked for often need not be encoded for every client anew
 * shape  a record under the response's key + `~coding`. It holds the coded body; the head is made of that of the response
 *        itself, whenever both have been found, so that it can never say anything else
 * rule   it is of one response, and of one body of that: instants, purge mark and slots are its own, and which body it was
 *        made of stands in it. What purges, refreshes or replaces the response leaves a record that fits nothing
 * spec   RFC 9110 §8.4, §8.8.1, §12.5.5
 */
import { fieldIdOf } from "../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import type { NewResponse } from "./store.ts";
import { CODED, DENSE, type StoredFacts, type StoredResponse } from "./stored.ts";

const ETAG = fieldIdOf("etag");
const VARY = fieldIdOf("vary");
const VARIES_ALREADY = /(?:^|,)\s*(?:\*|accept-encoding)\s*(?:,|$)/i;

/** What is true of the bytes as they came, and of no others. */
export const BYTE_FIELDS = [
  "accept-ranges",
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
] as const;

/** Where the coded form of a response stands. */
export function codedKey(key: string, coding: Coding): string {
  return `${key}\n~${coding}`;
}

/** A coded body, wherever it is. */
export interface CodedBody {
  readonly body: Buffer | undefined;
  readonly file: StoredResponse["file"];
  /** Made at leisure: there is no smaller one to be had. */
  readonly isDense: boolean;
}

/**
 * The record of a coded form.
 * in     `bodyId`: names the body that it was made of, among all that the response's key ever had
 */
export function codedRecord(
  { key, facts, bodyLength }: StoredResponse,
  coding: Coding,
  bodyId: number,
  { body, file, isDense }: CodedBody,
): NewResponse {
  return {
    key: codedKey(key, coding),
    facts: {
      ...facts,
      flags: facts.flags | CODED | (isDense ? DENSE : 0),
      firstByte: bodyId,
      completeLength: bodyLength,
    },
    reason: "",
    lines: Buffer.from(`Content-Encoding: ${coding}\r\n`, "latin1"),
    body,
    file,
  };
}

/** Was this record made of this response, with this body? */
export function isCodedOf(
  { facts: coded }: StoredResponse,
  { facts, bodyLength }: StoredResponse,
  bodyId: number,
): boolean {
  return (
    (coded.flags & CODED) !== 0 &&
    coded.firstByte === bodyId &&
    coded.completeLength === bodyLength &&
    isSameInstant(coded, facts)
  );
}

function isSameInstant(one: StoredFacts, other: StoredFacts): boolean {
  return (
    one.respondedAtMs === other.respondedAtMs &&
    one.requestedAtMs === other.requestedAtMs &&
    one.mark === other.mark &&
    one.status === other.status
  );
}

/** The response as it leaves in its coded form. */
export function codedResponse(
  { facts, reason, fields }: StoredResponse,
  coded: StoredResponse,
  coding: Coding,
): StoredResponse {
  const { key, body, file, bodyLength } = coded;
  return { key, facts, reason, fields: fieldsOfLines(codedLines(fields, coding)), body, file, bodyLength };
}

/** Two codings of one body are not the same bytes: their common tag is weak. */
export function codedLines(fields: Fields, coding: Coding): string {
  const kept = fields.view();
  for (const name of BYTE_FIELDS) kept.drop(name);
  return `${weakTagLines(kept)}Content-Encoding: ${coding}\r\n${varyLine(fields)}`;
}

/** The response as it leaves where others get it coded. in  `isWeak`: for 304, to a client that holds the weak tag */
export function uncodedResponse(stored: StoredResponse, isWeak: boolean): StoredResponse {
  const { fields } = stored;
  const lines = isWeak ? weakTagLines(fields.view()) : fields.linesWithout(0, 0);
  return { ...stored, fields: fieldsOfLines(lines + varyLine(fields)), answers: undefined };
}

/** The tag of a response if it is strong, else "". */
export function strongTagOf(fields: Fields): string {
  const tag = fields.get(ETAG);
  return tag?.startsWith('"') === true ? tag : "";
}

/** in  fields that nobody else reads */
function weakTagLines(fields: Fields): string {
  const tag = strongTagOf(fields);
  if (tag === "") return fields.linesWithout(0, 0);
  fields.drop("etag");
  return `${fields.linesWithout(0, 0)}ETag: W/${tag}\r\n`;
}

/** Vary, if it does not name Accept-Encoding yet. */
function varyLine(fields: Fields): string {
  const vary = fields.joined(VARY);
  return vary !== undefined && VARIES_ALREADY.test(vary) ? "" : "Vary: Accept-Encoding\r\n";
}
