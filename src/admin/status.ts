/**
 * Status: what a running Weir says of itself, as `weir status` shows it and `/api/v1/status` returns it.
 *
 * why    one shape for people, programs and tests; the control process fills it, the admin API sends it
 */
import type { Problem } from "../config/config.ts";
import type { Operator, Reason } from "../health/board.table.ts";
import type { EndpointState } from "../health/endpoint-state.table.ts";
import type {
  CacheQuestion,
  CacheRefusal,
  CacheShown,
  CacheStatus,
  CacheTop,
  PurgeDone,
  PurgeEvent,
  PurgeWish,
  RouteCacheStatus,
} from "./cache-status.ts";

export interface Status {
  /** Version of the program. */
  readonly program: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly state: "starting" | "running" | "draining";
  /** Number of the configuration in force, from 1. */
  readonly configVersion: number;
  readonly configSource: string;
  /** The newest attempt to change the configuration. */
  readonly lastReload: ReloadAnswer | undefined;
  readonly workers: readonly WorkerStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly routes: readonly RouteStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  /** Sources of endpoints; left out where there are none. */
  readonly discovery?: readonly DiscoveryStatus[];
  /** By listener, in the order in which they are preferred. */
  readonly certificates: readonly CertificateStatus[];
  /** Left out where nothing is cached. */
  readonly cache?: CacheStatus;
}

export interface WorkerStatus {
  readonly worker: number;
  readonly pid: number;
  readonly state: "starting" | "running" | "draining";
  readonly restarts: number;
  /** Since its last sign of life. */
  readonly heartbeatAgeMs: number;
  readonly memoryBytes: number;
}

export interface ListenerStatus {
  readonly name: string;
  /** Addresses really bound: a configured port 0 has become the port given by the kernel. */
  readonly addresses: readonly string[];
  readonly connectionsActive: number;
  readonly connections: number;
  readonly requests: number;
}

export interface RouteStatus {
  readonly name: string;
  readonly requests: number;
  readonly active: number;
  readonly errors5xx: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** What the quantiles come from: bucket, count, bucket, count …; only in `/api/v1/live`. */
  readonly buckets?: readonly number[];
  /** Left out where nothing is cached. */
  readonly cache?: RouteCacheStatus;
}

export interface UpstreamStatus {
  readonly name: string;
  /** Requests that wait for a place now; 0 without limits. */
  readonly waiting: number;
  /** Workers whose breaker is open or half-open. */
  readonly breakersOpen: number;
  readonly endpoints: readonly EndpointStatus[];
}

export interface EndpointStatus {
  readonly name: string;
  /** IP addresses in use; the address itself for an IP literal or a unix socket. */
  readonly addresses: readonly string[];
  readonly state: EndpointState;
  readonly reason: Reason;
  /** The reason in words, with what was seen; "" when there is nothing to say. */
  readonly why: string;
  /** ISO 8601; undefined = since the start, or since the endpoint was added. */
  readonly since: string | undefined;
  readonly ejectedUntil: string | undefined;
  /** What a person asked for, whatever the state is. */
  readonly operator: Operator;
  /** Without slow start. */
  readonly weight: number;
  /** True when the weight was set at run time. */
  readonly isWeightSet: boolean;
  /** Part of its weight that it takes in slow start; 1 = all. */
  readonly warmth: number;
  readonly requests: number;
  readonly active: number;
  /** Requests that the endpoint failed, and connections that could not be made. */
  readonly errors: number;
  readonly errors5xx: number;
  readonly connectionsOpen: number;
  readonly connectionsPooled: number;
  /** To the first byte of the response. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** As in a route. */
  readonly buckets?: readonly number[];
}

/** One change of an endpoint's state. */
export interface EndpointChangeEvent {
  /** ISO 8601. */
  readonly at: string;
  readonly upstream: string;
  readonly endpoint: string;
  readonly from: EndpointState;
  readonly to: EndpointState;
  readonly reason: Reason;
  readonly why: string;
}

/** What a person asks of an endpoint; what is left out stays as it is. */
export interface EndpointWish {
  readonly state?: Operator;
  readonly weight?: number | "configured";
  /** Why, for those who look at the status. */
  readonly note?: string;
}

/** How it stands with the source of an upstream's endpoints. */
export interface DiscoveryStatus {
  readonly upstream: string;
  /** What is asked, such as `DNS app.internal`. */
  readonly source: string;
  /** `waiting`: no answer yet; `failing`: the last answer was none, or empty, and the list before is in use. */
  readonly state: "waiting" | "found" | "failing";
  /** In the list in use. */
  readonly endpoints: number;
  /** When the list changed, ISO 8601. */
  readonly changedAt: string | undefined;
  /** The newest good answer. */
  readonly answeredAt: string | undefined;
  readonly lastError: string | undefined;
}

/** A certificate that a listener shows, or wants and has not got yet: then it has neither dates nor key. */
export interface CertificateStatus {
  readonly listener: string;
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly source: "file" | "acme" | "self-signed";
  /** Path of its file, or name of the authority. */
  readonly origin: string;
  /** Shown to clients that name no server. */
  readonly isDefault: boolean;
  /** As `EC P-256` or `RSA 2048`. */
  readonly keyType: string | undefined;
  readonly issuer: string | undefined;
  /** ISO 8601. */
  readonly notBefore: string | undefined;
  readonly notAfter: string | undefined;
  /** When Weir renews it by itself. */
  readonly renewsAt: string | undefined;
  /** Why the newest attempt to get or replace it failed. */
  readonly lastError: string | undefined;
}

export interface ReloadAnswer {
  readonly applied: boolean;
  readonly configVersion: number;
  readonly at: string;
  readonly problems: readonly Problem[];
}

/** What the admin API asks of the control process, which fulfils it. */
export interface AdminHooks {
  /** True once every worker accepts, false from the first moment of draining. */
  isReady(): boolean;
  status(): Status;
  /** Prometheus text of all counters, summed over workers; "" when they are switched off. */
  metrics(): string;
  reload(): Promise<ReloadAnswer>;
  /** The status, with the histograms. */
  live(): Status;
  /** Latest changes of endpoints' states, the oldest first. */
  events(): readonly EndpointChangeEvent[];
  /** out  how the endpoint is now; undefined when nothing can be set there */
  changeEndpoint(upstream: string, endpoint: string, wish: EndpointWish): EndpointStatus | undefined;
  /** Purges in all workers: in force when it settles. `from`: address of who asks */
  purge(wish: PurgeWish, from: string): Promise<PurgeDone | CacheRefusal>;
  /** Latest purges, the oldest first. */
  purges(): readonly PurgeEvent[];
  /** What is stored for a request. */
  showCached(question: CacheQuestion): Promise<CacheShown | CacheRefusal>;
  /** What is used most. */
  topCached(limit: number): Promise<CacheTop | CacheRefusal>;
}
