import { beforeEach, expect, test } from "bun:test";
import { testUpstream } from "../../tests/support/test-upstream.ts";
import type { DiscoveryConfig, UpstreamConfig } from "../config/config.ts";
import { Discoverer } from "./discoverer.ts";
import { type Found, failure, MAX_FOUND, plainEndpoint, type Source } from "./source.ts";

/** Time that a test moves on. */
class Clock {
  nowMs = 1_000_000;
  #timers: { atMs: number; run: () => void }[] = [];

  readonly after = (delayMs: number, run: () => void) => {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await settle();
      const [next] = this.#timers.toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
  }
}

/** Answers are promises: some turns let all of them arrive. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

class Scripted implements Source {
  readonly name = "script";
  asked = 0;
  answer: Found = list("a:1");
  pending: Promise<Found> | undefined;
  hint: (() => void) | undefined;
  isWatched = false;

  ask(): Promise<Found> {
    this.asked++;
    return this.pending ?? Promise.resolve(this.answer);
  }

  watch(hint: () => void): () => void {
    this.hint = hint;
    this.isWatched = true;
    return () => {
      this.isWatched = false;
    };
  }
}

function list(...names: readonly string[]): Found {
  return { kind: "list", endpoints: names.map((name) => plainEndpoint(name, "10.0.0.1", 1)) };
}

function upstreamOf(path: string, intervalMs = 10_000, parts: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return testUpstream([], { discovery: { kind: "file", path, intervalMs }, ...parts });
}

let clock: Clock;
let source: Scripted;
let made: DiscoveryConfig[];
let lines: string[];
let told: number;
const APP = upstreamOf("/a");

function start(saved?: Readonly<Record<string, ReturnType<typeof plainEndpoint>[]>>): Discoverer {
  const discoverer = new Discoverer({
    makeSource: (config) => {
      made.push(config);
      if (made.length > 1) source = new Scripted();
      return source;
    },
    log: (level, _area, text) => lines.push(`${level} ${text}`),
    after: clock.after,
    random: () => 0.5,
    nowMs: () => clock.nowMs,
    saved,
  });
  discoverer.onChange(() => told++);
  return discoverer;
}

const namesIn = (discoverer: Discoverer, upstream = APP) =>
  discoverer
    .lists([upstream])
    .get("app")
    ?.map(({ name }) => name);

beforeEach(() => {
  clock = new Clock();
  source = new Scripted();
  [made, lines, told] = [[], [], 0];
});

test("a source is asked at once, then each interval", async () => {
  const discoverer = start();
  discoverer.follow([APP]);
  await discoverer.settled(2000);
  expect([namesIn(discoverer), source.asked]).toEqual([["a:1"], 1]);
  await clock.pass(30_000);
  expect(source.asked).toBe(4);
});

test("a DNS answer is asked for again when its TTL is over, but not each second for less", async () => {
  source.answer = { ...(list("a:1") as object), ttlMs: 3000 } as Found;
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(9000);
  expect(source.asked).toBe(4);
  source.answer = { ...(list("a:1") as object), ttlMs: 0 } as Found;
  await clock.pass(3000);
  const before = source.asked;
  await clock.pass(5000);
  expect(source.asked - before).toBe(5);
});

test.each([failure("it is down"), list()])(
  "the last good list stays when the source fails or comes back empty: %j",
  async (bad) => {
    const discoverer = start();
    discoverer.follow([APP]);
    await clock.pass(100);
    const toldBefore = told;
    source.answer = bad;
    await clock.pass(120_000);
    expect(namesIn(discoverer)).toEqual(["a:1"]);
    expect(told).toBe(toldBefore);
    expect(discoverer.standings()).toEqual([
      expect.objectContaining({
        upstream: "app",
        state: "failing",
        endpoints: 1,
        lastError: expect.any(String),
      }),
    ]);
    // once, however often it was asked
    expect(lines.filter((line) => line.startsWith("warn"))).toHaveLength(1);
    expect(lines.at(-1)).toContain("1 endpoint found before stays");
    source.answer = list("b:1");
    await clock.pass(20_000);
    expect(namesIn(discoverer)).toEqual(["b:1"]);
    expect(discoverer.standings()).toEqual([
      expect.objectContaining({ state: "found", lastError: undefined }),
    ]);
  },
);

test("a source that throws has failed", async () => {
  source.pending = Promise.reject(new Error("a bug"));
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  expect(discoverer.standings()[0]?.lastError).toContain("a bug");
});

test("a source that fails is asked again soon, then at its own pace", async () => {
  source.answer = failure("down");
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(7000);
  expect(source.asked).toBe(4); // after 0, 1, 3 and 7 s
  await clock.pass(100_000);
  expect(source.asked).toBeLessThan(16);
});

test("changes are told at most once a second, and only when something has changed", async () => {
  const discoverer = start();
  discoverer.follow([upstreamOf("/a", 100)]);
  await clock.pass(1000);
  expect(told).toBe(1);
  const asked = source.asked;
  for (let turn = 0; turn < 100; turn++) {
    source.answer = list(`a:${turn + 2}`);
    await clock.pass(100);
  }
  expect(source.asked - asked).toBeGreaterThan(90);
  expect(told).toBeGreaterThan(8);
  expect(told).toBeLessThan(13);
  source.answer = { kind: "same" };
  await clock.pass(2000);
  const before = told;
  await clock.pass(5000);
  expect(told).toBe(before);
});

test("the order of an answer is no change", async () => {
  source.answer = list("b:1", "a:1");
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(2000);
  source.answer = list("a:1", "b:1");
  await clock.pass(20_000);
  expect(told).toBe(1);
});

test("a hint asks soon; a storm of hints does not ask without end, and none is lost while an answer is awaited", async () => {
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  for (let turn = 0; turn < 100; turn++) {
    source.hint?.();
    await clock.pass(10);
  }
  expect(source.asked).toBeGreaterThan(3);
  expect(source.asked).toBeLessThan(9);
  await clock.pass(500);
  const { promise, resolve } = Promise.withResolvers<Found>();
  source.pending = promise;
  source.hint?.();
  await clock.pass(300);
  source.hint?.();
  source.pending = undefined;
  source.answer = list("late:1");
  resolve(list("early:1"));
  await clock.pass(400);
  expect(namesIn(discoverer)).toEqual(["late:1"]);
});

test("settling waits for first answers, and no longer than told", async () => {
  source.pending = new Promise(() => {});
  const discoverer = start();
  discoverer.follow([APP]);
  let isSettled = false;
  void discoverer.settled(2000).then(() => {
    isSettled = true;
  });
  await clock.pass(1900);
  expect(isSettled).toBe(false);
  await clock.pass(200);
  expect(isSettled).toBe(true);
  expect(discoverer.standings()).toEqual([expect.objectContaining({ state: "waiting", endpoints: 0 })]);
});

test("another interval is the same source; another place begins with the list of the one before", async () => {
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  discoverer.follow([upstreamOf("/a", 60_000)]);
  expect(made).toHaveLength(1);
  const moved = upstreamOf("/b");
  const first = source;
  discoverer.follow([moved]);
  expect(namesIn(discoverer, moved)).toEqual(["a:1"]);
  source.answer = failure("nothing here");
  discoverer.keepOnly([moved]);
  expect(first.isWatched).toBe(false);
  const asked = first.asked;
  await clock.pass(60_000);
  expect(first.asked).toBe(asked);
  expect(namesIn(discoverer, moved)).toEqual(["a:1"]);
});

test("a process that takes over begins with the lists of the one before", async () => {
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  const saved = JSON.parse(JSON.stringify(discoverer.save()));
  discoverer.stop();
  [source, made] = [new Scripted(), []];
  source.answer = failure("down");
  const successor = start(saved);
  successor.follow([APP]);
  await clock.pass(100);
  expect(namesIn(successor)).toEqual(["a:1"]);
});

test("no more endpoints are taken than the policies are made for, and the rest is told of", async () => {
  source.answer = list(...Array.from({ length: MAX_FOUND + 5 }, (_, index) => `a:${index + 1}`));
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  expect(namesIn(discoverer)).toHaveLength(MAX_FOUND);
  expect(lines.join("\n")).toContain(`5 endpoints beyond ${MAX_FOUND} are not used`);
});

test("an upstream that turns to TLS reads its list anew", async () => {
  const discoverer = start();
  discoverer.follow([APP]);
  await clock.pass(100);
  const tls = { ca: undefined, serverName: undefined, cert: undefined, key: undefined, verify: true };
  discoverer.follow([upstreamOf("/a", 10_000, { tls })]);
  expect(made).toHaveLength(2);
});
