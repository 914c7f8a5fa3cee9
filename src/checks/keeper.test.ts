import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { checkedUpstream } from "../../tests/support/check-plan.ts";
import type { ActiveHealthConfig, Config, UpstreamConfig } from "../config/config.ts";
import { EndpointBoard } from "../control/endpoint-board.ts";
import { seriesKeysOf } from "../control/series-keys.ts";
import { SeriesTable } from "../observe/series.ts";
import { judgeAgentLine } from "./agent-check.ts";
import type { CheckPlan } from "./asker.ts";
import { CheckKeeper } from "./keeper.ts";
import { type CheckOutcome, failed, passed } from "./outcome.ts";

const SLOTS = 1 << 21;
const FINE = passed("HTTP 200");
const REFUSED = failed("check_connect", "connection refused");

/** A day in the life of a keeper: time passes when a test says so. */
class Day {
  nowMs = 0;
  readonly row = new Float64Array(SLOTS);
  readonly series = new SeriesTable(SLOTS);
  readonly log: string[] = [];
  readonly asked: { readonly endpoint: string; readonly atMs: number }[] = [];
  /** Checks under way, by endpoint. */
  readonly underWay = new Map<string, number>();
  mostUnderWay = 0;
  calledOff = 0;
  /** There are no workers yet. */
  isWaiting = false;
  answer: (plan: CheckPlan) => CheckOutcome | Promise<CheckOutcome> = () => FINE;
  takesMs = 5;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];
  board = this.#newBoard();
  keeper = this.#newKeeper();

  #newBoard(): EndpointBoard {
    const log = (_level: string, _area: string, text: string) => this.log.push(text);
    const changes = new Float64Array(1);
    return new EndpointBoard({ rowOf: () => this.row, changes, log, nowMs: () => 1e12 + this.nowMs });
  }

  #newKeeper(): CheckKeeper {
    const chance = new Chance(7);
    return new CheckKeeper({
      board: this.board,
      ask: (plan, signal) => this.#ask(plan, signal),
      nowMs: () => this.nowMs,
      after: (delayMs, run) => this.#after(delayMs, run),
      random: () => chance.next(),
    });
  }

  /** Another process takes over: it has the zone, and nothing else. */
  upgrade(...upstreams: UpstreamConfig[]): void {
    this.keeper.stop();
    this.board = this.#newBoard();
    this.keeper = this.#newKeeper();
    this.keep(...upstreams);
  }

  keep(...upstreams: UpstreamConfig[]): void {
    const keys = seriesKeysOf({ listeners: [], routes: [], upstreams } as unknown as Config);
    this.series.allocate(keys);
    this.board.adopt(this.series.slots(), upstreams);
    this.keeper.keep({ upstreams });
    if (!this.isWaiting) this.keeper.begin();
  }

  #after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  async #ask(plan: CheckPlan, signal: AbortSignal): Promise<CheckOutcome> {
    const { name } = plan.endpoint;
    this.asked.push({ endpoint: name, atMs: this.nowMs });
    this.underWay.set(name, (this.underWay.get(name) ?? 0) + 1);
    this.mostUnderWay = Math.max(this.mostUnderWay, this.count());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#after(this.takesMs, resolve);
    signal.addEventListener("abort", () => {
      this.calledOff++;
      resolve();
    });
    await promise;
    this.underWay.set(name, (this.underWay.get(name) ?? 0) - 1);
    return await this.answer(plan);
  }

  count(): number {
    return [...this.underWay.values()].reduce((sum, count) => sum + count, 0);
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
  }

  state(endpoint = "10.0.0.1:80") {
    return this.board.state("app", endpoint);
  }

  timesOf(endpoint = "10.0.0.1:80"): number[] {
    return this.asked.filter((one) => one.endpoint === endpoint).map(({ atMs }) => atMs);
  }
}

const ONE = ["10.0.0.1:80"];
const upstream = (active: Partial<ActiveHealthConfig> = {}, addresses: readonly string[] = ONE) =>
  checkedUpstream(addresses, active);

test("the first answer decides alone, and until then an endpoint is used", async () => {
  const day = new Day();
  day.answer = () => REFUSED;
  day.keep(upstream());
  expect([day.state()?.state, day.state()?.check]).toEqual(["up", "unchecked"]);
  await day.pass(1100);
  expect([day.state()?.state, day.state()?.reason, day.state()?.detail]).toEqual([
    "down",
    "check_connect",
    "connection refused",
  ]);
});

test("with `initial: down` an endpoint waits for its first answer, which brings it in alone", async () => {
  const day = new Day();
  day.keep(upstream({ initial: "down" }));
  expect([day.state()?.state, day.state()?.reason]).toEqual(["down", "check_initial"]);
  await day.pass(1100);
  expect([day.state()?.state, day.state()?.reason]).toEqual(["up", "check_passed"]);
});

test("before there are workers nothing is asked, but what waits for its first answer is down already", async () => {
  const day = new Day();
  day.isWaiting = true;
  day.keep(upstream({ initial: "down" }, ["10.0.0.1:80", "10.0.0.2:80"]));
  day.keep(upstream({ initial: "down" }));
  await day.pass(5000);
  expect([day.state()?.state, day.asked.length]).toEqual(["down", 0]);
  day.keeper.begin();
  await day.pass(1100);
  expect([day.state()?.state, day.timesOf("10.0.0.2:80").length]).toEqual(["up", 0]);
});

test("`fall` failures take it out and `rise` successes bring it back, at the fast interval", async () => {
  const day = new Day();
  day.keep(upstream());
  await day.pass(20_000);
  expect(day.state()?.check).toBe("up");
  day.answer = () => REFUSED;
  const before = day.asked.length;
  while (day.state()?.check === "up") await day.pass(100);
  const times = day.timesOf().slice(before);
  expect(times.length).toBe(3);
  expect((times[2] as number) - (times[0] as number)).toBeLessThan(2300);
  day.answer = () => FINE;
  const failures = day.asked.length;
  while (day.state()?.check === "down") await day.pass(100);
  expect(day.asked.length - failures).toBe(2);
  expect(day.log.length).toBe(2);
});

test("what is wrong with an endpoint that stays down is told anew when it is something else", async () => {
  const day = new Day();
  day.answer = () => REFUSED;
  day.keep(upstream());
  await day.pass(2000);
  day.answer = () => failed("check_status", "HTTP 503, not 200-399");
  await day.pass(6000);
  expect([day.state()?.reason, day.state()?.detail, day.log.length]).toEqual([
    "check_status",
    "HTTP 503, not 200-399",
    1,
  ]);
});

test("one endpoint is never asked twice at a time, however slow it is, and the next check follows at once", async () => {
  const day = new Day();
  day.takesMs = 7000;
  let most = 0;
  day.answer = () => {
    most = Math.max(most, day.count() + 1);
    return FINE;
  };
  day.keep(upstream());
  await day.pass(60_000);
  expect(most).toBe(1);
  const times = day.timesOf();
  expect(times.length).toBeGreaterThan(7);
  for (const [index, atMs] of times.entries()) {
    if (index > 0) expect(atMs - (times[index - 1] as number)).toBe(7000);
  }
});

test("of a thousand slow endpoints 64 are asked at a time, and every one is asked", async () => {
  const day = new Day();
  day.takesMs = 2000;
  const names = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);
  day.keep(upstream({}, names));
  await day.pass(40_000);
  expect(day.mostUnderWay).toBe(64);
  expect(new Set(day.asked.map(({ endpoint }) => endpoint)).size).toBe(1000);
});

test("a reload that leaves a check as it is goes on counting failures where it was", async () => {
  const day = new Day();
  day.keep(upstream());
  await day.pass(3000);
  day.answer = () => REFUSED;
  const before = day.asked.length;
  while (day.asked.length < before + 2) await day.pass(10);
  await day.pass(20);
  day.keep(upstream(), checkedUpstream(["10.0.0.9:80"], undefined, { name: "other" }));
  while (day.asked.length < before + 3) await day.pass(10);
  await day.pass(20);
  expect(day.state()?.check).toBe("down");
});

test("a check that has changed begins with what was known, and keeps its counters", async () => {
  const day = new Day();
  day.answer = () => REFUSED;
  day.keep(upstream());
  await day.pass(2000);
  const { failed: before } = day.keeper.counts()[0] ?? { failed: 0 };
  expect(before).toBeGreaterThan(0);
  day.answer = () => FINE;
  day.keep(upstream({ path: "/healthz" }));
  const asked = day.asked.length;
  expect(day.state()?.check).toBe("down");
  while (day.state()?.check === "down") await day.pass(10);
  expect(day.asked.length - asked).toBe(2);
  expect(day.keeper.counts()).toMatchObject([
    { upstream: "app", endpoint: "10.0.0.1:80", passed: 2, failed: before, lastMs: 5 },
  ]);
});

test("an endpoint that leaves is asked no more, not even to the end of the check under way", async () => {
  const day = new Day();
  day.takesMs = 1000;
  day.keep(upstream({}, ["10.0.0.1:80", "10.0.0.2:80"]));
  while (day.count() < 2) await day.pass(10);
  day.keep(upstream({}, ["10.0.0.2:80"]));
  expect(day.calledOff).toBe(1);
  const before = day.timesOf().length;
  await day.pass(20_000);
  expect([day.timesOf().length, day.count() < 2]).toEqual([before, true]);
  expect(day.keeper.counts().map(({ endpoint }) => endpoint)).toEqual(["10.0.0.2:80"]);
});

test("without checks what was found is forgotten", async () => {
  const day = new Day();
  day.answer = () => REFUSED;
  day.keep(upstream());
  await day.pass(2000);
  expect(day.state()?.state).toBe("down");
  day.keep(checkedUpstream(ONE, undefined));
  expect([day.state()?.state, day.state()?.check]).toEqual(["up", "unchecked"]);
});

test("a new process believes the board: no endpoint flaps, in either direction", async () => {
  const day = new Day();
  const both = upstream({ initial: "down" }, ["10.0.0.1:80", "10.0.0.2:80"]);
  day.answer = ({ endpoint }) => (endpoint.name === "10.0.0.1:80" ? FINE : REFUSED);
  day.keep(both);
  await day.pass(10_000);
  const told = day.log.length;
  day.upgrade(both);
  expect([day.state()?.check, day.state("10.0.0.2:80")?.check]).toEqual(["up", "down"]);
  day.answer = ({ endpoint }) => (endpoint.name === "10.0.0.2:80" ? FINE : REFUSED);
  const asked = day.asked.length;
  while (day.asked.length < asked + 2) await day.pass(1);
  await day.pass(10);
  expect([day.state()?.check, day.state("10.0.0.2:80")?.check]).toEqual(["up", "down"]);
  expect(day.log.length).toBe(told);
});

test("an endpoint that was never asked before an upgrade is still judged by its first answer", async () => {
  const day = new Day();
  const waiting = upstream({ initial: "down" });
  day.keep(waiting);
  day.upgrade(waiting);
  await day.pass(1100);
  expect([day.state()?.check, day.asked.length]).toEqual(["up", 1]);
});

test("a failure that comes far too late is ours, and does not count", async () => {
  const day = new Day();
  day.keep(upstream({ fall: 1 }));
  await day.pass(2000);
  day.answer = () => failed("check_timeout", "no answer in 2 s");
  day.takesMs = 60_000;
  await day.pass(140_000);
  expect([day.state()?.check, day.keeper.counts()[0]?.failed]).toEqual(["up", 0]);
  day.takesMs = 2000;
  await day.pass(70_000);
  expect(day.state()?.check).toBe("down");
});

test("an agent's word holds at once, in both directions", async () => {
  const day = new Day();
  let line = "up\n";
  day.answer = () => judgeAgentLine(line);
  day.keep(upstream({ type: "agent", port: 81 }));
  await day.pass(1100);
  line = "down #disk\n";
  await day.pass(5600);
  expect([day.state()?.state, day.state()?.detail]).toEqual(["down", 'the agent says down ("disk")']);
  line = "up\n";
  await day.pass(5600);
  expect(day.state()?.state).toBe("up");
});

test("an agent's drain and weight are its own: a person's word stays", async () => {
  const day = new Day();
  let line = "drain 50%\n";
  day.answer = () => judgeAgentLine(line);
  const checked = upstream({ type: "agent", port: 81 });
  day.keep(checked);
  await day.pass(1100);
  expect([day.state()?.state, day.state()?.reason, day.state()?.weight]).toEqual(["draining", "agent", 0.5]);
  line = "up 50%\n";
  await day.pass(5600);
  expect(day.state()?.state).toBe("up");
  day.board.set("app", "10.0.0.1:80", { operator: "maintenance", weight: 3 });
  line = "up 25%\n";
  await day.pass(5600);
  expect([day.state()?.state, day.state()?.weight]).toEqual(["maintenance", 3]);
  day.board.set("app", "10.0.0.1:80", { operator: "up", weight: "configured" });
  expect([day.state()?.state, day.state()?.weight]).toEqual(["up", 0.25]);
});

test("what an agent has asked for is over when nobody asks it any more, also over an upgrade", async () => {
  for (const leave of ["keep", "upgrade"] as const) {
    const day = new Day();
    day.answer = () => judgeAgentLine("drain 50%\n");
    day.keep(upstream({ type: "agent", port: 81 }));
    await day.pass(1100);
    day.answer = () => FINE;
    day[leave](upstream());
    expect([day.state()?.agent, day.state()?.weight]).toEqual(["up", 1]);
  }
});

test("an agent that does not answer is a check that fails, and leaves its last word standing", async () => {
  const day = new Day();
  day.answer = () => judgeAgentLine("up 50%\n");
  day.keep(upstream({ type: "agent", port: 81 }));
  await day.pass(1100);
  day.answer = () => REFUSED;
  while (day.keeper.counts()[0]?.failed !== 2) await day.pass(10);
  expect([day.state()?.state, day.state()?.weight]).toEqual(["up", 0.5]);
  await day.pass(1200);
  expect(day.state()?.state).toBe("down");
});

test("after stop nothing is asked", async () => {
  const day = new Day();
  day.keep(upstream());
  await day.pass(2000);
  day.keeper.stop();
  const before = day.asked.length;
  await day.pass(60_000);
  expect([day.asked.length, day.keeper.counts()]).toEqual([before, []]);
});
