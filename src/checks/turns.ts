/**
 * Turns: how many checks may be under way at once; the others wait, first come, first served.
 *
 * why    a thousand endpoints that time out together must not take all files and all time of control
 */
export class Turns {
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls `run` when it is its turn, perhaps now; `done` ends the turn. */
  take(run: () => void): void {
    if (this.#taken === this.#most) this.#waiting.add(run);
    else {
      this.#taken++;
      run();
    }
  }

  /** Waits no longer; without effect on a turn that has come. */
  leave(run: () => void): void {
    this.#waiting.delete(run);
  }

  done(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
