/**
 * Retry: may a failed attempt be followed by another, and where?
 *
 * why    a request may be sent again only when the endpoint cannot have acted on it, or when acting twice
 *        does no harm; everything else is the client's to decide
 * rule   nothing sent (no connection): another endpoint, any method; a pooled connection that turned out to
 *        be closed: the same endpoint on a new connection, idempotent methods without a body; a stream that the endpoint
 *        says it has not begun: likewise, any method (the session says so only while it has the whole request)
 * spec   RFC 9110 §9.2.2, RFC 9112 §9.3.1, RFC 9113 §8.7
 */
import { BODY_NONE } from "../core/body.ts";
import type { Failure } from "../core/failure.ts";
import type { Planned } from "./plan.ts";

/** The first attempt and two more: enough to pass two dead endpoints, bounded for a dead upstream. */
const MAX_ATTEMPTS = 3;
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"]);
/** Without a connection nothing can have been sent. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "connect_refused",
  "connect_timeout",
  "name_unresolved",
  "tls_failed",
]);

/** Prepares the next attempt. out  true when phase `choose` shall run again */
export function prepareRetry(exchange: Planned, failure: Failure): boolean {
  const { plan } = exchange;
  if (plan.attempts >= MAX_ATTEMPTS || exchange.isHeadSent || plan.isRequestBroken) return false;
  if (failure.retry === "same") {
    plan.isFreshRetry = failure.code === "stream_refused" || isRepeatable(exchange);
    return plan.isFreshRetry;
  }
  return failure.retry === "other" && NEVER_SENT.has(failure.code) && excludeEndpoint(exchange);
}

function isRepeatable(exchange: Planned): boolean {
  const hasBody = exchange.requestBodyKind !== BODY_NONE && exchange.requestBodyLength !== 0;
  return !hasBody && IDEMPOTENT.has(exchange.method);
}

/** out  false when no other endpoint is left */
function excludeEndpoint(exchange: Planned): boolean {
  const { plan } = exchange;
  const { upstream, endpoint } = plan;
  if (upstream === undefined || endpoint === undefined) return false;
  plan.excluded ??= new Uint8Array(upstream.endpoints.length);
  plan.excluded[upstream.endpoints.indexOf(endpoint)] = 1;
  return plan.excluded.includes(0);
}
