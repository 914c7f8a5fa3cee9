/**
 * Relay: waits while both bodies move; the bytes themselves go from event to event in pipeline.ts.
 *
 * fails  whoever sends the body may fail while the head goes out: the client then sees a cut
 */
import { type NextOf, WAIT } from "./phases.table.ts";
import type { Planned } from "./plan.ts";

export function relay(exchange: Planned): NextOf<"relay"> {
  exchange.plan.flow?.grown();
  if (exchange.plan.isFailing) {
    exchange.plan.isFailing = false;
    exchange.downstream.abort(exchange);
    return "record";
  }
  return exchange.plan.isSent ? "record" : WAIT;
}
