/**
 * Status: what control knows and what the zone holds, as the admin API shows it.
 *
 * cost   reads a few dozen slots a route and worker row; only when asked
 */
import type { CacheDryStatus, RouteCacheStatus } from "../admin/cache-status.ts";
import type {
  CertificateStatus,
  EndpointStatus,
  ListenerStatus,
  RouteStatus,
  UpstreamStatus,
  WorkerStatus,
} from "../admin/status.ts";
import type { EndpointConfig, RouteConfig, UpstreamConfig } from "../config/config.ts";
import type { EndpointStanding } from "../control/endpoint-board.ts";
import type { BoundAddress } from "../control/listener-sockets.ts";
import type { CertificateRow } from "../control/materials.ts";
import { type Address, formatAddress, parseIp } from "../core/address.ts";
import { quantileMs } from "../observe/histogram.ts";
import {
  CACHE,
  CACHE_DRY_RESULTS,
  CACHE_REFUSE_REASONS,
  CACHE_RESULTS,
  CACHE_SOURCES,
  type CacheResult,
  ENDPOINT,
  HISTOGRAM_BUCKETS,
  HISTOGRAM_SLOTS,
  LISTENER,
  ROUTE,
  UPSTREAM,
  WORKER,
} from "../observe/metrics.table.ts";
import { type SlotMap, seriesKey } from "../observe/series.ts";
import { standingStatus } from "./endpoint-states.ts";
import type { Addresses } from "./messages.ts";
import type { WorkerFacts } from "./workers.ts";

/** Rows of all workers, and where each series is in them. */
export class Counted {
  readonly rows: readonly Float64Array[];
  readonly #slots: SlotMap;

  constructor(rows: readonly Float64Array[], slots: SlotMap) {
    this.rows = rows;
    this.#slots = slots;
  }

  /** One metric of a series, summed over workers. */
  sum(key: string, offset: number): number {
    const slot = this.#slots[key];
    return slot === undefined ? 0 : this.#sumAt(slot + offset);
  }

  /** One metric of a series in one row. */
  at(row: number, key: string, offset: number): number {
    return this.rows[row]?.[(this.#slots[key] ?? Number.NaN) + offset] ?? 0;
  }

  /** A histogram summed over workers. */
  histogram(key: string, offset: number): Float64Array {
    return Float64Array.from({ length: HISTOGRAM_SLOTS }, (_, index) => this.sum(key, offset + index));
  }

  #sumAt(slot: number): number {
    let sum = 0;
    for (const row of this.rows) sum += row[slot] ?? 0;
    return sum;
  }
}

export function workerStatus(facts: WorkerFacts, counted: Counted): WorkerStatus {
  const { slot, row, pid, state, restarts, heartbeatAgeMs } = facts;
  const memoryBytes = counted.at(row, seriesKey("worker"), WORKER.at.memoryBytes);
  return { worker: slot, pid, state, restarts, heartbeatAgeMs, memoryBytes };
}

export function listenerStatus(
  name: string,
  bound: readonly BoundAddress[],
  counted: Counted,
): ListenerStatus {
  const key = seriesKey("listener", name);
  return {
    name,
    addresses: bound.filter((entry) => entry.listener === name).map(({ address }) => formatAddress(address)),
    connectionsActive: counted.sum(key, LISTENER.at.active),
    connections: counted.sum(key, LISTENER.at.connections),
    requests: counted.sum(key, LISTENER.at.requests),
  };
}

/** What a status is made for: `live` has the histograms too. */
export type Detail = "status" | "live";

export function routeStatus(
  { name, cache }: Pick<RouteConfig, "name" | "cache">,
  counted: Counted,
  detail: Detail,
): RouteStatus {
  const key = seriesKey("route", name);
  const { status1xx, status2xx, status3xx, status4xx, status5xx } = ROUTE.at;
  const classes = [status1xx, status2xx, status3xx, status4xx, status5xx];
  const requests = classes.reduce((sum, offset) => sum + counted.sum(key, offset), 0);
  return {
    name,
    requests,
    active: counted.sum(key, ROUTE.at.active),
    errors5xx: counted.sum(key, status5xx),
    ...latencies(requests === 0 ? undefined : counted.histogram(key, ROUTE.at.duration), detail),
    ...(cache === undefined ? {} : { cache: routeCacheStatus(name, counted, cache.isDry) }),
  };
}

function routeCacheStatus(name: string, counted: Counted, isDry: boolean): RouteCacheStatus {
  const key = seriesKey("cache", name);
  const { at } = CACHE;
  const result = (wanted: CacheResult) => counted.sum(key, at.requests + CACHE_RESULTS.indexOf(wanted));
  return {
    hit: result("hit"),
    stale: result("stale"),
    revalidated: result("revalidated"),
    miss: result("miss"),
    bypass: result("bypass"),
    coalesced: counted.sum(key, at.coalesced),
    stored: counted.sum(key, at.stored),
    refused: CACHE_REFUSE_REASONS.reduce(
      (sum, _reason, index) => sum + counted.sum(key, at.refused + index),
      0,
    ),
    bytesFromCache: counted.sum(key, at.bytes + CACHE_SOURCES.indexOf("cache")),
    bytesFromEndpoint: counted.sum(key, at.bytes + CACHE_SOURCES.indexOf("endpoint")),
    ...(isDry ? { dry: dryStatus(key, counted) } : {}),
  };
}

function dryStatus(key: string, counted: Counted): CacheDryStatus {
  const result = (wanted: (typeof CACHE_DRY_RESULTS)[number]) =>
    counted.sum(key, CACHE.at.dry + CACHE_DRY_RESULTS.indexOf(wanted));
  return { hit: result("hit"), differed: result("differed"), stored: result("stored") };
}

type Latencies = Pick<RouteStatus, "p50Ms" | "p95Ms" | "p99Ms" | "buckets">;

function latencies(histogram: Float64Array | undefined, detail: Detail): Latencies {
  const quantile = (share: number) =>
    histogram === undefined ? 0 : inMicros(quantileMs(histogram, 0, share));
  const all = { p50Ms: quantile(0.5), p95Ms: quantile(0.95), p99Ms: quantile(0.99) };
  return detail === "status" ? all : { ...all, buckets: sparse(histogram ?? new Float64Array()) };
}

/** Bucket, count, bucket, count … of those that have any. */
function sparse(histogram: Float64Array): number[] {
  const pairs: number[] = [];
  for (const [bucket, count] of histogram.subarray(0, HISTOGRAM_BUCKETS).entries()) {
    if (count > 0) pairs.push(bucket, count);
  }
  return pairs;
}

/** To whole microseconds: a histogram knows no more, and a reader wants no more. */
const inMicros = (ms: number) => Math.round(ms * 1000) / 1000;

export interface UpstreamSources {
  readonly counted: Counted;
  readonly addresses: Addresses;
  readonly standing: (upstream: string, endpoint: string) => EndpointStanding | undefined;
}

export function upstreamStatus(
  { name, endpoints }: UpstreamConfig,
  sources: UpstreamSources,
  detail: Detail,
): UpstreamStatus {
  const key = seriesKey("upstream", name);
  return {
    name,
    waiting: sources.counted.sum(key, UPSTREAM.at.waiting),
    breakersOpen: sources.counted.sum(key, UPSTREAM.at.breakersOpen),
    endpoints: endpoints.map((endpoint) => endpointStatus(name, endpoint, sources, detail)),
  };
}

export function endpointStatus(
  upstream: string,
  endpoint: EndpointConfig,
  { counted, addresses, standing }: UpstreamSources,
  detail: Detail,
): EndpointStatus {
  const { name, address } = endpoint;
  const key = seriesKey("endpoint", upstream, name);
  const { at } = ENDPOINT;
  const requests = counted.sum(key, at.requests);
  return {
    name,
    addresses: addressesOf(address, addresses),
    ...standingStatus(standing(upstream, name), endpoint),
    requests,
    active: counted.sum(key, at.active),
    errors: counted.sum(key, at.errors) + counted.sum(key, at.connectErrors),
    errors5xx: counted.sum(key, at.status5xx),
    connectionsOpen: counted.sum(key, at.open),
    connectionsPooled: counted.sum(key, at.pooled),
    ...latencies(requests === 0 ? undefined : counted.histogram(key, at.firstByte), detail),
  };
}

export function certificateStatus({ listener, offer, facts, isDefault }: CertificateRow): CertificateStatus {
  const { source, origin, lastError, renewsAtMs } = offer;
  return {
    listener,
    names: facts?.names ?? offer.names,
    source,
    origin,
    isDefault,
    keyType: facts?.keyType,
    issuer: facts?.issuer,
    notBefore: isoTime(facts?.notBeforeMs),
    notAfter: isoTime(facts?.notAfterMs),
    renewsAt: isoTime(renewsAtMs),
    lastError,
  };
}

const isoTime = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());

function addressesOf(address: Address, known: Addresses): readonly string[] {
  if (address.kind === "unix") return [formatAddress(address)];
  return parseIp(address.host) === undefined ? (known[address.host] ?? []) : [address.host];
}
