/**
 * Measure: what a load saw, as the figures of a report.
 */
import type { Sample } from "./steady-load.ts";

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export const within = (samples: readonly Sample[], { fromMs, toMs }: Span) =>
  samples.filter(({ dueAtMs }) => dueAtMs >= fromMs && dueAtMs < toMs);

/** Of the answers that were right, in ms; 0 of none. in  share 0 to 1 */
export function quantile(samples: readonly Sample[], share: number): number {
  const sorted = Float64Array.from(
    samples.filter(({ trouble }) => trouble === ""),
    ({ tookMs }) => tookMs,
  ).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** How often each trouble was met, the most frequent first. */
export function troubles(samples: readonly Sample[]): readonly (readonly [trouble: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const { trouble } of samples) if (trouble !== "") counts.set(trouble, (counts.get(trouble) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

const WINDOW_MS = 500;
/** One good window may be chance. */
const GOOD_IN_A_ROW = 2;

/** p99 of each half-second of the span that had an answer. */
function windowP99s(samples: readonly Sample[], span: Span): number[] {
  const found: number[] = [];
  for (let fromMs = span.fromMs; fromMs + WINDOW_MS <= span.toMs; fromMs += WINDOW_MS)
    found.push(quantile(within(samples, { fromMs, toMs: fromMs + WINDOW_MS }), 0.99));
  return found;
}

/**
 * The p99 that a span usually has: the median of its half-seconds'.
 *
 * why    a machine that others use stops for some hundred ms now and then; that is no doing of the proxy
 */
export function usualP99(samples: readonly Sample[], span: Span): number {
  const sorted = windowP99s(samples, span).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * Time from the start of the span until p99 is within the limit and stays so for a second.
 *
 * out    in steps of half a second; undefined when it never was
 */
export function recoveryMs(samples: readonly Sample[], span: Span, limitMs: number): number | undefined {
  let good = 0;
  for (const [at, p99Ms] of windowP99s(samples, span).entries()) {
    good = p99Ms > 0 && p99Ms <= limitMs ? good + 1 : 0;
    if (good === GOOD_IN_A_ROW) return (at + 1 - GOOD_IN_A_ROW) * WINDOW_MS;
  }
  return undefined;
}

/** Counts by tenths of a second since the epoch. */
export type Tenths = ReadonlyMap<number, number>;
const TENTH_MS = 100;
const TENTHS_A_SECOND = 10;

/** Least part of its share that an endpoint takes in slow start. */
const COLD_SHARE = 0.1;

export interface Return {
  /** ms from the end of the fault to the first request; undefined when none came. */
  readonly afterMs: number | undefined;
  /** Second by second: what it took, as a part of what each of the others took. */
  readonly taken: readonly number[];
  /** The same by the curve. */
  readonly curve: readonly number[];
  /** The greatest distance between the two while the curve grows, 0 to 1. */
  readonly deviation: number;
}

/** How an endpoint came back among others. in  when its fault ended; what it and the others got */
export function returned(span: Span, own: Tenths, others: readonly Tenths[], slowStartMs: number): Return {
  const last = Math.floor(span.toMs / TENTH_MS) - 1;
  let first = Math.ceil(span.fromMs / TENTH_MS);
  while (first <= last && !isBackAt(own, first)) first++;
  if (first > last) return { afterMs: undefined, taken: [], curve: [], deviation: Number.NaN };
  const taken: number[] = [];
  const curve: number[] = [];
  let deviation = 0;
  for (let second = 0; first + (second + 1) * TENTHS_A_SECOND <= last; second++) {
    const from = first + second * TENTHS_A_SECOND;
    const each = others.reduce((sum, tenths) => sum + sumOf(tenths, from), 0) / others.length;
    const part = sumOf(own, from) / each;
    const due = meanOfCurve(second * 1000, slowStartMs);
    taken.push(part);
    curve.push(due);
    if (second * 1000 < slowStartMs) deviation = Math.max(deviation, Math.abs(part - due));
  }
  return { afterMs: first * TENTH_MS - span.fromMs, taken, curve, deviation };
}

/** True when requests come from then on: in that tenth, and in both halves of the second that it begins. */
function isBackAt(own: Tenths, at: number): boolean {
  const half = TENTHS_A_SECOND / 2;
  return (own.get(at) ?? 0) > 0 && sumOf(own, at + 1, half - 1) > 0 && sumOf(own, at + half, half) > 0;
}

function sumOf(tenths: Tenths, from: number, count = TENTHS_A_SECOND): number {
  let sum = 0;
  for (let index = 0; index < count; index++) sum += tenths.get(from + index) ?? 0;
  return sum;
}

/** Over the second that begins there. */
function meanOfCurve(fromMs: number, slowStartMs: number): number {
  let sum = 0;
  for (let index = 0; index < TENTHS_A_SECOND; index++) {
    const elapsedMs = fromMs + (index + 0.5) * TENTH_MS;
    sum += slowStartMs === 0 ? 1 : Math.min(1, Math.max(COLD_SHARE, elapsedMs / slowStartMs));
  }
  return sum / TENTHS_A_SECOND;
}
