/**
 * In flight: how many requests all workers together have in flight at an endpoint.
 *
 * why    a worker that counts only its own sends to an endpoint that another has just filled
 * how    every worker's row of the zone is read where it stands; nothing is sent, nothing is waited for
 * cost   one read a worker; which rows there are is looked at once a second
 */
import { ENDPOINT } from "../observe/metrics.table.ts";
import { MAX_WORKERS, type Zone } from "../zone/zone.ts";

export class InFlightEverywhere {
  readonly #zone: Zone;
  #rows: readonly Float64Array[] = [];

  constructor(zone: Zone) {
    this.#zone = zone;
  }

  /** Looks which workers there are; `slots` is how much of their rows is in use. */
  refresh(slots: number): void {
    const rows: Float64Array[] = [];
    for (let worker = 0; worker < MAX_WORKERS; worker++) {
      if (this.#zone.heartbeats[worker] !== 0) rows.push(this.#zone.row(worker, slots));
    }
    this.#rows = rows;
  }

  /** At the endpoint whose series starts at `slot`. */
  at(slot: number): number {
    let sum = 0;
    for (const row of this.#rows) sum += row[slot + ENDPOINT.at.active] ?? 0;
    return sum;
  }
}
