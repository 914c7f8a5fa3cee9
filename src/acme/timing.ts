/**
 * Timing: time and chance as ACME uses them, real or driven by a test.
 */
import { Trouble } from "./trouble.ts";

export interface Timing {
  /** ms since the epoch: certificates are dated by the wall clock. */
  nowMs(): number;
  /** Runs something once after a delay. out  calls it off */
  after(delayMs: number, run: () => void): () => void;
  /** A number in [0, 1). */
  random(): number;
}

export const REAL_TIMING: Timing = {
  nowMs: Date.now,
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Settles after a delay. Throws the signal's reason, as trouble, when that comes first. */
export function wait(timing: Timing, delayMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(lateness(signal));
  if (signal.aborted) stop();
  const cancel = timing.after(delayMs, resolve);
  signal.addEventListener("abort", stop, { once: true });
  return promise.finally(() => {
    cancel();
    signal.removeEventListener("abort", stop);
  });
}

/** What an aborted signal means. */
export function lateness(signal: AbortSignal): Trouble {
  const { reason } = signal;
  if (reason instanceof Trouble) return reason;
  return new Trouble("late", reason instanceof Error ? reason.message : "given up");
}

/**
 * Value of Retry-After: seconds, or a date (RFC 9110 §10.2.3).
 *
 * out    ms from now, at most `maxMs`; 0 when there is none, or none that makes sense
 */
export function retryAfterMs(value: string | null, nowMs: number, maxMs: number): number {
  if (value === null) return 0;
  const text = value.trim();
  const delayMs = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(delayMs) && delayMs > 0 ? Math.min(delayMs, maxMs) : 0;
}
