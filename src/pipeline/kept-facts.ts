/**
 * Kept facts: what stands beside a response that is stored, and at its URL's key when it has variants.
 *
 * why    a dry run keeps what the cache would keep
 * spec   RFC 9111 §4.1, §4.2
 */
import { hostOfUrl, originOfKey, urlOfKey } from "../cache/key.ts";
import type { CacheStore, PurgeBoard } from "../cache/store.ts";
import { type StoredFacts, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { indexLines, indexWith, readIndex, type VaryIndex } from "../cache/vary.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import { LENGTH_UNKNOWN } from "../core/body.ts";
import type { Fields } from "../core/fields.ts";
import { clock } from "../transport/clock.ts";
import { policyOf } from "./cache-rules.ts";
import type { Planned } from "./plan.ts";

const NO_BODY = Buffer.alloc(0);
/** An index costs little, and is of use as long as any variant. */
const INDEX_KEEP_MS = 24 * 3600 * 1000;

/** Whose answer it is, and what for. */
export interface KeptFor {
  readonly exchange: Planned;
  /** Key of the URL. */
  readonly primary: string;
  /** The board's clock when the request began. */
  readonly mark: number;
}

/** Facts of a whole response, as it has come now. */
export function keptFacts(
  { exchange, primary, mark }: KeptFor,
  board: PurgeBoard,
  verdict: StoreVerdict,
  status: number,
): StoredFacts {
  const { plan, sentAtMs } = exchange;
  const policy = policyOf(exchange);
  const url = urlOfKey(primary);
  return {
    status,
    requestedAtMs: plan.services.epochMs + sentAtMs,
    respondedAtMs: plan.services.epochMs + clock.nowMs,
    initialAgeMs: verdict.initialAgeMs,
    lifetimeMs: verdict.lifetimeMs,
    staleWhileRevalidateMs: verdict.staleWhileRevalidateMs,
    staleIfErrorMs: verdict.staleIfErrorMs,
    keepMs: policy.keepMs,
    flags: verdict.flags,
    mark,
    purgeSlots: board.slotsOf({
      url,
      host: hostOfUrl(url),
      tags: verdict.tags,
      origin: originOfKey(primary),
      groups: verdict.groups,
    }),
    firstByte: 0,
    completeLength: LENGTH_UNKNOWN,
  };
}

/** A response that has variants: the names in its Vary that count, and what they are about. */
export interface Variant {
  readonly names: readonly string[];
  readonly request: Fields;
  readonly response: Fields;
}

/** At the URL's own key stands which request fields tell its variants apart. in  `facts`: of the variant */
export function putIndex(
  store: CacheStore,
  primary: string,
  facts: StoredFacts,
  variant: Variant,
): VaryIndex {
  const there = store.peek(primary);
  const isIndex = there !== undefined && !("isCold" in there) && (there.facts.flags & VARY_INDEX) !== 0;
  const previous = isIndex ? readIndex((there as StoredResponse).fields) : undefined;
  const index = indexWith(previous, variant);
  store.put({
    key: primary,
    facts: { ...facts, flags: VARY_INDEX, keepMs: facts.keepMs + INDEX_KEEP_MS },
    reason: "",
    lines: Buffer.from(indexLines(index), "latin1"),
    body: NO_BODY,
    file: undefined,
  });
  return index;
}
