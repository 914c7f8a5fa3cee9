/**
 * Cache rules: what a route says about caching, made ready for its requests: what is never asked of the cache, and under
 * which key the rest is looked for.
 *
 * why    a request that could change the answer by something that is not in the key must neither be answered from the cache
 *        nor fill it: that is how one user's page reaches another
 * cost   for a plain GET a few mask tests and one concatenation
 * spec   RFC 9111 §2, §3, §4; RFC 9110 §9.2.3
 */
import { cacheKey, forwardedKey, isOfTarget } from "../cache/key.ts";
import type { CachePolicy, RequestTest } from "../cache/policy.ts";
import type { RuleCode } from "../cache/rules.table.ts";
import type { ListenerConfig, RouteConfig } from "../config/config.ts";
import { BODY_NONE } from "../core/body.ts";
import { SCHEME_NAMES, STEERING_NAMES } from "../core/field-names.table.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { cookieOf, parameterOf } from "../route/request-text.ts";
import type { Downstream } from "../session/exchange.ts";
import { keepKey, knownKey } from "./key-memo.ts";
import type { CacheRules, Planned, Route } from "./plan.ts";

/** in  `listeners`: all of the version; the route's clients come in by some of them */
export function compileCache(
  { name, cache, listeners: names }: Pick<RouteConfig, "name" | "cache" | "listeners">,
  listeners: readonly ListenerConfig[],
): CacheRules | undefined {
  if (cache === undefined) return undefined;
  const mine = listeners.filter(
    (listener) =>
      listener.redirectToHttps === undefined && (names.length === 0 || names.includes(listener.name)),
  );
  const hasSeveral = (isTls: boolean) =>
    new Set(mine.filter(({ tls }) => (tls !== undefined) === isTls).flatMap(portsOf)).size > 1;
  const keysPort = hasSeveral(true) || hasSeveral(false);
  return { route: name, policy: cache, keysPort, isPlainKey: !keysPort && isOfTarget(cache.key) };
}

const portsOf = ({ bind }: ListenerConfig) =>
  bind.map((address) => (address.kind === "tcp" ? address.port : 0));

/** Of the route of an exchange that caches. */
export function policyOf({ plan }: Planned): CachePolicy {
  return ((plan.route as Route).cache as CacheRules).policy;
}

const STEERING = fieldMask("steering");
const STEERED = STEERING_NAMES.filter((name) => !(SCHEME_NAMES as readonly string[]).includes(name));
const CERTIFICATE = fieldMask("client certificate");
/** Preconditions that only the origin may judge (RFC 9111 §4.3.2), and what asks for more than an answer. */
const NOT_OURS = fieldMask("if-match", "if-unmodified-since", "expect");
const AUTHORIZATION = fieldIdOf("authorization");
const COOKIE = fieldIdOf("cookie");

/** out  why the cache is not asked, or undefined */
export function bypassOf(exchange: Planned, rules: CacheRules): RuleCode | undefined {
  const { method } = exchange;
  if (method !== "GET" && method !== "HEAD") return "bypass_method";
  if (exchange.requestBodyKind !== BODY_NONE && exchange.requestBodyLength !== 0) return "bypass_body";
  return unfitOf(exchange, rules);
}

/** Method and body aside, is there anything about the request that its answer may depend on beside the key? */
export function unfitOf(exchange: Planned, { policy }: CacheRules): RuleCode | undefined {
  const { requestFields: fields } = exchange;
  if (exchange.upgrade !== "") return "bypass_upgrade";
  if ((fields.high & STEERING.high) !== 0 && isSteered(exchange)) return "bypass_steering";
  if ((fields.low & NOT_OURS.low) !== 0) return "bypass_precondition";
  if (policy.bypass.length > 0 && policy.bypass.some((test) => holds(exchange, test))) return "bypass_rule";
  return undefined;
}

/** What a trusted proxy says of the scheme is in the key (`forwardedKey`). */
function isSteered({ requestFields, downstream }: Planned): boolean {
  return !downstream.isTrusted || STEERED.some((name) => requestFields.joinedNamed(name) !== undefined);
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
export function keyOf(exchange: Planned, rules: CacheRules): string {
  const { route, policy } = rules;
  const { downstream, requestFields } = exchange;
  const authority = authorityOf(exchange);
  // an endpoint must not see what is not in the key: another spelling of the host, which it might write into its links,
  if (authority !== exchange.authority) {
    exchange.authority = authority;
    exchange.isTargetAbsolute = true;
  }
  // or a mark without a query
  if (exchange.query === "") exchange.isPathAsSent &&= !exchange.rawTarget.endsWith("?");
  const isPlain = rules.isPlainKey && exchange.isPathAsSent && !downstream.isTrusted;
  const { rawTarget: target } = exchange;
  const known = isPlain ? knownKey(rules, downstream.scheme, authority, target) : undefined;
  if (known !== undefined) return known;
  const key = cacheKey(policy.key, {
    route,
    scheme: downstream.scheme,
    authority,
    path: exchange.path,
    query: exchange.query,
    requestFields,
    extra: downstream.isTrusted || rules.keysPort ? extraOf(exchange, rules) : "",
  });
  return isPlain ? keepKey({ rules, scheme: downstream.scheme, authority, target, key }) : key;
}

/** What endpoints are told beside the URL; what strangers say of themselves is dropped before they could hear it. */
function extraOf({ downstream, requestFields }: Planned, { keysPort }: CacheRules): string {
  const forwarded = downstream.isTrusted ? forwardedKey(requestFields) : "";
  return keysPort ? `${downstream.localPort} ${forwarded}` : forwarded;
}

/** The request names its user: what is stored must be for everybody (RFC 9111 §3.5). */
export function isAuthorized({ requestFields, downstream }: Planned): boolean {
  return isKnown(requestFields, downstream);
}

/** The same, by what the client sent. A proxy that is trusted may tell of the certificate that it has seen. */
export function isKnown(fields: Fields, { tls, isTrusted }: Pick<Downstream, "tls" | "isTrusted">): boolean {
  if (fields.has(AUTHORIZATION) || tls?.client !== undefined) return true;
  return isTrusted && (fields.high & CERTIFICATE.high) !== 0;
}

/**
 * Under which it is noted what the answers for a key are like: what comes for those who are known, or carry cookies, says
 * nothing of the answers for others. Else one of them could take the cache away from all.
 */
export function crowdOf(key: string, fields: Fields, client: Pick<Downstream, "tls" | "isTrusted">): string {
  if (isKnown(fields, client)) return `${key}\n+known`;
  return fields.has(COOKIE) ? `${key}\n+cookie` : key;
}

/** Lower case, without the port that the scheme has anyway (RFC 9110 §4.2.3). */
export function authorityOf({ host, authority, downstream }: Planned): string {
  if (authority.length === host.length) return host;
  const { memo } = downstream;
  if (authority !== memo.authority) return withPort(host, authority, downstream.scheme);
  if (memo.keyAuthority === "") memo.keyAuthority = withPort(host, authority, downstream.scheme);
  return memo.keyAuthority;
}

function withPort(host: string, authority: string, scheme: "http" | "https"): string {
  const colon = authority.lastIndexOf(":");
  const port = colon === -1 || authority.endsWith("]") ? "" : authority.slice(colon);
  if (port.length <= 1 || port === (scheme === "https" ? ":443" : ":80")) return host;
  return host + port;
}
