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
import { nextTurn } from "../transport/turn.ts";
import type { BodySource, GrowthReader } from "./growing-body.ts";
import type { Planned } from "./plan.ts";

/** So much in one go. */
const TURN_BYTES = 1024 * 1024;
/** Given to a client that takes no more: what it leaves waits in memory until it drains. */
const NUDGE_BYTES = 16 * 1024;

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
  /** Others have their turn when this is reached. */
  #turnEnd = 0;

  constructor(exchange: Planned, source: BodySource, from = 0, end = Number.POSITIVE_INFINITY) {
    this.#exchange = exchange;
    this.#source = source;
    this.position = from;
    this.#end = end;
  }

  /** Hands on what there is. The head must be out. */
  grown(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#turnEnd = this.position + TURN_BYTES;
    while (!this.#isPaused && !this.#isOver && !this.#isReading) {
      if (this.#isAtEnd()) this.#finish();
      else if (this.position >= this.#source.length) break;
      else if (this.position >= this.#turnEnd) this.#yield();
      else this.#next();
    }
    this.#isPumping = false;
  }

  /** A fast client of a large body is not the only one. */
  #yield(): void {
    this.#isReading = true;
    nextTurn(() => {
      this.#isReading = false;
      this.grown();
    });
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
    if (bytes !== undefined) this.#deliver(bytes, true);
    else if (!this.#sendFile()) {
      this.#isReading = true;
      this.#read().catch((error: unknown) => {
        readClock();
        this.#isReading = false;
        this.broken(String(error));
      });
    }
  }

  async #read(): Promise<void> {
    // where a file is sent, this piece is only to hear when the client takes more
    const most = this.#descriptor === undefined ? this.#mostNow() : NUDGE_BYTES;
    const end = Math.min(this.#end, this.#source.length, this.position + most);
    const bytes = await this.#source.read(this.position, end);
    readClock();
    this.#isReading = false;
    if (this.#isOver) return;
    if (bytes.length === 0) throw new Error("the stored body is shorter than it was");
    this.#deliver(bytes, false);
    this.grown();
  }

  /** The file to send from, where nobody has to see the bytes: they are neither coded nor enciphered. */
  get #descriptor(): number | undefined {
    const { downstream, plan } = this.#exchange;
    const isPlain = downstream.sendFile !== undefined && downstream.tls === undefined;
    return isPlain && plan.coder === undefined ? this.#source.descriptor : undefined;
  }

  /** The kernel sends from the file. out  false: it took none */
  #sendFile(): boolean {
    const { downstream } = this.#exchange;
    const descriptor = this.#descriptor;
    if (descriptor === undefined || downstream.sendFile === undefined) return false;
    const { fileStart = 0, fileEnd = this.#source.length } = this.#source;
    const end = Math.min(this.#end, fileEnd, this.#turnEnd);
    const from = this.position - fileStart;
    const taken = downstream.sendFile(this.#exchange, descriptor, from, end - this.position);
    this.position += taken;
    return taken > 0;
  }

  /** As much as can go out, and a little: what waits for a stream that takes nothing must not be large. */
  #mostNow(): number {
    const { downstream } = this.#exchange;
    const room = downstream.roomFor?.(this.#exchange) ?? TURN_BYTES;
    return Math.min(TURN_BYTES, Math.max(NUDGE_BYTES, room));
  }

  #deliver(bytes: Buffer, isShared: boolean): void {
    const left = Math.min(this.#end - this.position, isShared ? this.#mostNow() : bytes.length);
    const piece = bytes.length > left ? bytes.subarray(0, left) : bytes;
    this.position += piece.length;
    this.#exchange.isBodyShared = isShared;
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
