/**
 * Upstreams as TypeScript: endpoints, how one is chosen, how their health is known, what protects them.
 *
 * rule   types only: `define.ts`, which users' files import, loads nothing
 */
import type { AddressText, Duration, OneOrMore, Percent, Secret, Size, Variable } from "./define-values.ts";

/** An address, or an address with more to say. */
export type EndpointInput = AddressText | EndpointObjectInput;

export interface EndpointObjectInput {
  readonly address: AddressText;
  /** Share of the requests, against the other weights; 0 = only for clients that stick to it. Default 1. */
  readonly weight?: number | Variable;
  /** Only used when no other endpoint is usable. Default false. */
  readonly backup?: boolean | Variable;
  /** Those with 0 are asked first, the next when too few of them are usable. Default 0. */
  readonly priority?: number | Variable;
  /** Where it stands: those in `server.zone` are preferred. */
  readonly zone?: string;
}

/** `endpoints`, `discovery`, or both. */
export interface UpstreamInput {
  /** Addresses, each alone or with more to say. */
  readonly endpoints?: OneOrMore<EndpointInput>;
  /** Finds endpoints, besides those listed. */
  readonly discovery?: DiscoveryInput;
  /** `h2` is over TLS, `h2c` over plain text, `auto` is what the endpoint says (ALPN). Default `h1`. */
  readonly protocol?: "h1" | "h2" | "h2c" | "auto";
  /** TLS towards the endpoints, verified; `https://` addresses mean it as well. */
  readonly tls?: boolean | UpstreamTlsInput | Variable;
  /** How an endpoint is chosen. Default `round-robin`. */
  readonly balance?: "round-robin" | "least-request" | "p2c" | "ewma" | "random" | "hash";
  /** What `balance: hash` looks at, such as `header:x-user`. */
  readonly hash?: RequestKeyText | HashInput;
  /** Keeps a client at its endpoint by a signed cookie. */
  readonly sticky?: boolean | StickyInput | Variable;
  /** Which endpoints are fit for use. */
  readonly health?: HealthInput;
  /** How many requests may be in flight in each worker, and how many may wait. */
  readonly limits?: UpstreamLimitsInput;
  /** Asks nothing of an upstream for a while when it only fails. */
  readonly breaker?: boolean | BreakerInput | Variable;
  readonly pool?: PoolInput;
  /** PROXY protocol header to send at the start of each connection. Default `off`. */
  readonly proxyProtocol?: "off" | "v1" | "v2";
}

/** A part of the request. */
export type RequestKeyText =
  | `header:${string}`
  | `cookie:${string}`
  | `query:${string}`
  | "clientIp"
  | "path"
  | Variable;

export interface HashInput {
  /** `header:NAME`, `cookie:NAME`, `query:NAME`, `clientIp` or `path`. */
  readonly on: RequestKeyText;
  /** In flight at one endpoint at most, against the mean of all; beyond, the next one is asked. Default `125%`. */
  readonly load?: Percent;
}

export interface StickyInput {
  /** Default `weir`. */
  readonly cookie?: string;
  /** How long a client stays; 0 = until its browser is closed. Default 0. */
  readonly ttl?: Duration;
  /** Signs the cookie: the same on all machines that share clients. Default: one of this installation. */
  readonly secret?: Secret;
}

export interface HealthInput {
  /** Asks each endpoint again and again. */
  readonly active?: ActiveHealthInput;
  /** Learns from the requests themselves. Default: on where there are two endpoints or more. */
  readonly passive?: PassiveHealthInput | "off";
  /** How long an endpoint that came back takes less than its share; 0 = all at once. Default 0. */
  readonly slowStart?: Duration;
}

export interface ActiveHealthInput {
  /** Default `http`: over TLS where the upstream has it. */
  readonly type?: "http" | "https" | "tcp" | "tls" | "grpc" | "command" | "agent";
  /** http: what is asked for. Default `/`. */
  readonly path?: string;
  /** http: default `GET`. */
  readonly method?: string;
  /** http: more header fields. */
  readonly headers?: Readonly<Record<string, string | number | boolean>>;
  /** http, grpc: host to name. Default: the endpoint's. */
  readonly host?: string;
  /** Another port than the endpoint's own. */
  readonly port?: number | Variable;
  /** What a fit endpoint answers. */
  readonly expect?: ExpectInput;
  /** tcp, agent: text to send first. */
  readonly send?: string;
  /** grpc: service to ask about. Default: the server as a whole. */
  readonly service?: string;
  /** command: program with its arguments; 0 is fit. */
  readonly command?: OneOrMore<string>;
  /** Default `5s`. */
  readonly interval?: Duration;
  /** Between two checks while the state may be changing. Default `1s`, or `interval` when that is less. */
  readonly fastInterval?: Duration;
  /** Part of the interval by which it is longer or shorter by chance. Default `10%`. */
  readonly jitter?: Percent;
  /** Default `2s`. */
  readonly timeout?: Duration;
  /** Successes in a row that bring an endpoint back. Default 2. */
  readonly rise?: number | Variable;
  /** Failures in a row that take an endpoint out. Default 3. */
  readonly fall?: number | Variable;
  /** What an endpoint is taken for until it was checked. Default `up`. */
  readonly initial?: "up" | "down";
}

export interface ExpectInput {
  /** A status, a range, or several. Default `200-399`. */
  readonly status?: OneOrMore<number | `${number}` | `${number}-${number}`>;
  /** Text that the answer holds, or `~pattern`. */
  readonly body?: string;
}

export interface PassiveHealthInput {
  /** Failures in a row, none older than `window`, that eject an endpoint; 0 = off. Default 5. */
  readonly failures?: number | Variable;
  /** Default `30s`. */
  readonly window?: Duration;
  /** How long it is left alone the first time; longer each time. Default `30s`. */
  readonly eject?: Duration;
  /** Default `5m`. */
  readonly maxEject?: Duration;
  /** Share of the endpoints that may be ejected at once. Default `50%`. */
  readonly maxEjected?: Percent;
  /** Share of failed requests that ejects; 0 = off. Default 0. */
  readonly errorRate?: Percent;
  /** Latency that ejects, against that of the others: `300%`; 0 = off. Default 0. */
  readonly latency?: Percent;
  /** With a smaller share of usable endpoints all are used; 0 = never. Default `25%`. */
  readonly panic?: Percent;
}

export interface UpstreamLimitsInput {
  /** Requests in flight at once, in each worker; 0 = no limit. Default 0. */
  readonly connections?: number | Variable;
  /** The same for each endpoint. Default 0. */
  readonly perEndpoint?: number | Variable;
  /** Requests that may wait for their turn. Default 1024. */
  readonly queue?: number | Variable;
  /** How long one may wait before it is answered with 503. Default `5s`. */
  readonly queueTimeout?: Duration;
  /** Finds the limit by itself, from latency. Default false. */
  readonly adaptive?: boolean | Variable;
}

export interface BreakerInput {
  /** Share of failed requests that opens it. Default `50%`. */
  readonly errorRate?: Percent;
  /** A response head that takes longer is counted as failed; 0 = off. Default 0. */
  readonly latency?: Duration;
  /** What it looks back at. Default `10s`. */
  readonly window?: Duration;
  /** Requests in the window before it judges. Default 20. */
  readonly minRequests?: number | Variable;
  /** How long it is open before a few requests are let through to try. Default `10s`. */
  readonly open?: Duration;
}

/** Exactly one of `dns`, `srv`, `file`, `docker` and `http`. */
export interface DiscoveryInput {
  /** `host:port`: each address of the name is an endpoint. */
  readonly dns?: string;
  /** `_http._tcp.app.example.com`: targets, ports, priorities and weights from SRV records. */
  readonly srv?: string;
  /** A YAML or JSON list of endpoints, watched. */
  readonly file?: string;
  /** Containers with a label. */
  readonly docker?: DockerInput;
  /** A URL that answers with a JSON list of endpoints. */
  readonly http?: string;
  /** How often the source is asked; DNS by its TTL. Default `10s`. */
  readonly interval?: Duration;
}

export interface DockerInput {
  /** Default `/var/run/docker.sock`. */
  readonly socket?: string;
  /** `key` or `key=value` that a container carries. Default `weir.upstream=NAME`, NAME being the upstream's. */
  readonly label?: string;
  /** Network whose addresses are used. Default: the container's only one. */
  readonly network?: string;
}

export interface UpstreamTlsInput {
  /** Authorities to believe, a PEM file. Default: the system's. */
  readonly ca?: string;
  /** Name to ask for and to verify. Default: the endpoint's host. */
  readonly serverName?: string;
  /** Certificate to show to the endpoint, and its key: PEM files. */
  readonly cert?: string;
  readonly key?: string;
  /** False takes any certificate, also that of an attacker. Default true. */
  readonly verify?: boolean | Variable;
}

export interface PoolInput {
  /** Idle connections kept for an endpoint, in each worker. Default 128. */
  readonly idle?: number | Variable;
  /** How long an idle connection is kept. Default `60s`. */
  readonly idleTimeout?: Duration;
  /** How old a connection may grow before it is replaced. Default `10m`. */
  readonly maxAge?: Duration;
}

/** What makes a request be tried again, at another endpoint where there is one. */
export type RetryOnInput = "connect" | "reset" | "timeout" | number | Variable;

export interface RetryInput {
  /** Tries, the first included; 1 = none is repeated. Default 3. */
  readonly attempts?: number | Variable;
  /** `connect`, `reset`, `timeout` (of `perTry` or `timeouts.response`), and statuses. Default `connect`. */
  readonly on?: OneOrMore<RetryOnInput>;
  /** Methods that may be repeated once something was sent. Default: the idempotent ones. */
  readonly methods?: OneOrMore<string>;
  /** For one try, to the head of the response; 0 = `timeouts.response` alone. Default 0. */
  readonly perTry?: Duration;
  /** Repeats of what was sent, and hedges, as a share of the requests. Default `20%`. */
  readonly budget?: Percent;
  /** Wait before a repeat: by chance between 0 and a bound that doubles. */
  readonly backoff?: Duration | BackoffInput;
  /** Request body bytes kept for another try; a longer body is sent once. Default `64KiB`. */
  readonly buffer?: Size;
  /** Asks a second endpoint when the first is slow, and takes the first answer. */
  readonly hedge?: HedgeInput;
}

export interface BackoffInput {
  /** Default `25ms`. */
  readonly base?: Duration;
  /** Default `1s`. */
  readonly max?: Duration;
}

export interface HedgeInput {
  /** How long the first endpoint has for the head of its response. */
  readonly after: Duration;
}
