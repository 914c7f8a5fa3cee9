/**
 * Statuses that send a client elsewhere (RFC 9110 §15.4).
 */
import type { Place } from "../problem.ts";

const REDIRECT_STATUSES = [301, 302, 303, 307, 308];

/** False after saying so at `place`. */
export function isRedirectStatus(status: number, place: Place): boolean {
  if (REDIRECT_STATUSES.includes(status)) return true;
  place.error(`${status} is no redirect`, `Use ${REDIRECT_STATUSES.join(", ")}.`);
  return false;
}
