/**
 * Fetch answer: what becomes of the answer, or the failure, that a fetch has got.
 *
 * rule   decided once, at the head: confirmed, kept and shared, given to one alone, or replaced by what is stored
 * rule   a waiter gets only what its own request allows: another variant, or an answer that is not for everybody, sends
 *        it to ask for itself
 * spec   RFC 9111 §3, §4.3.3, §4.3.4; RFC 5861 §4
 */
import { urlOfKey } from "../cache/key.ts";
import type { RuleCode } from "../cache/rules.table.ts";
import { identityOf, sliceKey, wholeKey } from "../cache/slice.ts";
import { PARTIAL, SHAREABLE, type StoredResponse } from "../cache/stored.ts";
import { variantKeyOf } from "../cache/vary.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import { LENGTH_UNKNOWN } from "../core/body.ts";
import { type Failure, type FailureCode, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { clock } from "../transport/clock.ts";
import { countRefused } from "./cache-counters.ts";
import type { CacheNote } from "./cache-note.ts";
import { crowdOf, isAuthorized, policyOf } from "./cache-rules.ts";
import type { Fetch, Fill } from "./fetch.ts";
import {
  datedFields,
  declaredBytesOf,
  fillOf,
  freshened,
  heedHead,
  isLargePart,
  judge,
  judgeSlice,
  type Kept,
} from "./fill.ts";
import { wholeOf } from "./part-fill.ts";
import type { SliceOrder } from "./part-order.ts";
import { Passing } from "./passing.ts";
import { WAIT } from "./phases.table.ts";
import type { Planned } from "./plan.ts";
import { serveStored, wallOf } from "./serve-stored.ts";
import { answerSliced } from "./sliced-answer.ts";
import { answerAsCame, answerStored } from "./stored-answer.ts";

const AGE = fieldIdOf("age");
const NOT_MODIFIED = 304;
const PARTIAL_CONTENT = 206;
/** Answers that nobody understands who has not asked for a part: 206 and 416. */
const ABOUT_PARTS: ReadonlySet<number> = new Set([PARTIAL_CONTENT, 416]);
/** Times that a request waits for others' fetches before it asks for itself. */
export const MAX_ROUNDS = 2;
const TIMEOUTS: ReadonlySet<FailureCode> = new Set([
  "connect_timeout",
  "response_timeout",
  "request_timeout",
]);

/** in  `late`: one whose own time is up while the others wait on */
export function settle(fetch: Fetch, late?: Planned): void {
  const { exchange, order } = fetch;
  const { stale } = order;
  if (late !== undefined) tooLate(fetch, late);
  else if (exchange.failure !== undefined) failed(fetch, exchange.failure);
  else if (stale !== undefined && exchange.status === NOT_MODIFIED) confirmed(fetch, stale);
  else if (stale !== undefined && isErrorStatus(fetch) && replace(fetch, stale)) dropAnswer(exchange);
  else if (exchange.method === "HEAD") {
    heedHead(fetch);
    pass(fetch, "store_method");
  } else if (order.part?.kind === "rest" && ABOUT_PARTS.has(exchange.status)) complete(fetch, order.part.of);
  else if (order.part?.kind === "slice" && ABOUT_PARTS.has(exchange.status)) settleSlice(fetch, order.part);
  else decide(fetch, judge(fetch));
}

/** A slice goes to all who wait for it; what cannot be had in slices is asked for as a whole. */
function settleSlice(fetch: Fetch, order: SliceOrder): void {
  const kept = judgeSlice(fetch, order);
  if (kept === undefined) notSliced(fetch, order);
  else if (!kept.verdict.isStorable || isRare(fetch)) refuseSlice(fetch, kept.verdict);
  else {
    if (isOther(fetch, kept)) purgeAll(fetch);
    share(fetch, kept);
  }
}

/** Neither the slice nor the whole; or there is none so far behind, which each client hears from the endpoint. */
function notSliced(fetch: Fetch, { number }: SliceOrder): void {
  const { exchange: inner, order } = fetch;
  const isOutside = inner.status !== PARTIAL_CONTENT && number > 0;
  if (!isOutside) inner.plan.services.fetches.noteUnsliced(wholeKey(order.key), clock.nowMs);
  for (const waiter of drop(fetch)) {
    if (isOutside) alone(waiter);
    else requeue(waiter);
  }
}

/** It is not for the store, so that nobody can be sent the next ones. */
function refuseSlice(fetch: Fetch, { isStorable, rule }: StoreVerdict): void {
  const { exchange: inner } = fetch;
  countRefused(inner, isStorable ? "min_uses" : rule);
  if (!isStorable && isTelling(fetch, rule)) {
    inner.plan.services.fetches.noteUnshared(crowdKey(fetch), clock.nowMs);
  }
  for (const waiter of drop(fetch)) alone(waiter);
}

/** The slice in whose place it comes was of another representation: so are the others that are stored. */
function isOther({ exchange: inner, order: { stale } }: Fetch, { fields, slice }: Kept): boolean {
  if (stale === undefined) return false;
  const nowMs = inner.plan.services.epochMs + clock.nowMs;
  const identity = identityOf(fields, slice?.completeLength ?? LENGTH_UNKNOWN, nowMs);
  return identity !== identityOf(stale.fields, stale.facts.completeLength, nowMs);
}

function purgeAll({ store, order }: Fetch): void {
  store.board.purge({ kind: "url", url: urlOfKey(order.primary) }, false);
}

/** The answer is for nobody. out  who waited for it */
function drop(fetch: Fetch): Planned[] {
  const waiters = fetch.takeWaiters();
  fetch.enter("over");
  dropAnswer(fetch.exchange);
  return waiters;
}

function decide(fetch: Fetch, kept: Kept): void {
  if (!kept.verdict.isStorable) pass(fetch, kept.verdict.rule);
  else if (isRare(fetch)) pass(fetch, "min_uses");
  else if (fetch.exchange.status === PARTIAL_CONTENT) sharePart(fetch, kept);
  else share(fetch, kept);
}

/** Parts are for the client that asked for one; the store keeps those that are small, or all of it (RFC 9111 §3.3). */
function sharePart(fetch: Fetch, kept: Kept): void {
  if (fetch.order.part === undefined) pass(fetch, "part_unknown");
  else if (isLargePart(fetch)) pass(fetch, "part_too_large");
  else share(fetch, kept);
}

/** What a stored part lacked has come: together they are the whole, or the whole is asked for after all (§3.4). */
function complete(fetch: Fetch, part: StoredResponse): void {
  const { exchange: inner } = fetch;
  const nowMs = inner.plan.services.epochMs + clock.nowMs;
  const fields = datedFields(inner);
  const isPart = inner.status === PARTIAL_CONTENT;
  const around = isPart ? wholeOf(part, fields, declaredBytesOf(inner), nowMs) : undefined;
  const kept = around === undefined ? undefined : judge(fetch, around);
  if (kept?.verdict.isStorable === true) share(fetch, kept);
  else {
    fetch.store.remove(part.key);
    for (const waiter of drop(fetch)) requeue(waiter);
  }
}

const noteOf = ({ plan }: Planned) => plan.cache as CacheNote;

/** One that has been stored before is worth it, whatever its uses. */
function isRare({ exchange, order }: Fetch): boolean {
  const { minUses } = policyOf(exchange);
  const isNew = order.stale === undefined && !order.isBackground;
  return minUses > 1 && isNew && exchange.plan.services.fetches.countUse(order.key) < minUses;
}

// ── the endpoint fails ──

function failed(fetch: Fetch, failure: Failure): void {
  const { stale } = fetch.order;
  const kind = TIMEOUTS.has(failure.code) ? "timeout" : "error";
  const { staleOn } = policyOf(fetch.exchange);
  if (stale !== undefined && failure.side === "upstream" && staleOn.includes(kind) && replace(fetch, stale))
    return;
  const waiters = fetch.takeWaiters();
  fetch.enter("over");
  for (const waiter of waiters) {
    const hasTime = failure.code === "request_timeout" && waiter.deadlineMs > clock.nowMs;
    if (hasTime) requeue(waiter);
    else {
      fetch.isHeard = true;
      fall(waiter, fetch.exchange, failure);
    }
  }
}

function tooLate(fetch: Fetch, waiter: Planned): void {
  const { stale } = fetch.order;
  const note = noteOf(waiter);
  const isReplaced = note.mayServeOnError && policyOf(waiter).staleOn.includes("timeout");
  if (stale === undefined || !isReplaced) {
    fall(waiter, fetch.exchange, fail("request_timeout"));
    return;
  }
  note.answersFor(stale, "stale", 0, wallOf(waiter));
  give(waiter, fetch, stale);
}

function fall(waiter: Planned, inner: Planned, failure: Failure): void {
  tellPlace(waiter, inner);
  waiter.failure = failure;
  waiter.plan.services.resume(waiter, "answer");
}

function isErrorStatus({ exchange }: Fetch): boolean {
  return policyOf(exchange).staleOn.includes(exchange.status);
}

/** Those who may have it get what is stored. out  false: nobody may, so that the answer or the failure counts */
function replace(fetch: Fetch, stale: StoredResponse): boolean {
  const mayServe = (waiter: Planned) => noteOf(waiter).mayServeOnError;
  if (fetch.waiters.size > 0 && ![...fetch.waiters].some(mayServe)) return false;
  const waiters = fetch.takeWaiters();
  fetch.enter("over");
  for (const waiter of waiters) {
    const note = noteOf(waiter);
    if (!note.mayServeOnError) requeue(waiter);
    else {
      note.answersFor(stale, "stale", fetch.exchange.status, wallOf(waiter));
      give(waiter, fetch, stale);
    }
  }
  return true;
}

/** The endpoint's answer is not read: its connection, or stream, is given up. */
function dropAnswer(inner: Planned): void {
  inner.upstream?.cancel();
  inner.upstream = undefined;
  inner.plan.isEnd = true;
}

// ── the endpoint answers ──

/** What is stored is as good as new (§4.3.4). */
function confirmed(fetch: Fetch, stale: StoredResponse): void {
  const { stored, own, isShared } = freshened(fetch, stale);
  if (isShared) fetch.fresh = stored;
  const waiters = fetch.takeWaiters();
  fetch.enter("over");
  for (const waiter of waiters) {
    const fresh = waiter === fetch.owner ? own : stored;
    const isFit = isShared && !(isAuthorized(waiter) && (stored.facts.flags & SHAREABLE) === 0);
    if (fresh !== own && !isFit) {
      alone(waiter);
      continue;
    }
    tellPlace(waiter, fetch.exchange);
    noteOf(waiter).answersFor(fresh, "revalidated", NOT_MODIFIED, wallOf(waiter));
    give(waiter, fetch, fresh);
  }
}

/** A stored response for one who waited; when its body is gone, another look. */
function give(waiter: Planned, fetch: Fetch, stored: StoredResponse): void {
  if (waiter.isOver) return;
  if (sliceOf(fetch, stored) !== undefined) {
    sendSliced(waiter, fetch, stored);
    return;
  }
  const next = serveStored(waiter, fetch.store, stored, () => {
    requeue(waiter);
    return WAIT;
  });
  if (next !== WAIT) waiter.plan.services.resume(waiter, next);
}

/** It may be stored, and goes to all whom it fits, as it comes. */
function share(fetch: Fetch, kept: Kept): void {
  const { exchange: inner } = fetch;
  const { isEnd } = inner.plan;
  fetch.fill = fillOf(fetch, kept);
  const waiters = fetch.takeWaiters();
  fetch.enter(isEnd && fetch.fill.keeping === undefined ? "over" : "sharing");
  inner.plan.services.fetches.noteShared(crowdKey(fetch));
  let isFirst = true;
  for (const waiter of waiters) {
    if (!serveShared(waiter, fetch, isFirst)) requeue(waiter);
    isFirst = false;
  }
  fetch.fill.body?.opened();
}

/** out  false when it does not fit: another variant, or for its own user alone, or its beginning is gone */
export function serveShared(waiter: Planned, fetch: Fetch, isFirst: boolean): boolean {
  if (waiter.isOver) return true; // it has left while the others were served
  const { fill } = fetch;
  if (fill === undefined || !fits(waiter, fetch, fill)) return false;
  const { body } = fill;
  const stored = waiter === fetch.owner ? fill.own : fill.stored;
  if (body?.isWhole === false) return false;
  const note = noteOf(waiter);
  tellPlace(waiter, fetch.exchange);
  note.stores(stored, !isFirst, isFirst && fetch.exchange.responseFields.has(AGE), wallOf(waiter));
  const isSlice = sliceOf(fetch, stored) !== undefined;
  if (isSlice || (body === undefined && !isFirst)) {
    give(waiter, fetch, stored); // all of it is here: what it is encoded to for one is for the next one too
    return true;
  }
  if (stored.facts.status === PARTIAL_CONTENT) answerAsCame(waiter, stored, body, wallOf(waiter));
  else answerStored(waiter, stored, body, wallOf(waiter));
  waiter.plan.services.resume(waiter, "answer");
  return true;
}

function fits(waiter: Planned, fetch: Fetch, { stored, index }: Fill): boolean {
  if (isAuthorized(waiter) && (stored.facts.flags & SHAREABLE) === 0) return false;
  const { vary } = policyOf(waiter);
  const key = variantKeyOf(fetch.order.primary, index, waiter.requestFields, vary);
  const slice = sliceOf(fetch, stored);
  return stored.key === (slice === undefined ? key : sliceKey(key, slice.number));
}

/** Of a response that is a slice. */
function sliceOf({ order: { part } }: Fetch, { facts }: StoredResponse): SliceOrder | undefined {
  return part?.kind === "slice" && (facts.flags & PARTIAL) !== 0 ? part : undefined;
}

function sendSliced(waiter: Planned, fetch: Fetch, stored: StoredResponse): void {
  const part = fetch.order.part as SliceOrder;
  answerSliced(waiter, stored, { store: fetch.store, part, settle, body: fetch.fill?.body });
  waiter.plan.services.resume(waiter, "answer");
}

/** It is one client's alone: its owner gets it as it comes, the others ask for themselves. */
function pass(fetch: Fetch, rule: RuleCode): void {
  const { exchange: inner } = fetch;
  const waiters = fetch.takeWaiters();
  const client = waiters.find((waiter) => waiter === fetch.owner);
  countRefused(inner, rule);
  fetch.enter("passing");
  if (isTelling(fetch, rule)) inner.plan.services.fetches.noteUnshared(crowdKey(fetch), clock.nowMs);
  if (client === undefined) fetch.giveUp();
  else passTo(client, fetch, rule);
  for (const other of waiters) {
    if (other !== client) alone(other);
  }
}

const crowdKey = (fetch: Fetch) => crowdOf(fetch.order.key, fetch.asked, fetch);

/** Says the answer something of the next? Not where the request alone was the reason. */
function isTelling({ exchange: inner, order, directives }: Fetch, rule: RuleCode): boolean {
  if (rule === "min_uses" || inner.method !== "GET" || order.part?.kind === "asked") return false;
  return !directives.noStore;
}

/** It asks for itself from now on. */
function alone(waiter: Planned): void {
  noteOf(waiter).rounds = MAX_ROUNDS + 1;
  waiter.plan.services.resume(waiter, "lookup");
}

function passTo(client: Planned, fetch: Fetch, rule: RuleCode): void {
  const { exchange: inner } = fetch;
  const { plan } = client;
  tellPlace(client, inner);
  plan.upstream = inner.plan.upstream;
  plan.endpointIndex = inner.plan.endpointIndex;
  plan.isEnd = inner.plan.isEnd;
  client.status = inner.status;
  client.reason = inner.reason;
  client.isHttp10Response = inner.isHttp10Response;
  client.responseFields = inner.responseFields;
  client.responseBodyKind = inner.responseBodyKind;
  client.responseBodyLength = inner.responseBodyLength;
  client.first = inner.first;
  client.firstStart = inner.firstStart;
  client.firstEnd = inner.firstEnd;
  noteOf(client).passes(rule);
  if (!plan.isEnd) {
    fetch.waiters.add(client);
    client.upstream = new Passing(fetch, client);
  }
  plan.services.resume(client, "answer");
}

/** Looks again: what was fetched is not for this one. */
export function requeue(waiter: Planned): void {
  noteOf(waiter).rounds++;
  waiter.plan.services.resume(waiter, "lookup");
}

/** The log tells which endpoint the answer came from, and how long that took. */
function tellPlace(waiter: Planned, inner: Planned): void {
  waiter.plan.endpoint = inner.plan.endpoint;
  waiter.plan.attempts = inner.plan.attempts;
  noteOf(waiter).isFetched = true;
  waiter.connectStartedAtMs = inner.connectStartedAtMs;
  waiter.connectedAtMs = inner.connectedAtMs;
  waiter.sentAtMs = inner.sentAtMs;
  waiter.respondedAtMs = inner.respondedAtMs;
}
