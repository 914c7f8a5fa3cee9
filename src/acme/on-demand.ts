/**
 * On demand: may a name that a client asked for get a certificate?
 *
 * why    anybody can ask for any name: what is not allowed by the configuration never leaves this machine, and what
 *        is allowed is bounded, or a client with a word list uses up the authority's limits for everybody
 * bound  ten new names an hour and a thousand in all, for each listener. Let's Encrypt gives 50 certificates a week
 *        for a registered domain and 300 orders in three hours for an account.
 */
const HOUR_MS = 3600_000;
const NEW_AN_HOUR = 10;
export const MAX_ON_DEMAND = 1000;

/** `*.example.com` stands for exactly one label. */
export function isAllowed(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) =>
    pattern.startsWith("*.") ? name.slice(name.indexOf(".") + 1) === pattern.slice(2) : name === pattern,
  );
}

/** Counts new names of one listener. */
export class NewNames {
  #takenAtMs: number[] = [];
  #saidAtMs = Number.NEGATIVE_INFINITY;

  /** True when one more may be ordered now; that counts as one. */
  take(nowMs: number): boolean {
    this.#takenAtMs = this.#takenAtMs.filter((atMs) => atMs > nowMs - HOUR_MS && atMs <= nowMs);
    if (this.#takenAtMs.length >= NEW_AN_HOUR) return false;
    this.#takenAtMs.push(nowMs);
    return true;
  }

  /** True once an hour: whoever makes us refuse must not fill our log. */
  maySay(nowMs: number): boolean {
    if (Math.abs(nowMs - this.#saidAtMs) < HOUR_MS) return false;
    this.#saidAtMs = nowMs;
    return true;
  }
}
