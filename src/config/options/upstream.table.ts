/**
 * Options of upstreams: endpoints and where they come from, how one is chosen, their health, what protects them;
 * and when a request is tried again.
 *
 * rule   a section has exactly the keys of its type in `define-upstream.ts`: `satisfies` proves it
 */
import type * as Input from "../define-upstream.ts";
import { endpointAddress } from "./addresses.ts";
import { list, object, offOr, placed, shortFor, trueOr } from "./containers.ts";
import { checkFieldMap, method } from "./messages.ts";
import { answerTest, balance, checkTarget, cookieName, requestKey, retryOn, statusRange, zoneName } from "./resilience.ts";
import { choice, duration, flag, integer, percent, size, text } from "./scalars.ts";
import { secret } from "./secret.ts";
import { defaulted, optional, type RowsFor, required } from "./types.ts";
import { DAY, HOUR, KIB, MIB, MINUTE, MS, SECOND } from "./units.ts";

/** Browsers keep no cookie longer (RFC 6265bis §5.5). */
const COOKIE_LIFE = 400 * DAY;

const file = text("a file", undefined, { type: "string" });

export const ENDPOINT = {
  address:  required(endpointAddress, "host:port, http://host:port, https://host:port or unix:/path"),
  weight:   defaulted(integer(0, 1000), 1, "Share of the requests, against the other weights; 0 = only for clients that stick to it"),
  backup:   defaulted(flag, false, "Only used when no other endpoint is usable"),
  priority: defaulted(integer(0, 100), 0, "Those with 0 are asked first, the next when too few of them are usable"),
  zone:     optional(zoneName, "Where it stands: those in `server.zone` are preferred"),
} satisfies RowsFor<Input.EndpointObjectInput>;

export const POOL = {
  idle:        defaulted(integer(0, 100_000), 128, "Idle connections kept for an endpoint, in each worker; more stay for a second, for the next burst"),
  idleTimeout: defaulted(duration({ min: MS, max: DAY }), "60s", "How long an idle connection is kept"),
  maxAge:      defaulted(duration({ min: SECOND, max: DAY }), "10m", "How old a connection may grow before it is replaced"),
} satisfies RowsFor<Input.PoolInput>;

export const UPSTREAM_TLS = {
  ca:         optional(file, "Authorities to believe, a PEM file; the system's when left out"),
  serverName: optional(text("a name", undefined, { type: "string" }), "Name to ask for and to verify; the endpoint's host when left out"),
  cert:       optional(file, "Certificate to show to the endpoint: a PEM file"),
  key:        optional(file, "Its private key: a PEM file"),
  verify:     defaulted(flag, true, "False takes any certificate, also that of an attacker"),
} satisfies RowsFor<Input.UpstreamTlsInput>;

export const HASH = {
  on:   required(requestKey, "The part of a request that decides; requests without it go by chance"),
  load: defaulted(percent({ min: 1.05, max: 10 }), "125%", "In flight at one endpoint at most, against the mean of all; beyond, the next one is asked"),
} satisfies RowsFor<Input.HashInput>;

export const STICKY = {
  cookie: defaulted(cookieName, "weir", "Name of the cookie"),
  ttl:    defaulted(duration({ min: SECOND, max: COOKIE_LIFE, zero: "until the browser is closed" }), "0", "How long a client stays at its endpoint"),
  secret: optional(secret, "Signs the cookie: the same on all machines that share clients; one of this installation when left out"),
} satisfies RowsFor<Input.StickyInput>;

export const EXPECT = {
  status: defaulted(list(statusRange, "status, range such as `200-299`, or list of them"), "200-399", "Statuses of a fit endpoint"),
  body:   optional(answerTest, "Text that the answer holds, or `~pattern`"),
} satisfies RowsFor<Input.ExpectInput>;

export const ACTIVE = {
  type:         defaulted(choice("http", "https", "tcp", "tls", "grpc", "command", "agent"), "http", "How an endpoint is asked; `http` is over TLS where the upstream has it"),
  path:         defaulted(checkTarget, "/", "http: what is asked for"),
  method:       defaulted(method, "GET", "http: the method"),
  headers:      optional(checkFieldMap, "http: more header fields"),
  host:         optional(text("a host", undefined, { type: "string" }), "http, grpc: host to name; the endpoint's when left out"),
  port:         optional(integer(1, 65_535), "Another port than the endpoint's own; an agent needs one"),
  expect:       optional(object(EXPECT), "What a fit endpoint answers"),
  send:         optional(text("a text"), "tcp, agent: text to send first"),
  service:      defaulted(text("a service"), "", "grpc: the service to ask about; the server as a whole when left out"),
  command:      optional(list(text("a word", undefined, { type: "string" }), "program with its arguments"), "command: it ends with 0 when the endpoint is fit"),
  interval:     defaulted(duration({ min: 100 * MS, max: HOUR }), "5s", "Between two checks of an endpoint"),
  fastInterval: defaulted(duration({ min: 100 * MS, max: HOUR }), "1s", "The same while its state may be changing; never longer than `interval`"),
  jitter:       defaulted(percent({ min: 0.01, max: 0.5, zero: "none" }), "10%", "Part of the interval by which it is longer or shorter by chance"),
  timeout:      defaulted(duration({ min: 10 * MS, max: 5 * MINUTE }), "2s", "How long one check may take"),
  rise:         defaulted(integer(1, 100), 2, "Successes in a row that bring an endpoint back"),
  fall:         defaulted(integer(1, 100), 3, "Failures in a row that take an endpoint out"),
  initial:      defaulted(choice("up", "down"), "up", "What an endpoint is taken for until it was checked"),
} satisfies RowsFor<Input.ActiveHealthInput>;

export const PASSIVE = {
  failures:   defaulted(integer(0, 1000), 5, "Failures in a row, none older than `window`, that eject an endpoint; 0 = off"),
  window:     defaulted(duration({ min: SECOND, max: 10 * MINUTE }), "30s", "How far back failures, errors and latency are looked at"),
  eject:      defaulted(duration({ min: 100 * MS, max: HOUR }), "30s", "How long an endpoint is left alone the first time; longer each time"),
  maxEject:   defaulted(duration({ min: 100 * MS, max: DAY }), "5m", "Up to this"),
  maxEjected: defaulted(percent({ min: 0.01, max: 1 }), "50%", "Share of the endpoints that may be ejected at once"),
  errorRate:  defaulted(percent({ min: 0.01, max: 1, zero: "off" }), "0", "Share of failed requests that ejects an endpoint"),
  latency:    defaulted(percent({ min: 1.1, max: 100, zero: "off" }), "0", "Latency that ejects an endpoint, against that of the others: `300%` is three times as long"),
  panic:      defaulted(percent({ min: 0.01, max: 1, zero: "never" }), "25%", "With a smaller share of usable endpoints all are used"),
} satisfies RowsFor<Input.PassiveHealthInput>;

export const HEALTH = {
  active:    optional(object(ACTIVE), "Asks each endpoint again and again, once for all workers"),
  passive:   optional(offOr(object(PASSIVE)), "Learns from the requests themselves; on where there are two endpoints or more"),
  slowStart: defaulted(duration({ min: SECOND, max: HOUR, zero: "all at once" }), "0", "How long an endpoint that came back takes less than its share"),
} satisfies RowsFor<Input.HealthInput>;

export const UPSTREAM_LIMITS = {
  connections:  defaulted(integer(0, 1_000_000), 0, "Requests in flight at once, in each worker; 0 = no limit"),
  perEndpoint:  defaulted(integer(0, 1_000_000), 0, "The same for each endpoint; 0 = no limit"),
  queue:        defaulted(integer(0, 1_000_000), 1024, "Requests that may wait for their turn"),
  queueTimeout: defaulted(duration({ min: MS, max: HOUR }), "5s", "How long one may wait before it is answered with 503"),
  adaptive:     defaulted(flag, false, "Finds the limit by itself, from latency"),
} satisfies RowsFor<Input.UpstreamLimitsInput>;

export const BREAKER = {
  errorRate:   defaulted(percent({ min: 0.01, max: 1 }), "50%", "Share of failed requests that opens it"),
  latency:     defaulted(duration({ min: MS, max: HOUR, zero: "off" }), "0", "A response head that takes longer is counted as failed"),
  window:      defaulted(duration({ min: SECOND, max: 10 * MINUTE }), "10s", "How far it looks back"),
  minRequests: defaulted(integer(1, 1_000_000), 20, "Requests in the window before it judges"),
  open:        defaulted(duration({ min: 100 * MS, max: HOUR }), "10s", "How long it is open before a few requests are let through to try"),
} satisfies RowsFor<Input.BreakerInput>;

export const DOCKER = {
  socket:  defaulted(text("a path", undefined, { type: "string" }), "/var/run/docker.sock", "Socket of the Docker engine"),
  label:   optional(text("a label", undefined, { type: "string" }), "`key` or `key=value` that a container carries; `weir.upstream=NAME` when left out, NAME being the upstream's"),
  network: optional(text("a network", undefined, { type: "string" }), "Network whose addresses are used; the container's only one when left out"),
} satisfies RowsFor<Input.DockerInput>;

export const DISCOVERY = {
  dns:      optional(text("host:port", undefined, { type: "string" }), "`host:port`: each address of the name is an endpoint"),
  srv:      optional(text("a name", undefined, { type: "string" }), "`_http._tcp.app.example.com`: targets, ports, priorities and weights from SRV records (RFC 2782)"),
  file:     optional(file, "A YAML or JSON list of endpoints, watched"),
  docker:   optional(object(DOCKER), "Containers with a label"),
  http:     optional(text("a URL", undefined, { type: "string" }), "A URL that answers with a JSON list of endpoints"),
  interval: defaulted(duration({ min: 100 * MS, max: HOUR }), "10s", "How often the source is asked; DNS by its TTL"),
} satisfies RowsFor<Input.DiscoveryInput>;

export const UPSTREAM = {
  endpoints:     optional(list(placed(shortFor(ENDPOINT, "address", "address or a mapping")), "address or list of endpoints"), "Addresses, each alone or with more to say"),
  discovery:     optional(object(DISCOVERY), "Finds endpoints, besides those listed"),
  protocol:      defaulted(choice("h1", "h2", "h2c", "auto"), "h1", "HTTP version towards the endpoints: `h2` over TLS, `h2c` over plain text, `auto` as the endpoint says (ALPN)"),
  tls:           optional(trueOr(object(UPSTREAM_TLS)), "TLS towards the endpoints, verified; `https://` addresses mean it as well"),
  balance:       defaulted(balance, "round-robin", "How an endpoint is chosen"),
  hash:          optional(shortFor(HASH, "on", "part of a request, or a mapping"), "What `balance: hash` looks at"),
  sticky:        optional(trueOr(object(STICKY)), "Keeps a client at its endpoint by a signed cookie"),
  health:        optional(object(HEALTH), "Which endpoints are fit for use"),
  limits:        optional(object(UPSTREAM_LIMITS), "How many requests may be in flight in each worker, and how many may wait"),
  breaker:       optional(trueOr(object(BREAKER)), "Asks nothing of an upstream for a while when it only fails"),
  pool:          optional(object(POOL), "Connections kept open for the next request"),
  proxyProtocol: defaulted(choice("off", "v1", "v2"), "off", "PROXY protocol header to send at the start of each connection"),
} satisfies RowsFor<Input.UpstreamInput>;

/** Safe ones and those whose repetition changes nothing (RFC 9110 §9.2.2, and the registry of methods). */
const IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"];

export const BACKOFF = {
  base: defaulted(duration({ min: MS, max: MINUTE, zero: "no wait" }), "25ms", "Bound of the first wait; it doubles with each try"),
  max:  defaulted(duration({ min: MS, max: MINUTE }), "1s", "Up to this"),
} satisfies RowsFor<Input.BackoffInput>;

export const HEDGE = {
  after: required(duration({ min: MS, max: MINUTE }), "How long the first endpoint has for the head of its response"),
} satisfies RowsFor<Input.HedgeInput>;

export const RETRY = {
  attempts: defaulted(integer(1, 10), 3, "Tries, the first included; 1 = none is repeated"),
  on:       defaulted(list(retryOn, "`connect`, `reset`, `timeout`, status, or list of them"), ["connect"], "What makes a request be sent again: no connection, a connection lost before the response, `perTry` or `timeouts.response` over, a status"),
  methods:  defaulted(list(method, "method or list of methods"), IDEMPOTENT, "Methods that may be repeated once something was sent"),
  perTry:   defaulted(duration({ min: MS, max: DAY, zero: "`timeouts.response` alone" }), "0", "For one try, to the head of the response"),
  budget:   defaulted(percent({ min: 0.01, max: 1, zero: "none of either" }), "20%", "Repeats of what was sent, and hedges, as a share of the requests"),
  backoff:  optional(shortFor(BACKOFF, "base", "duration or a mapping"), "Wait before a repeat: by chance between 0 and a bound that doubles"),
  buffer:   defaulted(size({ min: KIB, max: 16 * MIB, zero: "none" }), "64KiB", "Request body bytes kept for another try; a longer body is sent once"),
  hedge:    optional(object(HEDGE), "Asks a second endpoint when the first is slow, and takes the first answer"),
} satisfies RowsFor<Input.RetryInput>;
