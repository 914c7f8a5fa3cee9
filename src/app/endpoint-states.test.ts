import { describe, expect, test } from "bun:test";
import { testUpstream } from "../../tests/support/test-upstream.ts";
import { EndpointBoard } from "../control/endpoint-board.ts";
import { seriesKey } from "../observe/series.ts";
import { eventRow, setEndpoint, standingMetrics, standingStatus } from "./endpoint-states.ts";

const SLOW_START_MS = 10_000;
const AT = Date.parse("2026-02-01T00:00:00.000Z");

function setUp() {
  const upstream = testUpstream([{}], { slowStartMs: SLOW_START_MS });
  const [endpoint] = upstream.endpoints;
  if (endpoint === undefined) throw new Error("there is one");
  const name = { upstream: upstream.name, endpoint: endpoint.name };
  const time = { nowMs: AT };
  const lines: string[] = [];
  const log = (level: string, area: string, text: string) => void lines.push(`${level} ${area} ${text}`);
  const memory = new Float64Array(1000);
  const rowOf = (slots: number) => memory.subarray(0, slots);
  const board = new EndpointBoard({ rowOf, changes: new Float64Array(1), log, nowMs: () => time.nowMs });
  board.adopt({ [seriesKey("endpoint", name.upstream, name.endpoint)]: 100 }, [upstream]);
  const status = () => standingStatus(board.state(name.upstream, name.endpoint), endpoint);
  const wish = (what: Parameters<typeof setEndpoint>[2]) => setEndpoint(board, name, what, log);
  return { board, name, time, lines, status, wish, full: `${name.upstream} ${name.endpoint}`, endpoint };
}

describe("what a person sets", () => {
  test("is the state, with the note as its reason, and a line in the log", () => {
    const { status, wish, lines, full } = setUp();
    expect(wish({ state: "drain", note: "new disk" })).toBe(true);
    expect(status()).toMatchObject({
      state: "draining",
      operator: "drain",
      reason: "operator",
      why: "set by an operator: new disk",
      since: "2026-02-01T00:00:00.000Z",
    });
    expect(lines).toEqual([`info health ${full} is draining, was up: set by an operator: new disk`]);
  });

  test("a weight alone is logged, and leaves state, note and since as they are", () => {
    const { status, wish, lines, full, time } = setUp();
    wish({ state: "maintenance", note: "new disk" });
    time.nowMs += 60_000;
    wish({ weight: 0 });
    expect(status()).toMatchObject({
      state: "maintenance",
      why: "set by an operator: new disk",
      since: "2026-02-01T00:00:00.000Z",
      weight: 0,
      isWeightSet: true,
    });
    expect(lines.at(-1)).toBe(`info health ${full} has weight 0: set by an operator`);
    wish({ weight: "configured" });
    expect(status()).toMatchObject({ weight: 1, isWeightSet: false, why: "set by an operator: new disk" });
    expect(lines.at(-1)).toBe(`info health ${full} has its configured weight again, 1: set by an operator`);
  });

  test("a note of before does not stand beside a later state", () => {
    const { status, wish } = setUp();
    wish({ state: "drain", note: "new disk" });
    wish({ state: "maintenance" });
    expect(status().why).toBe("set by an operator");
  });

  test("nothing is set, and nothing said, when another process is in charge", () => {
    const { board, wish, lines, status } = setUp();
    board.handOver();
    expect(wish({ state: "drain", weight: 7 })).toBe(false);
    expect([lines, status().state, status().weight]).toEqual([[], "up", 1]);
  });
});

test("an endpoint without a place on the board is up, with the weight of the configuration", () => {
  const { endpoint } = setUp();
  expect(standingStatus(undefined, { ...endpoint, weight: 3 })).toMatchObject({
    state: "up",
    weight: 3,
    since: undefined,
    why: "",
  });
});

test("an event tells from, to, when and why", () => {
  const { board, wish, name } = setUp();
  wish({ state: "drain", note: "new disk" });
  expect(board.events().map(eventRow)).toEqual([
    {
      at: "2026-02-01T00:00:00.000Z",
      ...name,
      from: "up",
      to: "draining",
      reason: "operator",
      why: "set by an operator: new disk",
    },
  ]);
});

test("metrics show the weight that counts in slow start, and how often the state has changed", () => {
  const { board, wish, time } = setUp();
  wish({ state: "maintenance" });
  wish({ state: "up", weight: 10 });
  time.nowMs += SLOW_START_MS / 2;
  const value = (name: string) =>
    standingMetrics(board.standings()).find(({ row }) => row.name === name)?.samples[0]?.value;
  expect(value("weir_upstream_endpoint_weight")).toBeGreaterThan(0);
  expect(value("weir_upstream_endpoint_weight")).toBeLessThan(10);
  expect(value("weir_upstream_endpoint_transitions_total")).toBe(2);
});
