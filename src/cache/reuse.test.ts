import { describe, expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { requestDirectives } from "./directives.ts";
import { judgeReuse, type PurgeState } from "./reuse.ts";
import type { RuleCode } from "./rules.table.ts";
import {
  DRY,
  EXPLICIT,
  HEURISTIC,
  IMMUTABLE,
  MUST_REVALIDATE,
  NO_CACHE,
  PARTIAL,
  SHAREABLE,
  type StoredFacts,
} from "./stored.ts";
import type { ReuseVerdict, Use } from "./verdict.ts";

/** When the stored response came; it is fresh for 100 s. */
const CAME_MS = 1_000_000;

const FACTS: StoredFacts = {
  status: 200,
  requestedAtMs: CAME_MS,
  respondedAtMs: CAME_MS,
  initialAgeMs: 0,
  lifetimeMs: 100_000,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  keepMs: 1_000_000,
  flags: SHAREABLE | EXPLICIT,
  mark: 0,
  purgeSlots: new Uint32Array(0),
  firstByte: 0,
  completeLength: -1,
};

interface Case {
  /** Of the response, in s. */
  readonly age: number;
  readonly says?: string;
  readonly pragma?: string;
  readonly flags?: number;
  readonly swr?: number;
  readonly sie?: number;
  readonly state?: PurgeState;
  readonly isAuthorized?: boolean;
  readonly method?: string;
  readonly initialAge?: number;
  readonly heeds?: boolean;
}

function judge(of: Case): ReuseVerdict {
  const cacheControl = of.says === undefined ? "" : `Cache-Control: ${of.says}\r\n`;
  const pragma = of.pragma === undefined ? "" : `Pragma: ${of.pragma}\r\n`;
  const facts: StoredFacts = {
    ...FACTS,
    flags: of.flags ?? FACTS.flags,
    initialAgeMs: (of.initialAge ?? 0) * 1000,
    staleWhileRevalidateMs: (of.swr ?? 0) * 1000,
    staleIfErrorMs: (of.sie ?? 0) * 1000,
  };
  return judgeReuse(
    {
      method: of.method ?? "GET",
      directives: requestDirectives(fieldsOfLines(cacheControl + pragma), of.heeds ?? true),
      isAuthorized: of.isAuthorized ?? false,
    },
    { facts },
    of.state ?? "alive",
    CAME_MS + of.age * 1000,
  );
}

const S = SHAREABLE;

const rows: [rule: string, of: Case, use: Use, code: RuleCode][] = [
  ["fresh (§4.2)", { age: 50 }, "fresh", "fresh"],
  ["fresh until the last moment", { age: 99.999 }, "fresh", "fresh"],
  ["as old as its lifetime is stale: freshness_lifetime > current_age", { age: 100 }, "validate", "stale"],
  ["what it was old when it came counts (§4.2.3)", { age: 50, initialAge: 50 }, "validate", "stale"],
  ["a guess is a lifetime (§4.2.2)", { age: 50, flags: S | HEURISTIC }, "fresh", "fresh"],
  ["stale", { age: 150 }, "validate", "stale"],

  // what the origin said
  ["no-cache: each time (§5.2.2.4)", { age: 1, flags: S | NO_CACHE }, "validate", "response_no_cache"],
  [
    "no-cache is above max-stale",
    { age: 150, flags: S | NO_CACHE, says: "max-stale" },
    "validate",
    "response_no_cache",
  ],
  [
    "must-revalidate while fresh says nothing (§5.2.2.2)",
    { age: 50, flags: S | MUST_REVALIDATE },
    "fresh",
    "fresh",
  ],
  ["must-revalidate when stale", { age: 150, flags: S | MUST_REVALIDATE }, "validate", "must_revalidate"],
  [
    "must-revalidate is above max-stale (§5.2.1.2)",
    { age: 150, flags: S | MUST_REVALIDATE, says: "max-stale" },
    "validate",
    "must_revalidate",
  ],
  [
    "must-revalidate is above stale-while-revalidate",
    { age: 150, flags: S | MUST_REVALIDATE, swr: 100 },
    "validate",
    "must_revalidate",
  ],
  ["stale-while-revalidate (RFC 5861 §3)", { age: 150, swr: 60 }, "stale_refresh", "stale_while_revalidate"],
  ["until its end", { age: 160, swr: 60 }, "stale_refresh", "stale_while_revalidate"],
  ["and no longer", { age: 160.001, swr: 60 }, "validate", "stale"],

  // what the client says
  ["no-cache (§5.2.1.4)", { age: 1, says: "no-cache" }, "validate", "request_no_cache"],
  ["no-cache when stale, too", { age: 150, says: "no-cache", swr: 100 }, "validate", "request_no_cache"],
  ["Pragma: no-cache (§5.4)", { age: 1, pragma: "no-cache" }, "validate", "request_no_cache"],
  [
    "Pragma counts only without Cache-Control",
    { age: 1, pragma: "no-cache", says: "max-age=10" },
    "fresh",
    "fresh",
  ],
  ["another Pragma says nothing", { age: 1, pragma: "other" }, "fresh", "fresh"],
  ["max-age (§5.2.1.1)", { age: 50, says: "max-age=49" }, "validate", "request_max_age"],
  ["max-age is met", { age: 50, says: "max-age=50" }, "fresh", "fresh"],
  [
    "max-age counts the age that it came with",
    { age: 10, initialAge: 50, says: "max-age=59" },
    "validate",
    "request_max_age",
  ],
  ["max-age=0 at the very moment", { age: 0, says: "max-age=0" }, "validate", "request_max_age"],
  ["max-age does not make fresh", { age: 150, says: "max-age=1000" }, "validate", "stale"],
  [
    "max-age with stale-while-revalidate",
    { age: 150, says: "max-age=120", swr: 100 },
    "validate",
    "request_max_age",
  ],
  [
    "immutable: a reload is no reason (RFC 8246 §2.1)",
    { age: 50, says: "max-age=0", flags: S | IMMUTABLE },
    "fresh",
    "fresh",
  ],
  [
    "immutable: no-cache is one",
    { age: 50, says: "no-cache", flags: S | IMMUTABLE },
    "validate",
    "request_no_cache",
  ],
  [
    "immutable ends with its lifetime",
    { age: 150, says: "max-age=0", flags: S | IMMUTABLE },
    "validate",
    "request_max_age",
  ],
  ["min-fresh (§5.2.1.3)", { age: 50, says: "min-fresh=51" }, "validate", "request_min_fresh"],
  ["min-fresh is met", { age: 50, says: "min-fresh=50" }, "fresh", "fresh"],
  ["max-stale (§5.2.1.2)", { age: 150, says: "max-stale=50" }, "fresh", "request_max_stale"],
  ["more stale than max-stale", { age: 150.001, says: "max-stale=50" }, "validate", "stale"],
  ["max-stale without value", { age: 1e6, says: "max-stale" }, "fresh", "request_max_stale"],
  ["max-stale and max-age", { age: 150, says: "max-stale, max-age=149" }, "validate", "request_max_age"],
  ["no-store is not about what is stored (§5.2.1.5)", { age: 50, says: "no-store" }, "fresh", "fresh"],
  ["no-store: nothing is fetched for the store", { age: 150, says: "no-store" }, "miss", "request_no_store"],
  ["only-if-cached and fresh (§5.2.1.7)", { age: 50, says: "only-if-cached" }, "fresh", "fresh"],
  ["only-if-cached and stale", { age: 150, says: "only-if-cached" }, "miss", "request_only_if_cached"],
  [
    "only-if-cached and no-cache",
    { age: 50, says: "only-if-cached, no-cache" },
    "miss",
    "request_only_if_cached",
  ],
  [
    "only-if-cached and stale-while-revalidate",
    { age: 150, says: "only-if-cached", swr: 60 },
    "stale_refresh",
    "stale_while_revalidate",
  ],
  [
    "only-if-cached and max-stale",
    { age: 150, says: "only-if-cached, max-stale=60" },
    "fresh",
    "request_max_stale",
  ],
  [
    "a route that does not heed clients",
    { age: 50, says: "no-cache, max-age=0, only-if-cached", heeds: false },
    "fresh",
    "fresh",
  ],

  // who asks
  ["what is for everybody, for one who is known (§3.5)", { age: 50, isAuthorized: true }, "fresh", "fresh"],
  [
    "what is not, for one who is known",
    { age: 50, isAuthorized: true, flags: EXPLICIT },
    "miss",
    "request_authorization",
  ],
  ["HEAD from a stored GET (RFC 9110 §9.3.2)", { age: 50, method: "HEAD" }, "fresh", "fresh"],
  ["HEAD from a part", { age: 50, method: "HEAD", flags: S | PARTIAL }, "miss", "head_of_part"],
  ["GET from a part is for others to judge", { age: 50, flags: S | PARTIAL }, "fresh", "fresh"],

  // purges and oddities
  ["purged", { age: 1, state: "gone" }, "miss", "purged"],
  ["purged softly", { age: 1, state: "stale" }, "validate", "purged_soft"],
  [
    "purged softly, and may be used stale",
    { age: 1, state: "stale", swr: 60 },
    "stale_refresh",
    "stale_while_revalidate",
  ],
  [
    "purged softly, must-revalidate",
    { age: 1, state: "stale", swr: 60, flags: S | MUST_REVALIDATE },
    "validate",
    "must_revalidate",
  ],
  [
    "purged softly, immutable",
    { age: 1, state: "stale", says: "max-age=0", flags: S | IMMUTABLE },
    "validate",
    "request_max_age",
  ],
  [
    "purged softly, min-fresh",
    { age: 1, state: "stale", says: "min-fresh=1", swr: 60 },
    "validate",
    "request_min_fresh",
  ],
  ["only counted", { age: 1, flags: S | DRY }, "miss", "dry"],
  ["a clock set back by a second (§4.2.3)", { age: -1 }, "fresh", "fresh"],
  ["a clock set back by a day", { age: -86400 }, "validate", "clock_went_back"],
];

describe("reuse", () => {
  test.each(rows)("%s", (_rule, of, use, code) => {
    expect(judge(of)).toMatchObject({ use, rule: code });
  });
});

const failures: [rule: string, of: Case, may: boolean][] = [
  ["stale, and nobody allows it", { age: 150 }, false],
  ["stale-if-error of the response (RFC 5861 §4)", { age: 150, sie: 50 }, true],
  ["and no longer", { age: 151, sie: 50 }, false],
  ["stale-if-error of the request", { age: 150, says: "stale-if-error=50" }, true],
  ["the longer of both", { age: 150, says: "stale-if-error=10", sie: 50 }, true],
  ["a request's that does not count", { age: 150, says: "stale-if-error=50", heeds: false }, false],
  ["must-revalidate (§5.2.2.2)", { age: 150, sie: 100, flags: S | MUST_REVALIDATE }, false],
  ["no-cache", { age: 1, sie: 100, flags: S | NO_CACHE }, false],
  ["the client's no-cache", { age: 1, sie: 100, says: "no-cache" }, false],
  ["fresh, but too old for the client", { age: 50, says: "max-age=10" }, true],
  ["purged softly while fresh", { age: 1, state: "stale" }, true],
  ["purged", { age: 1, state: "gone", sie: 100 }, false],
  ["used stale anyway, past stale-if-error", { age: 150, swr: 60 }, false],
  ["used stale anyway, within it", { age: 150, swr: 60, sie: 60 }, true],
];

describe("when the endpoint fails", () => {
  test.each(failures)("%s", (_rule, of, may) => {
    expect(judge(of).mayServeOnError).toBe(may);
  });
});

describe("seconds left", () => {
  const lefts: [of: Case, ttlSec: number][] = [
    [{ age: 0 }, 100],
    [{ age: 0.5 }, 99],
    [{ age: 99.5 }, 0],
    [{ age: 100.5 }, -1],
    [{ age: 150 }, -50],
    [{ age: 10, state: "stale" }, 0],
    [{ age: 150, state: "stale" }, -50],
  ];
  test.each(lefts)("%o has %d", (of, ttlSec) => {
    expect(judge(of).ttlSec).toBe(ttlSec);
  });
});

function randomCase(chance: Chance): Case {
  const directives = [
    "no-cache",
    "no-store",
    "only-if-cached",
    "max-age=60",
    "min-fresh=60",
    "max-stale",
    "max-stale=60",
  ];
  const says = directives.filter(() => chance.isTrue(0.2)).join(", ");
  const flags = [SHAREABLE, MUST_REVALIDATE, NO_CACHE, IMMUTABLE, EXPLICIT].filter(() => chance.isTrue(0.5));
  return {
    age: chance.below(300),
    ...(says === "" ? {} : { says }),
    flags: flags.reduce((all, flag) => all | flag, 0),
    swr: chance.below(100),
    sie: chance.below(100),
    state: chance.pick(["alive", "stale", "gone"]),
    isAuthorized: chance.isTrue(0.5),
  };
}

const isAnswer = ({ use, mayServeOnError }: ReuseVerdict) =>
  use === "fresh" || use === "stale_refresh" || mayServeOnError;

/** Each forbids something: where it applies, the verdict must obey. */
const laws: [
  rule: string,
  applies: (of: Case, isFresh: boolean) => boolean,
  obeys: (it: ReuseVerdict) => boolean,
][] = [
  ["no-cache", ({ flags = 0 }) => (flags & NO_CACHE) !== 0, (it) => !isAnswer(it)],
  [
    "must-revalidate",
    ({ flags = 0 }, isFresh) => (flags & MUST_REVALIDATE) !== 0 && !isFresh,
    (it) => !isAnswer(it),
  ],
  ["a purge", ({ state }) => state === "gone", (it) => it.use === "miss" && !it.mayServeOnError],
  [
    "one user's",
    ({ flags = 0, isAuthorized }) => isAuthorized === true && (flags & SHAREABLE) === 0,
    (it) => it.use === "miss",
  ],
  ["the client's no-cache", ({ says = "" }) => says.includes("no-cache"), (it) => !isAnswer(it)],
  ["only-if-cached", ({ says = "" }) => says.includes("only-if-cached"), (it) => it.use !== "validate"],
  ["stale has no time left", (_of, isFresh) => !isFresh, (it) => it.ttlSec <= 0],
];

describe("what is forbidden never happens, whatever else is said", () => {
  test.each(laws)("%s", (_rule, applies, obeys) => {
    let count = 0;
    for (let seed = 0; seed < 20_000; seed++) {
      const of = randomCase(new Chance(seed));
      if (!applies(of, of.age < 100 && of.state === "alive")) continue;
      count++;
      expect(obeys(judge(of)) ? "" : JSON.stringify(of)).toBe("");
    }
    expect(count).toBeGreaterThan(100);
  });
});
