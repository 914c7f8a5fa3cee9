/**
 * Invalidate: what a request that may have changed something takes out of the cache.
 *
 * in     an exchange whose method is not safe, and its answer
 * out    purges, hard: what they hit must not be used again, not even stale
 * rule   only what is of the same origin: else one site could empty another's cache. An answer that is an error changed
 *        nothing; groups are named by the origin on purpose, whatever the status
 * bound  three URLs and the groups that `tags.ts` lets through
 * spec   RFC 9111 §4.4; RFC 9110 §9.2.1; RFC 9875 §3
 */
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { PurgeScope } from "./store.ts";

export interface UnsafeExchange {
  readonly method: string;
  readonly status: number;
  readonly scheme: "http" | "https";
  /** Host and port, lower case, without the scheme's own port. */
  readonly authority: string;
  /** Normal form. */
  readonly path: string;
  readonly query: string;
  readonly response: Fields;
  /** Groups that the response names to be invalidated. */
  readonly groups: readonly string[];
  /** The URL that stands in keys for a path and query of this origin; undefined for a path that has no normal form. */
  readonly keyUrl: (path: string, query: string) => string | undefined;
}

const LOCATION = fieldIdOf("location");
/** RFC 9110 §9.2.1; PROPFIND, REPORT and SEARCH by RFC 4918, 3253 and 5323, QUERY by its draft. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"]);

/** An unknown method may change anything. */
export function isUnsafe(method: string): boolean {
  return !SAFE.has(method);
}

export function invalidationsOf(exchange: UnsafeExchange): PurgeScope[] {
  const { method, status, scheme, authority, response } = exchange;
  if (!isUnsafe(method)) return [];
  const origin = `${scheme}://${authority}`;
  const scopes: PurgeScope[] = exchange.groups.map((group) => ({ kind: "group", origin, group }));
  if (status < 200 || status >= 400) return scopes;
  const urls = new Set([exchange.keyUrl(exchange.path, exchange.query)]);
  for (const reference of [response.get(LOCATION), response.joinedNamed("content-location")]) {
    if (reference !== undefined) urls.add(resolve(reference, exchange, origin));
  }
  for (const url of urls) if (url !== undefined) scopes.push({ kind: "url", url });
  return scopes;
}

/** out  undefined for what cannot be read, or is of another origin */
function resolve(
  reference: string,
  { path, query, keyUrl }: UnsafeExchange,
  origin: string,
): string | undefined {
  const base = `${origin}${path}${query === "" ? "" : `?${query}`}`;
  if (!URL.canParse(reference, base)) return undefined;
  const url = new URL(reference, base);
  // WHATWG reads the base's host as it reads the reference's, so the two are compared in one form
  if (url.origin !== new URL(base).origin) return undefined;
  return keyUrl(url.pathname, url.search.slice(1));
}
