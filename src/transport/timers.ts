/**
 * Timers: one coarse wheel for every deadline of a worker.
 *
 * why    a deadline moves with almost every event and almost never passes; moving one is a store to a
 *        number here, and the wheel looks again when the old time comes
 * shape  whoever waits is a Timed: it has its deadline, and `expire` is called once that has passed
 * cost   `schedule` is a compare unless the deadline came nearer; a late look a Timed every 64 s
 * rule   a deadline fires up to TICK_MS late, never early; whoever is gone for good says so with `forget`, or the
 *        wheel would hold it, and all it holds, for up to 64 s
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
  /** Kept by the wheel: its place among those of that tick. */
  wheelIndex: number;
  /** Called once for each deadline that passes; it may set and schedule a new one. */
  expire(): void;
}

export class Wheel {
  readonly #buckets: Timed[][] = Array.from({ length: BUCKETS }, () => []);
  #tick = tickOf(clock.nowMs);
  #timer: Timer | undefined;
  /** How late the last tick came: a measure of how busy the event loop is. */
  lagMs = 0;

  /** How many are in the wheel. */
  get size(): number {
    return this.#buckets.reduce((sum, bucket) => sum + bucket.length, 0);
  }

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
    const tick = Math.max(this.#tick + 1, Math.min(tickOf(deadlineMs) + 1, this.#tick + BUCKETS - 1));
    if (timed.wheelTick !== 0) {
      if (timed.wheelTick <= tick) return;
      this.#remove(timed);
    }
    const bucket = this.#buckets[tick % BUCKETS] as Timed[];
    timed.wheelTick = tick;
    timed.wheelIndex = bucket.length;
    bucket.push(timed);
  }

  /** Takes it out of the wheel: it has no deadline any more, and never will. */
  forget(timed: Timed): void {
    timed.deadlineMs = Number.POSITIVE_INFINITY;
    if (timed.wheelTick !== 0) this.#remove(timed);
  }

  /** The last one of its bucket takes its place. */
  #remove(timed: Timed): void {
    const bucket = this.#buckets[timed.wheelTick % BUCKETS] as Timed[];
    const last = bucket.pop() as Timed;
    if (last !== timed) {
      bucket[timed.wheelIndex] = last;
      last.wheelIndex = timed.wheelIndex;
    }
    timed.wheelTick = 0;
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
    for (const timed of due) timed.wheelTick = 0;
    for (const timed of due) {
      if (timed.wheelTick !== 0) continue; // another one's expiry has given it a new time
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
