import { expect, test } from "bun:test";
import type { NameAnswer, NameFailure } from "../transport/dns.ts";
import { Resolver } from "./resolver.ts";

const answer = (addresses: readonly string[], ttlMs = 5000): NameAnswer => ({
  kind: "answer",
  addresses,
  ttlMs,
});
const failure: NameFailure = { kind: "failure", text: "no such name" };

/** A resolver whose timers run when the test says so, and whose answers the test writes. */
function makeBench(answers: (NameAnswer | NameFailure)[], random = 0.5) {
  const timers = new Set<{ delayMs: number; run: () => void }>();
  const changes: string[] = [];
  const failures: string[] = [];
  let asked = 0;
  const resolver = new Resolver({
    lookup: () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)] ?? failure),
    onChange: (host, addresses) => changes.push(`${host} ${addresses.join(" ")}`),
    onFailure: (host, text) => failures.push(`${host}: ${text}`),
    after: (delayMs, run) => {
      const timer = { delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    random: () => random,
  });
  const flush = async () => {
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  return {
    resolver,
    changes,
    failures,
    flush,
    asked: () => asked,
    delays: () => [...timers].map((timer) => timer.delayMs),
    /** Fires every timer that is set. */
    async fire() {
      const due = [...timers];
      timers.clear();
      for (const timer of due) timer.run();
      await flush();
    },
  };
}

test("IP literals are not asked for", async () => {
  const bench = makeBench([answer(["10.0.0.1"])]);
  bench.resolver.follow(["127.0.0.1", "::1"]);
  await bench.flush();
  expect(bench.asked()).toBe(0);
});

test("a name is told once, asked again when its TTL is over, and told again only when it changes", async () => {
  const bench = makeBench([
    answer(["10.0.0.1", "10.0.0.2"]),
    answer(["10.0.0.2", "10.0.0.1"]),
    answer(["10.0.0.3"]),
  ]);
  bench.resolver.follow(["app", "app"]);
  await bench.flush();
  expect(bench.delays()).toEqual([5000]);
  expect(bench.changes).toEqual(["app 10.0.0.1 10.0.0.2"]);
  await bench.fire(); // the same in another order
  expect(bench.changes).toHaveLength(1);
  await bench.fire();
  expect(bench.changes.at(-1)).toBe("app 10.0.0.3");
  expect(bench.resolver.addresses()).toEqual({ app: ["10.0.0.3"] });
});

const BOUNDS: readonly [ttlMs: number, delayMs: number][] = [
  [0, 1000],
  [1500, 1500],
  [7 * 24 * 3_600_000, 3_600_000],
  [Number.POSITIVE_INFINITY, 3_600_000],
];
for (const [ttlMs, delayMs] of BOUNDS) {
  test(`a TTL of ${ttlMs} ms is kept for ${delayMs} ms`, async () => {
    const bench = makeBench([answer(["10.0.0.1"], ttlMs)]);
    bench.resolver.follow(["app"]);
    await bench.flush();
    expect(bench.delays()).toEqual([delayMs]);
  });
}

test("a failed name keeps its last addresses, is tried later and later, and never becomes empty", async () => {
  const bench = makeBench([
    answer(["10.0.0.1"]),
    failure,
    answer([]),
    failure,
    failure,
    failure,
    failure,
    failure,
  ]);
  bench.resolver.follow(["app"]);
  await bench.flush();
  const delays: number[] = [];
  for (let tries = 0; tries < 8; tries++) {
    await bench.fire();
    delays.push(...bench.delays());
  }
  expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  expect(bench.resolver.addresses()).toEqual({ app: ["10.0.0.1"] });
  expect(bench.changes).toEqual(["app 10.0.0.1"]);
  expect(bench.failures).toEqual(["app: no such name", "app: no such name", "app: no such name"]);
});

test("retries are spread by chance", async () => {
  for (const [random, delayMs] of [
    [0, 800],
    [1, 1200],
  ] as const) {
    const bench = makeBench([failure], random);
    bench.resolver.follow(["app"]);
    await bench.flush();
    expect(bench.delays()[0]).toBeCloseTo(delayMs);
  }
});

test("a name that is no longer wanted is neither asked nor told, even when its answer is under way", async () => {
  const bench = makeBench([answer(["10.0.0.1"])]);
  bench.resolver.follow(["app"]);
  bench.resolver.keepOnly(new Set());
  await bench.flush();
  expect(bench.changes).toEqual([]);
  expect(bench.delays()).toEqual([]);
});

test("waiting for names ends at the deadline although one never answers", async () => {
  const timers: (() => void)[] = [];
  const resolver = new Resolver({
    lookup: () => new Promise(() => {}),
    onChange: () => {},
    onFailure: () => {},
    after: (_delayMs, run) => {
      timers.push(run);
      return () => {};
    },
    random: () => 0,
  });
  resolver.follow(["silent"]);
  const settled = resolver.settled(2000);
  timers[0]?.();
  await settled;
  expect(resolver.addresses()).toEqual({});
});
