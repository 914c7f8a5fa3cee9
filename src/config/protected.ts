/**
 * Protected: does an upstream bound what it takes? Then it has a gate, and counters of its own.
 */
import type { UpstreamConfig } from "./config.ts";

export function isProtected({ limits, breaker }: Pick<UpstreamConfig, "limits" | "breaker">): boolean {
  return breaker !== undefined || limits.connections > 0 || limits.perEndpoint > 0 || limits.adaptive;
}
