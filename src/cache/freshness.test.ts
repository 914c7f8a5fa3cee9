import { describe, expect, test } from "bun:test";
import { fieldsOfLines } from "../core/fields.ts";
import { httpDate } from "../core/http-clock.ts";
import { MAX_DELTA_SEC } from "./directives.ts";
import {
  ageFieldOf,
  dateOf,
  heuristicLifetimeOf,
  initialAgeOf,
  MAX_HEURISTIC_MS,
  originWordOf,
  parseLooseDate,
  statedLifetimeOf,
} from "./freshness.ts";
import type { RuleCode } from "./rules.table.ts";

const NOW = Date.UTC(2026, 5, 1, 12, 0, 0, 250);
/** NOW in whole seconds, as Date can say it. */
const SECOND = NOW - 250;
const DAY = 24 * 3600;

const at = (seconds: number) => httpDate(SECOND + seconds * 1000);
const fieldsOf = (...lines: string[]) => fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));

const ages: [rule: string, lines: string[], ageSec: number][] = [
  ["none", [], 0],
  ["a number", ["Age: 7200"], 7200],
  ["leading zeros", ["Age: 007"], 7],
  ["2^31 − 1 (§1.2.2)", ["Age: 2147483647"], 2147483647],
  ["2^31", ["Age: 2147483648"], MAX_DELTA_SEC],
  ["more than fits", ["Age: 99999999999"], MAX_DELTA_SEC],
  ["of a list the first (§5.1)", ["Age: 7200, 0"], 7200],
  ["of a list the first, though the other is older", ["Age: 0,7200"], 0],
  ["of several lines the first", ["Age: 7200", "Age: 0"], 7200],
  ["of several lines the first, though the other is older", ["Age: 0", "Age: 7200"], 0],
  ["twice the same", ["Age: 3600", "Age: 3600"], 3600],
  ["what is no number is not heeded (§5.1)", ["Age: abc"], 0],
  ["negative", ["Age: -7200"], 0],
  ["with a point", ["Age: 7200.0"], 0],
  ["with a parameter", ["Age: 7200;foo=bar"], 0],
  ["with a unit", ["Age: 7200s"], 0],
  ["quoted", ['Age: "7200"'], 0],
  ["empty", ["Age: "], 0],
];

describe("the Age field (RFC 9111 §5.1)", () => {
  test.each(ages)("%s", (_rule, lines, ageSec) => {
    expect(ageFieldOf(fieldsOf(...lines))).toBe(ageSec);
  });
});

const initial: [rule: string, lines: string[], delayMs: number, ageMs: number][] = [
  ["made now", [`Date: ${at(0)}`], 0, 0],
  ["parts of a second do not make it old", [`Date: ${at(0)}`], 3, 3],
  ["apparent age: its Date is in the past", [`Date: ${at(-90)}`], 0, 90_000],
  ["its Date is in the future", [`Date: ${at(60)}`], 0, 0],
  ["age_value", [`Date: ${at(0)}`, "Age: 30"], 0, 30_000],
  ["response_delay is added to age_value", [`Date: ${at(0)}`, "Age: 30"], 1500, 31_500],
  ["the larger of both counts: Date", [`Date: ${at(-90)}`, "Age: 30"], 1500, 90_000],
  ["the larger of both counts: Age", [`Date: ${at(-20)}`, "Age: 30"], 0, 30_000],
  ["a slow response is as old as it took", [`Date: ${at(0)}`], 5000, 5000],
  ["no Date", ["Age: 5"], 0, 5000],
  ["a Date that is none", ["Date: foo", "Age: 5"], 0, 5000],
  ["of two Dates the older", [`Date: ${at(-5)}`, `Date: ${at(-50)}`], 0, 50_000],
  ["of two Dates the older, in the other order", [`Date: ${at(-50)}`, `Date: ${at(-5)}`], 0, 50_000],
  ["a clock that was set back during the exchange", [`Date: ${at(0)}`], -5000, 0],
];

describe("corrected_initial_age (RFC 9111 §4.2.3)", () => {
  test.each(initial)("%s", (_rule, lines, delayMs, ageMs) => {
    const fields = fieldsOf(...lines);
    expect(initialAgeOf(fields, dateOf(fields, NOW), NOW - delayMs, NOW)).toBe(ageMs);
  });
});

const stated: [rule: string, lines: string[], lifetimeSec: number | undefined, code: RuleCode | undefined][] =
  [
    ["nothing", [], undefined, undefined],
    ["nothing about time", ["Cache-Control: public, no-transform"], undefined, undefined],
    ["s-maxage", ["Cache-Control: s-maxage=60"], 60, "s_maxage"],
    [
      "s-maxage before a longer max-age (§5.2.2.10)",
      ["Cache-Control: max-age=3600, s-maxage=1"],
      1,
      "s_maxage",
    ],
    ["s-maxage before a shorter max-age", ["Cache-Control: s-maxage=3600, max-age=1"], 3600, "s_maxage"],
    ["in two lines", ["Cache-Control: max-age=3600", "Cache-Control: s-maxage=1"], 1, "s_maxage"],
    [
      "s-maxage before Expires in the past",
      ["Cache-Control: max-age=0, s-maxage=9", `Expires: ${at(-10)}`],
      9,
      "s_maxage",
    ],
    ["max-age", ["Cache-Control: max-age=60"], 60, "max_age"],
    [
      "max-age before a later Expires (§5.3)",
      ["Cache-Control: max-age=0", `Expires: ${at(3600)}`],
      0,
      "max_age",
    ],
    [
      "max-age before Expires in the past",
      ["Cache-Control: max-age=60", `Expires: ${at(-7200)}`, `Date: ${at(0)}`],
      60,
      "max_age",
    ],
    ["max-age before an Expires that is none", ["Cache-Control: max-age=60", "Expires: 0"], 60, "max_age"],
    [
      "a max-age that is none is stale, whatever Expires says",
      ["Cache-Control: max-age=x", `Expires: ${at(60)}`],
      0,
      "max_age",
    ],
    ["Expires − Date", [`Expires: ${at(60)}`, `Date: ${at(0)}`], 60, "expires"],
    ["Expires − Date, both by a fast clock", [`Expires: ${at(300)}`, `Date: ${at(100)}`], 200, "expires"],
    ["Expires before Date, both fast", [`Expires: ${at(300)}`, `Date: ${at(400)}`], 0, "expires"],
    ["Expires − Date, both by a slow clock", [`Expires: ${at(-10)}`, `Date: ${at(-30)}`], 20, "expires"],
    ["Expires without Date: from when it came", [`Expires: ${at(60)}`], 60, "expires"],
    ["Expires with a Date that is none", [`Expires: ${at(60)}`, "Date: foo"], 60, "expires"],
    ["Expires now", [`Expires: ${at(0)}`, `Date: ${at(0)}`], 0, "expires"],
    ["Expires in the past", [`Expires: ${at(-30)}`, `Date: ${at(0)}`], 0, "expires"],
    ["Expires: 0 is in the past (§5.3)", ["Expires: 0", `Date: ${at(0)}`], 0, "expires"],
    ["Expires: -1", ["Expires: -1"], 0, "expires"],
    ["an empty Expires", ["Expires: "], 0, "expires"],
    ["Expires in a zone of its own (§4.2)", ["Expires: Thu, 18 Aug 2050 02:01:18 AEST"], 0, "expires"],
    ["Expires in UTC", ["Expires: Thu, 18 Aug 2050 02:01:18 UTC"], 0, "expires"],
    ["Expires without comma", ["Expires: Thu 18 Aug 2050 02:01:18 GMT"], 0, "expires"],
    ["Expires with two spaces", ["Expires: Thu, 18  Aug  2050 02:01:18 GMT"], 0, "expires"],
    ["Expires with dashes", ["Expires: Thu, 18-Aug-2050 02:01:18 GMT"], 0, "expires"],
    ["Expires with full stops", ["Expires: Thu, 18 Aug 2050 02.01.18 GMT"], 0, "expires"],
    ["Expires with an hour of one digit", ["Expires: Thu, 18 Aug 2050 2:01:18 GMT"], 0, "expires"],
    ["Expires with a year of two digits", ["Expires: Thu, 18 Aug 50 02:01:18 GMT"], 0, "expires"],
    ["of two Expires the earlier", [`Expires: ${at(60)}`, `Expires: ${at(30)}`], 30, "expires"],
    [
      "of two Expires the earlier, in the other order",
      [`Expires: ${at(30)}`, `Expires: ${at(60)}`],
      30,
      "expires",
    ],
    ["of two Expires one that is none", [`Expires: ${at(60)}`, "Expires: 0"], 0, "expires"],
    ["farther than 2^31 s", ["Expires: Sun, 21 Nov 2286 04:46:39 GMT"], MAX_DELTA_SEC, "expires"],
    // targeted fields (RFC 9213 §2.2)
    [
      "CDN-Cache-Control before Cache-Control",
      ["Cache-Control: max-age=1", "CDN-Cache-Control: max-age=60"],
      60,
      "max_age",
    ],
    [
      "CDN-Cache-Control before a longer Cache-Control",
      ["Cache-Control: s-maxage=60", "CDN-Cache-Control: max-age=1"],
      1,
      "max_age",
    ],
    [
      "Weir-Cache-Control before CDN-Cache-Control",
      ["CDN-Cache-Control: max-age=1", "Weir-Cache-Control: max-age=60"],
      60,
      "max_age",
    ],
    [
      "a targeted field puts Expires out of force",
      ["CDN-Cache-Control: max-age=0", `Expires: ${at(3600)}`],
      0,
      "max_age",
    ],
    [
      "also one without a lifetime",
      ["CDN-Cache-Control: public", "Cache-Control: max-age=9", `Expires: ${at(60)}`],
      undefined,
      undefined,
    ],
    [
      "one that is no dictionary is not heeded",
      ["CDN-Cache-Control: max-age=60, &&", "Cache-Control: max-age=9"],
      9,
      "max_age",
    ],
    ["nor one that is empty", ["CDN-Cache-Control: ", "Cache-Control: max-age=9"], 9, "max_age"],
    [
      "the next one counts then",
      ["Weir-Cache-Control: @", "CDN-Cache-Control: max-age=60", "Cache-Control: max-age=9"],
      60,
      "max_age",
    ],
    [
      "its lines are one dictionary",
      ["CDN-Cache-Control: public", "CDN-Cache-Control: max-age=60"],
      60,
      "max_age",
    ],
    // Surrogate-Control (Edge Architecture Specification §2.3)
    [
      "Surrogate-Control before Cache-Control and Expires",
      ["Cache-Control: max-age=1", "Surrogate-Control: max-age=60", "Expires: 0"],
      60,
      "max_age",
    ],
    [
      "Surrogate-Control before a longer Cache-Control",
      ["Cache-Control: s-maxage=60", "Surrogate-Control: max-age=1"],
      1,
      "max_age",
    ],
    [
      "CDN-Cache-Control before Surrogate-Control",
      ["Surrogate-Control: max-age=60", "CDN-Cache-Control: max-age=1"],
      1,
      "max_age",
    ],
    [
      "one for another surrogate is not heeded",
      ["Surrogate-Control: max-age=60;other", "Cache-Control: max-age=9"],
      9,
      "max_age",
    ],
    [
      "nor one that tells nothing of how long",
      ['Surrogate-Control: content="ESI/1.0"', "Cache-Control: max-age=9"],
      9,
      "max_age",
    ],
  ];

describe("freshness_lifetime as stated (RFC 9111 §4.2.1)", () => {
  test.each(stated)("%s", (_rule, lines, lifetimeSec, code) => {
    const fields = fieldsOf(...lines);
    const found = statedLifetimeOf(fields, originWordOf(fields), dateOf(fields, NOW), NOW);
    expect(found).toEqual(
      lifetimeSec === undefined || code === undefined
        ? undefined
        : { lifetimeMs: lifetimeSec * 1000, rule: code },
    );
  });
});

const guesses: [rule: string, lines: string[], lifetimeSec: number][] = [
  ["no Last-Modified", [], 0],
  ["a tenth of the time since", [`Last-Modified: ${at(-3600)}`], 360],
  ["since, by the clock of the origin", [`Last-Modified: ${at(-3600)}`, `Date: ${at(-2600)}`], 100],
  ["a day at most", [`Last-Modified: ${at(-365 * DAY)}`], DAY],
  ["modified now", [`Last-Modified: ${at(0)}`], 0],
  ["modified in the future", [`Last-Modified: ${at(60)}`], 0],
  ["no date", ["Last-Modified: yesterday"], 0],
  ["of two the later", [`Last-Modified: ${at(-36000)}`, `Last-Modified: ${at(-3600)}`], 360],
];

describe("a guess at freshness_lifetime (RFC 9111 §4.2.2)", () => {
  test.each(guesses)("%s", (_rule, lines, lifetimeSec) => {
    const fields = fieldsOf(...lines);
    const foundMs = heuristicLifetimeOf(fields, dateOf(fields, NOW), NOW);
    expect(foundMs).toBeCloseTo(lifetimeSec * 1000, 3);
    expect(foundMs).toBeLessThanOrEqual(MAX_HEURISTIC_MS);
  });
});

const AUGUST = Date.UTC(2050, 7, 18, 2, 1, 18);
const dates: [text: string, instant: number | undefined][] = [
  ["Thu, 18 Aug 2050 02:01:18 GMT", AUGUST],
  ["THU, 18 Aug 2050 02:01:18 GMT", AUGUST],
  ["Thu, 18 AUG 2050 02:01:18 GMT", AUGUST],
  ["thu, 18 aug 2050 02:01:18 gmt", AUGUST],
  ["Thu, 18 Aug 2050 02:01:18 gMT", AUGUST],
  ["Thursday, 18-Aug-50 02:01:18 GMT", AUGUST],
  ["THURSDAY, 18-AUG-50 02:01:18 gmt", AUGUST],
  ["Thu Aug 18 02:01:18 2050", AUGUST],
  ["thu aug 18 02:01:18 2050", AUGUST],
  ["Thu Aug  8 02:01:18 2050", AUGUST - 10 * DAY * 1000],
  ["Thu, 18 Aug 2050 02:01:18 utc", undefined],
  ["Thu, 18 Aug 2050 02:01:18", undefined],
  ["Thu, 32 Aug 2050 02:01:18 GMT", undefined],
  ["0", undefined],
  ["", undefined],
  ["a".repeat(100_000), undefined],
];

describe("a date of a cache, in any case (RFC 9111 §4.2)", () => {
  test.each(dates)("%p", (text, instant) => {
    expect(parseLooseDate(text, NOW)).toBe(instant as number);
  });
});

test("a Date that is missing, or none, is when it came, in whole seconds", () => {
  expect(dateOf(fieldsOf(), NOW)).toBe(SECOND);
  expect(dateOf(fieldsOf("Date: now"), NOW)).toBe(SECOND);
  expect(dateOf(fieldsOf("Date: now", `Date: ${at(-9)}`), NOW)).toBe(SECOND - 9000);
});
