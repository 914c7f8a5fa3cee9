/**
 * Resilience: what an upstream does about endpoints that fail: balance, health, limits, discovery joined.
 */
import type { RetryConfig, UpstreamConfig } from "../config.ts";
import type { Written } from "../options/types.ts";
import type { UPSTREAM } from "../options/upstream.table.ts";
import type { Place } from "../problem.ts";
import { checkBalance } from "./balance.ts";
import { checkDiscovery } from "./discovery.ts";
import type { CheckFacts } from "./facts.ts";
import { checkHealth } from "./health.ts";
import { checkProtection } from "./protection.ts";
import { toRetry } from "./retry.ts";
import { checkUpstreamTls, type PlacedEndpoint } from "./upstream-tls.ts";

export type Resilience = Pick<
  UpstreamConfig,
  | "balance"
  | "hash"
  | "sticky"
  | "health"
  | "slowStartMs"
  | "limits"
  | "breaker"
  | "discovery"
  | "protocol"
  | "tls"
>;

export interface WrittenUpstream {
  readonly name: string;
  readonly value: Written<typeof UPSTREAM>;
  readonly place: Place;
}

export function checkResilience(
  { name, value, place }: WrittenUpstream,
  endpoints: readonly PlacedEndpoint[],
  facts: CheckFacts,
): Resilience {
  const secured = checkUpstreamTls(value, place, endpoints, facts);
  const isDiscovering = place.has("discovery");
  return {
    ...secured,
    ...checkBalance(value, place, facts),
    ...checkHealth(value.health, place.key("health"), { endpoints, isDiscovering, ...secured }),
    ...checkProtection(value, place),
    discovery: checkDiscovery(value.discovery, place.key("discovery"), facts, name),
  };
}

/** What holds for an upstream with one endpoint of which nothing is said. */
export const PLAIN_UPSTREAM: Pick<
  UpstreamConfig,
  "hash" | "sticky" | "health" | "slowStartMs" | "limits" | "breaker" | "discovery"
> = {
  hash: undefined,
  sticky: undefined,
  health: { active: undefined, passive: undefined },
  slowStartMs: 0,
  limits: { connections: 0, perEndpoint: 0, queue: 1024, queueTimeoutMs: 5000, adaptive: false },
  breaker: undefined,
  discovery: undefined,
};

/** What holds for a route of which nothing is said. */
export const PLAIN_RETRY: RetryConfig = toRetry(undefined);
