/**
 * Alarm: does one thing once, after a short time that has to be kept to the millisecond.
 *
 * why    the wheel (timers.ts) is for deadlines that move often and hardly ever pass, and is up to an eighth of a second
 *        late; a wait of 20 ms before a second attempt is none of these
 * cost   about 0.3 µs to set, and as much to dismiss
 */
import { readClock } from "./clock.ts";

export type Alarm = ReturnType<typeof setTimeout>;

export function alarmAfter(ms: number, act: () => void): Alarm {
  return setTimeout(() => {
    readClock();
    act();
  }, ms);
}

export function dismiss(alarm: Alarm | undefined): void {
  clearTimeout(alarm);
}
