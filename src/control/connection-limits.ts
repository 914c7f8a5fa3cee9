/**
 * Connection limits: do the connections that a configuration allows fit the files a worker may open?
 *
 * why    a worker out of descriptors can neither accept nor connect, and the kernel wakes it in vain without
 *        end; refusing the newest connection in time is better
 * rule   limits.connections counts the connections of all workers together, and the kernel spreads them
 * out    the configuration for workers, with limits lowered where they must be, and what to warn about
 */
import type { Config, ListenerConfig } from "../config/config.ts";

/** Files, logs, the runtime's own, and room to accept a connection only to refuse it. */
const RESERVED = 128;
/** Part of the rest for clients; the others are for upstreams, of which an idle client needs none. */
const CLIENT_SHARE = 0.75;

export interface FittedConfig {
  readonly config: Config;
  readonly warning: string | undefined;
}

/** `descriptorLimit`: files that one worker may open; undefined = unknown, which lowers nothing. */
export function fitConnections(config: Config, descriptorLimit: number | undefined): FittedConfig {
  const wanted = config.listeners.reduce((sum, listener) => sum + listener.limits.connections, 0);
  const { workers } = config.server;
  const available =
    Math.floor(Math.max(0, (descriptorLimit ?? Infinity) - RESERVED) * CLIENT_SHARE) * workers;
  if (wanted <= available) return { config, warning: undefined };
  const fit = (listener: ListenerConfig): ListenerConfig => {
    const connections = Math.max(1, Math.floor((listener.limits.connections * available) / wanted));
    return { ...listener, limits: { ...listener.limits, connections } };
  };
  const needed = Math.ceil(wanted / workers / CLIENT_SHARE) + RESERVED;
  const warning =
    `the listeners may hold ${wanted} connections, but each worker may open ${descriptorLimit} files only: ` +
    `limited to ${available} connections. Raise the limit of open files to ${needed} (ulimit -n, LimitNOFILE), ` +
    "or lower limits.connections";
  return { config: { ...config, listeners: config.listeners.map(fit) }, warning };
}
