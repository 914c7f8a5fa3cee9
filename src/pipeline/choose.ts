/**
 * Choose: which upstream, which endpoint, for this attempt?
 *
 * fails  no_endpoint, and what an upstream's limits and breaker say (upstream-gate.ts)
 */
import { fail } from "../core/failure.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Route, UpstreamGroup } from "./plan.ts";

export function choose(exchange: Planned): NextOf<"choose"> {
  const { plan } = exchange;
  const upstream = plan.upstream ?? chooseUpstream(exchange);
  const gate = upstream?.gate;
  if (gate !== undefined) {
    const next = gate.enter(exchange);
    if (next !== undefined) return next;
  }
  if (plan.isFreshRetry && plan.endpoint !== undefined) {
    plan.attempts++;
    gate?.chosen(exchange, plan.endpointIndex);
    return "forward";
  }
  const index = upstream?.chooser.choose(exchange, plan.excluded) ?? -1;
  if (index === -1) {
    const next = gate?.missed(exchange);
    if (next !== undefined) return next;
    exchange.failure ??= fail("no_endpoint", upstream?.name);
    return "answer";
  }
  plan.attempts++;
  gate?.chosen(exchange, index);
  plan.endpoint = upstream?.endpoints[index];
  plan.endpointIndex = index;
  return "forward";
}

function chooseUpstream(exchange: Planned): UpstreamGroup | undefined {
  const { plan } = exchange;
  const { action } = plan.route as Route;
  if (action.kind !== "proxy") return undefined;
  const { upstreams, split } = action;
  const index = upstreams.length === 1 ? 0 : split.pick(plan.services.chance());
  plan.upstream = upstreams[index];
  return plan.upstream;
}
