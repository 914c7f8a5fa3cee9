/**
 * Form wish: that a client would have a stored response in a coding, and what this worker knows about such forms.
 *
 * bound  what is known about a response goes with its decoded object
 */
import { type CodedBody, codedRecord } from "../cache/coded.ts";
import type { CacheStore } from "../cache/store.ts";
import type { StoredResponse } from "../cache/stored.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import { bodySum } from "../transport/encoder.ts";
import type { Planned, Route } from "./plan.ts";

/** What is known about the forms of one stored response, by one route. */
export interface Forms {
  readonly route: Route;
  /** Its answers may be compressed, and it lives long enough. */
  readonly isFit: boolean;
  readonly of: Map<Coding, Form>;
  /** Its tag, if that is strong, else ""; and that of its coded forms. */
  readonly tag: string;
  readonly weakTag: string;
  /** As it leaves without a coding, and as a client with the weak tag knows it; made for the first who gets it so. */
  plain: StoredResponse | undefined;
  weak: StoredResponse | undefined;
  /** Names the body; undefined = nobody has asked. */
  bodyId: number | undefined;
}

/** One of them. */
export interface Form {
  readonly coding: Coding;
  readonly key: string;
  /** Clients that would have it. */
  uses: number;
  /** It would be no smaller than the body as it came. */
  isVain: boolean;
  /** It was made apart, or could not be. */
  isTried: boolean;
}

export interface Wish {
  readonly exchange: Planned;
  readonly store: CacheStore;
  readonly stored: StoredResponse;
  readonly forms: Forms;
  readonly form: Form;
}

const NO_BODY = Buffer.alloc(0);

/** Names the body of the response: files are numbered for good, others are told apart by what is in them. */
export function bodyIdOf({ stored, forms }: Wish): number {
  forms.bodyId ??= stored.file?.id ?? bodySum(stored.body ?? NO_BODY);
  return forms.bodyId;
}

/** out  false when the store has not taken it */
export function keepForm(wish: Wish, made: CodedBody): boolean {
  const { store, stored, form } = wish;
  return store.put(codedRecord(stored, form.coding, bodyIdOf(wish), made));
}
