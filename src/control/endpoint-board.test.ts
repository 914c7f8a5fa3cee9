import { expect, test } from "bun:test";
import { testUpstream } from "../../tests/support/test-upstream.ts";
import type { UpstreamConfig } from "../config/config.ts";
import { BOARD, BOARD_WORDS, type Reason } from "../health/board.table.ts";
import type { EndpointState } from "../health/endpoint-state.table.ts";
import { seriesKey, sharedKey } from "../observe/series.ts";
import { EndpointBoard, type EndpointChange } from "./endpoint-board.ts";

const SLOW_START_MS = 10_000;
const NAMES = ["e0", "e1", "e2"];
/** Far enough apart for any block. */
const SLOTS = {
  [sharedKey("endpoint")]: 0,
  ...Object.fromEntries(NAMES.map((name, index) => [seriesKey("endpoint", "app", name), 100 + index * 100])),
};

const upstreamOf = (count: number, parts: Partial<UpstreamConfig> = {}) =>
  testUpstream(
    NAMES.slice(0, count).map(() => ({})),
    { slowStartMs: SLOW_START_MS, ...parts },
  );

function makeBoard(memory = new Float64Array(1000), changes = new Float64Array(1)) {
  const time = { nowMs: 1_000_000 };
  const logged: string[] = [];
  const board = new EndpointBoard({
    rowOf: (slots) => memory.subarray(0, slots),
    changes,
    log: (level, _, text) => logged.push(`${level} ${text}`),
    nowMs: () => time.nowMs,
  });
  const state = (name = "e0") => board.state("app", name)?.state;
  return { board, time, logged, memory, changes, state };
}

function adopted(parts: Partial<UpstreamConfig> = {}) {
  const made = makeBoard();
  made.board.adopt(SLOTS, [upstreamOf(3, parts)]);
  return made;
}

const STORY: readonly (readonly [change: Partial<EndpointChange>, state: EndpointState, reason: Reason])[] = [
  [{ operator: "drain" }, "draining", "operator"],
  [{ check: "down", reason: "check_timeout" }, "down", "check_timeout"],
  [{ operator: "maintenance" }, "maintenance", "operator"],
  [{ check: "up" }, "maintenance", "operator"],
  [{ check: "down" }, "maintenance", "operator"],
  [{ operator: "up" }, "down", "check_failed"],
  [{ check: "up" }, "warming", "check_passed"],
  [{ agent: "drain" }, "draining", "agent"],
  [{ agent: "up" }, "warming", "agent"],
  [{ ejectedUntilMs: 1_005_000, reason: "error_rate" }, "ejected", "error_rate"],
  [{ ejectedUntilMs: 0 }, "warming", "ejection_over"],
];
test("everybody's word becomes one state, with the reason of the one whose word it is", () => {
  const { board } = adopted();
  for (const [change, state, reason] of STORY) {
    expect(board.set("app", "e0", change)).toBe(true);
    expect([change, board.state("app", "e0")?.state, board.state("app", "e0")?.reason]).toEqual([
      change,
      state,
      reason,
    ]);
  }
});

test("an ejection ends by itself: slow start begins at its end, without anybody having looked", () => {
  const { board, time, state, memory } = adopted();
  board.set("app", "e1", { ejectedUntilMs: time.nowMs + 3000, reason: "failures", detail: "refused" });
  expect(memory[200 + BOARD.warmFromMs]).toBe(time.nowMs + 3000);
  time.nowMs += 2999;
  expect(state("e1")).toBe("ejected");
  time.nowMs += 1;
  board.look();
  expect(board.state("app", "e1")).toMatchObject({ state: "warming", reason: "ejection_over", warmth: 0.1 });
  time.nowMs += SLOW_START_MS / 2;
  expect(board.state("app", "e1")?.warmth).toBeCloseTo(0.5, 5);
  time.nowMs += SLOW_START_MS / 2;
  board.look();
  expect(board.state("app", "e1")).toMatchObject({ state: "up", reason: "none", warmth: 1 });
  expect(board.events().map(({ from, to }) => `${from} ${to}`)).toEqual([
    "up ejected",
    "ejected warming",
    "warming up",
  ]);
});

test("a state tells since when it is, words that change nothing do not begin it anew", () => {
  const { board, time } = adopted();
  board.set("app", "e0", { check: "down" });
  const sinceMs = time.nowMs;
  time.nowMs += 500;
  board.set("app", "e0", { check: "down", reason: "check_status", detail: "HTTP 503" });
  expect(board.state("app", "e0")).toMatchObject({ sinceMs, reason: "check_status", detail: "HTTP 503" });
  expect(board.events()).toHaveLength(1);
});

test("each change is logged, trouble as a warning, and told to those who listen until they stop", () => {
  const { board, logged } = adopted();
  const heard: string[] = [];
  const stop = board.onChange(({ endpoint, to }) => heard.push(`${endpoint} ${to}`));
  board.set("app", "e0", { check: "down", detail: "HTTP 503, not 200-299" });
  board.set("app", "e0", { check: "up" });
  stop();
  board.set("app", "e0", { operator: "maintenance" });
  expect(heard).toEqual(["e0 down", "e0 warming"]);
  expect(logged).toEqual([
    "warn app e0 is down, was up: failed its checks: HTTP 503, not 200-299",
    "info app e0 is warming, was down: passed its checks",
    "info app e0 is in maintenance, was warming: set by an operator",
  ]);
});

test("events are bounded: the oldest go", () => {
  const { board } = adopted();
  for (let turn = 0; turn < 200; turn++) {
    board.set("app", "e0", { operator: "drain" });
    board.set("app", "e0", { operator: "up" });
  }
  board.set("app", "e2", { operator: "drain" });
  expect(board.events()).toHaveLength(256);
  expect(board.events().at(-1)?.endpoint).toBe("e2");
});

const WEIGHTS: readonly (readonly [change: Partial<EndpointChange>, weight: number, isSet: boolean])[] = [
  [{ agentShare: 0.5 }, 0.5, false],
  [{ weight: 7 }, 7, true],
  [{ weight: 0 }, 0, true],
  [{ weight: "configured" }, 0.5, false],
  [{ agentShare: 1 }, 1, false],
];
test("weights are set at run time, 0 too, and given back", () => {
  const { board } = adopted();
  for (const [change, weight, isWeightSet] of WEIGHTS) {
    board.set("app", "e0", change);
    expect(board.state("app", "e0")).toMatchObject({ weight, isWeightSet, state: "up" });
  }
});

test("an ejection for failures in a row ends after as many passed checks as bring an endpoint back", () => {
  const active = { rise: 2 } as UpstreamConfig["health"]["active"];
  const { board, time, state } = adopted({ health: { active, passive: undefined } });
  const ejectedUntilMs = time.nowMs + 60_000;
  board.notePass("app", "e0");
  for (const [name, reason] of [
    ["e0", "failures"],
    ["e1", "latency"],
  ] as const) {
    board.set("app", name, { ejectedUntilMs, reason });
    board.notePass("app", name);
    expect(state(name)).toBe("ejected");
    board.notePass("app", name);
  }
  expect([state("e0"), state("e1")]).toEqual(["warming", "ejected"]);
});

test("a person who says up ends an ejection", () => {
  const { board, time, state } = adopted();
  board.set("app", "e0", { ejectedUntilMs: time.nowMs + 60_000 });
  board.set("app", "e0", { operator: "up" });
  expect(state()).toBe("warming");
});

test("without slow start an endpoint is back at once", () => {
  const { board, state } = adopted({ slowStartMs: 0 });
  board.set("app", "e0", { check: "down" });
  board.set("app", "e0", { check: "up" });
  expect(state()).toBe("up");
});

test("a reload keeps what is known, and an endpoint that is new begins by slow start", () => {
  const { board, state } = makeBoard();
  board.adopt(SLOTS, [upstreamOf(2)]);
  board.set("app", "e0", { operator: "maintenance" });
  board.adopt(SLOTS, [upstreamOf(3)]);
  expect(NAMES.map((name) => state(name))).toEqual(["maintenance", "up", "warming"]);
});

test("an endpoint that leaves leaves nothing", () => {
  const { board, state, memory } = makeBoard();
  board.adopt(SLOTS, [upstreamOf(3)]);
  board.set("app", "e2", { operator: "maintenance", weight: 3 });
  board.adopt(SLOTS, [upstreamOf(2)]);
  expect(memory.subarray(300, 300 + BOARD_WORDS).every((word) => word === 0)).toBe(true);
  expect([state("e2"), board.set("app", "e2", { operator: "up" })]).toEqual([undefined, false]);
  board.adopt(SLOTS, [upstreamOf(3)]);
  expect(state("e2")).toBe("warming");
});

test("a process that takes over clears what is of endpoints that are gone once the one before it is done", () => {
  const old = adopted();
  old.board.set("app", "e2", { operator: "maintenance" });
  const next = makeBoard(old.memory, old.changes);
  next.board.adopt(SLOTS, [upstreamOf(2)]);
  expect(old.state("e2")).toBe("maintenance");
  next.board.adopt(SLOTS, [upstreamOf(2)]);
  next.board.adopt(SLOTS, [upstreamOf(3)]);
  expect(next.state("e2")).toBe("warming");
});

test("an endpoint that is given the series of another begins anew", () => {
  const { board, memory, state } = makeBoard();
  board.adopt(SLOTS, [upstreamOf(2)]);
  memory[300 + BOARD.operator] = 2;
  board.adopt(SLOTS, [upstreamOf(3)]);
  expect(state("e2")).toBe("warming");
});

test("an upstream without active checks forgets what they found", () => {
  const active = { rise: 2 } as UpstreamConfig["health"]["active"];
  const { board, state } = makeBoard();
  board.adopt(SLOTS, [upstreamOf(3, { health: { active, passive: undefined } })]);
  board.set("app", "e0", { check: "down" });
  board.adopt(SLOTS, [upstreamOf(3)]);
  expect(state()).toBe("up");
});

test("an endpoint without a series of its own has no place", () => {
  const { board } = makeBoard();
  board.adopt({ ...SLOTS, [seriesKey("endpoint", "app", "e1")]: 0 }, [upstreamOf(3)]);
  expect(board.standings().map(({ endpoint }) => endpoint)).toEqual(["e0", "e2"]);
  expect(board.set("app", "e1", { operator: "drain" })).toBe(false);
});

test("a process that takes the zone over goes on with it, and the one before writes no more", () => {
  const old = adopted();
  old.board.set("app", "e0", { operator: "maintenance" });
  old.board.set("app", "e1", { ejectedUntilMs: old.time.nowMs + 5000, reason: "error_rate" });
  const next = makeBoard(old.memory, old.changes);
  next.board.adopt(SLOTS, [upstreamOf(3)]);
  expect(next.board.standings().map(({ state, reason }) => `${state} ${reason}`)).toEqual([
    "maintenance operator",
    "ejected error_rate",
    "up none",
  ]);
  expect(next.board.state("app", "e0")?.sinceMs).toBe(old.time.nowMs);
  expect(next.board.events()).toEqual([]);
  old.board.handOver();
  expect(old.board.set("app", "e0", { operator: "up" })).toBe(false);
  expect(next.state("e0")).toBe("maintenance");
});

test("what people have set can be saved and restored where the zone cannot be taken over", () => {
  const { board } = adopted();
  board.set("app", "e0", { operator: "maintenance" });
  board.set("app", "e1", { weight: 0 });
  board.set("app", "e2", { check: "down" });
  const next = adopted();
  next.board.restore(JSON.parse(JSON.stringify(board.save())));
  expect(next.board.standings().map(({ state, weight }) => [state, weight])).toEqual([
    ["maintenance", 1],
    ["up", 0],
    ["up", 1],
  ]);
});

test("a wall clock that is set makes an ejection neither longer nor shorter", () => {
  const { board, time, state } = adopted();
  board.set("app", "e0", { ejectedUntilMs: time.nowMs + 5000 });
  const ejectedAtMs = time.nowMs;
  time.nowMs -= 600_000;
  board.shiftClock(-600_000);
  expect(board.state("app", "e0")?.sinceMs).toBe(ejectedAtMs - 600_000);
  time.nowMs += 4999;
  expect([state("e0"), state("e1")]).toEqual(["ejected", "up"]);
  time.nowMs += 1;
  expect(state()).toBe("warming");
});

test("whoever reads the board sees by one word that it has changed", () => {
  const { board, changes } = adopted();
  const before = changes[0] as number;
  board.set("app", "e0", { weight: 2 });
  expect(changes[0]).toBeGreaterThan(before);
});
