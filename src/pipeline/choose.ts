/**
 * Choose: which upstream, which endpoint, for this attempt?
 *
 * fails  no_endpoint
 */
import { fail } from "../core/failure.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Route, UpstreamGroup } from "./plan.ts";

export function choose(exchange: Planned): NextOf<"choose"> {
  const { plan } = exchange;
  const upstream = plan.upstream ?? chooseUpstream(exchange);
  plan.attempts++;
  if (plan.isFreshRetry && plan.endpoint !== undefined) return "forward";
  const index = upstream === undefined ? -1 : chooseEndpoint(exchange, upstream);
  if (index === -1) {
    exchange.failure ??= fail("no_endpoint", upstream?.name);
    return "answer";
  }
  plan.endpoint = upstream?.endpoints[index];
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

function chooseEndpoint(exchange: Planned, upstream: UpstreamGroup): number {
  const { excluded, services } = exchange.plan;
  const { used, backups, policy } = upstream;
  if (excluded !== undefined) return chooseLeft(exchange, upstream, excluded);
  if (upstream.endpoints.length === 1) return 0;
  used.chance = services.chance;
  backups.chance = services.chance;
  const index = policy.pick(used);
  return index === -1 ? policy.pick(backups) : index;
}

/**
 * A further attempt goes to an endpoint that has not failed this exchange yet: by chance, since to ask the policy
 * would move everybody's turn on, and with two endpoints the one that fails would be first every time.
 */
function chooseLeft(exchange: Planned, upstream: UpstreamGroup, excluded: Uint8Array): number {
  const chance = exchange.plan.services.chance();
  const index = pickLeft(upstream.used.eligible, excluded, chance);
  return index === -1 ? pickLeft(upstream.backups.eligible, excluded, chance) : index;
}

function pickLeft(eligible: Uint8Array, excluded: Uint8Array, chance: number): number {
  const left: number[] = [];
  for (const [index, may] of eligible.entries()) if (may === 1 && excluded[index] !== 1) left.push(index);
  return left[Math.floor(chance * left.length)] ?? -1;
}
