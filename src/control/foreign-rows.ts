/**
 * Foreign rows: rows of the zone that workers of the generation before an upgrade still write.
 *
 * why    they drain while we run; their counters stay in the sums, their gauges must go to 0 when they end,
 *        and their rows may then be used again, also when the old control process could not tidy up
 * shape  looked at four times a second; a row whose heartbeat is 0, or stands still for MAX_SILENT_LOOKS, is free
 */
import type { RowPool } from "./row-pool.ts";

/**
 * Looks without a new heartbeat until a worker counts as gone or hung: 3 s, at a look every 250 ms. Longer than any
 * pause that garbage collection or a slow disk makes, short against the patience of clients. Looks are counted, not
 * time, so that neither a step of the clock nor a machine that slept makes healthy workers look dead.
 */
export const MAX_SILENT_LOOKS = 12;

export class ForeignRows {
  readonly #rows: RowPool;
  readonly #heartbeats: Float64Array;
  readonly #seen = new Map<number, { heartbeat: number; looks: number }>();

  constructor(rows: RowPool, heartbeats: Float64Array, foreign: Iterable<number>) {
    this.#rows = rows;
    this.#heartbeats = heartbeats;
    for (const row of foreign) this.#seen.set(row, { heartbeat: Number.NaN, looks: 0 });
  }

  get isEmpty(): boolean {
    return this.#seen.size === 0;
  }

  /** Gives back the rows whose writer has ended. out  these rows: their gauges are to be set to 0 */
  look(): number[] {
    const freed: number[] = [];
    for (const [row, seen] of this.#seen) {
      const heartbeat = this.#heartbeats[row] ?? 0;
      seen.looks = heartbeat === seen.heartbeat ? seen.looks + 1 : 0;
      seen.heartbeat = heartbeat;
      if (heartbeat !== 0 && seen.looks < MAX_SILENT_LOOKS) continue;
      this.#seen.delete(row);
      this.#rows.giveBack(row);
      freed.push(row);
    }
    return freed;
  }
}
