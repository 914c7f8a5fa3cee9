/**
 * Tags and groups: names by which many responses are purged at once.
 *
 * in     Surrogate-Key (separated by spaces), Cache-Tag (by commas), Cache-Groups and Cache-Group-Invalidation (lists
 *        of strings)
 * rule   case counts; names that come twice count once
 * bound  MAX_NAMES names of MAX_NAME_LENGTH characters. A response with more is not stored: a purge must reach all it
 *        is meant for
 * spec   RFC 9875 §2, §3
 */
import type { Fields } from "../core/fields.ts";
import { parseStrings } from "../protocol/structured-fields.ts";

/** RFC 9875 §2 asks for 128 of 32 characters; those who tag allow 16 KiB of tags with 1,024 characters at most. */
export const MAX_NAMES = 512;
export const MAX_NAME_LENGTH = 1024;

export interface Names {
  readonly names: readonly string[];
  /** False: there were more, or longer ones. */
  readonly areAll: boolean;
}

const NONE: Names = { names: [], areAll: true };

/** Names that `weir purge --tag` knows a response by. */
export function tagsOf(fields: Fields): Names {
  const keys = fields.joinedNamed("surrogate-key");
  const tags = fields.joinedNamed("cache-tag");
  if (keys === undefined && tags === undefined) return NONE;
  // lines are joined by ", ": between keys that is one separator more
  const names = [...(keys ?? "").split(/[ \t,]+/), ...(tags ?? "").split(",").map((tag) => tag.trim())];
  return bounded(names);
}

/** Groups of its origin that a response belongs to (RFC 9875 §2). */
export const groupsOf = (fields: Fields): Names => listOf(fields, "cache-groups");

/** Groups of its origin that are stale once an unsafe request has got this response (RFC 9875 §3). */
export const invalidatedGroupsOf = (fields: Fields): Names => listOf(fields, "cache-group-invalidation");

function listOf(fields: Fields, lowerName: string): Names {
  const text = fields.joinedNamed(lowerName);
  const names = text === undefined ? undefined : parseStrings(text);
  return names === undefined ? NONE : bounded(names);
}

function bounded(found: readonly string[]): Names {
  const all = [...new Set(found)].filter((name) => name !== "");
  const names = all.filter((name) => name.length <= MAX_NAME_LENGTH).slice(0, MAX_NAMES);
  return { names, areAll: names.length === all.length };
}
