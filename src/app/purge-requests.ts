/**
 * Purge requests: purges that clients of this worker ask for, on their way to control and back.
 *
 * bound  MAX_WAITING at once, each for TIMEOUT_MS
 */
import type { PurgeScope } from "../cache/store.ts";
import type { FromWorker } from "./messages.ts";

/** A disk that is asked to keep it may take its time. */
const TIMEOUT_MS = 5000;
const MAX_WAITING = 1000;

export class PurgeRequests {
  readonly #send: (message: Extract<FromWorker, { kind: "purge" }>) => void;
  readonly #waiting = new Map<number, (error: string | undefined) => void>();
  #next = 1;

  constructor(send: (message: Extract<FromWorker, { kind: "purge" }>) => void) {
    this.#send = send;
  }

  /** out  undefined once it is in force in all workers, or why it is not */
  ask(scope: PurgeScope, isSoft: boolean, client: string): Promise<string | undefined> {
    if (this.#waiting.size >= MAX_WAITING) return Promise.resolve("too many purges are waiting");
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const number = this.#next++;
    const timer = setTimeout(() => this.answered(number, "the control process does not answer"), TIMEOUT_MS);
    this.#waiting.set(number, (error) => {
      clearTimeout(timer);
      resolve(error);
    });
    this.#send({ kind: "purge", number, scope, isSoft, client });
    return promise;
  }

  answered(number: number, error: string | undefined): void {
    const settle = this.#waiting.get(number);
    this.#waiting.delete(number);
    settle?.(error);
  }
}
