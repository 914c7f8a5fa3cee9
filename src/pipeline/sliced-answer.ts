/**
 * Sliced answer: one slice of a large body is at hand, and tells enough of the whole to answer with it, or with a part.
 *
 * spec   RFC 9110 §13.2, §14.2
 */
import { identityOf, wholeKey } from "../cache/slice.ts";
import type { CacheStore } from "../cache/store.ts";
import type { StoredResponse } from "../cache/stored.ts";
import type { CacheNote } from "./cache-note.ts";
import type { FetchOrder } from "./fetch.ts";
import type { GrowingBody } from "./growing-body.ts";
import { asWhole } from "./part-fill.ts";
import type { SliceOrder } from "./part-order.ts";
import type { Planned } from "./plan.ts";
import { wallOf } from "./serve-stored.ts";
import { SliceSource } from "./slice-source.ts";
import { answerStored } from "./stored-answer.ts";

/** Where the slices come from. */
export interface SliceGiver {
  readonly store: CacheStore;
  readonly part: SliceOrder;
  readonly settle: FetchOrder["settle"];
  /** Of the slice, while it arrives. */
  readonly body: GrowingBody | undefined;
}

/** Sets all that phase `answer` needs; the body follows from phase `relay`. */
export function answerSliced(exchange: Planned, slice: StoredResponse, giver: SliceGiver): void {
  const { store, part, settle } = giver;
  const { completeLength } = slice.facts;
  const nowMs = wallOf(exchange);
  const source = new SliceSource({
    exchange,
    store,
    primary: (exchange.plan.cache as CacheNote).key,
    key: wholeKey(slice.key),
    sliceBytes: part.sliceBytes,
    length: completeLength,
    identity: identityOf(slice.fields, completeLength, nowMs),
    settle,
  });
  const whole = { ...asWhole(slice), body: undefined, file: undefined, bodyLength: completeLength };
  answerStored(exchange, whole, source, nowMs);
  const begun = giver.body ?? slice.body;
  if (begun !== undefined) source.begin(part.number, begun);
}
