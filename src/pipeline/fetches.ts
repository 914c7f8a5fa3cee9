/**
 * Fetches: what this worker is fetching for the cache now, by key, and which keys were not worth waiting for lately.
 *
 * why    requests for one cold object become one request to the endpoint; but those for something that turned out to be
 *        private must not queue behind each other ever again
 * bound  the fetches under way are as many as those who wait, and MAX_UNATTENDED more that nobody waits for: refreshes, and
 *        those whose clients have left. At most MAX_UNSHARED keys of each kind are remembered, for UNSHARED_MS and
 *        UNSLICED_MS, and the uses of MAX_COUNTED
 */
/** So long nobody waits for others on a key whose answer could not be shared. */
const UNSHARED_MS = 10_000;
const MAX_UNSHARED = 10_000;
/** So long a body is not asked for in slices that could not be put together: each try may cost a client its answer. */
const UNSLICED_MS = 60_000;
/** Keys whose uses are counted; whoever has not been asked for longest is forgotten. */
const MAX_COUNTED = 20_000;

/** Fetches that nobody waits for, in each worker: clients that ask and leave at once could make any number. */
export const MAX_UNATTENDED = 256;

/** After so many answers in a row that could not be kept, most requests are not even judged. */
const PASS_AFTER = 3;
const PROBE_EACH = 8;

interface Unshared {
  /** When it may be waited for again. */
  untilMs: number;
  /** Answers in a row. */
  streak: number;
  turn: number;
}

/** A fetch, as far as the table cares. */
export interface Joinable {
  readonly order: { readonly key: string };
  /** Others may join. */
  readonly isOpen: boolean;
  /** Called once, when nobody can join any more. */
  onClosed: (() => void) | undefined;
}

export class Fetches<F extends Joinable> {
  readonly #open = new Map<string, F>();
  readonly #unshared = new Map<string, Unshared>();
  readonly #uses = new Map<string, number>();
  #unattended = 0;
  /** Until when. */
  readonly #unsliced = new Map<string, number>();

  /** The fetch that a request for this key may join. */
  find(key: string): F | undefined {
    const fetch = this.#open.get(key);
    return fetch?.isOpen === true ? fetch : undefined;
  }

  /** A fetch that others may join from now on; one that was there is left to those who wait for it. */
  add(fetch: F): void {
    const { key } = fetch.order;
    this.#open.set(key, fetch);
    fetch.onClosed = () => {
      if (this.#open.get(key) === fetch) this.#open.delete(key);
    };
  }

  /** True while one more may go on, or begin, with nobody waiting for it. */
  get hasRoom(): boolean {
    return this.#unattended < MAX_UNATTENDED;
  }

  /** in  `isIt`: nobody waits for one more; else for one less */
  noteUnattended(isIt: boolean): void {
    this.#unattended += isIt ? 1 : -1;
  }

  /**
   * What to do with a request for this key: ask together with others; ask alone, as the last answer was one client's own;
   * or let it pass as if there were no cache, as several were, one after the other. One of PROBE_EACH still asks alone: as
   * soon as an answer can be kept, it is.
   */
  adviceFor(key: string, nowMs: number): "together" | "alone" | "pass" {
    const known = this.#unshared.get(key);
    if (known === undefined) return "together";
    if (nowMs >= known.untilMs) {
      this.#unshared.delete(key);
      return "together";
    }
    return known.streak >= PASS_AFTER && ++known.turn % PROBE_EACH !== 0 ? "pass" : "alone";
  }

  /** The answer was one client's alone. */
  noteUnshared(key: string, nowMs: number): void {
    const streak = (this.#unshared.get(key)?.streak ?? 0) + 1;
    this.#unshared.delete(key);
    this.#unshared.set(key, { untilMs: nowMs + UNSHARED_MS, streak, turn: 0 });
    forgetOldest(this.#unshared, MAX_UNSHARED);
  }

  /** Counts a request that the store could not answer. out  how often, this time included */
  countUse(key: string): number {
    const uses = (this.#uses.get(key) ?? 0) + 1;
    this.#uses.delete(key);
    this.#uses.set(key, uses);
    forgetOldest(this.#uses, MAX_COUNTED);
    return uses;
  }

  /** It cannot be had in slices: for a while it is asked for as a whole. */
  noteUnsliced(key: string, nowMs: number): void {
    this.#unsliced.delete(key);
    this.#unsliced.set(key, nowMs + UNSLICED_MS);
    forgetOldest(this.#unsliced, MAX_UNSHARED);
  }

  isUnsliced(key: string, nowMs: number): boolean {
    const untilMs = this.#unsliced.get(key);
    if (untilMs !== undefined && nowMs >= untilMs) this.#unsliced.delete(key);
    return untilMs !== undefined && nowMs < untilMs;
  }

  noteShared(key: string): void {
    if (this.#unshared.size > 0) this.#unshared.delete(key);
  }
}

function forgetOldest(map: Map<string, unknown>, limit: number): void {
  if (map.size <= limit) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
