/**
 * Trailer fields: which fields may not come after the body, whatever the HTTP version.
 *
 * why    framing, routing and trust are settled by then: a field that would decide about them comes too late, and
 *        endpoints that merge trailers into the head would believe it
 * spec   RFC 9110 §6.5.1
 */
import { type FieldMask, fieldMask } from "../core/field-names.ts";

/** Every known name in the low word, credentials, cookies, what describes the body, and claims about the client. */
export const NO_TRAILERS: FieldMask = {
  low: -1,
  high: fieldMask(
    "set-cookie",
    "authorization",
    "content-type",
    "content-encoding",
    "cache-control",
    "location",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "client certificate",
    "underscored",
  ).high,
};
