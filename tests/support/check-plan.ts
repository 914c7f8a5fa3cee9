/**
 * Check plan: upstreams with active checks as a checked configuration has them, for tests.
 */
import { PLAIN_UPSTREAM } from "../../src/config/check/resilience.ts";
import type { ActiveHealthConfig, UpstreamConfig } from "../../src/config/config.ts";
import { parseAddress } from "../../src/core/address.ts";

/** The defaults of `health.active`. */
export const ACTIVE: ActiveHealthConfig = {
  type: "http",
  path: "/",
  method: "GET",
  headers: [],
  host: undefined,
  port: undefined,
  statuses: [[200, 399]],
  body: undefined,
  send: undefined,
  service: "",
  command: [],
  intervalMs: 5000,
  fastIntervalMs: 1000,
  jitter: 0.1,
  timeoutMs: 2000,
  rise: 2,
  fall: 3,
  initial: "up",
};

export function checkedUpstream(
  addresses: readonly string[],
  active: Partial<ActiveHealthConfig> | undefined,
  parts: Partial<UpstreamConfig> = {},
): UpstreamConfig {
  return {
    name: "app",
    ...PLAIN_UPSTREAM,
    endpoints: addresses.map((name) => {
      const address = parseAddress(name, "");
      if (address === undefined) throw new Error(`${name} is no address`);
      return { name, address, weight: 1, backup: false, priority: 0, zone: "" };
    }),
    health: { active: active === undefined ? undefined : { ...ACTIVE, ...active }, passive: undefined },
    balance: "round-robin",
    pool: { idle: 8, idleTimeoutMs: 1000, maxAgeMs: 0 },
    proxyProtocol: "off",
    protocol: "h1",
    tls: undefined,
    ...parts,
  };
}
