import { afterEach, expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { passiveWith, testUpstream } from "../../tests/support/test-upstream.ts";
import { fail } from "../core/failure.ts";
import { BOARD } from "../health/board.table.ts";
import { stateOf } from "../health/endpoint-state.table.ts";
import { ENDPOINT } from "../observe/metrics.table.ts";
import { seriesKey, sharedKey } from "../observe/series.ts";
import { CONTROL_ROW, Zone } from "../zone/zone.ts";
import { UpstreamStates } from "./upstream-states.ts";

let zone: Zone | undefined;
afterEach(() => {
  zone?.remove();
  zone = undefined;
});

const SLOTS = [1, 2].map((block) => block * ENDPOINT.slots);
const SERIES = {
  [sharedKey("endpoint")]: 0,
  [seriesKey("endpoint", "app", "e0")]: SLOTS[0] as number,
  [seriesKey("endpoint", "app", "e1")]: SLOTS[1] as number,
};
const UPSTREAM = testUpstream([{}, {}], {
  health: { active: undefined, passive: passiveWith({ failures: 2 }) },
});

function stage() {
  zone = Zone.create();
  const reported: string[] = [];
  const states = new UpstreamStates(zone, ({ endpoint }) => reported.push(endpoint));
  const bringIn = (upstream = UPSTREAM, slots: readonly number[] = SLOTS) => {
    states.prepare(SERIES);
    const standing = states.standingOf(upstream, slots);
    states.commit();
    return standing;
  };
  return { states, reported, bringIn, row: zone.row(CONTROL_ROW, 4 * ENDPOINT.slots), zone };
}

test("what control writes is where the worker reads", () => {
  const {
    bringIn,
    row,
    zone: { boardChanges },
  } = stage();
  const standing = bringIn();
  row[(SLOTS[1] as number) + BOARD.operator] = 2;
  boardChanges[0] = 1;
  expect([standing.look(), ...[...standing.states].map(stateOf)]).toEqual([true, "up", "maintenance"]);
});

test("failures in a row are remembered over a reload that leaves the upstream alone, and not over another", () => {
  const { states, bringIn, reported } = stage();
  const failOnce = () =>
    states.of("app")?.watcherOf(0)?.failed(fakeExchange().exchange, fail("connect_refused"), true);
  bringIn();
  failOnce();
  bringIn();
  failOnce();
  expect(reported).toEqual(["e0"]);
  bringIn({ ...UPSTREAM, health: { active: undefined, passive: passiveWith({ failures: 3 }) } });
  failOnce();
  failOnce();
  expect(reported).toEqual(["e0"]);
});

test("a version that is abandoned changes nothing", () => {
  const { states, bringIn } = stage();
  bringIn();
  const before = states.of("app");
  states.prepare(SERIES);
  states.standingOf(testUpstream([{}]), SLOTS.slice(0, 1));
  expect(states.of("app")).toBe(before as never);
});

test("endpoints that share a series, because the zone is full, have no place on the board", () => {
  const {
    bringIn,
    row,
    zone: { boardChanges },
  } = stage();
  const standing = bringIn(UPSTREAM, [0, SLOTS[1] as number]);
  row[BOARD.operator] = 2;
  boardChanges[0] = 1;
  standing.look();
  expect([...standing.states].map(stateOf)).toEqual(["up", "up"]);
});

test("a budget of repeats is kept over reloads, one for each share, and forgotten with its routes", () => {
  const { states } = stage();
  const load = (...shares: number[]) => {
    states.prepare(SERIES);
    const budgets = shares.map((share) => states.budgetOf("app", share));
    states.commit();
    return budgets;
  };
  const [first, again] = load(0.2, 0.2);
  expect(again).toBe(first as never);
  const [kept, other] = load(0.2, 0.1);
  expect(kept).toBe(first as never);
  expect(other).not.toBe(first as never);
  load();
  expect(load(0.2)[0]).not.toBe(first as never);
});

test("a version that was only prepared takes no budget away", () => {
  const { states } = stage();
  states.prepare(SERIES);
  const budget = states.budgetOf("app", 0.2);
  states.commit();
  states.prepare(SERIES);
  states.prepare(SERIES);
  expect(states.budgetOf("app", 0.2)).toBe(budget);
});
