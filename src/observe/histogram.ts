/**
 * Histogram: which bucket does a time belong to, and what is its bound?
 *
 * why    buckets grow by a quarter of an octave, so p95 and p99 come out within about 10 % from
 *        100 µs to a minute, and finding the bucket is a count of leading zeros, not a search
 */
import {
  BUCKETS_PER_OCTAVE,
  FIRST_BUCKET_LOG2_MICROS,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_OCTAVES,
} from "./metrics.table.ts";

const SUB_BITS = Math.log2(BUCKETS_PER_OCTAVE);
const LAST_BUCKET = HISTOGRAM_BUCKETS - 1;
const TOO_SLOW_MICROS = 2 ** (FIRST_BUCKET_LOG2_MICROS + HISTOGRAM_OCTAVES);

/** Bucket of a duration; bucket 0 is all below 64 µs, the last one all from 67 s on. */
export function bucketOf(durationMs: number): number {
  const micros = durationMs * 1000;
  if (!(micros >= 1 << FIRST_BUCKET_LOG2_MICROS)) return 0;
  if (micros >= TOO_SLOW_MICROS) return LAST_BUCKET;
  const whole = micros | 0;
  const log2 = 31 - Math.clz32(whole);
  const sub = (whole >> (log2 - SUB_BITS)) & (BUCKETS_PER_OCTAVE - 1);
  return ((log2 - FIRST_BUCKET_LOG2_MICROS) << SUB_BITS) + sub + 1;
}

/** Upper bound of a bucket in ms; Infinity for the last. */
export function bucketUpperMs(bucket: number): number {
  if (bucket >= LAST_BUCKET) return Number.POSITIVE_INFINITY;
  const log2 = FIRST_BUCKET_LOG2_MICROS + ((bucket - 1) >> SUB_BITS);
  const sub = (bucket - 1) & (BUCKETS_PER_OCTAVE - 1);
  if (bucket === 0) return 2 ** FIRST_BUCKET_LOG2_MICROS / 1000;
  return (2 ** log2 * (1 + (sub + 1) / BUCKETS_PER_OCTAVE)) / 1000;
}

/** Adds one observation to the histogram that starts at `slot`. */
export function observe(slots: Float64Array, slot: number, durationMs: number): void {
  const bucket = slot + bucketOf(durationMs);
  slots[bucket] = (slots[bucket] as number) + 1;
  const sum = slot + HISTOGRAM_BUCKETS;
  slots[sum] = (slots[sum] as number) + durationMs / 1000;
}

/** Quantile (0–1) in ms read from the buckets, by straight line inside of one; 0 when empty. */
export function quantileMs(slots: Float64Array, slot: number, quantile: number): number {
  let total = 0;
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) total += slots[slot + bucket] as number;
  const rank = total * quantile;
  let seen = 0;
  for (let bucket = 0; total > 0 && bucket < HISTOGRAM_BUCKETS; bucket++) {
    const here = slots[slot + bucket] as number;
    if (seen + here >= rank && here > 0) {
      const lower = bucket === 0 ? 0 : bucketUpperMs(bucket - 1);
      const upper = bucket === LAST_BUCKET ? lower : bucketUpperMs(bucket);
      return lower + ((upper - lower) * (rank - seen)) / here;
    }
    seen += here;
  }
  return 0;
}
