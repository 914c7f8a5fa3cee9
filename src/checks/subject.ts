/**
 * Subject: one endpoint under observation: when it is asked next, and what its answers mean.
 *
 * rule   one check at a time; the next is due by the beginning of the last, so that slow answers do not make checks rarer
 * rule   until the first answer the endpoint is what `initial` says, and the first answer decides alone; after that
 *        `rise` and `fall` count. An agent's word holds at once
 * rule   what the board knows already is believed: a reload or a new process begins no endpoint anew
 * rule   a failure that comes far too late says that this process was held up, not what the endpoint did: it is dropped
 */

import type { ActiveHealthConfig } from "../config/config.ts";
import type { EndpointBoard } from "../control/endpoint-board.ts";
import { CheckState, type FirstCheck, firstCheckAtMs, type Verdict } from "../health/check-state.ts";
import type { CheckPlan } from "./asker.ts";
import { type AgentAnswer, type CheckOutcome, failed } from "./outcome.ts";
import type { Turns } from "./turns.ts";

export type CheckBoard = Pick<EndpointBoard, "state" | "set" | "notePass">;

export interface SubjectServices {
  readonly board: CheckBoard;
  readonly ask: (plan: CheckPlan, signal: AbortSignal) => Promise<CheckOutcome>;
  readonly turns: Turns;
  /** Monotonic: a clock that is set must neither hurry checks nor hold them up. */
  readonly nowMs: () => number;
  /** Starts a timer and returns what stops it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  readonly random: () => number;
}

/** What has been counted of an endpoint's checks. */
export interface CheckCounts {
  passed: number;
  failed: number;
  /** How long the last one took. */
  lastMs: number;
}

/** Beyond two time-outs (`asker.ts`). */
const HELD_UP_MS = 1000;
/** Everything is as configured. */
const NO_WISH: AgentAnswer = { isUp: true, wish: "up", share: 1 };

export class Subject {
  readonly plan: CheckPlan;
  readonly counts: CheckCounts;
  readonly #services: SubjectServices;
  #state: CheckState;
  #told: string | undefined;
  /** What the agent asked for last; undefined = nothing yet. */
  #shareTold: number | undefined;
  #stopTimer = (): void => {};
  #controller: AbortController | undefined;
  #isStopped = false;
  readonly #begin = (): void => {
    this.#check().catch(() => undefined); // it has no way to fail
  };

  constructor(services: SubjectServices, plan: CheckPlan, counts: CheckCounts) {
    this.#services = services;
    this.plan = plan;
    this.counts = counts;
    this.#state = new CheckState(rulesOf(plan.active), this.#believed());
  }

  get verdict(): Verdict {
    return this.#state.verdict;
  }

  /** What is known from before us. */
  #believed(): Verdict {
    const { upstream, endpoint, active } = this.plan;
    const standing = this.#services.board.state(upstream.name, endpoint.name);
    if (standing?.check === "up" || (standing?.check === "down" && standing.reason !== "check_initial")) {
      return standing.check;
    }
    if (active.initial === "down") this.#tell("down", failed("check_initial", ""));
    return "unknown";
  }

  start(first: FirstCheck): void {
    if (this.#isStopped) return;
    const { nowMs } = this.#services;
    const startMs = nowMs();
    this.#schedule(firstCheckAtMs(startMs, rulesOf(this.plan.active), first) - startMs);
  }

  /** Asks no more, and calls off what is under way. */
  stop(): void {
    this.#isStopped = true;
    this.#stopTimer();
    this.#services.turns.leave(this.#begin);
    this.#controller?.abort();
  }

  #schedule(delayMs: number): void {
    this.#stopTimer = this.#services.after(delayMs, () => this.#services.turns.take(this.#begin));
  }

  async #check(): Promise<void> {
    const { ask, turns, nowMs, random } = this.#services;
    const beganAtMs = nowMs();
    this.#controller = new AbortController();
    const asked = ask(this.plan, this.#controller.signal);
    const outcome = await asked.catch((error: unknown) => failed("check_failed", String(error)));
    this.#controller = undefined;
    turns.done();
    if (this.#isStopped) return;
    const endedAtMs = nowMs();
    this.#take(outcome, endedAtMs - beganAtMs);
    this.#schedule(this.#state.nextAtMs(beganAtMs, endedAtMs, random()) - endedAtMs);
  }

  #take(outcome: CheckOutcome, tookMs: number): void {
    const { isSuccess, agent } = outcome;
    if (!isSuccess && tookMs > 2 * this.plan.active.timeoutMs + HELD_UP_MS) return;
    this.counts.lastMs = tookMs;
    if (isSuccess) this.counts.passed++;
    else this.counts.failed++;
    if (agent !== undefined) this.#obey(agent, outcome.text);
    const hasChanged = agent === undefined ? this.#state.note(isSuccess) : this.#believe(agent.isUp);
    const { verdict } = this.#state;
    const isNews = verdict === "down" && !isSuccess && outcome.text !== this.#told;
    if (verdict !== "unknown" && (hasChanged || isNews)) this.#tell(verdict, outcome);
    const { upstream, endpoint } = this.plan;
    if (isSuccess) this.#services.board.notePass(upstream.name, endpoint.name);
  }

  #believe(isUp: boolean): boolean {
    const said: Verdict = isUp ? "up" : "down";
    const hasChanged = this.#state.verdict !== said;
    if (hasChanged) this.#state = new CheckState(rulesOf(this.plan.active), said);
    else this.#state.note(isUp);
    return hasChanged;
  }

  #tell(check: "up" | "down", { reason, text }: CheckOutcome): void {
    const { upstream, endpoint } = this.plan;
    this.#told = text;
    this.#services.board.set(upstream.name, endpoint.name, { check, reason, detail: text });
  }

  #obey(agent: AgentAnswer, detail: string): void {
    const { upstream, endpoint } = this.plan;
    const standing = this.#services.board.state(upstream.name, endpoint.name);
    if (standing?.agent === agent.wish && this.#shareTold === agent.share) return;
    this.#shareTold = agent.share;
    tellAgent(this.#services.board, this.plan, agent, detail);
  }
}

/** There is no agent, or none any more: what one has asked for is over. */
export function forgetAgent(board: CheckBoard, plan: Pick<CheckPlan, "upstream" | "endpoint">): void {
  tellAgent(board, plan, NO_WISH, "");
}

function tellAgent(
  board: CheckBoard,
  { upstream, endpoint }: Pick<CheckPlan, "upstream" | "endpoint">,
  { wish, share }: AgentAnswer,
  detail: string,
): void {
  board.set(upstream.name, endpoint.name, { agent: wish, agentShare: share, reason: "agent", detail });
}

function rulesOf({ intervalMs, fastIntervalMs, jitter, rise, fall }: ActiveHealthConfig) {
  return { intervalMs, fastIntervalMs, jitter, rise, fall, initial: "unknown" as const };
}
