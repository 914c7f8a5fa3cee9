/**
 * Relay: waits while both bodies move; the bytes themselves go from event to event in pipeline.ts.
 */
import { type NextOf, WAIT } from "./phases.table.ts";
import type { Planned } from "./plan.ts";

export function relay(exchange: Planned): NextOf<"relay"> {
  exchange.plan.flow?.grown();
  return exchange.plan.isSent ? "record" : WAIT;
}
