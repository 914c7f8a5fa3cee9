import { afterEach, expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { passiveWith } from "../../tests/support/test-upstream.ts";
import type { PassiveHealthConfig } from "../config/config.ts";
import { type FailureCode, fail } from "../core/failure.ts";
import { BOARD, BOARD_WORDS } from "../health/board.table.ts";
import { stateOf } from "../health/endpoint-state.table.ts";
import type { EndpointWatcher } from "../session/endpoint-account.ts";
import type { Exchange } from "../session/exchange.ts";
import { clock, readClock } from "../transport/clock.ts";
import { BoardStanding, type FailingEndpoint, UpstreamHealth } from "./endpoint-health.ts";

const EPOCH_MS = 1_000_000;
const SLOW_START_MS = 10_000;

afterEach(() => void readClock());

interface Asked {
  readonly count?: number;
  readonly weights?: readonly number[];
  readonly passive?: Partial<PassiveHealthConfig> | "off";
}

function stage({ count = 4, weights = new Array(count).fill(1), passive = {} }: Asked = {}) {
  clock.nowMs = 1000;
  const row = new Float64Array(BOARD_WORDS * count);
  const board = { row, changes: new Float64Array(1), epochMs: EPOCH_MS };
  const reported: FailingEndpoint[] = [];
  const health = new UpstreamHealth({
    upstream: "app",
    names: weights.map((_, index) => `e${index}`),
    slots: weights.map((_, index) => index * BOARD_WORDS),
    passive: passive === "off" ? undefined : passiveWith({ failures: 3, ...passive }),
    board,
    report: (failing) => reported.push(failing),
  });
  const standing = new BoardStanding(health, weights, SLOW_START_MS);
  const write = (index: number, words: Partial<Record<keyof typeof BOARD, number>>) => {
    for (const [word, value] of Object.entries(words)) {
      row[index * BOARD_WORDS + BOARD[word as keyof typeof BOARD]] = value;
    }
    board.changes[0] = (board.changes[0] as number) + 1;
  };
  const states = () => {
    standing.look();
    return [...standing.states].map(stateOf);
  };
  return { health, standing, board, reported, write, states };
}

/** An attempt that has not been answered; `parts` says more. */
function attempt(parts: Partial<Exchange> = {}): Exchange {
  const { exchange } = fakeExchange();
  return Object.assign(exchange, { sentAtMs: 500, respondedAtMs: 0, ...parts });
}

const ANSWERED = { respondedAtMs: 600 };

function failTimes(
  watcher: EndpointWatcher | undefined,
  times: number,
  code: FailureCode = "connect_refused",
): void {
  for (let turn = 0; turn < times; turn++) watcher?.failed(attempt(), fail(code), true);
}

test("too many failures in a row: the worker leaves the endpoint alone at once, and tells control", () => {
  const { health, states, reported } = stage();
  const watcher = health.watcherOf(1);
  failTimes(watcher, 2);
  expect([states()[1], reported.length]).toEqual(["up", 0]);
  failTimes(watcher, 1);
  expect(states()).toEqual(["up", "ejected", "up", "up"]);
  expect(reported).toEqual([
    {
      upstream: "app",
      endpoint: "e1",
      untilMs: EPOCH_MS + 1500,
      detail: "the endpoint refused the connection",
    },
  ]);
});

test("what control does not confirm ends soon", () => {
  const { health, states } = stage();
  failTimes(health.watcherOf(1), 3);
  clock.nowMs += 499;
  expect(states()[1]).toBe("ejected");
  clock.nowMs += 1;
  clock.nowMs += 20; // time alone is looked at every so often
  expect(states()[1]).toBe("up");
});

test("what control confirms holds, until the instant on the board", () => {
  const { health, states, write } = stage();
  failTimes(health.watcherOf(1), 3);
  write(1, { ejectedUntilMs: EPOCH_MS + 9000, warmFromMs: EPOCH_MS + 9000 });
  clock.nowMs = 8980;
  expect(states()[1]).toBe("ejected");
  clock.nowMs = 9000;
  expect(states()[1]).toBe("warming");
});

test("an endpoint that goes on failing is reported once in half a second", () => {
  const { health, reported } = stage();
  const watcher = health.watcherOf(0);
  failTimes(watcher, 300);
  expect(reported).toHaveLength(1);
  clock.nowMs += 501;
  failTimes(watcher, 300);
  expect(reported).toHaveLength(2);
});

test("not more than maxEjected are left alone, and never the last; control is told all the same", () => {
  const { health, states, reported } = stage({ passive: { maxEjected: 0.5 } });
  for (let index = 0; index < 3; index++) failTimes(health.watcherOf(index), 3);
  expect(states()).toEqual(["ejected", "ejected", "up", "up"]);
  expect(reported).toHaveLength(3);
  const other = stage({ passive: { maxEjected: 1 } });
  other.write(0, { operator: 2 });
  other.write(1, { check: 2 });
  failTimes(other.health.watcherOf(2), 3);
  failTimes(other.health.watcherOf(3), 3);
  expect(other.states()).toEqual(["maintenance", "down", "ejected", "up"]);
});

const COUNTED: readonly (readonly [code: FailureCode, parts: Partial<Exchange>, isCounted: boolean])[] = [
  ["connect_timeout", {}, true],
  ["tls_failed", {}, true],
  ["upstream_reset", {}, true],
  ["response_timeout", {}, true],
  ["h1_response_head", {}, true],
  ["request_timeout", { isRequestComplete: true }, true],
  ["request_timeout", { isRequestComplete: false }, false],
  ["request_timeout", { isRequestComplete: true, ...ANSWERED }, false],
  ["stale_connection", {}, false],
  ["stream_refused", {}, false],
  ["upgrade_unsupported", {}, false],
  ["too_many_connections", {}, false],
  ["upstream_cut", ANSWERED, true],
  ["h1_response_chunk", ANSWERED, true],
  ["upstream_idle", ANSWERED, false],
];
for (const [code, parts, isCounted] of COUNTED) {
  const when = "respondedAtMs" in parts ? "in an answer" : "before an answer";
  test(`${code} ${when}${parts.isRequestComplete === false ? " to half a request" : ""}: ${isCounted ? "counts" : "does not count"}`, () => {
    const { health, states } = stage();
    const watcher = health.watcherOf(2);
    for (let turn = 0; turn < 3; turn++) watcher?.failed(attempt(parts), fail(code), false);
    expect(states()[2]).toBe(isCounted ? "ejected" : "up");
  });
}

test("an answer ends the row of those that had none, whatever its status", () => {
  const { health, states } = stage();
  const watcher = health.watcherOf(0);
  failTimes(watcher, 2);
  watcher?.responded(attempt({ status: 500, ...ANSWERED }));
  failTimes(watcher, 2);
  expect(states()[0]).toBe("up");
});

test("answers that are cut are in a row although each began; a complete one ends it, one that was called off does not", () => {
  const { health, states } = stage();
  const watcher = health.watcherOf(0);
  const cut = () => {
    watcher?.responded(attempt(ANSWERED));
    watcher?.failed(attempt(ANSWERED), fail("upstream_cut"), false);
  };
  cut();
  cut();
  watcher?.finished(true);
  cut();
  cut();
  watcher?.finished(false);
  expect(states()[0]).toBe("up");
  cut();
  expect(states()[0]).toBe("ejected");
});

test("a refused connection after a first attempt that was answered counts as one", () => {
  const { health, states } = stage();
  const watcher = health.watcherOf(0);
  for (let turn = 0; turn < 3; turn++) watcher?.failed(attempt(ANSWERED), fail("connect_refused"), true);
  expect(states()[0]).toBe("ejected");
});

test("nobody listens where nothing is to be learnt: off, no failures in a row, one endpoint alone", () => {
  const asked: readonly Asked[] = [{ passive: "off" }, { passive: { failures: 0 } }, { count: 1 }];
  for (const each of asked) expect(stage(each).health.watcherOf(0)).toBeUndefined();
});

test("an endpoint without a place on the board is up, and not ejected", () => {
  const { health, board, reported } = stage({ count: 2 });
  const alone = new UpstreamHealth({ ...health.options, slots: [-1, 0], board });
  failTimes(alone.watcherOf(0), 3);
  const standing = new BoardStanding(alone, [1, 1], 0);
  expect([[...standing.states].map(stateOf), reported]).toEqual([["up", "up"], []]);
});

test("a change on the board is seen at the next look, and only then is there anything to do", () => {
  const { standing, write } = stage({ weights: [1, 4] });
  expect(standing.look()).toBe(false);
  write(1, { operator: 1, weight: 8 });
  expect([standing.look(), standing.look()]).toEqual([true, false]);
  expect([stateOf(standing.states[1] as number), standing.weightOf(1)]).toEqual(["draining", 8]);
  write(0, {});
  expect(standing.look()).toBe(false);
});

test("weights grow in slow start in at most a hundred steps", () => {
  const { standing, write } = stage({ weights: [2, 2] });
  write(0, { warmFromMs: EPOCH_MS + 1000 });
  standing.look();
  expect(standing.weightOf(0)).toBeCloseTo(0.2, 5);
  let changes = 0;
  for (; clock.nowMs < 1000 + SLOW_START_MS; clock.nowMs += 7) {
    if (standing.look()) changes++;
    const share = (clock.nowMs - 1000) / SLOW_START_MS;
    expect(Math.abs(standing.weightOf(0) / 2 - Math.max(0.1, share))).toBeLessThan(0.015);
  }
  expect(changes).toBeGreaterThan(80);
  expect(changes).toBeLessThanOrEqual(100);
  clock.nowMs += 40;
  standing.look();
  expect([stateOf(standing.states[0] as number), standing.weightOf(0)]).toEqual(["up", 2]);
});

test("two versions of a configuration that read one upstream both see what has changed", () => {
  const { health, standing, write } = stage();
  const next = new BoardStanding(health, [1, 1, 1, 1], 0);
  write(0, { check: 2 });
  failTimes(health.watcherOf(1), 3);
  expect([standing.look(), next.look()]).toEqual([true, true]);
});
