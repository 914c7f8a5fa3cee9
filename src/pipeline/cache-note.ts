/**
 * Cache note: what the cache did for one exchange, and which rule made it so: for Cache-Status, the log and the counters.
 *
 * spec   RFC 9111 §5.1 (Age), RFC 9211 (Cache-Status)
 */
import { type CacheOutcome, cacheStatusLine, type Forwarded, hitStatusLine } from "../cache/cache-status.ts";
import { NO_REQUEST_DIRECTIVES, type RequestDirectives } from "../cache/directives.ts";
import type { RuleCode } from "../cache/rules.table.ts";
import type { CacheStore } from "../cache/store.ts";
import { ageOf, type KeptAnswers, type StoredResponse } from "../cache/stored.ts";
import { newMemo } from "../core/answer-memo.ts";
import type { Fields } from "../core/fields.ts";
import type { CacheResult } from "../observe/metrics.table.ts";

/** A dry run of the cache: `cache-dry.ts` fulfils it. */
export interface DryWatch {
  /** The endpoint's head is here, as it came. */
  judge(): void;
  /** The body that follows comes by it. */
  follow(): void;
}

/** What has to be known of a POST, as its client sent it, to keep its answer: `post-fill.ts` fulfils it. */
export interface AskedPost {
  readonly store: CacheStore;
  /** Key that a GET of the same URL would have. */
  readonly primary: string;
  readonly asked: Fields;
  /** The board's clock when it began, and how many purges were on their way then. */
  readonly mark: number;
  readonly pending: number;
}

export class CacheNote {
  /** A miss until it turns out better. */
  result: CacheResult = "miss";
  rule: RuleCode = "miss";
  /** Where the answer is looked for: under the URL's key, and that of the variant, "" = there are none. */
  key = "";
  variant = "";
  directives: RequestDirectives = NO_REQUEST_DIRECTIVES;
  /** It got the answer that another request had asked for. */
  isCollapsed = false;
  /** The attempts were those of a fetch, which counts them. */
  isFetched = false;
  /** What is stored may stand in for an endpoint that fails. */
  mayServeOnError = false;
  /** Times that it waited for somebody else's fetch in vain. */
  rounds = 0;
  /** A POST, whose answer may be worth keeping. */
  post: AskedPost | undefined;
  /** Watches the answer in a dry run. */
  dry: DryWatch | undefined;
  /** Field lines for the answer: Age and Cache-Status. */
  lines = "";
  /** Why an endpoint has to be asked. */
  #forwarded: Forwarded = "uri-miss";
  /** Cache-Status is told. */
  readonly #isTold: boolean;

  constructor(isTold: boolean) {
    this.#isTold = isTold;
  }

  /** Where what is stored for the request stands, or would stand. */
  get place(): string {
    return this.variant === "" ? this.key : this.variant;
  }

  /** It looks, for the first time or again. */
  begins(): void {
    this.variant = "";
    this.rule = "miss";
    this.mayServeOnError = false;
  }

  /** The cache is not asked. */
  bypass(rule: RuleCode): void {
    this.result = "bypass";
    this.rule = rule;
    this.#tell({ forwarded: rule === "bypass_method" ? "method" : "bypass", rule });
  }

  /** An endpoint has to be asked; what `rule` says decided it. */
  forwards(why: Forwarded): void {
    this.result = "miss";
    this.#forwarded = why;
    this.lines = "";
    this.#tell({ forwarded: why, rule: this.rule === "miss" ? undefined : this.rule });
  }

  /** What is stored answers, without an endpoint. */
  // biome-ignore lint/complexity/useMaxParams: what was found, why it answers, when and by whose rules
  hits(stored: StoredResponse, rule: RuleCode, ttlSec: number, nowMs: number, site: unknown): void {
    this.rule = rule;
    this.result = ttlSec >= 0 ? "hit" : "stale";
    if (rule === "fresh") this.lines = this.#keptAnswers(stored, ttlSec, nowMs, site).lines;
    else {
      this.lines = ageLine(stored, nowMs);
      this.#tell({ ttlSec, rule });
    }
  }

  /** Those of this second, made by the first hit. */
  #keptAnswers(stored: StoredResponse, ttlSec: number, nowMs: number, site: unknown): KeptAnswers {
    const ageSec = Math.floor(ageOf(stored.facts, nowMs) / 1000);
    const { answers } = stored;
    if (answers?.ageSec === ageSec && answers.ttlSec === ttlSec && answers.site === site) return answers;
    const lines = ageLine(stored, nowMs) + (this.#isTold ? hitStatusLine(ttlSec) : "");
    const kept = { ageSec, ttlSec, lines, site, whole: newMemo(), notModified: newMemo(), range: undefined };
    stored.answers = kept;
    return kept;
  }

  /** It answers although an endpoint was asked: confirmed by it, or in its place. */
  answersFor(stored: StoredResponse, result: "revalidated" | "stale", status: number, nowMs: number): void {
    this.result = result;
    this.rule = result === "stale" ? "stale_if_error" : "validated";
    this.lines = ageLine(stored, nowMs);
    const ttlSec = leftSec(stored, nowMs);
    this.#tell({ forwarded: this.#forwarded, endpointStatus: status, ttlSec, rule: this.rule });
  }

  /** The endpoint's answer, which is stored for others. */
  stores(stored: StoredResponse, isCollapsed: boolean, hasAge: boolean, nowMs: number): void {
    this.isCollapsed = isCollapsed;
    if (isCollapsed) this.result = "hit";
    // who came first has the endpoint's own answer: its age is only told where a cache before us told one (§5.1)
    this.lines = isCollapsed || hasAge ? ageLine(stored, nowMs) : "";
    this.#tell({ forwarded: this.#forwarded, ttlSec: leftSec(stored, nowMs), isStored: true, isCollapsed });
  }

  /** The endpoint's answer to a POST, which is stored for those who GET the same. */
  storesPost(stored: StoredResponse, nowMs: number): void {
    this.lines = "";
    this.#tell({ forwarded: "method", ttlSec: leftSec(stored, nowMs), isStored: true });
  }

  /** The endpoint's answer, for this client alone. */
  passes(rule: RuleCode): void {
    this.rule = rule;
    this.lines = "";
    this.#tell({ forwarded: this.#forwarded, rule });
  }

  #tell(outcome: Partial<CacheOutcome>): void {
    if (this.#isTold) this.lines += cacheStatusLine({ ...NOTHING_TOLD, ...outcome });
  }
}

const NOTHING_TOLD: CacheOutcome = {
  forwarded: undefined,
  endpointStatus: 0,
  ttlSec: undefined,
  isStored: false,
  isCollapsed: false,
  rule: undefined,
};

function leftSec({ facts }: StoredResponse, nowMs: number): number {
  return Math.floor((facts.lifetimeMs - ageOf(facts, nowMs)) / 1000);
}

/** Most ages are small: their lines are made once. */
const AGES: string[] = [];
const MAX_AGES = 4096;

function ageLine({ facts }: StoredResponse, nowMs: number): string {
  const sec = Math.floor(ageOf(facts, nowMs) / 1000);
  if (sec >= MAX_AGES) return `Age: ${sec}\r\n`;
  AGES[sec] ??= `Age: ${sec}\r\n`;
  return AGES[sec];
}
