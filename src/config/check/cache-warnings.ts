/**
 * Cache warnings: where a route would keep what looks personal or made for one request.
 *
 * why    the two classic disasters of caches: one person's page for another, and dynamic answers kept unawares.
 *        Without `ttl` and `ignore` the endpoint alone says what is kept, and there is nothing to warn of
 * rule   each warning goes away by saying what is true: a bypass, a part of the key, a narrower path
 */
import type { CachePolicy, Ignored } from "../../cache/policy.ts";
import type { PathTest, RouteMatch } from "../../route/match.ts";
import { type Place, quote } from "../problem.ts";

interface Cached {
  readonly policy: CachePolicy;
  readonly match: RouteMatch;
  /** Of the route's `cache`. */
  readonly place: Place;
}

export function warnOfCache(cached: Cached): void {
  warnOfLifetime(cached);
  warnOfIgnored(cached);
  warnOfKey(cached);
  warnOfMethods(cached);
}

// lifetimes of our own

/** Words in paths behind which pages differ by who asks. */
const PERSONAL =
  /^(?:account|accounts|address(?:es)?|admin|auth|basket|billing|cart|checkout|dashboard|graphql|inbox|invoices?|log-?in|log-?out|me|messages|my|notifications|oauth2?|orders?|password|payments?|profiles?|private|register|sessions?|settings|sign-?in|sign-?out|sign-?up|sso|token|users?|wallet|wishlist|wp-admin|wp-login(?:\.php)?)$/i;

function warnOfLifetime({ policy, match, place }: Cached): void {
  if (!keepsGood(policy) || leavesOutUsers(policy)) return;
  const at = place.key("ttl");
  const what = policy.overridesOrigin
    ? "responses however long the endpoint says they hold"
    : "responses that the endpoint says nothing about";
  const word = personalWord(match.path);
  if (word !== undefined) {
    const hint =
      "Leave `ttl` out and let the endpoint say, or add `bypass: [ { cookie: … } ]` for those who are signed in.";
    at.warning(`${quote(word)} in the path looks personal, and \`ttl\` keeps ${what}`, hint);
  } else if (match.clientCert !== undefined) {
    const hint = "Let the endpoint say `public` or `s-maxage`, or leave `ttl` out.";
    at.warning("it has next to no effect: who shows a certificate only gets what is called public", hint);
  } else if (isCatchAll(match.path)) {
    const hint = "Narrow `match.path`, or add `bypass: [ { cookie: … } ]` for those who are signed in.";
    at.warning(
      `the route takes every path, also those of pages that differ by user, and \`ttl\` keeps ${what}`,
      hint,
    );
  }
}

/** Only lifetimes of successes and redirects: an error page is nobody's. */
function keepsGood({ ttlMs }: CachePolicy): boolean {
  return Object.entries(ttlMs).some(([status, ms]) => ms > 0 && /^(?:[23]|default)/.test(status));
}

/** Somebody has thought of users: they go past the cache, or have their own copies. */
function leavesOutUsers({ bypass, key }: CachePolicy): boolean {
  const isUsers = ({ kind, name }: CachePolicy["bypass"][number]) =>
    kind === "cookie" || (kind === "header" && (name === "cookie" || name === "authorization"));
  return bypass.some(isUsers) || key.cookies.length > 0;
}

const isCatchAll = (path: PathTest | undefined) =>
  path === undefined || (path.kind === "prefix" && path.path === "");

function personalWord(path: PathTest | undefined): string | undefined {
  if (path === undefined) return undefined;
  const text = path.kind === "pattern" ? path.source : path.path;
  const words = path.kind === "pattern" ? text.split(/[^\w-]+/) : text.split("/");
  return words.find((word) => PERSONAL.test(word));
}

// what the endpoint says and is not heeded

const IGNORED: Readonly<Record<Ignored, string>> = {
  "no-store": "what the endpoint forbids to keep is kept",
  "no-cache": "what the endpoint wants to be asked about each time is given out without asking",
  private: "what the endpoint says is for one person is given to everybody",
  "max-age": "lifetimes that the endpoint states do not count",
  "set-cookie": "a response that sets a cookie is kept: made for one person, and given to everybody",
  authorization: "what one person was let in to see is given to everybody",
  vary: "one answer is given where the endpoint has several",
};

function warnOfIgnored({ policy, place }: Cached): void {
  for (const what of policy.ignore) {
    const isTime = what === "max-age" || what === "no-cache";
    const hint = isTime
      ? "Remove it, or say how long instead: `ttl` with `override: true`."
      : `Remove \`${what}\` unless every response of this route is for everybody.`;
    place.key("ignore").warning(`${what}: ${IGNORED[what]}`, hint);
  }
}

// what tells responses apart

/** Fields that responses differ by when Vary names them, and for whom it matters. */
const TELLING: Readonly<Record<string, string>> = {
  cookie: "one person's page may be given to another",
  authorization: "one person's page may be given to another",
  "accept-language": "people get another language than theirs",
  "accept-encoding": "clients get a coding that they cannot read",
  origin: "a page of one origin may read what is for another",
};

const SESSION = /sess|(?:^|[-_.])(?:sid|auth|jwt|user|uid|login)(?:$|[-_.])|token|csrf|xsrf|logged/i;
const TOO_FINE: Readonly<Record<string, string>> = {
  cookie: "Name the cookies that matter: `key: { cookies: [...] }`.",
  authorization: "Go past the cache: `bypass: [ { header: authorization } ]`.",
  "user-agent": "Use `key: { device: true }`.",
  "accept-language": "Use `key: { languages: [...] }`.",
  "accept-encoding": "Remove it: the endpoint says so by Vary.",
};

function warnOfKey({ policy, place }: Cached): void {
  const { key, vary, overridesOrigin } = policy;
  const at = place.key("key");
  if (overridesOrigin && key.query.mode === "only") {
    const which =
      key.query.names.length === 0 ? "the query" : `parameters other than ${key.query.names.join(", ")}`;
    const hint = "Name every parameter that changes the answer, or leave `override` out.";
    at.key("query").warning(
      `requests that differ in ${which} get one answer, for as long as \`ttl\` says`,
      hint,
    );
  }
  for (const name of key.cookies.filter((cookie) => SESSION.test(cookie))) {
    const hint = `Go past the cache: \`bypass: [ { cookie: ${name} } ]\`.`;
    at.key("cookies").warning(`${quote(name)} looks like a session: everybody has a copy of their own`, hint);
  }
  for (const name of key.headers) {
    const hint = Object.hasOwn(TOO_FINE, name) ? TOO_FINE[name] : undefined;
    if (hint !== undefined)
      at.key("headers").warning(`nearly every client has its own \`${name}\`, and so its own copy`, hint);
  }
  for (const name of vary.ignore) {
    const harm = Object.hasOwn(TELLING, name) ? TELLING[name] : undefined;
    const hint = "Remove it unless the endpoint names it without need.";
    if (harm !== undefined) place.key("vary").key("ignore").warning(`${name}: ${harm}`, hint);
  }
}

function warnOfMethods({ match, place }: Cached): void {
  const { methods } = match;
  if (methods.length === 0 || methods.includes("GET") || methods.includes("HEAD")) return;
  place.warning(
    `only GET and HEAD are answered from the cache, and this route is for ${methods.join(" and ")}`,
    "Remove it.",
  );
}
