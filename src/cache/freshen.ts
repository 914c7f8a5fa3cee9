/**
 * Freshen: a response without a body, a 304 or one to HEAD, brings a stored response up to date.
 *
 * in     the fields that are stored, and the new ones; what `Connection` named has been dropped from these
 * out    the lines to store from now on; whoever calls judges them anew, and may find that they are not to be stored
 * rule   new fields replace stored ones of the same name, but for those that describe the stored bytes
 * note   RFC 9111 §4.3.4 says that a 304 with another strong validator must not update anything. None of its fields is
 *        taken then; but we asked about this one tag, and "not modified" to that is an answer: the response counts as
 *        confirmed at the instant that the 304 was made (its Date and Age)
 * spec   RFC 9111 §3.2, §4.3.4, §4.3.5
 */
import { fieldIdOf } from "../core/field-names.ts";
import { type Fields, pairsOfLines } from "../core/fields.ts";
import { areStronglyEqual } from "../protocol/conditional.ts";
import type { StoredResponse } from "./stored.ts";
import { etagOf } from "./validate.ts";

const LAST_MODIFIED = fieldIdOf("last-modified");
const CONTENT_LENGTH = fieldIdOf("content-length");

/** Never taken from a response without a body: they are about bytes that are stored, or about one connection. */
const KEPT_AS_STORED = new Set([
  "content-length",
  "content-encoding",
  "content-range",
  "content-md5",
  "content-digest",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "http2-settings",
]);
/** When it was made. */
const INSTANT = new Set(["date", "age"]);

/**
 * update   the new fields are about the stored response
 * confirm  they are about another one, though the origin says that ours still holds
 */
export type FresheningKind = "update" | "confirm";

/** Which stored response does a 304 select (§4.3.4)? We ask about one only, so: is it that one? */
export function kindOfFreshening(stored: Fields, update: Fields): FresheningKind {
  const etag = etagOf(update);
  const storedEtag = etagOf(stored);
  if (etag === "") return areDatesAtOdds(stored, update) ? "confirm" : "update";
  if (!etag.startsWith("W/")) return areStronglyEqual(etag, storedEtag) ? "update" : "confirm";
  if (storedEtag === "") return areDatesAtOdds(stored, update) ? "confirm" : "update";
  return opaque(etag) === opaque(storedEtag) ? "update" : "confirm";
}

/** Both have a Last-Modified, and they differ. */
function areDatesAtOdds(stored: Fields, update: Fields): boolean {
  const [one, two] = [stored.get(LAST_MODIFIED), update.get(LAST_MODIFIED)];
  return one !== undefined && two !== undefined && one !== two;
}

const opaque = (etag: string) => (etag.startsWith("W/") ? etag.slice(2) : etag);

/** The lines of a stored response after a 304 (or a HEAD response that updates it). */
export function freshenLines(stored: Fields, update: Fields): string {
  const isUpdate = kindOfFreshening(stored, update) === "update";
  const hasEtag = etagOf(stored) !== "";
  const isTaken = (name: string) => {
    if (!isUpdate) return INSTANT.has(name);
    return !KEPT_AS_STORED.has(name) && !(name === "etag" && hasEtag);
  };
  const taken = pairsOfLines(update.linesWithout(0, 0)).filter(([name]) => isTaken(name.toLowerCase()));
  const replaced = new Set(taken.map(([name]) => name.toLowerCase()));
  // the age of the stored one was reckoned in when it came
  replaced.add("age");
  const kept = pairsOfLines(stored.linesWithout(0, 0)).filter(([name]) => !replaced.has(name.toLowerCase()));
  return [...kept, ...taken].map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** The lines of a response without those fields: what a StoreVerdict says not to keep. in  lower-case names */
export function linesWithoutNames(fields: Fields, dropped: readonly string[]): string {
  return pairsOfLines(fields.linesWithout(0, 0))
    .filter(([name]) => !dropped.includes(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}

/**
 * What a response to HEAD says of a stored response to GET that might have been its answer (§4.3.5).
 * update   take its fields by `freshenLines`
 * stale    the stored one is not what GET would bring: not to be used without validation
 * nothing  it says nothing about it
 */
export type HeadEffect = "update" | "stale" | "nothing";

export function effectOfHead(
  status: number,
  update: Fields,
  stored: Pick<StoredResponse, "fields" | "bodyLength">,
): HeadEffect {
  if (status !== 200) return "nothing";
  const { fields, bodyLength } = stored;
  const etag = etagOf(update);
  if (etag !== "" && etag !== etagOf(fields)) return "stale";
  const modified = update.get(LAST_MODIFIED);
  if (modified !== undefined && modified !== fields.get(LAST_MODIFIED)) return "stale";
  const length = update.get(CONTENT_LENGTH);
  return length !== undefined && Number(length) !== bodyLength ? "stale" : "update";
}
