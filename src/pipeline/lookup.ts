/**
 * Lookup: can the cache answer? If not, is the answer on its way already, or who fetches it?
 *
 * out    answer: from the store · wait: for a fetch, or for a disk · choose: the cache has nothing to do with this one
 * rule   whatever is not sure goes to an endpoint: a store that is full, slow or broken costs hits, never answers
 * cost   a hit of a small response is decided here without waiting, copying or allocating more than its note
 * spec   RFC 9111 §4
 */
import { requestDirectives } from "../cache/directives.ts";
import { urlOfKey } from "../cache/key.ts";
import { completionOf, storedPartOf } from "../cache/partial.ts";
import { judgeReuse } from "../cache/reuse.ts";
import { firstSlice, lengthBySlice, sliceKey } from "../cache/slice.ts";
import type { CacheStore, Cold } from "../cache/store.ts";
import { PARTIAL, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { languageVariantKey, variantKey } from "../cache/vary.ts";
import type { ReuseVerdict } from "../cache/verdict.ts";
import { defectText, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { clock } from "../transport/clock.ts";
import { countRefresh } from "./cache-counters.ts";
import { lookDry } from "./cache-dry.ts";
import { CacheNote } from "./cache-note.ts";
import { isPurge, purge } from "./cache-purge.ts";
import { bypassOf, crowdOf, isAuthorized, keyOf } from "./cache-rules.ts";
import { Fetch } from "./fetch.ts";
import { MAX_ROUNDS, requeue, serveShared, settle } from "./fetch-answer.ts";
import type { PartOrder, SliceOrder } from "./part-order.ts";
import { type NextOf, WAIT } from "./phases.table.ts";
import type { CacheRules, Planned, Route } from "./plan.ts";
import { askedPost } from "./post-fill.ts";
import { later, serveStored, wallOf } from "./serve-stored.ts";
import { answerSliced } from "./sliced-answer.ts";
import { isLacking } from "./stored-answer.ts";

type Next = NextOf<"lookup">;

/** What a look needs all along. */
interface Look {
  readonly exchange: Planned;
  readonly store: CacheStore;
  readonly rules: CacheRules;
  readonly note: CacheNote;
}

/** What the store has of it, if that cannot answer. */
interface There {
  /** May be confirmed. */
  readonly stale?: StoredResponse;
  /** What else is wanted. */
  readonly part?: PartOrder;
  /** Something that the answer to a HEAD may be about. */
  readonly isKnown?: boolean;
}

const NOTHING: There = {};
const ASKED: PartOrder = { kind: "asked" };
const RANGE = fieldIdOf("range");
/** Somebody refreshes it: nobody else does for so long. */
const REFRESH_MS = 30_000;

export function lookup(exchange: Planned): Next {
  const { plan } = exchange;
  const { cache: rules } = plan.route as Route;
  const store = plan.services.cache;
  if (isPurge(exchange)) return purge(exchange);
  if (store === undefined || rules === undefined) return "choose";
  let note = plan.cache;
  if (note === undefined) {
    note = new CacheNote(rules.policy.status);
    plan.cache = note;
    const bypass = bypassOf(exchange, rules);
    if (bypass !== undefined) {
      note.bypass(bypass);
      note.post = askedPost(exchange, store, rules);
      return "choose";
    }
    note.key = keyOf(exchange, rules);
    note.directives = requestDirectives(exchange.requestFields, rules.policy.heedsClient);
    if (rules.policy.isDry) {
      lookDry({ exchange, store, rules, note });
      return "choose";
    }
  }
  note.begins();
  const look = { exchange, store, rules, note };
  return see(look, findAt(look, note.key));
}

/** A store that breaks is one that has nothing. */
function findAt({ exchange, store }: Look, key: string): StoredResponse | Cold | undefined {
  try {
    return store.find(key, wallOf(exchange));
  } catch (defect) {
    exchange.plan.services.report(defectText(defect));
    return undefined;
  }
}

function see(look: Look, found: StoredResponse | Cold | undefined): Next {
  if (found === undefined) return missing(look);
  const { exchange, store } = look;
  if ("isCold" in found) return later(exchange, store.read(found), (stored) => see(look, stored));
  return (found.facts.flags & VARY_INDEX) === 0 ? use(look, found) : seeVariant(look, found);
}

/** At the URL's key stands what tells its variants apart (RFC 9111 §4.1). */
function seeVariant(look: Look, { fields }: StoredResponse): Next {
  const { exchange, rules, note } = look;
  const { vary } = rules.policy;
  note.variant = variantKey(note.key, fields, exchange.requestFields, vary);
  const found = findAt(look, note.variant);
  if (found !== undefined) return isIndex(found) ? absent(look, NOTHING) : see(look, found);
  const other = languageVariantKey(note.key, fields, exchange.requestFields, vary);
  return see(look, other === undefined ? undefined : findAt(look, other));
}

function isIndex(found: StoredResponse | Cold): boolean {
  return !("isCold" in found) && (found.facts.flags & VARY_INDEX) !== 0;
}

/** May what is stored answer? in  `method`: a slice answers HEAD as it answers GET */
function judge({ exchange, store, note }: Look, stored: StoredResponse, method: string): ReuseVerdict {
  const { board } = store;
  const state = board.stateOf(stored.facts, board.hasRules ? urlOfKey(note.key) : "");
  const { directives } = note;
  const request = { method, isAuthorized: isAuthorized(exchange), directives };
  const verdict = judgeReuse(request, stored, state, wallOf(exchange));
  note.rule = verdict.rule;
  note.mayServeOnError = verdict.mayServeOnError;
  return verdict;
}

/** Something is stored: may it answer? */
function use(look: Look, stored: StoredResponse): Next {
  const { exchange, store, note } = look;
  const nowMs = wallOf(exchange);
  const verdict = judge(look, stored, exchange.method);
  if (verdict.use === "miss")
    return absent(look, verdict.rule === "head_of_part" ? { isKnown: true } : NOTHING);
  if (isLacking(exchange, stored, nowMs))
    return absent(look, verdict.use === "fresh" ? lackOf(look, stored) : NOTHING);
  if (verdict.use === "validate") return absent(look, { stale: stored });
  if (verdict.use === "stale_refresh" && mayRefresh(look, stored, nowMs))
    refresh(look, stored, isPart(stored) ? ASKED : undefined);
  note.hits(stored, verdict.rule, verdict.ttlSec, nowMs, exchange.downstream.listener.site);
  return serveStored(exchange, store, stored, () => absent(look, NOTHING));
}

/** Nothing is stored under the key of the whole: a slice, perhaps. */
function missing(look: Look): Next {
  const { exchange, rules, note } = look;
  const { sliceBytes } = rules.policy;
  if (sliceBytes === 0 || note.directives.noStore) return absent(look, NOTHING);
  const { fetches } = exchange.plan.services;
  const number = firstSlice(rangeOf(exchange), sliceBytes);
  if (number === undefined || fetches.isUnsliced(note.place, clock.nowMs)) return absent(look, NOTHING);
  const key = sliceKey(note.place, number);
  // of what was for one client alone a slice is of no use: the rest could not follow
  if (fetches.adviceFor(key, clock.nowMs) !== "together") return absent(look, NOTHING);
  return seeSlice(look, { kind: "slice", number, sliceBytes }, findAt(look, key));
}

/** HEAD has no range (RFC 9110 §14.2). */
function rangeOf({ method, requestFields }: Planned): string | undefined {
  return method === "GET" ? requestFields.joined(RANGE) : undefined;
}

/** What a slice tells is enough to answer with all of it, or any part. */
function seeSlice(look: Look, part: SliceOrder, found: StoredResponse | Cold | undefined): Next {
  const { exchange, store, note } = look;
  const isHead = exchange.method === "HEAD";
  if (found === undefined) return absent(look, isHead ? NOTHING : { part });
  if ("isCold" in found) return later(exchange, store.read(found), (stored) => seeSlice(look, part, stored));
  const { use, rule, ttlSec } = judge(look, found, "GET");
  const isThere = use !== "miss" && lengthBySlice(storedPartOf(found), part) !== undefined;
  if (!isThere || (use === "validate" && isHead)) return absent(look, isHead ? NOTHING : { part });
  if (use === "validate") return absent(look, { part, stale: found });
  const nowMs = wallOf(exchange);
  if (use === "stale_refresh" && store.claimRefresh(found.key, nowMs, REFRESH_MS)) refresh(look, found, part);
  note.hits(found, rule, ttlSec, nowMs, exchange.downstream.listener.site);
  answerSliced(exchange, found, { store, part, settle, body: undefined });
  return "answer";
}

/** A part is there, and something else is wanted: all of it, perhaps (RFC 9111 §3.4). */
function lackOf({ exchange }: Look, of: StoredResponse): There {
  if (exchange.requestFields.has(RANGE)) return NOTHING;
  const completion = completionOf(of, wallOf(exchange));
  return completion === undefined ? NOTHING : { part: { kind: "rest", of, completion } };
}

function mayRefresh({ exchange, store }: Look, { key }: StoredResponse, nowMs: number): boolean {
  return exchange.plan.services.fetches.hasRoom && store.claimRefresh(key, nowMs, REFRESH_MS);
}

/** The client has its answer; what is stored is asked for anew behind its back (RFC 5861 §3). */
function refresh(look: Look, stale: StoredResponse, part: PartOrder | undefined): void {
  const { exchange, store, rules, note } = look;
  const { fetches } = exchange.plan.services;
  const { key: primary, directives } = note;
  const mayShare = rules.policy.coalesceMs > 0 && part?.kind !== "asked";
  const order = { key: stale.key, primary, stale, part, mayShare, isBackground: true, settle };
  const fetch = new Fetch(exchange, order, store, directives);
  if (mayShare) fetches.add(fetch);
  countRefresh(exchange);
  fetch.start();
}

/** Nothing can answer now: who asks the endpoint? */
function absent(look: Look, there: There): Next {
  const { exchange, store, rules, note } = look;
  if (note.directives.onlyIfCached) {
    note.rule = "request_only_if_cached";
    exchange.failure = fail("not_cached");
    return "answer";
  }
  const { stale } = there;
  note.forwards(stale !== undefined ? "stale" : note.variant === "" ? "uri-miss" : "vary-miss");
  const part = partFor(exchange, there);
  if (note.rounds > MAX_ROUNDS || isAlone(look, there, part)) return "choose";
  const { fetches } = exchange.plan.services;
  const key = part?.kind === "slice" ? sliceKey(note.place, part.number) : note.place;
  const crowd = crowdOf(key, exchange.requestFields, exchange.downstream);
  const advice = fetches.adviceFor(crowd, clock.nowMs);
  if (advice === "pass" && stale === undefined) {
    note.passes("unshared");
    return "choose";
  }
  const mayShare =
    rules.policy.coalesceMs > 0 &&
    !note.directives.noStore &&
    advice === "together" &&
    part?.kind !== "asked" &&
    exchange.method === "GET";
  const underWay = mayShare ? (fetches.find(key) as Fetch | undefined) : undefined;
  if (underWay?.isCurrent() === true) return join(look, underWay);
  const order = { key, primary: note.key, stale, part, mayShare, isBackground: false, settle };
  const fetch = new Fetch(exchange, order, store, note.directives);
  if (mayShare) fetches.add(fetch);
  fetch.add(exchange);
  fetch.start();
  return WAIT;
}

/** Which part is asked for: that which the client wants is for it alone, while nothing whole can be confirmed. */
function partFor({ method, requestFields }: Planned, { stale, part }: There): PartOrder | undefined {
  if (part?.kind === "slice") return part;
  const isAsked = method === "GET" && requestFields.has(RANGE) && (stale === undefined || isPart(stale));
  return isAsked ? ASKED : part;
}

/** Nothing of the answer could be kept: a head that says nothing of what is stored, a part for who wants no trace. */
function isAlone({ exchange, note }: Look, { stale, isKnown }: There, part: PartOrder | undefined): boolean {
  if (exchange.method === "HEAD") return stale === undefined && isKnown !== true;
  return part?.kind === "asked" && note.directives.noStore;
}

const isPart = ({ facts }: StoredResponse) => (facts.flags & PARTIAL) !== 0;

/** Somebody asks for the same already. */
function join({ exchange, rules, note }: Look, fetch: Fetch): Next {
  if (fetch.state === "sharing") {
    if (serveShared(exchange, fetch, false)) return WAIT;
    note.rounds = MAX_ROUNDS + 1;
    return "choose";
  }
  fetch.add(exchange);
  fetch.limitPatience(rules.policy.coalesceMs, requeue);
  return WAIT;
}
