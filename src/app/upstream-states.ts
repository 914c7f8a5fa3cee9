/**
 * Upstream states: what a worker has learnt about upstreams, kept over reloads.
 *
 * rule   kept by the upstream's name while it has the same endpoints and the same rules; otherwise it begins anew, which
 *        forgets a few failures in a row and nothing else: what counts for long is on control's board
 * shape  `prepare` makes what a version needs beside what is in force, `commit` puts it there
 */
import type { UpstreamConfig } from "../config/config.ts";
import { BOARD_WORDS } from "../health/board.table.ts";
import type { RetryBudget } from "../limit/budget.ts";
import { type SlotMap, sharedKey } from "../observe/series.ts";
import {
  BoardStanding,
  type BoardView,
  type FailingEndpoint,
  UpstreamHealth,
} from "../pipeline/endpoint-health.ts";
import { newBudget } from "../pipeline/retry-rules.ts";
import { CONTROL_ROW, type Zone } from "../zone/zone.ts";

export class UpstreamStates {
  readonly #zone: Zone;
  readonly #board: BoardView;
  readonly #report: (failing: FailingEndpoint) => void;
  #healths = new Map<string, UpstreamHealth>();
  #prepared = new Map<string, UpstreamHealth>();
  /** Of repeats, by share and upstream. */
  #budgets = new Map<string, RetryBudget>();
  #preparedBudgets = new Map<string, RetryBudget>();
  #sharedSlot = -1;

  constructor(zone: Zone, report: (failing: FailingEndpoint) => void) {
    this.#zone = zone;
    this.#report = report;
    this.#board = { row: zone.row(CONTROL_ROW, BOARD_WORDS), changes: zone.boardChanges, epochMs: 0 };
    this.setClock();
  }

  /** The wall clock may have been set. */
  setClock(): void {
    this.#board.epochMs = Date.now() - performance.now();
  }

  /** A version is about to be compiled. */
  prepare(slots: SlotMap): void {
    this.#prepared = new Map();
    this.#preparedBudgets = new Map();
    this.#sharedSlot = slots[sharedKey("endpoint")] ?? -1;
    const last = Object.values(slots).reduce((most, slot) => Math.max(most, slot), 0);
    const needed = last + BOARD_WORDS;
    if (needed > this.#board.row.length) this.#board.row = this.#zone.row(CONTROL_ROW, needed * 2);
  }

  /** Where the endpoints of an upstream stand, for the version that is being compiled. */
  standingOf(upstream: UpstreamConfig, seriesSlots: readonly number[]): BoardStanding {
    const slots = seriesSlots.map((slot) => (slot === this.#sharedSlot ? -1 : slot));
    const health = this.#healthOf(upstream, slots);
    this.#prepared.set(upstream.name, health);
    const weights = upstream.endpoints.map(({ weight }) => weight);
    return new BoardStanding(health, weights, upstream.slowStartMs);
  }

  #healthOf(upstream: UpstreamConfig, slots: readonly number[]): UpstreamHealth {
    const names = upstream.endpoints.map(({ name }) => name);
    const { passive } = upstream.health;
    const known = this.#healths.get(upstream.name);
    const textOf = (of: object) => JSON.stringify(of);
    if (known !== undefined) {
      const { options } = known;
      const before = textOf([options.names, options.slots, options.passive]);
      if (before === textOf([names, slots, passive])) return known;
    }
    const board = this.#board;
    return new UpstreamHealth({
      upstream: upstream.name,
      names,
      slots,
      passive,
      board,
      report: this.#report,
    });
  }

  /** Routes that give an upstream's repeats the same share have one budget together, which a reload does not fill up. */
  budgetOf(upstream: string, share: number): RetryBudget {
    const key = `${share} ${upstream}`;
    const budget = this.#preparedBudgets.get(key) ?? this.#budgets.get(key) ?? newBudget(upstream, share);
    this.#preparedBudgets.set(key, budget);
    return budget;
  }

  commit(): void {
    this.#healths = this.#prepared;
    this.#budgets = this.#preparedBudgets;
  }

  /** In force; undefined for an upstream that is not. */
  of(upstream: string): UpstreamHealth | undefined {
    return this.#healths.get(upstream);
  }
}
