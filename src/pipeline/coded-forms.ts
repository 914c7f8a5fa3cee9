/**
 * Coded forms: which form of a stored response a client gets: the body as it came, or one that is kept in the coding that it
 * likes best.
 *
 * shape  the first client that takes a coding of a small response has it encoded, and that is kept. A larger body is encoded
 *        behind the clients' back once SOME have asked for it; so is, at the highest level, a small one that MANY ask for
 * rule   a form is used only when its record says that it was made of this response and this body
 * rule   ranges are of the bytes as they came; a 304 names the tag that the client holds, as far as that can be told
 * fails  whatever goes wrong with a form costs the form: the client's answer is encoded on its way
 * cost   a route without `compress`: one branch. A hit in a coding: one more look into the store
 * spec   RFC 9110 §8.4, §12.5.3
 */
import { codedKey, codedResponse, isCodedOf, strongTagOf, uncodedResponse } from "../cache/coded.ts";
import type { CacheStore, Cold } from "../cache/store.ts";
import { DENSE, NO_CACHE, type StoredResponse } from "../cache/stored.ts";
import { isNotModified } from "../cache/validate.ts";
import { newMemo } from "../core/answer-memo.ts";
import { defectText } from "../core/failure.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import { clock } from "../transport/clock.ts";
import { isAskedNotTo, isForCoding } from "./compress-head.ts";
import type { Compression } from "./compress-rules.ts";
import { bodyIdOf, type Form, type Forms, keepForm, type Wish } from "./form-wish.ts";
import type { Planned, Route, WantedForm } from "./plan.ts";
import { recode } from "./recode.ts";

/** Clients after whom a body that is not encoded while they wait is encoded apart. */
const SOME = 3;
/** Clients after whom a form that was made in haste is made anew. */
const MANY = 16;

/** A response that may be used for less is not worth a form. */
const LEAST_LIFE_MS = 1000;

const ACCEPT_ENCODING = fieldIdOf("accept-encoding");
const CONDITIONS = fieldMask("if-none-match", "if-modified-since");
const IF_NONE_MATCH = fieldIdOf("if-none-match");
const RANGE = fieldIdOf("range");

/** A coded record put together with the response that it is a form of. */
interface Pair {
  readonly of: Forms;
  readonly response: StoredResponse;
}

const FORMS = new WeakMap<StoredResponse, Forms>();
const PAIRS = new WeakMap<StoredResponse, Pair>();

/**
 * What the client gets, or would have.
 * out  a Wish for a coded form, to be looked for; or the response, settled where it can be told how it leaves
 */
export function formFor(
  exchange: Planned,
  store: CacheStore,
  stored: StoredResponse,
  compression: Compression,
): Wish | StoredResponse {
  const { requestFields, plan } = exchange;
  plan.form = undefined;
  plan.isSettled = false;
  if (requestFields.has(RANGE)) return stored;
  const forms = formsOf(stored, plan.route as Route, compression);
  if (!forms.isFit) return stored;
  const held = (requestFields.low & CONDITIONS.low) === 0 ? undefined : heldForm(exchange, forms, stored);
  if (held !== undefined) return held;
  if (isAskedNotTo(requestFields)) return stored;
  const { coding } = compression.choose(requestFields.joined(ACCEPT_ENCODING));
  if (coding === undefined) return settled(exchange, stored, plainOf(forms, stored));
  return { exchange, store, stored, forms, form: formOf(forms, stored, coding) };
}

/** For a 304, which speaks of the tag that the client holds. out  undefined: it holds something else */
function heldForm(exchange: Planned, forms: Forms, stored: StoredResponse): StoredResponse | undefined {
  const { requestFields, plan } = exchange;
  const held = formHeld(requestFields, forms, stored);
  if (!isNotModified(held ?? stored, requestFields, plan.services.epochMs + clock.nowMs)) return undefined;
  return held === undefined ? stored : settled(exchange, stored, held);
}

/** out  undefined when it names several tags, and nobody knows which it holds */
function formHeld(request: Fields, forms: Forms, stored: StoredResponse): StoredResponse | undefined {
  const index = request.indexOf(IF_NONE_MATCH);
  if (index === -1 || forms.tag === "") return plainOf(forms, stored);
  if (request.isRepeated(IF_NONE_MATCH)) return undefined;
  if (request.isValue(index, forms.tag)) return plainOf(forms, stored);
  return request.isValue(index, forms.weakTag) ? weakOf(forms, stored) : undefined;
}

/** Nothing more is to be said about it, unless the route says it. */
function settled(exchange: Planned, stored: StoredResponse, form: StoredResponse): StoredResponse {
  const { plan } = exchange;
  if (plan.route?.responseEdits !== undefined) return stored;
  plan.isSettled = true;
  shareAnswers(form, stored);
  return form;
}

function plainOf(forms: Forms, stored: StoredResponse): StoredResponse {
  forms.plain ??= uncodedResponse(stored, false);
  return forms.plain;
}

function weakOf(forms: Forms, stored: StoredResponse): StoredResponse {
  forms.weak ??= uncodedResponse(stored, true);
  return forms.weak;
}

function formsOf(stored: StoredResponse, route: Route, compression: Compression): Forms {
  const known = FORMS.get(stored);
  if (known?.route === route) return known;
  const isFit = isLasting(stored) && isForCoding(stored, compression, route.responseEdits);
  const tag = strongTagOf(stored.fields);
  const forms: Forms = {
    route,
    isFit,
    of: new Map(),
    tag,
    weakTag: `W/${tag}`,
    plain: undefined,
    weak: undefined,
    bodyId: undefined,
  };
  FORMS.set(stored, forms);
  return forms;
}

/** What is confirmed before nearly each use is another response then, and would be encoded anew as often. */
function isLasting({ facts }: StoredResponse): boolean {
  const { flags, lifetimeMs, staleWhileRevalidateMs } = facts;
  return (flags & NO_CACHE) === 0 && lifetimeMs + staleWhileRevalidateMs >= LEAST_LIFE_MS;
}

function formOf(forms: Forms, { key }: StoredResponse, coding: Coding): Form {
  const known = forms.of.get(coding);
  if (known !== undefined) return known;
  const form = { coding, key: codedKey(key, coding), uses: 0, isVain: false, isTried: false };
  forms.of.set(coding, form);
  return form;
}

/** The form, if it is stored. out  Cold = it has to be read, and then shown to `fitting` */
export function findForm(wish: Wish, nowMs: number): StoredResponse | Cold | undefined {
  const { store, form, exchange } = wish;
  form.uses++;
  if (form.isVain) {
    exchange.plan.form = new FormToKeep(wish);
    return undefined;
  }
  try {
    const found = store.find(form.key, nowMs);
    return found !== undefined && "isCold" in found ? found : fitting(wish, found);
  } catch (defect) {
    exchange.plan.services.report(defectText(defect));
    return undefined;
  }
}

/** in  what stands under the form's key. out  the answer, if that is of this response */
export function fitting(wish: Wish, found: StoredResponse | undefined): StoredResponse | undefined {
  const response = found === undefined ? undefined : pairOf(wish, found);
  if (found === undefined || response === undefined) {
    want(wish);
    return undefined;
  }
  const { form, exchange, stored } = wish;
  if (form.uses >= MANY && !form.isTried) makeDense(wish, found);
  exchange.plan.isSettled = true;
  shareAnswers(response, stored);
  return response;
}

function pairOf(wish: Wish, found: StoredResponse): StoredResponse | undefined {
  const { stored, forms, form } = wish;
  const known = PAIRS.get(found);
  if (known?.of === forms) return known.response;
  if (!isCodedOf(found, stored, bodyIdOf(wish))) return undefined;
  const response = codedResponse(stored, found, form.coding);
  PAIRS.set(found, { of: forms, response });
  return response;
}

/** Age and Cache-Status are those of the response; the bytes that go with them are not. */
function shareAnswers(form: StoredResponse, { answers }: StoredResponse): void {
  if (answers === undefined) return;
  if (form.answers?.lines === answers.lines && form.answers.site === answers.site) return;
  form.answers = { ...answers, whole: newMemo(), notModified: newMemo() };
}

/** It is not there: the client's own answer becomes it, or it is made apart. */
function want(wish: Wish): void {
  const { exchange, stored, form } = wish;
  if (stored.body !== undefined) exchange.plan.form = new FormToKeep(wish);
  else if (form.uses >= SOME && !form.isTried) recode(wish);
}

/** What was made in haste, at a level that goes by the load, is worth more. */
function makeDense(wish: Wish, found: StoredResponse): void {
  const { form, forms } = wish;
  const isDone = (found.facts.flags & DENSE) !== 0 || IS_DENSE_AT_ONCE.has(form.coding);
  if (isDone || forms.route.compress?.config.level !== 0) form.isTried = true;
  else recode(wish, found);
}

/** Whole bodies are made as small by another library at the usual level. */
const IS_DENSE_AT_ONCE: ReadonlySet<Coding> = new Set(["gzip"]);

class FormToKeep implements WantedForm {
  readonly #wish: Wish;

  constructor(wish: Wish) {
    this.#wish = wish;
  }

  get isVain(): boolean {
    return this.#wish.form.isVain;
  }

  isOf(body: Buffer, coding: Coding): boolean {
    const { stored, form } = this.#wish;
    return body === stored.body && coding === form.coding;
  }

  keep(encoded: Buffer): void {
    try {
      keepForm(this.#wish, { body: encoded, file: undefined, isDense: false });
    } catch (defect) {
      this.#wish.exchange.plan.services.report(defectText(defect));
    }
  }

  giveUp(): void {
    this.#wish.form.isVain = true;
  }
}
