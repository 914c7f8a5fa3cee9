/**
 * Config: a checked configuration with every default filled in, as plain data.
 *
 * why    what a person wrote (YAML or TypeScript) ends here; control and workers read only this.
 *        It is JSON all through, so that it can be sent to a worker, stored and compared.
 * shape  times in ms, sizes in bytes, 0 = none where a time-out may be off
 */
import type { Address } from "../core/address.ts";
import type { HeaderEdits, RewriteConfig, RouteMatch } from "../route/match.ts";

export interface Config {
  readonly server: ServerConfig;
  readonly listeners: readonly ListenerConfig[];
  readonly routes: readonly RouteConfig[];
  readonly upstreams: readonly UpstreamConfig[];
  /** undefined = no admin listener. */
  readonly admin: AdminConfig | undefined;
  readonly observe: ObserveConfig;
}

export interface ServerConfig {
  /** Number of data-plane processes; `auto` has become the number of cores here. */
  readonly workers: number;
  readonly drainTimeoutMs: number;
  /** User to become after binding, when started as root. */
  readonly user: string | undefined;
  /** Ceiling for buffers and cache together, for each worker. */
  readonly memoryBytes: number;
}

export interface ListenerConfig {
  readonly name: string;
  readonly bind: readonly Address[];
  /** Peers from which a PROXY protocol header is required and believed; empty = off. */
  readonly proxyProtocolFrom: readonly string[];
  /** Peers whose forwarding fields are believed. */
  readonly trustedProxies: readonly string[];
  /** `pass` lets `%2F` and `%5C` through unchanged; `refuse` (default) answers 400. */
  readonly encodedSlash: "refuse" | "pass";
  readonly limits: {
    readonly connections: number;
    readonly requestHeadBytes: number;
    readonly headers: number;
    readonly bodyBytes: number;
    readonly requestsPerConnection: number;
  };
  readonly timeouts: {
    readonly handshakeMs: number;
    readonly headMs: number;
    readonly bodyMs: number;
    readonly idleMs: number;
  };
}

/** What a route does with a request; exactly one. */
export type Action =
  | {
      readonly kind: "proxy";
      readonly targets: readonly { readonly upstream: string; readonly weight: number }[];
    }
  | { readonly kind: "redirect"; readonly to: string; readonly status: number }
  | {
      readonly kind: "respond";
      readonly status: number;
      readonly body: string;
      readonly contentType: string;
    }
  | { readonly kind: "files"; readonly root: string; readonly index: readonly string[] };

export interface RouteConfig {
  /** As written, or `route-N` by position (from 1). */
  readonly name: string;
  /** Listener names; empty = every http listener. */
  readonly listeners: readonly string[];
  readonly priority: number;
  readonly match: RouteMatch;
  readonly action: Action;
  readonly rewrite: RewriteConfig;
  readonly requestHeaders: HeaderEdits;
  readonly responseHeaders: HeaderEdits;
  readonly timeouts: {
    readonly requestMs: number;
    readonly connectMs: number;
    readonly responseMs: number;
    readonly idleMs: number;
  };
  /** Own pages by status, or by class as "4xx" and "5xx": paths of HTML files, read at load. */
  readonly errorPages: Readonly<Record<string, string>>;
}

export interface EndpointConfig {
  /** The address as written: its name in logs, metrics and status. */
  readonly name: string;
  readonly address: Address;
  readonly weight: number;
  readonly backup: boolean;
}

export interface UpstreamConfig {
  readonly name: string;
  readonly endpoints: readonly EndpointConfig[];
  readonly balance: "round-robin" | "random";
  readonly pool: { readonly idle: number; readonly idleTimeoutMs: number; readonly maxAgeMs: number };
  /** PROXY protocol header to send at the start of each connection, or off. */
  readonly proxyProtocol: "off" | "v1" | "v2";
}

export interface AdminConfig {
  readonly address: Address;
  /** False when it was left to the default: then a port in use is a warning, not an error. */
  readonly isExplicit: boolean;
  /** Required on any address but loopback. */
  readonly token: string | undefined;
}

export interface ObserveConfig {
  /** undefined = off. `to` is stdout, stderr or a file path. */
  readonly accessLog: { readonly format: string; readonly to: string } | undefined;
  readonly metrics: boolean;
}

/** One thing wrong with a configuration, with its place. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 when the place is the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** Key path such as `routes[0].match.path`. */
  readonly path: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint: string | undefined;
  readonly severity: "error" | "warning";
}
