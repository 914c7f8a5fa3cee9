import { expect, test } from "bun:test";
import { BOARD, BOARD_WORDS } from "./board.table.ts";
import { baseWeight, boardWeight } from "./board-weight.ts";

const ROWS: readonly (readonly [
  rule: string,
  words: Partial<Record<keyof typeof BOARD, number>>,
  base: number,
  now: number,
])[] = [
  ["an empty board leaves the configured weight", {}, 4, 4],
  ["a person's weight replaces it", { weight: 10 }, 10, 10],
  ["a person's weight of 0 is written as -1", { weight: -1 }, 0, 0],
  ["an agent takes a part of the configured weight", { agentShare: 0.25 }, 1, 1],
  ["a person's weight stands above the agent's", { weight: 10, agentShare: 0.25 }, 10, 10],
  ["slow start takes its part of either", { weight: 10, warmFromMs: 5000 }, 10, 5],
  ["slow start that begins later counts as its beginning", { warmFromMs: 9000 }, 4, 0.4],
  ["slow start that is over takes nothing", { warmFromMs: 1000 }, 4, 4],
];
for (const [rule, words, base, now] of ROWS) {
  test(rule, () => {
    const board = new Float64Array(BOARD_WORDS * 2);
    for (const [word, value] of Object.entries(words)) {
      board[BOARD_WORDS + BOARD[word as keyof typeof BOARD]] = value;
    }
    expect(baseWeight(board, BOARD_WORDS, 4)).toBe(base);
    expect(boardWeight(board, BOARD_WORDS, 4, { nowMs: 7000, slowStartMs: 4000 })).toBeCloseTo(now, 10);
  });
}
