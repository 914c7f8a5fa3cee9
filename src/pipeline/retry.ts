/**
 * Retry: may a failed attempt be followed by another, where, and after how long?
 *
 * why    a request may be sent again only when the endpoint cannot have acted on it, or when acting twice does no harm;
 *        everything else is the client's to decide
 * rule   no connection: nothing was sent, so any method, at once, at another endpoint. A pooled connection that turned
 *        out to be closed, or a stream that the endpoint says it has not begun: the same endpoint, on a new connection.
 *        After a reset, a time-out or a status, where the route says so: methods it names, a body that is still here,
 *        something left in the budget
 * out    ms to wait before the next attempt, or NO_TRY
 * spec   RFC 9110 §9.2.2, §10.2.3, RFC 9112 §9.3.1, RFC 9113 §8.7
 */
import { BODY_NONE } from "../core/body.ts";
import type { Failure, FailureCode } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { parseRetryAfter } from "../protocol/retry-after.ts";
import { clock } from "../transport/clock.ts";
import type { Planned, Route } from "./plan.ts";
import type { RetryRules } from "./retry-rules.ts";

export const NO_TRY = -1;

type Reason = "connect" | "stale" | "refused" | "reset" | "timeout";

/** Failures before the response head, by what they say of the request; the others end it. */
const REASONS: Partial<Record<FailureCode, Reason>> = {
  connect_refused: "connect",
  connect_timeout: "connect",
  name_unresolved: "connect",
  tls_failed: "connect",
  stale_connection: "stale",
  stream_refused: "refused",
  upstream_reset: "reset",
  response_timeout: "timeout",
};
/** The same of an answer that is held until it is whole: the client knows nothing of it yet. */
const HELD_REASONS: Partial<Record<FailureCode, Reason>> = {
  upstream_cut: "reset",
  h1_response_chunk: "reset",
  upstream_idle: "timeout",
};
/** A pooled connection that is closed is replaced for these, whatever the route says (RFC 9112 §9.3.1). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"]);
/** Somebody is there and says no, which may pass soon; the others took long, or will take long to change. */
const PASSING: ReadonlySet<FailureCode> = new Set(["connect_refused", "upstream_reset", "response_timeout"]);
const RETRY_AFTER = fieldIdOf("retry-after");
const AT = ROUTE.at;

/** The attempt has failed with no byte of an answer sent to the client. */
export function tryAfterFailure(exchange: Planned, failure: Failure): number {
  const { plan } = exchange;
  const route = plan.route as Route;
  if (!mayTry(exchange, route.retry)) return NO_TRY;
  const isHeld = plan.again?.held !== undefined;
  const reason = REASONS[failure.code] ?? (isHeld ? HELD_REASONS[failure.code] : undefined);
  plan.failed = failure;
  switch (reason) {
    case undefined:
      return NO_TRY;
    case "connect":
      return route.retry.onConnect ? elsewhere(exchange, failure) : NO_TRY;
    case "stale":
    case "refused":
      return onFreshConnection(exchange, route.retry, reason);
    default:
      return isAsked(route.retry, reason) ? afterEffort(exchange, route, reason) : NO_TRY;
  }
}

/** The endpoint has answered, and the client does not know yet. */
export function tryAfterAnswer(exchange: Planned): number {
  const { plan, status } = exchange;
  const route = plan.route as Route;
  if (route.retry.statuses?.has(status) !== true || !mayTry(exchange, route.retry)) return NO_TRY;
  plan.failed = undefined;
  return afterEffort(exchange, route, "status");
}

function mayTry(exchange: Planned, rules: RetryRules): boolean {
  const { plan } = exchange;
  return plan.attempts < rules.attempts && !exchange.isHeadSent && !plan.isRequestBroken;
}

function isAsked(rules: RetryRules, reason: "reset" | "timeout"): boolean {
  return reason === "reset" ? rules.onReset : rules.onTimeout;
}

// ── where nothing was begun ──

function onFreshConnection(exchange: Planned, rules: RetryRules, reason: "stale" | "refused"): number {
  const { plan } = exchange;
  plan.isFreshRetry = reason === "refused" || isRepeatableAsIs(exchange) || isRepeatable(exchange, rules);
  if (!plan.isFreshRetry) return NO_TRY;
  count(exchange, AT.retriesStale);
  return 0;
}

function isRepeatableAsIs(exchange: Planned): boolean {
  return !hasBody(exchange) && IDEMPOTENT.has(exchange.method);
}

/** There was no connection. The same endpoint is asked again only when there is no other, and after a while. */
function elsewhere(exchange: Planned, failure: Failure): number {
  strike(exchange);
  let delayMs = 0;
  if (!hasOther(exchange)) {
    delayMs = PASSING.has(failure.code) ? waitFor(exchange, 0) : NO_TRY;
  }
  if (delayMs !== NO_TRY) count(exchange, AT.retriesConnect);
  return delayMs;
}

// ── where something may have been begun ──

const COUNTED = { reset: AT.retriesReset, timeout: AT.retriesTimeout, status: AT.retriesStatus } as const;

function afterEffort(exchange: Planned, route: Route, reason: keyof typeof COUNTED): number {
  if (!isRepeatable(exchange, route.retry)) {
    count(exchange, AT.unrepeatable);
    return NO_TRY;
  }
  const delayMs = waitFor(exchange, reason === "status" ? askedMs(exchange) : 0);
  if (delayMs === NO_TRY || !withdraw(exchange)) return NO_TRY;
  strike(exchange);
  count(exchange, COUNTED[reason]);
  return delayMs;
}

/** May the request be sent again although the endpoint may have begun with it? */
export function isRepeatable(exchange: Planned, rules: RetryRules): boolean {
  const isBodyHere = !hasBody(exchange) || exchange.plan.again?.body?.isWhole === true;
  return isBodyHere && rules.budgets !== undefined && rules.methods.has(exchange.method);
}

export function hasBody({ requestBodyKind, requestBodyLength }: Planned): boolean {
  return requestBodyKind !== BODY_NONE && requestBodyLength !== 0;
}

/** Takes a repeat out of the budget of the upstream; false when there is none left. */
export function withdraw(exchange: Planned): boolean {
  const { upstream, route } = exchange.plan;
  const budget = route?.retry.budgets?.get(upstream?.name ?? "");
  if (budget?.withdraw(clock.nowMs) === true) return true;
  count(exchange, AT.budgetEmpty);
  return false;
}

/** What was taken out was not used. */
export function refund({ plan: { upstream, route } }: Planned): void {
  route?.retry.budgets?.get(upstream?.name ?? "")?.refund(clock.nowMs);
}

// ── how long ──

/** Full jitter: by chance between 0 and a bound that doubles, but not before `leastMs`; NO_TRY past the time there is. */
function waitFor(exchange: Planned, leastMs: number): number {
  const { plan, deadlineMs } = exchange;
  const { backoffMs, maxBackoffMs } = (plan.route as Route).retry;
  if (leastMs > maxBackoffMs) return NO_TRY;
  const bound = Math.min(maxBackoffMs, backoffMs * 2 ** (plan.attempts - 1));
  const delayMs = Math.max(leastMs, Math.round(plan.services.chance() * bound));
  return clock.nowMs + delayMs < deadlineMs ? delayMs : NO_TRY;
}

/** What the answer itself asks for: it is passed on rather than disregarded when that is too long. */
function askedMs({ responseFields: fields, plan }: Planned): number {
  const value = fields.get(RETRY_AFTER);
  return value === undefined ? 0 : parseRetryAfter(value, plan.services.epochMs + clock.nowMs);
}

// ── where ──

/** The endpoint of this attempt is asked again only when no other is left. */
export function strike({ plan }: Planned): void {
  const { upstream, endpointIndex } = plan;
  if (upstream === undefined || endpointIndex === -1) return;
  plan.excluded ??= new Uint8Array(upstream.endpoints.length);
  plan.excluded[endpointIndex] = 1;
}

/** Is there an endpoint that this exchange has not tried? Asking moves nobody's turn. */
function hasOther(exchange: Planned): boolean {
  const { upstream, excluded } = exchange.plan;
  return (upstream?.chooser.choose(exchange, excluded) ?? -1) !== -1;
}

/** All are struck off: may one be asked that was asked before? */
export function mayGoBack({ failed }: { readonly failed: Failure | undefined }): boolean {
  return failed === undefined || PASSING.has(failed.code) || HELD_REASONS[failed.code] !== undefined;
}

function count({ plan }: Planned, offset: number): void {
  const { counters } = plan.services;
  const at = (plan.route as Route).slot + offset;
  counters[at] = (counters[at] as number) + 1;
}
