import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { Breaker, type BreakerState, MAX_OPEN_TIMES, REFUSED, TRIALS } from "./breaker.ts";

const RULES = { errorRate: 0.5, latencyMs: 100, windowMs: 10_000, minRequests: 10, openMs: 1000 };

/** Sends `count` requests at one instant; those that may not pass are left out. */
const send = (
  breaker: Breaker,
  count: number,
  outcome: { isError?: boolean; latencyMs?: number; nowMs: number },
) => {
  const { isError = false, latencyMs = 1, nowMs } = outcome;
  let passed = 0;
  for (let request = 0; request < count; request++) {
    const admission = breaker.enter(nowMs);
    if (admission === REFUSED) continue;
    passed++;
    breaker.settle(admission, isError, latencyMs, nowMs);
  }
  return passed;
};
const opened = (nowMs = 0) => {
  const breaker = new Breaker(RULES);
  send(breaker, RULES.minRequests, { isError: true, nowMs });
  return breaker;
};

test("below minRequests nothing opens it, from there on a share of errors does", () => {
  const breaker = new Breaker(RULES);
  expect(send(breaker, RULES.minRequests - 1, { isError: true, nowMs: 0 })).toBe(9);
  expect(breaker.state).toBe("closed");
  send(breaker, 1, { isError: true, nowMs: 0 });
  expect([breaker.state, breaker.changedAtMs, breaker.enter(999)]).toEqual(["open", 0, REFUSED]);
});

const SHARES: readonly (readonly [good: number, bad: number, state: BreakerState])[] = [
  [50, 50, "open"],
  [51, 50, "closed"],
  [100, 0, "closed"],
];
for (const [good, bad, state] of SHARES) {
  test(`${bad} errors of ${good + bad}: ${state}`, () => {
    const breaker = new Breaker(RULES);
    send(breaker, good, { nowMs: 0 });
    send(breaker, bad, { isError: true, nowMs: 0 });
    expect(breaker.state).toBe(state);
  });
}

test("slow answers are errors, unless latency is off", () => {
  const slow = { latencyMs: 101, nowMs: 0 };
  const breaker = new Breaker(RULES);
  send(breaker, 10, { latencyMs: 100, nowMs: 0 });
  expect(breaker.state).toBe("closed");
  send(breaker, 10, slow);
  expect(breaker.state).toBe("open");
  const blind = new Breaker({ ...RULES, latencyMs: 0 });
  send(blind, 100, slow);
  expect(blind.state).toBe("closed");
});

test("errors that are older than the window do not count", () => {
  const breaker = new Breaker(RULES);
  send(breaker, 9, { isError: true, nowMs: 0 });
  send(breaker, 9, { isError: true, nowMs: 10_000 });
  expect(breaker.state).toBe("closed");
});

test("an open breaker says for how long, and lets TRIALS pass then", () => {
  const breaker = opened(500);
  expect([breaker.closedForMs(500), breaker.closedForMs(1400), breaker.closedForMs(9999)]).toEqual([
    1000, 100, 0,
  ]);
  const admissions = Array.from({ length: TRIALS + 2 }, () => breaker.enter(1500));
  expect(admissions.map((admission) => admission !== REFUSED)).toEqual([true, true, true, false, false]);
  expect([breaker.state, breaker.closedForMs(1500)]).toEqual(["half_open", 0]);
});

test("all trials well: closed, and what was counted before is forgotten", () => {
  const breaker = opened();
  expect(send(breaker, TRIALS, { nowMs: 1000 })).toBe(TRIALS);
  expect([breaker.state, breaker.changedAtMs]).toEqual(["closed", 1000]);
  send(breaker, RULES.minRequests - 1, { isError: true, nowMs: 1001 });
  expect(breaker.state).toBe("closed");
});

test("settle says when the state changes by it", () => {
  const breaker = new Breaker({ ...RULES, minRequests: 1 });
  expect(breaker.settle(breaker.enter(0), true, 1, 0)).toBe(true);
  const trials = [breaker.enter(1000), breaker.enter(1000), breaker.enter(1000)];
  expect(trials.map((admission) => breaker.settle(admission, false, 1, 1000))).toEqual([false, false, true]);
});

test("one trial that fails opens it again, twice as long each time, up to the most", () => {
  const breaker = opened();
  const lengths: number[] = [];
  let nowMs = 1000;
  for (let round = 0; round < 6; round++) {
    send(breaker, 1, { isError: true, nowMs });
    const lengthMs = breaker.closedForMs(nowMs);
    lengths.push(lengthMs);
    nowMs += lengthMs;
  }
  const most = MAX_OPEN_TIMES * RULES.openMs;
  expect(lengths).toEqual([2000, 4000, most, most, most, most]);
});

test("closed for long it begins anew with openMs; closed for a moment it does not", () => {
  for (const [goodMs, openMs] of [
    [100, 2000],
    [MAX_OPEN_TIMES * RULES.openMs, 1000],
  ] as const) {
    const breaker = opened();
    send(breaker, TRIALS, { nowMs: 1000 });
    const nowMs = 1000 + goodMs;
    send(breaker, RULES.minRequests, { isError: true, nowMs });
    expect([breaker.state, breaker.closedForMs(nowMs)]).toEqual(["open", openMs]);
  }
});

test("results of requests that began in an earlier state do not count", () => {
  const breaker = new Breaker(RULES);
  const early = Array.from({ length: 30 }, () => breaker.enter(0));
  for (const admission of early.slice(0, 10)) breaker.settle(admission, true, 1, 0);
  expect(breaker.state).toBe("open");
  breaker.enter(1000);
  for (const admission of early.slice(10)) breaker.settle(admission, true, 1, 1000);
  expect(breaker.state).toBe("half_open");
});

test("a trial that was abandoned leaves its place to another", () => {
  const breaker = opened();
  const trials = [breaker.enter(1000), breaker.enter(1000), breaker.enter(1000)];
  expect(breaker.enter(1000)).toBe(REFUSED);
  breaker.abandon(trials[0] as number);
  expect(breaker.enter(1000)).not.toBe(REFUSED);
  expect(breaker.enter(1000)).toBe(REFUSED);
});

test("abandoning in other states, or an old admission, changes nothing", () => {
  const breaker = new Breaker(RULES);
  const old = breaker.enter(0);
  breaker.abandon(old);
  send(breaker, 10, { isError: true, nowMs: 0 });
  for (let trial = 0; trial < TRIALS; trial++) breaker.enter(1000);
  breaker.abandon(old);
  expect(breaker.enter(1000)).toBe(REFUSED);
});

test("trials that never end do not hold it for ever", () => {
  const breaker = opened();
  for (let trial = 0; trial < TRIALS; trial++) breaker.enter(1000);
  expect([breaker.enter(1999), breaker.enter(2000)].map((admission) => admission !== REFUSED)).toEqual([
    false,
    true,
  ]);
});

test("in an outage of a minute only those are sent that it takes to open, and a few trials; after it all pass again", () => {
  const chance = new Chance(3);
  const breaker = new Breaker({ ...RULES, openMs: 500 });
  const isDown = (nowMs: number) => nowMs >= 10_000 && nowMs < 70_000;
  let sentInOutage = 0;
  let wellAtMs = 0;
  for (let nowMs = 0; nowMs < 100_000; nowMs++) {
    const admission = breaker.enter(nowMs);
    if (admission !== REFUSED) {
      if (isDown(nowMs)) sentInOutage++;
      breaker.settle(admission, isDown(nowMs) || chance.isTrue(0.01), 1, nowMs);
    }
    if (breaker.state !== "closed") wellAtMs = nowMs;
  }
  // Half of 10,000 in the window have to fail first.
  expect(sentInOutage).toBeLessThan(5_100);
  expect(wellAtMs - 70_000).toBeLessThan(MAX_OPEN_TIMES * 500 + TRIALS);
});
