/**
 * Board weight: how much does an endpoint take, by what is configured and what the board says?
 *
 * rule   a person's weight replaces the configured one and what the agent asks for; the agent's share is a part of
 *        the configured one; slow start takes its part of whatever results
 */
import { BOARD } from "./board.table.ts";
import type { StateView } from "./endpoint-state.table.ts";
import { warmFactor } from "./slow-start.ts";

/** Weight without slow start. */
export function baseWeight(board: Float64Array, slot: number, configured: number): number {
  const set = board[slot + BOARD.weight] as number;
  if (set !== 0) return Math.max(0, set); // -1 stands for a weight of 0
  const share = board[slot + BOARD.agentShare] as number;
  return share === 0 ? configured : configured * share;
}

/** Weight that counts now. */
export function boardWeight(board: Float64Array, slot: number, configured: number, view: StateView): number {
  const weight = baseWeight(board, slot, configured);
  const warmFromMs = board[slot + BOARD.warmFromMs] as number;
  return warmFromMs === 0 ? weight : weight * warmFactor(view.nowMs - warmFromMs, view.slowStartMs);
}
