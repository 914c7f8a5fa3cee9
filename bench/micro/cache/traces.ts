/**
 * Traces: requests for numbered objects, the same in every run.
 */

/** Chances as good as random, and the same in every run (mulberry32). */
export function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `length` requests for `objects` objects, the n-th of which is asked for in proportion to 1/n^skew. */
export function zipf(objects: number, skew: number, length: number, seed = 1): Int32Array {
  const sums = new Float64Array(objects);
  let sum = 0;
  for (let rank = 0; rank < objects; rank++) {
    sum += 1 / (rank + 1) ** skew;
    sums[rank] = sum;
  }
  const chance = chances(seed);
  const requests = new Int32Array(length);
  for (let at = 0; at < length; at++) requests[at] = rankOf(sums, chance() * sum);
  return requests;
}

function rankOf(sums: Float64Array, point: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] as number) < point) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Every object once, in order, between two halves: what a crawler does. */
export function withScan(requests: Int32Array, objects: number): Int32Array {
  const middle = requests.length >> 1;
  const all = new Int32Array(requests.length + objects);
  all.set(requests.subarray(0, middle));
  for (let object = 0; object < objects; object++) all[middle + object] = object;
  all.set(requests.subarray(middle), middle + objects);
  return all;
}

/** Sizes as responses have them: most of some KiB, a few up to `most`; the same for an object in every run. */
export function sizesOf(objects: number, least: number, most: number): Int32Array {
  const chance = chances(7);
  const sizes = new Int32Array(objects);
  for (let object = 0; object < objects; object++) {
    sizes[object] = Math.min(most, Math.floor(least * (most / least) ** (chance() ** 2)));
  }
  return sizes;
}
