/**
 * Option types of caching and compression: lifetimes by status, parts of a key, tests of requests, media types.
 */
import type { CacheKeyPolicy, RequestTest, StaleOn, TtlByStatus } from "../../cache/policy.ts";
import { isToken } from "../../core/bytes.ts";
import type * as Input from "../define-cache.ts";
import { describe, type Place, quote } from "../problem.ts";
import { nearest } from "../suggest.ts";
import { isHostName } from "./addresses.ts";
import { isMapping, list, map, object } from "./containers.ts";
import { cookieName } from "./resilience.ts";
import { duration, integer, text } from "./scalars.ts";
import { optional, type RowsFor, type Type } from "./types.ts";
import { DAY, MS } from "./units.ts";

/** Nothing is fresh for longer: RFC 2616 §14.21 said a year, and caches have kept to it. */
export const YEAR = 365 * DAY;

// lifetimes

const lifetime = duration({ min: MS, max: YEAR, zero: "not stored" });

const byStatus = map(lifetime, "mapping of statuses to durations", (status) => {
  if (/^(?:[2-5]\d\d|[2-5]xx|default)$/.test(status)) return undefined;
  return [`${quote(status)} is no status`, "Write 200, 404, 4xx or default."];
});

/**
 * What one duration alone is for: successes and permanent redirects. Errors are kept only by name, and a redirect to
 * a login page is temporary.
 */
const GOOD_STATUSES = ["200", "203", "204", "206", "300", "301", "308"];

export const ttlByStatus: Type<TtlByStatus> = {
  name: `${lifetime.name}; or a mapping of statuses (\`200\`, \`4xx\`, \`default\`) to durations`,
  schema: { anyOf: [lifetime.schema, byStatus.schema] },
  read(value, place) {
    if (isMapping(value)) {
      return Object.fromEntries(byStatus.read(value, place)?.map((entry) => [entry.name, entry.value]) ?? []);
    }
    const ms = lifetime.read(value, place);
    return ms === undefined ? undefined : Object.fromEntries(GOOD_STATUSES.map((status) => [status, ms]));
  },
};

/** `off` is 0. */
export function orOff(type: Type<number>): Type<number> {
  return {
    name: `${type.name}, or \`off\``,
    schema: { anyOf: [type.schema, { const: "off" }] },
    read: (value, place) => (value === "off" ? 0 : type.read(value, place)),
  };
}

// failures that a stale response makes up for

const STALE_WORDS = ["error", "timeout"] as const;

/** What nginx and others call it. */
const FOREIGN_FAILURES: Readonly<Record<string, string>> = {
  connect: "Write error.",
  reset: "Write error.",
  invalid_header: "Write error.",
  updating: "That is `staleWhileRevalidate`.",
  "5xx": "Write the statuses: 500, 502, 503, 504.",
};

export const staleOn: Type<StaleOn> = {
  name: "`error`, `timeout` or a status",
  schema: {
    anyOf: [
      { enum: STALE_WORDS },
      { type: "integer", minimum: 400, maximum: 599 },
      { type: "string", pattern: "^[45]\\d\\d$|\\$\\{" },
    ],
  },
  read(value, place) {
    const word = STALE_WORDS.find((one) => one === value);
    if (word !== undefined) return word;
    if (/^\d+$/.test(String(value))) {
      const status = Number(value);
      if (status >= 400 && status <= 599) return status;
      place.error(`${status} is no status of an error`, "Write one from 400 to 599.");
    } else place.error(`${describe(value)} is no failure that is known here`, hintForFailure(value));
    return undefined;
  },
};

function hintForFailure(value: unknown): string {
  const written = String(value).toLowerCase();
  const [, status] = /^http_([45]\d\d)$/.exec(written) ?? [];
  if (status !== undefined) return `Write ${status}.`;
  const meant = nearest(written, STALE_WORDS);
  if (meant !== undefined) return `Did you mean \`${meant}\`?`;
  const foreign = Object.hasOwn(FOREIGN_FAILURES, written) ? FOREIGN_FAILURES[written] : undefined;
  return foreign ?? "Write error, timeout, or a status such as 503.";
}

// parts of a key

/** A parameter's name as it stands in a URL; `utm_*` is every name that begins so. */
const parameterName: Type<string> = text(
  "a parameter's name",
  (value, place) => {
    const isSound = /^[^&=#?\s*]+\*?$/.test(value);
    if (!isSound) {
      place.error(`${quote(value)} is no name of a parameter`, "Write it as in a URL; a `*` may end it.");
    }
    return isSound;
  },
  { type: "string" },
);

/** The same of one parameter. */
const oneParameter: Type<string> = {
  ...parameterName,
  read(value, place) {
    const name = parameterName.read(value, place);
    if (name?.endsWith("*") !== true) return name;
    place.error(`${quote(name)} is not the name of one parameter`, "Write its whole name.");
    return undefined;
  },
};

const parameterNames = list(parameterName, "parameter or list of parameters");

const QUERY = {
  only: optional(parameterNames, "These alone count; `utm_*` is every name that begins so"),
  except: optional(parameterNames, "All but these count"),
} satisfies RowsFor<Input.CacheQueryInput>;

const queryMapping = object(QUERY);

type QueryKey = CacheKeyPolicy["query"];

export const queryKey: Type<QueryKey> = {
  name: "parameters, `{ only }`, `{ except }`, or `false` for none",
  rows: QUERY,
  get schema() {
    return { anyOf: [{ type: "boolean" }, parameterNames.schema, queryMapping.schema] };
  },
  read(value, place) {
    if (value === true || value === "true") return { mode: "except", names: [] };
    if (value === false || value === "false") return { mode: "only", names: [] };
    if (isMapping(value)) return readQueryMapping(value, place);
    const names = parameterNames.read(value, place);
    return names && { mode: "only", names: [...new Set(names)] };
  },
};

function readQueryMapping(value: Readonly<Record<string, unknown>>, place: Place): QueryKey | undefined {
  const errorsBefore = place.errorCount;
  const written = queryMapping.read(value, place);
  if (written === undefined) return undefined;
  const { only, except } = written;
  if ((only === undefined) === (except === undefined)) {
    const hint = "Write `only: [page]`, or `except: [utm_*]`.";
    if (place.errorCount === errorsBefore)
      place.error("exactly one of `only` and `except` is needed here", hint);
    return undefined;
  }
  return only === undefined
    ? { mode: "except", names: [...new Set(except)] }
    : { mode: "only", names: [...new Set(only)] };
}

/** Name of a field in a request that may tell responses apart, in lower case. */
export const requestField: Type<string> = {
  name: "field name",
  schema: { type: "string" },
  read(value, place) {
    const written = typeof value === "string" ? value : "";
    if (!isToken(written) || written === "*") {
      place.error(`${describe(value)} is not a field name`, "Use letters, digits and dashes.");
      return undefined;
    }
    const lower = written.toLowerCase();
    if (lower !== "host") return lower;
    place.error(
      "`Host` is part of every key",
      "Remove it; for one key for all hosts, use `key: { host: … }`.",
    );
    return undefined;
  },
};

/** A language tag (RFC 5646 §2.1), as far as it can be told from its shape. */
export const language: Type<string> = text(
  "a language",
  (value, place) => {
    const isSound = /^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/.test(value);
    if (!isSound) place.error(`${quote(value)} is no language tag`, "Write en, de-CH or the like.");
    return isSound;
  },
  { type: "string" },
);

export const keyHost: Type<string> = text(
  "a host",
  (value, place) => {
    const isSound = isHostName(value.replace(/:\d{1,5}$/, ""));
    if (!isSound) place.error(`${quote(value)} is not a host`, "Write app.example.com.");
    return isSound;
  },
  { type: "string" },
);

// tests of requests

const BYPASS = {
  header: optional(requestField, "Name of a request field"),
  cookie: optional(cookieName, "Name of a cookie"),
  query: optional(oneParameter, "Name of a query parameter"),
  value: optional(text("a value"), "Its value; any when left out"),
} satisfies RowsFor<Input.BypassInput>;

const bypassMapping = object(BYPASS);
const TEST_KINDS = ["header", "cookie", "query"] as const;
const TEST_HINT = "Write `{ cookie: session }`, `{ header: x-preview }` or `{ query: nocache }`.";

export const requestTest: Type<RequestTest> = {
  ...bypassMapping,
  get schema() {
    return bypassMapping.schema;
  },
  read(value, place) {
    if (!isMapping(value)) {
      place.error(`${describe(value)} is no test of a request`, TEST_HINT);
      return undefined;
    }
    const errorsBefore = place.errorCount;
    const written = bypassMapping.read(value, place);
    if (written === undefined || place.errorCount > errorsBefore) return undefined;
    const kinds = TEST_KINDS.filter((kind) => written[kind] !== undefined);
    const [kind] = kinds;
    const name = kind && written[kind];
    if (kind === undefined || name === undefined || kinds.length > 1) {
      place.error("exactly one of `header`, `cookie` and `query` is needed here", TEST_HINT);
      return undefined;
    }
    return { kind, name, value: written.value };
  },
};

// compression

/** A list that says something. */
export function filledList<T>(type: Type<T>, plural: string): Type<readonly T[]> {
  const any = list(type, plural);
  return {
    ...any,
    read(value, place) {
      const isEmpty = Array.isArray(value) && value.length === 0;
      if (isEmpty) place.error("the list is empty", "Name one at least, or remove the key.");
      return isEmpty ? undefined : any.read(value, place);
    },
  };
}

/** Lower case. */
export const mediaType: Type<string> = {
  name: "media type, or `text/*`",
  schema: { type: "string" },
  read(value, place) {
    const written = typeof value === "string" ? value.toLowerCase() : "";
    const [, type = "", subtype = "", rest] = /^([^/]*)\/([^/;]*)(;.*)?$/.exec(written) ?? [];
    const isSound = isToken(type) && type !== "*" && isToken(subtype) && rest === undefined;
    if (isSound) return written;
    const isAll = written === "*/*" || written === "*";
    const hint = isAll
      ? "Name types: images and videos are compressed already."
      : "Write text/html or text/*.";
    place.error(`${describe(value)} is no media type`, rest === undefined ? hint : "Leave parameters out.");
    return undefined;
  },
};

const levelNumber = integer(1, 9);

/** 0 = by load. */
export const level: Type<number> = {
  name: "`auto`, or a whole number, 1 to 9",
  schema: { anyOf: [{ const: "auto" }, levelNumber.schema] },
  read(value, place) {
    if (value === "auto") return 0;
    if (typeof value === "number" || /^-?\d+$/.test(String(value))) return levelNumber.read(value, place);
    place.error(
      `${describe(value)} is neither \`auto\` nor a number`,
      "Write auto, or 1 (fast) to 9 (small).",
    );
    return undefined;
  },
};
