/**
 * Resilience: what an upstream and a route do about endpoints that fail.
 */
import type { RetryConfig, UpstreamConfig } from "../config.ts";

/** What holds for an upstream of which nothing is said. */
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
export const PLAIN_RETRY: RetryConfig = {
  attempts: 3,
  on: ["connect"],
  perTryMs: 0,
  budget: 0.2,
  backoffMs: 25,
  maxBackoffMs: 1000,
  bufferBytes: 0,
  hedgeAfterMs: 0,
};
