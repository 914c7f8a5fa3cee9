/**
 * Post fill: the answer to a POST, kept for those who GET the same URL, where the endpoint says that it is what they would
 * get: it states a lifetime, and a Content-Location that is the URL of the request.
 *
 * rule   what the POST itself may have changed goes out first, in all workers: its own answer is what is new
 * rule   what was purged while the endpoint worked on it is not stored: the answer may be from before
 * bound  answers that are whole with their head, as those are that confirm a change
 * spec   RFC 9110 §9.3.3, RFC 9111 §3
 */
import { requestDirectives } from "../cache/directives.ts";
import { hostOfUrl, originOfKey, urlOfKey } from "../cache/key.ts";
import type { CacheStore } from "../cache/store.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import type { AskedPost, CacheNote } from "./cache-note.ts";
import { invalidate } from "./cache-purge.ts";
import { keyOf, policyOf, unfitOf } from "./cache-rules.ts";
import { type FillSource, fillOf, judge, type Kept } from "./fill.ts";
import type { CacheRules, Planned } from "./plan.ts";
import { wallOf } from "./serve-stored.ts";

const LOCATION_NAME = "content-location";
const OK = 200;

/** Phase lookup: what will be needed if the answer is worth keeping. out  undefined = it will not be kept */
export function askedPost(exchange: Planned, store: CacheStore, rules: CacheRules): AskedPost | undefined {
  const { method, rawTarget, requestFields } = exchange;
  const { isDry, minUses } = rules.policy;
  if (method !== "POST" || isDry || minUses > 1 || unfitOf(exchange, rules) !== undefined) return undefined;
  // an endpoint must not see a mark that is not in the key, and this request is sent as it is
  if (rawTarget.endsWith("?")) return undefined;
  const primary = keyOf(exchange, rules);
  return {
    store,
    primary,
    asked: requestFields.copy(),
    mark: store.board.begin(urlOfKey(primary)),
    pending: pendingOf(store),
  };
}

/** Phase answer: the endpoint's head is here, as it came. What the request may have changed is out when this returns. */
export function settleUnsafe(exchange: Planned, store: CacheStore): void {
  const { cache: note } = exchange.plan;
  const { post } = note ?? {};
  if (note === undefined || post === undefined || post.store !== store || !isCandidate(exchange)) {
    invalidate(exchange, store);
    return;
  }
  const source = sourceOf(exchange, post);
  const kept = judge(source);
  const { clock } = store.board;
  const isCurrent =
    kept.verdict.isStorable && pendingOf(store) === post.pending && isAlive(source, kept.verdict);
  const mark = clock + invalidate(exchange, store);
  if (isCurrent && store.board.clock === mark) keep({ ...source, mark }, kept, note);
}

/** Purges that have a clock, and are not yet in force: what they will hit nobody knows. */
const pendingOf = ({ board }: CacheStore) => board.clock - board.made;

/** Cheap, and true of next to none. */
function isCandidate({ status, plan, responseFields }: Planned): boolean {
  return (
    status === OK && plan.isEnd && plan.web === undefined && responseFields.find(LOCATION_NAME) !== undefined
  );
}

function sourceOf(exchange: Planned, { store, primary, asked, mark }: AskedPost): FillSource {
  const { heedsClient } = policyOf(exchange);
  const directives = requestDirectives(asked, heedsClient);
  return { exchange, store, asked, directives, mark, order: { primary } };
}

/** Nothing of it was purged since the request came. */
function isAlive({ store, mark, order }: FillSource, { tags, groups }: StoreVerdict): boolean {
  const { board } = store;
  if (board.clock === mark) return true;
  const { primary } = order;
  const url = urlOfKey(primary);
  const purgeSlots = board.slotsOf({ url, host: hostOfUrl(url), tags, origin: originOfKey(primary), groups });
  return board.stateOf({ mark, purgeSlots }, url) === "alive";
}

function keep(source: FillSource, kept: Kept, note: CacheNote): void {
  const { stored } = fillOf(source, kept);
  note.storesPost(stored, wallOf(source.exchange));
}
