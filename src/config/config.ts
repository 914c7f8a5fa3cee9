/**
 * Config: a checked configuration with every default filled in, as plain data.
 *
 * why    what a person wrote (YAML or TypeScript) ends here; control and workers read only this.
 *        It is JSON all through, so that it can be sent to a worker, stored and compared.
 * shape  times in ms, sizes in bytes, 0 = none where a time-out may be off
 */

import type { CachePolicy } from "../cache/policy.ts";
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
  /** undefined = no route caches, and nothing is said about it. */
  readonly cache: CacheConfig | undefined;
}

/** The cache that routes share. */
export interface CacheConfig {
  /** Of all workers together: records and, without a disk, bodies. */
  readonly memoryBytes: number;
  readonly disk: { readonly path: string; readonly bytes: number } | undefined;
  /** Clients whose PURGE requests are obeyed; empty = nobody's. */
  readonly purgeFrom: readonly string[];
  /** File that lists purges; undefined = the program's log only. */
  readonly audit: string | undefined;
}

/** Compression of answers on their way to clients. */
export interface CompressConfig {
  /** In the order of preference where a client has none. */
  readonly codings: readonly ("zstd" | "br" | "gzip")[];
  /** Media types, `text/*` or exact, lower case. */
  readonly types: readonly string[];
  readonly minBytes: number;
  /** Larger bodies of known length pass as they are; 0 = no limit. */
  readonly maxBytes: number;
  /** 0 = chosen by load, else 1 (fast) to 9 (small), mapped to each coding's own scale. */
  readonly level: number;
}

export interface ServerConfig {
  /** Number of data-plane processes; `auto` has become the number of cores here. */
  readonly workers: number;
  readonly drainTimeoutMs: number;
  /** User to become after binding, when started as root. */
  readonly user: string | undefined;
  /** Ceiling for what each worker holds in buffers; half of it for bytes that wait. */
  readonly memoryBytes: number;
  /** Where this machine stands, as endpoints' `zone`; "" = nobody said. */
  readonly zone: string;
}

export interface ListenerConfig {
  readonly name: string;
  readonly bind: readonly Address[];
  /** HTTP versions that a client may speak; without `tls` h2 means prior knowledge (RFC 9113 §3.3). */
  readonly protocols: readonly ("h1" | "h2")[];
  /** undefined = plain text. */
  readonly tls: ListenerTlsConfig | undefined;
  readonly http2: Http2Config;
  /** Every request but ACME challenges is sent to https; `port` is what the new URL names, 443 stays unsaid. */
  readonly redirectToHttps: { readonly status: number; readonly port: number } | undefined;
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

/** What one HTTP/2 connection of a client may use. */
export interface Http2Config {
  /** Streams open at once (SETTINGS_MAX_CONCURRENT_STREAMS). */
  readonly maxStreams: number;
  /** Request body bytes that may be on their way, for each stream and for the connection. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Allows WebSockets over HTTP/2 (RFC 8441). */
  readonly extendedConnect: boolean;
}

export interface ListenerTlsConfig {
  /** PEM files, absolute paths. The first is the default for clients that name no server. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly acme: AcmeConfig | undefined;
  /** A server name that no certificate covers: the default certificate, or an alert. */
  readonly unknownNames: "default" | "refuse";
  readonly minVersion: "1.2" | "1.3";
  /** OpenSSL names of TLS 1.2 cipher suites joined by ":"; TLS 1.3 has no choice. */
  readonly ciphers: string;
  /** Key exchange groups joined by ":". */
  readonly curves: string;
  readonly clientAuth: ClientAuthConfig;
  /** Value of Strict-Transport-Security on every answer, "" = none. */
  readonly hsts: string;
}

export interface ClientAuthConfig {
  readonly mode: "off" | "optional" | "require";
  /** PEM files, absolute paths; `ca` is there unless mode is off. */
  readonly ca: string | undefined;
  readonly crl: string | undefined;
  /** Tells endpoints who the client is: Client-Cert (RFC 9440) and X-Client-Cert-*. */
  readonly forward: boolean;
}

export interface AcmeAuthority {
  /** Short name for logs and folders, such as `letsencrypt`. */
  readonly name: string;
  /** URL of the directory (RFC 8555 §7.1.1). */
  readonly directory: string;
  /** External account binding (RFC 8555 §7.3.4). */
  readonly externalAccount: { readonly keyId: string; readonly hmacKey: string } | undefined;
}

export interface AcmeConfig {
  readonly email: string | undefined;
  /** In order: the next is tried when one fails. */
  readonly authorities: readonly AcmeAuthority[];
  readonly challenge: "http-01" | "tls-alpn-01" | "dns-01";
  /** One certificate for each name. */
  readonly names: readonly string[];
  /** Names, or `*.example.com`, for which a certificate may be asked when a client first names them. */
  readonly onDemand: readonly string[];
  /** Program that sets and removes the TXT record of dns-01: `hook add|remove NAME VALUE`. */
  readonly dnsHook: readonly string[] | undefined;
  /** Folder for account keys and certificates, absolute. */
  readonly storage: string;
  /** Encrypts the keys in that folder. */
  readonly storageKey: string | undefined;
  readonly keyType: "ec256" | "ec384" | "rsa2048";
  /** CA that vouches for the directory's own server, a PEM file; undefined = the system's. */
  readonly directoryCa: string | undefined;
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
  readonly retry: RetryConfig;
  /** Who is turned away first when the machine is overloaded. */
  readonly shed: "low" | "normal" | "high";
  /** Own pages by status, or by class as "4xx" and "5xx": paths of HTML files, read at load. */
  readonly errorPages: Readonly<Record<string, string>>;
  /** undefined = nothing is cached. */
  readonly cache: CachePolicy | undefined;
  /** undefined = answers keep the coding they have. */
  readonly compress: CompressConfig | undefined;
}

export interface EndpointConfig {
  /** The address as written: its name in logs, metrics and status. */
  readonly name: string;
  readonly address: Address;
  /** 0 = nothing but what sticks to it. */
  readonly weight: number;
  readonly backup: boolean;
  /** 0 is asked first; the next only when too few of those before are usable. */
  readonly priority: number;
  /** Where it stands; "" = nobody said. */
  readonly zone: string;
  /** Name that its IP address was found by: asked for and verified in TLS unless the upstream says another. */
  readonly serverName?: string;
}

export interface UpstreamConfig {
  readonly name: string;
  readonly endpoints: readonly EndpointConfig[];
  readonly balance: "round-robin" | "least-request" | "p2c" | "ewma" | "random" | "hash";
  /** undefined unless `balance` is hash. */
  readonly hash: HashConfig | undefined;
  readonly sticky: StickyConfig | undefined;
  readonly health: HealthConfig;
  /** How long an endpoint that came back takes less than its share; 0 = not at all. */
  readonly slowStartMs: number;
  readonly limits: UpstreamLimitsConfig;
  readonly breaker: BreakerConfig | undefined;
  /** Where endpoints come from besides those listed. */
  readonly discovery: DiscoveryConfig | undefined;
  readonly pool: { readonly idle: number; readonly idleTimeoutMs: number; readonly maxAgeMs: number };
  /** PROXY protocol header to send at the start of each connection, or off. */
  readonly proxyProtocol: "off" | "v1" | "v2";
  /** `h2` needs `tls`, `h2c` has none, `auto` asks by ALPN; `h1` goes with or without `tls`. */
  readonly protocol: "h1" | "h2" | "h2c" | "auto";
  /** undefined = plain text. */
  readonly tls: UpstreamTlsConfig | undefined;
}

/** What part of a request decides where it goes. */
export type RequestKey =
  | { readonly kind: "header" | "cookie" | "query"; readonly name: string }
  | { readonly kind: "clientIp" | "path" };

export interface HashConfig {
  readonly on: RequestKey;
  /** Most that an endpoint may have in flight, in shares of the mean; 1.25 = a quarter more. */
  readonly loadFactor: number;
}

export interface StickyConfig {
  readonly cookie: string;
  /** 0 = until the browser is closed. */
  readonly ttlMs: number;
  /** Key of the cookie's digest; undefined = one that lives as long as the program, upgrades included. */
  readonly secret: string | undefined;
}

export interface HealthConfig {
  readonly active: ActiveHealthConfig | undefined;
  readonly passive: PassiveHealthConfig | undefined;
}

export interface ActiveHealthConfig {
  /** `http` is plain text; over the upstream's TLS, or the default one where it has none, it is `https`. */
  readonly type: "http" | "https" | "tcp" | "tls" | "grpc" | "command" | "agent";
  readonly path: string;
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Host to name; undefined = the endpoint's. */
  readonly host: string | undefined;
  /** undefined = the endpoint's. */
  readonly port: number | undefined;
  /** Inclusive ranges. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** Source of a regular expression that the body holds; tcp: what is received. */
  readonly body: string | undefined;
  /** tcp: text to send first. */
  readonly send: string | undefined;
  /** grpc: service to ask about, "" = the server. */
  readonly service: string;
  /** command: program and arguments, else empty. */
  readonly command: readonly string[];
  readonly intervalMs: number;
  /** While the state is changing; at most `intervalMs`. */
  readonly fastIntervalMs: number;
  /** Part of the interval by which it is longer or shorter by chance, 0 to 0.5. */
  readonly jitter: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  /** What an endpoint is taken for until it has been checked. */
  readonly initial: "up" | "down";
}

export interface PassiveHealthConfig {
  /** Failures in a row, none older than `windowMs`, that eject; 0 = off. */
  readonly failures: number;
  readonly windowMs: number;
  readonly ejectMs: number;
  /** Ejections grow up to this. */
  readonly maxEjectMs: number;
  /** Share of the endpoints that may be ejected at once, 0 to 1. */
  readonly maxEjected: number;
  /** Share of failures that ejects by itself, 0 to 1; 0 = off. */
  readonly errorRate: number;
  /** Times the others' latency that ejects, 3 = three times as long; 0 = off. */
  readonly latencyFactor: number;
  /** With a smaller share of usable endpoints than this all are used, 0 to 1; 0 = never. */
  readonly panic: number;
}

export interface UpstreamLimitsConfig {
  /** Requests in flight at once, in each worker; 0 = no limit. */
  readonly connections: number;
  readonly perEndpoint: number;
  readonly queue: number;
  readonly queueTimeoutMs: number;
  /** Finds the limit by itself, from latency. */
  readonly adaptive: boolean;
}

export interface BreakerConfig {
  readonly errorRate: number;
  /** Latency beyond which an answer counts as an error; 0 = off. */
  readonly latencyMs: number;
  readonly windowMs: number;
  readonly minRequests: number;
  readonly openMs: number;
}

/** docker: `label` is `key` or `key=value`, `network` "" is the container's only one. */
export type DiscoveryConfig = { readonly intervalMs: number } & (
  | { readonly kind: "dns"; readonly host: string; readonly port: number }
  | { readonly kind: "srv"; readonly name: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "docker"; readonly socket: string; readonly label: string; readonly network: string }
  | { readonly kind: "http"; readonly url: string }
);

export type RetryOn = "connect" | "reset" | "timeout" | number;

export interface RetryConfig {
  /** The first try included. */
  readonly attempts: number;
  readonly on: readonly RetryOn[];
  /** Those that may be repeated once a byte was sent; before that, any. */
  readonly methods: readonly string[];
  /** 0 = none but the whole request's. */
  readonly perTryMs: number;
  /** Share of live requests that may be repeated, 0 to 1. */
  readonly budget: number;
  /** Bound of the first wait; it doubles up to `maxBackoffMs`, and the wait is by chance below it. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** Request body bytes kept for another try; 0 where no rule could need them. */
  readonly bufferBytes: number;
  /** Ask another endpoint when no answer came for so long; 0 = never. */
  readonly hedgeAfterMs: number;
}

export interface UpstreamTlsConfig {
  /** PEM file, absolute; undefined = the system's authorities. */
  readonly ca: string | undefined;
  /** Name to ask for (SNI) and to verify; undefined = the endpoint's host. */
  readonly serverName: string | undefined;
  /** Client certificate and key: PEM files, absolute; both or none. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** False takes any certificate. */
  readonly verify: boolean;
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
