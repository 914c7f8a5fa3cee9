/**
 * Request timeout: how long whoever asks will wait for the answer, in `X-Request-Timeout`, in ms.
 *
 * why    work that goes on after nobody waits for it any more is lost; who knows the time left can stop, and can pass it
 *        on. gRPC has `grpc-timeout` for this, HTTP has nothing of its own
 * rule   a client may shorten the time that its route gives it, never prolong it
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";

const REQUEST_TIMEOUT = fieldIdOf("x-request-timeout");

/** Infinite when the client does not say so, or not in a way that is one. */
export function requestTimeoutMs(fields: Fields): number {
  const value = fields.get(REQUEST_TIMEOUT) ?? "";
  return /^\d{1,9}$/.test(value) && Number(value) > 0 ? Number(value) : Number.POSITIVE_INFINITY;
}

/** The line that tells an endpoint how much of the time is left: never more than there is. */
export function requestTimeoutLine(leftMs: number): string {
  return `X-Request-Timeout: ${Math.max(1, Math.floor(leftMs))}\r\n`;
}
