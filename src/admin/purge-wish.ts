/**
 * Purge wish: what is to be gone from the cache, read from the body of a request to the API.
 *
 * in     `POST /api/v1/cache/purge` and a JSON object with exactly one of `url`, `prefix`, `tag`, `host` (a text or a list of
 *        texts) and `all: true`; `soft: true` marks as stale; `by` says who asks, for the audit log
 * bound  MAX_NAMES names of MAX_NAME_LENGTH characters in one call; control characters are refused: names stand in the
 *        log and on terminals
 */
import { nearest } from "../config/suggest.ts";
import { PURGE_KINDS, type PurgeKind, type PurgeWish } from "./cache-status.ts";

export const MAX_NAMES = 1000;
export const MAX_NAME_LENGTH = 8192;
export const MAX_BY_LENGTH = 100;
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const KEYS = [...PURGE_KINDS, "soft", "by"] as const;

/** out  the wish, or what is wrong with it */
export function purgeWishOf(body: string): PurgeWish | string {
  const json = objectOf(body);
  if (typeof json === "string") return json;
  for (const key of Object.keys(json)) {
    if (!KEYS.some((known) => known === key)) return unknownKey(key);
  }
  const { soft = false, by = "" } = json;
  if (typeof soft !== "boolean") return "soft is true or false";
  if (typeof by !== "string" || by.length > MAX_BY_LENGTH || UNPRINTABLE.test(by)) {
    return `by is one line of text of at most ${MAX_BY_LENGTH} characters`;
  }
  const kinds = PURGE_KINDS.filter((kind) => json[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) return `say what to purge: one of ${PURGE_KINDS.join(", ")}`;
  const names = namesOf(kind, json[kind]);
  return typeof names === "string" ? names : { kind, names, isSoft: soft, by };
}

function objectOf(body: string): Readonly<Record<string, unknown>> | string {
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
    return "the body is not a JSON object";
  } catch {
    return 'the body is not JSON; expected for example {"url":"https://example.com/logo.png"}';
  }
}

function namesOf(kind: PurgeKind, value: unknown): readonly string[] | string {
  if (kind === "all") return value === true ? [] : "all is true, or left out";
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (names.length === 0 || names.length > MAX_NAMES) return `${kind} has 1 to ${MAX_NAMES} names`;
  const isWrong = (name: unknown) =>
    typeof name !== "string" || name === "" || name.length > MAX_NAME_LENGTH || UNPRINTABLE.test(name);
  return names.some(isWrong)
    ? `${kind} is a text of 1 to ${MAX_NAME_LENGTH} printable characters, or a list of such`
    : (names as readonly string[]);
}

function unknownKey(key: string): string {
  const near = nearest(key, KEYS);
  return `unknown key "${key}"${near === undefined ? `; there is ${KEYS.join(", ")}` : `; did you mean "${near}"?`}`;
}
