/**
 * Check state: results of active checks → is the endpoint up, and when is it to be checked next?
 *
 * rule   `fall` failures in a row take an endpoint down, `rise` successes in a row bring it back; while nothing is
 *        known the first result decides alone. While a change is under way checks come at the fast interval, so that
 *        3 failures at 5 s do not take 15 s to be believed
 * in     time in ms, chance in [0, 1); the caller makes the checks, one at a time for each endpoint
 * spec   HAProxy's rise, fall, inter, fastinter and spread-checks
 */

/** Unknown: nothing has been checked, the endpoint is used until a check says otherwise. */
export type Verdict = "unknown" | "up" | "down";

/** Part of the interval by which it is longer or shorter at random, unless the rules say otherwise. */
export const CHECK_JITTER = 0.1;

export interface CheckRules {
  readonly intervalMs: number;
  /** While the verdict is about to change; at most `intervalMs`. */
  readonly fastIntervalMs: number;
  /** Part of the interval by which it is longer or shorter at random, 0 to 1; CHECK_JITTER unless given. */
  readonly jitter?: number;
  readonly rise: number;
  readonly fall: number;
  readonly initial: Verdict;
}

export class CheckState {
  readonly #rules: CheckRules;
  #verdict: Verdict;
  /** Results in a row that speak against the verdict. */
  #against = 0;
  #isFirst = true;

  constructor(rules: CheckRules, verdict: Verdict = rules.initial) {
    this.#rules = rules;
    this.#verdict = verdict;
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** Do the last results speak against the verdict? */
  get isChanging(): boolean {
    return this.#against > 0;
  }

  /** Takes a result; true when the verdict has changed by it. */
  note(isSuccess: boolean): boolean {
    const said: Verdict = isSuccess ? "up" : "down";
    if (this.#verdict === said) {
      this.#against = 0;
      return false;
    }
    this.#against++;
    if (this.#against < this.#needed(isSuccess)) return false;
    this.#verdict = said;
    this.#against = 0;
    return true;
  }

  #needed(isSuccess: boolean): number {
    if (this.#verdict === "unknown") return 1;
    return isSuccess ? this.#rules.rise : this.#rules.fall;
  }

  /** When the next check is due, after one that began at `beganAtMs` and whose result came at `nowMs`. */
  nextAtMs(beganAtMs: number, nowMs: number, chance: number): number {
    return Math.max(nowMs, beganAtMs + this.#delayMs(chance));
  }

  #delayMs(chance: number): number {
    const { intervalMs, fastIntervalMs, jitter = CHECK_JITTER } = this.#rules;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (this.isChanging) return jittered(fastIntervalMs, jitter, chance);
    // The first checks come close together; from the second on they lie anywhere in the interval.
    if (isFirst) return fastIntervalMs + (intervalMs - fastIntervalMs) * chance;
    return jittered(intervalMs, jitter, chance);
  }
}

/** `ms`, longer or shorter by at most that part of it; `ms` on average, so that jitter adds no checks. */
export function jittered(ms: number, jitter: number, chance: number): number {
  return ms * (1 + jitter * (2 * chance - 1));
}

/** One of the endpoints that begin to be checked together. */
export interface FirstCheck {
  readonly index: number;
  readonly count: number;
  readonly chance: number;
}

/** When the first check of an endpoint is due: all have one within a fast interval, evenly spread over it. */
export function firstCheckAtMs(startMs: number, rules: CheckRules, first: FirstCheck): number {
  const { index, count, chance } = first;
  return startMs + (rules.fastIntervalMs * (index + chance)) / Math.max(1, count);
}
