/**
 * Outliers: which endpoints do clearly worse than the others with the same traffic?
 *
 * why    an endpoint that fails every second request never fails five in a row, and one that is 50 times slower fails
 *        none at all
 * in     figures of all endpoints over the same window (`counter-window.ts`), all workers together
 * out    1 in `found` for each outlier. What may be done about them is the ejector's matter
 * rule   the others are those with enough requests. When they are no better there is no outlier: the fault is elsewhere,
 *        and ejecting would only crowd the rest
 * cost   O(n log n), once a second
 * spec   Envoy's success-rate ejection: mean − factor × standard deviation. Ours compares with the endpoints that
 *        are well and leaves out the one in question: among n values none is farther from the mean than √(n − 1)
 *        deviations, so that among four (√3 = 1.73) the usual factor of 1.9 would never find any
 */

export interface Figures {
  /** In the window, by the endpoint's index; also the length of the others. */
  readonly requests: Float64Array;
  readonly errors: Float64Array;
  /** A quantile of the latency in the window, in ms; 0 = nothing measured. */
  readonly latencyMs: Float64Array;
}

export interface OutlierRules {
  /** Share of errors below which nobody is an outlier, 0 to 1; 0 = errors are not compared. */
  readonly errorRate: number;
  /** Times the others' median that is too slow; 0 = latency is not compared. */
  readonly latencyFactor: number;
}

/** Requests in the window from which on figures are trusted; Envoy takes 100 in 10 s, for steadier hosts than four. */
export const MIN_REQUESTS = 20;
const DEVIATION_FACTOR = 1.9;
/** A difference below this is scheduling, not sickness: 0.2 against 1 ms is a factor of five. */
export const MIN_LATENCY_GAP_MS = 25;

/** Marks endpoints that fail more than the others; returns how many. */
export function errorOutliers(figures: Figures, rules: OutlierRules, found: Uint8Array): number {
  const { requests, errors } = figures;
  found.fill(0);
  if (rules.errorRate <= 0) return 0;
  let count = 0;
  let sum = 0;
  let squares = 0;
  for (let index = 0; index < requests.length; index++) {
    const share = errorShare(requests, errors, index);
    if (share < 0 || share >= rules.errorRate) continue;
    count++;
    sum += share;
    squares += share * share;
  }
  if (count === 0) return 0;
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
  const mostShare = Math.max(rules.errorRate, mean + DEVIATION_FACTOR * deviation);
  return mark(requests, found, (index) => errorShare(requests, errors, index) >= mostShare);
}

/** Share of errors; -1 with too few requests to tell. */
function errorShare(requests: Float64Array, errors: Float64Array, index: number): number {
  const count = requests[index] as number;
  return count < MIN_REQUESTS ? -1 : Math.min(1, (errors[index] as number) / count);
}

/** Marks endpoints that are slower than the others; returns how many. */
export function latencyOutliers(figures: Figures, rules: OutlierRules, found: Uint8Array): number {
  const { requests, latencyMs } = figures;
  found.fill(0);
  if (rules.latencyFactor <= 0) return 0;
  const isMeasured = (index: number) =>
    (requests[index] as number) >= MIN_REQUESTS && (latencyMs[index] as number) > 0;
  const sorted = latencyMs.filter((_, index) => isMeasured(index)).sort();
  if (sorted.length < 2) return 0;
  return mark(requests, found, (index) => {
    if (!isMeasured(index)) return false;
    const own = latencyMs[index] as number;
    const others = medianWithout(sorted, own);
    return own >= others * rules.latencyFactor && own - others >= MIN_LATENCY_GAP_MS;
  });
}

/** Lower median of the sorted values, one that equals `own` left out: of two, the better one is the measure. */
function medianWithout(sorted: Float64Array, own: number): number {
  const middle = (sorted.length - 2) >> 1;
  const isBeyond = own <= (sorted[middle] as number);
  return sorted[isBeyond ? middle + 1 : middle] as number;
}

function mark(figures: Float64Array, found: Uint8Array, isFound: (index: number) => boolean): number {
  let count = 0;
  for (let index = 0; index < figures.length; index++) {
    if (!isFound(index)) continue;
    found[index] = 1;
    count++;
  }
  return count;
}
