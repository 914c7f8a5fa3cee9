/**
 * Renewal: when is a certificate to be replaced, and when is a name that failed tried again?
 *
 * rule   pure: time and chance are parameters; a certificate's chance is its own, so that a restart changes no date
 * spec   RFC 9773 §4.2 (suggested window), RFC 8555 §6.6 (rate limits)
 */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Part of its life that a certificate is used without thought; Let's Encrypt advises two thirds. */
const USED_SHARE = 2 / 3;
/** Certificates that were issued together must not all be renewed in the same minute. */
const JITTER_SHARE = 1 / 20;
const FIRST_DELAY_MS = MINUTE_MS;
const LEAST_DELAY_MS = 15_000;
/** Renewal information is asked for so often, whatever the authority says (RFC 9773 §4.3.1). */
const LEAST_POLL_MS = 10 * MINUTE_MS;
const MOST_POLL_MS = DAY_MS;
const DEFAULT_POLL_MS = 6 * HOUR_MS;

export interface Lifetime {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** In [0, 1). */
  readonly chance: number;
}

/** When the authority would like a certificate to be replaced. */
export interface RenewalWindow {
  readonly startMs: number;
  readonly endMs: number;
}

/** The instant at which to renew: a moment of the authority's window, or two thirds of the life. */
export function renewAtMs(life: Lifetime, window: RenewalWindow | undefined): number {
  // a window past the end of the certificate would let it expire: no authority means that
  if (window !== undefined && window.startMs < life.notAfterMs) {
    const endMs = Math.min(window.endMs, life.notAfterMs);
    return window.startMs + life.chance * Math.max(0, endMs - window.startMs);
  }
  const lifetimeMs = life.notAfterMs - life.notBeforeMs;
  return life.notBeforeMs + lifetimeMs * (USED_SHARE - JITTER_SHARE * life.chance);
}

/**
 * How long to stay away after the n-th failure in a row: doubling from a minute to a day, full jitter.
 *
 * `leftMs`: what is left of the certificate's life; it shortens the longest wait, so that enough tries remain.
 */
export function backoffMs(failures: number, chance: number, leftMs: number | undefined): number {
  const most = leftMs === undefined ? DAY_MS : Math.min(DAY_MS, Math.max(HOUR_MS, leftMs / 8));
  const ceiling = Math.min(most, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 30));
  return LEAST_DELAY_MS + chance * (ceiling - LEAST_DELAY_MS);
}

/**
 * How long a new certificate is left alone, whatever its dates say: with a wrong clock here or there it could be due
 * for renewal the moment it comes, and the next one too.
 */
export function restMs(leftMs: number): number {
  return Math.min(DAY_MS, Math.max(MINUTE_MS, leftMs / 4));
}

/** How long an answer about renewal holds. */
export function pollMs(retryAfter: number): number {
  if (retryAfter === 0) return DEFAULT_POLL_MS;
  return Math.min(MOST_POLL_MS, Math.max(LEAST_POLL_MS, retryAfter));
}
