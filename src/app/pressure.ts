/**
 * Pressure: how overloaded is this worker? Tells the shedder of its route priorities.
 *
 * how    a timer of its own: as late as it runs, as long everything waits for the processor. Memory is the share of
 *        `server.memory` that may wait for slow readers and does; what the runtime has not collected yet is no load
 * rule   how long requests wait for one upstream is that upstream's affair: its own gate sheds by it, other upstreams'
 *        requests do not pay for it
 * rule   a late loop turns a priority away only for the sake of a higher one that asks too, and `normal` never below
 *        half: to answer 503 costs a worker about half of what forwarding a small request does, and who is refused
 *        comes back at once. 6000 connections that did so left 3 % of the capacity without this rule
 * cost   LOOK_MS apart, some microseconds
 */
import {
  type Pressure as Cause,
  SHED_NUMBER,
  SHED_PRIORITIES,
  SHED_RULES,
  SHED_TICK_MS,
  Shedder,
  type ShedRules,
} from "../limit/shedding.ts";

/** Looks between two judgements: the smallest delay of them counts, one long pause is no overload. */
const LOOKS_A_TICK = 2;
export const LOOK_MS = SHED_TICK_MS / LOOKS_A_TICK;

/** A worker that is busy is not overloaded: 2000 connections that ask again at once keep its timers 25 ms late. */
export const WORKER_RULES: ShedRules = { ...SHED_RULES, loopLagMs: 100 };

/** Share of `normal` that passes whatever the loop is like. */
const LEAST_OF_NORMAL = 0.5;

export interface PressureSources {
  /** Of the ceiling for buffers, 0 to 1. */
  readonly memoryShare: () => number;
  /** Called after each judgement. */
  readonly judged: (level: number) => void;
}

export class Pressure {
  readonly shedder = new Shedder(WORKER_RULES);
  readonly #sources: PressureSources;
  /** Requests of each priority since the last judgement, and between the two before. */
  #asked = new Uint32Array(SHED_PRIORITIES.length);
  #askedBefore = new Uint32Array(SHED_PRIORITIES.length);
  #dueAtMs = Number.NaN;
  #looks = 0;
  #timer: Timer | undefined;

  constructor(sources: PressureSources) {
    this.#sources = sources;
  }

  /** What made it turn away more last. */
  get cause(): Cause {
    return this.shedder.cause;
  }

  /** May a request of this priority pass? in  a number of SHED_NUMBER; `chance` in [0, 1) */
  admits(priority: number, chance: number): boolean {
    this.#asked[priority] = (this.#asked[priority] as number) + 1;
    if (this.shedder.admits(priority, chance)) return true;
    if (this.shedder.cause !== "loop_lag") return false;
    return !this.#isHigherAsking(priority) || (priority <= SHED_NUMBER.normal && chance < LEAST_OF_NORMAL);
  }

  #isHigherAsking(priority: number): boolean {
    for (let higher = 0; higher < priority; higher++) {
      if (this.#asked[higher] !== 0 || this.#askedBefore[higher] !== 0) return true;
    }
    return false;
  }

  start(now: () => number): void {
    this.#dueAtMs = now() + LOOK_MS;
    this.#timer ??= setInterval(() => this.look(now()), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Public for tests, which drive the time. */
  look(nowMs: number): void {
    const { shedder } = this;
    if (nowMs >= this.#dueAtMs) shedder.noteLag(nowMs - this.#dueAtMs);
    else shedder.noteLag(0);
    this.#dueAtMs = nowMs + LOOK_MS;
    this.#looks++;
    if (this.#looks % LOOKS_A_TICK !== 0) return;
    shedder.noteMemory(this.#sources.memoryShare());
    shedder.tick();
    [this.#asked, this.#askedBefore] = [this.#askedBefore, this.#asked];
    this.#asked.fill(0);
    this.#sources.judged(shedder.level);
  }
}
