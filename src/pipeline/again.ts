/**
 * Again: what one exchange keeps to be sent once more: its body, a wait, a second attempt beside the first.
 *
 * why    most exchanges never need any of it: it is made for those whose route says more than `on: connect`, and for the
 *        few that have to wait before a repeat
 * rule   `end` leaves nothing behind: no bytes counted, no alarm set, no attempt under way
 */
import type { Failure } from "../core/failure.ts";
import type { Exchange } from "../session/exchange.ts";
import { type Alarm, alarmAfter, dismiss } from "../transport/alarm.ts";
import type { HeldAnswer } from "./held-answer.ts";
import type { RepeatBody } from "./repeat-body.ts";

/** An exchange whose request is with two endpoints: `hedge.ts` fulfils it. */
export interface TwoAttempts {
  /** The client's exchange, and the first attempt. */
  readonly lead: Exchange;
  /** A response head has come for one of the two. out  the exchange that goes on with it, or undefined: it is dropped */
  answered(runner: Exchange, isEnd: boolean): Exchange | undefined;
  /** One of the two has failed. out  true when that ends nothing: the other is still under way */
  lost(runner: Exchange, failure: Failure): boolean;
  /** The client's exchange is over, or has failed on its own side. */
  callOff(): void;
}

export class Again {
  /** undefined = the request has no body, or one that is sent once. */
  body: RepeatBody | undefined;
  /** The answer waits here until it is whole. */
  held: HeldAnswer | undefined;
  /** Two attempts were under way at once, or still are. */
  race: TwoAttempts | undefined;
  /** The next attempt begins when the alarm goes off. */
  isWaiting = false;
  #alarm: Alarm | undefined;

  /** There was a second attempt beside the first: one is enough. */
  get isHedged(): boolean {
    return this.race !== undefined;
  }

  /** Does it once, in so long, unless something else happens before. */
  in(ms: number, act: () => void): void {
    dismiss(this.#alarm);
    this.#alarm = alarmAfter(ms, act);
  }

  dismiss(): void {
    dismiss(this.#alarm);
    this.#alarm = undefined;
    this.isWaiting = false;
  }

  /** The answer that was held is of no use. */
  dropHeld(): void {
    this.held?.release();
    this.held = undefined;
  }

  /** The answer goes to the client: the request will not be sent again. */
  keepNothing(): void {
    this.dismiss();
    this.body?.release();
  }

  /** The exchange is over, or its client's side has failed. */
  end(): void {
    this.keepNothing();
    this.dropHeld();
    this.race?.callOff();
  }
}
