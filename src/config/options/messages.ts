/**
 * Option types for the parts of a message: methods, fields, paths, patterns and the tests on them.
 */
import { isFieldValue, isToken } from "../../core/bytes.ts";
import type { NamedTest, PathTest, ValueTest } from "../../route/match.ts";
import { encodeIllegal, normalisePath } from "../../route/path.ts";
import { judgePattern } from "../pattern.ts";
import { describe, type Place, quote } from "../problem.ts";
import { type Entry, map } from "./containers.ts";
import { text } from "./scalars.ts";
import type { Type } from "./types.ts";

const USUAL_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"];

export const method: Type<string> = text(
  "a method",
  (value, place) => {
    if (!isToken(value)) place.error(`${quote(value)} is not a method`, "Write GET, POST or another word.");
    else if (value === "CONNECT") place.error("CONNECT is never served", "Remove it.");
    else if (USUAL_METHODS.includes(value) || !USUAL_METHODS.includes(value.toUpperCase())) return true;
    else
      place.error(`${quote(value)} never matches: methods are upper case`, `Write ${value.toUpperCase()}.`);
    return false;
  },
  { type: "string" },
);

// field names and values

/** Framing and hop-by-hop fields: the proxy writes them for each connection by itself (RFC 9110 §7.6.1). */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function isFieldNameSound(name: string, place: Place, hostHint = "Use `rewrite: { host: … }`."): boolean {
  const lower = name.toLowerCase();
  if (!isToken(name)) place.keyError(`${quote(name)} is not a field name`, "Use letters, digits and dashes.");
  else if (OWN_FIELDS.has(lower)) {
    place.keyError(`\`${name}\` belongs to the connection and cannot be changed here`, "Remove it.");
  } else if (lower === "host") {
    place.keyError("`Host` is not changed as a header", hostHint);
  } else return true;
  return false;
}

/** The value itself is never quoted: it may be a credential from the environment. */
const fieldValue: Type<string> = text("a field value", (value, place) => {
  if (isFieldValue(value)) return true;
  place.error("the value holds a character that a header cannot carry", "Keep to one line of ASCII.");
  return false;
});

export type FieldPairs = readonly (readonly [name: string, value: string])[];

/** `{ Name: value }`, in the order written. */
export const fieldMap: Type<FieldPairs> = pairsOf(fieldValue);

/** The same for a request that Weir makes itself. */
export const checkFieldMap: Type<FieldPairs> = pairsOf(fieldValue, "Use the key `host`.");

/** `{ Name: value }` or `{ Name: [value, value] }`. */
export const fieldListMap: Type<FieldPairs> = pairsOf({
  name: "value or list of values",
  schema: { anyOf: [fieldValue.schema, { type: "array", items: fieldValue.schema }] },
  read(value, place) {
    if (!Array.isArray(value)) return fieldValue.read(value, place);
    return value.flatMap((item, index) => fieldValue.read(item, place.item(index)) ?? []);
  },
});

function pairsOf(values: Type<string | readonly string[]>, hostHint?: string): Type<FieldPairs> {
  const entries = map(values, "mapping of field names", () => undefined);
  return {
    name: "mapping of field names to values",
    schema: entries.schema,
    read(value, place) {
      const found = entries
        .read(value, place)
        ?.filter((entry) => isFieldNameSound(entry.name, entry.place, hostHint));
      if (found !== undefined) refuseTwice(found);
      return found?.flatMap((entry) => [entry.value].flat().map((one) => [entry.name, one] as const));
    },
  };
}

/** YAML sees `X-A` and `x-a` as two keys, HTTP as one field. */
function refuseTwice(entries: readonly Entry<unknown>[]): void {
  const seen = new Set<string>();
  for (const entry of entries) {
    const lower = entry.name.toLowerCase();
    if (seen.has(lower))
      entry.place.keyError(`\`${entry.name}\` is given twice`, "Field names have no case.");
    seen.add(lower);
  }
}

/** Lower case. */
export const fieldName: Type<string> = {
  name: "field name",
  schema: { type: "string" },
  read(value, place) {
    if (typeof value !== "string") {
      place.error(`${describe(value)} is not a field name`);
      return undefined;
    }
    return isFieldNameSound(value, place) ? value.toLowerCase() : undefined;
  },
};

// tests

export const testValue: Type<ValueTest> = {
  name: "`value`, `*` or `~pattern`",
  schema: { type: ["string", "number", "boolean"] },
  read(value, place) {
    const written = text("a test").read(value, place);
    if (written === undefined) return undefined;
    if (written === "*") return { kind: "present" };
    if (!written.startsWith("~")) return { kind: "equal", value: written };
    const source = written.slice(1);
    return isPatternSound(source, place) ? { kind: "pattern", source } : undefined;
  },
};

function isPatternSound(source: string, place: Place): boolean {
  const wrong = judgePattern(source);
  if (wrong !== undefined) place.error(...wrong);
  return wrong === undefined;
}

/** Tests by name; names are field names in lower case, or taken as they are. */
export function tests(what: "field" | "parameter"): Type<readonly NamedTest[]> {
  const entries = map(testValue, "mapping of names to tests", (name) => {
    if (what === "field" && !isToken(name))
      return ["this is not a field name", "Use letters, digits and dashes."];
    return name === "" ? ["the name is empty", "Give it a name."] : undefined;
  });
  return {
    name: `mapping of names to ${testValue.name}`,
    schema: entries.schema,
    read(value, place) {
      const found = entries.read(value, place);
      if (found !== undefined && what === "field") refuseTwice(found);
      return found?.map((entry) => ({
        name: what === "field" ? entry.name.toLowerCase() : entry.name,
        test: entry.value,
      }));
    },
  };
}

// paths

export const pathTest: Type<PathTest> = {
  name: "`/x`, `/x/*` or `~pattern`",
  schema: { type: "string", pattern: "^[/~]|\\$\\{" },
  read(value, place) {
    if (typeof value !== "string") {
      const isList = Array.isArray(value);
      place.error(`${describe(value)} is not a path`, isList ? "Write one route for each path." : PATH_HINT);
      return undefined;
    }
    if (value.startsWith("~")) {
      const source = value.slice(1);
      return isPatternSound(source, place) ? { kind: "pattern", source } : undefined;
    }
    const wrong = wrongPath(value);
    if (wrong !== undefined) {
      place.error(`${quote(value)} ${wrong[0]}`, wrong[1]);
      return undefined;
    }
    return value.endsWith("/*")
      ? { kind: "prefix", path: value.slice(0, -2) }
      : { kind: "exact", path: value };
  },
};

const PATH_HINT = 'Write "/x", "/x/*" or "~^/v[0-9]+/".';

function wrongPath(path: string): readonly [wrong: string, hint: string] | undefined {
  if (!path.startsWith("/")) {
    return [
      "does not begin with a slash",
      path.startsWith("^") ? `Write "~${path}" for a pattern.` : PATH_HINT,
    ];
  }
  const plain = path.endsWith("/*") ? path.slice(0, -2) : path;
  if (plain.includes("*")) {
    const guess = /^([^*]*[^*/])\*$/.exec(path);
    return ["has a `*` in the wrong place", guess === null ? PATH_HINT : `Did you mean \`${guess[1]}/*\`?`];
  }
  if (/[?#]/.test(plain)) return ["is more than a path", "Test the query with `query`."];
  return wrongSegments(plain);
}

/** A path is matched after it is made normal, so one that is not normal would never match. */
function wrongSegments(path: string): readonly [wrong: string, hint: string] | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(path))
    return ["has a `%` without two hex digits", "Write `%25` for a percent sign."];
  if (path.includes("//")) return ["has an empty segment and never matches", "Remove the second slash."];
  if (/(^|\/)\.{1,2}(\/|$)/.test(path))
    return ["has a dot segment and never matches", "Write the path it stands for."];
  if (normalisePath(encodeIllegal(path === "" ? "/" : path), "pass") === undefined) {
    return [
      "has no normal form and never matches",
      "Remove control characters, backslashes and encoded dots.",
    ];
  }
  return undefined;
}

/** A path or template that begins with a slash. */
export const slashPath: Type<string> = text(
  "a path",
  (value, place) => {
    const isPath = value.startsWith("/") && normalisePath(encodeIllegal(value), "pass") !== undefined;
    if (!isPath) place.error(`${quote(value)} is not a path`, "Begin it with a slash.");
    return isPath;
  },
  { type: "string" },
);

/** `{ "404": page, "5xx": page }`. */
export const errorPages: Type<readonly Entry<string>[]> = map(
  text("a file", undefined, { type: "string" }),
  "mapping of statuses to files",
  (status) => {
    if (/^(?:[45]\d\d|[45]xx)$/.test(status)) return undefined;
    return [`${quote(status)} is no error status`, "Write 404, 503, 4xx or 5xx."];
  },
);
