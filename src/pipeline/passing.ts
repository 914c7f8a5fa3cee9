/**
 * Passing: the endpoint's answer goes to one client as it comes, through the fetch that asked for it.
 */
import type { Upstream } from "../session/exchange.ts";
import type { Planned } from "./plan.ts";

/** A fetch, as who waits for it sees it. */
export interface Awaited {
  readonly exchange: Planned;
  leave(client: Planned): void;
}

/** Stands for the answer that a client waits for. */
export class Waiting implements Upstream {
  readonly #fetch: Awaited;
  readonly #client: Planned;

  constructor(fetch: Awaited, client: Planned) {
    this.#fetch = fetch;
    this.#client = client;
  }

  cancel(): void {
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
