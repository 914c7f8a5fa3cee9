import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { ADAPTIVE, AdaptiveLimit } from "./adaptive.ts";

const half = () => 0.5;
/** Notes `count` answers of the same latency over a time. */
const feed = (
  limit: AdaptiveLimit,
  count: number,
  answer: { ms: number; fromMs: number; toMs: number; inFlight?: number },
) => {
  const stepMs = (answer.toMs - answer.fromMs) / count;
  for (let index = 1; index <= count; index++) {
    limit.note(answer.ms, answer.inFlight ?? limit.limit, answer.fromMs + index * stepMs);
  }
};

test("it begins with its initial limit, and knows no ideal", () => {
  const limit = new AdaptiveLimit(ADAPTIVE, 0, half);
  expect([limit.limit, limit.idealMs, limit.isProbing]).toEqual([20, 0, false]);
});

test("while latency stays, a limit that is used grows, up to the most", () => {
  const limit = new AdaptiveLimit({ ...ADAPTIVE, max: 60 }, 0, half);
  feed(limit, 500, { ms: 10, fromMs: 0, toMs: 1000 });
  const { limit: early } = limit;
  expect(early).toBeGreaterThan(25);
  feed(limit, 5000, { ms: 10, fromMs: 1000, toMs: 10_000 });
  expect(limit.limit).toBe(60);
});

test("a limit of which less than half is used does not grow", () => {
  const limit = new AdaptiveLimit(ADAPTIVE, 0, half);
  feed(limit, 5000, { ms: 10, fromMs: 0, toMs: 10_000, inFlight: 9 });
  expect(limit.limit).toBe(20);
});

test("a latency within the tolerance is no reason to shrink, one far beyond is", () => {
  const limit = new AdaptiveLimit({ ...ADAPTIVE, initial: 100 }, 0, half);
  feed(limit, 500, { ms: 10, fromMs: 0, toMs: 1000, inFlight: 1 });
  feed(limit, 500, { ms: 12, fromMs: 1000, toMs: 2000, inFlight: 1 });
  expect(limit.limit).toBe(100);
  feed(limit, 500, { ms: 100, fromMs: 2000, toMs: 3000 });
  expect(limit.limit).toBeLessThan(30);
});

test("a few slow ones among many do not lead", () => {
  const limit = new AdaptiveLimit({ ...ADAPTIVE, initial: 100 }, 0, half);
  for (let index = 0; index < 5000; index++) limit.note(index % 10 === 0 ? 3000 : 10, 1, index * 2);
  expect(limit.limit).toBe(100);
});

test("too few answers decide nothing: the window goes on", () => {
  const limit = new AdaptiveLimit(ADAPTIVE, 0, half);
  feed(limit, 19, { ms: 10, fromMs: 0, toMs: 19_000 });
  expect([limit.idealMs, limit.limit]).toEqual([0, 20]);
  limit.note(10, 20, 20_000);
  expect(limit.idealMs).toBeGreaterThan(0);
});

test("at the bottom it measures the ideal again, and finds that the upstream has become slower for good", () => {
  const limit = new AdaptiveLimit(ADAPTIVE, 0, half);
  feed(limit, 500, { ms: 10, fromMs: 0, toMs: 1000 });
  feed(limit, 5000, { ms: 200, fromMs: 1000, toMs: 20_000 });
  expect(limit.idealMs).toBeGreaterThan(150);
  expect(limit.limit).toBeGreaterThan(ADAPTIVE.initial);
});

test("a probe halves the limit, and ends after its time without answers enough", () => {
  const limit = new AdaptiveLimit({ ...ADAPTIVE, initial: 100 }, 0, half);
  feed(limit, 3000, { ms: 10, fromMs: 0, toMs: 30_000, inFlight: 1 });
  expect([limit.isProbing, limit.limit]).toEqual([true, 50]);
  const { idealMs } = limit;
  limit.note(500, 1, 31_000);
  limit.note(500, 1, 32_001);
  expect([limit.isProbing, limit.limit, limit.idealMs]).toEqual([false, 100, idealMs]);
});

test("workers with different chances probe at different times", () => {
  const probeAtMs = [0, 0.999].map((drawn) => {
    const limit = new AdaptiveLimit(ADAPTIVE, 0, () => drawn);
    let nowMs = 0;
    for (; !limit.isProbing && nowMs < 60_000; nowMs += 5) limit.note(10, 1, nowMs);
    return nowMs;
  });
  expect(probeAtMs[0]).toBeGreaterThan(23_000);
  expect(probeAtMs[0]).toBeLessThan(25_000);
  expect(probeAtMs[1]).toBeGreaterThan(35_000);
  expect(probeAtMs[1]).toBeLessThan(37_000);
});

interface Upstream {
  /** Requests that it works on at once; the others wait in it. */
  readonly places: number;
  readonly serviceMs: number;
}
interface Second {
  readonly limit: number;
  readonly done: number;
  readonly p99Ms: number;
}

/** An upstream behind the limit: whoever finds the limit reached is refused. Times of service vary by ± 30 %. */
class Simulation {
  readonly seconds: Second[] = [];
  readonly #chance = new Chance(21);
  readonly #limit = new AdaptiveLimit(ADAPTIVE, 0, () => this.#chance.next());
  /** When each place is free again. */
  #freeAtMs: number[] = [];
  /** Begin and end of those in flight, in the order of their ends. */
  #inFlight: { beganMs: number; endsMs: number }[] = [];
  #latencies: number[] = [];
  #nowMs = 0;

  run(seconds: number, arrivalsPerMs: number, upstream: Upstream): void {
    this.#freeAtMs = Array.from(
      { length: upstream.places },
      (_, place) => this.#freeAtMs[place] ?? this.#nowMs,
    );
    for (const untilMs = this.#nowMs + seconds * 1000; this.#nowMs < untilMs; this.#nowMs++) {
      this.#finish();
      for (let left = arrivalsPerMs; left > 0 && this.#chance.isTrue(left); left--) this.#arrive(upstream);
      if (this.#nowMs % 1000 === 999) this.#closeSecond();
    }
  }

  #arrive({ serviceMs }: Upstream): void {
    if (this.#inFlight.length >= this.#limit.limit) return;
    let place = 0;
    for (const [index, freeMs] of this.#freeAtMs.entries()) {
      if (freeMs < (this.#freeAtMs[place] as number)) place = index;
    }
    const startsMs = Math.max(this.#nowMs, this.#freeAtMs[place] as number);
    const endsMs = startsMs + serviceMs * (0.7 + 0.6 * this.#chance.next());
    this.#freeAtMs[place] = endsMs;
    this.#inFlight.push({ beganMs: this.#nowMs, endsMs });
  }

  #finish(): void {
    const ended = this.#inFlight.filter(({ endsMs }) => endsMs <= this.#nowMs);
    if (ended.length === 0) return;
    const before = this.#inFlight.length;
    this.#inFlight = this.#inFlight.filter(({ endsMs }) => endsMs > this.#nowMs);
    for (const { beganMs, endsMs } of ended) {
      this.#latencies.push(endsMs - beganMs);
      this.#limit.note(endsMs - beganMs, before, this.#nowMs);
    }
  }

  #closeSecond(): void {
    const sorted = this.#latencies.sort((a, b) => a - b);
    const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    this.seconds.push({ limit: this.#limit.limit, done: sorted.length, p99Ms });
    this.#latencies = [];
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("20 times the load: the limit comes near what the upstream can work on, goodput stays, latency too", () => {
  const simulation = new Simulation();
  // 40 places of 20 ms: 2,000 a second.
  const upstream = { places: 40, serviceMs: 20 };
  simulation.run(120, 40, upstream);
  const settled = simulation.seconds.slice(20);
  expect(mean(settled.map(({ done }) => done))).toBeGreaterThan(0.9 * 2000);
  expect(mean(settled.map(({ limit }) => limit))).toBeGreaterThan(0.9 * 40);
  expect(Math.max(...settled.map(({ limit }) => limit))).toBeLessThan(2.5 * 40);
  expect(Math.max(...settled.map(({ p99Ms }) => p99Ms))).toBeLessThan(3 * 26);
});

test("it follows an upstream that loses three quarters of its places, and one that gets them back", () => {
  const simulation = new Simulation();
  simulation.run(30, 10, { places: 40, serviceMs: 20 });
  simulation.run(30, 10, { places: 10, serviceMs: 20 });
  simulation.run(30, 10, { places: 40, serviceMs: 20 });
  const [, before, , small, , after] = Array.from({ length: 6 }, (_, part) =>
    simulation.seconds.slice(part * 15, part * 15 + 15),
  ) as [Second[], Second[], Second[], Second[], Second[], Second[]];
  expect(mean(before.map(({ done }) => done))).toBeGreaterThan(0.85 * 2000);
  expect(mean(small.map(({ done }) => done))).toBeGreaterThan(0.85 * 500);
  expect(mean(small.map(({ limit }) => limit))).toBeLessThan(25);
  expect(mean(after.map(({ done }) => done))).toBeGreaterThan(0.85 * 2000);
});
