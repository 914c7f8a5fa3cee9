/**
 * Policies: published ways of eviction, exact and by object, to compare with: what is asked for and fits is kept.
 *
 * shape  budgets in bytes; objects are numbers; lists are links in typed arrays, so that millions of requests take seconds
 */

export interface Policy {
  /** out  a hit */
  request(object: number): boolean;
}

/** Doubly linked lists of objects: the newest first. An object is in one list at most. */
class Lists {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly of: Int8Array;
  readonly bytes: Float64Array;
  readonly #sizes: Int32Array;
  readonly #objects: number;

  constructor(sizes: Int32Array, lists: number) {
    this.#objects = sizes.length;
    this.#sizes = sizes;
    this.#next = new Int32Array(sizes.length + lists);
    this.#previous = new Int32Array(sizes.length + lists);
    this.of = new Int8Array(sizes.length).fill(-1);
    this.bytes = new Float64Array(lists);
    for (let list = 0; list < lists; list++) {
      this.#next[sizes.length + list] = sizes.length + list;
      this.#previous[sizes.length + list] = sizes.length + list;
    }
  }

  add(list: number, object: number): void {
    const head = this.#objects + list;
    const first = this.#next[head] as number;
    this.#next[head] = object;
    this.#previous[object] = head;
    this.#next[object] = first;
    this.#previous[first] = object;
    this.of[object] = list;
    this.bytes[list] = (this.bytes[list] as number) + (this.#sizes[object] as number);
  }

  take(object: number): void {
    const list = this.of[object] as number;
    const [next, previous] = [this.#next[object] as number, this.#previous[object] as number];
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.of[object] = -1;
    this.bytes[list] = (this.bytes[list] as number) - (this.#sizes[object] as number);
  }

  oldest(list: number): number {
    const last = this.#previous[this.#objects + list] as number;
    return last >= this.#objects ? -1 : last;
  }

  /** The one that came after this one, or -1 behind the newest. */
  newer(object: number): number {
    const previous = this.#previous[object] as number;
    return previous >= this.#objects ? -1 : previous;
  }
}

export function lru(sizes: Int32Array, budget: number): Policy {
  const lists = new Lists(sizes, 1);
  return {
    request(object) {
      const isHit = lists.of[object] === 0;
      if (isHit) lists.take(object);
      lists.add(0, object);
      while ((lists.bytes[0] as number) > budget) lists.take(lists.oldest(0));
      return isHit;
    },
  };
}

/** SIEVE (Zhang and others 2024): a hand that goes from old to new and spares what was visited. */
export function sieve(sizes: Int32Array, budget: number): Policy {
  const lists = new Lists(sizes, 1);
  const visited = new Uint8Array(sizes.length);
  let hand = -1;
  const evict = () => {
    if (hand === -1) hand = lists.oldest(0);
    while (visited[hand] === 1) {
      visited[hand] = 0;
      hand = lists.newer(hand);
      if (hand === -1) hand = lists.oldest(0);
    }
    const victim = hand;
    hand = lists.newer(victim);
    lists.take(victim);
  };
  return {
    request(object) {
      if (lists.of[object] === 0) {
        visited[object] = 1;
        return true;
      }
      while ((lists.bytes[0] as number) + (sizes[object] as number) > budget) evict();
      visited[object] = 0;
      lists.add(0, object);
      return false;
    },
  };
}

/** S3-FIFO (Yang and others 2023): small tenth, main, ghosts; into main with more than `threshold` - 1 uses. */
export function s3Fifo(sizes: Int32Array, budget: number, threshold = 2): Policy {
  const [small, main, ghost] = [0, 1, 2];
  const lists = new Lists(sizes, 3);
  const uses = new Uint8Array(sizes.length);
  const bytesOf = (list: number) => lists.bytes[list] as number;
  const evictSmall = () => {
    const victim = lists.oldest(small);
    lists.take(victim);
    if ((uses[victim] as number) >= threshold) {
      uses[victim] = 0;
      lists.add(main, victim);
      return;
    }
    lists.add(ghost, victim);
    while (bytesOf(ghost) > budget * 0.9) lists.take(lists.oldest(ghost));
  };
  const evictMain = () => {
    const victim = lists.oldest(main);
    lists.take(victim);
    if (uses[victim] === 0) return;
    uses[victim] = (uses[victim] as number) - 1;
    lists.add(main, victim);
  };
  return {
    request(object) {
      const list = lists.of[object] as number;
      if (list === small || list === main) {
        uses[object] = Math.min(3, (uses[object] as number) + 1);
        return true;
      }
      if (list === ghost) lists.take(object);
      while (bytesOf(small) + bytesOf(main) + (sizes[object] as number) > budget) {
        if (bytesOf(small) > budget * 0.1 || lists.oldest(main) === -1) evictSmall();
        else evictMain();
      }
      uses[object] = 0;
      lists.add(list === ghost ? main : small, object);
      return false;
    },
  };
}

/** Counts of how often things were asked for lately, 4 bits in four rows (count-min), halved now and then. */
function sketch(capacity: number) {
  const width = 2 ** Math.ceil(Math.log2(capacity * 2));
  const rows = [1, 2, 3, 4].map((row) => ({
    seed: Math.imul(row, 0x9e3779b9),
    counts: new Uint8Array(width),
  }));
  let additions = 0;
  const at = (object: number, seed: number) => {
    let mixed = Math.imul(object ^ seed, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) & (width - 1);
  };
  return {
    add(object: number) {
      for (const { seed, counts } of rows) {
        const slot = at(object, seed);
        if ((counts[slot] as number) < 15) counts[slot] = (counts[slot] as number) + 1;
      }
      if (++additions < capacity * 10) return;
      additions = 0;
      for (const { counts } of rows)
        for (let slot = 0; slot < width; slot++) counts[slot] = (counts[slot] as number) >> 1;
    },
    count(object: number) {
      let least = 15;
      for (const { seed, counts } of rows) least = Math.min(least, counts[at(object, seed)] as number);
      return least;
    },
  };
}

/** W-TinyLFU (Einziger and others 2017): a window of 1 %, then a segmented LRU that one gets into by being asked for more often. */
export function wTinyLfu(sizes: Int32Array, budget: number): Policy {
  const [window, probation, guarded] = [0, 1, 2];
  const lists = new Lists(sizes, 3);
  const average = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  const counts = sketch(Math.ceil(budget / average));
  const bytesOf = (list: number) => lists.bytes[list] as number;
  const admit = (candidate: number) => {
    lists.take(candidate);
    const room = budget * 0.99 - (sizes[candidate] as number);
    while (bytesOf(probation) + bytesOf(guarded) > room) {
      const victim = lists.oldest(probation) === -1 ? lists.oldest(guarded) : lists.oldest(probation);
      if (counts.count(candidate) <= counts.count(victim)) return;
      lists.take(victim);
    }
    lists.add(probation, candidate);
  };
  const promote = (object: number) => {
    lists.take(object);
    lists.add(guarded, object);
    while (bytesOf(guarded) > budget * 0.99 * 0.8) {
      const demoted = lists.oldest(guarded);
      lists.take(demoted);
      lists.add(probation, demoted);
    }
  };
  return {
    request(object) {
      counts.add(object);
      const list = lists.of[object] as number;
      if (list === window) {
        lists.take(object);
        lists.add(window, object);
      } else if (list !== -1) promote(object);
      if (list !== -1) return true;
      lists.add(window, object);
      while (bytesOf(window) > budget * 0.01) admit(lists.oldest(window));
      return false;
    },
  };
}
