/**
 * Retry-After: how long a server asks to be left alone.
 *
 * out    ms from now; 0 when the value makes no sense, or lies in the past
 * spec   RFC 9110 §10.2.3: seconds, or a date
 */
import { parseHttpDate } from "./http-date.ts";

export function parseRetryAfter(value: string, nowMs: number): number {
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const instant = parseHttpDate(value, nowMs);
  return instant === undefined ? 0 : Math.max(0, instant - nowMs);
}
