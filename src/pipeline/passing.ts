/**
 * Passing: the endpoint's answer goes to one client as it comes, through the fetch that asked for it.
 */
import type { Upstream } from "../session/exchange.ts";
import { type Alarm, alarmAfter, dismiss } from "../transport/alarm.ts";
import { clock } from "../transport/clock.ts";
import type { Planned } from "./plan.ts";

/** A fetch, as who waits for it sees it. */
export interface Awaited {
  readonly exchange: Planned;
  leave(client: Planned): void;
  /** Its own time is up. */
  late(client: Planned): void;
}

/** Stands for the answer that a client waits for: until its own deadline, if that comes before the fetch's. */
export class Waiting implements Upstream {
  readonly #fetch: Awaited;
  readonly #client: Planned;
  #alarm: Alarm | undefined;

  constructor(fetch: Awaited, client: Planned) {
    this.#fetch = fetch;
    this.#client = client;
  }

  /** Its time runs. */
  watch(): void {
    const { deadlineMs } = this.#client;
    if (deadlineMs >= this.#fetch.exchange.deadlineMs) return;
    const leftMs = Math.max(0, deadlineMs - clock.nowMs);
    this.#alarm = alarmAfter(leftMs, () => this.#fetch.late(this.#client));
  }

  /** The answer is here. */
  over(): void {
    dismiss(this.#alarm);
  }

  cancel(): void {
    this.over();
    this.#fetch.leave(this.#client);
  }

  sendBody(): boolean {
    return true; // requests that come here have no body
  }

  sendEnd(): void {
    // likewise
  }

  pauseResponse(): void {
    // nothing comes yet
  }

  resumeResponse(): void {
    // likewise
  }
}

/** The same once the answer comes: the endpoint's pace is this client's. */
export class Passing extends Waiting {
  isPaused = false;
  readonly #inner: Planned;

  constructor(fetch: Awaited, client: Planned) {
    super(fetch, client);
    this.#inner = fetch.exchange;
  }

  override pauseResponse(): void {
    this.isPaused = true;
    this.#inner.upstream?.pauseResponse();
  }

  override resumeResponse(): void {
    this.isPaused = false;
    this.#inner.upstream?.resumeResponse();
  }
}
