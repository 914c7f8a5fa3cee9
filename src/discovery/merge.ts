/**
 * Merge: the endpoints that were found join those that are listed.
 *
 * rule   pure, and upstreams without discovery stay the same objects
 * rule   an address that is both listed and found is used as it is listed: a person wrote that
 */
import type { Config, EndpointConfig, UpstreamConfig } from "../config/config.ts";

/** Endpoints found, by the upstream's name. */
export type Lists = ReadonlyMap<string, readonly EndpointConfig[]>;

/** in  a configuration as it is written */
export function withDiscovered(config: Config, lists: Lists): Config {
  if (!config.upstreams.some(({ discovery }) => discovery !== undefined)) return config;
  return { ...config, upstreams: config.upstreams.map((upstream) => joined(upstream, lists)) };
}

function joined(upstream: UpstreamConfig, lists: Lists): UpstreamConfig {
  if (upstream.discovery === undefined) return upstream;
  const found = lists.get(upstream.name) ?? [];
  if (found.length === 0) return upstream;
  const listed = new Set(upstream.endpoints.map(({ name }) => name));
  return {
    ...upstream,
    endpoints: [...upstream.endpoints, ...found.filter(({ name }) => !listed.has(name))],
  };
}

/** True when both have the same endpoints with the same properties; all else is taken to be equal. */
export function hasSameEndpoints(one: Config, other: Config): boolean {
  return endpointsText(one) === endpointsText(other);
}

const endpointsText = ({ upstreams }: Config) =>
  JSON.stringify(upstreams.map(({ name, endpoints }) => [name, endpoints]));
