/**
 * Timers: one coarse wheel for every deadline of a worker.
 *
 * why    a deadline moves with almost every event and almost never passes; moving one is a store to a
 *        number here, and the wheel looks again when the old time comes
 * shape  whoever waits is a Timed: it has its deadline, and `expire` is called once that has passed
 * cost   `schedule` is a compare unless the deadline came nearer; a late look a Timed every 64 s
 * rule   a deadline fires up to TICK_MS late, never early
 */
import { clock, readClock } from "./clock.ts";

export const TICK_MS = 125;
/** 512 ticks are 64 s; what is further away is looked at on the way. */
const BUCKETS = 512;

export interface Timed {
  /** When `expire` is due, by the monotonic clock; Infinity = never. */
  deadlineMs: number;
  /** Kept by the wheel: the tick at which it will look at this one. 0 = not in the wheel. */
  wheelTick: number;
  /** Called once for each deadline that passes; it may set and schedule a new one. */
  expire(): void;
}

export class Wheel {
  readonly #buckets: Timed[][] = Array.from({ length: BUCKETS }, () => []);
  #tick = tickOf(clock.nowMs);
  #timer: Timer | undefined;
  /** How late the last tick came: a measure of how busy the event loop is. */
  lagMs = 0;

  start(): void {
    this.#timer ??= setInterval(() => this.advance(readClock()), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Sets the deadline and makes sure that the wheel looks in time. */
  schedule(timed: Timed, deadlineMs: number): void {
    timed.deadlineMs = deadlineMs;
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    const tick = Math.min(tickOf(deadlineMs) + 1, this.#tick + BUCKETS - 1);
    if (timed.wheelTick !== 0 && timed.wheelTick <= tick && timed.wheelTick > this.#tick) return;
    timed.wheelTick = Math.max(tick, this.#tick + 1);
    (this.#buckets[timed.wheelTick % BUCKETS] as Timed[]).push(timed);
  }

  /** Looks at everything due up to `nowMs`. Public for tests, which drive the time. */
  advance(nowMs: number): void {
    const target = tickOf(nowMs);
    this.lagMs = Math.max(0, nowMs - (this.#tick + 1) * TICK_MS - TICK_MS);
    const last = Math.min(target, this.#tick + BUCKETS); // after a long sleep each bucket is due once
    while (this.#tick < last) this.#visit(++this.#tick, nowMs);
    this.#tick = target;
  }

  #visit(tick: number, nowMs: number): void {
    const index = tick % BUCKETS;
    const due = this.#buckets[index] as Timed[];
    if (due.length === 0) return;
    this.#buckets[index] = [];
    for (const timed of due) {
      if (timed.wheelTick !== tick) continue; // came nearer since: another bucket has it
      timed.wheelTick = 0;
      if (timed.deadlineMs <= nowMs) {
        timed.deadlineMs = Number.POSITIVE_INFINITY;
        timed.expire();
      } else this.schedule(timed, timed.deadlineMs);
    }
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / TICK_MS);
}
