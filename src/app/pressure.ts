/**
 * Pressure: how overloaded is this worker? Tells the shedder of its route priorities.
 *
 * how    a timer of its own: as late as it runs, as long everything waits for the processor. Memory is the share of
 *        `server.memory` that may wait for slow readers and does; what the runtime has not collected yet is no load
 * rule   how long requests wait for one upstream is that upstream's affair: its own gate sheds by it, other upstreams'
 *        requests do not pay for it
 * cost   LOOK_MS apart, some microseconds
 */
import { SHED_TICK_MS, Shedder } from "../limit/shedding.ts";

/** Looks between two judgements: the smallest delay of them counts, one long pause is no overload. */
const LOOKS_A_TICK = 2;
export const LOOK_MS = SHED_TICK_MS / LOOKS_A_TICK;

export interface PressureSources {
  /** Of the ceiling for buffers, 0 to 1. */
  readonly memoryShare: () => number;
  /** Called after each judgement. */
  readonly judged: (level: number) => void;
}

export class Pressure {
  readonly shedder = new Shedder();
  readonly #sources: PressureSources;
  #dueAtMs = Number.NaN;
  #looks = 0;
  #timer: Timer | undefined;

  constructor(sources: PressureSources) {
    this.#sources = sources;
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
    this.#sources.judged(shedder.level);
  }
}
