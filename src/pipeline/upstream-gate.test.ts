import { expect, test } from "bun:test";
import { fakeExchange, fixedRoute } from "../../tests/support/fake-exchange.ts";
import { GateStage } from "../../tests/support/gate-stage.ts";
import type { BreakerConfig } from "../config/config.ts";
import { fail } from "../core/failure.ts";
import { ENDPOINT_STATES } from "../health/endpoint-state.table.ts";
import { GATE_REASONS, UPSTREAM } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import type { Planned } from "./plan.ts";
import { finish } from "./run.ts";
import type { GateView } from "./upstream-gate.ts";

const BREAKER: BreakerConfig = {
  errorRate: 0.5,
  latencyMs: 0,
  windowMs: 10_000,
  minRequests: 4,
  openMs: 5000,
};
const AT = UPSTREAM.at;
const HIGH = 0;
const NORMAL = 1;
const LOW = 2;

const codeOf = (exchange: Planned) => exchange.failure?.code;

test("as many as the limit says go on, the next waits, and goes on when one has ended", () => {
  const stage = new GateStage({ connections: 2 });
  const first = stage.ask("a");
  stage.ask("b");
  const third = stage.ask("c");
  expect([stage.sent, stage.gate.inFlight, stage.gate.waiting]).toEqual([["a", "b"], 2, 1]);
  clock.nowMs += 40;
  stage.end(first);
  expect([stage.sent, stage.gate.inFlight, stage.gate.waiting]).toEqual([["a", "b", "c"], 2, 0]);
  expect(third.plan.queueMs).toBeCloseTo(40);
  expect([stage.metric(AT.queued), stage.metric(AT.waiting), stage.metric(AT.inFlight)]).toEqual([1, 0, 2]);
});

test("a newcomer does not overtake those who wait, unless its route has a higher priority", () => {
  const stage = new GateStage({ connections: 1 });
  const first = stage.ask("first");
  stage.ask("low", LOW);
  stage.ask("normal");
  finish(first); // a place is free, and nobody was called yet
  stage.ask("late");
  stage.ask("high", HIGH);
  expect(stage.sent).toEqual(["first"]);
  stage.settle();
  expect(stage.sent).toEqual(["first", "high"]);
});

test("clients take turns: one that asks a lot does not put its whole burst before another", () => {
  const stage = new GateStage({ connections: 1 });
  let running = stage.ask("a0", NORMAL, "192.0.2.1");
  const waiting = new Map<string, Planned>();
  for (const name of ["a1", "a2", "a3"]) waiting.set(name, stage.ask(name, NORMAL, "192.0.2.1"));
  waiting.set("b1", stage.ask("b1", NORMAL, "192.0.2.2"));
  for (let turn = 0; turn < 4; turn++) {
    stage.end(running);
    running = waiting.get(stage.sent.at(-1) ?? "") as Planned;
  }
  expect(stage.sent.indexOf("b1")).toBeLessThanOrEqual(2);
});

test("who has waited for queueTimeout is told so with 503 and Retry-After", () => {
  const stage = new GateStage({ connections: 1, queueTimeoutMs: 500 });
  stage.ask("a");
  const late = stage.ask("b");
  stage.pass(400);
  expect(codeOf(late)).toBeUndefined();
  stage.pass(400);
  expect([codeOf(late), late.sentStatus, stage.gate.waiting]).toEqual(["queue_timeout", 503, 0]);
  expect(late.responseFields.find("retry-after")).toBe("1");
  expect(stage.metric(AT.refused + GATE_REASONS.indexOf("queue_timeout"))).toBe(1);
});

test("a deadline of the exchange that comes first ends its wait as what it is", () => {
  const stage = new GateStage({ connections: 1 });
  stage.ask("a");
  const { exchange } = fakeExchange();
  exchange.plan.route = fixedRoute();
  exchange.plan.upstream = stage.group;
  exchange.deadlineMs = clock.nowMs + 200;
  stage.resume(exchange, "choose");
  stage.pass(400);
  expect([codeOf(exchange), exchange.sentStatus]).toEqual(["request_timeout", 504]);
});

test("a full queue refuses; one of a higher priority takes the place of the last of a lower one", () => {
  const stage = new GateStage({ connections: 1, queue: 2 });
  stage.ask("running");
  const [older, newer] = [stage.ask("low", LOW), stage.ask("lower", LOW)];
  const refused = stage.ask("none", LOW);
  expect([codeOf(refused), refused.sentStatus]).toEqual(["queue_full", 503]);
  const high = stage.ask("high", HIGH);
  stage.settle();
  expect([codeOf(older), codeOf(newer), codeOf(high)]).toEqual([undefined, "queue_full", undefined]);
  expect(stage.gate.waiting).toBe(2);
});

test("without a queue what is beyond the limit is refused at once", () => {
  const stage = new GateStage({ connections: 1, queue: 0 });
  stage.ask("a");
  expect(codeOf(stage.ask("b"))).toBe("queue_full");
});

test("a client that leaves waits no longer, and its turn is another's", () => {
  const stage = new GateStage({ connections: 1 });
  const first = stage.ask("a");
  const gone = stage.ask("gone");
  stage.ask("b");
  gone.upstream?.cancel();
  finish(gone);
  expect([stage.gate.waiting, stage.metric(AT.waiting)]).toEqual([1, 1]);
  stage.end(first);
  expect(stage.sent).toEqual(["a", "b"]);
});

test("an endpoint that is full is passed over; when all are, the next waits for one of them", () => {
  const stage = new GateStage({ perEndpoint: 1 });
  const first = stage.ask("a");
  const second = stage.ask("b");
  expect(new Set([first.plan.endpointIndex, second.plan.endpointIndex])).toEqual(new Set([0, 1]));
  const third = stage.ask("c");
  expect([stage.gate.waiting, stage.gate.inFlight]).toEqual([1, 2]);
  stage.end(second);
  expect([stage.sent.at(-1), third.plan.endpointIndex]).toEqual(["c", second.plan.endpointIndex]);
});

test("those behind one who can only use an endpoint that is full go on when another has room", () => {
  const stage = new GateStage({ perEndpoint: 1 });
  const long = stage.ask("long");
  const short = stage.ask("short");
  const picky = stage.ask("picky");
  picky.plan.excluded = Uint8Array.of(0, 0);
  picky.plan.excluded[short.plan.endpointIndex] = 1;
  picky.plan.failed = fail("connect_timeout");
  stage.end(short);
  expect(stage.gate.waiting).toBe(1);
  const next = stage.ask("next");
  stage.settle();
  expect([stage.sent.at(-1), next.plan.endpointIndex]).toEqual(["next", short.plan.endpointIndex]);
  stage.end(long);
  expect(stage.sent.at(-1)).toBe("picky");
});

test("who waits goes on when an endpoint that was set apart takes requests again", () => {
  const stage = new GateStage({ perEndpoint: 1 });
  const states = Uint8Array.of(0, ENDPOINT_STATES.indexOf("maintenance"));
  stage.group = stage.load({ perEndpoint: 1 }, undefined, { states, weightOf: () => 1, look: () => true });
  stage.ask("first");
  const second = stage.ask("second");
  stage.gate.tick();
  stage.settle();
  expect(stage.gate.waiting).toBe(1);
  states[1] = 0;
  stage.gate.tick();
  stage.settle();
  expect([stage.gate.waiting, second.plan.endpointIndex]).toEqual([0, 1]);
});

test("who waits goes to the endpoints of the version in force by then", () => {
  const stage = new GateStage({ connections: 1 });
  const first = stage.ask("first");
  const second = stage.ask("second");
  const group = stage.load({ connections: 1 });
  stage.end(first);
  expect([stage.sent.at(-1), second.plan.upstream === group]).toEqual(["second", true]);
});

test("an attempt that failed gives its place back, and another attempt asks for one", () => {
  const stage = new GateStage({ connections: 1 });
  const exchange = stage.ask("a");
  exchange.plan.hold?.failed(fail("connect_refused"));
  expect(stage.gate.inFlight).toBe(0);
  stage.resume(exchange, "choose");
  expect([stage.gate.inFlight, exchange.plan.attempts]).toEqual([1, 2]);
  stage.resume(exchange, "choose"); // an answer that was dropped: the place before is given back first
  expect([stage.gate.inFlight, exchange.plan.attempts]).toEqual([1, 3]);
  stage.end(exchange);
  expect(stage.gate.inFlight).toBe(0);
});

// ── breaker ──

/** As many attempts, each answered with this status. */
function answered(stage: GateStage, count: number, status: number): void {
  for (let turn = 0; turn < count; turn++) {
    const exchange = stage.ask(`${status}`);
    stage.answer(exchange, status);
    stage.end(exchange);
  }
}

test("the breaker opens by errors, answers 503 until it lets trials through, and closes by their success", () => {
  const stage = new GateStage({}, BREAKER);
  answered(stage, 4, 502);
  const refused = stage.ask("no");
  expect([codeOf(refused), refused.sentStatus]).toEqual(["breaker_open", 503]);
  expect(refused.responseFields.find("retry-after")).toBe("5");
  expect([stage.metric(AT.breakersOpen), stage.metric(AT.breakerOpened)]).toEqual([1, 1]);
  stage.pass(5001);
  answered(stage, 3, 200);
  expect(stage.metric(AT.breakersOpen)).toBe(0);
  expect(codeOf(stage.ask("yes"))).toBeUndefined();
});

test("those who wait are told when the breaker opens", () => {
  const stage = new GateStage({ connections: 4 }, BREAKER);
  const running = [1, 2, 3, 4].map((number) => stage.ask(`${number}`));
  const waiting = stage.ask("waits");
  for (const exchange of running) stage.answer(exchange, 500);
  stage.settle();
  expect([codeOf(waiting), stage.gate.waiting]).toEqual(["breaker_open", 0]);
  stage.end(...running);
  expect(stage.gate.inFlight).toBe(0);
});

test.each([
  ["connect_refused", 4, true],
  ["upstream_reset", 4, true],
  ["response_timeout", 4, true],
  ["stale_connection", 4, false],
  ["stream_refused", 4, false],
  ["too_many_connections", 4, false],
] as const)("%s says of the upstream: bad is %p", (code, times, isOpen) => {
  const stage = new GateStage({}, BREAKER);
  for (let turn = 0; turn < times; turn++) {
    const exchange = stage.ask("x");
    exchange.plan.hold?.failed(fail(code));
    stage.end(exchange);
  }
  expect(codeOf(stage.ask("next")) === "breaker_open").toBe(isOpen);
});

test("a trial that its client calls off is given to another", () => {
  const stage = new GateStage({}, BREAKER);
  answered(stage, 4, 500);
  stage.pass(5001);
  const trials = [1, 2, 3].map((number) => stage.ask(`${number}`));
  expect(codeOf(stage.ask("too many"))).toBe("breaker_open");
  stage.end(trials[0] as Planned);
  expect(codeOf(stage.ask("instead"))).toBeUndefined();
});

// ── reload ──

test("a reload with a higher limit lets those who wait go on, one with a shorter queue turns the last away", () => {
  const stage = new GateStage({ connections: 1 });
  const first = stage.ask("a");
  const waiting = ["b", "c", "d"].map((name) => stage.ask(name));
  stage.load({ connections: 1, queue: 2 });
  stage.settle();
  expect(waiting.map(codeOf)).toEqual([undefined, undefined, "queue_full"]);
  stage.load({ connections: 3, queue: 2 });
  stage.settle();
  expect([stage.sent, stage.metric(AT.limit)]).toEqual([["a", "b", "c"], 3]);
  stage.end(first);
});

test("a breaker stays open over a reload that does not change its rules", () => {
  const stage = new GateStage({}, BREAKER);
  answered(stage, 4, 500);
  stage.load({ connections: 7 }, { ...BREAKER });
  expect(codeOf(stage.ask("x"))).toBe("breaker_open");
  stage.load({}, { ...BREAKER, minRequests: 5 });
  expect(codeOf(stage.ask("x"))).toBeUndefined();
});

test("a gate that is retired lets those who wait go on, and leaves no gauge behind", () => {
  const stage = new GateStage({ connections: 1, perEndpoint: 1 }, BREAKER);
  const [first, second] = [stage.ask("a"), stage.ask("b")];
  stage.gate.retire();
  stage.settle();
  expect(stage.sent).toEqual(["a", "b"]);
  stage.end(first, second);
  const gauges = [AT.inFlight, AT.limit, AT.waiting, AT.breakersOpen];
  expect(gauges.map((offset) => stage.metric(offset))).toEqual([0, 0, 0, 0]);
});

// ── adaptive ──

test("an adaptive limit grows under a load that it does not slow down", () => {
  const stage = new GateStage({ adaptive: true, queue: 512 });
  expect(stage.gate.limit).toBe(20);
  for (let round = 0; round < 100; round++) {
    const exchanges = Array.from({ length: 60 }, (_, index) => stage.ask(`${index}`));
    clock.nowMs += 20;
    for (let left = exchanges, turns = 0; left.length > 0; turns++) {
      expect(turns).toBeLessThan(10);
      const sent = left.filter(({ plan }) => plan.hold !== undefined);
      for (const exchange of sent) stage.answer(exchange);
      stage.end(...sent);
      left = left.filter((exchange) => !exchange.isOver);
    }
  }
  expect(stage.gate.limit).toBeGreaterThan(30);
  expect([stage.gate.inFlight, stage.metric(AT.limit)]).toEqual([0, stage.gate.limit]);
});

// ── conservation ──

/** mulberry32 */
function randomBy(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Life {
  readonly stage: GateStage;
  readonly alive: Planned[] = [];
  readonly random: () => number;

  constructor(seed: number) {
    this.random = randomBy(seed);
    this.stage = new GateStage({ connections: 4, perEndpoint: 2, queue: 6, queueTimeoutMs: 300 }, BREAKER, 3);
  }

  any(): Planned | undefined {
    return this.alive[Math.floor(this.random() * this.alive.length)];
  }

  step(number: number): void {
    const { stage } = this;
    const dice = this.random();
    const exchange = this.any();
    if (dice < 0.4 || exchange === undefined) {
      const asked = stage.ask(`${number}`, Math.floor(this.random() * 3), `192.0.2.${number % 7}`);
      if (this.random() < 0.2) asked.deadlineMs = clock.nowMs + 150;
      this.alive.push(asked);
    } else if (dice < 0.5) this.leave(exchange);
    else if (dice < 0.6) this.retry(exchange);
    else if (dice < 0.75) stage.answer(exchange, this.random() < 0.2 ? 503 : 200);
    else if (dice < 0.9) {
      if (exchange.plan.hold !== undefined) finish(exchange);
    } else if (dice < 0.95) stage.pass(this.random() * 300);
    else if (dice < 0.98) stage.settle();
    else this.reload();
    this.alive.splice(0, this.alive.length, ...this.alive.filter((one) => !one.isOver));
  }

  /** Its client is gone, whatever it is doing. */
  leave(exchange: Planned): void {
    exchange.upstream?.cancel();
    exchange.upstream = undefined;
    finish(exchange);
  }

  retry(exchange: Planned): void {
    if (exchange.plan.hold === undefined) return;
    exchange.plan.isFreshRetry = this.random() < 0.3;
    exchange.plan.hold.failed(fail(this.random() < 0.5 ? "upstream_reset" : "stale_connection"));
    this.stage.resume(exchange, "choose");
    exchange.plan.isFreshRetry = false;
  }

  reload(): void {
    const queue = 2 + Math.floor(this.random() * 6);
    const perEndpoint = Math.floor(this.random() * 3);
    this.stage.load({ connections: 4, perEndpoint, queue, queueTimeoutMs: 300 }, BREAKER);
  }

  check(): void {
    const { stage, alive } = this;
    const held = alive.filter(({ plan }) => plan.hold !== undefined);
    const waiting = alive.filter(({ upstream }) => upstream !== undefined);
    expect(stage.gate.inFlight).toBe(held.length);
    expect(stage.gate.inFlight).toBeLessThanOrEqual(4);
    expect(stage.metric(AT.inFlight)).toBe(held.length);
    expect(stage.metric(AT.waiting)).toBe(waiting.length);
    expect(held.length + waiting.length).toBe(alive.length);
    if (waiting.length > 0 && stage.soon.length === 0) expect(held.length).toBeGreaterThan(0);
  }
}

test.each([1, 2, 3, 4, 5])("places are conserved, whatever happens to exchanges (seed %p)", (seed) => {
  const life = new Life(seed);
  for (let number = 0; number < 4000; number++) {
    life.step(number);
    life.check();
  }
  const { stage } = life;
  for (let turn = 0; turn < 20 && life.alive.length > 0; turn++) {
    stage.pass(400);
    for (const exchange of life.alive) if (exchange.plan.hold !== undefined) finish(exchange);
    life.alive.splice(0, life.alive.length, ...life.alive.filter((one) => !one.isOver));
  }
  expect([stage.gate.inFlight, stage.gate.waiting, life.alive.length]).toEqual([0, 0, 0]);
  const gone = stage.load({ connections: 0, perEndpoint: 1 });
  expect([...(gone.gate as GateView).full]).toEqual([0, 0, 0]);
});

test("an attempt that nobody has to wait for takes a free place, and never one that others wait for", () => {
  const stage = new GateStage({ connections: 2 });
  const first = stage.ask("first");
  const beside = fakeExchange().exchange;
  beside.plan.upstream = stage.group;
  expect(stage.gate.enterNow(beside)).toBe(true);
  const waiting = stage.ask("waiting");
  const another = fakeExchange().exchange;
  expect([stage.gate.enterNow(another), waiting.plan.hold, another.plan.hold]).toEqual([
    false,
    undefined,
    undefined,
  ]);
  first.plan.hold?.leave();
  expect(stage.gate.enterNow(another)).toBe(false);
  stage.settle();
  expect(stage.sent).toEqual(["first", "waiting"]);
  beside.plan.hold?.leave();
  expect(stage.gate.enterNow(another)).toBe(true);
});
