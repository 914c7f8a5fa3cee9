/**
 * Stored answer: a stored response, or the part of it that a request asks for, becomes the answer of an exchange.
 *
 * why    one way for all whom the cache answers: at once, after a validation, or while the body still arrives
 * rule   what is stored is shared: an answer whose fields will be changed on the way gets marks of its own
 * spec   RFC 9111 §4, §4.3.2; RFC 9110 §13.2, §14.2, §15.3.7, §15.4.5
 */
import { answerFromPart, contentRangeLine, unsatisfiedRangeLine } from "../cache/partial.ts";
import { type KeptRange, PARTIAL, type StoredResponse } from "../cache/stored.ts";
import { isNotModified, notModifiedLines, rangeOf } from "../cache/validate.ts";
import { newMemo } from "../core/answer-memo.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, type BodyKind, LENGTH_UNKNOWN } from "../core/body.ts";
import { fail } from "../core/failure.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import type { ByteRange } from "../protocol/range.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import { BodyFlow } from "./body-flow.ts";
import type { FileRefusal } from "./files.ts";
import type { BodySource } from "./growing-body.ts";
import { MemorySource } from "./memory-source.ts";
import type { Planned, Route } from "./plan.ts";

const NOT_MODIFIED = 304;
const PARTIAL_CONTENT = 206;
const OK = 200;
/** What makes anything else of a 200. */
const SELECTING = fieldMask("if-none-match", "if-modified-since", "range");
const RANGE = fieldIdOf("range");
const IF_RANGE = fieldIdOf("if-range");

/** Larger bodies are not kept once more with their head. */
const MAX_MEMO_BYTES = 16 * 1024;
/** Of a body in memory, larger pieces do not wait for a client: they go out as it takes them. */
const MAX_WAITING_BYTES = 32 * 1024;

/** Fields of 304 answers, made once for each stored response that is asked for so. */
const NOT_MODIFIED_FIELDS = new WeakMap<StoredResponse, Fields>();

/**
 * Sets all that phase `answer` needs; a body that is not small follows from phase `relay`.
 * in     `source`: the body when it is not with the response; its `bodyLength` is LENGTH_UNKNOWN if nobody told
 * out    false when the body is needed and is not here: call again with it
 */
export function answerStored(
  exchange: Planned,
  stored: StoredResponse,
  source: BodySource | undefined,
  nowMs: number,
): boolean {
  const { requestFields } = exchange;
  begin(exchange, stored);
  if ((stored.facts.flags & PARTIAL) !== 0) return answerPart(exchange, stored, nowMs);
  if (exchange.status === OK && (requestFields.low & SELECTING.low) !== 0) {
    if (isNotModified(stored, requestFields, nowMs)) {
      source?.leave();
      answerNotModified(exchange, stored);
      return true;
    }
    const range = selectedRange(exchange, stored, nowMs);
    if (range !== "whole") return answerRange(exchange, stored, source, range);
  }
  exchange.responseFields = fieldsFor(exchange, stored.fields);
  if (isPlain(exchange, stored) && stored.bodyLength <= MAX_MEMO_BYTES) {
    exchange.answerMemo = stored.answers?.whole;
  }
  return setBody(exchange, stored, source, 0, stored.bodyLength);
}

/** The same as for the request before it, or read anew. */
function selectedRange(
  { requestFields: fields, method }: Planned,
  stored: StoredResponse,
  nowMs: number,
): KeptRange | ByteRange | "whole" | "unsatisfiable" {
  if (!fields.has(RANGE) || method !== "GET" || stored.bodyLength < 0) return "whole";
  const kept = stored.answers?.range;
  const isSame =
    kept !== undefined &&
    !fields.has(IF_RANGE) &&
    !fields.isRepeated(RANGE) &&
    fields.isValue(fields.indexOf(RANGE), kept.text);
  return isSame ? kept : rangeOf(stored, fields, nowMs);
}

/** As it is for everybody who asks for it in this second: nothing of the request or of the route changes it. */
function isPlain(
  { method, plan, responseFields }: Planned,
  { answers, fields, body }: StoredResponse,
): boolean {
  const isOfThisSecond = answers !== undefined && plan.cache?.lines === answers.lines;
  return isOfThisSecond && method === "GET" && body !== undefined && responseFields === fields;
}

function begin(exchange: Planned, { facts, reason }: StoredResponse): void {
  exchange.status = facts.status;
  exchange.reason = reason;
  exchange.isHttp10Response = false;
}

/** A 206 that this client has asked for itself. in, out  as for `answerStored` */
export function answerAsCame(
  exchange: Planned,
  stored: StoredResponse,
  source: BodySource | undefined,
  nowMs: number,
): boolean {
  begin(exchange, stored);
  if (isNotModified(stored, exchange.requestFields, nowMs)) {
    source?.leave();
    answerNotModified(exchange, stored);
    return true;
  }
  exchange.responseFields = fieldsFor(exchange, stored.fields);
  return setBody(exchange, stored, source, 0, stored.bodyLength);
}

/** True when a stored part cannot answer the request after all. */
export function isLacking({ requestFields }: Planned, stored: StoredResponse, nowMs: number): boolean {
  return (stored.facts.flags & PARTIAL) !== 0 && answerFromPart(stored, requestFields, nowMs) === "lacking";
}

/** Of a part that has what is asked for, in memory. */
function answerPart(exchange: Planned, stored: StoredResponse, nowMs: number): boolean {
  const { requestFields } = exchange;
  if (isNotModified(stored, requestFields, nowMs)) {
    answerNotModified(exchange, stored);
    return true;
  }
  const { firstByte, completeLength } = stored.facts;
  const range = answerFromPart(stored, requestFields, nowMs);
  if (range === "unsatisfiable") return refuseRange(exchange, completeLength);
  if (typeof range === "string") throw new Error(`a part that has not what is wanted: ${stored.key}`);
  const fields = stored.fields.view();
  fields.drop("content-range");
  exchange.responseFields = fields;
  exchange.sentAdded = contentRangeLine(range, completeLength);
  return setBody(exchange, stored, undefined, range.first - firstByte, range.last + 1 - firstByte);
}

function refuseRange(exchange: Planned, length: number): true {
  const refusal: FileRefusal = { ...fail("range_unsatisfiable"), lines: unsatisfiedRangeLine(length) };
  exchange.failure = refusal;
  return true;
}

function answerNotModified(exchange: Planned, stored: StoredResponse): void {
  let fields = NOT_MODIFIED_FIELDS.get(stored);
  if (fields === undefined) {
    fields = fieldsOfLines(notModifiedLines(stored.fields));
    NOT_MODIFIED_FIELDS.set(stored, fields);
  }
  exchange.status = NOT_MODIFIED;
  exchange.reason = reasonOf(NOT_MODIFIED);
  exchange.responseFields = fieldsFor(exchange, fields);
  exchange.responseBodyKind = BODY_NONE;
  exchange.responseBodyLength = LENGTH_UNKNOWN;
  exchange.plan.isEnd = true;
  const { answers } = stored;
  const isKept = answers !== undefined && exchange.plan.cache?.lines === answers.lines;
  if (isKept && exchange.responseFields === fields) exchange.answerMemo = answers.notModified;
}

function answerRange(
  exchange: Planned,
  stored: StoredResponse,
  source: BodySource | undefined,
  range: KeptRange | ByteRange | "unsatisfiable",
): boolean {
  const { bodyLength } = stored;
  if (range === "unsatisfiable") {
    source?.leave();
    return refuseRange(exchange, bodyLength);
  }
  if ("memo" in range) return answerKeptRange(exchange, stored, source, range);
  const { answers } = stored;
  const kept = {
    text: exchange.requestFields.get(RANGE) ?? "",
    range,
    line: contentRangeLine(range, bodyLength),
    memo: newMemo(),
  };
  if (answers !== undefined && !exchange.requestFields.has(IF_RANGE)) answers.range = kept;
  return answerKeptRange(exchange, stored, source, kept);
}

function answerKeptRange(
  exchange: Planned,
  stored: StoredResponse,
  source: BodySource | undefined,
  { range: { first, last }, line, memo }: KeptRange,
): boolean {
  exchange.status = PARTIAL_CONTENT;
  exchange.reason = reasonOf(PARTIAL_CONTENT);
  exchange.responseFields = fieldsFor(exchange, stored.fields);
  exchange.sentAdded = line;
  if (isPlain(exchange, stored) && last - first < MAX_MEMO_BYTES) exchange.answerMemo = memo;
  return setBody(exchange, stored, source, first, last + 1);
}

/** `[from, end)` of the body, or no body where the request wants none; `end` -1 = nobody knows yet. */
// biome-ignore lint/complexity/useMaxParams: the part of a body, and whose
function setBody(
  exchange: Planned,
  stored: StoredResponse,
  source: BodySource | undefined,
  from: number,
  end: number,
): boolean {
  const { plan } = exchange;
  const length = end < 0 ? LENGTH_UNKNOWN : end - from;
  exchange.responseBodyLength = length;
  const isEmpty = exchange.method === "HEAD" || length === 0 || hasNoBody(exchange.status);
  exchange.responseBodyKind = isEmpty ? BODY_NONE : kindOf(length);
  const { body } = stored;
  plan.isEnd = isEmpty || (body !== undefined && hasRoom(exchange, length));
  if (isEmpty) source?.leave();
  else if (body === undefined) {
    if (source === undefined) return false;
    startFlow(exchange, source, from, end);
  } else if (plan.isEnd) {
    exchange.first = body;
    exchange.firstStart = from;
    exchange.firstEnd = end;
  } else startFlow(exchange, new MemorySource(body), from, end);
  return true;
}

/** A body that the client can take now, or that may wait for it in memory. */
function hasRoom(exchange: Planned, length: number): boolean {
  if (length <= MAX_WAITING_BYTES) return true;
  const room = exchange.downstream.roomFor?.(exchange);
  return room === undefined || room >= length;
}

function startFlow(exchange: Planned, source: BodySource, from: number, end: number): void {
  const flow = new BodyFlow(exchange, source, from, end < 0 ? Number.POSITIVE_INFINITY : end);
  source.join(flow);
  exchange.upstream = flow;
  exchange.plan.flow = flow;
}

const kindOf = (length: number): BodyKind => (length === LENGTH_UNKNOWN ? BODY_STREAM : BODY_LENGTH);
const hasNoBody = (status: number) => status === 204 || status === 304;

/** Edits and compression change fields: they get marks of their own over the same bytes. */
function fieldsFor({ plan }: Planned, fields: Fields): Fields {
  const { responseEdits, compress } = plan.route as Route;
  const isFinal = responseEdits === undefined && (compress === undefined || plan.isSettled);
  return isFinal ? fields : fields.view();
}
