/**
 * Series: which slots of a worker's row belong to which listener, route or endpoint?
 *
 * why    workers find a counter by number, people by name; a name keeps its number for the life of the zone,
 *        so that a reload resets nothing and never shows one route's numbers under the name of another
 * rule   a block is never moved: an exchange that began before a reload may still count in it. One of a name that has
 *        long been gone is given back by who knows that nobody counts in it (control/series-room.ts). When the row is
 *        full, further names of a kind share that kind's series `other`.
 */
import { BLOCKS, type BlockKind } from "./metrics.table.ts";

/** First slot of each block, by series key. */
export type SlotMap = Readonly<Record<string, number>>;

export interface SeriesName {
  readonly kind: BlockKind;
  readonly labels: readonly string[];
}

const KINDS = Object.keys(BLOCKS) as readonly BlockKind[];
const SHARED_NAME = "other";
/** Route label of exchanges that no route took. */
export const UNROUTED = "-";

/**
 * Key of a series: `listener:http`, `route:api`, `endpoint:app|127.0.0.1:3000`. All workers use one `worker`
 * block at the same slot, each in its own row. `|` and `%` inside of a name are percent-encoded.
 */
export function seriesKey(kind: "worker"): string;
export function seriesKey(kind: "listener" | "route" | "upstream" | "cache", name: string): string;
export function seriesKey(kind: "endpoint", upstream: string, endpoint: string): string;
export function seriesKey(kind: BlockKind, ...labels: readonly string[]): string {
  return keyOf(kind, labels);
}

function keyOf(kind: BlockKind, labels: readonly string[]): string {
  return labels.length === 0 ? kind : `${kind}:${labels.map(encodeLabel).join("|")}`;
}

const encodeLabel = (label: string) => label.replaceAll("%", "%25").replaceAll("|", "%7C");
const decodeLabel = (label: string) => label.replaceAll("%7C", "|").replaceAll("%25", "%");

/** The names in a key, or undefined when it is not one. */
export function parseSeriesKey(key: string): SeriesName | undefined {
  const colon = key.indexOf(":");
  const kind = KINDS.find((known) => known === (colon === -1 ? key : key.slice(0, colon)));
  if (kind === undefined) return undefined;
  const labels =
    colon === -1
      ? []
      : key
          .slice(colon + 1)
          .split("|")
          .map(decodeLabel);
  return labels.length === labelCountOf(kind) ? { kind, labels } : undefined;
}

/** The worker block is told apart by the row it is in, not by its key. */
const labelCountOf = (kind: BlockKind) => (kind === "worker" ? 0 : BLOCKS[kind].labels.length);

/** Key of the series that a kind's names share once the row is full. */
export function sharedKey(kind: BlockKind): string {
  return keyOf(kind, new Array<string>(labelCountOf(kind)).fill(SHARED_NAME));
}

/** A table as plain JSON, for the process that takes over. */
export interface SavedSeries {
  readonly capacity: number;
  readonly next: number;
  readonly slots: SlotMap;
  /** Blocks that were given back, by kind. */
  readonly free?: Readonly<Partial<Record<BlockKind, readonly number[]>>>;
}

/** The shared blocks stand at the start of the row, so that there is always room for them. */
const SHARED_SLOTS: ReadonlyMap<BlockKind, number> = new Map(
  KINDS.map((kind, index) => [
    kind,
    KINDS.slice(0, index).reduce((sum, before) => sum + BLOCKS[before].slots, 0),
  ]),
);
const FIRST_FREE = KINDS.reduce((sum, kind) => sum + BLOCKS[kind].slots, 0);

export class SeriesTable {
  readonly #capacity: number;
  readonly #own: Map<string, number>;
  /** Names of the newest allocation that had to share; kept for no longer, so that they cannot pile up. */
  #sharing = new Map<string, number>();
  /** Names that the newest allocation does not have, those that went first in front. */
  readonly #gone = new Set<string>();
  /** Zeroed blocks that were given back. */
  readonly #free = new Map<BlockKind, number[]>();
  #next: number;

  /** `capacity`: slots in a row. */
  constructor(capacity: number) {
    if (capacity < FIRST_FREE)
      throw new RangeError(`a row needs at least ${FIRST_FREE} slots, not ${capacity}`);
    this.#capacity = capacity;
    this.#own = new Map();
    this.#next = FIRST_FREE;
  }

  static restore(saved: SavedSeries): SeriesTable {
    const table = new SeriesTable(saved.capacity);
    for (const [key, slot] of Object.entries(saved.slots)) table.#own.set(key, slot);
    for (const kind of KINDS) table.#free.set(kind, [...(saved.free?.[kind] ?? [])]);
    table.#next = saved.next;
    return table;
  }

  /**
   * Gives each key a block, the one it had before if it had one.
   * out  slots of exactly these keys, and of the shared series when one of them landed there
   */
  allocate(keys: Iterable<string>): SlotMap {
    const wanted = new Map<string, number>();
    this.#sharing = new Map();
    for (const key of keys) wanted.set(key, this.#own.get(key) ?? this.#add(key));
    for (const key of this.#sharing.keys()) {
      const shared = sharedKey(kindOf(key));
      wanted.set(shared, this.#own.get(shared) as number);
    }
    this.#noteGone(wanted);
    return Object.fromEntries(wanted);
  }

  #noteGone(wanted: ReadonlyMap<string, number>): void {
    for (const key of this.#own.keys()) {
      if (wanted.has(key)) this.#gone.delete(key);
      else if (!this.#gone.has(key) && key !== sharedKey(kindOf(key))) this.#gone.add(key);
    }
  }

  /** Names of a kind that are no longer configured and still have their block, those that went first in front. */
  gone(kind: BlockKind): readonly string[] {
    return [...this.#gone].filter((key) => key.startsWith(`${kind}:`));
  }

  /** Gives the block of a name that is gone back. The caller has set it to 0 in every row: nobody counts in it. */
  release(key: string): void {
    const slot = this.#own.get(key);
    if (slot === undefined || !this.#gone.delete(key)) return;
    this.#own.delete(key);
    const kind = kindOf(key);
    this.#free.set(kind, [...(this.#free.get(kind) ?? []), slot]);
  }

  slotOf(key: string): number | undefined {
    return this.#own.get(key);
  }

  /** Every series so far, those no longer configured too. */
  slots(): SlotMap {
    return Object.fromEntries([...this.#own, ...this.#sharing]);
  }

  /** Slots in use from the start of a row: no other one was ever handed out. */
  get used(): number {
    return this.#next;
  }

  save(): SavedSeries {
    const [slots, free] = [Object.fromEntries(this.#own), Object.fromEntries(this.#free)];
    return { capacity: this.#capacity, next: this.#next, slots, free };
  }

  #add(key: string): number {
    const kind = kindOf(key);
    const shared = sharedKey(kind);
    const free = key === shared ? undefined : this.#free.get(kind)?.pop();
    if (free !== undefined) {
      this.#own.set(key, free);
      return free;
    }
    const isFull = this.#next + BLOCKS[kind].slots > this.#capacity;
    if (!isFull && key !== shared) {
      const slot = this.#next;
      this.#next += BLOCKS[kind].slots;
      this.#own.set(key, slot);
      return slot;
    }
    const slot = SHARED_SLOTS.get(kind) as number;
    this.#own.set(shared, slot);
    if (key !== shared) this.#sharing.set(key, slot);
    return slot;
  }
}

function kindOf(key: string): BlockKind {
  const name = parseSeriesKey(key);
  if (name === undefined) throw new TypeError(`not a series key: ${key}`);
  return name.kind;
}
