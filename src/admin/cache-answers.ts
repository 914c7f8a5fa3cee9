/**
 * Cache answers: questions and wishes about the cache, read from requests to the API and handed on.
 *
 * in     `POST /api/v1/cache/purge`                                   see purge-wish.ts
 *        `GET /api/v1/cache/show?url=URL&header=Name:%20value`        `header` may stand several times
 *        `GET /api/v1/cache/top?limit=N`
 */
import type { CacheQuestion, CacheRefusal, CacheShown, CacheTop, PurgeDone } from "./cache-status.ts";
import { purgeWishOf } from "./purge-wish.ts";
import type { AdminHooks } from "./status.ts";

const DEFAULT_TOP = 20;
const MAX_TOP = 1000;
const MAX_HEADERS = 100;

const refused = (status: CacheRefusal["status"], error: string): CacheRefusal => ({ status, error });

export async function purgeCache(
  hooks: AdminHooks,
  body: string,
  peer: string,
): Promise<PurgeDone | CacheRefusal> {
  const wish = purgeWishOf(body);
  return typeof wish === "string" ? refused(400, wish) : hooks.purge(wish, peer);
}

/** in  the request's URL */
export async function showCached(hooks: AdminHooks, requestUrl: string): Promise<CacheShown | CacheRefusal> {
  const parameters = parametersOf(requestUrl);
  const url = parameters.get("url") ?? "";
  if (url === "") return refused(400, "say which: ?url=https://example.com/logo.png");
  const headers = headersOf(parameters.getAll("header"));
  return typeof headers === "string" ? refused(400, headers) : hooks.showCached({ url, headers });
}

export async function topCached(hooks: AdminHooks, requestUrl: string): Promise<CacheTop | CacheRefusal> {
  const limit = Number(parametersOf(requestUrl).get("limit") ?? DEFAULT_TOP);
  const isFine = Number.isInteger(limit) && limit >= 1 && limit <= MAX_TOP;
  return isFine ? hooks.topCached(limit) : refused(400, `limit is a whole number from 1 to ${MAX_TOP}`);
}

function parametersOf(url: string): URLSearchParams {
  const mark = url.indexOf("?");
  return new URLSearchParams(mark === -1 ? "" : url.slice(mark));
}

/** out  what is wrong with one of them, as a text */
function headersOf(written: readonly string[]): CacheQuestion["headers"] | string {
  if (written.length > MAX_HEADERS) return `at most ${MAX_HEADERS} headers`;
  const headers: [string, string][] = [];
  for (const line of written) {
    const header = parseHeader(line);
    if (header === undefined) return `"${line}" is no header such as "Accept-Language: de"`;
    headers.push(header);
  }
  return headers;
}

/** `Name: value`; RFC 9110 §5.1, §5.5. */
export function parseHeader(line: string): [name: string, value: string] | undefined {
  const found = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
  return found === null ? undefined : [found[1] as string, found[2] as string];
}
