/**
 * Body flow: bytes from the cache on their way to one client: of a body that lies in the store, or one that still grows.
 *
 * why    to the rest of the pipeline it is one more upstream: paused, resumed and cancelled like an endpoint
 * rule   what is in memory is handed on at once; else one piece is read ahead, off the main thread. The bytes may be
 *        another reader's too, which `isBodyShared` tells the session
 * fails  upstream_cut when the body cannot be had to its end: the client sees an incomplete answer as incomplete
 */
import { fail } from "../core/failure.ts";
import type { Upstream } from "../session/exchange.ts";
import { readClock } from "../transport/clock.ts";
import type { BodySource, GrowthReader } from "./growing-body.ts";
import type { Planned } from "./plan.ts";

export class BodyFlow implements Upstream, GrowthReader {
  position: number;
  readonly #exchange: Planned;
  readonly #source: BodySource;
  /** Just past the last byte that this client gets; Infinity = where the body ends. */
  readonly #end: number;
  #isPaused = false;
  #isPumping = false;
  #isReading = false;
  #isOver = false;

  constructor(exchange: Planned, source: BodySource, from = 0, end = Number.POSITIVE_INFINITY) {
    this.#exchange = exchange;
    this.#source = source;
    this.position = from;
    this.#end = end;
    exchange.isBodyShared = true;
  }

  /** Hands on what there is. The head must be out. */
  grown(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (!this.#isPaused && !this.#isOver && !this.#isReading) {
      if (this.#isAtEnd()) this.#finish();
      else if (this.position >= this.#source.length) break;
      else this.#next();
    }
    this.#isPumping = false;
  }

  broken(detail: string): void {
    if (this.#isOver) return;
    this.#leave();
    this.#exchange.plan.services.events?.upstreamFailed(this.#exchange, fail("upstream_cut", detail));
  }

  #isAtEnd(): boolean {
    const { length, isComplete } = this.#source;
    return this.position >= this.#end || (isComplete && this.position >= length);
  }

  #next(): void {
    const bytes = this.#source.peek(this.position);
    if (bytes !== undefined) this.#deliver(bytes);
    else {
      this.#isReading = true;
      this.#read().catch((error: unknown) => {
        readClock();
        this.#isReading = false;
        this.broken(String(error));
      });
    }
  }

  async #read(): Promise<void> {
    const end = Math.min(this.#end, this.#source.length);
    const bytes = await this.#source.read(this.position, end);
    readClock();
    this.#isReading = false;
    if (this.#isOver) return;
    if (bytes.length === 0) throw new Error("the stored body is shorter than it was");
    this.#deliver(bytes);
    this.grown();
  }

  #deliver(bytes: Buffer): void {
    const left = this.#end - this.position;
    const piece = bytes.length > left ? bytes.subarray(0, left) : bytes;
    this.position += piece.length;
    this.#exchange.plan.services.events?.responseBody(this.#exchange, piece);
    this.#source.moved();
  }

  #finish(): void {
    this.#leave();
    this.#exchange.plan.services.events?.responseEnd(this.#exchange, "");
  }

  #leave(): void {
    this.#isOver = true;
    this.#exchange.upstream = undefined;
    this.#source.leave(this);
  }

  sendBody(): boolean {
    return true; // requests that the cache answers have no body
  }

  sendEnd(): void {
    // nothing was waiting for it
  }

  pauseResponse(): void {
    this.#isPaused = true;
  }

  resumeResponse(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.grown();
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.leave(this);
  }
}
