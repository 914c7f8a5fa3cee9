import { describe, expect, test } from "bun:test";
import { NO_REQUEST_DIRECTIVES } from "./directives.ts";
import type { CachePolicy } from "./policy.ts";
import { at, FRESH, fieldsOf, GUESSED, judge, NOW, PLAIN, type Told } from "./storable.cases.ts";
import { judgeResponse } from "./storable.ts";
import {
  DRY,
  EXPLICIT,
  HEURISTIC,
  IMMUTABLE,
  MUST_REVALIDATE,
  NO_CACHE,
  NO_TRANSFORM,
  PARTIAL,
  SHAREABLE,
} from "./stored.ts";
import type { StoreVerdict } from "./verdict.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** What a row says of the terms. */
type Terms = Partial<StoreVerdict>;
const TTL = { "200": MINUTE, "404": 5000, "4xx": 2000, "503": 1000, default: HOUR };

const policies: [rule: string, told: Told, terms: Terms][] = [
  // ttl by status
  [
    "ttl of the exact status",
    { policy: { ttlMs: TTL } },
    { rule: "route_ttl", lifetimeMs: MINUTE, flags: 0 },
  ],
  ["ttl of the exact status before its class", { status: 404, policy: { ttlMs: TTL } }, { lifetimeMs: 5000 }],
  ["ttl of the class", { status: 403, policy: { ttlMs: TTL } }, { lifetimeMs: 2000 }],
  ["ttl by default", { status: 301, policy: { ttlMs: TTL } }, { lifetimeMs: HOUR }],
  ["ttl of an error that is named", { status: 503, policy: { ttlMs: TTL } }, { lifetimeMs: 1000 }],
  [
    "ttl by default is not for errors",
    { status: 500, policy: { ttlMs: TTL } },
    { isStorable: false, rule: "no_lifetime" },
  ],
  [
    "nor for redirects of the moment",
    { status: 302, policy: { ttlMs: TTL } },
    { isStorable: false, rule: "no_lifetime" },
  ],
  [
    "a ttl of 0 stores nothing",
    { policy: { ttlMs: { "200": 0, default: HOUR } } },
    { isStorable: false, rule: "ttl_zero" },
  ],
  [
    "a ttl of 0 forbids a guess",
    { came: GUESSED, policy: { ttlMs: { default: 0 } } },
    { isStorable: false, rule: "ttl_zero" },
  ],
  [
    "what the origin says goes before ttl",
    { came: FRESH, policy: { ttlMs: TTL } },
    { rule: "max_age", lifetimeMs: MINUTE },
  ],
  [
    "so does that it says none",
    { came: ["Cache-Control: max-age=0"], policy: { ttlMs: TTL } },
    { isStorable: false, rule: "no_validator" },
  ],
  [
    "so does no-cache",
    { came: ["Cache-Control: no-cache"], policy: { ttlMs: TTL } },
    { isStorable: false, rule: "no_validator" },
  ],
  [
    "ttl goes before a guess",
    { came: GUESSED, policy: { ttlMs: TTL } },
    { rule: "route_ttl", lifetimeMs: MINUTE },
  ],
  [
    "ttl counts from when it came, and its age stays true",
    { came: ["Age: 90"], policy: { ttlMs: TTL } },
    { lifetimeMs: MINUTE + 90_000, initialAgeMs: 90_000 },
  ],
  [
    "ttl for a request with a cookie",
    { asked: ["Cookie: a=b"], policy: { ttlMs: TTL } },
    { rule: "route_ttl" },
  ],
  // override
  [
    "override",
    { came: ["Cache-Control: max-age=5"], policy: { ttlMs: TTL, overridesOrigin: true } },
    { rule: "route_ttl_override", lifetimeMs: MINUTE, flags: 0 },
  ],
  [
    "override of max-age=0",
    { came: ["Cache-Control: max-age=0"], policy: { ttlMs: TTL, overridesOrigin: true } },
    { lifetimeMs: MINUTE },
  ],
  [
    "override by 0",
    { came: FRESH, policy: { ttlMs: { "200": 0 }, overridesOrigin: true } },
    { isStorable: false, rule: "ttl_zero" },
  ],
  [
    "override of statuses without ttl leaves the origin's word",
    { status: 500, came: FRESH, policy: { ttlMs: TTL, overridesOrigin: true } },
    { rule: "max_age" },
  ],
  ...["no-store", "private"].map((word): [string, Told, Terms] => [
    `override does not set ${word} aside`,
    { came: [`Cache-Control: ${word}`], policy: { ttlMs: TTL, overridesOrigin: true } },
    { isStorable: false },
  ]),
  [
    "override does not set no-cache aside",
    { came: ["Cache-Control: no-cache", 'ETag: "a"'], policy: { ttlMs: TTL, overridesOrigin: true } },
    { rule: "validate_each_time", flags: NO_CACHE },
  ],
  [
    "override with s-maxage: the route's stale windows count",
    { came: ["Cache-Control: s-maxage=5"], policy: { ttlMs: TTL, overridesOrigin: true, staleIfErrorMs: 7 } },
    { staleIfErrorMs: 7, flags: SHAREABLE },
  ],
  // caps
  ["at least", { came: ["Cache-Control: max-age=5"], policy: { minTtlMs: MINUTE } }, { lifetimeMs: MINUTE }],
  [
    "at most",
    { came: ["Cache-Control: max-age=3600"], policy: { maxTtlMs: MINUTE } },
    { lifetimeMs: MINUTE },
  ],
  [
    "a guess at most",
    { came: GUESSED, policy: { maxTtlMs: MINUTE } },
    { lifetimeMs: MINUTE, rule: "heuristic" },
  ],
  [
    "at least does not lift 0",
    { came: ["Cache-Control: max-age=0", 'ETag: "a"'], policy: { minTtlMs: MINUTE } },
    { lifetimeMs: 0 },
  ],
  // jitter
  [
    "jitter shortens by its share",
    { chance: 0.5, came: FRESH, policy: { jitter: 0.2 } },
    { lifetimeMs: 54_000 },
  ],
  ["jitter by no chance", { chance: 0, came: FRESH, policy: { jitter: 0.5 } }, { lifetimeMs: MINUTE }],
  [
    "jitter shortens what is left, not what is past",
    { chance: 0.5, came: [...FRESH, "Age: 40"], policy: { jitter: 0.2 } },
    { lifetimeMs: 58_000 },
  ],
  // stale
  [
    "stale windows of the origin",
    {
      came: ["Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=90"],
      policy: { staleWhileRevalidateMs: 1, staleIfErrorMs: 2 },
    },
    { staleWhileRevalidateMs: 30_000, staleIfErrorMs: 90_000 },
  ],
  [
    "stale windows of the route",
    { came: FRESH, policy: { staleWhileRevalidateMs: 1000, staleIfErrorMs: 2000 } },
    { staleWhileRevalidateMs: 1000, staleIfErrorMs: 2000 },
  ],
  ["none", { came: FRESH }, { staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }],
  [
    "the origin's 0 is heeded",
    { came: ["Cache-Control: max-age=60, stale-if-error=0"], policy: { staleIfErrorMs: 2000 } },
    { staleIfErrorMs: 0 },
  ],
  ...["must-revalidate", "proxy-revalidate"].map((word): [string, Told, Terms] => [
    `${word} forbids them (RFC 9111 §4.2.4)`,
    {
      came: [`Cache-Control: max-age=60, stale-while-revalidate=30, ${word}`],
      policy: { staleIfErrorMs: 2000 },
    },
    { staleWhileRevalidateMs: 0, staleIfErrorMs: 0 },
  ]),
  [
    "s-maxage forbids those of the route (§5.2.2.10)",
    { came: ["Cache-Control: s-maxage=60"], policy: { staleIfErrorMs: 2000 } },
    { staleIfErrorMs: 0, flags: EXPLICIT | MUST_REVALIDATE | SHAREABLE },
  ],
  [
    "s-maxage leaves what the origin says beside it",
    { came: ["Cache-Control: s-maxage=60, stale-while-revalidate=30"], policy: { staleIfErrorMs: 2000 } },
    { staleWhileRevalidateMs: 30_000, staleIfErrorMs: 0, flags: EXPLICIT | SHAREABLE },
  ],
  [
    "no-cache forbids them",
    { came: ["Cache-Control: no-cache, stale-if-error=60", 'ETag: "a"'] },
    { staleIfErrorMs: 0 },
  ],
  // what is not heeded
  [
    "ignore no-store",
    { came: ["Cache-Control: no-store, max-age=60"], policy: { ignore: ["no-store"] } },
    { rule: "max_age" },
  ],
  [
    "ignore private",
    { came: ["Cache-Control: private, max-age=60"], policy: { ignore: ["private"] } },
    { rule: "max_age" },
  ],
  [
    "ignore no-cache",
    { came: ["Cache-Control: no-cache, max-age=60"], policy: { ignore: ["no-cache"] } },
    { rule: "max_age", flags: EXPLICIT },
  ],
  [
    "ignore no-cache: ttl counts",
    { came: ["Cache-Control: no-cache"], policy: { ignore: ["no-cache"], ttlMs: TTL } },
    { rule: "route_ttl" },
  ],
  [
    "ignore max-age",
    { came: ["Cache-Control: max-age=0", "Expires: 0"], policy: { ignore: ["max-age"], ttlMs: TTL } },
    { rule: "route_ttl", lifetimeMs: MINUTE },
  ],
  [
    "ignore max-age without ttl",
    { came: FRESH, policy: { ignore: ["max-age"] } },
    { isStorable: false, rule: "no_lifetime" },
  ],
  [
    "ignore set-cookie",
    { came: [...FRESH, "Set-Cookie: a=b"], policy: { ignore: ["set-cookie"] } },
    { rule: "max_age" },
  ],
  [
    "ignore authorization",
    { asked: ["Authorization: x"], came: FRESH, policy: { ignore: ["authorization"] } },
    { rule: "max_age", flags: EXPLICIT | SHAREABLE },
  ],
  ["ignore vary", { came: [...FRESH, "Vary: *"], policy: { ignore: ["vary"] } }, { rule: "max_age" }],
  [
    "one thing is not another",
    { came: ["Cache-Control: private, no-store, max-age=60"], policy: { ignore: ["private"] } },
    { isStorable: false, rule: "no_store" },
  ],
  [
    "a client that is not heeded",
    { asked: ["Cache-Control: no-store"], came: FRESH, policy: { heedsClient: false } },
    { rule: "max_age" },
  ],
  // sizes
  [
    "a size that is not told passes",
    { came: FRESH, policy: { minBytes: 100, maxBytes: 100 } },
    { isStorable: true },
  ],
  [
    "the sizes themselves pass",
    { bytes: 100, came: FRESH, policy: { minBytes: 100, maxBytes: 100 } },
    { isStorable: true },
  ],
];

describe("what a route says", () => {
  test.each(policies)("%s", (_rule, told, terms) => {
    expect(judge(told)).toMatchObject({ isStorable: true, ...terms });
  });
});

const flags: [rule: string, told: Told, flags: number][] = [
  ["stated", { came: FRESH }, EXPLICIT],
  ["guessed", { came: GUESSED }, HEURISTIC],
  [
    "must-revalidate is for those with Authorization too",
    { came: ["Cache-Control: max-age=60, must-revalidate"] },
    EXPLICIT | MUST_REVALIDATE | SHAREABLE,
  ],
  [
    "proxy-revalidate is not",
    { came: ["Cache-Control: max-age=60, proxy-revalidate"] },
    EXPLICIT | MUST_REVALIDATE,
  ],
  ["public", { came: ["Cache-Control: max-age=60, public"] }, EXPLICIT | SHAREABLE],
  ["immutable (RFC 8246)", { came: ["Cache-Control: max-age=60, immutable"] }, EXPLICIT | IMMUTABLE],
  ["no-transform", { came: ["Cache-Control: max-age=60, no-transform"] }, EXPLICIT | NO_TRANSFORM],
  ["no-transform for us", { came: ["CDN-Cache-Control: max-age=60, no-transform"] }, EXPLICIT | NO_TRANSFORM],
  [
    "no-transform is not taken back by a targeted field",
    { came: ["Cache-Control: no-transform", "CDN-Cache-Control: max-age=60"] },
    EXPLICIT | NO_TRANSFORM,
  ],
  ["no-cache", { came: ["Cache-Control: no-cache", 'ETag: "a"'] }, EXPLICIT | NO_CACHE],
  ["no-cache with names is another thing", { came: ['Cache-Control: max-age=60, no-cache="x"'] }, EXPLICIT],
  ["a part", { status: 206, came: [...FRESH, "Content-Range: bytes 0-4/10"] }, EXPLICIT | PARTIAL],
  ["a dry run", { came: FRESH, policy: { isDry: true } }, EXPLICIT | DRY],
];

test.each(flags)("flags: %s", (_rule, told, expected) => {
  expect(judge(told).flags).toBe(expected);
});

describe("fields that are not stored (RFC 9111 §3.1)", () => {
  const HOP_BY_HOP = judge({ came: FRESH }).dropped;

  test("are those of the connection and of the proxy", () => {
    const names = [
      "connection",
      "keep-alive",
      "proxy-connection",
      "te",
      "trailer",
      "transfer-encoding",
      "upgrade",
    ];
    const proxys = ["proxy-authenticate", "proxy-authentication-info", "proxy-authorization"];
    for (const name of [...names, ...proxys]) expect(HOP_BY_HOP).toContain(name);
    for (const name of ["set-cookie", "content-type", "age", "date", "etag"])
      expect(HOP_BY_HOP).not.toContain(name);
  });

  test("and those that Connection, private and no-cache name", () => {
    const { dropped } = judge({
      came: [
        "Connection: X-One, close",
        "Connection: x-two",
        'Cache-Control: max-age=60, private="X-Three", no-cache="x-four,X-FIVE"',
      ],
    });
    expect([...dropped].sort()).toEqual(
      [...HOP_BY_HOP, "x-one", "close", "x-two", "x-three", "x-four", "x-five"].sort(),
    );
  });
});

test("tags and groups go with it", () => {
  const verdict = judge({ came: [...FRESH, "Cache-Tag: a, b", "Surrogate-Key: c", 'Cache-Groups: "g"'] });
  expect([verdict.tags, verdict.groups]).toEqual([["c", "a", "b"], ["g"]]);
});

test("the age at arrival is told (§4.2.3)", () => {
  expect(judge({ came: [...FRESH, "Age: 30"], delayMs: 500 }).initialAgeMs).toBe(30_500);
  expect(judge({ came: [...FRESH, `Date: ${at(-40)}`], delayMs: 500 }).initialAgeMs).toBe(40_000);
});

describe("whatever else is said", () => {
  const LINES = [
    "Cache-Control: max-age=60",
    "Cache-Control: public",
    "Cache-Control: s-maxage=9, must-revalidate",
    "Cache-Control: immutable",
    "Cache-Control: stale-if-error=60",
    `Expires: ${at(3600)}`,
    `Last-Modified: ${at(-36_000)}`,
    'ETag: "a"',
    "Age: 5",
    "Vary: accept",
    "Pragma: x",
    "Surrogate-Key: a b",
    'Cache-Groups: "a"',
    "Cache-Control: foo=bar",
    "CDN-Cache-Control: &&",
    "Content-Type: text/html",
  ];
  const POLICIES: Partial<CachePolicy>[] = [
    {},
    { ttlMs: TTL },
    { ttlMs: TTL, overridesOrigin: true, staleIfErrorMs: HOUR, staleWhileRevalidateMs: HOUR },
    { minTtlMs: HOUR, heuristic: false, ignore: ["max-age"] },
  ];
  const forbidding: [what: string, told: Told][] = [
    ["no-store", { came: ["Cache-Control: no-store"] }],
    ["private", { came: ["Cache-Control: private"] }],
    ["no-store in the request", { asked: ["Cache-Control: no-store"] }],
    ["Set-Cookie", { came: ["Set-Cookie: a=b"] }],
    ["Vary: *", { came: ["Vary: *"] }],
    ["a request body", { hasBody: true }],
    ["a page under the name of an image", { path: "/a.png", came: ["Content-Type: text/html"] }],
    ["PUT", { method: "PUT" }],
    ["304", { status: 304 }],
    ["429", { status: 429 }],
  ];

  test.each(forbidding)("%s is not stored", (_what, told) => {
    for (let seed = 0; seed < 2000; seed++) {
      const came = [...(told.came ?? []), ...LINES.filter((_, bit) => ((seed * 40_503) >> bit) & 1)];
      const policy = POLICIES[seed % POLICIES.length] ?? {};
      expect([seed, judge({ ...told, came, policy }).isStorable]).toEqual([seed, false]);
    }
  });

  test("what is stored is of use, and its numbers make sense", () => {
    let storedCount = 0;
    for (let seed = 0; seed < 8000; seed++) {
      const came = LINES.filter((_, bit) => ((seed * 40_503) >> bit) & 1);
      const verdict = judge({
        came,
        policy: { ...POLICIES[seed % POLICIES.length], jitter: 0.5 },
        chance: 0.999,
      });
      if (!verdict.isStorable) continue;
      storedCount++;
      const { lifetimeMs, initialAgeMs, staleIfErrorMs, staleWhileRevalidateMs, flags } = verdict;
      for (const ms of [lifetimeMs, initialAgeMs, staleIfErrorMs, staleWhileRevalidateMs]) {
        expect(Number.isInteger(ms) && ms >= 0).toBe(true);
      }
      if ((flags & MUST_REVALIDATE) !== 0) expect(staleIfErrorMs + staleWhileRevalidateMs).toBe(0);
      const useMs = lifetimeMs + Math.max(staleIfErrorMs, staleWhileRevalidateMs);
      const hasValidator = came.some((line) => /^(?:ETag|Last-Modified)/.test(line));
      expect(useMs > initialAgeMs || hasValidator).toBe(true);
    }
    expect(storedCount).toBeGreaterThan(1000);
  });
});

test("the facts may come from one that says nothing at all", () => {
  const nothing = { fields: fieldsOf(), directives: NO_REQUEST_DIRECTIVES };
  const asked = { method: "GET", url: "http://a/", path: "/", hasBody: false, ...nothing };
  const came = { status: 200, fields: fieldsOf(), declaredBytes: -1, requestedAtMs: NOW, respondedAtMs: NOW };
  expect(judgeResponse(asked, came, PLAIN, 0).rule).toBe("no_lifetime");
});
