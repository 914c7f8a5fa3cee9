import { expect, test } from "bun:test";
import { passiveWith, testUpstream } from "../../tests/support/test-upstream.ts";
import type { PassiveHealthConfig } from "../config/config.ts";
import { observe } from "../observe/histogram.ts";
import { ENDPOINT } from "../observe/metrics.table.ts";
import { seriesKey, sharedKey } from "../observe/series.ts";
import { Ejections } from "./ejections.ts";
import { EndpointBoard } from "./endpoint-board.ts";

const COUNT = 4;
const slotOf = (index: number) => (index + 1) * ENDPOINT.slots;
const SLOTS = {
  [sharedKey("endpoint")]: 0,
  ...Object.fromEntries(
    Array.from({ length: COUNT }, (_, index) => [seriesKey("endpoint", "app", `e${index}`), slotOf(index)]),
  ),
};

function stage(passive: Partial<PassiveHealthConfig> = {}, count = COUNT) {
  const time = { nowMs: 1_000_000 };
  const logged: string[] = [];
  const memory = new Float64Array(ENDPOINT.slots * (COUNT + 2));
  const rows = [0, 1].map(() => new Float64Array(ENDPOINT.slots * (COUNT + 2)));
  const log = (_level: string, _area: string, text: string) => void logged.push(text);
  const nowMs = () => time.nowMs;
  const board = new EndpointBoard({
    rowOf: (slots) => memory.subarray(0, slots),
    changes: new Float64Array(1),
    log,
    nowMs,
  });
  const ejections = new Ejections({ board, rows: () => rows, log, nowMs });
  const health = { active: undefined, passive: passiveWith(passive) };
  const upstream = testUpstream(new Array(count).fill({}), { health });
  const adopt = (upstreams = [upstream]) => {
    board.adopt(SLOTS, upstreams);
    ejections.adopt(SLOTS, upstreams);
  };
  adopt();
  const states = () => board.standings().map(({ state }) => state);
  /** One second passes, in which each endpoint got so many requests, from both workers together. */
  const second = (serve: (index: number) => { requests: number; errors?: number; ms?: number }) => {
    time.nowMs += 1000;
    for (let index = 0; index < count; index++) {
      const { requests, errors = 0, ms = 2 } = serve(index);
      count1(rows[index % 2] as Float64Array, slotOf(index), { requests, errors, ms });
    }
    board.look();
    ejections.look();
  };
  return { board, ejections, time, logged, states, second, adopt, upstream };
}

function count1(
  row: Float64Array,
  slot: number,
  { requests, errors, ms }: { requests: number; errors: number; ms: number },
) {
  row[slot + ENDPOINT.at.requests] = (row[slot + ENDPOINT.at.requests] as number) + requests;
  row[slot + ENDPOINT.at.status5xx] = (row[slot + ENDPOINT.at.status5xx] as number) + errors;
  for (let request = 0; request < requests; request++) observe(row, slot + ENDPOINT.at.firstByte, ms);
}

test("what a worker reports ejects for all, with what it met", () => {
  const { ejections, board, states, time } = stage();
  ejections.failing("app", "e1", "the endpoint refused the connection");
  expect(states()).toEqual(["up", "ejected", "up", "up"]);
  expect(board.state("app", "e1")).toMatchObject({
    reason: "failures",
    detail: "the endpoint refused the connection",
    ejectedUntilMs: time.nowMs + 1000,
  });
});

test("several workers that report the same endpoint eject it once", () => {
  const { ejections, board, time } = stage();
  ejections.failing("app", "e1", "");
  time.nowMs += 300;
  ejections.failing("app", "e1", "");
  expect(board.state("app", "e1")?.ejectedUntilMs).toBe(1_001_000);
});

test("no more than maxEjected are out, which is told once a minute", () => {
  const { ejections, states, logged, time } = stage({ maxEjected: 0.5 });
  for (const name of ["e0", "e1", "e2", "e3", "e2"]) ejections.failing("app", name, "");
  expect(states()).toEqual(["ejected", "ejected", "up", "up"]);
  const refused = () => logged.filter((text) => text.includes("but goes on"));
  expect(refused()).toHaveLength(1);
  time.nowMs += 60_000;
  ejections.failing("app", "e0", "");
  ejections.failing("app", "e1", "");
  ejections.failing("app", "e3", "");
  expect(refused()).toHaveLength(2);
});

test("the last endpoint that is usable is not ejected, whoever took out the others", () => {
  const { ejections, board, states } = stage({ maxEjected: 1 });
  board.set("app", "e0", { operator: "maintenance" });
  board.set("app", "e1", { check: "down" });
  board.set("app", "e2", { operator: "drain" });
  ejections.failing("app", "e3", "");
  expect(states()).toEqual(["maintenance", "down", "draining", "up"]);
});

test("each ejection soon after the last is longer", () => {
  const { ejections, board, time } = stage();
  const lengths: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    ejections.failing("app", "e0", "");
    const untilMs = board.state("app", "e0")?.ejectedUntilMs ?? 0;
    lengths.push(untilMs - time.nowMs);
    time.nowMs = untilMs + 1;
    board.look();
  }
  expect(lengths).toEqual([1000, 2000, 3000]);
});

test("an ejection that a check or a person ends may be followed by another, which is longer", () => {
  const { ejections, board, time } = stage();
  ejections.failing("app", "e0", "");
  board.set("app", "e0", { operator: "up" });
  time.nowMs += 100;
  ejections.failing("app", "e0", "");
  expect(board.state("app", "e0")?.ejectedUntilMs).toBe(time.nowMs + 2000);
});

test("an endpoint that fails more than the others is ejected, and says how much", () => {
  const { second, states, board } = stage({ failures: 0, errorRate: 0.3, ejectMs: 30_000 });
  for (let turn = 0; turn < 3; turn++) second((index) => ({ requests: 200, errors: index === 2 ? 120 : 1 }));
  expect(states()).toEqual(["up", "up", "ejected", "up"]);
  expect(board.state("app", "e2")).toMatchObject({ reason: "error_rate", detail: "60 % of 200 requests" });
});

test("an endpoint that is slower than the others is ejected within three seconds", () => {
  const { second, states, board } = stage({
    failures: 0,
    latencyFactor: 3,
    windowMs: 30_000,
    ejectMs: 30_000,
  });
  for (let turn = 0; turn < 40; turn++) second(() => ({ requests: 100 }));
  expect(states()).toEqual(["up", "up", "up", "up"]);
  for (let turn = 0; turn < 3; turn++) second((index) => ({ requests: 100, ms: index === 1 ? 100 : 2 }));
  expect(states()).toEqual(["up", "ejected", "up", "up"]);
  expect(board.state("app", "e1")?.reason).toBe("latency");
});

test("few requests are judged over the whole window", () => {
  const { second, states } = stage({ failures: 0, errorRate: 0.3, windowMs: 10_000, ejectMs: 30_000 });
  for (let turn = 0; turn < 8; turn++) second((index) => ({ requests: 4, errors: index === 0 ? 4 : 0 }));
  expect(states()).toEqual(["ejected", "up", "up", "up"]);
});

test("what an endpoint did before it was ejected does not eject it again", () => {
  const { second, states, time } = stage({ failures: 0, errorRate: 0.3, windowMs: 60_000, ejectMs: 2000 });
  for (let turn = 0; turn < 3; turn++) second((index) => ({ requests: 200, errors: index === 2 ? 200 : 0 }));
  expect(states()[2]).toBe("ejected");
  time.nowMs += 2000;
  for (let turn = 0; turn < 12; turn++) {
    second(() => ({ requests: 200 }));
    expect(states()[2]).toBe("up");
  }
});

test("statuses and latencies eject nobody unless that is asked for", () => {
  const { second, states } = stage();
  for (let turn = 0; turn < 5; turn++) {
    second((index) => (index === 0 ? { requests: 500, errors: 500, ms: 900 } : { requests: 500 }));
  }
  expect(states()).toEqual(["up", "up", "up", "up"]);
});

test("a reload keeps how often an endpoint was ejected, and ends nothing", () => {
  const { ejections, board, adopt, upstream, time } = stage();
  ejections.failing("app", "e1", "");
  adopt([{ ...upstream, endpoints: upstream.endpoints.slice(1) }]);
  expect(board.state("app", "e1")?.state).toBe("ejected");
  time.nowMs += 1001;
  ejections.failing("app", "e1", "");
  expect(board.state("app", "e1")?.ejectedUntilMs).toBe(time.nowMs + 2000);
});

test("reports about endpoints and upstreams that are gone are of no account", () => {
  const { ejections, states, adopt } = stage();
  ejections.failing("app", "e9", "");
  ejections.failing("other", "e0", "");
  adopt([testUpstream(new Array(COUNT).fill({}))]);
  ejections.failing("app", "e0", "");
  expect(states()).toEqual(["up", "up", "up", "up"]);
});
