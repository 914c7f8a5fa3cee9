/**
 * Row pool: which row of the zone does a worker write, and which rows have ever been written?
 *
 * why    a row has one writer at a time; the counters in a row that was given back stay and still count,
 *        so that a sum over all rows never goes down
 * shape  lowest free row first, so that few rows are ever touched
 */
export class RowPool {
  readonly #capacity: number;
  readonly #taken = new Set<number>();
  #used: number;

  /** `used` rows were written before, those in `taken` still are: by the generation before an upgrade. */
  constructor(capacity: number, used = 0, taken: Iterable<number> = []) {
    this.#capacity = capacity;
    this.#used = used;
    for (const row of taken) this.#taken.add(row);
  }

  /** Rows from 0 that hold counters. */
  get used(): number {
    return this.#used;
  }

  get taken(): readonly number[] {
    return [...this.#taken];
  }

  /** out  a row for one writer, undefined when all are taken */
  take(): number | undefined {
    for (let row = 0; row < this.#capacity; row++) {
      if (this.#taken.has(row)) continue;
      this.#taken.add(row);
      this.#used = Math.max(this.#used, row + 1);
      return row;
    }
    return undefined;
  }

  giveBack(row: number): void {
    this.#taken.delete(row);
  }
}
