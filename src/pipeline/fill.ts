/**
 * Fill: an endpoint's answer becomes a stored response: judged, stripped of what is not for others, and put in the store
 * once it is whole.
 *
 * rule   only a whole body is put; what breaks off is forgotten, and nobody can take it for the whole
 * rule   what was purged while it was fetched is stored as of the fetch's beginning, and so is never found
 * spec   RFC 9111 §3, §3.1, §4.3.4
 */
import { effectOfHead, freshenLines } from "../cache/freshen.ts";
import { type Part, storedPartOf } from "../cache/partial.ts";
import { fitsPath } from "../cache/path-type.ts";
import { identityOf, lengthBySlice, sliceKey } from "../cache/slice.ts";
import { judgeResponse } from "../cache/storable.ts";
import type { BodyWriter } from "../cache/store.ts";
import { PARTIAL, SHAREABLE, type StoredFacts, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { tellsApart, type VaryIndex, variantKeyOf, varyNames } from "../cache/vary.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import { BODY_LENGTH, LENGTH_UNKNOWN } from "../core/body.ts";
import { defectText } from "../core/failure.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { httpDate } from "../core/http-clock.ts";
import { OWN_FIELDS } from "../protocol/h1/writer.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import { clock } from "../transport/clock.ts";
import { countRefused, countStored } from "./cache-counters.ts";
import { authorityOf, isKnown, policyOf } from "./cache-rules.ts";
import type { Fetch, FetchOrder, Fill, Keeping } from "./fetch.ts";
import { GrowingBody, type Keeper } from "./growing-body.ts";
import { keptFacts, putIndex } from "./kept-facts.ts";
import { type Around, allOf, announcedPart, isWholePart, placed } from "./part-fill.ts";
import type { SliceOrder } from "./part-order.ts";
import type { Planned } from "./plan.ts";

const DATE_NAME = "date";
const CONTENT_TYPE = fieldIdOf("content-type");
/** It is reckoned anew for each answer. */
const NOT_KEPT = fieldMask("age");
const NO_BODY = Buffer.alloc(0);
const NO_VARIANTS: VaryIndex = { names: [], languages: new Map() };
/** Facts, reason and purge slots of a record, generously. */
const RECORD_ROOM = 1024;
const OK = 200;
const PARTIAL_CONTENT = 206;
/** Before the path of a target that names its origin. */
const ORIGIN = /^[^:/?#]+:\/\/[^/?#]*/;

/** What was decided about an answer. */
export interface Kept {
  readonly verdict: StoreVerdict;
  /** Of the answer as it is to be stored. */
  readonly fields: Fields;
  /** Names in Vary that count. */
  readonly varies: readonly string[];
  /** It completes a part: the whole is stored. */
  readonly around: Around | undefined;
  /** It is a slice, and this is its place. */
  readonly slice: Part | undefined;
}

/** Whose answer it is: a fetch's, or that of an exchange which went past the cache. */
export type FillSource = Pick<Fetch, "exchange" | "store" | "asked" | "directives" | "mark"> & {
  readonly order: Pick<FetchOrder, "primary" | "part">;
};

/** May the answer be stored, and how? */
export function judge(source: FillSource, around?: Around): Kept {
  const { exchange: inner } = source;
  const fields = around?.fields ?? inner.responseFields;
  const status = around === undefined ? inner.status : OK;
  const verdict = judgeFields(source, status, fields, around?.length ?? declaredBytesOf(inner));
  const varies = varyNames(fields, policyOf(inner).vary);
  return { verdict, fields, varies: varies === "*" ? [] : varies, around, slice: undefined };
}

/**
 * The same of an answer to the request for a slice.
 * out  undefined when it is neither that slice, in a way that fits others, nor all there is
 */
export function judgeSlice(fetch: Fetch, order: SliceOrder): Kept | undefined {
  const { exchange: inner } = fetch;
  const fields = datedFields(inner);
  const part = announcedPart(fields, declaredBytesOf(inner));
  const length = lengthBySlice(part, order);
  if (inner.status !== PARTIAL_CONTENT || part === undefined || length === undefined) return undefined;
  if (isWholePart(part)) return judge(fetch, allOf(fields, length));
  if (identityOf(fields, length, inner.plan.services.epochMs + clock.nowMs) === "") return undefined;
  const kept = judge(fetch, allOf(fields, LENGTH_UNKNOWN));
  const verdict = { ...kept.verdict, flags: kept.verdict.flags | PARTIAL };
  return { ...kept, verdict, fields, around: undefined, slice: part };
}

/** Of the body that comes, or LENGTH_UNKNOWN. */
export function declaredBytesOf(inner: Planned): number {
  if (inner.plan.isEnd) return inner.firstEnd - inner.firstStart;
  return inner.responseBodyKind === BODY_LENGTH ? inner.responseBodyLength : LENGTH_UNKNOWN;
}

function judgeFields(
  source: FillSource,
  status: number,
  fields: Fields,
  declaredBytes: number,
): StoreVerdict {
  const { exchange: inner, asked } = source;
  const policy = policyOf(inner);
  const { epochMs, chance } = inner.plan.services;
  const verdict = judgeResponse(
    {
      method: inner.method === "HEAD" ? "GET" : inner.method, // what is judged is stored, or would be
      url: askedUrl(inner),
      path: mostTelling(inner, fields),
      hasBody: false,
      fields: asked,
      directives: source.directives,
    },
    {
      status,
      fields,
      declaredBytes,
      requestedAtMs: epochMs + inner.sentAtMs,
      respondedAtMs: epochMs + clock.nowMs,
    },
    policy,
    chance(),
  );
  const isForOne = isKnown(asked, inner.downstream) && (verdict.flags & SHAREABLE) === 0;
  return verdict.isStorable && isForOne ? { ...verdict, isStorable: false, rule: "authorization" } : verdict;
}

/** What a Content-Location is compared with. */
function askedUrl(inner: Planned): string {
  const { downstream, path, query } = inner;
  return `${downstream.scheme}://${authorityOf(inner)}${path}${query === "" ? "" : `?${query}`}`;
}

/** As the client wrote it, where that looks like another type than the answer's; else what it means. */
function mostTelling(inner: Planned, fields: Fields): string {
  const asked = askedPath(inner);
  return fitsPath(asked, fields.get(CONTENT_TYPE)) ? inner.path : asked;
}

function askedPath({ rawTarget, isTargetAbsolute }: Planned): string {
  const target = isTargetAbsolute ? rawTarget.replace(ORIGIN, "") : rawTarget;
  const mark = target.indexOf("?");
  return mark === -1 ? target : target.slice(0, mark);
}

/** Begins to store: what is whole already is put at once. */
export function fillOf(source: FillSource, { verdict, fields, varies, around, slice }: Kept): Fill {
  const { exchange: inner, order, asked } = source;
  const lines = linesOf(inner, fields, verdict.dropped);
  const facts = { ...factsOf(source, verdict, around === undefined ? inner.status : OK), ...placeOf(slice) };
  const index = indexOf(source, facts, varies);
  const variant = variantKeyOf(order.primary, index, asked, policyOf(inner).vary);
  const key =
    order.part?.kind === "slice" && slice !== undefined ? sliceKey(variant, order.part.number) : variant;
  const whole = inner.plan.isEnd ? wholeBody(inner, around) : undefined;
  const declared = around?.length ?? slice?.length ?? declaredBytesOf(inner);
  const stored: StoredResponse = {
    key,
    facts,
    reason: around === undefined ? inner.reason : reasonOf(OK),
    fields: fieldsOfLines(lines),
    body: whole,
    file: undefined,
    bodyLength: whole?.length ?? declared,
  };
  const own = ownOf(inner, stored, fields, verdict.dropped);
  if (whole !== undefined) {
    const keeping = keepWhole(keeperOf(source, { ...stored, body: undefined }), whole);
    return { stored, own, index, body: undefined, keeping, after: undefined };
  }
  const body = new GrowingBody(keeperOf(source, stored), inner.plan.services.budget, declared);
  body.onRoom = () => inner.upstream?.resumeResponse();
  if (around !== undefined) body.take(around.before);
  takeFirst(inner, body);
  return { stored, own, index, body, keeping: body, after: around?.after };
}

const NO_PLACE = { firstByte: 0, completeLength: LENGTH_UNKNOWN };
const placeOf = (part: Part | undefined): Pick<StoredFacts, "firstByte" | "completeLength"> =>
  part === undefined ? NO_PLACE : { firstByte: part.firstByte, completeLength: part.completeLength };

/** It came in one piece, which may be larger than a record. out  undefined when it is put, or never will be */
function keepWhole(keeper: Keeper, whole: Buffer): Keeping | undefined {
  if (whole.length <= keeper.smallBytes) keeper.keepSmall(whole);
  else if (whole.length > keeper.maxBytes) keeper.forget("size");
  else {
    const writer = keeper.write(whole.length);
    if (writer !== undefined) return keepFile(keeper, writer, whole);
    keeper.forget("room");
  }
  return undefined;
}

function keepFile(keeper: Keeper, writer: BodyWriter, whole: Buffer): Keeping {
  const keeping: Keeping = { isBeingKept: true, onKept: undefined };
  const over = () => {
    keeping.isBeingKept = false;
    keeping.onKept?.();
  };
  writer.write(Buffer.from(whole)); // the writer's own, while clients read this one
  writer
    .finish()
    .then(keeper.keepFile, () => {
      writer.abort();
      keeper.forget("room");
    })
    .then(over, over);
  return keeping;
}

/** The same with what `private` and `no-cache` name: the one who asked gets it, others do not (§5.2.2.4, §5.2.2.7). */
function ownOf(
  inner: Planned,
  stored: StoredResponse,
  fields: Fields,
  dropped: readonly string[],
): StoredResponse {
  if (!dropped.some((name) => fields.find(name) !== undefined)) return stored;
  return { ...stored, fields: fieldsOfLines(linesOf(inner, fields, [])) };
}

function takeFirst(inner: Planned, body: GrowingBody): void {
  const { first, firstStart, firstEnd } = inner;
  inner.first = undefined;
  if (first === undefined || firstEnd === firstStart) return;
  if (!body.take(first.subarray(firstStart, firstEnd))) inner.upstream?.pauseResponse();
}

function wholeBody({ first, firstStart, firstEnd }: Planned, around: Around | undefined): Buffer {
  const came = first === undefined ? NO_BODY : first.subarray(firstStart, firstEnd);
  return around === undefined ? Buffer.from(came) : Buffer.concat([around.before, came, around.after]);
}

/** The field lines to keep: not those of this hop, of the framing, or for one client only (RFC 9111 §3.1). */
function linesOf(inner: Planned, fields: Fields, dropped: readonly string[]): string {
  const kept = fields.view();
  for (const name of dropped) kept.drop(name);
  const lines = kept.linesWithout(OWN_FIELDS.low | NOT_KEPT.low, OWN_FIELDS.high | NOT_KEPT.high);
  return lines + missingDate(inner, fields);
}

/** Those of the answer, with a Date. */
export function datedFields(inner: Planned): Fields {
  const { responseFields: fields } = inner;
  return fieldsOfLines(fields.linesWithout(0, 0) + missingDate(inner, fields));
}

/** A recipient with a clock says when a response came that does not say so itself (RFC 9110 §6.6.1). */
function missingDate(inner: Planned, fields: Fields): string {
  if (fields.find(DATE_NAME) !== undefined) return "";
  return `Date: ${httpDate(inner.plan.services.epochMs + clock.nowMs)}\r\n`;
}

function factsOf(source: FillSource, verdict: StoreVerdict, status: number): StoredFacts {
  const { exchange, store, mark, order } = source;
  return keptFacts({ exchange, primary: order.primary, mark }, store.board, verdict, status);
}

function indexOf(source: FillSource, facts: StoredFacts, names: readonly string[]): VaryIndex {
  const { store, order, asked, exchange } = source;
  if (names.length === 0) return NO_VARIANTS;
  return putIndex(store, order.primary, facts, { names, request: asked, response: exchange.responseFields });
}

function put(source: FillSource, came: StoredResponse, file = came.file): void {
  const { exchange } = source;
  const bodyLength = file?.length ?? came.bodyLength;
  const stored = isLoosePart(source, came) ? placePart(source, { ...came, bodyLength }) : came;
  if (stored !== undefined) keep(source, stored, file);
  else countRefused(exchange, "part_unknown");
}

function keep({ store, exchange }: FillSource, stored: StoredResponse, file = stored.file): void {
  const { key, facts, reason, fields, body } = stored;
  let isTaken = false;
  try {
    isTaken = store.put({ key, facts, reason, lines: linesBuffer(fields), body, file });
  } catch (defect) {
    exchange.plan.services.report(defectText(defect)); // the answer is on its way all the same
  }
  if (isTaken) countStored(exchange);
  else countRefused(exchange, "no_room");
}

/** A part that is no slice. */
const isLoosePart = ({ order }: FillSource, { facts }: StoredResponse) =>
  (facts.flags & PARTIAL) !== 0 && order.part?.kind !== "slice";

function placePart(source: FillSource, came: StoredResponse): StoredResponse | undefined {
  const { epochMs } = source.exchange.plan.services;
  return placed(source.store, came, roomOf(source, came), epochMs + clock.nowMs);
}

function isAnnouncedWhole({ fields, bodyLength }: StoredResponse): boolean {
  const part = announcedPart(fields, bodyLength);
  return part !== undefined && isWholePart(part);
}

/** For the body of a record. */
function roomOf({ store }: FillSource, { fields, key }: StoredResponse): number {
  return store.smallBytes - linesBuffer(fields).length - key.length - RECORD_ROOM;
}

/** A part that is too large to be kept as one; what makes the whole is none. */
export function isLargePart(source: FillSource): boolean {
  const { exchange: inner, store } = source;
  const part = announcedPart(inner.responseFields, declaredBytesOf(inner));
  return part !== undefined && !isWholePart(part) && part.length > store.smallBytes - RECORD_ROOM;
}

const linesBuffer = (fields: Fields) =>
  fields.bytes.subarray(fields.base + fields.start, fields.base + fields.end);

function keeperOf(source: FillSource, stored: StoredResponse): Keeper {
  const { store, exchange, order } = source;
  const { maxBytes, minBytes } = policyOf(exchange);
  return {
    smallBytes: roomOf(source, stored),
    maxBytes:
      isLoosePart(source, stored) && !isAnnouncedWhole(stored)
        ? roomOf(source, stored)
        : Math.min(maxBytes, store.largestBodyBytes),
    write: (bytes) => store.write(bytes),
    open: (ref) => store.open(ref),
    keepSmall: (body) => {
      if (body.length < minBytes && order.part?.kind !== "slice") countRefused(exchange, "size");
      else put(source, { ...stored, body, bodyLength: body.length });
    },
    keepFile: (file) => put(source, stored, file),
    forget: (why) =>
      countRefused(exchange, why === "cut" ? "incomplete" : why === "room" ? "no_room" : "size"),
  };
}

function judgeStored(fetch: Fetch, { facts, bodyLength }: StoredResponse, fields: Fields): StoreVerdict {
  if (fetch.order.part?.kind !== "slice") return judgeFields(fetch, facts.status, fields, bodyLength);
  const verdict = judgeFields(fetch, OK, fields, LENGTH_UNKNOWN);
  return { ...verdict, flags: verdict.flags | (facts.flags & PARTIAL) };
}

/** What a 304 has made of a stored response. */
export interface Freshened {
  /** For all: as it is in the store from now on. */
  readonly stored: StoredResponse;
  /** For the one whose request was sent: with what is for one client. */
  readonly own: StoredResponse;
  /** False: it is in the store no more, and for the owner alone. */
  readonly isShared: boolean;
}

/** The cookie of a 304 is for the client that it answers: the response was stored without one. */
const OF_ONE_CLIENT = ["set-cookie"] as const;

/** The stored response as the endpoint's 304 makes it. */
export function freshened(fetch: Fetch, stale: StoredResponse): Freshened {
  const { exchange: inner } = fetch;
  const merged = fieldsOfLines(freshenLines(stale.fields, inner.responseFields));
  const fields = merged.view();
  if (!policyOf(inner).ignore.includes("set-cookie")) {
    for (const name of OF_ONE_CLIENT) fields.drop(name);
  }
  const verdict = judgeStored(fetch, stale, fields);
  const { status, firstByte, completeLength } = stale.facts;
  const facts = { ...factsOf(fetch, verdict, status), firstByte, completeLength };
  const stored = { ...stale, fields: fieldsOfLines(linesOf(inner, fields, verdict.dropped)), facts };
  const isShared = verdict.isStorable && isAtItsKey(fetch, stale, merged);
  if (isShared) keep(fetch, stored);
  else fetch.store.remove(stale.key);
  const own = { ...stored, fields: fieldsOfLines(linesOf(inner, merged, [])) };
  return { stored, own, isShared };
}

/** False when it varies from now on by what its key says nothing of: others would get it who do not select it (§4.1). */
function isAtItsKey({ exchange, order }: Fetch, { key }: StoredResponse, fields: Fields): boolean {
  const names = varyNames(fields, policyOf(exchange).vary);
  return names !== "*" && tellsApart(key, order.primary, names);
}

/** A HEAD was answered: what does that say of the response to GET that is stored (§4.3.5)? */
export function heedHead(fetch: Fetch): void {
  const { exchange: inner, store, order } = fetch;
  const stored = store.peek(order.key);
  if (stored === undefined || "isCold" in stored || (stored.facts.flags & VARY_INDEX) !== 0) return;
  const { completeLength } = storedPartOf(stored);
  if (completeLength === LENGTH_UNKNOWN) return;
  const { fields } = stored;
  const effect = effectOfHead(inner.status, inner.responseFields, { fields, bodyLength: completeLength });
  if (effect === "update") freshened(fetch, stored);
  else if (effect === "stale") store.remove(stored.key);
}
