/**
 * Cache purge: what requests take out of the cache: those that may have changed something, and PURGE from who may.
 *
 * rule   an answer to an unsafe method reaches its client after what it may have changed is gone, in all workers
 * spec   RFC 9111 §4.4, RFC 9875 §3
 */
import { invalidationsOf, isUnsafe } from "../cache/invalidate.ts";
import { cacheKey, urlOfKey } from "../cache/key.ts";
import type { CacheKeyPolicy } from "../cache/policy.ts";
import type { CacheStore, PurgeScope } from "../cache/store.ts";
import { invalidatedGroupsOf } from "../cache/tags.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { normalisePath } from "../route/path.ts";
import { authorityOf } from "./cache-rules.ts";
import { type NextOf, WAIT } from "./phases.table.ts";
import type { LocalAnswer, Planned, Site } from "./plan.ts";
import { later } from "./serve-stored.ts";

const NO_FIELDS: Fields = fieldsOfLines("");
const SOFT = "x-purge-soft";

/** The endpoint has answered: what it may have changed is not to be used again. out  how many purges that took */
export function invalidate(exchange: Planned, store: CacheStore): number {
  const { method, status, downstream, path, query, responseFields } = exchange;
  if (!isUnsafe(method)) return 0;
  const authority = authorityOf(exchange);
  const groups = invalidatedGroupsOf(responseFields).names;
  const seen = new Set<string>();
  let made = 0;
  for (const policy of (downstream.listener.site as Site).keyPolicies) {
    const scopes = invalidationsOf({
      method,
      status,
      scheme: downstream.scheme,
      authority,
      path,
      query,
      response: responseFields,
      groups,
      keyUrl: (otherPath, otherQuery) => keyUrl(policy, authority, otherPath, otherQuery),
    });
    for (const scope of scopes) {
      const name = JSON.stringify(scope);
      if (!seen.has(name) && isMade(store, scope)) made++;
      seen.add(name);
    }
  }
  return made;
}

/** A group is named by the origin on purpose; a URL that nobody has fetched needs no purge. */
function isMade({ board }: CacheStore, scope: PurgeScope): boolean {
  if (scope.kind === "url") return board.invalidate(scope.url);
  board.purge(scope, false);
  return true;
}

/** A URL as it stands in the keys of routes with this policy; what request fields add to a key is no part of it. */
function keyUrl(policy: CacheKeyPolicy, authority: string, path: string, query: string): string | undefined {
  const normal = normalisePath(path, "pass");
  if (normal === undefined) return undefined;
  const parts = {
    route: "",
    scheme: "http",
    authority,
    path: normal,
    query,
    requestFields: NO_FIELDS,
    extra: "",
  } as const;
  return urlOfKey(cacheKey(policy, parts));
}

/** May this client purge? */
export function isPurge({ method, clientIp, plan }: Planned): boolean {
  return method === "PURGE" && plan.services.purgeFrom.has(clientIp);
}

/** Purges the request's URL; answers once that is in force everywhere. `X-Purge-Soft: 1` marks it stale only. */
export function purge(exchange: Planned): NextOf<"lookup"> {
  const { plan, requestFields, clientIp } = exchange;
  const { services } = plan;
  if (services.purge === undefined) throw new Error("purges are allowed, and nobody carries them out");
  const isSoft = requestFields.find(SOFT) === "1";
  const query = exchange.query === "" ? "" : `?${exchange.query}`;
  const scope: PurgeScope = { kind: "url", url: `${authorityOf(exchange)}${exchange.path}${query}` };
  later(exchange, services.purge(scope, isSoft, clientIp), (problem) => {
    plan.local = problem === undefined ? PURGED : refused(problem);
    return "answer";
  });
  return WAIT;
}

const textAnswer = (status: number, text: string): LocalAnswer => ({
  status,
  lines: "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n",
  body: Buffer.from(`${text}\n`),
});

const PURGED = textAnswer(200, "purged");
const refused = (problem: string) => textAnswer(503, `not purged: ${problem}`);
