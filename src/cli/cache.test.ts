import { describe, expect, test } from "bun:test";
import type { CacheObject, CacheShown } from "../admin/cache-status.ts";
import { shownText, topText } from "./cache.ts";
import { purgesText } from "./events.ts";
import { purgedText } from "./purge.ts";
import { NO_COLOURS } from "./terminal.ts";

const OBJECT: CacheObject = {
  route: "site",
  url: "a.test/",
  variant: "+d mobile\n-accept-language:de",
  isSelected: true,
  status: 200,
  state: "fresh",
  ageSec: 90,
  ttlSec: 3600,
  staleWhileRevalidateSec: 30,
  staleIfErrorSec: 0,
  storedAt: "2026-02-01T00:00:00.000Z",
  bodyBytes: 2048,
  tier: "memory",
  flags: ["immutable"],
  tags: ["t1", "t2"],
  contentType: "text/html",
  contentEncoding: "gzip",
  etag: '"a"',
  use: "fresh",
  rule: "fresh",
  why: "it is fresh",
};
const shown = (more: Partial<CacheObject>, rest: Partial<CacheShown> = {}): string => {
  const objects = [{ ...OBJECT, ...more }];
  return shownText({ url: "a.test/", vary: [], routes: ["site"], objects, ...rest }, NO_COLOURS);
};

describe("weir cache show", () => {
  test("tells of a response how old it is, where it is, and what becomes of the request", () => {
    expect(shown({}, { vary: ["accept-language"] })).toBe(`a.test/, which varies by accept-language

→ 200 fresh
  route         site
  variant       +d mobile · -accept-language:de
  stored        2026-02-01T00:00:00.000Z, 1m 30s old, for 1h more
  then stale    30s while it is refreshed
  body          2 KiB in memory, text/html, gzip
  etag          "a"
  tags          t1, t2
  flags         immutable
  key URL       a.test/
  this request  fresh (fresh: it is fresh)`);
  });

  test("what is stale says for how long, and what is purged says so", () => {
    expect(shown({ state: "stale", ttlSec: -5 })).toContain("→ 200 stale\n");
    expect(shown({ state: "stale", ttlSec: -5 })).toContain("1m 30s old, stale for 5s\n");
    expect(shown({ state: "gone", ttlSec: 9 })).toContain("→ 200 purged\n");
    expect(shown({ state: "gone", ttlSec: 9 })).toContain("1m 30s old\n");
  });

  test("another variant has nothing to do with this request", () => {
    expect(shown({ isSelected: false })).not.toContain("this request");
  });

  test("where nothing is stored it says who could have", () => {
    expect(shown({}, { objects: [] })).toBe("a.test/: nothing is stored (routes: site)");
    expect(shown({}, { objects: [], routes: [] })).toContain("no route that caches takes it");
  });

  test("what a client or an origin wrote cannot move the cursor", () => {
    expect(shown({ etag: "\u001b[2Ja" })).not.toContain("\u001b");
  });
});

describe("weir cache top", () => {
  const row = { route: "site", url: "a.test/", variant: "", uses: 3, status: 200, bodyBytes: 10, ttlSec: 60 };

  test("the store counts uses to three", () => {
    const text = topText({ looked: 2, objects: 2, rows: [row, { ...row, uses: 1, ttlSec: -1 }] }, NO_COLOURS);
    expect(text.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["USES", "SIZE", "TTL", "STATUS", "ROUTE", "URL"],
      ["3+", "10 B", "1m", "200", "site", "a.test/"],
      ["1", "10 B", "stale", "200", "site", "a.test/"],
    ]);
  });

  test("it says when it has looked at a part only", () => {
    expect(topText({ looked: 5, objects: 9, rows: [row] }, NO_COLOURS)).toContain(
      "looked at 5 of 9 responses",
    );
    expect(topText({ looked: 0, objects: 0, rows: [] }, NO_COLOURS)).toBe("the cache is empty");
  });
});

describe("weir purge", () => {
  const done = {
    at: "2026-02-01T00:00:00.000Z",
    kind: "url",
    names: ["a.test/?utm=1"],
    soft: false,
    via: "admin",
    from: "127.0.0.1",
    by: "eve",
    purged: ["a.test/?utm=1", "a.test/"],
  } as const;

  test("says what it has purged, and under which name that was stored", () => {
    expect(purgedText(done)).toBe("purged: url a.test/?utm=1; stored as a.test/");
    expect(purgedText({ ...done, kind: "all", names: [], soft: true })).toBe("stale: everything");
    const names = ["a", "b", "c", "d", "e"];
    expect(purgedText({ ...done, kind: "tag", names, purged: names })).toBe("purged: tag a, b, c and 2 more");
  });

  test("weir events lists purges with who asked", () => {
    const [text = ""] = purgesText([done, { ...done, soft: true, by: "", via: "request" }], NO_COLOURS);
    const lines = text.split("\n").map((line) => line.split(/ {2,}/));
    expect(lines).toEqual([
      ["TIME (UTC)", "PURGED", "WHAT", "HOW", "BY"],
      ["2026-02-01 00:00:00", "url", "a.test/?utm=1", "hard", "eve, admin 127.0.0.1"],
      ["2026-02-01 00:00:00", "url", "a.test/?utm=1", "soft", "request 127.0.0.1"],
    ]);
    expect(purgesText([], NO_COLOURS)).toEqual([]);
  });
});
