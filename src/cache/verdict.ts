/**
 * Verdicts: what the cache decides about a response and about a request, each with the row of the rule that made it so.
 *
 * why    `weir explain`, Cache-Status, metrics and logs tell the same reason by the same word
 */
import type { RuleCode } from "./rules.table.ts";

/** May this response be stored, and on which terms? */
export interface StoreVerdict {
  readonly isStorable: boolean;
  /** The rule that decided. */
  readonly rule: RuleCode;
  readonly lifetimeMs: number;
  readonly initialAgeMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** As in StoredFacts. */
  readonly flags: number;
  /** Lower-case names of fields that are not stored: what `private="…"`, `no-cache="…"` name, and hop-by-hop ones. */
  readonly dropped: readonly string[];
  readonly tags: readonly string[];
  readonly groups: readonly string[];
}

export type Use =
  /** It answers. */
  | "fresh"
  /** It answers, and is refreshed behind the client's back. */
  | "stale_refresh"
  /** It answers only after the endpoint has confirmed it. */
  | "validate"
  /** It cannot answer. */
  | "miss";

export interface ReuseVerdict {
  readonly use: Use;
  readonly rule: RuleCode;
  /** May it answer if the endpoint fails? */
  readonly mayServeOnError: boolean;
  /** Seconds until it is stale; negative once it is. */
  readonly ttlSec: number;
}
