/**
 * Encoders: how many bodies of a worker are compressed at once, how hard, and when what they keep goes out.
 *
 * why    an encoder holds 0.1 to 1.2 MiB for as long as its body lasts, and compression is the dearest thing that a proxy
 *        does: past a bound a body goes as it is, and the level falls before requests have to wait for it
 * rule   encoders hold at most ROOM_SHARE of what may be buffered; while requests are turned away, none is opened. The level
 *        falls by one each look while the thread is busier than BUSY and rises while it is less busy than CALM: between
 *        them it stays, since the level is itself most of the load
 * rule   bytes stay in an encoder for at most FLUSH_MS; one alarm serves them all
 */
import type { Coding } from "../protocol/accept-encoding.ts";
import { type Alarm, alarmAfter } from "./alarm.ts";
import { readClock } from "./clock.ts";
import { Encoder, type EncoderSize } from "./encoder.ts";
import type { BufferBudget } from "./wire.ts";

/** Level of an idle worker: br 4, zstd 3, gzip 5, as nginx's and Caddy's users set it. */
export const CALM_LEVEL = 5;
/** Share of the thread's time in use, over the last looks. */
const BUSY = 0.85;
const CALM = 0.6;
/** Part of the newest measurement in the average. */
const NEWEST = 0.5;
/** Less than the eye sees, and long enough for a fast body to bring 50 KB. */
export const FLUSH_MS = 5;
const ROOM_SHARE = 0.25;
/** Of this nothing is left to those who wait for their answers. */
const APART_SHARE = 0.125;

/** A body whose encoder keeps bytes. */
export interface Flushable {
  flush(): void;
}

export class Encoders {
  readonly #budget: BufferBudget;
  #heldBytes = 0;
  #waiting: Flushable[] = [];
  #alarm: Alarm | undefined;
  #level = CALM_LEVEL;
  #isOverloaded = false;
  #isApart = false;
  #busy = 0;
  #usedMs = threadMs();
  #lookedAtMs = performance.now();
  /** Encoders at work. */
  open = 0;
  /** Bodies that went as they are for want of room. */
  refused = 0;
  /** Body bytes so far, before and after. */
  bytesIn = 0;
  bytesOut = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  /** What `auto` is now. */
  get level(): number {
    return this.#level;
  }

  /** Requests are turned away: nothing that can be left out is done. */
  get isOverloaded(): boolean {
    return this.#isOverloaded;
  }

  /** out  undefined when there is no room for one more */
  take(coding: Coding, level: number, size: EncoderSize): Encoder | undefined {
    const encoder = this.#hasRoom() ? new Encoder(coding, level, size) : undefined;
    if (encoder === undefined) {
      this.refused++;
      return undefined;
    }
    this.#account(encoder.costBytes, 1);
    return encoder;
  }

  /** The other half of `take`, exactly once. */
  giveBack(encoder: Encoder): void {
    encoder.close();
    this.#account(-encoder.costBytes, -1);
  }

  #hasRoom(): boolean {
    const { usedBytes, limitBytes } = this.#budget;
    return this.#heldBytes < limitBytes * ROOM_SHARE && usedBytes < limitBytes / 2;
  }

  #account(bytes: number, count: number): void {
    this.#heldBytes += bytes;
    this.#budget.usedBytes += bytes;
    this.open += count;
  }

  /**
   * Work that nobody waits for may begin: one at a time, and not while requests are turned away.
   * in     `costBytes`: the memory that it takes; `isRelief`: it spares this thread work, and so is welcome when that is busy
   * out    false: not now
   */
  beginApart(costBytes: number, isRelief: boolean): boolean {
    const isBusy = this.#isApart || this.#isOverloaded || (!isRelief && this.#level < CALM_LEVEL);
    if (isBusy || !this.#hasRoom() || costBytes > this.#budget.limitBytes * APART_SHARE) return false;
    this.#isApart = true;
    this.#account(costBytes, 1);
    return true;
  }

  /** The other half of `beginApart`, exactly once. */
  endApart(costBytes: number): void {
    this.#isApart = false;
    this.#account(-costBytes, -1);
  }

  /** `flush` is called FLUSH_MS from now at the latest. */
  flushSoon(body: Flushable): void {
    this.#waiting.push(body);
    this.#alarm ??= alarmAfter(FLUSH_MS, () => {
      this.#alarm = undefined;
      const bodies = this.#waiting;
      this.#waiting = [];
      for (const body of bodies) body.flush();
    });
  }

  /** Goes on with `work` once all others had their turn. */
  later(work: () => void): void {
    setImmediate(() => {
      readClock();
      work();
    });
  }

  /** Some times a second: how busy is this thread? */
  look(isOverloaded: boolean): void {
    const nowMs = performance.now();
    const usedMs = threadMs();
    this.judge((usedMs - this.#usedMs) / Math.max(1, nowMs - this.#lookedAtMs), isOverloaded);
    this.#usedMs = usedMs;
    this.#lookedAtMs = nowMs;
  }

  /** in  share of the time in use, 0 to 1. Public for tests */
  judge(share: number, isOverloaded: boolean): void {
    this.#isOverloaded = isOverloaded;
    this.#busy += (share - this.#busy) * NEWEST;
    if (this.#busy > BUSY && this.#level > 1) this.#level--;
    else if (this.#busy < CALM && this.#level < CALM_LEVEL) this.#level++;
  }
}

/** Processor time of this thread so far. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
