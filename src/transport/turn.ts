/**
 * Turn: goes on after everybody else had one: who has much to do must not keep the worker from the others.
 */
import { readClock } from "./clock.ts";

export function nextTurn(act: () => void): void {
  setImmediate(() => {
    readClock();
    act();
  });
}
