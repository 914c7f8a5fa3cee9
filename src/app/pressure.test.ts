import { expect, test } from "bun:test";
import { SHED_NUMBER } from "../limit/shedding.ts";
import { LOOK_MS, Pressure, WORKER_RULES } from "./pressure.ts";

const { high, normal, low } = SHED_NUMBER;

/** Looks that come `lateMs` late, as a busy loop lets them, with requests of all priorities in between. */
function looks(pressure: Pressure, lateMs: readonly number[], from = 0): number {
  let nowMs = from;
  for (const late of lateMs) {
    for (const priority of [high, normal, low]) pressure.admits(priority, 0.5);
    nowMs += LOOK_MS + late;
    pressure.look(nowMs);
  }
  return nowMs;
}

function made(memoryShare = 0): { pressure: Pressure; levels: number[] } {
  const levels: number[] = [];
  const judged = (level: number) => void levels.push(level);
  const pressure = new Pressure({ memoryShare: () => memoryShare, judged });
  return { pressure, levels };
}

const admitted = (pressure: Pressure, chance = 0.5) =>
  [high, normal, low].map((one) => pressure.admits(one, chance));

test("a loop that is always late sheds the lowest priority first, and lets go when it is in time again", () => {
  const { pressure, levels } = made();
  const late = WORKER_RULES.loopLagMs * 3;
  let nowMs = looks(pressure, [0, 0, late, late, late, late]);
  expect(admitted(pressure)).toEqual([true, true, false]);
  expect(levels.at(-1)).toBeGreaterThan(0);
  nowMs = looks(pressure, Array<number>(100).fill(0), nowMs);
  expect(admitted(pressure)).toEqual([true, true, true]);
  expect(levels.at(-1)).toBe(0);
});

test("a late loop leaves half of `normal`, and turns nobody away where no higher priority asks", () => {
  const { pressure } = made();
  const late = Array<number>(60).fill(WORKER_RULES.loopLagMs * 3);
  looks(pressure, late);
  expect(admitted(pressure, 0.6)).toEqual([true, false, false]);
  expect(admitted(pressure, 0.4)).toEqual([true, true, false]);
  const alone = made().pressure;
  let nowMs = 0;
  for (const lateMs of late) {
    alone.admits(normal, 0.5);
    nowMs += LOOK_MS + lateMs;
    alone.look(nowMs);
  }
  expect([alone.admits(normal, 0.99), alone.shedder.level > 0]).toEqual([true, true]);
});

test("one long pause is no overload", () => {
  const { pressure, levels } = made();
  looks(pressure, [0, 0, 500, 0, 0, 500, 0, 0]);
  expect(Math.max(...levels)).toBe(0);
});

test("buffers near their ceiling shed before the newest of all has to be refused", () => {
  const { pressure } = made(0.95);
  looks(pressure, Array<number>(40).fill(0));
  expect(admitted(pressure)).toEqual([true, true, false]);
});
