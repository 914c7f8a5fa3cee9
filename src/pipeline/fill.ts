/**
 * Fill: an endpoint's answer becomes a stored response: judged, stripped of what is not for others, and put in the store
 * once it is whole.
 *
 * rule   only a whole body is put; what breaks off is forgotten, and nobody can take it for the whole
 * rule   what was purged while it was fetched is stored as of the fetch's beginning, and so is never found
 * spec   RFC 9111 §3, §3.1, §4.3.4
 */
import { freshenLines } from "../cache/freshen.ts";
import { hostOfUrl, originOfKey, urlOfKey } from "../cache/key.ts";
import { judgeResponse } from "../cache/storable.ts";
import { SHAREABLE, type StoredFacts, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { indexLines, indexWith, readIndex, type VaryIndex, variantKeyOf, varyNames } from "../cache/vary.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import { BODY_LENGTH, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldMask } from "../core/field-names.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { httpDate } from "../core/http-clock.ts";
import { OWN_FIELDS } from "../protocol/h1/writer.ts";
import { clock } from "../transport/clock.ts";
import { countRefused, countStored } from "./cache-counters.ts";
import type { Fetch, Fill } from "./fetch.ts";
import { GrowingBody, type Keeper } from "./growing-body.ts";
import type { CacheRules, Planned, Route } from "./plan.ts";

const DATE_NAME = "date";
/** Age is reckoned anew for each answer, and Cache-Status is each answer's own. */
const NOT_KEPT = fieldMask("age");
/** Of a body whose end nobody told: files are made for so much, and grow. */
const NO_BODY = Buffer.alloc(0);

/** What was decided about an answer. */
export interface Kept {
  readonly verdict: StoreVerdict;
  /** Of the answer as it is to be stored. */
  readonly fields: Fields;
  /** Names in Vary that count. */
  readonly varies: readonly string[];
}

const rulesOf = ({ plan }: Planned) => (plan.route as Route).cache as CacheRules;

/** May the answer be stored, and how? */
export function judge(fetch: Fetch): Kept {
  const { exchange: inner } = fetch;
  const declared = inner.responseBodyKind === BODY_LENGTH ? inner.responseBodyLength : LENGTH_UNKNOWN;
  const declaredBytes = inner.plan.isEnd ? inner.firstEnd - inner.firstStart : declared;
  const verdict = judgeFields(fetch, inner.status, inner.responseFields, declaredBytes);
  const varies = varyNames(inner.responseFields, rulesOf(inner).policy.vary);
  return { verdict, fields: inner.responseFields, varies: varies === "*" ? [] : varies };
}

function judgeFields(fetch: Fetch, status: number, fields: Fields, declaredBytes: number): StoreVerdict {
  const { exchange: inner, asked } = fetch;
  const { policy } = rulesOf(inner);
  const { epochMs, chance } = inner.plan.services;
  const verdict = judgeResponse(
    {
      method: inner.method,
      url: urlOfKey(fetch.order.key),
      path: inner.path,
      hasBody: false,
      fields: asked,
      directives: fetch.directives,
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
  const isForOne = inner.downstream.tls?.client !== undefined && (verdict.flags & SHAREABLE) === 0;
  return verdict.isStorable && isForOne ? { ...verdict, isStorable: false, rule: "authorization" } : verdict;
}

/** Begins to store: what is whole already is put at once. */
export function fillOf(fetch: Fetch, { verdict, fields, varies }: Kept): Fill {
  const { exchange: inner, order, asked } = fetch;
  const lines = linesOf(inner, fields, verdict.dropped);
  const facts = factsOf(fetch, verdict, inner.status);
  const index = varies.length > 0 ? putIndex(fetch, facts, varies) : NO_VARIANTS;
  const key = variantKeyOf(order.primary, index, asked, rulesOf(inner).policy.vary);
  const whole = inner.plan.isEnd ? wholeBody(inner) : undefined;
  const declared = inner.responseBodyKind === BODY_LENGTH ? inner.responseBodyLength : LENGTH_UNKNOWN;
  const stored: StoredResponse = {
    key,
    facts,
    reason: inner.reason,
    fields: fieldsOfLines(lines),
    body: whole,
    file: undefined,
    bodyLength: whole?.length ?? declared,
  };
  const own = ownOf(inner, stored, verdict.dropped);
  if (whole !== undefined) {
    put(fetch, stored);
    return { stored, own, index, body: undefined };
  }
  const body = new GrowingBody(keeperOf(fetch, stored), inner.plan.services.budget, declared);
  body.onRoom = () => inner.upstream?.resumeResponse();
  takeFirst(inner, body);
  return { stored, own, index, body };
}

/** The same with what `private` and `no-cache` name: the one who asked gets it, others do not (§5.2.2.4, §5.2.2.7). */
function ownOf(inner: Planned, stored: StoredResponse, dropped: readonly string[]): StoredResponse {
  if (!dropped.some((name) => inner.responseFields.find(name) !== undefined)) return stored;
  return { ...stored, fields: fieldsOfLines(linesOf(inner, inner.responseFields, [])) };
}

function takeFirst(inner: Planned, body: GrowingBody): void {
  const { first, firstStart, firstEnd } = inner;
  inner.first = undefined;
  if (first === undefined || firstEnd === firstStart) return;
  if (!body.take(first.subarray(firstStart, firstEnd))) inner.upstream?.pauseResponse();
}

function wholeBody({ first, firstStart, firstEnd }: Planned): Buffer {
  return first === undefined ? NO_BODY : Buffer.from(first.subarray(firstStart, firstEnd));
}

/** The field lines to keep: not those of this hop, of the framing, or for one client only (RFC 9111 §3.1). */
function linesOf(inner: Planned, fields: Fields, dropped: readonly string[]): string {
  const kept = fields.view();
  for (const name of dropped) kept.drop(name);
  const lines = kept.linesWithout(OWN_FIELDS.low | NOT_KEPT.low, OWN_FIELDS.high | NOT_KEPT.high);
  if (fields.find(DATE_NAME) !== undefined) return lines;
  return `${lines}Date: ${httpDate(inner.plan.services.epochMs + clock.nowMs)}\r\n`;
}

function factsOf(fetch: Fetch, verdict: StoreVerdict, status: number): StoredFacts {
  const { exchange: inner, order, store } = fetch;
  const { epochMs } = inner.plan.services;
  const url = urlOfKey(order.primary);
  return {
    status,
    requestedAtMs: epochMs + inner.sentAtMs,
    respondedAtMs: epochMs + clock.nowMs,
    initialAgeMs: verdict.initialAgeMs,
    lifetimeMs: verdict.lifetimeMs,
    staleWhileRevalidateMs: verdict.staleWhileRevalidateMs,
    staleIfErrorMs: verdict.staleIfErrorMs,
    keepMs: rulesOf(inner).policy.keepMs,
    flags: verdict.flags,
    mark: fetch.mark,
    purgeSlots: store.board.slotsOf({
      url,
      host: hostOfUrl(url),
      tags: verdict.tags,
      origin: originOfKey(order.primary),
      groups: verdict.groups,
    }),
    firstByte: 0,
    completeLength: LENGTH_UNKNOWN,
  };
}

/** At the URL's own key stands which request fields tell its variants apart. */
function putIndex(fetch: Fetch, facts: StoredFacts, names: readonly string[]): VaryIndex {
  const { store, order, asked, exchange } = fetch;
  const there = store.peek(order.primary);
  const isIndex = there !== undefined && !("isCold" in there) && (there.facts.flags & VARY_INDEX) !== 0;
  const previous = isIndex ? readIndex((there as StoredResponse).fields) : undefined;
  const index = indexWith(previous, { names, request: asked, response: exchange.responseFields });
  store.put({
    key: order.primary,
    facts: { ...facts, flags: VARY_INDEX, keepMs: facts.keepMs + INDEX_KEEP_MS },
    reason: "",
    lines: Buffer.from(indexLines(index), "latin1"),
    body: NO_BODY,
    file: undefined,
  });
  return index;
}

const NO_VARIANTS: VaryIndex = { names: [], languages: new Map() };

/** An index costs little, and is of use as long as any variant. */
const INDEX_KEEP_MS = 24 * 3600 * 1000;

function put({ store, exchange }: Fetch, stored: StoredResponse, file = stored.file): void {
  const { key, facts, reason, fields, body } = stored;
  const isTaken = store.put({ key, facts, reason, lines: linesBuffer(fields), body, file });
  if (isTaken) countStored(exchange);
  else countRefused(exchange, "no_room");
}

const linesBuffer = (fields: Fields) =>
  fields.bytes.subarray(fields.base + fields.start, fields.base + fields.end);

function keeperOf(fetch: Fetch, stored: StoredResponse): Keeper {
  const { store, exchange } = fetch;
  const { maxBytes, minBytes } = rulesOf(exchange).policy;
  return {
    smallBytes: store.smallBytes - linesBuffer(stored.fields).length - stored.key.length - RECORD_ROOM,
    maxBytes: Math.min(maxBytes, store.largestBodyBytes),
    write: (bytes) => store.write(bytes),
    keepSmall: (body) => {
      if (body.length < minBytes) countRefused(exchange, "size");
      else put(fetch, { ...stored, body, bodyLength: body.length });
    },
    keepFile: (file) => put(fetch, stored, file),
    forget: (why) =>
      countRefused(exchange, why === "cut" ? "incomplete" : why === "room" ? "no_room" : "size"),
  };
}

/** Facts, reason and purge slots of a record, generously. */
const RECORD_ROOM = 1024;

/** The stored response as the endpoint's 304 makes it; in the store from now on. */
export function freshened(fetch: Fetch, stale: StoredResponse): StoredResponse {
  const { exchange: inner } = fetch;
  const lines = freshenLines(stale.fields, inner.responseFields);
  const fields = fieldsOfLines(lines);
  const verdict = judgeFields(fetch, stale.facts.status, fields, stale.bodyLength);
  const stored: StoredResponse = {
    ...stale,
    fields,
    facts: { ...factsOf(fetch, verdict, stale.facts.status), flags: verdict.flags },
  };
  if (verdict.isStorable) put(fetch, stored);
  else fetch.store.remove(stale.key);
  return stored;
}
