/**
 * Cache, dry: what the cache would have done with an exchange, which goes to its endpoint as if there were none.
 *
 * why    a rule for caching is best tried on real traffic, where a wrong one gives a person somebody else's page: here it
 *        only counts that it would have
 * shape  what would be stored leaves a record with the digest of its body. A later request that it would have answered
 *        is a hit; when the endpoint then sends something else, one that differed
 * rule   nothing of the exchange changes: neither the request, nor whom it waits for, nor a byte of the answer
 * note   records are small, so nothing is evicted as early as it would be; one on a disk is not read, and counts as none
 * spec   RFC 9111 §3, §4
 */
import { createHash, type Hash } from "node:crypto";
import { urlOfKey } from "../cache/key.ts";
import { judgeReuse } from "../cache/reuse.ts";
import { judgeResponse } from "../cache/storable.ts";
import type { CacheStore, Cold } from "../cache/store.ts";
import { ageOf, DRY, SHAREABLE, type StoredResponse, VARY_INDEX } from "../cache/stored.ts";
import { variantKey, variantKeyOf, varyNames } from "../cache/vary.ts";
import type { StoreVerdict } from "../cache/verdict.ts";
import { BODY_LENGTH, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { countDry } from "./cache-counters.ts";
import type { CacheNote } from "./cache-note.ts";
import { authorityOf, isAuthorized } from "./cache-rules.ts";
import { keptFacts, putIndex } from "./kept-facts.ts";
import type { CacheRules, Coder, Planned } from "./plan.ts";
import { wallOf } from "./serve-stored.ts";

const CONTENT_TYPE = fieldIdOf("content-type");
const NOTHING = Buffer.alloc(0);
/** Answers to a condition or a range: they are neither stored nor like what would be. */
const NOT_WHOLE: ReadonlySet<number> = new Set([206, 304, 416]);

/** What a dry look needs. */
export interface DryLook {
  readonly exchange: Planned;
  readonly store: CacheStore;
  readonly rules: CacheRules;
  readonly note: CacheNote;
}

/** Phase lookup: would something have answered? The exchange goes on to `choose` in any case. */
export function lookDry(look: DryLook): void {
  const { exchange, note } = look;
  note.bypass("dry");
  const found = findDry(look);
  const isHit = found !== undefined && wouldAnswer(look, found);
  if (isHit) countDry(exchange, "hit");
  note.dry = new DryRun(look, isHit ? found : undefined);
}

function findDry({ exchange, store, rules, note }: DryLook): StoredResponse | undefined {
  const nowMs = wallOf(exchange);
  const first = inMemory(store.find(note.key, nowMs));
  if (first === undefined || (first.facts.flags & VARY_INDEX) === 0) return first;
  const key = variantKey(note.key, first.fields, exchange.requestFields, rules.policy.vary);
  return inMemory(store.find(key, nowMs));
}

const inMemory = (found: StoredResponse | Cold | undefined): StoredResponse | undefined =>
  found === undefined || "isCold" in found ? undefined : found;

function wouldAnswer({ exchange, store, note }: DryLook, found: StoredResponse): boolean {
  const { facts } = found;
  if ((facts.flags & DRY) === 0) return false;
  const { use } = judgeReuse(
    { method: exchange.method, isAuthorized: isAuthorized(exchange), directives: note.directives },
    { facts: { ...facts, flags: facts.flags & ~DRY } },
    store.board.stateOf(facts, urlOfKey(note.key)),
    wallOf(exchange),
  );
  return use === "fresh" || use === "stale_refresh";
}

/** Watches one answer on its way to the client. */
export class DryRun implements Coder {
  readonly #look: DryLook;
  /** The record that would have answered. */
  readonly #expected: StoredResponse | undefined;
  /** Of the request as the client sent it. */
  readonly #asked: Fields;
  /** The board's clock when it began. */
  readonly #mark: number;
  #verdict: StoreVerdict | undefined;
  #varies: readonly string[] = [];
  /** Of the answer as it came, where it varies. */
  #came: Fields | undefined;
  #digest: Hash | undefined;
  #length = 0;
  /** What codes the body on its way, behind us. */
  #next: Coder | undefined;

  constructor(look: DryLook, expected: StoredResponse | undefined) {
    this.#look = look;
    this.#expected = expected;
    this.#asked = look.exchange.requestFields.copy();
    this.#mark = look.store.board.clock;
  }

  /** Phase answer: the endpoint's head is here, as it came. */
  judge(): void {
    const { exchange, rules } = this.#look;
    const { status, method, plan, responseFields: fields, first, firstStart, firstEnd } = exchange;
    if (method !== "GET" || NOT_WHOLE.has(status) || plan.web !== undefined) return;
    this.#verdict = this.#judged();
    const varies = varyNames(fields, rules.policy.vary);
    this.#varies = varies === "*" ? [] : varies;
    if (this.#varies.length > 0) this.#came = fields.copy();
    this.#digest = createHash("sha256").update(`${status} ${fields.get(CONTENT_TYPE) ?? ""}\n`);
    if (first !== undefined) this.#see(first.subarray(firstStart, firstEnd));
    if (plan.isEnd) this.#settle();
  }

  #judged(): StoreVerdict {
    const { exchange, rules, note } = this.#look;
    const { method, path, query, status, downstream, responseFields: fields, plan } = exchange;
    const { epochMs, chance } = plan.services;
    const verdict = judgeResponse(
      {
        method,
        url: `${downstream.scheme}://${authorityOf(exchange)}${path}${query === "" ? "" : `?${query}`}`,
        path,
        hasBody: false,
        fields: this.#asked,
        directives: note.directives,
      },
      {
        status,
        fields,
        declaredBytes:
          exchange.responseBodyKind === BODY_LENGTH ? exchange.responseBodyLength : LENGTH_UNKNOWN,
        requestedAtMs: epochMs + exchange.sentAtMs,
        respondedAtMs: wallOf(exchange),
      },
      rules.policy,
      chance(),
    );
    const isForOne = isAuthorized(exchange) && (verdict.flags & SHAREABLE) === 0;
    return verdict.isStorable && isForOne
      ? { ...verdict, isStorable: false, rule: "authorization" }
      : verdict;
  }

  /** Phase answer: the body that follows comes by here, before what codes it for the client. */
  follow(): void {
    const { plan } = this.#look.exchange;
    if (this.#digest === undefined) return;
    this.#next = plan.coder;
    plan.coder = this;
  }

  take(bytes: Buffer): void {
    this.#see(bytes);
    const { exchange } = this.#look;
    if (this.#next !== undefined) this.#next.take(bytes);
    else if (!exchange.downstream.sendBody(exchange, bytes)) exchange.upstream?.pauseResponse();
  }

  end(trailers: string): void {
    this.#settle();
    const { exchange } = this.#look;
    if (this.#next !== undefined) this.#next.end(trailers);
    else exchange.downstream.sendEnd(exchange, trailers);
  }

  blocked(): void {
    this.#next?.blocked();
  }

  drained(): void {
    if (this.#next !== undefined) this.#next.drained();
    else this.#look.exchange.upstream?.resumeResponse();
  }

  close(): void {
    this.#digest = undefined;
    this.#next?.close();
  }

  #see(bytes: Buffer): void {
    this.#digest?.update(bytes);
    this.#length += bytes.length;
  }

  /** The whole answer was seen. */
  #settle(): void {
    const { exchange } = this.#look;
    const digest = this.#digest?.digest();
    const verdict = this.#verdict;
    this.#digest = undefined;
    if (digest === undefined || verdict === undefined) return;
    const expected = this.#expected?.body;
    if (expected !== undefined && !digest.equals(expected)) countDry(exchange, "differed");
    if (expected !== undefined && !this.#isPast()) return;
    if (verdict.isStorable && this.#isWorthIt()) this.#store(verdict, digest);
  }

  /** It would have been refreshed. */
  #isPast(): boolean {
    const facts = this.#expected?.facts;
    return facts !== undefined && ageOf(facts, wallOf(this.#look.exchange)) >= facts.lifetimeMs;
  }

  #isWorthIt(): boolean {
    const { exchange, store, rules, note } = this.#look;
    const { minBytes, maxBytes, minUses } = rules.policy;
    const largest = Math.min(maxBytes, store.largestBodyBytes);
    if (this.#length < minBytes || this.#length > Math.max(largest, store.smallBytes)) return false;
    return minUses <= 1 || exchange.plan.services.fetches.countUse(note.key) >= minUses;
  }

  #store(verdict: StoreVerdict, digest: Buffer): void {
    const { exchange, store, rules, note } = this.#look;
    const kept = { exchange, primary: note.key, mark: this.#mark };
    const dry = { ...verdict, flags: verdict.flags | DRY };
    const facts = keptFacts(kept, store.board, dry, exchange.status);
    const record = { facts, reason: "", lines: NOTHING, body: digest, file: undefined };
    const { vary } = rules.policy;
    const variant = this.#came && { names: this.#varies, request: this.#asked, response: this.#came };
    const key =
      variant === undefined
        ? note.key
        : variantKeyOf(note.key, putIndex(store, note.key, facts, variant), this.#asked, vary);
    if (store.put({ ...record, key })) countDry(exchange, "stored");
  }
}
