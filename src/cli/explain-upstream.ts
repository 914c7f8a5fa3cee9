/**
 * Explain, the upstream: who may get the request, by which rule, and what stands between; as plain data and words.
 *
 * never  says which endpoint it will be: that is up to health and load at that moment (`weir status` knows them)
 */
import type {
  ActiveHealthConfig,
  DiscoveryConfig,
  EndpointConfig,
  RequestKey,
  RetryConfig,
  UpstreamConfig,
} from "../config/config.ts";
import { formatDuration, formatPercent } from "../config/quantity.ts";

export interface UpstreamFacts {
  readonly balance: string;
  readonly choice: string;
  /** How endpoints are spoken to: `HTTP/1.1`, `HTTP/2 over TLS`. */
  readonly protocol: string;
  readonly endpoints: readonly EndpointFacts[];
  /** What else holds: stickiness, health, limits; none of what is off. */
  readonly rules: readonly (readonly [name: string, text: string])[];
}

export interface EndpointFacts {
  readonly name: string;
  /** In percent, by weight: while all are fit, and nothing sticks. */
  readonly share: number;
  readonly isBackup: boolean;
  readonly priority: number;
  readonly zone: string;
  /** The zone of this machine, where that one takes all while it can; "" otherwise. */
  readonly waitsForZone: string;
}

/** What holds for an upstream as seen from a machine in `zone` ("": it stands in none). */
export function upstreamFacts(upstream: UpstreamConfig | undefined, zone: string): UpstreamFacts {
  if (upstream === undefined) {
    return {
      balance: "round-robin",
      choice: "it has no endpoint",
      protocol: "HTTP/1.1",
      endpoints: [],
      rules: [],
    };
  }
  const { balance, endpoints, discovery } = upstream;
  const isAlone = endpoints.length === 1 && discovery === undefined;
  return {
    balance,
    choice: isAlone ? "one endpoint" : choiceText(upstream),
    protocol: protocolText(upstream),
    endpoints: endpointFacts(endpoints, zone),
    rules: rulesOf(upstream),
  };
}

/** Shares of the first tier that takes anything, near endpoints before others; the rest wait. */
function endpointFacts(endpoints: readonly EndpointConfig[], zone: string): readonly EndpointFacts[] {
  const working = endpoints.filter(({ backup, weight }) => !backup && weight > 0);
  const first = Math.min(...working.map(({ priority }) => priority));
  const tier = working.filter(({ priority }) => priority === first);
  const near = zone === "" ? [] : tier.filter((endpoint) => endpoint.zone === zone);
  const takesAll = near.length > 0 ? near : tier;
  const total = takesAll.reduce((sum, { weight }) => sum + weight, 0);
  return endpoints.map((endpoint) => ({
    name: endpoint.name,
    share: takesAll.includes(endpoint) ? percent(endpoint.weight, total) : 0,
    isBackup: endpoint.backup,
    priority: endpoint.priority,
    zone: endpoint.zone,
    waitsForZone: tier.includes(endpoint) && !takesAll.includes(endpoint) ? zone : "",
  }));
}

export const percent = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * 1000) / 10;

/** What an endpoint gets, for people. */
export function endpointText(endpoint: EndpointFacts): string {
  const where = endpoint.zone === "" ? "" : `  in ${endpoint.zone}`;
  return `${shareText(endpoint)}${where}`;
}

function shareText({ share, isBackup, priority, waitsForZone }: EndpointFacts): string {
  if (isBackup) return "backup: only when no other is usable";
  if (share > 0) return `${share} %`;
  if (waitsForZone !== "") return `when those in zone ${waitsForZone} are too few`;
  return priority > 0 ? `priority ${priority}: when those before are too few` : "only what sticks to it";
}

const CHOICES: Readonly<Record<UpstreamConfig["balance"], string>> = {
  "round-robin": "round-robin: endpoints take turns, each as often as its weight says",
  "least-request": "least-request: the endpoint with the fewest requests in flight, by weight",
  p2c: "p2c: of two endpoints by chance the one with fewer requests in flight, by weight",
  ewma: "ewma: the endpoint that answers soonest, by its recent peak latency and what it has in flight",
  random: "random: by chance, in proportion to weight",
  hash: "hash: always the same endpoint for the same key, while it has room",
};

function choiceText({ balance, hash }: UpstreamConfig): string {
  if (hash === undefined) return CHOICES[balance];
  return `hash: always the same endpoint for the same ${keyText(hash.on)}, while it has room`;
}

function keyText(key: RequestKey): string {
  if ("name" in key) return `${key.kind} ${key.name}`;
  return key.kind === "path" ? "path" : "client address";
}

const VERSIONS: Readonly<Record<UpstreamConfig["protocol"], string>> = {
  h1: "HTTP/1.1",
  h2: "HTTP/2",
  h2c: "HTTP/2",
  auto: "HTTP/1.1 or 2",
};

function protocolText({ protocol, tls }: UpstreamConfig): string {
  if (tls === undefined) return VERSIONS[protocol];
  const name = tls.serverName === undefined ? "" : ` as ${tls.serverName}`;
  return `${VERSIONS[protocol]} over TLS, ${tls.verify ? `verified${name}` : "not verified"}`;
}

// rules

function rulesOf(upstream: UpstreamConfig): readonly (readonly [string, string])[] {
  const { sticky, health, slowStartMs, breaker, discovery } = upstream;
  const { active, passive } = health;
  const rows: (readonly [string, string | undefined])[] = [
    ["found", discovery && discoveryText(discovery)],
    [
      "sticky",
      sticky &&
        `by cookie ${sticky.cookie}, ${sticky.ttlMs === 0 ? "until the browser is closed" : `for ${formatDuration(sticky.ttlMs)}`}`,
    ],
    ["checked", active && activeText(active)],
    ["ejected", passive && passiveText(passive)],
    ["slow start", slowStartMs === 0 ? undefined : `${formatDuration(slowStartMs)} to its full share`],
    ["limits", limitsText(upstream)],
    [
      "breaker",
      breaker &&
        `open for ${formatDuration(breaker.openMs)} after ${formatPercent(breaker.errorRate)} errors in ${formatDuration(breaker.windowMs)}, of ${breaker.minRequests} requests or more`,
    ],
  ];
  return rows.flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const]));
}

function discoveryText(discovery: DiscoveryConfig): string {
  switch (discovery.kind) {
    case "dns":
      return `by DNS: the addresses of ${discovery.host}, port ${discovery.port}`;
    case "srv":
      return `by DNS: the SRV records of ${discovery.name}`;
    case "file":
      return `in ${discovery.path}`;
    case "docker":
      return `by Docker: containers with ${discovery.label}`;
    case "http":
      return `at ${discovery.url}, asked each ${formatDuration(discovery.intervalMs)}`;
  }
}

function activeText(active: ActiveHealthConfig): string {
  const port = active.port === undefined ? "" : ` on port ${active.port}`;
  const { type } = active;
  const subject = type === "http" || type === "https" ? ` ${active.method} ${active.path}` : "";
  const what = type === "command" ? `by ${active.command[0]}` : `by ${type}${subject}${port}`;
  return `${what} each ${formatDuration(active.intervalMs)}: out after ${active.fall} failures, back after ${active.rise} successes`;
}

function passiveText(passive: NonNullable<UpstreamConfig["health"]["passive"]>): string | undefined {
  const { failures, windowMs, errorRate, latencyFactor, ejectMs, maxEjected } = passive;
  const window = ` in ${formatDuration(windowMs)}`;
  const reasons = [
    failures > 0 ? `${failures} failures in a row` : "",
    errorRate > 0 ? `${formatPercent(errorRate)} errors` : "",
    latencyFactor > 0 ? `${formatPercent(latencyFactor)} of the others' latency` : "",
  ].filter((reason) => reason !== "");
  if (reasons.length === 0) return undefined;
  const most = `${formatPercent(maxEjected)} of them at most`;
  return `after ${reasons.join(" or ")}${window}, for ${formatDuration(ejectMs)} and longer; ${most}`;
}

function limitsText({ limits }: UpstreamConfig): string | undefined {
  const { connections, perEndpoint, adaptive, queue, queueTimeoutMs } = limits;
  const bounds = [
    connections > 0 ? `${connections} in flight` : "",
    perEndpoint > 0 ? `${perEndpoint} at an endpoint` : "",
    adaptive ? "what latency allows" : "",
  ].filter((bound) => bound !== "");
  if (bounds.length === 0) return undefined;
  const waiting = queue === 0 ? "none waits" : `${queue} wait up to ${formatDuration(queueTimeoutMs)}`;
  return `${bounds.join(", ")}; ${waiting}; in each worker`;
}

/** When a request is sent again, for people. */
export function retryText(retry: RetryConfig): string {
  const { attempts, on, perTryMs, budget, hedgeAfterMs } = retry;
  const perTry = perTryMs === 0 ? "" : `, ${formatDuration(perTryMs)} each`;
  const tries =
    attempts === 1 || on.length === 0 ? "one try" : `up to ${attempts} tries on ${on.join(", ")}${perTry}`;
  const hedge = hedgeAfterMs === 0 ? "" : `, a second endpoint after ${formatDuration(hedgeAfterMs)}`;
  const isRepeating = attempts > 1 && on.some((reason) => reason !== "connect"); // a refused connection is free
  return `${tries}${hedge}${isRepeating || hedgeAfterMs > 0 ? `; ${formatPercent(budget)} of live requests at most` : ""}`;
}
