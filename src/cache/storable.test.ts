import { describe, expect, test } from "bun:test";
import type { RuleCode } from "./rules.table.ts";
import { at, FRESH, GUESSED, judge, type Told } from "./storable.cases.ts";

const MINUTE = 60_000;

type Row = [rule: string, told: Told, code: RuleCode];

const stored: Row[] = [
  // who says how long (§4.2.1)
  ["s-maxage", { came: ["Cache-Control: s-maxage=60"] }, "s_maxage"],
  ["max-age", { came: FRESH }, "max_age"],
  ["Expires", { came: [`Expires: ${at(60)}`, `Date: ${at(0)}`] }, "expires"],
  [
    "a targeted field, whatever Cache-Control forbids (RFC 9213 §2.2)",
    { came: ["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"] },
    "max_age",
  ],
  [
    "our own targeted field before that of all",
    { came: ["Weir-Cache-Control: max-age=60", "CDN-Cache-Control: no-store"] },
    "max_age",
  ],
  [
    "Surrogate-Control, whatever Cache-Control forbids (Edge Architecture Specification §2.3)",
    { came: ["Surrogate-Control: max-age=60", "Cache-Control: private, no-store"] },
    "max_age",
  ],
  // statuses (§3): any final one with explicit freshness
  ...[200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 399].map(fresh),
  ...[400, 401, 403, 404, 405, 410, 414, 418, 451, 499, 500, 501, 502, 503, 504, 599, 999].map(fresh),
  // must-understand (§5.2.2.3)
  [
    "must-understand of a status we know sets no-store aside",
    { came: ["Cache-Control: max-age=60, no-store, must-understand"] },
    "max_age",
  ],
  // guesses (§4.2.2), for statuses that are cacheable by default (RFC 9110 §15.1)
  ...[200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501].map(guessed),
  [
    "a guess for another status that is public",
    { status: 599, came: [...GUESSED, "Cache-Control: public"] },
    "heuristic",
  ],
  [
    "a guess with a cookie for what is public",
    { asked: ["Cookie: a=b"], came: [...GUESSED, "Cache-Control: public"] },
    "heuristic",
  ],
  ["a cookie in the request, and a stated lifetime", { asked: ["Cookie: a=b"], came: FRESH }, "max_age"],
  // Authorization (§3.5)
  [
    "Authorization and public",
    { asked: ["Authorization: x"], came: ["Cache-Control: max-age=60, public"] },
    "max_age",
  ],
  [
    "Authorization and must-revalidate",
    { asked: ["Authorization: x"], came: ["Cache-Control: max-age=60, must-revalidate"] },
    "max_age",
  ],
  [
    "Authorization and s-maxage",
    { asked: ["Authorization: x"], came: ["Cache-Control: s-maxage=60"] },
    "s_maxage",
  ],
  [
    "Authorization and a targeted public",
    { asked: ["Authorization: x"], came: ["CDN-Cache-Control: public, max-age=60"] },
    "max_age",
  ],
  // no lifetime, or none left, and something to ask with
  [
    "no-cache with an ETag (§5.2.2.4)",
    { came: ["Cache-Control: no-cache", 'ETag: "a"'] },
    "validate_each_time",
  ],
  [
    "no-cache with Last-Modified",
    { came: ["Cache-Control: no-cache", `Last-Modified: ${at(-9)}`] },
    "validate_each_time",
  ],
  [
    "no-cache beside a lifetime",
    { came: ["Cache-Control: no-cache, max-age=60", 'ETag: "a"'] },
    "validate_each_time",
  ],
  ["max-age=0 with an ETag", { came: ["Cache-Control: max-age=0", 'ETag: W/"a"'] }, "max_age"],
  ["Expires in the past with an ETag", { came: ["Expires: 0", 'ETag: "a"'] }, "expires"],
  ["older than its lifetime, with an ETag", { came: [...FRESH, "Age: 90", 'ETag: "a"'] }, "max_age"],
  [
    "max-age=0 that may be used stale while it is fetched (RFC 5861 §3)",
    { came: ["Cache-Control: max-age=0, stale-while-revalidate=9"] },
    "max_age",
  ],
  [
    "max-age=0 that may be used if the origin fails (RFC 5861 §4)",
    { came: ["Cache-Control: max-age=0, stale-if-error=9"] },
    "max_age",
  ],
  [
    "older than its lifetime, but not than it may be used stale",
    { came: ["Cache-Control: max-age=60, stale-if-error=60", "Age: 90"] },
    "max_age",
  ],
  // names of fields
  ["private for a field (§5.2.2.7)", { came: ['Cache-Control: max-age=60, private="x-user"'] }, "max_age"],
  [
    "a cookie that private keeps out",
    { came: ['Cache-Control: max-age=60, private="Set-Cookie"', "Set-Cookie: a=b"] },
    "max_age",
  ],
  [
    "a cookie that no-cache keeps out (§5.2.2.4)",
    { came: ['Cache-Control: max-age=60, no-cache="Set-Cookie"', "Set-Cookie: a=b"] },
    "max_age",
  ],
  // Pragma says nothing in a response (§5.4)
  ["Pragma: no-cache in a response", { came: [...FRESH, "Pragma: no-cache"] }, "max_age"],
  // parts (§3.3)
  ["a part", { status: 206, came: [...FRESH, "Content-Range: bytes 4-9/10"] }, "max_age"],
  [
    "a part of what is not known to be how long",
    { status: 206, came: [...FRESH, "Content-Range: bytes 4-9/*"] },
    "max_age",
  ],
  // POST that is the page (RFC 9110 §9.3.3)
  [
    "POST whose Content-Location is its URL",
    { ...post(), came: [...FRESH, "Content-Location: /?q=1"] },
    "max_age",
  ],
  [
    "the same with a whole URL",
    { ...post(), came: [...FRESH, "Content-Location: http://A.example:80/?q=1"] },
    "max_age",
  ],
  // the rest of what is told
  ["Vary", { came: [...FRESH, "Vary: Accept, *-x"] }, "max_age"],
  ["a type that fits", { path: "/a.css", came: [...FRESH, "Content-Type: text/css"] }, "max_age"],
  [
    "an error in place of a style sheet",
    { path: "/a.css", status: 404, came: [...FRESH, "Content-Type: text/html"] },
    "max_age",
  ],
  [
    "a redirect in place of a style sheet",
    { path: "/a.css", status: 301, came: [...FRESH, "Content-Type: text/html"] },
    "max_age",
  ],
  ["a directive that nobody knows", { came: ["Cache-Control: max-age=60, community=UCI"] }, "max_age"],
  [
    "other things that a client says",
    { asked: ["Cache-Control: no-cache, max-age=0", "Pragma: no-cache"], came: FRESH },
    "max_age",
  ],
  ["a cookie that is asked with", { asked: ["Cookie: a=b"], came: FRESH }, "max_age"],
];

function fresh(status: number): Row {
  return [`${status} with explicit freshness`, { status, came: FRESH }, "max_age"];
}

function guessed(status: number): Row {
  return [`${status} by a guess`, { status, came: GUESSED }, "heuristic"];
}

function post(): Told {
  return { method: "POST", hasBody: true };
}

describe("a response is stored (RFC 9111 §3)", () => {
  test.each(stored)("%s", (_rule, told, code) => {
    const verdict = judge(told);
    expect([verdict.isStorable, verdict.rule]).toEqual([true, code]);
  });
});

const refused: Row[] = [
  // methods (§3)
  ...["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY", "get"].map(
    (method): Row => [`${method}`, { method, came: FRESH }, "store_method"],
  ),
  ["POST", { ...post(), came: FRESH }, "store_method"],
  [
    "POST with the place of something else",
    { ...post(), came: [...FRESH, "Content-Location: /other"] },
    "store_method",
  ],
  ["POST with another query", { ...post(), came: [...FRESH, "Content-Location: /?q=2"] }, "store_method"],
  [
    "POST with its own place, and nobody says how long",
    { ...post(), came: [...GUESSED, "Content-Location: /?q=1"] },
    "store_method",
  ],
  [
    "POST with its own place, for no time",
    { ...post(), came: ["Cache-Control: max-age=0", 'ETag: "a"', "Content-Location: /?q=1"] },
    "store_method",
  ],
  [
    "POST with its own place by the route's ttl alone",
    { ...post(), came: ["Content-Location: /?q=1"], policy: { ttlMs: { default: MINUTE } } },
    "store_method",
  ],
  [
    "POST that created something",
    { ...post(), status: 201, came: [...FRESH, "Content-Location: /?q=1"] },
    "store_method",
  ],
  [
    "POST with a place that is none",
    { ...post(), came: [...FRESH, "Content-Location: http://[/"] },
    "store_method",
  ],
  // statuses: interim, answers to one request, and what RFC 6585 forbids
  ...[100, 101, 103, 304, 408, 412, 416, 421, 425, 428, 429, 431, 511].map(
    (status): Row => [`${status}`, { status, came: FRESH }, "store_status"],
  ),
  [
    "must-understand of a status we do not know (§5.2.2.3)",
    { status: 599, came: ["Cache-Control: max-age=60, must-understand"] },
    "must_understand",
  ],
  [
    "the same with no-store",
    { status: 599, came: ["Cache-Control: max-age=60, no-store, must-understand"] },
    "must_understand",
  ],
  // no-store (§5.2.1.5, §5.2.2.5)
  ["no-store in the request", { asked: ["Cache-Control: no-store"], came: FRESH }, "asked_no_store"],
  ["no-store", { came: ["Cache-Control: no-store"] }, "no_store"],
  [
    "no-store beside a lifetime",
    { came: ["Cache-Control: max-age=60, no-store", `Expires: ${at(60)}`] },
    "no_store",
  ],
  ["no-store in any case", { came: ["Cache-Control: max-age=60, No-StOrE"] }, "no_store"],
  [
    "no-store in the second line",
    { came: ["Cache-Control: max-age=60", "Cache-Control: no-store"] },
    "no_store",
  ],
  [
    "a targeted no-store beside a lifetime for others",
    { came: [...FRESH, "CDN-Cache-Control: no-store"] },
    "no_store",
  ],
  [
    "a targeted no-store for us",
    { came: ["CDN-Cache-Control: max-age=60", "Weir-Cache-Control: no-store"] },
    "no_store",
  ],
  [
    "a targeted field that is none does not set no-store aside",
    { came: ["CDN-Cache-Control: max-age=60, &&", "Cache-Control: no-store"] },
    "no_store",
  ],
  [
    "nor one whose lifetime is none",
    { came: ['CDN-Cache-Control: max-age="60"', "Cache-Control: no-store"] },
    "no_store",
  ],
  // private (§5.2.2.7)
  ["private", { came: ["Cache-Control: private, max-age=60"] }, "private"],
  ["private beside s-maxage", { came: ["Cache-Control: private, s-maxage=60"] }, "private"],
  [
    "private beside public: what forbids counts (§4.2.1)",
    { came: ["Cache-Control: public, private, max-age=60"] },
    "private",
  ],
  ["private with a list of nothing", { came: ['Cache-Control: private="", max-age=60'] }, "private"],
  ["no-store in Surrogate-Control", { came: [...FRESH, "Surrogate-Control: no-store"] }, "no_store"],
  [
    "no-store in Surrogate-Control that is for us",
    { came: [...FRESH, "Surrogate-Control: max-age=60, no-store;weir"] },
    "no_store",
  ],
  ["a targeted private", { came: [...FRESH, "CDN-Cache-Control: private"] }, "private"],
  // safe by default
  ["a request with a body", { hasBody: true, came: FRESH }, "request_body"],
  ["Authorization (§3.5)", { asked: ["Authorization: x"], came: FRESH }, "authorization"],
  [
    "Authorization and Expires",
    { asked: ["Authorization: x"], came: [`Expires: ${at(60)}`] },
    "authorization",
  ],
  [
    "Authorization and proxy-revalidate",
    { asked: ["Authorization: x"], came: ["Cache-Control: max-age=60, proxy-revalidate"] },
    "authorization",
  ],
  [
    "Authorization and a targeted field that does not repeat public",
    { asked: ["Authorization: x"], came: ["Cache-Control: public", "CDN-Cache-Control: max-age=60"] },
    "authorization",
  ],
  ["Set-Cookie", { came: [...FRESH, "Set-Cookie: a=b"] }, "set_cookie"],
  [
    "Set-Cookie, though it is public",
    { came: ["Cache-Control: public, s-maxage=60", "Set-Cookie: a=b"] },
    "set_cookie",
  ],
  [
    "Set-Cookie, when private names something else",
    { came: ['Cache-Control: max-age=60, private="x"', "Set-Cookie: a=b"] },
    "set_cookie",
  ],
  ["Vary: * (§4.1)", { came: [...FRESH, "Vary: *"] }, "vary_star"],
  ["* among names", { came: [...FRESH, "Vary: accept , * "] }, "vary_star"],
  ["* in the second line", { came: [...FRESH, "Vary: accept", "Vary: *"] }, "vary_star"],
  [
    "a page under the name of a style sheet (§7.2)",
    { path: "/account/x.css", came: [...FRESH, "Content-Type: text/html"] },
    "type_mismatch",
  ],
  [
    "the same behind a semicolon",
    { path: "/account;x.js", came: ["Cache-Control: public, max-age=60", "Content-Type: text/html"] },
    "type_mismatch",
  ],
  [
    "the same in part",
    {
      path: "/account/x.png",
      status: 206,
      came: [...FRESH, "Content-Type: text/html", "Content-Range: bytes 0-1/2"],
    },
    "type_mismatch",
  ],
  // parts (§3.3)
  ["a part that does not say which", { status: 206, came: FRESH }, "part_unknown"],
  [
    "parts in one body",
    { status: 206, came: [...FRESH, "Content-Type: multipart/byteranges; boundary=x"] },
    "part_unknown",
  ],
  ["a part in another unit", { status: 206, came: [...FRESH, "Content-Range: lines 1-2/9"] }, "part_unknown"],
  [
    "a part that ends before it begins",
    { status: 206, came: [...FRESH, "Content-Range: bytes 9-4/10"] },
    "part_unknown",
  ],
  [
    "a part behind the end",
    { status: 206, came: [...FRESH, "Content-Range: bytes 4-10/10"] },
    "part_unknown",
  ],
  // nobody says how long, and nothing to guess by
  ["nothing said", {}, "no_lifetime"],
  ["a validator alone", { came: ['ETag: "a"'] }, "no_lifetime"],
  ["public alone", { came: ["Cache-Control: public"] }, "no_lifetime"],
  ["must-understand alone", { came: ["Cache-Control: must-understand"] }, "no_lifetime"],
  ...[201, 202, 302, 307, 400, 403, 500, 502, 503, 504, 599].map(
    (status): Row => [`${status} is not cacheable by a guess`, { status, came: GUESSED }, "no_lifetime"],
  ),
  ["no guess where the route makes none", { came: GUESSED, policy: { heuristic: false } }, "no_lifetime"],
  ["no guess for a request with a cookie", { asked: ["Cookie: a=b"], came: GUESSED }, "cookie_guess"],
  // nothing left, and nothing to ask with
  ["no-cache without validator", { came: ["Cache-Control: no-cache, max-age=60"] }, "no_validator"],
  [
    "no-cache without validator, but stale-if-error",
    { came: ["Cache-Control: no-cache, stale-if-error=60"] },
    "no_validator",
  ],
  ["max-age=0 without validator", { came: ["Cache-Control: max-age=0"] }, "no_validator"],
  ["a max-age that is none", { came: ["Cache-Control: max-age=1h"] }, "no_validator"],
  ["a negative max-age", { came: ["Cache-Control: max-age=-60"] }, "no_validator"],
  ["Expires: 0", { came: ["Expires: 0"] }, "no_validator"],
  [
    "a Last-Modified that is no date is no validator",
    { came: ["Expires: 0", "Last-Modified: never"] },
    "no_validator",
  ],
  [
    "max-age=0, must-revalidate, stale-if-error",
    { came: ["Cache-Control: max-age=0, must-revalidate, stale-if-error=9"] },
    "no_validator",
  ],
  ["Age above the lifetime (§4.2.3)", { came: [...FRESH, "Age: 60"] }, "stale_on_arrival"],
  ["Date before the lifetime", { came: [...FRESH, `Date: ${at(-60)}`] }, "stale_on_arrival"],
  ["slower than its lifetime", { delayMs: 60_000, came: FRESH }, "stale_on_arrival"],
  ["Expires passed on the way", { came: [`Expires: ${at(-1)}`, `Date: ${at(-30)}`] }, "stale_on_arrival"],
  ["older than a guess", { came: [...GUESSED, "Age: 3600"] }, "stale_on_arrival"],
  // bounds
  ["more tags than are kept", { came: [...FRESH, `Cache-Tag: ${tagList(513)}`] }, "too_many_tags"],
  [
    "longer groups than are kept",
    { came: [...FRESH, `Cache-Groups: "${"x".repeat(1025)}"`] },
    "too_many_tags",
  ],
  ["smaller than the route stores", { bytes: 99, came: FRESH, policy: { minBytes: 100 } }, "too_small"],
  ["larger than the route stores", { bytes: 101, came: FRESH, policy: { maxBytes: 100 } }, "too_large"],
];

function tagList(count: number): string {
  return Array.from({ length: count }, (_, tag) => `t${tag}`).join(",");
}

describe("a response is not stored", () => {
  test.each(refused)("%s", (_rule, told, code) => {
    const verdict = judge(told);
    expect([verdict.isStorable, verdict.rule]).toEqual([false, code]);
    expect([verdict.lifetimeMs, verdict.flags, verdict.tags.length]).toEqual([0, 0, 0]);
  });
});

/** What a row says of the terms. */
