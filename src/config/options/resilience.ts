/**
 * Option types of balancing, health and retries: request keys, statuses, what an answer holds, when to try again.
 */
import { isToken } from "../../core/bytes.ts";
import type { RequestKey, RetryOn } from "../config.ts";
import { judgePattern } from "../pattern.ts";
import { describe, type Place, quote } from "../problem.ts";
import { nearest } from "../suggest.ts";
import { choice, text, wrongName } from "./scalars.ts";
import type { Type } from "./types.ts";

// balance

/** What others call it. */
const FOREIGN_BALANCE: Readonly<Record<string, string>> = {
  least_conn: "Write least-request.",
  leastconn: "Write least-request.",
  "least-conn": "Write least-request.",
  least_time: "Write ewma.",
  ip_hash: "Write `balance: hash` and `hash: clientIp`.",
  source: "Write `balance: hash` and `hash: clientIp`.",
  uri: "Write `balance: hash` and `hash: path`.",
  maglev: "Write hash.",
  "ring-hash": "Write hash.",
};

const balanceWord = choice("round-robin", "least-request", "p2c", "ewma", "random", "hash");

export const balance: typeof balanceWord = {
  ...balanceWord,
  read(value, place) {
    const meant = typeof value === "string" ? value.toLowerCase() : "";
    if (!Object.hasOwn(FOREIGN_BALANCE, meant)) return balanceWord.read(value, place);
    place.error(`${describe(value)} is not known here`, FOREIGN_BALANCE[meant]);
    return undefined;
  },
};

// parts of a request

const KEY_WORDS = ["clientIp", "path"] as const;
const KEY_KINDS = ["header", "cookie", "query"] as const;
const KEY_HINT = "Write header:NAME, cookie:NAME, query:NAME, clientIp or path.";

/** `header:NAME` and the like; names of header fields in lower case. */
export const requestKey: Type<RequestKey> = {
  name: "`header:NAME`, `cookie:NAME`, `query:NAME`, `clientIp` or `path`",
  schema: { type: "string", pattern: "^(header|cookie|query):.|^(clientIp|path)$|\\$\\{" },
  read(value, place) {
    if (typeof value !== "string") {
      place.error(`${describe(value)} is no part of a request`, KEY_HINT);
      return undefined;
    }
    const word = KEY_WORDS.find((one) => one === value);
    if (word !== undefined) return { kind: word };
    const [, kind = "", name = ""] = /^(\w+):\s*(.*)$/.exec(value) ?? [];
    const named = KEY_KINDS.find((one) => one === kind);
    if (named === undefined || name === "") {
      place.error(`${quote(value)} is no part of a request`, hintForRequestKey(value));
      return undefined;
    }
    if (named !== "query" && !isToken(name)) {
      place.error(`${quote(name)} is no name of a ${named}`, "Use letters, digits and dashes.");
      return undefined;
    }
    return { kind: named, name: named === "header" ? name.toLowerCase() : name };
  },
};

/** What others call it: nginx's `ip_hash`, HAProxy's `source` and `uri`. */
const FOREIGN_KEYS: Readonly<Record<string, string>> = {
  ip: "clientIp",
  ip_hash: "clientIp",
  source: "clientIp",
  uri: "path",
  url: "path",
};

function hintForRequestKey(written: string): string {
  const [kind = ""] = written.split(":");
  const foreign = Object.hasOwn(FOREIGN_KEYS, kind) ? FOREIGN_KEYS[kind] : undefined;
  const meant = foreign ?? nearest(kind, [...KEY_WORDS, ...KEY_KINDS]);
  if (meant === undefined) return KEY_HINT;
  const isNamed = KEY_KINDS.some((one) => one === meant);
  if (!isNamed) return `Did you mean \`${meant}\`?`;
  const [, name = ""] = /:\s*(.+)$/.exec(written) ?? [];
  return `Write "${meant}:${name === "" ? "NAME" : name}".`;
}

/** RFC 6265 §4.1.1. */
export const cookieName: Type<string> = text(
  "a cookie's name",
  (value, place) => {
    const isSound = isToken(value);
    if (!isSound) place.error(`${quote(value)} is no name of a cookie`, "Use letters, digits and dashes.");
    return isSound;
  },
  { type: "string" },
);

/** Where a machine or an endpoint stands; empty = not said, so that a variable may leave it open. */
export const zoneName: Type<string> = text(
  "a zone's name",
  (value, place) => {
    const wrong = value === "" ? undefined : wrongName(value);
    if (wrong !== undefined) place.error(...wrong);
    return wrong === undefined;
  },
  { type: "string" },
);

// answers to checks

export type StatusRange = readonly [from: number, to: number];

const STATUS_HINT = 'Write 200, "200-299", or a list of both.';

/** One status, or a range of them. */
export const statusRange: Type<StatusRange> = {
  name: "status or range",
  schema: {
    anyOf: [
      { type: "integer", minimum: 100, maximum: 599 },
      { type: "string", pattern: "^\\d{3}( ?- ?\\d{3})?$|\\$\\{" },
    ],
  },
  read(value, place) {
    const written = typeof value === "number" || typeof value === "string" ? String(value) : "";
    const [, first, last = first] = /^(\d{3})(?: ?- ?(\d{3}))?$/.exec(written) ?? [];
    if (first === undefined || last === undefined) {
      const [, leading] = /^([1-5])xx$/i.exec(written) ?? [];
      const hint = leading === undefined ? STATUS_HINT : `Write ${leading}00-${leading}99.`;
      place.error(`${describe(value)} is neither a status nor a range`, hint);
      return undefined;
    }
    const range: StatusRange = [Number(first), Number(last)];
    if (range[0] <= range[1] && range[0] >= 100 && range[1] <= 599) return range;
    const isTurned = range[0] > range[1];
    place.error(
      isTurned ? `${quote(written)} ends before it begins` : `${quote(written)} is outside of 100 to 599`,
      isTurned ? `Write ${last}-${first}.` : STATUS_HINT,
    );
    return undefined;
  },
};

/** `text` that the answer holds, or `~pattern`. out  the source of a regular expression */
export const answerTest: Type<string> = {
  name: "`text` or `~pattern`",
  schema: { type: ["string", "number", "boolean"] },
  read(value, place) {
    const written = text("a test").read(value, place);
    if (written === undefined) return undefined;
    if (!written.startsWith("~")) return written.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
    const wrong = judgePattern(written.slice(1));
    if (wrong !== undefined) place.error(...wrong);
    return wrong === undefined ? written.slice(1) : undefined;
  },
};

/** A request target in origin form (RFC 9112 §3.2.1), sent as it is written. */
export const checkTarget: Type<string> = text(
  "a path",
  (value, place) => {
    const [, afterHost] = /^https?:\/\/[^/]+(.*)$/.exec(value) ?? [];
    if (/^\/[!"$-~]*$/.test(value)) return true;
    if (afterHost !== undefined) place.error(`${quote(value)} is a URL`, `Write "${afterHost || "/"}".`);
    else if (!value.startsWith("/")) place.error(`${quote(value)} is not a path`, "Begin it with a slash.");
    else place.error(`${quote(value)} cannot be sent as a path`, "Percent-encode spaces and the like.");
    return false;
  },
  { type: "string" },
);

// retries

const RETRY_WORDS = ["connect", "reset", "timeout"] as const;
const RETRY_NAME = "`connect`, `reset`, `timeout` or a status";

/** What nginx and HAProxy call it. */
const FOREIGN_REASONS: Readonly<Record<string, string>> = {
  error: "Write connect, reset.",
  "conn-failure": "Write connect.",
  "empty-response": "Write reset.",
  "response-timeout": "Write timeout.",
  "5xx": "Write the statuses: 500, 502, 503, 504.",
  "gateway-error": "Write the statuses: 502, 503, 504.",
};

export const retryOn: Type<RetryOn> = {
  name: RETRY_NAME,
  schema: {
    anyOf: [
      { enum: RETRY_WORDS },
      { type: "integer", minimum: 400, maximum: 599 },
      { type: "string", pattern: "^[45]\\d\\d$|\\$\\{" },
    ],
  },
  read(value, place) {
    const word = RETRY_WORDS.find((one) => one === value);
    if (word !== undefined) return word;
    const isNumber = typeof value === "number" || (typeof value === "string" && /^\d+$/.test(value));
    if (isNumber) return readRetryStatus(Number(value), place);
    place.error(`${describe(value)} is no reason to try again`, hintForReason(value));
    return undefined;
  },
};

function readRetryStatus(status: number, place: Place): number | undefined {
  if (Number.isInteger(status) && status >= 400 && status <= 599) return status;
  place.error(`${status} is no status of an error`, "Write one from 400 to 599.");
  return undefined;
}

function hintForReason(value: unknown): string | undefined {
  const written = String(value).toLowerCase();
  const [, status] = /^http_([45]\d\d)$/.exec(written) ?? [];
  if (status !== undefined) return `Write ${status}.`;
  const meant = nearest(written, RETRY_WORDS);
  if (meant !== undefined) return `Did you mean \`${meant}\`?`;
  if (Object.hasOwn(FOREIGN_REASONS, written)) return FOREIGN_REASONS[written];
  return "Write connect, reset, timeout, or a status such as 503.";
}
