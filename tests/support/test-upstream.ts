/**
 * Test upstream: a checked upstream, and the chooser of a worker over it, for tests.
 */
import { PLAIN_UPSTREAM } from "../../src/config/check/resilience.ts";
import type { EndpointConfig, PassiveHealthConfig, UpstreamConfig } from "../../src/config/config.ts";
import { EndpointChooser, type GroupNeeds } from "../../src/pipeline/endpoint-chooser.ts";

export function testUpstream(
  endpoints: readonly Partial<EndpointConfig>[],
  parts: Partial<UpstreamConfig> = {},
): UpstreamConfig {
  return {
    name: "app",
    ...PLAIN_UPSTREAM,
    endpoints: endpoints.map((endpoint, index) => ({
      name: `e${index}`,
      address: { kind: "tcp", host: "127.0.0.1", port: 9000 + index },
      weight: 1,
      backup: false,
      priority: 0,
      zone: "",
      ...endpoint,
    })),
    balance: "round-robin",
    pool: { idle: 8, idleTimeoutMs: 1000, maxAgeMs: 0 },
    proxyProtocol: "off",
    protocol: "h1",
    tls: undefined,
    ...parts,
  };
}

export function passiveWith(parts: Partial<PassiveHealthConfig> = {}): PassiveHealthConfig {
  return {
    failures: 5,
    windowMs: 10_000,
    ejectMs: 1000,
    maxEjectMs: 10_000,
    maxEjected: 0.5,
    errorRate: 0,
    latencyFactor: 0,
    panic: 0,
    ...parts,
  };
}

export function testChooser(upstream: UpstreamConfig, needs: Partial<GroupNeeds> = {}): EndpointChooser {
  return new EndpointChooser(upstream, {
    endpoints: upstream.endpoints.map(() => ({ load: () => 0, latencyMs: () => 0 })),
    standing: undefined,
    worker: 0,
    zone: "",
    chance: () => 0,
    ...needs,
  });
}
