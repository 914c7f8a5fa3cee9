import { expect, test } from "bun:test";
import { Chance } from "../../tests/laws/chance.ts";
import { type CheckRules, CheckState, firstCheckAtMs, jittered, type Verdict } from "./check-state.ts";

const RULES: CheckRules = {
  intervalMs: 5000,
  fastIntervalMs: 1000,
  jitter: 0.1,
  rise: 2,
  fall: 3,
  initial: "up",
};
/** Verdict after each result; `+` success, `-` failure; the answer of `note` as upper case. */
const story = (initial: Verdict, results: string) => {
  const state = new CheckState({ ...RULES, initial });
  return [...results].map((result) => {
    const hasChanged = state.note(result === "+");
    const letter = state.verdict[0] as string;
    return hasChanged ? letter.toUpperCase() : letter;
  });
};

const STORIES: readonly (readonly [Verdict, results: string, verdicts: string, rule: string])[] = [
  ["up", "+++", "uuu", "success changes nothing"],
  ["up", "---", "uuD", "three failures in a row take it down"],
  ["up", "--+--+--", "uuuuuuuu", "failures that are not in a row do not add up"],
  ["down", "++", "dU", "two successes in a row bring it back"],
  ["down", "+-+-+", "ddddd", "successes that are not in a row do not"],
  ["up", "---++---", "uuDdUuuD", "down and up and down again"],
  ["unknown", "+", "U", "the first success settles what was unknown"],
  ["unknown", "-", "D", "and so does the first failure"],
  ["unknown", "-++", "DdU", "from then on rise and fall count"],
];
for (const [initial, results, verdicts, rule] of STORIES) {
  test(`from ${initial}, ${results}: ${rule}`, () => {
    expect(story(initial, results).join("")).toBe(verdicts);
  });
}

test("an endpoint that was down before this process began is down in it", () => {
  expect(new CheckState(RULES, "down").verdict).toBe("down");
});

test("checks are fast while the verdict is about to change, and only then", () => {
  const state = new CheckState(RULES);
  const next = () => state.nextAtMs(0, 0, 0.5);
  next();
  expect(next()).toBe(5000);
  state.note(false);
  expect([state.isChanging, next()]).toEqual([true, 1000]);
  state.note(false);
  expect(next()).toBe(1000);
  state.note(false);
  expect([state.verdict, state.isChanging, next()]).toEqual(["down", false, 5000]);
});

test("a result that came after the next check was due has it done at once", () => {
  const state = new CheckState(RULES);
  state.note(false);
  expect(state.nextAtMs(100, 9000, 0.5)).toBe(9000);
});

test("jitter stays within its part, and adds no checks on average", () => {
  expect([jittered(1000, 0.1, 0), jittered(1000, 0.1, 0.5), jittered(1000, 0, 0.9)]).toEqual([
    900, 1000, 1000,
  ]);
  expect(jittered(1000, 0.1, 0.999_999)).toBeCloseTo(1100, 2);
});

test("without a jitter in the rules it is a tenth", () => {
  const { jitter: _, ...rules } = RULES;
  const state = new CheckState(rules);
  state.nextAtMs(0, 0, 0);
  expect(state.nextAtMs(0, 0, 0)).toBe(4500);
});

test("first checks come within a fast interval, evenly; later ones lie anywhere in the interval", () => {
  const chance = new Chance(4);
  const COUNT = 1000;
  const states = Array.from({ length: COUNT }, () => new CheckState(RULES));
  const firstMs = states.map((_, index) =>
    firstCheckAtMs(0, RULES, { index, count: COUNT, chance: chance.next() }),
  );
  for (const [index, atMs] of firstMs.entries()) {
    expect(atMs).toBeGreaterThanOrEqual(index);
    expect(atMs).toBeLessThan(index + 1);
  }
  const dueMs = [...firstMs];
  const perSecond = new Array<number>(60).fill(0);
  for (let round = 0; round < 14; round++) {
    for (const [index, state] of states.entries()) {
      const atMs = dueMs[index] as number;
      const second = Math.floor(atMs / 1000);
      if (second < perSecond.length) perSecond[second] = (perSecond[second] ?? 0) + 1;
      state.note(true);
      dueMs[index] = state.nextAtMs(atMs, atMs + 1, chance.next());
    }
  }
  // 1,000 endpoints at 5 s: 200 a second.
  const settled = perSecond.slice(15, 50);
  expect(Math.max(...settled)).toBeLessThan(300);
  expect(Math.min(...settled)).toBeGreaterThan(120);
});
