/**
 * Cache rules: what a route says about caching, made ready for its requests: what is never asked of the cache, and under
 * which key the rest is looked for.
 *
 * why    a request that could change the answer by something that is not in the key must neither be answered from the cache
 *        nor fill it: that is how one user's page reaches another
 * cost   for a plain GET a few mask tests and one concatenation
 * spec   RFC 9111 §2, §3, §4; RFC 9110 §9.2.3
 */
import { cacheKey, forwardedKey } from "../cache/key.ts";
import type { CachePolicy, RequestTest } from "../cache/policy.ts";
import type { RuleCode } from "../cache/rules.table.ts";
import { BODY_NONE } from "../core/body.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import { cookieOf, parameterOf } from "../route/request-text.ts";
import type { CacheRules, Planned } from "./plan.ts";

export function compileCache(route: string, policy: CachePolicy | undefined): CacheRules | undefined {
  return policy === undefined ? undefined : { route, policy };
}

const STEERING = fieldMask("steering");
/** Preconditions that only the origin may judge (RFC 9111 §4.3.2), and what asks for more than an answer. */
const NOT_OURS = fieldMask("if-match", "if-unmodified-since", "expect");
const AUTHORIZATION = fieldIdOf("authorization");

/** out  why the cache is not asked, or undefined */
export function bypassOf(exchange: Planned, { policy }: CacheRules): RuleCode | undefined {
  const { method, requestFields: fields } = exchange;
  if (method !== "GET" && method !== "HEAD") return "bypass_method";
  if (exchange.requestBodyKind !== BODY_NONE && exchange.requestBodyLength !== 0) return "bypass_body";
  if (exchange.upgrade !== "") return "bypass_upgrade";
  if ((fields.high & STEERING.high) !== 0) return "bypass_steering";
  if ((fields.low & NOT_OURS.low) !== 0) return "bypass_precondition";
  if (policy.bypass.length > 0 && policy.bypass.some((test) => holds(exchange, test))) return "bypass_rule";
  return undefined;
}

function holds(exchange: Planned, { kind, name, value }: RequestTest): boolean {
  const found =
    kind === "header"
      ? exchange.requestFields.joinedNamed(name)
      : kind === "cookie"
        ? cookieOf(exchange.requestFields, name)
        : parameterOf(exchange.query, name);
  if (found === undefined) return false;
  return value === undefined || found === value;
}

/** Under which key its answer is kept, before the variants that Vary makes. */
export function keyOf(exchange: Planned, { route, policy }: CacheRules): string {
  const { downstream, requestFields } = exchange;
  return cacheKey(policy.key, {
    route,
    scheme: downstream.scheme,
    authority: authorityOf(exchange),
    path: exchange.path,
    query: exchange.query,
    requestFields,
    // what others say about a client is dropped before an endpoint could hear it
    extra: downstream.isTrusted ? forwardedKey(requestFields) : "",
  });
}

/** The request names its user: what is stored must be for everybody (RFC 9111 §3.5). */
export function isAuthorized({ requestFields, downstream }: Planned): boolean {
  return requestFields.has(AUTHORIZATION) || downstream.tls?.client !== undefined;
}

/** Lower case, without the port that the scheme has anyway (RFC 9110 §4.2.3). */
export function authorityOf({ host, authority, downstream }: Planned): string {
  if (authority.length === host.length) return host;
  const colon = authority.lastIndexOf(":");
  const port = colon === -1 || authority.endsWith("]") ? "" : authority.slice(colon);
  if (port === "" || port === (downstream.scheme === "https" ? ":443" : ":80")) return host;
  return host + port;
}
