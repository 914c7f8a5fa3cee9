import { expect, test } from "bun:test";
import { BOARD, BOARD_WORDS, CHECK, type Check, OPERATOR, type Operator } from "./board.table.ts";
import {
  boardState,
  ENDPOINT_STATES,
  type EndpointState,
  stateNumber,
  stateOf,
  TAKES,
  takesFresh,
  takesInPanic,
  takesSticky,
} from "./endpoint-state.table.ts";

type Row = readonly [Operator, Check, trouble: "" | "ejected" | "warming" | "both", EndpointState];

const ROWS: readonly Row[] = [
  ["up", "unchecked", "", "up"],
  ["up", "up", "", "up"],
  ["up", "down", "", "down"],
  ["up", "up", "ejected", "ejected"],
  ["up", "down", "ejected", "down"],
  ["up", "up", "warming", "warming"],
  ["up", "up", "both", "ejected"],
  ["up", "unchecked", "warming", "warming"],
  ["up", "down", "warming", "down"],
  ["drain", "up", "", "draining"],
  ["drain", "unchecked", "warming", "draining"],
  ["drain", "up", "ejected", "ejected"],
  ["drain", "down", "", "down"],
  ["maintenance", "up", "", "maintenance"],
  ["maintenance", "down", "both", "maintenance"],
];

for (const [operator, check, trouble, state] of ROWS) {
  test(`operator ${operator}, check ${check}${trouble === "" ? "" : `, ${trouble}`}: ${state}`, () => {
    const isEjected = trouble === "ejected" || trouble === "both";
    const isWarming = trouble === "warming" || trouble === "both";
    const number = stateNumber(OPERATOR.indexOf(operator), CHECK.indexOf(check), isEjected, isWarming);
    expect(stateOf(number)).toBe(state);
  });
}

test("what a state takes by its number is what the table says", () => {
  for (const [number, state] of ENDPOINT_STATES.entries()) {
    const takes = { fresh: takesFresh(number), sticky: takesSticky(number), panic: takesInPanic(number) };
    expect(takes).toEqual(TAKES[state]);
  }
});

test("no state takes fresh requests but not its own sessions", () => {
  for (const state of ENDPOINT_STATES) expect(!TAKES[state].fresh || TAKES[state].sticky).toBe(true);
});

test("a number that no state has takes nothing", () => {
  expect([takesFresh(99), takesSticky(99), takesInPanic(99)]).toEqual([false, false, false]);
});

const NOW_MS = 1_800_000_000_000;
const stateWith = (words: Partial<Record<keyof typeof BOARD, number>>, slowStartMs = 0, ownUntilMs = 0) => {
  const board = new Float64Array(BOARD_WORDS * 2);
  for (const [word, value] of Object.entries(words)) {
    board[BOARD_WORDS + BOARD[word as keyof typeof BOARD]] = value;
  }
  return stateOf(boardState(board, BOARD_WORDS, { nowMs: NOW_MS, slowStartMs }, ownUntilMs));
};

const BOARD_ROWS: readonly (readonly [string, EndpointState, EndpointState])[] = [
  ["an empty board is up", stateWith({}), "up"],
  ["ejected until later", stateWith({ ejectedUntilMs: NOW_MS + 1 }), "ejected"],
  ["an ejection ends at its instant", stateWith({ ejectedUntilMs: NOW_MS }), "up"],
  ["a worker's own ejection counts beside", stateWith({}, 0, NOW_MS + 1), "ejected"],
  ["warming inside of slow start", stateWith({ warmFromMs: NOW_MS - 999 }, 1000), "warming"],
  ["warm at its end", stateWith({ warmFromMs: NOW_MS - 1000 }, 1000), "up"],
  ["without slow start nothing warms", stateWith({ warmFromMs: NOW_MS - 1 }), "up"],
  ["what the agent asks for counts", stateWith({ agent: 1 }), "draining"],
  ["of operator and agent the stricter counts", stateWith({ operator: 2, agent: 1 }), "maintenance"],
  ["a failed check", stateWith({ check: 2 }), "down"],
];

for (const [rule, got, wanted] of BOARD_ROWS) {
  test(`on the board: ${rule}`, () => {
    expect(got).toBe(wanted);
  });
}
