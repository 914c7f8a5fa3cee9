/**
 * A route as it was read, before policies are merged in, and what its check looks things up in.
 */
import type { ListenerConfig } from "../config.ts";
import type { POLICY, ROUTE } from "../options/options.table.ts";
import type { Written } from "../options/types.ts";
import type { CheckFacts } from "./facts.ts";
import type { UpstreamTable } from "./upstreams.ts";

export type WrittenRoute = Written<typeof ROUTE>;
export type WrittenPolicy = Written<typeof POLICY>;

export interface RouteNeeds {
  readonly facts: CheckFacts;
  readonly upstreams: UpstreamTable;
  /** Names of the listeners. */
  readonly listeners: readonly string[];
  /** Those of them that could be read. */
  readonly listenerConfigs: readonly ListenerConfig[];
}
