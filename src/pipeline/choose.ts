/**
 * Choose: which upstream, which endpoint, for this attempt?
 *
 * fails  no_endpoint, and what an upstream's limits and breaker say (upstream-gate.ts)
 */
import { fail } from "../core/failure.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Route, UpstreamGroup } from "./plan.ts";
import { mayGoBack } from "./retry.ts";

const NONE = -1;

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
  const index = upstream === undefined ? NONE : pick(exchange, upstream);
  if (index === NONE) {
    const next = gate?.missed(exchange);
    if (next !== undefined) return next;
    exchange.failure ??= plan.failed ?? fail("no_endpoint", upstream?.name);
    return "answer";
  }
  plan.attempts++;
  gate?.chosen(exchange, index);
  plan.endpoint = upstream?.endpoints[index];
  plan.endpointIndex = index;
  return "forward";
}

/** An endpoint that this exchange has not tried; when it has tried all, one that may do better by now. */
function pick(exchange: Planned, { chooser }: UpstreamGroup): number {
  const { plan } = exchange;
  const index = chooser.choose(exchange, plan.excluded);
  if (index !== NONE || plan.excluded === undefined || !mayGoBack(plan)) return index;
  plan.excluded = new Uint8Array(plan.excluded.length);
  return chooser.choose(exchange, plan.excluded);
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
