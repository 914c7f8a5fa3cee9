/**
 * Metrics: every number that workers count, as data: where it lives and what it means.
 *
 * why    the hot path adds to a slot of a Float64Array and knows nothing of names; the scraper and the
 *        reference read names, kinds and meanings from the same rows, so they cannot disagree
 * shape  a block a subject (worker, listener, route, upstream, endpoint); a metric is an offset in it;
 *        a histogram takes HISTOGRAM_SLOTS slots: buckets, then sum in seconds
 * rule   append rows at the end of a block; a name never changes once released
 */
import { FAILURE_CODES } from "../core/failure.ts";

/** Buckets a factor of two: 4 keeps a p99 read from them within about 10 %. */
export const BUCKETS_PER_OCTAVE = 4;
/** Upper bound of the first bucket: 64 µs (2^6). */
export const FIRST_BUCKET_LOG2_MICROS = 6;
/** 2^6 µs … 2^26 µs (67 s), then one bucket for all that is slower. */
export const HISTOGRAM_OCTAVES = 20;
export const HISTOGRAM_BUCKETS = HISTOGRAM_OCTAVES * BUCKETS_PER_OCTAVE + 2;
export const HISTOGRAM_SLOTS = HISTOGRAM_BUCKETS + 1;

export type MetricKind = "counter" | "gauge" | "histogram";
export interface MetricRow {
  /** Prometheus name; several rows may share one and differ in `label`. */
  readonly name: string;
  readonly kind: MetricKind;
  readonly help: string;
  /** Fixed label of this row, next to the block's own. */
  readonly label?: readonly [name: string, value: string];
  /** One slot a value of this label, in this order; such a row is summed over workers. */
  readonly each?: { readonly label: string; readonly values: readonly string[] };
  readonly slots: number;
}

const counter = (name: string, help: string, label?: readonly [string, string]): MetricRow =>
  label === undefined ? { name, kind: "counter", help, slots: 1 } : { name, kind: "counter", help, label, slots: 1 };
const gauge = (name: string, help: string): MetricRow => ({ name, kind: "gauge", help, slots: 1 });
const histogram = (name: string, help: string): MetricRow => ({ name, kind: "histogram", help, slots: HISTOGRAM_SLOTS });

/** Priorities of routes by their number: 0 is the last to be turned away. */
const SHED_NAMES = ["high", "normal", "low"] as const;
/** Why a protected upstream did not take a request. */
export const GATE_REASONS = ["queue_full", "queue_timeout", "breaker_open", "shed"] as const;

const WORKER_ROWS = {
  failures: { name: "weir_failures_total", kind: "counter", help: "exchanges and connections ended or refused, by reason", each: { label: "reason", values: FAILURE_CODES }, slots: FAILURE_CODES.length } as MetricRow,
  logDropped: counter("weir_access_log_dropped_total", "access log lines dropped because the sink could not keep up"),
  memoryBytes: gauge("weir_worker_memory_bytes", "memory of the worker, without what all workers share"),
  bufferedBytes: gauge("weir_worker_buffered_bytes", "bytes waiting in the worker's buffers for a slow reader"),
  loopLagSec: gauge("weir_worker_loop_lag_seconds", "delay of the last timer tick"),
  shed: { name: "weir_requests_shed_total", kind: "counter", help: "requests turned away because the worker was overloaded, by their route's priority", each: { label: "priority", values: SHED_NAMES }, slots: SHED_NAMES.length } as MetricRow,
  shedLevel: gauge("weir_worker_shed_level", "how much the worker turns away: 0 = nothing, each priority that gets nothing adds 1, one that gets a share its part"),
  compressing: gauge("weir_worker_compressing", "response bodies that are being compressed as they come"),
  compressLevel: gauge("weir_worker_compress_level", "level that `compress.level: auto` has come to: 5 in calm, 1 under load"),
  compressBytes: { name: "weir_compress_bytes_total", kind: "counter", help: "response body bytes that went through compression, before and after it", each: { label: "side", values: ["before", "after"] }, slots: 2 } as MetricRow,
  compressRefused: counter("weir_compress_refused_total", "response bodies sent as they are because encoders had taken their share of memory"),
};

const LISTENER_ROWS = {
  connections: counter("weir_listener_connections_total", "connections accepted"),
  active: gauge("weir_listener_connections_active", "connections open now"),
  refused: counter("weir_listener_connections_refused_total", "connections refused because a limit was reached"),
  requests: counter("weir_listener_requests_total", "request heads read"),
  handshakes: counter("weir_tls_handshakes_total", "TLS handshakes done"),
  handshakeFailures: counter("weir_tls_handshake_failures_total", "TLS handshakes that failed or took longer than timeouts.handshake"),
  handshakesResumed: counter("weir_tls_handshakes_resumed_total", "TLS handshakes shortened by a ticket of an earlier session"),
  h2Connections: counter("weir_listener_h2_connections_total", "connections on which HTTP/2 is spoken"),
};

const ROUTE_ROWS = {
  status1xx: counter("weir_requests_total", "finished exchanges by status class", ["status", "1xx"]),
  status2xx: counter("weir_requests_total", "finished exchanges by status class", ["status", "2xx"]),
  status3xx: counter("weir_requests_total", "finished exchanges by status class", ["status", "3xx"]),
  status4xx: counter("weir_requests_total", "finished exchanges by status class", ["status", "4xx"]),
  status5xx: counter("weir_requests_total", "finished exchanges by status class", ["status", "5xx"]),
  active: gauge("weir_requests_active", "exchanges in flight"),
  bytesReceived: counter("weir_request_body_bytes_total", "request body bytes received"),
  bytesSent: counter("weir_response_body_bytes_total", "response body bytes sent"),
  retries: counter("weir_retries_total", "attempts after the first"),
  aborted: counter("weir_requests_aborted_total", "exchanges cut short after the response head was sent"),
  duration: histogram("weir_request_duration_seconds", "first byte of the request head to last byte of the response"),
  retriesConnect: counter("weir_retries_by_reason_total", "requests sent again, by what the attempt before came to", ["reason", "connect"]),
  retriesStale: counter("weir_retries_by_reason_total", "requests sent again, by what the attempt before came to", ["reason", "stale"]),
  retriesReset: counter("weir_retries_by_reason_total", "requests sent again, by what the attempt before came to", ["reason", "reset"]),
  retriesTimeout: counter("weir_retries_by_reason_total", "requests sent again, by what the attempt before came to", ["reason", "timeout"]),
  retriesStatus: counter("weir_retries_by_reason_total", "requests sent again, by what the attempt before came to", ["reason", "status"]),
  budgetEmpty: counter("weir_retries_refused_total", "requests that were not sent again although the route asks for it", ["reason", "budget"]),
  unrepeatable: counter("weir_retries_refused_total", "requests that were not sent again although the route asks for it", ["reason", "unrepeatable"]),
  hedges: counter("weir_hedges_total", "second endpoints asked because the first was slow"),
  hedgesWon: counter("weir_hedges_won_total", "answers taken from the second endpoint"),
};

const ENDPOINT_ROWS = {
  requests: counter("weir_upstream_requests_total", "requests sent to the endpoint"),
  status5xx: counter("weir_upstream_responses_5xx_total", "5xx responses from the endpoint"),
  connects: counter("weir_upstream_connects_total", "connections made"),
  connectErrors: counter("weir_upstream_connect_errors_total", "connections that failed or timed out"),
  errors: counter("weir_upstream_errors_total", "exchanges the endpoint reset, cut, timed out or answered with something that is not HTTP"),
  active: gauge("weir_upstream_requests_active", "requests in flight"),
  open: gauge("weir_upstream_connections_open", "connections open, busy and pooled"),
  pooled: gauge("weir_upstream_connections_pooled", "idle connections kept for reuse"),
  connectTime: histogram("weir_upstream_connect_seconds", "time to make a connection"),
  firstByte: histogram("weir_upstream_first_byte_seconds", "request sent to response head read"),
};

/** Of upstreams with limits or a breaker only. */
const UPSTREAM_ROWS = {
  inFlight: gauge("weir_upstream_places_used", "requests that have a place at the upstream"),
  limit: gauge("weir_upstream_places", "places at the upstream, of all workers together; 0 = no limit"),
  waiting: gauge("weir_upstream_queue_length", "requests that wait for a place now"),
  queued: counter("weir_upstream_queued_total", "requests that had to wait for a place"),
  queueTime: histogram("weir_upstream_queue_seconds", "time waited for a place, by those that had to"),
  refused: { name: "weir_upstream_refused_total", kind: "counter", help: "requests that the upstream's limits or its breaker answered with 503", each: { label: "reason", values: GATE_REASONS }, slots: GATE_REASONS.length } as MetricRow,
  breakersOpen: gauge("weir_upstream_breakers_open", "workers whose breaker for the upstream is open or half-open"),
  breakerOpened: counter("weir_upstream_breaker_opened_total", "times that a worker's breaker for the upstream has opened"),
};

/** What the cache did for a request. */
export const CACHE_RESULTS = ["hit", "stale", "revalidated", "miss", "bypass"] as const;
export type CacheResult = (typeof CACHE_RESULTS)[number];
/** Why the cache was not asked. */
export const CACHE_BYPASS_REASONS = ["method", "body", "upgrade", "steering", "precondition", "rule", "other"] as const;
export type CacheBypassReason = (typeof CACHE_BYPASS_REASONS)[number];
/** Why an answer was not taken: a group for each kind of rule, so that the label stays bounded. */
export const CACHE_REFUSE_REASONS = ["private", "set_cookie", "authorization", "vary", "no_store", "status", "size", "method", "type", "min_uses", "no_lifetime", "stale", "incomplete", "no_room", "other"] as const;
export type CacheRefuseReason = (typeof CACHE_REFUSE_REASONS)[number];
/** Why an answer past its time was given. */
export const CACHE_STALE_REASONS = ["refresh", "error", "client"] as const;
/** Where the body bytes of answers came from. */
export const CACHE_SOURCES = ["cache", "endpoint"] as const;
/** What a dry cache would have done: answered, answered with something else than the endpoint did, stored. */
export const CACHE_DRY_RESULTS = ["hit", "differed", "stored"] as const;

/** One slot a value of a label, summed over workers. */
const counters = (name: string, help: string, label: string, values: readonly string[]): MetricRow =>
  ({ name, kind: "counter", help, each: { label, values }, slots: values.length });

/** Of routes that cache only. */
const CACHE_ROWS = {
  requests: counters("weir_cache_requests_total", "requests by what the cache did for them", "result", CACHE_RESULTS),
  bypassed: counters("weir_cache_bypass_total", "requests that the cache was not asked for, by reason", "reason", CACHE_BYPASS_REASONS),
  coalesced: counter("weir_cache_coalesced_total", "requests that shared the answer that another one had asked for"),
  stale: counters("weir_cache_stale_total", "answers given past their time: while they were refreshed, because the endpoint failed, or because the client takes them", "reason", CACHE_STALE_REASONS),
  stored: counter("weir_cache_stored_total", "answers taken into the cache"),
  refused: counters("weir_cache_refused_total", "answers that may not be stored, or were not, by reason", "reason", CACHE_REFUSE_REASONS),
  bytes: counters("weir_cache_body_bytes_total", "response body bytes sent, by where they came from: those from the cache were saved", "source", CACHE_SOURCES),
  refreshes: counter("weir_cache_refreshes_total", "fetches made behind the clients' backs"),
  dry: counters("weir_cache_dry_total", "what a cache with dryRun would have done: hit, hit with something else than the endpoint sent, stored", "result", CACHE_DRY_RESULTS),
};

type Offsets<Rows> = { readonly [Key in keyof Rows]: number };
export interface MetricBlock<Rows> {
  /** Name of the block's own labels, in the order of its key's parts. */
  readonly labels: readonly string[];
  readonly rows: Rows;
  /** First slot of each metric inside of the block. */
  readonly at: Offsets<Rows>;
  readonly slots: number;
}

function block<Rows extends Record<string, MetricRow>>(labels: readonly string[], rows: Rows): MetricBlock<Rows> {
  let slots = 0;
  const at: Record<string, number> = {};
  for (const [key, row] of Object.entries(rows)) {
    at[key] = slots;
    slots += row.slots;
  }
  return { labels, rows, at: at as Offsets<Rows>, slots };
}

export const WORKER = block(["worker"], WORKER_ROWS);
export const LISTENER = block(["listener"], LISTENER_ROWS);
export const ROUTE = block(["route"], ROUTE_ROWS);
export const ENDPOINT = block(["upstream", "endpoint"], ENDPOINT_ROWS);
export const UPSTREAM = block(["upstream"], UPSTREAM_ROWS);
export const CACHE = block(["route"], CACHE_ROWS);

/** Block kinds by the first part of a series key: `route:api`, `endpoint:app|127.0.0.1:3000` (`series.ts`). */
export const BLOCKS = { worker: WORKER, listener: LISTENER, route: ROUTE, endpoint: ENDPOINT, upstream: UPSTREAM, cache: CACHE } as const;
export type BlockKind = keyof typeof BLOCKS;

/** Numbers that only the control process knows, next to those counted by workers. */
export interface ProcessMetricRow {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly help: string;
  readonly labels: readonly string[];
}

const processMetric = (name: string, kind: "counter" | "gauge", help: string, ...labels: string[]): ProcessMetricRow =>
  ({ name, kind, help, labels });

export const PROCESS = {
  build: processMetric("weir_build_info", "gauge", "always 1; the labels say what is running", "version", "runtime"),
  startTime: processMetric("weir_start_time_seconds", "gauge", "when counting began, in seconds since the epoch"),
  ready: processMetric("weir_ready", "gauge", "1 when every worker accepts, 0 while starting or draining"),
  workersConfigured: processMetric("weir_workers", "gauge", "workers wanted by the configuration"),
  workersUp: processMetric("weir_workers_up", "gauge", "workers that run and answer"),
  workerRestarts: processMetric("weir_worker_restarts_total", "counter", "workers replaced after they died or hung", "worker"),
  configVersion: processMetric("weir_config_version", "gauge", "number of the configuration in force"),
  reloads: processMetric("weir_config_reloads_total", "counter", "attempts to change the configuration", "result"),
  certificateNotAfter: processMetric("weir_certificate_not_after_seconds", "gauge", "when the certificate expires, in seconds since the epoch; the first of its names", "listener", "name", "source"),
  certificateNotBefore: processMetric("weir_certificate_not_before_seconds", "gauge", "since when the certificate is valid, in seconds since the epoch", "listener", "name", "source"),
  certificateErrors: processMetric("weir_certificate_reload_errors_total", "counter", "changed certificate files that could not be used; the ones before went on"),
  acmeOrders: processMetric("weir_acme_orders_total", "counter", "certificates ordered by ACME; one that several authorities refused counts once", "result"),
  checks: processMetric("weir_upstream_checks_total", "counter", "active checks of the endpoint, by result", "upstream", "endpoint", "result"),
  checkSeconds: processMetric("weir_upstream_check_duration_seconds", "gauge", "how long the last active check of the endpoint took", "upstream", "endpoint"),
  discoveryUp: processMetric("weir_discovery_up", "gauge", "1 while the source of the upstream's endpoints answers with a list; with 0 the last list is in use", "upstream"),
  discoveryEndpoints: processMetric("weir_discovery_endpoints", "gauge", "endpoints in the list in use", "upstream"),
  discoveryChanges: processMetric("weir_discovery_changes_total", "counter", "changes of the list", "upstream"),
  acmeNextRenewal: processMetric("weir_acme_next_renewal_seconds", "gauge", "when the next certificate is to be renewed, in seconds since the epoch; in the past = it is overdue"),
  endpointState: processMetric("weir_upstream_endpoint_state", "gauge", "1 for the state that the endpoint is in, 0 for the others", "upstream", "endpoint", "state"),
  endpointWeight: processMetric("weir_upstream_endpoint_weight", "gauge", "weight that counts now: as configured or set, times its share in slow start", "upstream", "endpoint"),
  cacheBytes: processMetric("weir_cache_bytes", "gauge", "bytes that the cache takes, of all workers together", "tier"),
  cacheBudget: processMetric("weir_cache_budget_bytes", "gauge", "bytes that it may take", "tier"),
  cacheObjects: processMetric("weir_cache_objects", "gauge", "responses in the cache, variants counted apart", "tier"),
  cacheEvicted: processMetric("weir_cache_evicted_total", "counter", "responses that made room for others", "tier"),
  cachePurges: processMetric("weir_cache_purges_total", "counter", "purges, by what was asked for", "kind"),
  endpointTransitions: processMetric("weir_upstream_endpoint_transitions_total", "counter", "changes of the endpoint's state", "upstream", "endpoint"),
} as const;
