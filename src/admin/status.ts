/**
 * Status: what a running Weir says of itself, as `weir status` shows it and `/api/v1/status` returns it.
 *
 * why    one shape for people, programs and tests; the control process fills it, the admin API sends it
 */
import type { Problem } from "../config/config.ts";

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
  /** By listener, in the order in which they are preferred. */
  readonly certificates: readonly CertificateStatus[];
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
}

export interface UpstreamStatus {
  readonly name: string;
  readonly endpoints: readonly {
    readonly name: string;
    /** IP addresses in use; the address itself for an IP literal or a unix socket. */
    readonly addresses: readonly string[];
    readonly requests: number;
    readonly active: number;
    readonly errors: number;
    readonly connectionsOpen: number;
    readonly connectionsPooled: number;
  }[];
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
}
