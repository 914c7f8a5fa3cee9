/**
 * Endpoint health: which of an upstream's endpoints are fit for use, as this worker sees it.
 *
 * why    a worker that meets failures stops sending at once, without asking; control then decides for all workers and
 *        writes it on the board (`health/board.table.ts`), which is read here
 * shape  `UpstreamHealth` hears of every attempt and lives as long as the upstream; a `BoardStanding` reads the board for
 *        one version of the configuration
 * rule   what the worker decides by itself holds for OWN_EJECTION_MS: by then control has answered by the board, or has
 *        refused
 * rule   failures in a row are those of the connection and of the protocol; statuses are not, since one request may be
 *        at fault (docs/decisions/0024-passive-health.md). A body that is cut counts in a row of its own: such an
 *        endpoint answers every request, and would never fail in a row otherwise
 * cost   a pick: one word of shared memory and one comparison, until something changes. An attempt: two stores
 */
import type { PassiveHealthConfig } from "../config/config.ts";
import { type Failure, type FailureCode, failureMeaning } from "../core/failure.ts";
import { boardWeight } from "../health/board-weight.ts";
import { mostEjected } from "../health/ejector.ts";
import { boardState, type StateView, stateOf, takesFresh } from "../health/endpoint-state.table.ts";
import { FailureRows } from "../health/passive.ts";
import type { EndpointWatcher } from "../session/endpoint-account.ts";
import type { Exchange } from "../session/exchange.ts";
import { clock } from "../transport/clock.ts";

/** What control has written, as one worker sees it; one object, kept up to date by its owner. */
export interface BoardView {
  /** Control's row of the zone. */
  row: Float64Array;
  /** One word that grows with each change of the board. */
  readonly changes: Float64Array;
  /** ms since the epoch at monotonic 0. */
  epochMs: number;
}

export interface FailingEndpoint {
  readonly upstream: string;
  readonly endpoint: string;
  /** Until when this worker leaves it alone by itself, ms since the epoch. */
  readonly untilMs: number;
  /** What was met last, for people. */
  readonly detail: string;
}

export interface UpstreamHealthOptions {
  readonly upstream: string;
  readonly names: readonly string[];
  /** First words of the endpoints on the board; -1 = no place there. */
  readonly slots: readonly number[];
  readonly passive: PassiveHealthConfig | undefined;
  readonly board: BoardView;
  /** Tells control. */
  readonly report: (failing: FailingEndpoint) => void;
}

/** How long an ejection holds that control has not confirmed: a message and a write take a few ms, a busy process more. */
const OWN_EJECTION_MS = 500;
/** Time alone ends ejections and warms endpoints: how often that is looked at while it goes on. */
const MOVING_LOOK_MS = 20;
/** The same while nothing moves: memory that another processor writes may be seen late, but not for ever. */
const STILL_LOOK_MS = 1000;
/** In how many steps an endpoint becomes warm, at most. */
const WARM_STEPS = 100;

/** Rows of failures of each endpoint: before its answer has begun, and in the middle of it. */
const IN_HEAD = 0;
const IN_BODY = 1;
const ROWS = 2;

/** Failures that speak against the endpoint, not against the request, the client or this process. */
const HEAD_FAILURES: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "connect_refused",
  "connect_timeout",
  "name_unresolved",
  "tls_untrusted",
  "tls_failed",
  "tls_no_h2",
  "upstream_reset",
  "response_timeout",
  "h1_response_head",
  "h1_response_framing",
  "h2_response",
]);
const BODY_FAILURES: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "upstream_cut",
  "h1_response_chunk",
  "h2_response",
]);

export class UpstreamHealth {
  readonly options: UpstreamHealthOptions;
  /** Ejections of this worker's own, ms since the epoch; 0 = none. */
  readonly ownUntilMs: Float64Array;
  /** Grows with each of them. */
  ownChanges = 0;
  readonly #rows: FailureRows | undefined;

  constructor(options: UpstreamHealthOptions) {
    const { names, passive } = options;
    this.options = options;
    this.ownUntilMs = new Float64Array(names.length);
    // one endpoint alone is never left alone
    const isWatching = passive !== undefined && passive.failures > 0 && names.length > 1;
    this.#rows = isWatching ? new FailureRows(names.length * ROWS, passive) : undefined;
  }

  /** Who is to hear of the attempts at an endpoint; undefined when nobody is. */
  watcherOf(index: number): EndpointWatcher | undefined {
    return this.#rows === undefined ? undefined : new FailureWatcher(this, index, this.#rows);
  }

  /** Too many failures in a row: leaves the endpoint alone for now, if that may be, and tells control. */
  failing(index: number, code: FailureCode): void {
    const { upstream, names, slots, board, report } = this.options;
    if (slots[index] === -1) return; // control could not confirm it
    const nowMs = board.epochMs + clock.nowMs;
    if (nowMs < (this.ownUntilMs[index] as number)) return; // told a moment ago
    const untilMs = nowMs + OWN_EJECTION_MS;
    if (this.#mayEject(index, nowMs)) {
      this.ownUntilMs[index] = untilMs;
      this.ownChanges++;
    }
    report({ upstream, endpoint: names[index] as string, untilMs, detail: failureMeaning(code) });
  }

  /** As control will decide (`health/ejector.ts`): not too many, and never the last. */
  #mayEject(index: number, nowMs: number): boolean {
    const { names, slots, passive, board } = this.options;
    const view = { nowMs, slowStartMs: 0 };
    let ejected = 0;
    let usableOthers = 0;
    for (let other = 0; other < names.length; other++) {
      if (other === index) continue;
      const slot = slots[other] as number;
      const state = slot === -1 ? 0 : boardState(board.row, slot, view, this.ownUntilMs[other]);
      if (stateOf(state) === "ejected") ejected++;
      else if (takesFresh(state)) usableOthers++;
    }
    return usableOthers > 0 && ejected < mostEjected(names.length, passive?.maxEjected ?? 0);
  }
}

class FailureWatcher implements EndpointWatcher {
  readonly #health: UpstreamHealth;
  readonly #index: number;
  readonly #rows: FailureRows;

  constructor(health: UpstreamHealth, index: number, rows: FailureRows) {
    this.#health = health;
    this.#index = index;
    this.#rows = rows;
  }

  responded(): void {
    this.#rows.succeeded(this.#index * ROWS + IN_HEAD);
  }

  finished(isComplete: boolean): void {
    if (isComplete) this.#rows.succeeded(this.#index * ROWS + IN_BODY);
  }

  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void {
    const row = wasConnecting ? rowBeforeHead(exchange, failure) : rowOf(exchange, failure);
    if (row === undefined) return;
    if (this.#rows.failed(this.#index * ROWS + row, clock.nowMs)) {
      this.#health.failing(this.#index, failure.code);
    }
  }
}

function rowOf(exchange: Exchange, failure: Failure): number | undefined {
  const { respondedAtMs, sentAtMs } = exchange;
  const hasHead = respondedAtMs > 0 && respondedAtMs >= sentAtMs;
  if (!hasHead) return rowBeforeHead(exchange, failure);
  return BODY_FAILURES.has(failure.code) ? IN_BODY : undefined;
}

function rowBeforeHead({ isRequestComplete }: Exchange, { code }: Failure): number | undefined {
  if (HEAD_FAILURES.has(code)) return IN_HEAD;
  // the client has said all, and the endpoint nothing, for as long as the route allows
  return code === "request_timeout" && isRequestComplete ? IN_HEAD : undefined;
}

export class BoardStanding {
  /** Numbers of states (`health/endpoint-state.table.ts`), by index. */
  readonly states: Uint8Array;
  readonly #weights: Float64Array;
  readonly #health: UpstreamHealth;
  readonly #configured: Float64Array;
  readonly #view: StateView;
  /** Warmth grows in steps: policies compute anew with each other weight. */
  readonly #warmView: StateView;
  readonly #warmStepMs: number;
  #seenChanges = Number.NaN;
  #seenOwn = -1;
  #nextLookMs = 0;

  constructor(health: UpstreamHealth, configuredWeights: readonly number[], slowStartMs: number) {
    this.#health = health;
    this.#configured = Float64Array.from(configuredWeights);
    this.states = new Uint8Array(configuredWeights.length);
    this.#weights = this.#configured.slice();
    this.#view = { nowMs: 0, slowStartMs };
    this.#warmView = { nowMs: 0, slowStartMs };
    this.#warmStepMs = Math.max(MOVING_LOOK_MS, slowStartMs / WARM_STEPS);
    this.look();
  }

  /** Looks again. out  true when something is other than at the last look */
  look(): boolean {
    const { changes } = this.#health.options.board;
    const isSame = changes[0] === this.#seenChanges && this.#health.ownChanges === this.#seenOwn;
    if (isSame && clock.nowMs < this.#nextLookMs) return false;
    this.#seenChanges = changes[0] as number;
    this.#seenOwn = this.#health.ownChanges;
    return this.#read();
  }

  /** Weight that counts now: set at run time or else configured, times slow start. */
  weightOf(index: number): number {
    return this.#weights[index] as number;
  }

  #read(): boolean {
    const { board, slots } = this.#health.options;
    const { ownUntilMs } = this.#health;
    const view = this.#view;
    view.nowMs = board.epochMs + clock.nowMs;
    this.#warmView.nowMs = view.nowMs - (view.nowMs % this.#warmStepMs);
    let hasChanged = false;
    let isMoving = false;
    for (let index = 0; index < slots.length; index++) {
      const slot = slots[index] as number;
      if (slot === -1) continue;
      const state = boardState(board.row, slot, view, ownUntilMs[index]);
      const weight = boardWeight(board.row, slot, this.#configured[index] as number, this.#warmView);
      if (state !== this.states[index] || weight !== this.#weights[index]) hasChanged = true;
      this.states[index] = state;
      this.#weights[index] = weight;
      const name = stateOf(state);
      if (name === "ejected" || name === "warming") isMoving = true;
    }
    this.#nextLookMs = clock.nowMs + (isMoving ? MOVING_LOOK_MS : STILL_LOOK_MS);
    return hasChanged;
  }
}
