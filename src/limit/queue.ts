/**
 * Wait queue: who waits for a place, who is next, and who has waited too long?
 *
 * why    a short burst is better kept a moment than refused; a queue without bounds only makes everybody late
 * rule   higher priorities first. Within one, keys take turns (stochastic fair queueing: keys are spread over LANES by
 *        hash), so that one busy client does not put its whole burst before everybody else; within a lane, first in,
 *        first out. All wait for the same time at most
 * shape  places in typed arrays, linked by their numbers: a lane each, and one list of all in the order they came. The
 *        arrays grow with the queue up to its capacity, an upstream where nobody ever waited has none
 * cost   O(1) for everything but `displace`, which looks at LANES lanes; no allocation for one who waits
 * spec   P. McKenney, Stochastic Fairness Queueing (1990); HAProxy's `maxqueue` and `timeout queue`
 */

/** What a full queue gives instead of a ticket. */
export const NO_TICKET = -1;
/** 0 is served first. */
export const PRIORITIES = 3;
/** Enough that two of a few busy keys rarely share one. */
const LANES = 64;
const NONE = -1;
const FIRST_SIZE = 16;
/** A ticket is its place plus the place's use times this: places are used again, tickets are not. */
const TICKET_STEP = 2 ** 24;
export const MAX_CAPACITY = TICKET_STEP;

export interface QueueRules {
  /** Most that may wait; 0 = nobody. */
  readonly capacity: number;
  readonly waitMs: number;
}

export class WaitQueue<Item extends object> {
  readonly #capacity: number;
  readonly #waitMs: number;
  #size = 0;

  #items: (Item | undefined)[] = [];
  #uses = new Float64Array(0);
  #cameAtMs = new Float64Array(0);
  #laneOf = new Int32Array(0);
  /** Neighbours in the lane. `#laneNext` also links places that are free. */
  #laneNext = new Int32Array(0);
  #lanePrevious = new Int32Array(0);
  /** Neighbours among all, in the order they came. */
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  #free = NONE;
  #first = NONE;
  #last = NONE;

  /** First and last place of each lane, LANES for each priority. */
  readonly #laneFirst = new Int32Array(PRIORITIES * LANES).fill(NONE);
  readonly #laneLast = new Int32Array(PRIORITIES * LANES).fill(NONE);
  /** Lanes with somebody in them form a ring for each priority; `#turn` is the one served last. */
  readonly #ringNext = new Int32Array(PRIORITIES * LANES).fill(NONE);
  readonly #ringPrevious = new Int32Array(PRIORITIES * LANES).fill(NONE);
  readonly #turn = new Int32Array(PRIORITIES).fill(NONE);

  constructor(rules: QueueRules) {
    this.#capacity = Math.min(rules.capacity, MAX_CAPACITY);
    this.#waitMs = rules.waitMs;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#capacity;
  }

  /** Lets `item` wait. out  its ticket, or NO_TICKET when the queue is full. `key` is any 32-bit hash */
  enter(item: Item, priority: number, key: number, nowMs: number): number {
    if (this.isFull) return NO_TICKET;
    if (this.#free === NONE) this.#grow();
    const place = this.#free;
    this.#free = this.#laneNext[place] as number;
    this.#items[place] = item;
    this.#cameAtMs[place] = nowMs;
    this.#linkLast(place);
    this.#linkLane(place, priority * LANES + (key & (LANES - 1)));
    this.#size++;
    return (this.#uses[place] as number) * TICKET_STEP + place;
  }

  /** Who is next; it waits no longer. undefined = nobody waits */
  next(): Item | undefined {
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const turn = this.#turn[priority] as number;
      if (turn === NONE) continue;
      const lane = this.#ringNext[turn] as number;
      this.#turn[priority] = lane;
      return this.#take(this.#laneFirst[lane] as number);
    }
    return undefined;
  }

  /** The holder of this ticket waits no longer; false when it did not wait any more. */
  cancel(ticket: number): boolean {
    const place = ticket % TICKET_STEP;
    if (this.#items[place] === undefined) return false;
    if (ticket !== (this.#uses[place] as number) * TICKET_STEP + place) return false;
    this.#take(place);
    return true;
  }

  /** One who has waited for the whole time; it waits no longer. undefined = nobody has */
  expire(nowMs: number): Item | undefined {
    return this.#size > 0 && nowMs >= this.dueAtMs ? this.#take(this.#first) : undefined;
  }

  /**
   * Makes room for somebody of `priority`: the last that came among those of the lowest priority below it waits no
   * longer. undefined = nobody below it waits
   */
  displace(priority: number): Item | undefined {
    for (let lower = PRIORITIES - 1; lower > priority; lower--) {
      const turn = this.#turn[lower] as number;
      if (turn !== NONE) return this.#take(this.#lastOf(turn));
    }
    return undefined;
  }

  /** Last that came of all lanes in the ring that `lane` is in. */
  #lastOf(lane: number): number {
    let last = this.#laneLast[lane] as number;
    for (
      let other = this.#ringNext[lane] as number;
      other !== lane;
      other = this.#ringNext[other] as number
    ) {
      const place = this.#laneLast[other] as number;
      if ((this.#cameAtMs[place] as number) >= (this.#cameAtMs[last] as number)) last = place;
    }
    return last;
  }

  /** When the first of those who wait has waited for the whole time; Infinity when nobody waits. */
  get dueAtMs(): number {
    if (this.#size === 0) return Number.POSITIVE_INFINITY;
    return (this.#cameAtMs[this.#first] as number) + this.#waitMs;
  }

  /** How long the one that came first has waited; 0 when nobody waits. */
  oldestMs(nowMs: number): number {
    return this.#size === 0 ? 0 : nowMs - (this.#cameAtMs[this.#first] as number);
  }

  #take(place: number): Item {
    const item = this.#items[place] as Item;
    this.#items[place] = undefined;
    this.#uses[place] = (this.#uses[place] as number) + 1;
    this.#unlink(place);
    this.#unlinkLane(place);
    this.#laneNext[place] = this.#free;
    this.#free = place;
    this.#size--;
    return item;
  }

  #linkLast(place: number): void {
    this.#next[place] = NONE;
    this.#previous[place] = this.#last;
    if (this.#last === NONE) this.#first = place;
    else this.#next[this.#last] = place;
    this.#last = place;
  }

  #unlink(place: number): void {
    const next = this.#next[place] as number;
    const previous = this.#previous[place] as number;
    if (previous === NONE) this.#first = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#last = previous;
    else this.#previous[next] = previous;
  }

  #linkLane(place: number, lane: number): void {
    const last = this.#laneLast[lane] as number;
    this.#laneOf[place] = lane;
    this.#laneNext[place] = NONE;
    this.#lanePrevious[place] = last;
    this.#laneLast[lane] = place;
    if (last !== NONE) {
      this.#laneNext[last] = place;
      return;
    }
    this.#laneFirst[lane] = place;
    this.#joinRing(lane);
  }

  #unlinkLane(place: number): void {
    const lane = this.#laneOf[place] as number;
    const next = this.#laneNext[place] as number;
    const previous = this.#lanePrevious[place] as number;
    if (previous === NONE) this.#laneFirst[lane] = next;
    else this.#laneNext[previous] = next;
    if (next === NONE) this.#laneLast[lane] = previous;
    else this.#lanePrevious[next] = previous;
    if (this.#laneFirst[lane] === NONE) this.#leaveRing(lane);
  }

  /** A lane that was empty is served after all others that wait now. */
  #joinRing(lane: number): void {
    const priority = (lane / LANES) | 0;
    const turn = this.#turn[priority] as number;
    if (turn === NONE) {
      this.#ringNext[lane] = lane;
      this.#ringPrevious[lane] = lane;
      this.#turn[priority] = lane;
      return;
    }
    const next = this.#ringNext[turn] as number;
    this.#ringNext[turn] = lane;
    this.#ringPrevious[lane] = turn;
    this.#ringNext[lane] = next;
    this.#ringPrevious[next] = lane;
    this.#turn[priority] = lane;
  }

  #leaveRing(lane: number): void {
    const priority = (lane / LANES) | 0;
    const next = this.#ringNext[lane] as number;
    const previous = this.#ringPrevious[lane] as number;
    this.#ringNext[previous] = next;
    this.#ringPrevious[next] = previous;
    if (this.#turn[priority] === lane) this.#turn[priority] = previous === lane ? NONE : previous;
  }

  /** More places: twice as many, up to the capacity. */
  #grow(): void {
    const before = this.#uses.length;
    const size = Math.min(this.#capacity, Math.max(FIRST_SIZE, before * 2));
    this.#uses = grown(this.#uses, new Float64Array(size));
    this.#cameAtMs = grown(this.#cameAtMs, new Float64Array(size));
    this.#laneOf = grown(this.#laneOf, new Int32Array(size));
    this.#laneNext = grown(this.#laneNext, new Int32Array(size));
    this.#lanePrevious = grown(this.#lanePrevious, new Int32Array(size));
    this.#next = grown(this.#next, new Int32Array(size));
    this.#previous = grown(this.#previous, new Int32Array(size));
    while (this.#items.length < size) this.#items.push(undefined);
    for (let place = size - 1; place >= before; place--) {
      this.#laneNext[place] = this.#free;
      this.#free = place;
    }
  }
}

function grown<List extends Float64Array | Int32Array>(from: List, to: List): List {
  to.set(from);
  return to;
}
