/**
 * Restart policy: how soon may a worker be started again after one has died?
 *
 * why    the first deaths are answered at once, so that traffic notices nothing; a worker that dies as soon
 *        as it lives would otherwise take a core for itself
 * shape  quick deaths in a row count; one life longer than QUICK_MS forgets them
 */

/** A worker that lived so long did work: its death is an accident, not a loop. */
const QUICK_MS = 10_000;
const FREE_RESTARTS = 3;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 10_000;

export class RestartPolicy {
  #quickDeaths = 0;

  /** out  how long to wait before the next start, in ms */
  delayAfterDeath(livedMs: number): number {
    this.#quickDeaths = livedMs < QUICK_MS ? this.#quickDeaths + 1 : 1;
    const over = this.#quickDeaths - FREE_RESTARTS;
    return over <= 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (over - 1), MAX_DELAY_MS);
  }
}
