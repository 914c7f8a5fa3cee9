import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import {
  MAX_DELTA_SEC,
  NO_REQUEST_DIRECTIVES,
  NO_RESPONSE_DIRECTIVES,
  parseRequestDirectives,
  parseResponseDirectives,
  parseSurrogateDirectives,
  parseTargetedDirectives,
  type RequestDirectives,
  type ResponseDirectives,
  requestDirectives,
} from "./directives.ts";

const responses: [text: string, says: Partial<ResponseDirectives>][] = [
  ["", {}],
  [",, ,", {}],
  ["no-store", { noStore: true }],
  ["No-StOrE", { noStore: true }],
  ["no-store=1", { noStore: true }],
  ['no-store="x"', { noStore: true }],
  ["nostore", {}],
  ["no-storex", {}],
  ["x-no-store", {}],
  ["public, immutable, no-transform", { isPublic: true, immutable: true, noTransform: true }],
  ["must-revalidate,proxy-revalidate", { mustRevalidate: true, proxyRevalidate: true }],
  ["must-understand, no-store", { mustUnderstand: true, noStore: true }],
  // delta-seconds (§1.2.2)
  ["max-age=3600", { maxAgeSec: 3600 }],
  ["MaX-aGe=3600", { maxAgeSec: 3600 }],
  ["max-age=0", { maxAgeSec: 0 }],
  ["max-age=003600", { maxAgeSec: 3600 }],
  ["max-age=2147483647", { maxAgeSec: 2147483647 }],
  ["max-age=2147483648", { maxAgeSec: MAX_DELTA_SEC }],
  ["max-age=2147483649", { maxAgeSec: MAX_DELTA_SEC }],
  ["max-age=99999999999", { maxAgeSec: MAX_DELTA_SEC }],
  [`max-age=${"9".repeat(400)}`, { maxAgeSec: MAX_DELTA_SEC }],
  // what is no number of seconds makes it stale (§4.2.1)
  ["max-age", { maxAgeSec: 0 }],
  ["max-age=", { maxAgeSec: 0 }],
  ["max-age=-3600", { maxAgeSec: 0 }],
  ["max-age=3600.0", { maxAgeSec: 0 }],
  ["max-age=3600.5", { maxAgeSec: 0 }],
  ["max-age=a3600", { maxAgeSec: 0 }],
  ["max-age=3600a", { maxAgeSec: 0 }],
  ["max-age=0x10", { maxAgeSec: 0 }],
  ["max-age=1e3", { maxAgeSec: 0 }],
  ["max-age='3600'", { maxAgeSec: 0 }],
  ["max-age = 3600", { maxAgeSec: 0 }],
  ["max-age =3600", { maxAgeSec: 0 }],
  ["max-age= 3600", { maxAgeSec: 0 }],
  ["max-age: 3600", { maxAgeSec: 0 }],
  ["max-age=36 00", { maxAgeSec: 0 }],
  ["max-age=3600;x=1", { maxAgeSec: 0 }],
  ["s-maxage=soon, max-age=60", { sMaxAgeSec: 0, maxAgeSec: 60 }],
  // both forms of an argument (§5.2)
  ['max-age="3600"', { maxAgeSec: 3600 }],
  ['max-age="36\\00"', { maxAgeSec: 3600 }],
  ['max-age="3600', { maxAgeSec: 0 }],
  ['max-age="3600"x', { maxAgeSec: 0 }],
  ['max-age=""', { maxAgeSec: 0 }],
  // of two the shorter (§4.2.1)
  ["max-age=1800, max-age=1", { maxAgeSec: 1 }],
  ["max-age=1, max-age=1800", { maxAgeSec: 1 }],
  ["max-age=60, max-age=never", { maxAgeSec: 0 }],
  ["s-maxage=5, max-age=60, s-maxage=7", { sMaxAgeSec: 5, maxAgeSec: 60 }],
  // extensions, and what hides in their strings
  ["foobar, max-age=60", { maxAgeSec: 60 }],
  ["foo=bar, max-age=60", { maxAgeSec: 60 }],
  ['ext="max-age=3600", max-age=1', { maxAgeSec: 1 }],
  ['max-age=1, ext="max-age=3600"', { maxAgeSec: 1 }],
  ['ext="max-age=3600", max-age="1"', { maxAgeSec: 1 }],
  ['ext="a, no-store, b"', {}],
  ['ext="a\\", no-store, b"', {}],
  ["ext='no-store'", {}],
  // one member that is none does not hide the others
  ["@@@, no-store", { noStore: true }],
  ['a b "c, no-store" d, private', { isPrivate: true }],
  ["=, max-age=5", { maxAgeSec: 5 }],
  ["constructor, __proto__=1, max-age=5", { maxAgeSec: 5 }],
  // behind a quote that never closes, what forbids counts and what allows does not
  ['ext="a, no-store', { noStore: true }],
  ['ext="a, max-age=3600', { maxAgeSec: 0 }],
  ['ext="a, public, must-understand, immutable', {}],
  ['ext="a, private="set-cookie"', { isPrivate: true }],
  // names of fields (§5.2.2.4, §5.2.2.7)
  ["private", { isPrivate: true }],
  ["no-cache", { noCache: true }],
  ['private="Set-Cookie"', { privateNames: ["set-cookie"] }],
  ["private=Set-Cookie", { privateNames: ["set-cookie"] }],
  ['no-cache="a, B ,c"', { noCacheNames: ["a", "b", "c"] }],
  ['no-cache="a", no-cache="b"', { noCacheNames: ["a", "b"] }],
  ['no-cache="a", no-cache', { noCache: true, noCacheNames: ["a"] }],
  ['private, private="a"', { isPrivate: true, privateNames: ["a"] }],
  ['private=""', { isPrivate: true }],
  ['private=","', { isPrivate: true }],
  ['private="a b"', { isPrivate: true }],
  ['no-cache="a:b"', { noCache: true }],
  ["no-cache=@", { noCache: true }],
  // RFC 5861
  ["stale-while-revalidate=30, stale-if-error=600", { staleWhileRevalidateSec: 30, staleIfErrorSec: 600 }],
  ["stale-while-revalidate, stale-if-error=x", { staleWhileRevalidateSec: 0, staleIfErrorSec: 0 }],
  ["stale-while-revalidate=10, stale-while-revalidate=5", { staleWhileRevalidateSec: 5 }],
];

describe("Cache-Control of a response (RFC 9111 §5.2.2)", () => {
  test.each(responses)("%p", (text, says) => {
    expect(parseResponseDirectives(text)).toEqual({ ...NO_RESPONSE_DIRECTIVES, ...says });
  });
});

const requests: [text: string, says: Partial<RequestDirectives>][] = [
  ["", {}],
  ["no-cache", { noCache: true }],
  ["NO-STORE", { noStore: true }],
  ["only-if-cached, no-transform", { onlyIfCached: true, noTransform: true }],
  ["max-age=0", { maxAgeSec: 0 }],
  ["max-age=5, max-age=9", { maxAgeSec: 5 }],
  ["max-age=x", { maxAgeSec: 0 }],
  ["min-fresh=20", { minFreshSec: 20 }],
  ["min-fresh=20, min-fresh=30", { minFreshSec: 30 }],
  ["min-fresh=x", {}],
  ["max-stale", { maxStaleSec: Number.POSITIVE_INFINITY }],
  ["max-stale=60", { maxStaleSec: 60 }],
  ["max-stale, max-stale=60", { maxStaleSec: 60 }],
  ["max-stale=x", { maxStaleSec: 0 }],
  ["max-stale =60", { maxStaleSec: 0 }],
  ["stale-if-error=60", { staleIfErrorSec: 60 }],
  ["stale-if-error", { staleIfErrorSec: 0 }],
  ["public, private, immutable, s-maxage=5", {}],
];

describe("Cache-Control of a request (RFC 9111 §5.2.1)", () => {
  test.each(requests)("%p", (text, says) => {
    expect(parseRequestDirectives(text)).toEqual({ ...NO_REQUEST_DIRECTIVES, ...says });
  });
});

const heard: [rule: string, lines: string, says: Partial<RequestDirectives>][] = [
  ["nothing said", "Host: a\r\n", {}],
  [
    "several lines are one list",
    "Cache-Control: max-age=5\r\nCache-Control: no-cache\r\n",
    { maxAgeSec: 5, noCache: true },
  ],
  ["Pragma: no-cache counts alone (§5.4)", "Pragma: No-Cache\r\n", { noCache: true }],
  ["Pragma among others", "Pragma: x, no-cache\r\n", { noCache: true }],
  ["another Pragma says nothing", "Pragma: no-cachex\r\n", {}],
  [
    "Pragma does not count beside Cache-Control",
    "Pragma: no-cache\r\nCache-Control: max-age=5\r\n",
    { maxAgeSec: 5 },
  ],
];

describe("what a client says", () => {
  test.each(heard)("%s", (_rule, lines, says) => {
    expect(requestDirectives(fieldsOfLines(lines), true)).toEqual({ ...NO_REQUEST_DIRECTIVES, ...says });
  });

  test("is not heard where the route does not heed it", () => {
    const fields = fieldsOfLines("Cache-Control: no-store, no-cache\r\nPragma: no-cache\r\n");
    expect(requestDirectives(fields, false)).toBe(NO_REQUEST_DIRECTIVES);
  });
});

const targeted: [text: string, says: Partial<ResponseDirectives> | undefined][] = [
  ["max-age=60", { maxAgeSec: 60 }],
  ["max-age=99999999999", { maxAgeSec: MAX_DELTA_SEC }],
  ["foobar, max-age=60;x=y", { maxAgeSec: 60 }],
  ["no-store", { noStore: true }],
  ["no-store=?0, max-age=5", { maxAgeSec: 5 }],
  ["private, no-cache", { isPrivate: true, noCache: true }],
  ['private="a, b"', { privateNames: ["a", "b"] }],
  ["no-cache=a", { noCacheNames: ["a"] }],
  ["private=(a b)", { isPrivate: true }],
  ["max-age=60, max-age=30", { maxAgeSec: 30 }],
  ["max-age=30, max-age=60", { maxAgeSec: 60 }],
  ["must-revalidate, stale-if-error=9", { mustRevalidate: true, staleIfErrorSec: 9 }],
  // not to be heeded: the next field counts
  ["", undefined],
  ["  ", undefined],
  ["max-age=60, &&&&&", undefined],
  ["MaX-aGe=60", undefined],
  ["max-age =60", undefined],
  ["max-age= 60", undefined],
  ['max-age="60"', undefined],
  ["max-age=1.5", undefined],
  ["max-age=-1", undefined],
  ["max-age", undefined],
  ["no-store,", undefined],
  // but what forbids is heard, whatever is beside it
  ['max-age="60", no-store', { maxAgeSec: 60, noStore: true }],
  ["max-age, private", { maxAgeSec: 0, isPrivate: true }],
];

describe("a targeted field (RFC 9213 §2.1)", () => {
  test.each(targeted)("%p", (text, says) => {
    const expected = says === undefined ? undefined : { ...NO_RESPONSE_DIRECTIVES, ...says };
    expect(parseTargetedDirectives(text)).toEqual(expected as ResponseDirectives);
  });
});

const surrogate: [text: string, says: Partial<ResponseDirectives> | undefined][] = [
  ["max-age=60", { maxAgeSec: 60 }],
  ["MaX-aGe=60", { maxAgeSec: 60 }],
  ['max-age="60"', { maxAgeSec: 60 }],
  ["foobar, max-age=60", { maxAgeSec: 60 }],
  ["max-age=99999999999", { maxAgeSec: MAX_DELTA_SEC }],
  ["max-age=60+30", { maxAgeSec: 60, staleWhileRevalidateSec: 30, staleIfErrorSec: 30 }],
  ["max-age=60+0", { maxAgeSec: 60, staleWhileRevalidateSec: 0, staleIfErrorSec: 0 }],
  ["max-age=60+30, stale-if-error=9", { maxAgeSec: 60, staleWhileRevalidateSec: 30, staleIfErrorSec: 9 }],
  ["no-store", { noStore: true }],
  ['no-store, content="ESI/1.0"', { noStore: true }],
  ["max-age=60, no-store-remote", { maxAgeSec: 60 }],
  ["max-age=60, stale-while-revalidate=9", { maxAgeSec: 60, staleWhileRevalidateSec: 9 }],
  // for whom: our own word before that for all, another's is none of ours
  ["max-age=60;weir", { maxAgeSec: 60 }],
  ["max-age=60 ; Weir", { maxAgeSec: 60 }],
  ["max-age=60;other;weir", { maxAgeSec: 60 }],
  ["max-age=60;other", undefined],
  ["no-store;other, max-age=60", { maxAgeSec: 60 }],
  ["no-store, max-age=60;weir", { maxAgeSec: 60 }],
  ["max-age=3600, max-age=60+5;weir", { maxAgeSec: 60, staleWhileRevalidateSec: 5, staleIfErrorSec: 5 }],
  ["no-store;weir, max-age=60;other, max-age=9", { noStore: true }],
  // what cannot be read is stale at once, and not stale for long
  ["max-age=x", { maxAgeSec: 0 }],
  ["max-age", { maxAgeSec: 0 }],
  ["max-age =60", { maxAgeSec: 0 }],
  ["max-age=+30", { maxAgeSec: 0, staleWhileRevalidateSec: 30, staleIfErrorSec: 30 }],
  ["max-age=60+x", { maxAgeSec: 60, staleWhileRevalidateSec: 0, staleIfErrorSec: 0 }],
  ["max-age=60+1+2", { maxAgeSec: 60, staleWhileRevalidateSec: 0, staleIfErrorSec: 0 }],
  ["max-age=60, max-age=30", { maxAgeSec: 30 }],
  // it tells nothing of how long: the next field counts
  ["", undefined],
  ["foo", undefined],
  ['content="ESI/1.0"', undefined],
  ['content="max-age=60"', undefined],
  ["no-store-remote", undefined],
  ["stale-if-error=60", undefined],
];

describe("Surrogate-Control (Edge Architecture Specification §2.3)", () => {
  test.each(surrogate)("%p", (text, says) => {
    const expected = says === undefined ? undefined : { ...NO_RESPONSE_DIRECTIVES, ...says };
    expect(parseSurrogateDirectives(text)).toEqual(expected as ResponseDirectives);
  });
});

describe("what is remembered", () => {
  test("is the same object for the same text, and cannot be changed", () => {
    const first = parseResponseDirectives("max-age=61");
    expect(parseResponseDirectives("max-age=61")).toBe(first);
    expect(Object.isFrozen(first)).toBe(true);
  });

  test("is bounded: texts without end do not fill the memory, and are read right", () => {
    const first = parseResponseDirectives("max-age=62");
    for (let age = 0; age < 5000; age++) {
      expect(parseResponseDirectives(`max-age=${age}, x`).maxAgeSec).toBe(age);
    }
    expect(parseResponseDirectives("max-age=62")).not.toBe(first);
    const long = `max-age=1, x="${"a".repeat(300)}"`;
    expect(parseResponseDirectives(long)).not.toBe(parseResponseDirectives(long));
  });
});

describe("any text", () => {
  const parts = [
    "no-store",
    "max-age=",
    "60",
    ",",
    " ",
    '"',
    "\\",
    "=",
    "public",
    "private",
    "@",
    "s-maxage=1",
    "é",
  ];

  test("in which no-store stands as a member outside quotes forbids storing", () => {
    for (let seed = 1; seed < 3000; seed++) {
      const [before, after] = [mix(seed, parts), mix(seed * 7919, parts)];
      const closed = before.replace(/["\\]/g, "");
      expect(parseResponseDirectives(`${closed},no-store,${after}`).noStore).toBe(true);
    }
  });

  test("never gives a lifetime below 0 or above the largest", () => {
    for (let seed = 1; seed < 3000; seed++) {
      const { maxAgeSec, sMaxAgeSec } = parseResponseDirectives(mix(seed, parts));
      for (const seconds of [maxAgeSec, sMaxAgeSec]) {
        expect(Number.isInteger(seconds) && seconds >= -1 && seconds <= MAX_DELTA_SEC).toBe(true);
      }
    }
  });

  test("is read in one pass, however long it is", () => {
    const started = performance.now();
    for (const part of ['"', 'a="', '"\\', 'a="\\",', 'a"b,', '"a,"', "a=,", " ,", "a b,", 'a="b" c,']) {
      parseResponseDirectives(part.repeat(30_000));
    }
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

/** A few of the parts, in an order that follows from the seed. */
function mix(seed: number, parts: readonly string[]): string {
  let state = seed;
  let text = "";
  for (let count = seed % 9; count >= 0; count--) {
    state = (state * 48271) % 2147483647;
    text += parts[state % parts.length] ?? "";
  }
  return text;
}
