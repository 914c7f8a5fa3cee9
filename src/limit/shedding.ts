/**
 * Shedding: the machine is overloaded; which requests are turned away, so that the others are answered in time?
 *
 * why    work that is begun and not finished helps nobody: 20 times the capacity must leave the capacity, not nothing
 * in     three signals, each against its bound: how late timers run (the processor), the share of the memory ceiling in
 *        use, how long requests wait in queues. Of late timers and waits the smallest of an interval counts: one
 *        long pause of the collector or one burst is no overload, a delay that never goes away is (CoDel)
 * rule   priorities are turned away from the lowest up; of the one at the edge a share still passes. While a signal is
 *        beyond its bound that share is divided by how far it is beyond, since work is in proportion to what passes, and
 *        left alone while the signal is falling already. While all are below RELEASE of their bounds it grows by a
 *        factor that grows itself; between the two it stays, so that it does not swing. Factors and not steps: at 20
 *        times the load 5 % may pass, and a step of 10 % up would be two more loads. A priority that nobody uses is
 *        no edge
 * cost   O(1) a request: two comparisons; no allocation
 * spec   K. Nichols, V. Jacobson, Controlling Queue Delay (RFC 8289); Google's SRE book, "Handling Overload"
 *        (criticality); Envoy's overload manager (scaled triggers)
 */

export const SHED_PRIORITIES = ["high", "normal", "low"] as const;
export type ShedPriority = (typeof SHED_PRIORITIES)[number];
/** Numbers of the priorities, as the wait queue has them too: 0 is the last to be turned away. */
export const SHED_NUMBER: Readonly<Record<ShedPriority, number>> = { high: 0, normal: 1, low: 2 };

/** What may be too much. */
export const PRESSURES = ["loop_lag", "memory", "queue_delay"] as const;
export type Pressure = (typeof PRESSURES)[number];

export interface ShedRules {
  /** A timer that runs so late means that the processor is not enough. */
  readonly loopLagMs: number;
  /** Of the memory ceiling, 0 to 1; at 1 the newest is refused anyway. */
  readonly memoryShare: number;
  readonly queueDelayMs: number;
}

/**
 * A loop that is never less than 25 ms late adds that to every step of every exchange. CoDel bounds the wait of packets
 * by 5 ms; requests take longer, and a limit that does its work makes them wait.
 */
export const SHED_RULES: ShedRules = { loopLagMs: 25, memoryShare: 0.85, queueDelayMs: 250 };

/** How often `tick` is to be called; CoDel's interval. */
export const SHED_TICK_MS = 100;
/** Below this part of its bound a signal lets the share grow. */
const RELEASE = 0.7;
/** A smaller share of a priority is none, and the next one is at the edge. Of the highest so many always pass. */
const LEAST_SHARE = 0.02;
/** Most that a tick divides the share by: a single measurement is not believed further. */
const MAX_CUT = 20;
/** A signal below this part of what it was a tick ago is falling. */
const FALLING = 0.9;
/** Factor that each calm tick in a row adds to the growth: from 5 % to all takes 1 s, from the least share 1.3 s. */
const GROWTH_STEP = 0.05;
const LAST = SHED_PRIORITIES.length - 1;

export class Shedder {
  readonly #rules: ShedRules;
  /** The priority of which `#share` passes: above it all pass, below it none. */
  #edge = LAST;
  #share = 1;
  #cause: Pressure = "loop_lag";
  #leastLagMs = Number.POSITIVE_INFINITY;
  #leastWaitMs = Number.POSITIVE_INFINITY;
  #memoryShare = 0;
  #pressureBefore = 0;
  #calmTicks = 0;
  /** Requests of each priority that asked since the last tick. */
  readonly #asked = new Uint32Array(SHED_PRIORITIES.length);

  constructor(rules: ShedRules = SHED_RULES) {
    this.#rules = rules;
  }

  /** 0 = everybody passes; each priority that is turned away adds 1, a share of one its part. */
  get level(): number {
    return LAST - this.#edge + 1 - this.#share;
  }

  /** What made it turn away more last. */
  get cause(): Pressure {
    return this.#cause;
  }

  /** A timer ran so late; at least once a tick. */
  noteLag(lagMs: number): void {
    if (lagMs < this.#leastLagMs) this.#leastLagMs = lagMs;
  }

  /** A request has waited so long in a queue and leaves it. */
  noteWait(waitMs: number): void {
    if (waitMs < this.#leastWaitMs) this.#leastWaitMs = waitMs;
  }

  noteMemory(share: number): void {
    this.#memoryShare = share;
  }

  /** May a request of this priority pass? in  a number of SHED_NUMBER; `chance` in [0, 1) */
  admits(priority: number, chance: number): boolean {
    this.#asked[priority] = (this.#asked[priority] as number) + 1;
    return priority < this.#edge || (priority === this.#edge && chance < this.#share);
  }

  /** Judges what was noted since the last tick; every SHED_TICK_MS. */
  tick(): void {
    const { loopLagMs, memoryShare, queueDelayMs } = this.#rules;
    const lag = relative(this.#leastLagMs, loopLagMs);
    const wait = relative(this.#leastWaitMs, queueDelayMs);
    const memory = this.#memoryShare / memoryShare;
    this.#leastLagMs = Number.POSITIVE_INFINITY;
    this.#leastWaitMs = Number.POSITIVE_INFINITY;
    const pressure = Math.max(lag, wait, memory);
    const isFalling = pressure < this.#pressureBefore * FALLING;
    this.#pressureBefore = pressure;
    if (pressure >= RELEASE) this.#calmTicks = 0;
    if (pressure > 1) {
      this.#cause = pressure === lag ? "loop_lag" : pressure === memory ? "memory" : "queue_delay";
      if (!isFalling) this.#tighten(pressure);
    } else if (pressure < RELEASE) {
      this.#loosen();
    }
    this.#asked.fill(0);
  }

  #tighten(pressure: number): void {
    while (this.#edge > 0 && (this.#share < LEAST_SHARE || this.#isUnused(this.#edge))) {
      this.#edge--;
      this.#share = 1;
    }
    const least = this.#edge === 0 ? LEAST_SHARE : 0;
    this.#share = Math.max(least, this.#share / Math.min(MAX_CUT, pressure));
  }

  /** Nobody of this priority asked since the last tick, but somebody of a higher one. */
  #isUnused(priority: number): boolean {
    if (this.#asked[priority] !== 0) return false;
    for (let higher = 0; higher < priority; higher++) if (this.#asked[higher] !== 0) return true;
    return false;
  }

  #loosen(): void {
    this.#calmTicks++;
    this.#share = Math.min(1, this.#share * (1 + GROWTH_STEP * this.#calmTicks));
    if (this.#share < 1 || this.#edge === LAST) return;
    this.#edge++;
    this.#share = this.#asked[this.#edge] === 0 ? 1 : LEAST_SHARE;
  }
}

/** Nothing was noted: no pressure. */
function relative(least: number, bound: number): number {
  return least === Number.POSITIVE_INFINITY ? 0 : least / bound;
}
