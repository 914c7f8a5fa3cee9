/**
 * Top frame: two looks at a running Weir → what happened between them.
 *
 * in     two answers of `/api/v1/live`, the older one first
 * out    rates a second, quantiles of just this span, and what is in flight, waiting and wrong now
 * note   a route or endpoint that was not there before, or that counts from 0 again, is taken as it is
 */
import type { EndpointStatus, Status, UpstreamStatus } from "../admin/status.ts";
import { quantileMs } from "../observe/histogram.ts";
import { HISTOGRAM_SLOTS } from "../observe/metrics.table.ts";

/** An answer, and when it came; a clock that only goes forward. */
export interface Look {
  readonly status: Status;
  readonly atMs: number;
}

export interface Rates {
  readonly requests: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface RouteFrame extends Rates {
  readonly name: string;
  readonly active: number;
}

export interface EndpointFrame extends Rates {
  readonly upstream: string;
  readonly name: string;
  readonly active: number;
  readonly state: EndpointStatus["state"];
  readonly why: string;
  readonly since: string | undefined;
}

export interface Frame {
  readonly status: Status;
  readonly seconds: number;
  /** All routes together. */
  readonly total: RouteFrame;
  readonly routes: readonly RouteFrame[];
  /** In the order of the configuration. */
  readonly endpoints: readonly EndpointFrame[];
  /** Upstreams whose requests wait, or whose breaker is open. */
  readonly held: readonly Pick<UpstreamStatus, "name" | "waiting" | "breakersOpen">[];
}

/** What is compared of a route and of an endpoint. */
interface Counts {
  readonly requests: number;
  readonly errors: number;
  readonly histogram: Float64Array;
}

const NOTHING: Counts = { requests: 0, errors: 0, histogram: new Float64Array(HISTOGRAM_SLOTS) };

export function frameOf(before: Look, now: Look): Frame {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
  const routesBefore = new Map(before.status.routes.map((route) => [route.name, countsOf(route, 0)]));
  const routeSpans = now.status.routes.map((route) => {
    const span = between(routesBefore.get(route.name), countsOf(route, 0));
    return { name: route.name, active: route.active, span };
  });
  const all = routeSpans.reduce((sum, { span }) => plus(sum, span), NOTHING);
  const active = routeSpans.reduce((sum, route) => sum + route.active, 0);
  return {
    status: now.status,
    seconds,
    total: { name: "", active, ...ratesOf(all, seconds) },
    routes: routeSpans.map((route) => ({
      name: route.name,
      active: route.active,
      ...ratesOf(route.span, seconds),
    })),
    endpoints: endpointFrames(before, now, seconds),
    held: now.status.upstreams.filter(({ waiting, breakersOpen }) => waiting > 0 || breakersOpen > 0),
  };
}

function endpointFrames(before: Look, now: Look, seconds: number): EndpointFrame[] {
  const known = new Map<string, Counts>();
  for (const { name: upstream, endpoints } of before.status.upstreams) {
    for (const endpoint of endpoints) known.set(keyOf(upstream, endpoint.name), endpointCounts(endpoint));
  }
  return now.status.upstreams.flatMap(({ name: upstream, endpoints }) =>
    endpoints.map((endpoint) => {
      const { name, active, state, why, since } = endpoint;
      const span = between(known.get(keyOf(upstream, name)), endpointCounts(endpoint));
      return { upstream, name, active, state, why, since, ...ratesOf(span, seconds) };
    }),
  );
}

const keyOf = (upstream: string, endpoint: string) => `${upstream}\0${endpoint}`;
const endpointCounts = (endpoint: EndpointStatus) => countsOf(endpoint, endpoint.errors);

interface Counted {
  readonly requests: number;
  readonly errors5xx: number;
  readonly buckets?: readonly number[];
}

/** in  `more`: failures that got no status */
function countsOf({ requests, errors5xx, buckets = [] }: Counted, more: number): Counts {
  const histogram = new Float64Array(HISTOGRAM_SLOTS);
  for (let at = 0; at + 1 < buckets.length; at += 2)
    histogram[buckets[at] as number] = buckets[at + 1] as number;
  return { requests, errors: errors5xx + more, histogram };
}

function between(before: Counts | undefined, now: Counts): Counts {
  if (before === undefined || now.requests < before.requests) return now;
  return {
    requests: now.requests - before.requests,
    errors: Math.max(0, now.errors - before.errors),
    histogram: now.histogram.map((count, bucket) =>
      Math.max(0, count - (before.histogram[bucket] as number)),
    ),
  };
}

function plus(sum: Counts, { requests, errors, histogram }: Counts): Counts {
  return {
    requests: sum.requests + requests,
    errors: sum.errors + errors,
    histogram: sum.histogram.map((count, bucket) => count + (histogram[bucket] as number)),
  };
}

function ratesOf({ requests, errors, histogram }: Counts, seconds: number): Rates {
  return {
    requests: requests / seconds,
    errors: errors / seconds,
    p50Ms: quantileMs(histogram, 0, 0.5),
    p95Ms: quantileMs(histogram, 0, 0.95),
    p99Ms: quantileMs(histogram, 0, 0.99),
  };
}
